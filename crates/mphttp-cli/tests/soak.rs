//! A soak: hundreds of transfers at once between two hosts with two links, while everything that can go wrong does. Every byte is
//! checked, every error has to have a cause, and afterwards the servers hold no more than before. docs/soak.md tells more.
//!
//! `cargo xtask soak --minutes 60` runs it for longer, `--seed` with the same troubles again.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "soak/ledger.rs"]
mod ledger;
#[path = "load/process.rs"]
mod process;
#[path = "soak/traffic.rs"]
mod traffic;
#[path = "soak/trouble.rs"]
mod trouble;
#[path = "soak/world.rs"]
mod world;

use std::{
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use ledger::Ledger;
use libtest_mimic::{Arguments, Failed, Trial};
use traffic::Traffic;
use trouble::Troubles;
use world::{Random, World};

/// How long troubles come unless told otherwise: enough for each kind twice.
const STORM: Duration = Duration::from_secs(24);
/// A long soak rests, and compares, after so long.
const ROUND: Duration = Duration::from_secs(60);
const WARM_UP: Duration = Duration::from_secs(3);
/// For what the last troubles left behind, such as a connection whose address is gone.
const SETTLE: Duration = Duration::from_secs(2);
/// In which nothing may fail.
const CALM: Duration = Duration::from_secs(4);

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Not a skip: without a lab nothing below can be shown.
    if let Err(error) = netlab::enter() {
        eprintln!("no lab: {error}");
        return ExitCode::FAILURE;
    }
    world::own_mounts();
    let mut limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    limit.current = limit.maximum;
    rustix::process::setrlimit(rustix::process::Resource::Nofile, limit).unwrap();
    arguments.test_threads = Some(1);
    let trial = Trial::test("transfers live through everything that can go wrong", || {
        std::panic::catch_unwind(soak).map_err(|_| Failed::from("see above"))
    });
    libtest_mimic::run(&arguments, vec![trial]).exit_code()
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

fn soak() {
    let storm = number("MPHTTP_SOAK_SECONDS").map_or(STORM, Duration::from_secs);
    let seed = number("MPHTTP_SOAK_SEED").unwrap_or_else(|| {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64
            % 1_000_000_000
    });
    println!("seed {seed}: cargo xtask soak --seconds {} --seed {seed}", storm.as_secs());
    let begun = Instant::now();
    let mut world = World::new();
    let ledger = Arc::new(Ledger::default());
    let mut troubles = Troubles::new(Random::new(seed));
    let mut wrong = Vec::new();

    // What the first transfers make, the last ones may keep.
    let traffic = Traffic::begin(&world, &ledger, seed);
    std::thread::sleep(WARM_UP);
    wrong.extend(traffic.end());
    let before = world.at_rest(None);
    let (own, mut left) = (world::descriptors(), storm);
    while !left.is_zero() {
        let round = left.min(ROUND);
        left -= round;
        let traffic = Traffic::begin(&world, &ledger, seed ^ left.as_secs());
        ledger.storm(true);
        troubles.come(&mut world, &ledger, round);
        std::thread::sleep(SETTLE);
        traffic.anew(&world);
        ledger.storm(false);
        std::thread::sleep(CALM);
        wrong.extend(traffic.end());
        world.tidy();
        let after = world.at_rest(Some(&before));
        println!("{}", world.table(&before, &after));
        wrong.extend(world.grown(&before, &after));
        wrong.extend(world.faults());
    }
    let now = world::descriptors();
    if now > own + 16 {
        wrong.push(format!("the clients keep descriptors: {own} before, {now} after"));
    }
    let crowds = traffic::crowded();
    if crowds > 0 && !world.lacked_descriptors() {
        wrong.push(format!("{crowds} crowds came, and no descriptors were lacking"));
    }
    println!("{}; {crowds} crowds came through", troubles.table());
    println!("{}", ledger.table());
    wrong.extend(ledger.wrong(&troubles));
    println!("took {:.1} s", begun.elapsed().as_secs_f64());
    assert!(wrong.is_empty(), "seed {seed}: {wrong:#?}");
}
