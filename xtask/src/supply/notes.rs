//! Notes of a release: what the changelog has under its version, word for word, so that anyone gets the same of the same sources.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};

use super::{Options, Outcome};
use crate::command::root;

const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Prints the notes for a version, by default that of the manifests.
///
/// # Errors
/// When the changelog has none.
pub fn print(version: Option<&str>) -> Result<ExitCode> {
    let version = version.unwrap_or(VERSION).trim_start_matches('v');
    println!("{}", of(&changelog()?, version)?);
    Ok(ExitCode::SUCCESS)
}

pub fn check(_: &Options) -> Result<Outcome> {
    let changelog = changelog()?;
    if of(&changelog, VERSION).is_ok() {
        return Ok(Outcome::Holds(format!("{VERSION} has its notes")));
    }
    of(&changelog, "Unreleased")?;
    Ok(Outcome::Holds(format!("what will be {VERSION} has its notes, under Unreleased")))
}

fn changelog() -> Result<String> {
    fs::read_to_string(root().join("CHANGELOG.md")).context("can't read CHANGELOG.md")
}

/// What stands under `## [version]`, with or without a date, up to the next heading of that rank.
fn of(changelog: &str, version: &str) -> Result<String> {
    let heading = format!("## [{version}]");
    let mut lines = changelog.lines().skip_while(|line| !line.starts_with(&heading));
    if lines.next().is_none() {
        let known: Vec<&str> = changelog.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        bail!("CHANGELOG.md has no `{heading}`, but {}", known.join(", "));
    }
    let notes: Vec<&str> = lines.take_while(|line| !line.starts_with("## ")).collect();
    let notes = notes.join("\n");
    if notes.trim().is_empty() {
        bail!("CHANGELOG.md has nothing under `{heading}`");
    }
    Ok(notes.trim().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHANGELOG: &str = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2027-01-02\n\n### Added\n\n- A thing.\n\n\
                             ## [0.1.0] - 2026-12-01\n\nThe first.\n";

    #[test]
    fn notes_are_what_stands_under_the_version_and_no_more() {
        assert_eq!(of(CHANGELOG, "0.2.0").unwrap(), "### Added\n\n- A thing.");
        assert_eq!(of(CHANGELOG, "0.1.0").unwrap(), "The first.");
    }

    #[test]
    fn a_version_without_notes_is_an_error_that_says_which_have_some() {
        let error = of(CHANGELOG, "0.3.0").unwrap_err().to_string();
        assert!(error.contains("[0.2.0] - 2027-01-02"), "{error}");
        assert!(of(CHANGELOG, "Unreleased").unwrap_err().to_string().contains("nothing"));
        assert!(of(CHANGELOG, "0.1").is_err(), "a part of a version is none");
    }
}
