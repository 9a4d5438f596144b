//! `mphttp paths` on hosts of a lab: what it shows, changes and tells, and that `auto` keeps paths alive for connections
//! that exist, real ones over real kernel MPTCP.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "support/paths.rs"]
mod program;
#[path = "support/lab.rs"]
mod support;
#[path = "paths/troubles.rs"]
mod troubles;

use std::{
    io::{BufRead, BufReader},
    os::unix::{fs::PermissionsExt, process::CommandExt},
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use mptcp_paths::{Endpoint, EndpointFlags, Limits};
use netlab::{Host, Link};
use nix::sys::signal::Signal;
use program::{DEFAULTS, PATIENCE, Running, bench, carries, done, endpoints, json, paths, text, until};
use serde_json::Value;
use support::{Bench, MEGABYTE, mphttp};

fn main() -> ExitCode {
    // Anyone else is root of a namespace soon, and has nobody to become.
    let is_root = nix::unistd::geteuid().is_root();
    let mut tests: Vec<(&'static str, fn())> = vec![
        ("it shows the host, in 80 columns and as JSON", shows),
        ("endpoints are added, changed and deleted", edits),
        ("what is wrong is told, with what to do", complains),
        ("watch tells of a connection, and of the host", watches),
        ("auto makes paths, and leaves the host as it was", || auto_and_back(Signal::SIGTERM)),
        ("so it does after Ctrl-C", || auto_and_back(Signal::SIGINT)),
        ("the first path comes back after its address", || comes_back(0, Loss::Address)),
        ("the second path comes back after its address", || comes_back(1, Loss::Address)),
        ("the first path comes back after its carrier", || comes_back(0, Loss::Carrier)),
        ("the second path comes back after its carrier", || comes_back(1, Loss::Carrier)),
        ("both paths come back after both were gone", both_come_back),
        ("another address is another endpoint", renumbered),
        ("dry runs change nothing, and once is for good", once),
        ("others' endpoints are left alone", others),
        ("it does not fight who does the same", rivals),
        ("after a crash the next run takes over and undoes everything", troubles::crashes),
        ("after a crash it leaves nothing to who manages the paths now", troubles::crashes_with_a_rival),
        ("a second one beside it is refused", troubles::two),
        ("a reader that stops reading does not hold it up", troubles::unread),
        ("a look that fails is tried again", troubles::fails_for_a_while),
        ("what was added is shown also if another can't be", troubles::half_added),
        ("a host without MPTCP is shown", without_mptcp),
    ];
    if is_root {
        tests.push(("everything reads without privileges, and says what it could not do", unprivileged));
    }
    support::main(tests)
}

fn shows() {
    let bench = bench();
    let told = done(&bench.client, &[]);
    println!("{told}");
    let of_wifi: Vec<_> = bench.links[0].addresses(&bench.client);
    for own in of_wifi {
        let length = if own.is_ipv4() { 32 } else { 128 };
        assert!(told.contains(&format!("in table 1001, from {own}/{length}")), "{told}");
    }
    assert!(told.contains("Path manager: the kernel's") && told.contains("mphttp paths auto"), "{told}");
    let own = bench.links[1].address(&bench.client).unwrap();
    assert!(told.contains(&format!("{own}/24")), "{told}");
    let gateway = bench.links[1].address(&bench.server).unwrap();
    assert!(told.contains(&format!("default IPv4 via {gateway} metric 101")), "{told}");
    done(&bench.client, &["add", "lte", "--backup"]);
    bench.links[0].set_carrier(false).unwrap();
    let told = done(&bench.client, &[]);
    assert!(told.contains(&format!("1  {own} dev lte  subflow backup")), "{told}");
    assert!(told.contains("wifi: no carrier, veth, mtu 1500") && told.contains("(dead)"), "{told}");
    assert!(told.lines().all(|line| line.chars().count() <= 80), "{told}");

    let value = json(&bench.client, &["--json"]);
    assert_eq!((value["manager"].as_str(), value["limits"]["subflows"].as_u64()), (Some("kernel"), Some(2)));
    assert_eq!(value["endpoints"][0]["address"].as_str(), Some(own.to_string().as_str()));
    assert_eq!(value["endpoints"][0]["flags"]["backup"], true);
    let wifi = value["interfaces"].as_array().unwrap().iter().find(|one| one["name"] == "wifi").unwrap();
    assert_eq!((wifi["carrier"].as_bool(), wifi["up"].as_bool()), (Some(false), Some(true)));
    assert_eq!(value["settings"]["enabled"], true);
    assert!(!value["default_routes"].as_array().unwrap().is_empty());
    assert_eq!(value["problems"].as_array().map(Vec::len), Some(0));
}

fn edits() {
    let bench = bench();
    let (client, own) = (&bench.client, bench.links[0].addresses(&bench.client));
    let made = json(client, &["add", "wifi", "--json"]);
    assert_eq!(made.as_array().unwrap().len(), own.len());
    let of_wifi = endpoints(client);
    let index = bench.links[0].interface_index(client).unwrap();
    for (endpoint, address) in of_wifi.iter().zip(&own) {
        assert_eq!((endpoint.address, endpoint.interface), (*address, Some(index)));
        assert_eq!(endpoint.flags.words(), ["subflow"]);
    }
    let lte = bench.links[1].address(client).unwrap().to_string();
    let line = done(client, &["add", &lte, "--signal", "--port", "8443", "--id", "9", "--dev", "lte"]);
    assert_eq!(line, format!("  9  {lte}:8443 dev lte  signal\n"));
    done(client, &["del", "9"]);
    done(client, &["add", &lte, "--fullmesh", "--id", "9"]);
    done(client, &["set", "9", "--backup", "--no-fullmesh"]);
    let nine = |client: &Host| client.path_manager().unwrap().endpoint(9).unwrap().unwrap().flags.words();
    assert_eq!(nine(client), ["subflow", "backup"]);
    done(client, &["set", &lte, "--signal", "--no-backup"]);
    assert_eq!(nine(client), ["subflow", "signal"]);
    // Impossible: what was is again.
    assert!(!paths(client, &["set", "9", "--no-subflow", "--fullmesh"]).status.success());
    assert_eq!(nine(client), ["subflow", "signal"]);
    // Known to this kernel or not, it is said.
    let laminar = paths(client, &["add", "192.0.2.1", "--laminar"]);
    match laminar.status.success() {
        true => assert!(text(&laminar.stdout).contains("laminar")),
        false => assert!(text(&laminar.stderr).contains("Linux 6.18")),
    }
    assert_eq!(
        done(client, &["limits", "--subflows", "5", "--add-addr-accepted", "3"]),
        "subflows 5\nadd-addr-accepted 3\n"
    );
    let gone = json(client, &["del", &lte, &own[0].to_string(), "--json"]);
    assert_eq!(gone.as_array().unwrap().len(), 2);
    done(client, &["del", "--all"]);
    assert_eq!(endpoints(client), []);
    assert_eq!(json(client, &["limits", "--json"])["add_addr_accepted"], 3);
}

fn complains() {
    let bench = bench();
    let complaint = |arguments: &[&str], code: i32, words: &[&str]| {
        let output = paths(&bench.client, arguments);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
        for word in words {
            assert!(told.contains(word), "{arguments:?}: {told}");
        }
    };
    complaint(&["add", "wlan7"], 2, &["no interface of this host", "wifi"]);
    complaint(&["del", "7"], 2, &["there is no endpoint 7", "hint:"]);
    complaint(&["set", "192.0.2.1", "--backup"], 2, &["there is no endpoint 192.0.2.1"]);
    complaint(&["set", "1"], 2, &["--backup"]);
    complaint(&["limits", "--subflows", "9"], 2, &["0..=8"]);
    complaint(&["add", "192.0.2.1", "--port", "80"], 2, &["--signal"]);
    let own = bench.links[0].address(&bench.client).unwrap().to_string();
    done(&bench.client, &["add", &own]);
    complaint(&["add", &own], 1, &["already an endpoint", "delete that one first"]);
    let foreign = paths(&bench.client, &["add", "192.0.2.1"]);
    assert!(text(&foreign.stderr).contains("no interface of this host has the address"));
    for last in 2..=7 {
        done(&bench.client, &["add", &format!("192.0.2.{last}")]);
    }
    complaint(&["add", "192.0.2.9"], 1, &["8 endpoints already"]);
}

fn watches() {
    let bench = bench();
    let _file = bench.file("small", MEGABYTE);
    done(&bench.client, &["add", "lte"]);
    let mut watch = Running::start(&bench.client, &["watch", "--json"]);
    let mut lines = Running::start(&bench.client, &["watch"]);
    // It listens once it tells something.
    let listening = |running: &mut Running| {
        let address = bench.links[1].address(&bench.client).unwrap().to_string();
        bench.links[1].take_address(&bench.client).unwrap();
        bench.links[1].give_address(&bench.client).unwrap();
        let start = Instant::now();
        while !running.seen.iter().any(|line| line.contains(&address)) {
            if let Ok(line) = running.lines.recv_timeout(Duration::from_millis(100)) {
                running.seen.push(line);
            } else {
                bench.links[1].take_address(&bench.client).unwrap();
                bench.links[1].give_address(&bench.client).unwrap();
            }
            assert!(start.elapsed() < PATIENCE, "{:?}", running.seen);
        }
    };
    listening(&mut watch);
    listening(&mut lines);
    let _serving = bench.serve(&[]);
    bench.get("small", &["--paths", "off"]).json();
    let event = |watch: &mut Running, name: &str| -> Value {
        let line = watch.wait(name, |line| {
            let value: Value = serde_json::from_str(line).unwrap();
            value["event"] == name && value["about"] == "connection"
        });
        serde_json::from_str(&line).unwrap()
    };
    let created = event(&mut watch, "created");
    let token = created["token"].as_u64().unwrap();
    assert_eq!(created["server_side"], false);
    assert_eq!(
        created["remote"].as_str().unwrap(),
        format!("{}:8000", bench.links[0].address(&bench.server).unwrap())
    );
    assert_eq!(event(&mut watch, "established")["token"], token);
    let joined = event(&mut watch, "subflow-established");
    assert_eq!((joined["token"].as_u64(), joined["local_id"].as_u64()), (Some(token), Some(1)));
    assert_eq!(event(&mut watch, "closed")["token"], token);
    for word in ["created", "established", "path added", "closed"] {
        lines.wait(word, |line| line.contains(&format!("{token:08x} {word}")));
    }
    bench.links[1].set_carrier(false).unwrap();
    watch.wait("carrier", |line| line.contains("\"lte\"") && line.contains("\"carrier\":false"));
    lines.wait("carrier", |line| line.ends_with("interface lte: no carrier"));
    assert!(lines.seen.iter().all(|line| line.chars().count() <= 110), "{:?}", lines.seen);
    assert_eq!((watch.end(Signal::SIGINT), lines.end(Signal::SIGTERM)), (Some(0), Some(0)));
}

/// Auto, and its first endpoints.
pub(crate) fn auto(bench: &Bench, arguments: &[&str]) -> Running {
    let mut auto = Running::start(&bench.client, &[&["auto"], arguments].concat());
    for name in ["wifi", "lte"] {
        auto.wait(name, |line| line.starts_with("+ endpoint 10.") && line.ends_with(&format!("dev {name}")));
    }
    auto
}

fn auto_and_back(signal: Signal) {
    let bench = bench();
    let digest = bench.file("file", 5 * MEGABYTE);
    let auto = auto(&bench, &["--backup", "lte"]);
    let made = endpoints(&bench.client);
    let v4: Vec<_> = made.iter().filter(|endpoint| endpoint.address.is_ipv4()).collect();
    assert_eq!(v4.len(), 2);
    assert_eq!((v4[0].flags.words(), v4[1].flags.words()), (vec!["subflow"], vec!["subflow", "backup"]));
    let _serving = bench.serve(&[]);
    let got = bench.get("file", &["--paths", "off"]).json();
    assert_eq!((bench.got(), got["paths_total"].as_u64()), (digest, Some(2)));
    let limits = bench.client.path_manager().unwrap().limits().unwrap();
    assert_eq!(limits, Limits { subflows: 4, add_addr_accepted: 2 });
    assert_eq!(auto.end(signal), Some(0));
    assert_eq!(endpoints(&bench.client), []);
    assert_eq!(bench.client.path_manager().unwrap().limits().unwrap(), DEFAULTS);
}

#[derive(Clone, Copy)]
enum Loss {
    Address,
    Carrier,
}

fn lose(bench: &Bench, link: &Link, loss: Loss, lost: bool) {
    match (loss, lost) {
        (Loss::Address, true) => link.take_address(&bench.client).unwrap(),
        (Loss::Address, false) => link.give_address(&bench.client).unwrap(),
        (Loss::Carrier, lost) => link.set_carrier(!lost).unwrap(),
    }
}

fn comes_back(which: usize, loss: Loss) {
    let bench = bench();
    let digest = bench.file("big", 40 * MEGABYTE);
    let _auto = auto(&bench, &[]);
    let _serving = bench.serve(&[]);
    // One connection, which the kernel keeps going.
    let getting = bench.get("big", &["--paths", "off"]);
    for link in &bench.links {
        carries(link);
    }
    let (lost, other) = (&bench.links[which], &bench.links[1 - which]);
    lose(&bench, lost, loss, true);
    until("its endpoint goes", || {
        endpoints(&bench.client).iter().filter(|endpoint| endpoint.address.is_ipv4()).count() == 1
    });
    println!("the other carries after {:?}", carries(other));
    // Long enough for timers to have backed off to more than the limit below.
    thread::sleep(Duration::from_secs(3));
    lose(&bench, lost, loss, false);
    let took = carries(lost);
    println!("carries again after {took:?}");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let got = getting.json();
    assert_eq!((bench.got(), got["protocol"].as_str()), (digest, Some("mptcp")));
    // The connection that there was, with a path more than it began with.
    assert_eq!((got["failures"].as_u64(), got["paths_total"].as_u64()), (Some(0), Some(3)));
}

fn both_come_back() {
    let bench = bench();
    let digest = bench.file("big", 30 * MEGABYTE);
    let _auto = auto(&bench, &[]);
    let _serving = bench.serve(&[]);
    let getting = bench.get("big", &["--paths", "off"]);
    for link in &bench.links {
        carries(link);
    }
    for link in &bench.links {
        link.set_carrier(false).unwrap();
    }
    thread::sleep(Duration::from_secs(3));
    // The last endpoint of each family stays: a connection without any path would be given up.
    assert!(endpoints(&bench.client).iter().any(|endpoint| endpoint.address.is_ipv4()));
    for link in bench.links.iter().rev() {
        link.set_carrier(true).unwrap();
    }
    for link in &bench.links {
        let took = carries(link);
        println!("{} carries again after {took:?}", link.name());
        assert!(took < Duration::from_secs(2), "{took:?}");
    }
    let got = getting.json();
    assert_eq!((bench.got(), got["failures"].as_u64()), (digest, Some(0)));
}

fn renumbered() {
    let bench = bench();
    let mut auto = auto(&bench, &[]);
    let lte = &bench.links[1];
    lte.renumber(&bench.client, 77).unwrap();
    let new = lte.address(&bench.client).unwrap().to_string();
    auto.wait("new endpoint", |line| line.starts_with(&format!("+ endpoint {new} ")));
    until("one endpoint for each address", || {
        let there: Vec<_> = endpoints(&bench.client).into_iter().map(|endpoint| endpoint.address).collect();
        let wanted = bench.links.iter().flat_map(|link| link.addresses(&bench.client));
        let wanted: Vec<_> = wanted.collect();
        there.len() == wanted.len() && wanted.iter().all(|address| there.contains(address))
    });
    assert_eq!(auto.end(Signal::SIGHUP), Some(0));
    assert_eq!(endpoints(&bench.client), []);
}

fn once() {
    let bench = bench();
    let told = done(&bench.client, &["auto", "--dry-run"]);
    assert!(told.contains("+ endpoint") && told.contains("limits: 4 subflows"), "{told}");
    assert_eq!(endpoints(&bench.client), []);
    let lines = done(&bench.client, &["auto", "--once", "--json"]);
    let values: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(values.iter().any(|line| line["change"] == "add-endpoint" && line["error"].is_null()), "{lines}");
    let made = endpoints(&bench.client);
    assert_eq!(made.len(), bench.links.iter().map(|link| link.addresses(&bench.client).len()).sum::<usize>());
    // By now they are somebody else's.
    let told = done(&bench.client, &["auto", "--dry-run"]);
    assert!(!told.contains("+ endpoint") && told.contains("left alone"), "{told}");
}

fn others() {
    let bench = bench();
    let address = bench.links[1].address(&bench.client).unwrap();
    let flags = EndpointFlags::SIGNAL;
    bench.client.add_endpoint(&Endpoint { id: Some(99), ..Endpoint::new(address, flags) }).unwrap();
    let theirs = endpoints(&bench.client);
    let mut auto = Running::start(&bench.client, &["auto"]);
    auto.wait("note", |line| line.contains("lte") && line.contains("somebody else"));
    bench.links[1].set_carrier(false).unwrap();
    auto.wait("note", |line| line.contains("lte: no carrier"));
    assert!(endpoints(&bench.client).contains(&theirs[0]));
    assert_eq!(auto.end(Signal::SIGTERM), Some(0));
    assert_eq!(endpoints(&bench.client), theirs);
}

fn rivals() {
    let bench = bench();
    let refused = |words: &[&str]| {
        let output = paths(&bench.client, &["auto", "--once"]);
        let told = text(&output.stderr);
        assert_eq!(output.status.code(), Some(122), "{told}");
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
        assert_eq!(endpoints(&bench.client), []);
    };
    for (name, remedy) in [("mptcpd", "systemctl disable"), ("NetworkManager", "mptcp-flags=1")] {
        // The name of a process is that of its program.
        let program = bench.path(name);
        std::fs::copy("/bin/sleep", &program).unwrap();
        let mut command = Command::new(program);
        command.arg("60");
        // On another host it is of no concern.
        let mut elsewhere = bench.server.spawn(command).unwrap();
        done(&bench.client, &["auto", "--dry-run"]);
        elsewhere.kill().unwrap();
        elsewhere.wait().unwrap();
        let mut command = Command::new(bench.path(name));
        command.arg("60");
        let mut rival = bench.client.spawn(command).unwrap();
        refused(&[name, remedy]);
        rival.kill().unwrap();
        rival.wait().unwrap();
    }
    // One that comes later ends it, with everything undone.
    let mut auto = auto(&bench, &[]);
    bench.client.sysctl("net.mptcp.pm_type", "1").unwrap();
    bench.links[1].set_carrier(false).unwrap();
    assert_eq!(auto.child.wait().unwrap().code(), Some(122));
    refused(&["userspace", "net.mptcp.pm_type=0"]);
}

fn unprivileged() {
    const NOBODY: u32 = 65_534;
    let bench = bench();
    // Out of the build directory, which may be out of others' reach.
    let program = bench.path("mphttp");
    std::fs::copy(mphttp(), &program).unwrap();
    std::fs::set_permissions(bench.folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let nobody = |arguments: &[&str]| {
        let mut command = Command::new(&program);
        command.arg("paths").args(arguments).uid(NOBODY).gid(NOBODY).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        bench.client.spawn(command).unwrap()
    };
    let run = |arguments: &[&str]| nobody(arguments).wait_with_output().unwrap();
    let seen = run(&["--json"]);
    assert!(seen.status.success(), "{}", text(&seen.stderr));
    assert_eq!(text(&seen.stdout), done(&bench.client, &["--json"]));
    assert!(text(&run(&["auto", "--dry-run"]).stdout).contains("+ endpoint"));
    for arguments in [
        &["add", "wifi"][..],
        &["limits", "--subflows", "4"],
        &["del", "--all"],
        &["auto"],
        &["auto", "--once"],
    ] {
        let refused = run(arguments);
        let told = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{arguments:?}: {told}");
        assert!(told.contains("needs CAP_NET_ADMIN"), "{arguments:?}: {told}");
    }
    // The host's events are everybody's; that others are not seen is said.
    let mut watch = nobody(&["watch"]);
    let mut said = BufReader::new(watch.stderr.take().unwrap()).lines();
    let note = said.next().unwrap().unwrap();
    assert!(note.contains("CAP_NET_ADMIN") && note.contains("only the host's own events"), "{note}");
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    let shown = thread::spawn(move || lines.next());
    until("an event", || {
        bench.links[0].take_address(&bench.client).unwrap();
        bench.links[0].give_address(&bench.client).unwrap();
        shown.is_finished()
    });
    assert!(shown.join().unwrap().unwrap().unwrap().contains("wifi"));
    watch.kill().unwrap();
    watch.wait().unwrap();
}

fn without_mptcp() {
    let bench = bench();
    bench.client.sysctl("net.mptcp.enabled", "0").unwrap();
    assert!(done(&bench.client, &[]).contains("MPTCP is off; turn it on"));
    let output = paths(&bench.client, &["auto", "--dry-run"]);
    assert!(text(&output.stderr).contains("MPTCP is off"), "{}", text(&output.stderr));
}
