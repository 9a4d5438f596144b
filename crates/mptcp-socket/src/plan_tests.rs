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

fn to(address: SocketAddr, approach: Approach) -> Target {
    Target { address, via: None, approach }
}

fn plan(addresses: &[SocketAddr], approach: Approach) -> Plan {
    Plan::new(addresses.iter().map(|&address| to(address, approach)), Timing::default())
}

fn start(id: Id, address: SocketAddr, approach: Approach, kind: Kind) -> Step {
    Step::Start { id, target: to(address, approach), kind }
}

#[test]
fn families_alternate_from_the_preferred_one() {
    let order = interleave(&[v6(1), v6(2), v6(3), v4(1), v6(1), v4(2)]);
    assert_eq!(order, [v6(1), v4(1), v6(2), v4(2), v6(3)]);
    assert_eq!(interleave(&[v4(1), v6(1)]), [v4(1), v6(1)]);
}

#[test]
fn addresses_start_a_quarter_second_apart() {
    let mut plan = plan(&[v6(1), v4(1)], Approach::Plain);
    assert_eq!(plan.next(MS(0)), start(0, v6(1), Approach::Plain, Kind::Wanted));
    assert_eq!(plan.next(MS(0)), Step::Wait(Some(MS(250))));
    assert_eq!(plan.next(MS(249)), Step::Wait(Some(MS(250))));
    assert_eq!(plan.next(MS(250)), start(1, v4(1), Approach::Plain, Kind::Wanted));
    assert_eq!(plan.next(MS(250)), Step::Wait(None));
}

#[test]
fn a_failure_starts_the_next_address_at_once() {
    let mut plan = plan(&[v6(1), v4(1)], Approach::Plain);
    plan.next(MS(0));
    plan.failed(0, MS(3), Failure::Other);
    assert_eq!(plan.next(MS(3)), start(1, v4(1), Approach::Plain, Kind::Wanted));
    plan.failed(1, MS(4), Failure::Reset);
    assert_eq!(plan.next(MS(4)), Step::Exhausted);
}

/// A race that has come to the point where the first SYN counts as unanswered.
fn unanswered() -> Plan {
    let mut plan = plan(&[v4(1)], Approach::Race);
    assert_eq!(plan.next(MS(0)), start(0, v4(1), Approach::Race, Kind::Wanted));
    assert_eq!(plan.next(MS(0)), Step::Wait(Some(MS(200))));
    assert_eq!(plan.next(MS(200)), start(1, v4(1), Approach::Race, Kind::Wanted));
    assert_eq!(plan.next(MS(200)), start(2, v4(1), Approach::Race, Kind::PlainTcp));
    assert_eq!(plan.next(MS(200)), Step::Wait(None));
    plan
}

#[test]
fn a_lost_syn_costs_time_but_not_mptcp() {
    let mut plan = unanswered();
    assert_eq!(plan.connected(1, MS(230)), Verdict::Take);
    assert_eq!(plan.lesson(1), Lesson::MptcpPasses);
}

#[test]
fn tcp_alone_answered_waits_a_grace_and_is_taken() {
    let mut plan = unanswered();
    assert_eq!(plan.connected(2, MS(240)), Verdict::Hold);
    // A quarter of the 40 ms that TCP took, and 10 ms.
    assert_eq!(plan.next(MS(240)), Step::Wait(Some(MS(260))));
    assert_eq!(plan.next(MS(260)), Step::Take(2));
    assert_eq!(plan.lesson(2), Lesson::MptcpDropped);
}

#[test]
fn the_grace_is_bounded() {
    let mut plan = unanswered();
    plan.connected(2, MS(1200));
    assert_eq!(plan.next(MS(1200)), Step::Wait(Some(MS(1250))));
}

