//! `cargo xtask cases`: the HTTP cases that the tests run, each with its source and what is expected. The tables are those of the
//! crate `http-cases`; `--write` brings the documentation up to them.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};

use crate::command::root;

/// What `cargo xtask cases` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// Write docs/http-cases.md instead
    #[arg(long)]
    write: bool,
}

/// # Errors
/// When the list can't be written.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.write {
        let path = root().join("docs/http-cases.md");
        fs::write(&path, http_cases::markdown())
            .with_context(|| format!("can't write {}", path.display()))?;
    } else {
        print!("{}", http_cases::text());
    }
    Ok(ExitCode::SUCCESS)
}
