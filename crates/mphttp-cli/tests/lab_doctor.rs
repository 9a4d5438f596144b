//! `mphttp doctor` on hosts that were broken on purpose: each is diagnosed with its cause, the command that the doctor
//! prints is run, and a download then has bytes on both paths.
//!
//! Needs no privilege. `ip` and `sysctl`, which some of the printed commands name, must be there.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "doctor/client.rs"]
mod client;
#[path = "doctor/clinic.rs"]
mod clinic;
#[path = "doctor/fixing.rs"]
mod fixing;
#[path = "doctor/host.rs"]
mod host;
#[path = "doctor/network.rs"]
mod network;
#[path = "doctor/server.rs"]
mod server;
#[path = "support/lab.rs"]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    let tests = [host::TESTS, client::TESTS, network::TESTS, server::TESTS, fixing::TESTS];
    support::main(tests.concat())
}
