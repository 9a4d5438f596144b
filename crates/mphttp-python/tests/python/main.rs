//! The Python package, tried by Python programs in a lab: its own tests under every CPython that was found, CPython's own
//! suites with our classes in place of the standard ones, and clients and servers on two hosts with links between them.
//!
//! The environments, with the package installed, are made by `cargo xtask test --only python`, which then runs this.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]
#![cfg(target_os = "linux")]

mod environments;
mod links;
mod suites;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let environments = match environments::Environments::load() {
        Ok(environments) => environments,
        Err(error) => {
            eprintln!(
                "{error}\nRun these tests by `cargo xtask test --only python`, which makes the environments."
            );
            return ExitCode::FAILURE;
        }
    };
    let part = match Part::of_environment() {
        Ok(part) => part,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    // Not a skip: without a lab nothing below can be shown.
    if let Err(error) = netlab::enter() {
        eprintln!("no lab: {error}");
        return ExitCode::FAILURE;
    }
    arguments.test_threads = Some(1);
    let mut trials = Vec::new();
    let tests = environments::trials(&environments)
        .into_iter()
        .chain(suites::trials(&environments))
        .chain(links::trials(&environments));
    for (name, run) in part.of(tests) {
        trials.push(Trial::test(name, move || {
            // A panic is this test's failure, not the end of the run.
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).map_err(|_| Failed::from("see above"))
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test: its name, and what it does.
type Test = (String, Box<dyn FnOnce() + Send>);

/// One of several parts, for whoever runs them side by side: `MPHTTP_PYTHON_PART=2/4`. All of it if nothing is said.
struct Part {
    number: usize,
    parts: usize,
}

impl Part {
    fn of_environment() -> Result<Self, String> {
        let Ok(said) = std::env::var("MPHTTP_PYTHON_PART") else { return Ok(Self { number: 1, parts: 1 }) };
        let parsed = said.split_once('/').and_then(|(number, parts)| {
            Some(Self { number: number.parse().ok()?, parts: parts.parse().ok()? })
        });
        parsed
            .filter(|part| (1..=part.parts).contains(&part.number))
            .ok_or_else(|| format!("MPHTTP_PYTHON_PART is {said}; it is to be like 2/4"))
    }

    fn of(&self, tests: impl Iterator<Item = Test>) -> impl Iterator<Item = Test> {
        tests.skip(self.number - 1).step_by(self.parts)
    }
}
