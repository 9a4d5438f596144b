//! Lists the public interface of a library, an item a line, from rustdoc's JSON: `api FILE`. A program of its own, so that
//! `cargo xtask` needs none of what this does.

use std::process::ExitCode;

use anyhow::{Context, Result};

fn main() -> ExitCode {
    match list() {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn list() -> Result<String> {
    let path = std::env::args_os().nth(1).context("usage: api FILE")?;
    // What each type has anyhow, because it is Send or derives Debug, says little and fills pages.
    let listed = public_api::Builder::from_rustdoc_json(path)
        .omit_blanket_impls(true)
        .omit_auto_trait_impls(true)
        .omit_auto_derived_impls(true)
        .build()
        .context("not the JSON that public-api reads")?;
    Ok(listed.items().map(|item| format!("{item}\n")).collect())
}
