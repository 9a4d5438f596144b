//! What the manifests promise, held against what cargo makes of them: what registries want to know of each crate, the lowest
//! versions, the lowest Rust.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::{Options, Outcome};
use crate::command::{cargo, command, output, run, target_dir};

/// The workspace as cargo understands it, with all features.
pub struct Workspace(Value);

/// A crate of it that goes to crates.io.
pub struct Published<'a> {
    pub name: &'a str,
    pub folder: PathBuf,
    package: &'a Value,
}

impl Workspace {
    /// # Errors
    /// When the lock file doesn't fit the manifests, or cargo says something odd.
    pub fn read() -> Result<Self> {
        let text = output(cargo().args(["metadata", "--locked", "--all-features", "--format-version", "1"]))?;
        Ok(Self(serde_json::from_str(&text).context("cargo metadata said something odd")?))
    }

    fn packages(&self) -> impl Iterator<Item = &Value> {
        self.0["packages"].as_array().into_iter().flatten()
    }

    fn members(&self) -> impl Iterator<Item = &Value> {
        let members = self.0["workspace_members"].as_array();
        self.packages().filter(move |package| members.is_some_and(|members| members.contains(&package["id"])))
    }

    /// The members for crates.io: those whose manifest does not forbid it.
    pub fn published(&self) -> Vec<Published<'_>> {
        let for_all = |package: &&Value| package["publish"].is_null();
        let published = |package| {
            let folder =
                Path::new(text(package, "manifest_path")).parent().unwrap_or(Path::new("/")).to_path_buf();
            Published { name: text(package, "name"), folder, package }
        };
        self.members().filter(for_all).map(published).collect()
    }

    /// The members that stay here.
    pub fn unpublished(&self) -> Vec<&str> {
        self.members()
            .filter(|package| !package["publish"].is_null())
            .map(|package| text(package, "name"))
            .collect()
    }
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Each published crate has what crates.io and docs.rs show, within crates.io's limits.
pub fn complete(_: &Options) -> Result<Outcome> {
    let workspace = Workspace::read()?;
    let published = workspace.published();
    ensure!(!published.is_empty(), "no crate is published");
    let mut wrong = Vec::new();
    let mut homeless = false;
    for crate_ in &published {
        wrong.extend(lacks(crate_, &published).into_iter().map(|lack| format!("{}: {lack}", crate_.name)));
        homeless |= text(crate_.package, "repository").is_empty();
    }
    ensure!(wrong.is_empty(), "the manifests lack something:\n{}", wrong.join("\n"));
    let names: Vec<_> = published.iter().map(|crate_| crate_.name).collect();
    let still = if homeless { "; they name no repository: set it before the first release" } else { "" };
    Ok(Outcome::Holds(format!("{}{still}", names.join(", "))))
}

/// What a crate's manifest lacks.
fn lacks(crate_: &Published<'_>, published: &[Published<'_>]) -> Vec<String> {
    let package = crate_.package;
    let mut wrong = Vec::new();
    for key in ["description", "license", "readme", "rust_version", "edition"] {
        if text(package, key).is_empty() {
            wrong.push(format!("no {key}"));
        }
    }
    for (key, most) in [("keywords", 5), ("categories", 5)] {
        let count = package[key].as_array().map_or(0, Vec::len);
        if !(1..=most).contains(&count) {
            wrong.push(format!("{count} {key}: one to {most} are wanted"));
        }
    }
    for file in [text(package, "readme"), "LICENSE-MIT", "LICENSE-APACHE"] {
        if !crate_.folder.join(file).is_file() {
            wrong.push(format!("no file {file} in its folder, so none in its package"));
        }
    }
    let has_features = package["features"].as_object().is_some_and(|features| !features.is_empty());
    let shown = package["metadata"]["docs"]["rs"]["all-features"].as_bool() == Some(true);
    let program =
        package["targets"].as_array().into_iter().flatten().any(|target| {
            target["kind"].as_array().is_some_and(|kinds| kinds.iter().any(|kind| kind == "bin"))
        });
    if has_features && !shown && !program {
        wrong
            .push("its features would not be shown by docs.rs: package.metadata.docs.rs.all-features".into());
    }
    for dependency in package["dependencies"].as_array().into_iter().flatten() {
        let (name, only_tests) = (text(dependency, "name"), dependency["kind"] == "dev");
        if dependency["path"].is_null() || only_tests {
            continue;
        }
        if !published.iter().any(|other| other.name == name) {
            wrong.push(format!("it stands on {name}, which is not published"));
        }
        if text(dependency, "req") == "*" {
            wrong.push(format!("{name} has no version: a path alone can't be published"));
        }
    }
    wrong
}

