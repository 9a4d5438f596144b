//! `mphttp man`: the manual pages, made of the same text as `--help`.

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::{Args, CommandFactory};

use crate::{cli::Cli, error_reporting::Failure, exit::Exit};

/// Options of `mphttp man`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  mphttp man | man -l -\n  mphttp man --out ~/.local/share/man/man1    then: man mphttp-get"
)]
pub struct ManArgs {
    /// Write the pages of all verbs into this directory, which is made: mphttp.1, mphttp-get.1 and so on [default: print
    /// mphttp.1].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Writes the pages.
pub fn run(args: &ManArgs) -> anyhow::Result<()> {
    let mut command = crate::config::with_env(Cli::command());
    // Names the verbs in full: mphttp-get(1).
    command.build();
    let Some(directory) = &args.out else {
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page).context("can't make the page")?;
        return std::io::stdout()
            .write_all(&page)
            .context(Failure::new(Exit::Write, "can't write the page to stdout"));
    };
    let failed = || Failure::new(Exit::Write, format!("can't write the pages to {}", directory.display()));
    std::fs::create_dir_all(directory).with_context(failed)?;
    clap_mangen::generate_to(command, directory).with_context(failed)
}
