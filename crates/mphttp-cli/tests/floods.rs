//! Clients that mean harm, or might as well: while they do what they do, others are served, by `serve`, with and without TLS, by
//! `proxy --to` and by `proxy --forward`. A list of what is tried, with where it comes from, prints itself.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "floods/attacks.rs"]
mod attacks;
#[path = "floods/frames.rs"]
mod frames;
#[path = "floods/ground.rs"]
mod ground;
#[path = "load/process.rs"]
mod process;
#[path = "floods/segments.rs"]
mod segments;

use std::{process::ExitCode, time::Duration};

use attacks::{FLOODS, Flood, SLOW};
use ground::Ground;
use libtest_mimic::{Arguments, Failed, Trial};

/// No request of a good client may take longer while a flood lasts. Far above what is usual, far below what a person waits.
const BOUND: Duration = Duration::from_secs(8);
/// Those that others have to wait for until they can be told from slow clients: 10 s, and some for the machine.
const SLOW_BOUND: Duration = Duration::from_secs(25);
/// What a server may hold in memory, whatever comes: its clients can have about half a megabyte each.
const MEMORY: u64 = 400 << 20;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Not a skip: without a lab nothing below can be shown.
    if let Err(error) = netlab::enter() {
        eprintln!("no lab: {error}");
        return ExitCode::FAILURE;
    }
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    arguments.test_threads = Some(1);
    let tests: [(&str, fn()); 3] = [
        ("from one address, which has its part of the connections", from_one),
        ("from many addresses, for whom idle ones make room", from_many),
        ("slow from many addresses, which make room in their turn", slowly_from_many),
    ];
    let trials = tests.map(|(name, test)| {
        Trial::test(name, move || std::panic::catch_unwind(test).map_err(|_| Failed::from("see above")))
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

fn from_one() {
    let ground = Ground::new(&[]);
    let floods: Vec<_> = FLOODS.iter().collect();
    run(ground, &floods, BOUND);
}

/// One address stands for many, since none has a part of its own.
const MANY: [&str; 2] = ["--max-connections-per-address", "1000000"];

fn from_many() {
    let ground = Ground::new(&MANY);
    let floods: Vec<_> = FLOODS.iter().filter(|flood| flood.takes_all).collect();
    run(ground, &floods, BOUND);
}

fn slowly_from_many() {
    run(Ground::new(&MANY), &[&SLOW], SLOW_BOUND);
}

/// Lets each flood come, and a good client be served meanwhile.
fn run(mut ground: Ground, floods: &[&Flood], bound: Duration) {
    println!("\n{:<44} {:<34} {:>9} {:>9} {:>9}", "flood", "see", "requests", "median", "longest");
    let mut failures = Vec::new();
    for flood in floods {
        let under_way = (flood.begin)(&ground);
        std::thread::sleep(flood.grows);
        let served = ground.serve_well(bound);
        drop(under_way);
        println!(
            "{:<44} {:<34} {:>9} {:>6} ms {:>6} ms",
            flood.name,
            flood.see,
            served.requests,
            served.median.as_millis(),
            served.longest.as_millis()
        );
        failures.extend(served.failures.iter().map(|failure| format!("{}: {failure}", flood.name)));
        failures.extend(ground.faults(MEMORY).iter().map(|fault| format!("{}: {fault}", flood.name)));
        failures.extend((flood.check)(&ground).map(|missing| format!("{}: {missing}", flood.name)));
    }
    println!("{}", ground.table());
    assert!(failures.is_empty(), "{failures:#?}");
    ground.recovers();
}
