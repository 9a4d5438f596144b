//! `mphttp top` beside a real transfer over two links: figures, processes, the screen in a terminal of its own.
//!
//! Needs no privilege; as root, one more test shows what an ordinary user can't see.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "support/lab.rs"]
mod support;
#[path = "support/terminal.rs"]
mod terminal;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, ExitCode, Output},
};

use netlab::{Host, LinkSpec, Rate};
use nix::sys::signal::Signal;
use serde_json::Value;
use support::{Bench, Getting, MEGABYTE, Serving, mphttp};
use terminal::Terminal;

fn main() -> ExitCode {
    let is_root = nix::unistd::geteuid().is_root();
    let mut tests: Vec<(&str, fn())> = vec![
        ("both paths are there with bytes, rates and the right process", both_paths),
        ("a table for people has them too", table),
        ("a host without connections says so", nothing),
        ("live: it starts, sorts, follows and quits", live),
        ("live: whichever way it ends, the terminal is as it was", restored),
        ("wrong use is told", wrong_use),
    ];
    if is_root {
        // Anybody else has nobody to become.
        tests.push(("an ordinary user sees all but others' processes", ordinary_user));
    }
    support::main(tests)
}

/// A download under way over both links, long enough for all that a test looks at.
struct UnderWay {
    bench: Bench,
    serving: Serving,
    getting: Getting,
}

impl UnderWay {
    fn new() -> Self {
        let bench = Bench::new(["wifi", "lte"].map(|name| LinkSpec::new().name(name).rate(Rate::mbit(20))));
        bench.file("big", 200 * MEGABYTE);
        let serving = bench.serve(&[]);
        let getting = bench.get("big", &["--paths", "off"]);
        bench.wait_for(5 * MEGABYTE);
        Self { bench, serving, getting }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let _ = self.getting.child.kill();
        let _ = self.getting.child.wait();
        self.serving.end();
    }
}

fn top(host: &Host, arguments: &[&str]) -> Output {
    let mut command = Command::new(mphttp());
    command.arg("top").args(arguments);
    host.run(|| command.output()).unwrap().unwrap()
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{output:?}");
    let value = serde_json::from_slice(&output.stdout).unwrap();
    println!("{value}");
    value
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn both_paths() {
    let under_way = UnderWay::new();
    let value = json(&top(&under_way.bench.client, &["--once", "--json", "--interval", "2"]));
    let seconds = value["interval_seconds"].as_f64().unwrap();
    assert!((2.0..10.0).contains(&seconds), "{seconds}");
    let [connection] = value["connections"].as_array().unwrap().as_slice() else { panic!("not one") };
    let pids: Vec<_> =
        connection["processes"].as_array().unwrap().iter().map(|p| p["pid"].as_u64()).collect();
    assert_eq!(pids, [Some(u64::from(under_way.getting.child.id()))]);
    assert_eq!(connection["processes"][0]["name"], "mphttp");
    assert_eq!((&connection["state"], &connection["fallback"]), (&"established".into(), &false.into()));
    assert!(connection["id"].is_string() && connection["uid"].is_u64() && connection["retransmits"].is_u64());
    let bytes = connection["bytes_received"].as_u64().unwrap();
    assert!(bytes > 4 * MEGABYTE, "{bytes}");
    let rate = |value: &Value, way: &str| value[format!("{way}_bits_per_second")].as_f64().unwrap();
    let paths = connection["paths"].as_array().unwrap();
    let mut interfaces: Vec<_> = paths.iter().map(|path| path["interface"].as_str().unwrap()).collect();
    interfaces.sort_unstable();
    assert_eq!(interfaces, ["lte", "wifi"]);
    for path in paths {
        // Links of 20 Mbit/s: neither is idle, and neither can carry more.
        let receive = rate(path, "receive");
        assert!((4e6..24e6).contains(&receive), "{path}");
        assert!(path["bytes_received"].as_u64().unwrap() > MEGABYTE && path["bytes_sent"].is_u64());
        assert_eq!((&path["state"], &path["backup"]), (&"established".into(), &false.into()));
        assert!(path["rtt_ms"].as_f64().unwrap() > 0.0 && path["retransmits"].is_u64());
        assert!(path["congestion"].is_string() && path["min_rtt_ms"].is_number());
        assert!(path["local"].is_string() && path["remote"].is_string());
    }
    let sum: f64 = paths.iter().map(|path| rate(path, "receive")).sum();
    assert!((rate(connection, "receive") - sum).abs() < 1.0);
    assert_eq!(value["not_seen"]["connections_without_process"], 0);

    // From the other end the same goes the other way.
    let far = json(&top(&under_way.bench.server, &["--once", "--json"]));
    let server = &far["connections"][0];
    assert_eq!(server["processes"][0]["pid"].as_u64(), Some(u64::from(under_way.serving.child.id())));
    assert!(rate(server, "send") > 8e6 && server["paths"].as_array().unwrap().len() == 2);
    assert_eq!(server["remote"], connection["local"]);

    // Without an interval there are no rates, and no wait.
    let once = json(&top(&under_way.bench.client, &["--once", "--json", "-i", "0"]));
    assert!(once["interval_seconds"].is_null());
    assert!(once["connections"][0]["paths"][0]["receive_bits_per_second"].is_null());
}

fn table() {
    let under_way = UnderWay::new();
    let output = top(&under_way.bench.client, &["--once"]);
    let shown = text(&output.stdout);
    println!("{shown}");
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].contains("PID PROGRAM") && lines[0].contains("RECV/s") && lines[0].contains("RECVD"));
    let pid = under_way.getting.child.id().to_string();
    assert!(lines[1].trim_start().starts_with(&format!("{pid} mphttp")), "{shown}");
    for name in ["wifi", "lte"] {
        let line = lines.iter().find(|line| line.contains(name)).unwrap();
        assert!(line.contains(" → 10.1.0.2:8000") && line.contains(" up ") && line.contains('M'), "{line}");
    }
    assert!(output.stderr.is_empty(), "{}", text(&output.stderr));
}

