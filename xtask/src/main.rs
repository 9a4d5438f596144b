//! `cargo xtask`: what CI and people run. `test` is everything that must hold, `lint` its quick part, `bench` the
//! measurements, `cases` the list of HTTP cases. Kept free of the workspace's own crates (but for that list, which is data), so that it
//! builds in seconds and still runs when they don't.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod bench;
mod cases;
mod command;
mod fuzz;
mod guide;
mod nightly;
mod package;
mod pool;
mod prerequisites;
mod python;
mod soak;
mod steps;
mod supply;
mod tarball;
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
    /// Make an archive of the program linked statically, with musl
    Static,
    /// Run the fuzz targets, each for a minute
    Fuzz(fuzz::Args),
    /// Interpret what can be interpreted of the tests with Miri (nightly)
    Miri,
    /// Run tests with threads under ThreadSanitizer (nightly)
    Tsan,
    /// Check what a release needs: dependencies, packages, contents, interface; with a summary at the end
    Supply(supply::Args),
    /// Write the public interface of the libraries to docs/api
    Api,
    /// Print the notes of a release, from CHANGELOG.md
    ReleaseNotes {
        /// The version, or `Unreleased`; by default that of the manifests
        version: Option<String>,
    },
    /// Make a book of the guide in docs/, with mdBook
    Guide,
    /// Measure against peers in the same run, and write tables
    Bench(bench::Args),
    /// List the HTTP cases that the tests run, with their sources
    Cases(cases::Args),
    /// Let everything go wrong at once for a while, and check that nothing is lost (docs/soak.md)
    Soak(soak::Args),
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
        Verb::Fuzz(args) => fuzz::run_targets(&args),
        Verb::Miri => nightly::miri(),
        Verb::Tsan => nightly::tsan(),
        Verb::Supply(args) => supply::run(&args),
        Verb::Api => supply::write_api(),
        Verb::ReleaseNotes { version } => supply::release_notes(version.as_deref()),
        Verb::Guide => guide::build().map(|()| ExitCode::SUCCESS),
        Verb::Bench(args) => bench::run(&args),
        Verb::Cases(args) => cases::run(&args),
        Verb::Soak(args) => soak::run(&args),
        Verb::Lint => test::run(&test::Args::lint()),
    }
}
