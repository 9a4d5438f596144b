//! The planner under made-up time.

use super::*;
use proptest::prelude::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

fn v4(n: u8) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, n], 80))
}

fn v6(n: u16) -> SocketAddr {
    SocketAddr::from(([0x2001, 0xdb8, 0, 0, 0, 0, 0, n], 80))
}

fn plan(addresses: &[SocketAddr], race: bool) -> Plan {
    Plan::new(addresses, Timing::default(), race)
}

fn start(id: Id, address: SocketAddr, kind: Kind) -> Step {
    Step::Start { id, address, kind }
}

#[test]
fn families_alternate_from_the_preferred_one() {
    let order = interleave(&[v6(1), v6(2), v6(3), v4(1), v6(1), v4(2)]);
    assert_eq!(order, [v6(1), v4(1), v6(2), v4(2), v6(3)]);
    assert_eq!(interleave(&[v4(1), v6(1)]), [v4(1), v6(1)]);
}

#[test]
fn addresses_start_a_quarter_second_apart() {
    let mut plan = plan(&[v6(1), v4(1)], false);
    assert_eq!(plan.next(MS(0)), start(0, v6(1), Kind::Wanted));
    assert_eq!(plan.next(MS(0)), Step::Wait(Some(MS(250))));
    assert_eq!(plan.next(MS(249)), Step::Wait(Some(MS(250))));
    assert_eq!(plan.next(MS(250)), start(1, v4(1), Kind::Wanted));
    assert_eq!(plan.next(MS(250)), Step::Wait(None));
}

#[test]
fn a_failure_starts_the_next_address_at_once() {
    let mut plan = plan(&[v6(1), v4(1)], false);
    plan.next(MS(0));
    plan.failed(0, MS(3), Failure::Other);
    assert_eq!(plan.next(MS(3)), start(1, v4(1), Kind::Wanted));
    plan.failed(1, MS(4), Failure::Reset);
    assert_eq!(plan.next(MS(4)), Step::Exhausted);
}

#[test]
fn an_unanswered_mptcp_attempt_is_joined_by_tcp() {
    let mut plan = plan(&[v4(1)], true);
    assert_eq!(plan.next(MS(0)), start(0, v4(1), Kind::Wanted));
    assert_eq!(plan.next(MS(0)), Step::Wait(Some(MS(200))));
    assert_eq!(plan.next(MS(200)), start(1, v4(1), Kind::PlainTcp));
    assert_eq!(plan.next(MS(200)), Step::Wait(None));
    assert!(!plan.was_reset(v4(1)));
}

#[test]
fn a_reset_mptcp_attempt_is_followed_by_one_of_tcp_and_no_more() {
    let mut plan = plan(&[v4(1)], true);
    plan.next(MS(0));
    plan.failed(0, MS(10), Failure::Reset);
    assert_eq!(plan.next(MS(10)), start(1, v4(1), Kind::PlainTcp));
    assert!(plan.was_reset(v4(1)));
    plan.failed(1, MS(20), Failure::Reset);
    assert_eq!(plan.next(MS(20)), Step::Exhausted);
}

#[test]
fn an_unreachable_network_is_not_tried_with_tcp() {
    let mut plan = plan(&[v4(1)], true);
    plan.next(MS(0));
    plan.failed(0, MS(0), Failure::Other);
    assert_eq!(plan.next(MS(0)), Step::Exhausted);
}

#[test]
fn an_attempt_that_takes_too_long_is_abandoned() {
    let timing = Timing { attempt: Some(MS(1000)), ..Timing::default() };
    let mut plan = Plan::new(&[v4(1)], timing, false);
    plan.next(MS(0));
    assert_eq!(plan.next(MS(1)), Step::Wait(Some(MS(1000))));
    assert_eq!(plan.next(MS(1000)), Step::Abandon(0));
    assert_eq!(plan.next(MS(1000)), Step::Exhausted);
}

#[test]
fn no_addresses_are_exhausted_at_once() {
    assert_eq!(plan(&[], true).next(MS(0)), Step::Exhausted);
}

proptest! {
    /// Whatever happens in whatever order: each address is tried once with the wanted protocol and at most once
    /// with TCP, the plan never sleeps past work, and it ends.
    #[test]
    fn no_order_of_events_starves_or_repeats(
        addresses in prop::collection::vec((any::<bool>(), 0u8..6), 0..8),
        race in any::<bool>(),
        limit in prop::option::of(1u64..2000),
        events in prop::collection::vec((0usize..99, any::<bool>(), 0u64..400), 0..100),
    ) {
        let addresses: Vec<_> =
            addresses.iter().map(|&(six, n)| if six { v6(n.into()) } else { v4(n) }).collect();
        let timing = Timing { attempt: limit.map(MS), ..Timing::default() };
        let mut plan = Plan::new(&addresses, timing, race);
        let (mut now, mut running, mut started) = (MS(0), Vec::new(), Vec::new());
        let mut events = events.into_iter();
        let mut steps = 0;
        loop {
            steps += 1;
            prop_assert!(steps < 2000, "the plan does not end");
            match plan.next(now) {
                Step::Start { id, address, kind } => {
                    prop_assert!(!started.contains(&(address, kind)), "{address} twice");
                    prop_assert!(race || kind == Kind::Wanted);
                    started.push((address, kind));
                    running.push(id);
                }
                Step::Abandon(id) => running.retain(|&other| other != id),
                Step::Exhausted => break,
                Step::Wait(until) => {
                    prop_assert!(!running.is_empty(), "waits for nothing");
                    prop_assert!(until.is_none_or(|until| until > now), "waits for the past");
                    let (which, reset, later) = events.next().unwrap_or((0, false, 1));
                    match until {
                        Some(until) if later % 2 == 0 => now = until,
                        _ => {
                            now += MS(later);
                            let id = running.remove(which % running.len());
                            plan.failed(id, now, if reset { Failure::Reset } else { Failure::Other });
                        }
                    }
                }
            }
        }
        for address in &addresses {
            prop_assert!(started.contains(&(*address, Kind::Wanted)), "{address} starved");
        }
    }
}
