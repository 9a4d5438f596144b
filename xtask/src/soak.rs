//! `cargo xtask soak`: the test program `soak` for longer than CI has, against a release build.

use std::process::ExitCode;

use anyhow::Result;

use crate::command::{cargo, run as run_command, target_dir};

/// What `cargo xtask soak` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// For how long troubles come, in seconds [default: 24]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// The same in minutes
    #[arg(long, value_name = "N", conflicts_with = "seconds", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    minutes: Option<u64>,
    /// Which troubles come [default: others in each run; the seed is printed]
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// Builds what is needed, and runs it.
///
/// # Errors
/// When something doesn't build, or the soak fails.
pub fn run(args: &Args) -> Result<ExitCode> {
    let release = ["--release", "--locked", "--package", "mphttp-cli"];
    run_command(cargo().arg("build").args(release))?;
    let mut soak = cargo();
    // Of the test program itself a quick build will do.
    soak.args(["test", "--locked", "--package", "mphttp-cli", "--test", "soak"]);
    soak.env("MPHTTP_PROGRAM", target_dir().join("release/mphttp"));
    if let Some(seconds) = args.seconds.or_else(|| args.minutes.map(|minutes| minutes * 60)) {
        soak.env("MPHTTP_SOAK_SECONDS", seconds.to_string());
    }
    if let Some(seed) = args.seed {
        soak.env("MPHTTP_SOAK_SEED", seed.to_string());
    }
    run_command(&mut soak)?;
    Ok(ExitCode::SUCCESS)
}
