//! Falling back, against real boxes in the lab: what it costs, what is said of it, and what is learnt.
//!
//! Each case runs the blocking and the tokio connect. They run one at a time, since some measure time.
#![cfg_attr(mptcp_socket_no_mptcp, allow(dead_code, reason = "nothing to show on a platform without MPTCP"))]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};

mod cases;
mod support;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    if cfg!(mptcp_socket_no_mptcp) {
        return libtest_mimic::run(&arguments, Vec::new()).exit_code();
    }
    // Not a skip: without a lab nothing below can be shown.
    if let Err(error) = netlab::enter() {
        eprintln!("no lab: {error}");
        return ExitCode::FAILURE;
    }
    arguments.test_threads = Some(1);
    let tests = cases::ALL.iter().map(|&(name, test)| {
        Trial::test(name, move || {
            // A panic is this test's failure, not the end of the run.
            std::panic::catch_unwind(test).map_err(|_| Failed::from("see above"))
        })
    });
    libtest_mimic::run(&arguments, tests.collect()).exit_code()
}
