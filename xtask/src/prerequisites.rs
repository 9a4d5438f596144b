//! What must be installed before a step can mean anything, and how to get it: a missing program is said at once instead
//! of as a strange failure half an hour later.

use std::path::Path;

use anyhow::{Result, bail};

/// A program that steps need.
#[derive(PartialEq)]
pub struct Program {
    /// Its names, any of which will do.
    names: &'static [&'static str],
    /// What it is needed for.
    purpose: &'static str,
    /// How to install it.
    remedy: &'static str,
}

/// A C compiler: aws-lc-rs, the cryptography under rustls, compiles C. It needs no cmake on the targets built here.
pub const C_COMPILER: Program = Program {
    names: &["cc", "gcc", "clang"],
    purpose: "compiles aws-lc-rs",
    remedy: "apt-get install gcc libc6-dev",
};
/// A C++ compiler: libFuzzer is compiled.
pub const CXX_COMPILER: Program = Program {
    names: &["c++", "g++", "clang++"],
    purpose: "compiles libFuzzer",
    remedy: "apt-get install g++",
};
/// cargo-fuzz, which builds and runs fuzz targets.
pub const CARGO_FUZZ: Program = Program {
    names: &["cargo-fuzz"],
    purpose: "builds fuzz targets",
    remedy: "cargo install cargo-fuzz --locked",
};
/// rustfmt.
pub const RUSTFMT: Program =
    Program { names: &["cargo-fmt"], purpose: "checks formatting", remedy: "rustup component add rustfmt" };
/// clippy.
pub const CLIPPY: Program = Program {
    names: &["cargo-clippy"],
    purpose: "looks for mistakes",
    remedy: "rustup component add clippy",
};
/// curl, a peer in the end-to-end tests.
pub const CURL: Program =
    Program { names: &["curl"], purpose: "a client in the end-to-end tests", remedy: "apt-get install curl" };
/// Python: the package's, and a peer in the end-to-end tests.
pub const PYTHON: Program = Program {
    names: &["python3"],
    purpose: "runs the Python package, and is a client in the end-to-end tests",
    remedy: "apt-get install python3 python3-venv",
};
/// iproute2: the doctor's remedies are run as they are printed.
pub const IP: Program = Program {
    names: &["ip"],
    purpose: "carries out what the doctor prints",
    remedy: "apt-get install iproute2",
};
/// A browser, a peer in the end-to-end tests.
pub const CHROMIUM: Program = Program {
    names: &["chromium", "chromium-browser", "google-chrome"],
    purpose: "the headless browser of the end-to-end tests",
    remedy: "apt-get install chromium",
};
/// nginx, a peer of the bench of servers.
pub const NGINX: Program =
    Program { names: &["nginx"], purpose: "a server to compare with", remedy: "apt-get install nginx-light" };
/// wrk, the client of that bench.
pub const WRK: Program =
    Program { names: &["wrk"], purpose: "the client of the bench of servers", remedy: "apt-get install wrk" };
/// h2load, its client over HTTP/2.
pub const H2LOAD: Program = Program {
    names: &["h2load"],
    purpose: "the HTTP/2 client of the bench of servers",
    remedy: "apt-get install nghttp2-client",
};
/// mptcpize: wrk over MPTCP.
pub const MPTCPIZE: Program =
    Program { names: &["mptcpize"], purpose: "runs wrk over MPTCP", remedy: "apt-get install mptcpize" };

/// mdBook, which makes the guide's HTML.
pub const MDBOOK: Program =
    Program { names: &["mdbook"], purpose: "makes a book of docs/", remedy: "cargo install mdbook" };
/// jq: the guide shows what scripts make of `--json`.
pub const JQ: Program =
    Program { names: &["jq"], purpose: "reads JSON in the guide's commands", remedy: "apt-get install jq" };
/// OpenSSL's program: the guide makes a token with it.
pub const OPENSSL: Program = Program {
    names: &["openssl"],
    purpose: "makes a token in the guide's commands",
    remedy: "apt-get install openssl",
};

/// dpkg-deb, which packs.
pub const DPKG_DEB: Program = Program {
    names: &["dpkg-deb"],
    purpose: "makes the Debian package",
    remedy: "apt-get install dpkg, or use a Debian",
};
/// gzip, for manual pages.
pub const GZIP: Program =
    Program { names: &["gzip"], purpose: "packs manual pages", remedy: "apt-get install gzip" };
/// strip, for a program as small as a release's.
pub const STRIP: Program = Program {
    names: &["strip"],
    purpose: "takes away what only a debugger reads",
    remedy: "apt-get install binutils",
};
/// musl's compiler: aws-lc-rs compiles C.
pub const MUSL_GCC: Program = Program {
    names: &["musl-gcc"],
    purpose: "compiles aws-lc-rs for musl",
    remedy: "apt-get install musl-tools",
};

/// # Errors
/// When any of `programs` is not in `PATH`: one line for each, with its remedy.
pub fn check(programs: &[&Program]) -> Result<()> {
    let missing: Vec<String> = programs
        .iter()
        .filter(|program| !program.names.iter().any(|name| is_in_path(name)))
        .map(|program| format!("  {} ({}): {}", program.names[0], program.purpose, program.remedy))
        .collect();
    if !missing.is_empty() {
        bail!("not installed (.ci/run installs what the tests need on a Debian):\n{}", missing.join("\n"));
    }
    Ok(())
}

fn is_in_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| is_program(&directory.join(name)))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.with_extension("exe").is_file() || path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_named_with_its_remedy() {
        const ABSENT: Program =
            Program { names: &["no-such-program"], purpose: "is never there", remedy: "make it" };
        const SHELL: Program = Program { names: &["also-not-there", "sh"], purpose: "", remedy: "" };
        assert!(check(&[&SHELL]).is_ok(), "any of several names will do");
        let error = check(&[&SHELL, &ABSENT]).unwrap_err().to_string();
        assert!(error.ends_with("  no-such-program (is never there): make it"), "{error}");
        assert!(!error.contains("also-not-there"), "{error}");
    }
}