#[test]
fn an_address_that_answers_within_anothers_grace_does_not_lengthen_it() {
    let mut plan = plan(&[v6(1), v4(1)], Approach::Race);
    let starts = [(0, v6(1), Kind::Wanted), (200, v6(1), Kind::Wanted), (200, v6(1), Kind::PlainTcp)];
    let more = [(250, v4(1), Kind::Wanted), (450, v4(1), Kind::Wanted), (450, v4(1), Kind::PlainTcp)];
    for (id, (at, address, kind)) in starts.into_iter().chain(more).enumerate() {
        assert_eq!(plan.next(MS(at)), start(id, address, Approach::Race, kind));
    }
    assert_eq!(plan.connected(2, MS(455)), Verdict::Hold);
    assert_eq!(plan.connected(5, MS(470)), Verdict::Close);
    assert_eq!(plan.next(MS(470)), Step::Wait(Some(MS(505))));
    assert_eq!(plan.next(MS(505)), Step::Take(2));
}

#[test]
fn mptcp_answered_within_the_grace_wins() {
    let mut plan = unanswered();
    plan.connected(2, MS(240));
    assert_eq!(plan.connected(1, MS(242)), Verdict::Take);
    assert_eq!(plan.lesson(1), Lesson::MptcpPasses);
}

#[test]
fn a_long_path_keeps_mptcp() {
    let mut plan = unanswered();
    assert_eq!(plan.connected(0, MS(600)), Verdict::Take);
    assert_eq!(plan.lesson(0), Lesson::MptcpPasses);
}

#[test]
fn a_reset_mptcp_attempt_is_followed_by_one_of_tcp_and_no_more() {
    let mut plan = plan(&[v4(1)], Approach::Race);
    plan.next(MS(0));
    plan.failed(0, MS(10), Failure::Reset);
    assert_eq!(plan.next(MS(10)), start(1, v4(1), Approach::Race, Kind::PlainTcp));
    assert_eq!(plan.connected(1, MS(20)), Verdict::Take);
    assert_eq!(plan.lesson(1), Lesson::MptcpReset);
}

#[test]
fn a_closed_port_is_known_after_two_resets() {
    let mut plan = plan(&[v4(1)], Approach::Race);
    plan.next(MS(0));
    plan.failed(0, MS(10), Failure::Reset);
    plan.next(MS(10));
    plan.failed(1, MS(20), Failure::Reset);
    assert_eq!(plan.next(MS(20)), Step::Exhausted);
}

#[test]
fn an_unreachable_network_is_not_tried_with_tcp() {
    let mut plan = plan(&[v4(1)], Approach::Race);
    plan.next(MS(0));
    plan.failed(0, MS(0), Failure::Other);
    assert_eq!(plan.next(MS(0)), Step::Exhausted);
}

#[test]
fn a_known_destination_gets_tcp_at_once() {
    let mut plan = plan(&[v4(1)], Approach::TcpOnly);
    assert_eq!(plan.next(MS(0)), start(0, v4(1), Approach::TcpOnly, Kind::PlainTcp));
    assert_eq!(plan.next(MS(0)), Step::Wait(None));
    assert_eq!(plan.connected(0, MS(5)), Verdict::Take);
    assert_eq!(plan.lesson(0), Lesson::Nothing);
}

#[test]
fn a_retest_costs_no_time() {
    let mut plan = plan(&[v4(1)], Approach::Retest);
    assert_eq!(plan.next(MS(0)), start(0, v4(1), Approach::Retest, Kind::Wanted));
    assert_eq!(plan.next(MS(0)), start(1, v4(1), Approach::Retest, Kind::PlainTcp));
    assert_eq!(plan.next(MS(0)), Step::Wait(None));
    assert_eq!(plan.connected(1, MS(5)), Verdict::Take);
    assert_eq!(plan.lesson(1), Lesson::MptcpDropped);
}

