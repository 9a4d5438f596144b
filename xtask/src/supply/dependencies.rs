//! What the project stands on, judged by cargo-deny and the rules in `deny.toml`: licences, sources, duplicates, and what is known of
//! holes in it.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;

use super::tools::{succeeds_within, tool};
use super::{Options, Outcome};
use crate::command::run;

/// How long the database may take to come: a few megabytes.
const PATIENCE: Duration = Duration::from_secs(60);

/// Licences and sources of everything, duplicates in what people get: the examples for other servers are theirs.
pub fn licences(_: &Options) -> Result<Outcome> {
    let deny = || {
        Ok::<_, anyhow::Error>({
            let mut deny = tool("cargo-deny")?;
            deny.arg("--locked");
            deny
        })
    };
    run(deny()?.args(["check", "--hide-inclusion-graph", "licenses", "sources"]))?;
    let published = ["--exclude", "mphttp-examples", "--exclude", "xtask", "--exclude-dev"];
    run(deny()?.args(published).args(["check", "bans"]))?;
    Ok(Outcome::Holds("licences, sources and duplicates are as deny.toml has them".into()))
}

/// Known holes. The database is a git repository, not a package: where it can't be reached, a copy of the last 30 days will do
/// (deny.toml), and without one nothing is known.
pub fn advisories(_: &Options) -> Result<Outcome> {
    let fetched = succeeds_within(
        tool("cargo-deny")?.env("GIT_TERMINAL_PROMPT", "0").args(["--locked", "fetch", "db"]),
        PATIENCE,
    )?;
    if !fetched && !has_copy() {
        return Ok(Outcome::NotChecked(
            "the RustSec database can't be had from here: run it where it can before a release".into(),
        ));
    }
    run(tool("cargo-deny")?.args(["--locked", "--offline", "check", "advisories"]))?;
    let which = if fetched { "the database of now" } else { "the copy of the database that is here" };
    Ok(Outcome::Holds(format!("nothing is known against what is locked, by {which}")))
}

/// Whether an earlier run has left a database where cargo-deny keeps them.
fn has_copy() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")));
    let folders = home.and_then(|home| fs::read_dir(home.join("advisory-dbs")).ok());
    folders.into_iter().flatten().flatten().any(|entry| entry.path().join("crates").is_dir())
}
