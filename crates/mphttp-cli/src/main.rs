//! The program `mphttp`: HTTP over TCP or Multipath TCP, at the command line.

mod access_log;
mod addresses;
mod cli;
#[cfg(target_os = "linux")]
mod demo;
mod error_reporting;
mod exit;
mod get;
mod serve;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Verb};

// No runtime here: each verb makes its own, and `demo` must enter its namespaces before any thread exists.
fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => exit::Exit::Ok.into(),
        Err(error) => error_reporting::report(&error).into(),
    }
}

fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.verb {
        Verb::Get(args) => get::run(&args),
        Verb::Serve(args) => serve::run(args),
        #[cfg(target_os = "linux")]
        Verb::Demo(args) => demo::demo(&args),
        Verb::Completions { shell } => cli::completions(shell),
    }
}