#[test]
fn an_attempt_that_takes_too_long_is_abandoned() {
    let timing = Timing { attempt: Some(MS(1000)), ..Timing::default() };
    let mut plan = Plan::new([to(v4(1), Approach::Plain)], timing);
    plan.next(MS(0));
    assert_eq!(plan.next(MS(1)), Step::Wait(Some(MS(1000))));
    assert_eq!(plan.next(MS(1000)), Step::Abandon(0));
    assert_eq!(plan.next(MS(1000)), Step::Exhausted);
}

#[test]
fn no_targets_are_exhausted_at_once() {
    assert_eq!(plan(&[], Approach::Race).next(MS(0)), Step::Exhausted);
}

fn approach() -> impl Strategy<Value = Approach> {
    prop_oneof![Just(Approach::Plain), Just(Approach::Race), Just(Approach::TcpOnly), Just(Approach::Retest)]
}

proptest! {
    /// Whatever happens in whatever order: no target starves, no socket is made more often than the rules say, the
    /// plan never sleeps past work, it ends, and a connection once made is used.
    #[test]
    fn no_order_of_events_starves_repeats_or_loses(
        targets in prop::collection::hash_map((any::<bool>(), 0u8..6, prop::option::of(0usize..2)), approach(), 0..8),
        limit in prop::option::of(1u64..2000),
        events in prop::collection::vec((0usize..99, 0u8..12, 0u64..400), 0..100),
    ) {
        let targets: Vec<_> = targets
            .into_iter()
            .map(|((six, n, via), approach)| Target {
                address: if six { v6(n.into()) } else { v4(n) },
                via,
                approach,
            })
            .collect();
        let timing = Timing { attempt: limit.map(MS), ..Timing::default() };
        let mut plan = Plan::new(targets.clone(), timing);
        let (mut now, mut running, mut started) = (MS(0), Vec::new(), Vec::new());
        let (mut held, mut taken) = (None, None);
        let mut events = events.into_iter();
        for _ in 0..2000 {
            match plan.next(now) {
                Step::Start { id, target, kind } => {
                    prop_assert!(held.is_none(), "starts although it has a connection");
                    prop_assert!(kind == Kind::Wanted || target.approach != Approach::Plain);
                    prop_assert!(kind == Kind::PlainTcp || target.approach != Approach::TcpOnly);
                    started.push((target, kind));
                    let times = started.iter().filter(|other| **other == (target, kind)).count();
                    let hedge = kind == Kind::Wanted && target.approach == Approach::Race;
                    prop_assert!(times <= if hedge { 2 } else { 1 }, "{target:?} too often");
                    running.push(id);
                }
                Step::Abandon(id) => running.retain(|&other| other != id),
                Step::Take(id) => {
                    prop_assert_eq!(Some(id), held);
                    taken = Some(id);
                    break;
                }
                Step::Exhausted => {
                    prop_assert!(held.is_none(), "loses a connection");
                    break;
                }
                Step::Wait(until) => {
                    prop_assert!(!running.is_empty(), "waits for nothing");
                    prop_assert!(until.is_none_or(|until| until > now), "waits for the past");
                    let (which, what, later) = events.next().unwrap_or((0, 0, 1));
                    match until {
                        Some(until) if later % 2 == 0 => now = until,
                        _ => {
                            now = until.map_or(now + MS(later), |until| until.min(now + MS(later)));
                            let id = running.remove(which % running.len());
                            match what {
                                11 => match plan.connected(id, now) {
                                    Verdict::Take => {
                                        taken = Some(id);
                                        break;
                                    }
                                    Verdict::Hold => held = Some(id),
                                    Verdict::Close => assert!(held.is_some()),
                                },
                                even if even % 2 == 0 => plan.failed(id, now, Failure::Reset),
                                _ => plan.failed(id, now, Failure::Other),
                            }
                        }
                    }
                }
            }
        }
        let ended = taken.is_some() || plan.next(now) == Step::Exhausted;
        prop_assert!(ended, "the plan does not end");
        if taken.is_none() {
            for target in &targets {
                prop_assert!(started.iter().any(|(other, _)| other == target), "{target:?} starved");
            }
        }
    }
}
