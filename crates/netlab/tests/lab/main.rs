//! The lab against the kernel: links, what can happen to them, MPTCP over them, boxes, cleaning up. As root
//! the whole suite runs a second time as an ordinary user.
#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "tests; clippy can't tell without the standard harness"
)]

mod boxes;
mod hosts;
mod links;
mod mptcp;
mod ordinary_user;
mod support;
mod trouble;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    if let Some(code) = support::scenario() {
        return code;
    }
    let mut arguments = Arguments::from_args();
    // One at a time: the tests measure rates and delays.
    arguments.test_threads = Some(1);
    let is_root = nix::unistd::geteuid().is_root();
    if let Err(error) = netlab::enter() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let mut trials: Vec<Trial> = Vec::new();
    for tests in [hosts::TESTS, links::TESTS, trouble::TESTS, mptcp::TESTS, boxes::TESTS] {
        trials
            .extend(tests.iter().map(|&(name, test)| Trial::test(name, move || test().map_err(Into::into))));
    }
    if is_root {
        let tests = ordinary_user::TESTS.iter();
        trials.extend(tests.map(|&(name, test)| Trial::test(name, move || test().map_err(Into::into))));
    }
    libtest_mimic::run(&arguments, trials).exit_code()
}
