//! docs/hosts.md: the tables of these tests, for people.

use std::{fmt::Write as _, fs, path::Path};

use netlab::systems::ALL;

/// The file, and how to write it anew.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/hosts.md");
const WRITE: &str = "MPHTTP_WRITE_DOCS=1 cargo test -p mphttp-cli --test lab_hosts document";

/// Fails where the file is not what the tables say.
pub fn is_current() {
    let text = text();
    if std::env::var_os("MPHTTP_WRITE_DOCS").is_some() {
        fs::write(FILE, &text).unwrap();
    }
    let file = fs::read_to_string(Path::new(FILE)).unwrap_or_default();
    assert!(file == text, "docs/hosts.md is not what the tests' tables say; write it anew: {WRITE}");
}

fn text() -> String {
    let mut text = String::from(HEAD);
    for system in ALL {
        let expected = system.expected;
        let _ = writeln!(text, "### {}\n\n{}.\n", system.name, squeezed(system.differs));
        match expected.why_tcp {
            Some(reason) => {
                let _ = writeln!(
                    text,
                    "- Speaks TCP: [`{reason}`](reasons.md). With `mptcp-only`: an error (exit code 120)."
                );
            }
            None => text.push_str("- Speaks MPTCP.\n"),
        }
        let unknown: Vec<String> = expected.unknown.iter().map(|fact| format!("`{fact}`")).collect();
        let unknown = if unknown.is_empty() { "nothing".to_owned() } else { unknown.join(", ") };
        let _ = writeln!(text, "- Not known of a connection: {unknown}.");
        let doctor = expected.doctor.map_or("nothing".to_owned(), |code| format!("`{code}`"));
        let lists = |yes: bool| if yes { "listed" } else { "an error that says so" };
        let _ = writeln!(
            text,
            "- `doctor` finds {doctor}. `paths`: endpoints are {}. `top`: connections are {}.",
            if expected.lists_paths { "listed" } else { "said to be none of this kernel's" },
            lists(expected.lists_connections),
        );
        let _ = writeln!(text, "- Source: {}.\n", squeezed(system.sources));
    }
    text.push_str(ODD);
    for odd in crate::odd() {
        let _ = writeln!(text, "| {} | {} | {} |", odd.name, squeezed(odd.made), squeezed(odd.expected));
    }
    text.push_str(TAIL);
    text
}

/// Of literals that go on in another line.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

const HEAD: &str = "# Old and odd hosts

What the library and the program do on kernels that have less of MPTCP, on systems that have none, and on hosts that lack
what most have. This list is written by the tests that prove it (`netlab::systems`, `mptcp-socket`'s `tests/systems.rs`,
`mphttp-cli`'s `tests/lab_hosts.rs`).

## Kernels and systems

They are played to the programs by the kernel at hand: seccomp's user notification has a supervisor answer the system calls
that another kernel would have answered differently, with its errors and with structures as short as its own. Everywhere
`get`, `serve` and `proxy` transfer what they are asked for, and no verb panics.

";

const ODD: &str = "## Hosts that lack something

| host | made by | what comes of it |
|---|---|---|
";

const TAIL: &str = "
## Other processors

`cargo xtask test` compiles `mptcp-socket` and `mptcp-paths` for a processor of 32 bits with the other byte order, runs the
tests of `mptcp-socket` as a program of 32 bits on this kernel, where rustup has the targets, and asserts at compile time that
the kernel's structures are laid out as they are read. Nothing assumes a size of pages.

## Not played

- The kernel's counters (`/proc/net/netstat`) and what netlink tells are those of the kernel at hand, but for the families that
  are not there.
- A kernel's own faults: how it schedules, falls back or times out.
";
