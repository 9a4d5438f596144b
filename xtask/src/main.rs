//! `cargo xtask`: what CI and people run. `test` is everything that must hold, `lint` its quick part, `bench` the
//! measurements. Kept free of the workspace's own crates, so that it builds in seconds and still runs when they don't.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bench;
mod command;
mod guide;
mod package;
mod pool;
mod prerequisites;
mod python;
mod steps;
mod test;

#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", about)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Run every check and every test, with a summary at the end
    Test(test::Args),
    /// Run the quick checks: formatting and clippy
    Lint,
    /// Make a Debian package of the program
    Deb,
    /// Build the program linked statically, with musl
    Static,
    /// Make a book of the guide in docs/, with mdBook
    Guide,
    /// Measure against peers in the same run, and write tables
    Bench(bench::Args),
}

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> Result<ExitCode> {
    match cli.verb {
        Verb::Test(args) => test::run(&args),
        Verb::Deb => package::deb(),
        Verb::Static => package::linked_statically(),
        Verb::Guide => guide::build().map(|()| ExitCode::SUCCESS),
        Verb::Bench(args) => bench::run(&args),
        Verb::Lint => test::run(&test::Args::lint()),
    }
}
