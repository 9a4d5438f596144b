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
    // Not a skip: without a lab nothing below can be shown.
    if let Err(error) = netlab::enter() {
        eprintln!("no lab: {error}");
        return ExitCode::FAILURE;
    }
    arguments.test_threads = Some(1);
    let mut trials = Vec::new();
    for test in environments::trials(&environments)
        .into_iter()
        .chain(suites::trials(&environments))
        .chain(links::trials(&environments))
    {
        let (name, run) = test;
        trials.push(Trial::test(name, move || {
            // A panic is this test's failure, not the end of the run.
            std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).map_err(|_| Failed::from("see above"))
        }));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// A test: its name, and what it does.
type Test = (String, Box<dyn FnOnce() + Send>);
