//! `cargo xtask supply`: whether what is released can be trusted and taken: licences, sources and duplicates of what it stands
//! on, known holes in that, lowest versions, packages for every registry, lists of contents, the public interface. The step
//! `supply` of `cargo xtask test` runs those of the checks that are cheap.

mod api;
mod dependencies;
mod manifests;
mod notes;
mod packages;
mod sbom;
mod security;
mod tools;
mod wheel;

use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Result, bail};

use crate::prerequisites::{self, C_COMPILER, PYTHON, Program};
use crate::steps;

pub use api::write as write_api;
pub use notes::print as release_notes;
pub use sbom::of_the_program as bill;

/// What the step and the verb need.
pub const NEEDS: &[&Program] = &[&C_COMPILER, &PYTHON];

/// What `cargo xtask supply` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// Run this check only (repeat for several)
    #[arg(long, value_name = "CHECK")]
    only: Vec<String>,
    /// Run those alone that `cargo xtask test` runs
    #[arg(long, conflicts_with = "only")]
    cheap: bool,
    /// List the checks, what each looks at and with what, and end
    #[arg(long)]
    list: bool,
    /// The commit, tag or branch that the interface is compared with; without it, the last tag that begins with `v`
    #[arg(long, value_name = "REVISION")]
    baseline: Option<String>,
}

/// What is said of the whole run, for the checks that can heed it.
pub struct Options {
    /// The revision with the interface as it was released last, if somebody named one.
    baseline: Option<String>,
}

/// How a check ended that did not fail.
enum Outcome {
    /// It holds; what was seen.
    Holds(String),
    /// Nobody knows: what it takes is not here. Never the same as holding, so it is said at the end.
    NotChecked(String),
}

/// One check.
struct Check {
    name: &'static str,
    about: &'static str,
    /// By what it is judged: a tool of others, a specification, or the files that must agree.
    by: &'static str,
    /// Whether `cargo xtask test` runs it: seconds, and nothing that it takes has to be compiled first.
    cheap: bool,
    run: fn(&Options) -> Result<Outcome>,
}

/// Every check, cheapest first.
const CHECKS: &[Check] = &[
    Check {
        name: "manifests",
        about: "every published crate says what registries and docs.rs want to know of it",
        by: "cargo metadata; the manifest format",
        cheap: true,
        run: manifests::complete,
    },
    Check {
        name: "minimal-versions",
        about: "the lowest versions that manifests allow are those that every test runs with",
        by: "Cargo.toml beside Cargo.lock",
        cheap: true,
        run: manifests::minimal_versions,
    },
    Check {
        name: "msrv",
        about: "no dependency needs a newer Rust than rust-version",
        by: "cargo metadata",
        cheap: true,
        run: manifests::msrv,
    },
    Check {
        name: "security",
        about: "every test that SECURITY.md cites is there",
        by: "SECURITY.md beside the tests",
        cheap: true,
        run: security::cited,
    },
    Check {
        name: "release-notes",
        about: "the changelog has notes for the version of the manifests, or for what will be it",
        by: "CHANGELOG.md; Keep a Changelog 1.1.0",
        cheap: true,
        run: notes::check,
    },
    Check {
        name: "licences",
        about: "licences and sources of everything that is built, duplicates in what is published",
        by: "cargo-deny, deny.toml",
        cheap: true,
        run: dependencies::licences,
    },
    Check {
        name: "advisories",
        about: "no dependency has a known hole, is unsound or unmaintained",
        by: "cargo-deny, the RustSec database",
        cheap: true,
        run: dependencies::advisories,
    },
    Check {
        name: "packages",
        about: "every published crate can be packed, with its licences, and stands on nothing that was withdrawn",
        by: "cargo package",
        cheap: true,
        run: packages::pack,
    },
    Check {
        name: "sbom",
        about: "the list of what the program is made of is whole, valid and the same twice",
        by: "CycloneDX 1.6, its JSON schema",
        cheap: true,
        run: sbom::check,
    },
    Check {
        name: "wheel",
        about: "wheel and source distribution have what they should, and metadata that PyPI takes",
        by: "maturin, packaging, PEP 639, PEP 770",
        cheap: true,
        run: wheel::check,
    },
    Check {
        name: "api",
        about: "the public interface is the one in docs/api, and builds as docs.rs does",
        by: "rustdoc, public-api",
        cheap: true,
        run: api::check,
    },
    Check {
        name: "release-wheel",
        about: "the wheel for PyPI is built, for every Linux of its architecture (manylinux)",
        by: "maturin, PEP 600",
        cheap: false,
        run: wheel::release,
    },
    Check {
        name: "msrv-build",
        about: "the workspace builds with the Rust of rust-version",
        by: "that toolchain",
        cheap: false,
        run: manifests::msrv_build,
    },
    Check {
        name: "semver",
        about: "the interface breaks nothing that the version promises",
        by: "cargo-semver-checks",
        cheap: false,
        run: api::semver,
    },
    Check {
        name: "publish",
        about: "every published crate builds from its own package",
        by: "cargo publish --dry-run",
        cheap: false,
        run: packages::publish,
    },
];

