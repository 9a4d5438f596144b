//! What goes wrong beside `mphttp paths`: crashes, a second one, readers that stop, a host that can't be read.

use std::{
    io::{BufRead, BufReader, Write},
    thread,
    time::{Duration, Instant},
};

use netlab::Host;
use nix::sys::signal::Signal;

use crate::{
    auto,
    program::{self, DEFAULTS, PATIENCE, Running, bench, done, endpoints, paths, text, until},
    support::Bench,
};

/// A bench on which auto needs routing by source: one default route is better, and filters are strict.
fn strict_bench() -> Bench {
    let bench = bench();
    for link in &bench.links {
        link.drop_source_rules(&bench.client).unwrap();
        bench.client.sysctl(&format!("net.ipv4.conf.{}.rp_filter", link.name()), "1").unwrap();
    }
    bench
}

/// The routing rules of auto's own.
fn own_rules(host: &Host) -> usize {
    let rules = host.run(mptcp_paths::Snapshot::read).unwrap().unwrap().rules;
    rules.iter().filter(|rule| (32_100..32_200).contains(&rule.priority)).count()
}

pub fn crashes() {
    let bench = strict_bench();
    let snapshot = || bench.client.run(mptcp_paths::Snapshot::read).unwrap().unwrap();
    let before = snapshot();
    let limits = || bench.client.path_manager().unwrap().limits().unwrap();
    let mut auto = auto(&bench, &[]);
    until("rules", || own_rules(&bench.client) == 2);
    let made = endpoints(&bench.client);
    auto.child.kill().unwrap();
    auto.child.wait().unwrap();
    assert_eq!((endpoints(&bench.client), own_rules(&bench.client)), (made.clone(), 2));
    // Seen as it will be: nothing is anybody else's, and nothing is to be done.
    assert_eq!(done(&bench.client, &["auto", "--dry-run"]), "");
    let mut next = Running::start(&bench.client, &["auto"]);
    // A link that goes takes its endpoint along, and its routing.
    bench.links[1].set_carrier(false).unwrap();
    let lte = bench.links[1].address(&bench.client).unwrap();
    next.wait("its end", |line| line.starts_with(&format!("- endpoint {lte} ")));
    until("no rules", || own_rules(&bench.client) == 0);
    bench.links[1].set_carrier(true).unwrap();
    next.wait("its return", |line| line.starts_with(&format!("+ endpoint {lte} ")));
    assert!(!next.seen.iter().any(|line| line.contains("somebody else")), "{:?}", next.seen);
    // And again, to be undone in the end.
    next.child.kill().unwrap();
    next.child.wait().unwrap();
    let mut last = Running::start(&bench.client, &["auto"]);
    let note = BufReader::new(last.child.stderr.take().unwrap()).lines().next().unwrap().unwrap();
    assert_eq!(
        note,
        format!("note: took over {} endpoints and routings that an earlier run left behind", made.len() + 1)
    );
    assert_eq!(last.end(Signal::SIGTERM), Some(0));
    assert_eq!((endpoints(&bench.client), limits()), (vec![], DEFAULTS));
    assert_eq!(snapshot(), before);
}

pub fn crashes_with_a_rival() {
    let bench = strict_bench();
    let snapshot = || bench.client.run(mptcp_paths::Snapshot::read).unwrap().unwrap();
    let before = snapshot();
    let mut auto = auto(&bench, &[]);
    until("rules", || own_rules(&bench.client) == 2);
    auto.child.kill().unwrap();
    auto.child.wait().unwrap();
    // Who manages the paths now knows nothing of what was left behind: it is undone, and no more.
    bench.client.sysctl("net.mptcp.pm_type", "1").unwrap();
    let next = paths(&bench.client, &["auto"]);
    let told = text(&next.stderr);
    assert_eq!(next.status.code(), Some(122), "{told}");
    assert!(told.contains("net.mptcp.pm_type=0"), "{told}");
    assert_eq!(endpoints(&bench.client), []);
    assert_eq!(bench.client.path_manager().unwrap().limits().unwrap(), DEFAULTS);
    assert_eq!(snapshot(), before);
}

pub fn two() {
    let bench = bench();
    let auto = auto(&bench, &[]);
    let second = paths(&bench.client, &["auto"]);
    let told = text(&second.stderr);
    assert_eq!(second.status.code(), Some(122), "{told}");
    assert!(told.contains("another mphttp paths auto runs in this network namespace"), "{told}");
    assert!(!endpoints(&bench.client).is_empty());
    assert_eq!(auto.end(Signal::SIGTERM), Some(0));
    assert_eq!(endpoints(&bench.client), []);
}

pub fn unread() {
    use nix::fcntl::{FcntlArg, OFlag, fcntl};
    let bench = bench();
    let (_reader, mut writer) = std::io::pipe().unwrap();
    // Full: the first line has no room.
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
    while writer.write(&[b'x'; 4096]).is_ok() {}
    while writer.write(b"x").is_ok() {}
    fcntl(&writer, FcntlArg::F_SETFL(OFlag::empty())).unwrap();
    let mut command = program::command(&["auto"]);
    command.stdout(writer);
    let mut child = bench.client.spawn(command).unwrap();
    until("endpoints", || endpoints(&bench.client).iter().filter(|one| one.address.is_ipv4()).count() == 2);
    let pid = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(pid, Signal::SIGTERM).unwrap();
    let start = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None if start.elapsed() < PATIENCE => thread::sleep(Duration::from_millis(10)),
            None => {
                child.kill().unwrap();
                child.wait().unwrap();
                panic!("it does not end");
            }
        }
    };
    assert_eq!(status.code(), Some(0));
    assert_eq!(endpoints(&bench.client), []);
}

pub fn fails_for_a_while() {
    use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
    let bench = bench();
    let mut auto = auto(&bench, &[]);
    let mut said = BufReader::new(auto.child.stderr.take().unwrap()).lines();
    let pid = Pid::from_raw(auto.child.id().try_into().unwrap()).unwrap();
    // Without another descriptor the host can't be read. (poll(2) takes as many as are allowed.)
    let few = Rlimit { current: Some(3), ..getrlimit(Resource::Nofile) };
    let before = prlimit(Some(pid), Resource::Nofile, few).unwrap();
    bench.links[1].take_address(&bench.client).unwrap();
    let note = said.next().unwrap().unwrap();
    assert!(note.contains("can't look at the host now, will try again"), "{note}");
    assert!(!endpoints(&bench.client).is_empty());
    prlimit(Some(pid), Resource::Nofile, before).unwrap();
    auto.wait("its end", |line| line.starts_with("- endpoint 10.") && line.ends_with("dev lte"));
    assert_eq!(auto.end(Signal::SIGTERM), Some(0));
    assert_eq!(endpoints(&bench.client), []);
}

pub fn half_added() {
    let bench = bench();
    let own = bench.links[0].addresses(&bench.client);
    let [v4, v6] = own[..] else {
        return assert_eq!(own.len(), 1, "a lab with one family has nothing to show");
    };
    done(&bench.client, &["add", &v6.to_string()]);
    let output = paths(&bench.client, &["add", "wifi"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("already an endpoint"), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains(&format!("{v4} dev wifi  subflow")), "{}", text(&output.stdout));
}
