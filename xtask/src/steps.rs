//! The steps of `cargo xtask test`: what each is called, what it proves, what it needs and what it runs.

use anyhow::{Context, Result};

use crate::command::{cargo, command, output, run, target_dir};
use crate::prerequisites::{C_COMPILER, CHROMIUM, CLIPPY, CURL, IP, JQ, OPENSSL, PYTHON, Program, RUSTFMT};
use crate::{package, pool, python, supply};

/// What is said of the whole run, for steps that can heed it.
#[derive(Clone, Copy)]
pub struct Options {
    /// Go on after a failing test binary.
    pub keep_going: bool,
}

/// One step.
pub struct Step {
    /// The name on the command line.
    pub name: &'static str,
    /// What it proves.
    pub about: &'static str,
    /// Programs without which it can't run.
    pub needs: &'static [&'static Program],
    /// Does it; the text says what it had to leave out, if anything.
    pub run: fn(Options) -> Result<Option<String>>,
}

/// Every step, cheapest first, so that a small mistake is said soon.
pub const STEPS: &[Step] = &[
    Step { name: "fmt", about: "the sources are formatted", needs: &[&RUSTFMT], run: fmt },
    Step { name: "clippy", about: "no warnings in any target", needs: &[&C_COMPILER, &CLIPPY], run: clippy },
    Step {
        name: "portability",
        about: "mptcp-socket and mptcp-paths build elsewhere, and fall back where there is no MPTCP",
        needs: &[&C_COMPILER],
        run: portability,
    },
    Step {
        name: "test",
        about: "unit, end-to-end and lab tests",
        needs: &[&C_COMPILER, &CURL, &IP, &JQ, &OPENSSL, &PYTHON, &CHROMIUM],
        run: test,
    },
    Step {
        name: "package",
        about: "the Debian package has what it should, and what it installs runs",
        needs: package::NEEDS,
        run: package::check,
    },
    Step {
        name: "python",
        about: "the Python package, under every CPython that is here",
        needs: &[&C_COMPILER, &PYTHON],
        run: python::run,
    },
    Step {
        name: "docs",
        about: "the documentation builds without warnings and its examples work",
        needs: &[&C_COMPILER],
        run: docs,
    },
    Step {
        name: "supply",
        about: "dependencies, packages and interface are fit for a release (cargo xtask supply --list)",
        needs: supply::NEEDS,
        run: supply::step,
    },
];

fn fmt(_: Options) -> Result<Option<String>> {
    run(cargo().args(["fmt", "--all", "--check"]))?;
    Ok(None)
}

fn clippy(_: Options) -> Result<Option<String>> {
    let all = ["--workspace", "--all-targets", "--all-features", "--locked"];
    run(cargo().arg("clippy").args(all).args(["--", "-D", "warnings"]))?;
    Ok(None)
}

/// Targets whose kernels have no MPTCP sockets; `cargo check` needs their std but neither their linker nor their libc.
const FOREIGN: &[&str] = &["x86_64-apple-darwin", "x86_64-pc-windows-gnu", "x86_64-unknown-freebsd"];

/// Linux with words of 32 bits and the other byte order.
const OTHER_ORDER: &str = "powerpc-unknown-linux-gnu";

/// A target whose programs this kernel runs, by way of its own system calls for them. musl, as its std brings all that a
/// linker wants.
const OTHER_WIDTH: &str = "i686-unknown-linux-musl";

fn portability(options: Options) -> Result<Option<String>> {
    // The fallback can be forced on Linux: it compiles everywhere, and its tests run everywhere. A target directory of
    // its own, because other RUSTFLAGS would have everything rebuilt twice a run; dependencies unoptimised, because
    // optimising them takes longer than all that these tests do with them.
    let mut tests = cargo();
    tests
        .env("RUSTFLAGS", "--cfg mptcp_socket_no_mptcp")
        .args(["--config", "profile.dev.package.\"*\".opt-level=0"])
        .args(["test", "--package", "mptcp-socket", "--all-features", "--locked", "--target-dir"])
        .arg(target_dir().join("no-mptcp"));
    run(keep_going(&mut tests, options))?;

    // Without rustup nobody knows which targets there are, which is as good as none.
    let installed = output(command("rustup").args(["target", "list", "--installed"])).unwrap_or_default();
    let (here, mut absent): (Vec<&str>, Vec<&str>) =
        FOREIGN.iter().partition(|target| installed.lines().any(|line| line.trim() == **target));
    for target in here {
        run(cargo().args([
            "check",
            "--package",
            "mptcp-socket",
            "--package",
            "mptcp-paths",
            "--all-features",
            "--locked",
            "--target",
            target,
        ]))?;
    }
    for (target, try_out) in
        [(OTHER_ORDER, other_order as fn(Options) -> Result<()>), (OTHER_WIDTH, other_width)]
    {
        if target == OTHER_WIDTH && !cfg!(target_arch = "x86_64") {
            continue;
        }
        if installed.lines().any(|line| line.trim() == target) {
            try_out(options)?;
        } else {
            absent.push(target);
        }
    }
    let left_out = format!("not checked, std not installed (rustup target add): {}", absent.join(" "));
    Ok((!absent.is_empty()).then_some(left_out))
}

/// Without features: those add crates that have nothing to do with the kernel's structures.
fn other_order(_: Options) -> Result<()> {
    let packages = ["--package", "mptcp-socket", "--package", "mptcp-paths"];
    run(cargo().arg("check").args(packages).args(["--locked", "--target", OTHER_ORDER]))
}

/// The kernel's structures are those of a kernel of 64 bits, seen by a program of 32.
fn other_width(options: Options) -> Result<()> {
    let mut tests = cargo();
    tests
        .args(["--config", "profile.dev.package.\"*\".opt-level=0", "--config", "profile.dev.debug=false"])
        .args(["test", "--package", "mptcp-socket", "--locked", "--lib", "--test", "loopback"])
        .args(["--target", OTHER_WIDTH, "--target-dir"])
        .arg(target_dir().join("no-mptcp"));
    run(keep_going(&mut tests, options))
}

fn test(options: Options) -> Result<Option<String>> {
    // Everything but the documentation's examples and the Python package's tests, which other steps run.
    let mut programs = pool::build()?;
    programs.retain(|program| program.title != python::TESTS);
    // The longest first, so that none is left alone at the end: those with a lab, which have a program for a topic.
    programs.sort_by_key(|program| !program.title.contains("/tests/"));
    pool::run(programs, options.keep_going)?;
    Ok(None)
}

fn docs(_: Options) -> Result<Option<String>> {
    let all = ["--workspace", "--all-features", "--locked"];
    run(cargo().env("RUSTDOCFLAGS", "-D warnings").args(["doc", "--no-deps"]).args(all))?;
    run(cargo().args(["test", "--doc"]).args(all))?;
    Ok(None)
}

pub(crate) fn keep_going(
    command: &mut std::process::Command,
    options: Options,
) -> &mut std::process::Command {
    if options.keep_going { command.arg("--no-fail-fast") } else { command }
}

/// # Errors
/// When there is no step of that name; the text lists those there are.
pub fn find(name: &str) -> Result<&'static Step> {
    STEPS.iter().find(|step| step.name == name).with_context(|| {
        let names: Vec<_> = STEPS.iter().map(|step| step.name).collect();
        format!("there is no step `{name}`; the steps are {}", names.join(", "))
    })
}
