//! Every verb on every kernel and system of `netlab::systems`.

use std::{
    net::TcpStream,
    process::{Child, Stdio},
    thread,
    time::{Duration, Instant},
};

use netlab::systems::{ALL, System};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    hold, program, run,
    support::{Bench, MEGABYTE},
};

pub const TESTS: &[(&str, fn())] = &[
    ("get on every system", get),
    ("serve on every system", serve),
    ("proxy on every system", proxy),
    ("doctor on every system", doctor),
    ("paths on every system", paths),
    ("top on every system", top),
];

fn on_each(test: impl Fn(&'static System) + Sync) {
    for system in ALL {
        println!("== {}", system.name);
        system.run(|| test(system)).unwrap();
    }
}

/// As JSON has it, with the reason for TCP.
fn assert_spoken(got: &Value, why_tcp: Option<&str>, system: &System) {
    assert_eq!(got["protocol"], if why_tcp.is_some() { "tcp" } else { "mptcp" }, "{}: {got}", system.name);
    assert_eq!(got["why_tcp"].as_str(), why_tcp, "{}: {got}", system.name);
}

fn get() {
    let bench = Bench::two_links();
    let digest = bench.file("small", MEGABYTE / 10);
    let _serving = bench.serve(&[]);
    on_each(|system| {
        let expected = system.expected;
        let got = bench.get("small", &[]).json();
        assert_eq!(bench.got(), digest);
        assert_spoken(&got, expected.why_tcp, system);
        let paths = got["paths"].as_array().unwrap();
        assert_eq!(paths.is_empty(), expected.unknown.contains(&"paths"), "{got}");

        let mut strict = program(&["get", "--protocol", "mptcp-only", "--json", "-o", "/dev/null"]);
        strict.arg(bench.url("small"));
        let said = run(&bench.client, strict);
        match expected.why_tcp {
            None => said.assert(0, "mptcp"),
            Some(reason) => {
                said.assert(120, "");
                let message = said.json()["error"]["message"].to_string();
                assert!(message.contains("Multipath TCP"), "{reason}: {message}");
            }
        }
        // For people, who are told on stderr.
        let mut plain = program(&["get", "-o", "/dev/null"]);
        plain.arg(bench.url("small"));
        run(&bench.client, plain).assert(0, if expected.why_tcp.is_some() { "TCP" } else { "MPTCP" });
    });
}

fn serve() {
    let bench = Bench::two_links();
    let digest = bench.file("small", MEGABYTE / 10);
    for system in ALL {
        println!("== {}", system.name);
        let mut serving = system.run(|| bench.serve(&[])).unwrap();
        let is_on = serving.told.iter().any(|line| line.starts_with("MPTCP is on"));
        assert_eq!(is_on, system.expected.why_tcp.is_none(), "{:?}", serving.told);
        // A client with this kernel.
        let got = bench.get("small", &[]).json();
        assert_eq!(bench.got(), digest);
        assert_spoken(&got, system.expected.why_tcp.map(|_| "peer-or-path"), system);
        // Ended so, it has written its log.
        kill(Pid::from_raw(serving.child.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        serving.child.wait().unwrap();
        let log = serving.stop().join("\n");
        println!("{log}");
        let word = system.expected.why_tcp.unwrap_or("mptcp");
        assert!(log.contains(word) && !log.contains("panicked"), "{}: {log}", system.name);
    }
}

/// A program that is ended when dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn proxy() {
    let bench = Bench::two_links();
    let digest = bench.file("small", MEGABYTE / 10);
    let _serving = bench.serve(&[]);
    for (system, port) in ALL.iter().zip(7000_u16..) {
        println!("== {}", system.name);
        let mut command = program(&["proxy", "--listen", &port.to_string(), "--to", &bench.url("")]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let _proxy = Running(system.run(|| bench.client.spawn(command)).unwrap().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while bench.client.run(|| TcpStream::connect(("127.0.0.1", port)).is_err()).unwrap() {
            assert!(Instant::now() < deadline, "{}: nothing listens", system.name);
            thread::sleep(Duration::from_millis(10));
        }
        let url = format!("http://127.0.0.1:{port}/small");
        let got = bench.get_url(&url, &[]).json();
        assert_eq!(bench.got(), digest);
        assert_spoken(&got, system.expected.why_tcp.map(|_| "peer-or-path"), system);
    }
}

fn doctor() {
    let bench = Bench::two_links();
    on_each(|system| {
        let said = run(&bench.client, program(&["doctor", "--json"]));
        let json = said.json();
        let codes: Vec<&str> = json["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finding| finding["code"].as_str().unwrap())
            .collect();
        match system.expected.doctor {
            None => assert_eq!((said.code, codes), (Some(0), Vec::new()), "{}", system.name),
            Some(code) => assert_eq!((said.code, codes), (Some(120), vec![code]), "{}", system.name),
        }
        let text = run(&bench.client, program(&["doctor"]));
        assert_eq!(text.code, said.code, "{}", system.name);
        assert!(!text.stdout.is_empty(), "{}", system.name);
    });
}

fn paths() {
    let bench = Bench::two_links();
    on_each(|system| {
        let json = run(&bench.client, program(&["paths", "--json"])).json();
        let listed = json["endpoints"].as_array().is_some();
        assert_eq!(listed, system.expected.lists_paths, "{}: {json}", system.name);
        // What has nothing to do with MPTCP is listed all the same.
        assert!(json["interfaces"].to_string().contains("wifi"), "{}: {json}", system.name);
        run(&bench.client, program(&["paths"])).assert(0, "wifi");
        let limits = run(&bench.client, program(&["paths", "limits"]));
        if listed {
            limits.assert(0, "8");
        } else {
            limits.assert(1, "MPTCP");
        }
    });
}

fn top() {
    let bench = Bench::two_links();
    bench.file("small", 1);
    let _serving = bench.serve(&[]);
    let _held = hold(&bench);
    on_each(|system| {
        let said = run(&bench.client, program(&["top", "--once", "--json", "--interval", "0"]));
        if system.expected.lists_connections {
            said.assert(0, "10.1.0.2:8000");
        } else {
            said.assert(1, "MPTCP");
        }
    });
}
