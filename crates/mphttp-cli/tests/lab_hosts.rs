//! The program on old kernels, on other systems, and on hosts that lack what most have: it does what can be done, says
//! what it lacks, and never panics. docs/hosts.md is the list, and is written by these tests' own tables.
//!
//! Needs no privilege. `ip` must be there, and a C compiler for the host whose clock stands at 1970.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "hosts/clock.rs"]
mod clock;
#[path = "hosts/document.rs"]
mod document;
#[path = "hosts/families.rs"]
mod families;
#[path = "hosts/lacking.rs"]
mod lacking;
#[path = "support/lab.rs"]
mod support;
#[path = "hosts/systems.rs"]
mod systems;
#[allow(dead_code, reason = "shared, and not all of it used here")]
#[path = "support/terminal.rs"]
mod terminal;
#[path = "hosts/terminals.rs"]
mod terminals;
#[path = "hosts/words.rs"]
mod words;

use std::{
    net::TcpStream,
    process::{Command, ExitCode, Output, Stdio},
    thread,
};

use mptcp_socket::{Connect, Connected, Protocol};
use netlab::Host;
use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};
use serde_json::Value;
use support::{Bench, mphttp};

/// A host that lacks something: a row of docs/hosts.md, and its test.
struct Odd {
    name: &'static str,
    /// How the test makes one.
    made: &'static str,
    /// What comes of it.
    expected: &'static str,
    test: fn(),
}

/// Every one of them.
fn odd() -> Vec<&'static Odd> {
    [families::ODD, lacking::ODD, clock::ODD, words::ODD, terminals::ODD].into_iter().flatten().collect()
}

fn main() -> ExitCode {
    let mut tests = systems::TESTS.to_vec();
    tests.extend(odd().into_iter().map(|odd| (odd.name, odd.test)));
    tests.push(("docs/hosts.md says what is tested here", document::is_current));
    support::main(tests)
}

/// What a program said and how it ended.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl From<Output> for Said {
    /// Nothing here may ever panic.
    #[track_caller]
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let said =
            Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        println!("{said:?}");
        assert!(!said.stderr.contains("panicked") && said.code.is_some(), "{said:?}");
        said
    }
}

impl Said {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// It ended with this code and, if it failed, with an error that says this.
    #[track_caller]
    fn assert(&self, code: i32, says: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(says) || self.stdout.contains(says), "{says}: {self:?}");
    }
}

/// The program with these arguments.
fn program(arguments: &[&str]) -> Command {
    let mut command = Command::new(mphttp());
    command.args(arguments).env_remove("MPHTTP_PROTOCOL").env("no_proxy", "*").stdin(Stdio::null());
    command
}

#[track_caller]
fn run(host: &Host, mut command: Command) -> Said {
    host.run(|| command.output()).unwrap().unwrap().into()
}

/// An MPTCP connection of this process, from the client to the server.
fn hold(bench: &Bench) -> Connected<TcpStream> {
    let address = (bench.links[0].address(&bench.server).unwrap(), 8000).into();
    bench.client.run(|| Connect::new(Protocol::MptcpOnly).to(&[address]).unwrap()).unwrap()
}

/// Runs `work` on a thread with a mount table of its own, after `change` has been made to it.
fn with_mounts<T: Send>(change: impl Fn() + Sync, work: impl FnOnce() -> T + Send) -> T {
    let changed = || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        // What is mounted here stays here.
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        change();
        work()
    };
    thread::scope(|scope| match scope.spawn(changed).join() {
        Ok(done) => done,
        Err(panic) => std::panic::resume_unwind(panic),
    })
}

/// Hides a folder behind an empty one.
fn hide(folder: &str) {
    mount(Some("none"), folder, Some("tmpfs"), MsFlags::MS_RDONLY, None::<&str>).unwrap();
}

/// A server, ended when dropped.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program that serves, and waits for the end of its banner.
fn start(host: &Host, mut command: Command) -> Running {
    use std::io::{BufRead, BufReader};
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = host.spawn(command).unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let running = Running(child);
    assert!(lines.by_ref().any(|line| line == "Ctrl-C stops."), "it does not serve");
    // What it says later is to have a reader.
    thread::spawn(move || lines.for_each(drop));
    running
}
