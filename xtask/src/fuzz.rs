//! `cargo xtask fuzz`: runs the targets in `fuzz/` with libFuzzer, one after the other.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use crate::command::{cargo, command, root, run};
use crate::prerequisites::{self, C_COMPILER, CARGO_FUZZ, CXX_COMPILER};

/// What `cargo xtask fuzz` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// Run these targets only; all of them if none is named
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// How long each of them runs, in seconds
    #[arg(long, value_name = "N", default_value_t = 60)]
    seconds: u32,
    /// Look for memory errors as well, with a nightly toolchain: slower, and little to be found, since nothing that is
    /// fed here is unsafe
    #[arg(long)]
    address_sanitizer: bool,
    /// Take over into the corpus what has been found and reaches more than what is there
    #[arg(long)]
    keep: bool,
    /// List the targets with the number of their inputs, and end
    #[arg(long)]
    list: bool,
}

struct Target {
    name: String,
    about: String,
}

fn folder() -> PathBuf {
    root().join("fuzz")
}

/// All targets, by name.
fn targets() -> Result<Vec<Target>> {
    let folder = folder().join("fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("can't read {}", folder.display()))?;
    let mut targets = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
        let about = text.lines().next().unwrap_or_default().trim_start_matches("//! ").to_owned();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        targets.push(Target { name, about });
    }
    targets.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(targets)
}

/// Those that are named, or all.
fn chosen(all: Vec<Target>, names: &[String]) -> Result<Vec<Target>> {
    if let Some(unknown) = names.iter().find(|name| !all.iter().any(|target| target.name == **name)) {
        bail!("there is no target `{unknown}`; cargo xtask fuzz --list names them");
    }
    Ok(all.into_iter().filter(|target| names.is_empty() || names.contains(&target.name)).collect())
}

/// Runs the targets.
///
/// # Errors
/// When a target fails, is not known, or can't be built: its input is then in `fuzz/artifacts`.
pub fn run_targets(args: &Args) -> Result<ExitCode> {
    let targets = chosen(targets()?, &args.targets)?;
    if args.list {
        for Target { name, about } in &targets {
            let inputs = fs::read_dir(folder().join("corpus").join(name)).map_or(0, Iterator::count);
            println!("{name:<18} {inputs:>4} inputs  {about}");
        }
        return Ok(ExitCode::SUCCESS);
    }
    prerequisites::check(&[&C_COMPILER, &CXX_COMPILER, &CARGO_FUZZ])?;
    // The same versions as in the workspace, and what libFuzzer needs beside.
    fs::copy(root().join("Cargo.lock"), folder().join("Cargo.lock")).context("can't copy Cargo.lock")?;
    for Target { name, about } in &targets {
        println!("\n==> {name}: {about}");
        let grown = format!("fuzz/grown/{name}");
        fs::create_dir_all(root().join(&grown)).with_context(|| format!("can't make {grown}"))?;
        let corpus = format!("fuzz/corpus/{name}");
        let limit = format!("-max_total_time={}", args.seconds);
        // What is found goes to the first folder. An input that takes 10 s is a fault too.
        let usual = ["-timeout=10", "-rss_limit_mb=2048", "-max_len=4096"];
        run(fuzz(args).args([name, &grown, &corpus, "--", &limit]).args(usual))?;
        if args.keep {
            // By edges alone: how often each is taken would keep hundreds of inputs.
            let merge = ["-merge=1", "-use_counters=0"];
            run(fuzz(args).args([name, &corpus, &grown, "--"]).args(merge).args(usual))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `cargo fuzz run`, with its options. Without a sanitizer every toolchain will do.
fn fuzz(args: &Args) -> Command {
    let mut command = if args.address_sanitizer {
        let mut command = command("rustup");
        command.args(["run", "nightly", "cargo"]);
        command
    } else {
        cargo()
    };
    let sanitizer = if args.address_sanitizer { "address" } else { "none" };
    command.args(["fuzz", "run", "--fuzz-dir", "fuzz", "--sanitizer", sanitizer]);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_target_says_what_it_is_for() {
        let all = targets().unwrap();
        assert!(!all.is_empty() && all.iter().all(|target| target.about.ends_with('.')));
    }

    #[test]
    fn an_unknown_target_is_an_error() {
        assert!(
            chosen(targets().unwrap(), &["frames".into()]).unwrap().iter().all(|one| one.name == "frames")
        );
        let error = chosen(targets().unwrap(), &["frame".into()]).err().unwrap().to_string();
        assert!(error.contains("`frame`") && error.contains("--list"), "{error}");
    }
}