/// Runs the chosen checks, all of them even if one fails: they are about different things.
///
/// # Errors
/// When there is no check of a given name, or a program is missing that all need.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        for check in CHECKS {
            let when = if check.cheap { "in cargo xtask test" } else { "on request" };
            println!("{:<17} {}\n{:<17} by {}; {when}", check.name, check.about, "", check.by);
        }
        return Ok(ExitCode::SUCCESS);
    }
    if let Some(name) = args.only.iter().find(|name| !CHECKS.iter().any(|check| check.name == **name)) {
        let names: Vec<_> = CHECKS.iter().map(|check| check.name).collect();
        bail!("there is no check `{name}`; the checks are {}", names.join(", "));
    }
    prerequisites::check(NEEDS)?;
    let chosen = |check: &&Check| {
        (args.only.is_empty() || args.only.iter().any(|name| name == check.name))
            && (check.cheap || !args.cheap)
    };
    let options = Options { baseline: args.baseline.clone() };
    let done = run_all(CHECKS.iter().filter(chosen), &options);
    println!("\n{}", done.summary());
    Ok(if done.failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The step: the cheap checks; the text says what none could check.
///
/// # Errors
/// When a check failed.
pub fn step(_: steps::Options) -> Result<Option<String>> {
    let done = run_all(CHECKS.iter().filter(|check| check.cheap), &Options { baseline: None });
    println!("\n{}", done.summary());
    if !done.failed.is_empty() {
        bail!("{}", done.failed.join(", "));
    }
    Ok((!done.not_checked.is_empty()).then(|| format!("not checked: {}", done.not_checked.join("; "))))
}

#[derive(Default)]
struct Done {
    lines: Vec<String>,
    passed: usize,
    not_checked: Vec<String>,
    failed: Vec<String>,
}

impl Done {
    fn add(&mut self, name: &str, outcome: Result<Outcome>, seconds: f64) {
        let (word, said) = match outcome {
            Ok(Outcome::Holds(said)) => {
                self.passed += 1;
                ("holds", said)
            }
            Ok(Outcome::NotChecked(why)) => {
                self.not_checked.push(format!("{name} ({why})"));
                ("not checked", why)
            }
            Err(error) => {
                eprintln!("error: {error:#}");
                self.failed.push(name.to_string());
                ("FAILED", format!("{error:#}").lines().next().unwrap_or_default().to_string())
            }
        };
        self.lines.push(format!("{name:<17} {word:<12} {seconds:>6.1} s  {said}").trim_end().to_string());
    }

    fn summary(&self) -> String {
        let (failed, unknown) = (self.failed.len(), self.not_checked.len());
        let counts = format!("supply: {} hold, {failed} failed, {unknown} not checked", self.passed);
        [self.lines.join("\n"), counts].join("\n")
    }
}

fn run_all<'a>(checks: impl Iterator<Item = &'a Check>, options: &Options) -> Done {
    let mut done = Done::default();
    for check in checks {
        println!("\n--> {}: {}", check.name, check.about);
        let begun = Instant::now();
        let outcome = (check.run)(options);
        done.add(check.name, outcome, begun.elapsed().as_secs_f64());
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_checked_is_neither_held_nor_failed() {
        let mut done = Done::default();
        done.add("one", Ok(Outcome::Holds("all of it".into())), 1.0);
        done.add("two", Ok(Outcome::NotChecked("no network".into())), 0.0);
        done.add("three", Err(anyhow::anyhow!("torn\nin two")), 2.0);
        let summary = done.summary();
        assert!(summary.ends_with("supply: 1 hold, 1 failed, 1 not checked"), "{summary}");
        assert!(summary.contains("not checked     0.0 s  no network\n"), "{summary}");
        assert!(summary.contains("FAILED          2.0 s  torn\n"), "{summary}");
        assert_eq!(done.failed, ["three"]);
        assert_eq!(done.not_checked, ["two (no network)"]);
    }

    #[test]
    fn an_unknown_check_is_an_error_that_lists_the_known_ones() {
        let args = Args { only: vec!["licenses".into()], cheap: false, list: false, baseline: None };
        let error = run(&args).unwrap_err().to_string();
        assert!(error.contains("`licenses`") && error.contains("manifests, minimal-versions"), "{error}");
    }
}