fn nothing() {
    let bench = Bench::two_links();
    let output = top(&bench.client, &["--once", "-i", "0"]);
    assert!(output.status.success());
    assert_eq!(text(&output.stdout), "no MPTCP connections\n");
    let value = json(&top(&bench.client, &["--once", "--json", "-i", "0"]));
    assert_eq!(value["connections"], Value::Array(vec![]));
}

fn wrong_use() {
    let bench = Bench::two_links();
    for (arguments, word) in [
        (&["--json"][..], "--once"),
        (&[], "--once"),
        (&["--once", "--sort", "colour"], "possible values"),
        (&["--once", "--interval=-1"], "from 0.1"),
    ] {
        let output = top(&bench.client, arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(text(&output.stderr).contains(word), "{}", text(&output.stderr));
    }
}

fn live() {
    let under_way = UnderWay::new();
    let mut terminal = Terminal::new(80, 24);
    let mut command = Command::new(mphttp());
    command.args(["top", "--interval", "0.3"]);
    let mut child = terminal.spawn(&under_way.bench.client, command);
    let pid = under_way.getting.child.id().to_string();
    // Both paths, with rates.
    let both = |shown: &str| {
        ["wifi", "lte"].iter().all(|name| {
            shown.lines().any(|line| line.contains(name) && line.contains(" up ") && line.contains('M'))
        })
    };
    let shown = terminal.wait_for("both paths with rates", both);
    println!("{shown}");
    assert!(shown.contains("1 connection, 2 paths") && shown.contains("by rate"), "{shown}");
    assert!(shown.contains(&format!("{pid} mphttp")), "{shown}");
    assert!(shown.lines().all(|line| line.chars().count() <= 80), "{shown}");
    assert!(terminal.in_alternate_screen());
    terminal.keys("s");
    terminal.wait_for("the next order", |shown| shown.contains("by receive"));
    terminal.keys("r");
    terminal.wait_for("the order reversed", |shown| shown.contains("by receive, reversed"));
    terminal.keys("b");
    terminal.wait_for("bytes", |shown| shown.contains("RECVD") && !shown.contains("RECV/s"));
    // Down to the connection, then to its first path: shown in full at the bottom.
    terminal.keys("jj");
    terminal.wait_for("the path in full", |shown| {
        shown.lines().nth(22).is_some_and(|line| line.contains(" → 10.1.0.2:8000 "))
    });
    terminal.keys(" ");
    terminal.wait_for("that it is held", |shown| shown.contains("HELD"));
    terminal.keys(" ");
    // Who ends is gone; the kernel may still be closing the connection, with nobody at the other end.
    drop(under_way);
    terminal.wait_for("the program gone", |shown| !shown.contains(&format!("{pid} mphttp")));
    terminal.keys("q");
    assert_eq!(child.code(), Some(0));
    terminal.assert_restored();
}

fn restored() {
    let bench = Bench::two_links();
    type End = fn(&mut Terminal, u32);
    let ends: [(&str, End, i32); 5] = [
        ("q", |terminal, _| terminal.keys("q"), 0),
        ("Ctrl-C", |terminal, _| terminal.keys("\x03"), 0),
        ("SIGINT", |_, pid| kill(pid, Signal::SIGINT), 130),
        ("SIGTERM", |_, pid| kill(pid, Signal::SIGTERM), 143),
        ("SIGHUP", |_, pid| kill(pid, Signal::SIGHUP), 129),
    ];
    for (name, end, code) in ends {
        let mut terminal = Terminal::new(80, 24);
        let mut command = Command::new(mphttp());
        command.arg("top");
        let mut child = terminal.spawn(&bench.client, command);
        terminal.wait_for("an empty screen", |shown| shown.contains("no MPTCP connections now"));
        assert!(terminal.in_alternate_screen() && terminal.is_raw(), "{name}");
        end(&mut terminal, child.id());
        assert_eq!(child.code(), Some(code), "{name}");
        terminal.assert_restored();
    }
}

fn kill(pid: u32, signal: Signal) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.try_into().unwrap()), signal).unwrap();
}

fn ordinary_user() {
    const NOBODY: u32 = 65_534;
    let under_way = UnderWay::new();
    // Where anybody may run it: the build directory may be out of others' reach.
    let folder = tempfile::tempdir_in("/tmp").unwrap();
    let open = || fs::Permissions::from_mode(0o755);
    fs::set_permissions(folder.path(), open()).unwrap();
    let program = folder.path().join("mphttp");
    fs::copy(mphttp(), &program).unwrap();
    fs::set_permissions(&program, open()).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("top").args(arguments).uid(NOBODY).gid(NOBODY).current_dir("/");
        under_way.bench.client.run(|| command.output()).unwrap().unwrap()
    };
    let value = json(&run(&["--once", "--json"]));
    let connection = &value["connections"][0];
    assert_eq!(connection["processes"], Value::Array(vec![]));
    assert_eq!(connection["paths"].as_array().unwrap().len(), 2);
    assert!(connection["receive_bits_per_second"].as_f64().unwrap() > 8e6);
    assert_eq!(value["not_seen"]["connections_without_process"], 1);
    assert!(value["not_seen"]["processes"].as_u64().unwrap() > 0);
    let output = run(&["--once"]);
    assert!(text(&output.stdout).contains("(user 0)"), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("run as root to see them"), "{}", text(&output.stderr));
}
