//! `cargo xtask miri` and `cargo xtask tsan`: what only a nightly toolchain can do. Neither is a part of `cargo xtask
//! test`, which has to run anywhere.

use std::process::{Command, ExitCode};

use anyhow::{Result, bail};

use crate::command::{command, output, run, target_dir};

/// A tool of the nightly toolchain.
struct Component {
    /// As `rustup component add` calls it.
    name: &'static str,
    purpose: &'static str,
}

const MIRI: Component = Component { name: "miri", purpose: "interprets the tests" };
const SOURCE: Component = Component { name: "rust-src", purpose: "is the standard library to be built" };

/// The nightly toolchain's cargo.
fn nightly() -> Command {
    let mut nightly = command("rustup");
    nightly.args(["run", "nightly", "cargo"]);
    nightly
}

fn check(components: &[Component]) -> Result<()> {
    let listed =
        output(command("rustup").args(["component", "list", "--toolchain", "nightly", "--installed"]));
    let Ok(listed) = listed else {
        bail!("it takes a nightly toolchain: rustup toolchain install nightly --profile minimal");
    };
    for Component { name, purpose } in components {
        if !listed.lines().any(|line| line.starts_with(name)) {
            bail!("{name} is missing, which {purpose}: rustup component add {name} --toolchain nightly");
        }
    }
    Ok(())
}

/// What Miri can run: decoders, plans and models. It has no sockets, and no files but with isolation off.
const INTERPRETED: &[(&str, &[&str])] = &[
    ("mptcp-socket", &["decode::", "plan::", "memory::", "protocol::", "reason::"]),
    ("mptcp-paths", &["connections::diag::", "message::", "prefix::", "auto::"]),
    ("mphttp-netlab", &["frame::"]),
];

/// Interprets tests with Miri, which sees undefined behaviour and arithmetic that overflows.
///
/// # Errors
/// When Miri is not there, or finds something.
pub fn miri() -> Result<ExitCode> {
    check(&[MIRI, SOURCE])?;
    for (package, tests) in INTERPRETED {
        let mut miri = nightly();
        // The host's clock. Few cases of each property, since it is a hundred times slower.
        miri.env("MIRIFLAGS", "-Zmiri-disable-isolation").env("PROPTEST_CASES", "16");
        miri.args(["miri", "test", "--lib", "--package", package, "--target-dir"])
            .arg(target_dir().join("miri"));
        run(miri.arg("--").args(*tests))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What runs threads side by side, and what of it ThreadSanitizer is to see.
const THREADED: &[(&str, &[&str])] = &[
    ("mptcp-socket", &["--lib", "--test", "loopback", "--test", "other_runtimes"]),
    ("mphttp", &["--lib", "--test", "server", "--test", "client", "--test", "download"]),
];

/// Runs tests with ThreadSanitizer, which sees accesses to memory that nothing puts in an order.
///
/// # Errors
/// When the toolchain lacks something, or a test or the sanitizer fails.
pub fn tsan() -> Result<ExitCode> {
    check(&[SOURCE])?;
    let host = host()?;
    for (package, tests) in THREADED {
        let mut tsan = nightly();
        tsan.env("RUSTFLAGS", "-Zsanitizer=thread").env("PROPTEST_CASES", "16");
        // The standard library too: what it puts in an order would not be seen to be.
        tsan.args(["test", "-Zbuild-std", "--target", &host, "--all-features", "--package", package]);
        tsan.args(*tests).arg("--target-dir").arg(target_dir().join("tsan"));
        // loom has stacks of its own, which the sanitizer does not follow.
        run(tsan.args(["--", "--skip", "loom_tests"]))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The triple of this host: a sanitizer needs a target, so that build scripts are built without.
fn host() -> Result<String> {
    let about = output(command("rustup").args(["run", "nightly", "rustc", "-vV"]))?;
    match about.lines().find_map(|line| line.strip_prefix("host: ")) {
        Some(host) => Ok(host.to_owned()),
        None => bail!("rustc -vV does not say for what it compiles"),
    }
}
