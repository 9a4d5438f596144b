//! `mphttp paths` on a host of a lab: run to its end, or until it is told to end.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Output, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use mptcp_paths::{Endpoint, Limits};
use netlab::{Direction, Host, Link, LinkSpec, Rate};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::support::{Bench, mphttp};

/// Far more than anything here takes, for machines that are busy.
pub const PATIENCE: Duration = Duration::from_secs(20);
pub const DEFAULTS: Limits = Limits { subflows: 2, add_addr_accepted: 0 };

pub const RUNTIME_DIRECTORY: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/paths");

/// Two links of 20 Mbit/s, between hosts that nobody has set up.
pub fn bench() -> Bench {
    let bench = Bench::new(["wifi", "lte"].map(|name| LinkSpec::new().name(name).rate(Rate::mbit(20))));
    let mut manager = bench.client.path_manager().unwrap();
    manager.flush().unwrap();
    manager.set_limits(DEFAULTS).unwrap();
    bench
}

pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(mphttp());
    // What is to be undone is kept apart from the machine's own.
    command.env("RUNTIME_DIRECTORY", RUNTIME_DIRECTORY);
    command.arg("paths").args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn paths(host: &Host, arguments: &[&str]) -> Output {
    host.spawn(command(arguments)).unwrap().wait_with_output().unwrap()
}

pub fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// What it prints, when it succeeds.
pub fn done(host: &Host, arguments: &[&str]) -> String {
    let output = paths(host, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout).to_owned()
}

pub fn json(host: &Host, arguments: &[&str]) -> Value {
    serde_json::from_str(&done(host, arguments)).unwrap()
}

pub fn endpoints(host: &Host) -> Vec<Endpoint> {
    host.path_manager().unwrap().endpoints().unwrap()
}

/// A program that runs until it is told to end, and the lines that it prints.
pub struct Running {
    pub child: Child,
    pub lines: Receiver<String>,
    pub seen: Vec<String>,
}

impl Running {
    pub fn start(host: &Host, arguments: &[&str]) -> Self {
        let mut child = host.spawn(command(arguments)).unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = channel();
        thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { child, lines, seen: Vec::new() }
    }

    /// Waits for a line.
    pub fn wait(&mut self, what: &str, wanted: impl Fn(&str) -> bool) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push(line.clone());
                    if wanted(&line) {
                        return line;
                    }
                }
                Err(_) => panic!("no {what}; it said {:#?}", self.seen),
            }
        }
    }

    pub fn end(mut self, signal: Signal) -> Option<i32> {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

/// Bytes that a link has brought to the client.
pub fn carried(link: &Link) -> u64 {
    link.traffic(Direction::BToA).unwrap().received_bytes
}

pub fn carries(link: &Link) -> Duration {
    let before = carried(link);
    until("bytes", || carried(link) > before + 200_000)
}
