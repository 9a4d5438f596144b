//! The crates as crates.io would get them.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::manifests::Workspace;
use super::{Options, Outcome};
use crate::command::{cargo, command, output, run, target_dir};

/// What a package must hold beside its sources.
const FILES: &[&str] =
    &["Cargo.toml", "Cargo.lock", "README.md", "LICENSE-MIT", "LICENSE-APACHE", "src/lib.rs"];

/// Packs each published crate; builds nothing.
pub fn pack(_: &Options) -> Result<Outcome> {
    let workspace = Workspace::read()?;
    let folder = target_dir().join("supply");
    // Changes that aren't committed are of no matter here: nothing is sent anywhere.
    let mut package = all("package", &workspace);
    package.args(["--no-verify", "--allow-dirty", "--target-dir"]).arg(&folder);
    let packed = package.stdout(Stdio::null()).output().context("can't start cargo")?;
    let said = String::from_utf8_lossy(&packed.stderr);
    ensure!(packed.status.success(), "the crates can't be packed:\n{said}");
    let withdrawn: Vec<&str> = yanked(&said).collect();
    ensure!(withdrawn.is_empty(), "withdrawn from crates.io, take others:\n{}", withdrawn.join("\n"));

    let version = env!("CARGO_PKG_VERSION");
    let published = workspace.published();
    for crate_ in &published {
        let stem = format!("{}-{version}", crate_.name);
        let listed = output(
            command("tar").arg("--list").arg("--file").arg(folder.join(format!("package/{stem}.crate"))),
        )?;
        for file in FILES {
            let path = format!("{stem}/{file}");
            ensure!(listed.lines().any(|line| line == path), "the package of {} lacks {file}", crate_.name);
        }
    }
    Ok(Outcome::Holds(format!("{} packages, whole, on nothing that was withdrawn", published.len())))
}

/// Packs each published crate and builds it from its package, as crates.io's users will.
pub fn publish(_: &Options) -> Result<Outcome> {
    let workspace = Workspace::read()?;
    run(all("publish", &workspace).arg("--dry-run"))?;
    let names: Vec<&str> = workspace.published().iter().map(|crate_| crate_.name).collect();
    Ok(Outcome::Holds(format!("ready: {}", names.join(", "))))
}

/// A command of cargo's for all published crates.
fn all(verb: &str, workspace: &Workspace) -> Command {
    let mut command = cargo();
    command.args([verb, "--workspace", "--locked"]);
    for name in workspace.unpublished() {
        command.args(["--exclude", name]);
    }
    command
}

/// Cargo's warnings of locked versions that were withdrawn.
fn yanked(said: &str) -> impl Iterator<Item = &str> {
    said.lines().filter(|line| line.contains(" is yanked in registry "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_withdrawn_is_seen() {
        let said = "   Packaging x v0.1.0 (/x)\nwarning: package `smallvec v1.13.0` in Cargo.lock is yanked in registry \
                    `crates-io`, consider updating to a version that is not yanked\n    Packaged 4 files\n";
        assert_eq!(yanked(said).count(), 1);
        assert_eq!(yanked("warning: manifest has no documentation, homepage or repository").count(), 0);
    }
}
