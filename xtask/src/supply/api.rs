//! The public interface of the libraries, listed in `docs/api`: a change of it is seen in the change that makes it, and nobody
//! makes one unawares. The same run builds the documentation as docs.rs does (`--cfg docsrs`).
//!
//! rustdoc's JSON has no stable form: the listing is made by the program `api` of this crate, whose library reads one number
//! of it. With a toolchain that writes another, nothing is checked, which is said.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};

use super::{Options, Outcome};
use crate::command::{cargo, command, output, root, run, target_dir};

/// The libraries whose interface is promised; `mphttp-netlab` and the program's library promise none.
const LIBRARIES: &[&str] = &["mptcp-socket", "mptcp-paths", "mphttp"];

/// The number of rustdoc's JSON that the version of public-api in Cargo.toml reads (rustdoc-types has the same).
const FORMAT: u64 = 57;

/// Writes the listings.
///
/// # Errors
/// When they can't be made, or the toolchain is another than they are made for.
pub fn write() -> Result<ExitCode> {
    for library in LIBRARIES {
        let listed = match listing(library)? {
            Ok(listed) => listed,
            Err(why) => anyhow::bail!(why),
        };
        let path = file(library);
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        fs::write(&path, listed).with_context(|| format!("can't write {}", path.display()))?;
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// The listings are those in `docs/api`.
pub fn check(_: &Options) -> Result<Outcome> {
    let mut items = 0;
    let mut changed = Vec::new();
    for library in LIBRARIES {
        let listed = match listing(library)? {
            Ok(listed) => listed,
            Err(why) => return Ok(Outcome::NotChecked(why)),
        };
        items += listed.lines().count();
        let known = fs::read_to_string(file(library)).unwrap_or_default();
        let differs = difference(&known, &listed);
        if !differs.is_empty() {
            changed.push(format!("{library}:\n{}", differs.join("\n")));
        }
    }
    ensure!(
        changed.is_empty(),
        "the public interface is not the one in docs/api. If it is meant to change: cargo xtask api, and a line in CHANGELOG.md\n{}",
        changed.join("\n")
    );
    ensure!(items > 100, "only {items} items: rustdoc or the listing is broken");
    Ok(Outcome::Holds(format!("{items} items in {}", LIBRARIES.join(", "))))
}

fn file(library: &str) -> PathBuf {
    root().join("docs/api").join(format!("{library}.txt"))
}

/// Lines that only one of them has: `-` those that are gone, `+` new ones.
fn difference(known: &str, now: &str) -> Vec<String> {
    let only = |here: &str, there: &str, sign: char| -> Vec<String> {
        let there: std::collections::BTreeSet<&str> = there.lines().collect();
        here.lines().filter(|line| !there.contains(line)).map(|line| format!("{sign} {line}")).collect()
    };
    [only(known, now, '-'), only(now, known, '+')].concat()
}

/// A library's interface, an item a line; or why it can't be told with this toolchain.
fn listing(library: &str) -> Result<Result<String, String>> {
    if !cfg!(target_os = "linux") {
        return Ok(Err("the listings are those of Linux".into()));
    }
    // For rustdoc alone: in cargo's environment, it would have every build script and dependency run again.
    let rustdoc = target_dir().join("supply/rustdoc");
    script(&rustdoc, "#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc \"$@\"\n")?;
    let mut json = cargo();
    json.env("RUSTDOC", &rustdoc).args([
        "rustdoc",
        "--lib",
        "--package",
        library,
        "--all-features",
        "--locked",
        "--quiet",
        "--",
    ]);
    run(json.args([
        "-Z",
        "unstable-options",
        "--output-format",
        "json",
        "--cap-lints",
        "warn",
        "--cfg",
        "docsrs",
    ]))?;
    let path = target_dir().join("doc").join(format!("{}.json", library.replace('-', "_")));
    let text = fs::read_to_string(&path).with_context(|| format!("rustdoc made no {}", path.display()))?;
    let read: serde_json::Value = serde_json::from_str(&text).context("rustdoc's JSON is none")?;
    let format = read["format_version"].as_u64();
    if format != Some(FORMAT) {
        return Ok(Err(format!(
            "rustdoc writes form {format:?} of its JSON, the listings are made of {FORMAT}"
        )));
    }
    let api = ["run", "--quiet", "--locked", "--package", "xtask", "--features", "api", "--bin", "api", "--"];
    Ok(Ok(format!("{}\n", output(cargo().args(api).arg(&path))?)))
}

fn script(path: &Path, text: &str) -> Result<()> {
    fs::create_dir_all(path.parent().unwrap_or(path))?;
    fs::write(path, text).with_context(|| format!("can't write {}", path.display()))?;
    crate::package::mode_of(path, 0o755)
}

/// The interface beside that of the last release.
pub fn semver(options: &Options) -> Result<Outcome> {
    if output(cargo().args(["semver-checks", "--version"])).is_err() {
        return Ok(Outcome::NotChecked("cargo install --locked cargo-semver-checks".into()));
    }
    let baseline = match &options.baseline {
        Some(revision) => revision.clone(),
        None => match output(command("git").args(["describe", "--tags", "--abbrev=0", "--match", "v*"])) {
            Ok(tag) => tag,
            Err(_) => {
                return Ok(Outcome::NotChecked(
                    "nothing was released yet: no tag begins with v (--baseline)".into(),
                ));
            }
        },
    };
    let mut checks = cargo();
    checks.args(["semver-checks", "check-release", "--all-features", "--baseline-rev", &baseline]);
    for library in LIBRARIES {
        checks.args(["--package", library]);
    }
    run(&mut checks)?;
    Ok(Outcome::Holds(format!("nothing breaks what {baseline} promised")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_gone_and_what_is_new_are_told_apart() {
        let differs = difference("pub fn a()\npub fn b()\n", "pub fn b()\npub fn c()\n");
        assert_eq!(differs, ["- pub fn a()", "+ pub fn c()"]);
        assert!(difference("pub fn a()\n", "pub fn a()\n").is_empty());
    }
}
