//! What the fuzz targets in `fuzz/` are fed, once more, on any toolchain: so no input that was found is lost, and no
//! target rots. Their list is here; `cargo xtask fuzz` runs them in earnest.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests, helpers included")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A target: its name, where it is, and what it runs.
type Target = (&'static str, &'static str, fn(&[u8]));

macro_rules! targets {
    ($($source:ident :: $name:ident,)*) => {
        [$((stringify!($name), concat!(stringify!($source), "::fuzzing::", stringify!($name)), $source::fuzzing::$name),)*]
    };
}

const TARGETS: [Target; 25] = targets! {
    mptcp_socket::kernel_structures,
    mptcp_socket::protocol_words,
    mptcp_paths::netlink,
    mptcp_paths::sock_diag,
    mptcp_paths::proc_tables,
    netlab::frames,
    mphttp::proxy_headers,
    mphttp::handovers,
    mphttp::urls,
    mphttp::upload_states,
    mphttp::answers,
    mphttp::digests,
    mphttp::download_states,
    mphttp::conditions,
    mphttp::negotiation,
    mphttp::ranges,
    mphttp::request_paths,
    mphttp::forwarding,
    mphttp::proxy_words,
    mphttp::upload_fields,
    mphttp::upload_records,
    mphttp_cli::command_lines,
    mphttp_cli::get_words,
    mphttp_cli::config_files,
    mphttp_cli::password_files,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz")
}

/// The names in a folder, without their extension.
fn names(of: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(of).unwrap_or_else(|error| panic!("{}: {error}", of.display()));
    entries.map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

/// What fuzzing has found interesting, and what has once been a fault.
#[test]
fn every_input_that_is_kept_passes() {
    for (name, _, run) in TARGETS {
        let corpus = folder().join("corpus").join(name);
        let mut count = 0;
        for entry in fs::read_dir(&corpus).unwrap_or_else(|error| panic!("{}: {error}", corpus.display())) {
            let path = entry.unwrap().path();
            // Said beforehand: a panic does not know whence its input is.
            println!("{}", path.display());
            run(&fs::read(&path).unwrap());
            count += 1;
        }
        assert!(count > 0, "{name} has no inputs");
        run(b"");
    }
}

/// Each is one line that calls what is fed above, so that what compiles here compiles there.
#[test]
fn the_targets_are_these() {
    let all: BTreeSet<String> = TARGETS.iter().map(|(name, ..)| (*name).to_owned()).collect();
    assert_eq!(names(&folder().join("fuzz_targets")), all);
    assert_eq!(names(&folder().join("corpus")), all);
    let manifest = fs::read_to_string(folder().join("Cargo.toml")).unwrap();
    assert_eq!(manifest.matches("[[bin]]").count(), TARGETS.len());
    for (name, path, _) in TARGETS {
        assert!(
            manifest.contains(&format!("name = \"{name}\"\npath = \"fuzz_targets/{name}.rs\"\n")),
            "{name}"
        );
        let text = fs::read_to_string(folder().join(format!("fuzz_targets/{name}.rs"))).unwrap();
        let mut lines = text.lines();
        assert!(
            lines.next().is_some_and(|line| line.starts_with("//! ")),
            "{name} does not say what it is for"
        );
        let call = format!("libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {path}(bytes));");
        assert_eq!(
            lines.filter(|line| !line.is_empty()).collect::<Vec<_>>(),
            ["#![no_main]", &call],
            "{name}"
        );
    }
}