/// Each version that a manifest names is the one that the lock file has. So whatever the tests show, they show with the lowest
/// versions; that lower ones would do as well, nobody has seen.
pub fn minimal_versions(_: &Options) -> Result<Outcome> {
    let workspace = Workspace::read()?;
    let mut count = 0;
    let mut wrong = Vec::new();
    for package in workspace.members() {
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            if !dependency["path"].is_null() {
                continue;
            }
            count += 1;
            let (name, wanted) = (text(dependency, "name"), text(dependency, "req"));
            let locked: Vec<&str> = workspace
                .packages()
                .filter(|package| text(package, "name") == name)
                .map(|package| text(package, "version"))
                .collect();
            if !locked.iter().any(|locked| is_lowest(wanted, locked)) {
                let owner = text(package, "name");
                wrong.push(format!("{owner}: {name} {wanted}, locked at {}", locked.join(" and ")));
            }
        }
    }
    wrong.sort();
    wrong.dedup();
    ensure!(
        wrong.is_empty(),
        "name the locked version in Cargo.toml, which is what the tests run with:\n{}",
        wrong.join("\n")
    );
    ensure!(count > 0, "cargo metadata lists no dependencies");
    Ok(Outcome::Holds(format!("{count} requirements, each at its lowest version in Cargo.lock")))
}

/// Whether a requirement allows nothing lower than the locked version: "1.2.3", "^1.2.3" or "=1.2.3", whole.
fn is_lowest(wanted: &str, locked: &str) -> bool {
    let wanted = wanted.trim_start_matches(['^', '=']);
    // What is behind a plus says nothing of order (SemVer 10).
    let plain = locked.split('+').next().unwrap_or(locked);
    wanted == plain || wanted == locked
}

/// No dependency asks for a newer Rust than the workspace promises. Of std, clippy knows the same (`incompatible_msrv`).
pub fn msrv(_: &Options) -> Result<Outcome> {
    let workspace = Workspace::read()?;
    let ours = lowest_rust(&workspace)?;
    let newer: Vec<String> = workspace
        .packages()
        .filter(|package| version(text(package, "rust_version")) > version(ours))
        .map(|package| {
            format!(
                "{} {} needs {}",
                text(package, "name"),
                text(package, "version"),
                text(package, "rust_version")
            )
        })
        .collect();
    ensure!(newer.is_empty(), "rust-version is {ours}, but:\n{}", newer.join("\n"));
    Ok(Outcome::Holds(format!("rust-version is {ours}, and no dependency says that it needs more")))
}

/// The workspace builds with the Rust that it promises, where that is installed.
pub fn msrv_build(_: &Options) -> Result<Outcome> {
    let workspace = Workspace::read()?;
    let ours = lowest_rust(&workspace)?;
    let toolchains = output(command("rustup").args(["toolchain", "list"])).unwrap_or_default();
    let Some(toolchain) = toolchains.lines().find(|line| is_toolchain(line, ours)) else {
        return Ok(Outcome::NotChecked(format!(
            "Rust {ours} is not installed: rustup toolchain install {ours}"
        )));
    };
    let toolchain = toolchain.split_whitespace().next().unwrap_or(toolchain);
    run(command("rustup")
        .args([
            "run",
            toolchain,
            "cargo",
            "check",
            "--workspace",
            "--all-features",
            "--locked",
            "--target-dir",
        ])
        .arg(target_dir().join("msrv")))?;
    Ok(Outcome::Holds(format!("it builds with {toolchain}")))
}

fn lowest_rust(workspace: &Workspace) -> Result<&str> {
    let first = workspace.members().next().context("the workspace has no members")?;
    Ok(text(first, "rust_version"))
}

fn is_toolchain(line: &str, version: &str) -> bool {
    line.strip_prefix(version).is_some_and(|rest| rest.starts_with(['.', '-']))
}

/// "1.89" or "1.89.0" as numbers; of what is no version, none.
fn version(text: &str) -> Vec<u32> {
    let mut parts: Vec<u32> = text.split('.').map_while(|part| part.parse().ok()).collect();
    parts.resize(3, 0);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_requirement_is_lowest_only_if_nothing_below_the_lock_fits_it() {
        assert!(is_lowest("^1.2.3", "1.2.3") && is_lowest("=0.52.1", "0.52.1"));
        assert!(is_lowest("^0.25.18", "0.25.18+spec-1.1.0"));
        for wanted in ["^1.2.2", "^1.2", "^1", ">=1, <3", "*"] {
            assert!(!is_lowest(wanted, "1.2.3"), "{wanted}");
        }
    }

    #[test]
    fn versions_of_rust_compare_as_numbers() {
        assert!(version("1.100") > version("1.89"));
        assert_eq!(version("1.89"), version("1.89.0"));
        assert!(version("") < version("1.0"));
        assert!(is_toolchain("1.89.0-x86_64-unknown-linux-gnu", "1.89"));
        assert!(!is_toolchain("1.8-x86_64", "1.89") && !is_toolchain("1.891.0-x86_64", "1.89"));
    }
}
