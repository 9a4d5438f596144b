//! The plan against made-up lanes: whatever they do, every byte is fetched, and none twice.

use proptest::prelude::*;

use super::*;

const fn speed(rate: f64) -> Speed {
    Speed { rate: Some(rate), latency: 0.02, stalled: None, suspect: false, link: 0, sharing: 1, idle: 1 }
}

/// Every lane has a link of its own.
fn apart(speeds: impl Fn(LaneId) -> Speed) -> impl Fn(LaneId) -> Speed {
    move |lane| Speed { link: lane, ..speeds(lane) }
}

fn held(plan: &Plan) -> u64 {
    plan.received.len()
        + plan.free.len()
        + plan.leases.iter().map(|lease| lease.end - lease.stored).sum::<u64>()
}

#[test]
fn the_second_lane_takes_its_share_of_the_firsts_work() {
    let mut plan = Plan::new(100_000_000, Order::Any, Ranges::default());
    let first = plan.lease_all_from(0, 0);
    let rates = apart(|lane: LaneId| speed(if lane == 0 { 10e6 } else { 1e6 }));
    let second = plan.take(1, u64::MAX, &rates).unwrap();
    let (first, second) = (plan.lease(first).unwrap(), plan.lease(second).unwrap());
    assert_eq!((first.end, second.end), (second.pos, 100_000_000));
    let share = second.left() as f64 / 1e8;
    assert!((0.08..0.10).contains(&share), "{share}");
}

#[test]
fn who_is_not_known_gets_half_and_who_has_failed_a_morsel() {
    let mut plan = Plan::new(100_000_000, Order::Any, Ranges::default());
    plan.lease_all_from(0, 0);
    let rates =
        apart(|lane: LaneId| if lane == 0 { speed(10e6) } else { Speed { rate: None, ..speed(0.0) } });
    let second = plan.take(1, u64::MAX, &rates).unwrap();
    assert!((45_000_000..50_000_000).contains(&plan.lease(second).unwrap().left()));
    let rates = apart(|lane: LaneId| match lane {
        2 => Speed { rate: None, suspect: true, ..speed(0.0) },
        lane => rates(lane),
    });
    let third = plan.take(2, u64::MAX, &rates).unwrap();
    assert_eq!(plan.lease(third).unwrap().left(), PROBE);
}

#[test]
fn those_who_share_a_link_get_equal_parts_and_leave_each_other_alone() {
    let mut plan = Plan::new(100_000_000, Order::Any, Ranges::default());
    plan.lease_all_from(0, 0);
    // Three lanes over a link that is not known, beside one that is.
    let rates = |busy: u32| {
        move |lane: LaneId| match lane {
            0 => speed(12e6),
            _ => Speed { rate: None, link: 1, sharing: 3, idle: 3 - busy, ..speed(0.0) },
        }
    };
    let parts: Vec<u64> = (1..4)
        .map(|lane| {
            let lease = plan.take(lane, u64::MAX, &rates(lane as u32 - 1)).unwrap();
            plan.lease(lease).unwrap().left()
        })
        .collect();
    let (least, most) = (parts.iter().min().unwrap(), parts.iter().max().unwrap());
    assert!(most - least < 1_000_000 && (15_000_000..17_000_000).contains(most), "{parts:?}");
    // One of them has done its part: nothing is won if it helps the others.
    let lease = plan.of_lane(1).next().unwrap().id;
    plan.release(lease);
    plan.lease_all_from(0, plan.first_free().unwrap());
    let known = |lane: LaneId| match lane {
        0 => speed(12e6),
        _ => Speed { link: 1, sharing: 3, ..speed(4e6) },
    };
    let taken = plan.take(1, u64::MAX, &known).unwrap();
    assert!(plan.of_lane(2).chain(plan.of_lane(3)).all(|lease| parts.contains(&lease.left())));
    assert!(plan.lease(taken).unwrap().left() > 0);
}

#[test]
fn a_helper_leaves_all_lanes_of_the_other_link_to_end_together() {
    let mut plan = Plan::new(24_000_000, Order::Any, Ranges::default());
    for lane in 1..4 {
        plan.grant(lane, (lane as u64 - 1) * 8_000_000..lane as u64 * 8_000_000);
        plan.free.remove(0..lane as u64 * 8_000_000);
    }
    let rates = |lane: LaneId| match lane {
        0 => speed(12e6),
        _ => Speed { link: 1, sharing: 3, ..speed(4e6) },
    };
    for _ in 0..3 {
        plan.take(0, u64::MAX, &rates).unwrap();
    }
    let left: Vec<u64> = (1..4).map(|lane| plan.of_lane(lane).map(Lease::left).sum()).collect();
    assert!(left.iter().all(|left| (3_500_000..5_500_000).contains(left)), "{left:?}");
}

#[test]
fn a_dead_lane_loses_everything_and_a_silent_one_half() {
    for (silent, share) in [(0.5, 0.5), (3.0, 1.0)] {
        let mut plan = Plan::new(10_000_000, Order::Any, Ranges::default());
        plan.lease_all_from(0, 0);
        let rates = apart(|lane: LaneId| Speed { stalled: (lane == 0).then_some(silent), ..speed(1e6) });
        let taken = plan.take(1, u64::MAX, &rates).unwrap();
        assert_eq!(plan.lease(taken).unwrap().left(), (1e7 * share) as u64);
    }
}

#[test]
fn what_is_nearly_done_is_left_alone() {
    let mut plan = Plan::new(100_000, Order::Any, Ranges::default());
    plan.lease_all_from(0, 0);
    assert_eq!(plan.take(1, u64::MAX, &apart(|_| speed(10e6))), None);
}

#[test]
fn an_answer_that_reaches_further_goes_on_to_what_is_given_back() {
    let mut plan = Plan::new(1_000_000, Order::Any, Ranges::default());
    let first = plan.lease_all_from(0, 0);
    let second = plan.take(1, u64::MAX, &apart(|_| speed(1e6))).unwrap();
    let end = plan.lease(first).unwrap().end;
    plan.release(second);
    assert!(plan.extend(first) && plan.lease(first).unwrap().end == 1_000_000 && end < 1_000_000);
    // But no further than that.
    let mut plan = Plan::new(1_000_000, Order::Any, Ranges::default());
    let first = plan.lease_all_from(0, 0);
    let second = plan.take(1, u64::MAX, &apart(|_| speed(1e6))).unwrap();
    plan.arrived(first, 400_000);
    plan.stored(first);
    plan.release(first);
    assert!(!plan.extend(second));
}

#[test]
fn in_order_nobody_goes_beyond_the_window() {
    let mut plan = Plan::new(100_000_000, Order::Sequential { window: 8_000_000 }, Ranges::default());
    let mut taken = Vec::new();
    while let Some(lease) = plan.take(taken.len(), u64::MAX, &apart(|_| speed(1e6))) {
        taken.push(lease);
    }
    let ends: Vec<u64> = plan.leases().iter().map(|lease| lease.end).collect();
    assert_eq!((ends.last(), ends.is_sorted()), (Some(&8_000_000), true));
    plan.set_read(2_000_000);
    assert!(plan.take(99, u64::MAX, &apart(|_| speed(1e6))).is_some());
    // Whoever holds up all the others is relieved of everything.
    let stalled = apart(|lane: LaneId| Speed { stalled: (lane == 0).then_some(0.5), ..speed(1e6) });
    let relief = plan.take(100, u64::MAX, &stalled).unwrap();
    assert_eq!(plan.lease(relief).unwrap().pos, 0);
}

proptest! {
    /// Lanes of any speed that take, bring, fail and stall as they like.
    #[test]
    fn every_byte_is_fetched_once(
        total in 1u64..20_000_000,
        sequential in any::<bool>(),
        steps in prop::collection::vec((0usize..4, 0u8..8, 0usize..2_000_000), 1..300),
    ) {
        let order = if sequential { Order::Sequential { window: 1 << 20 } } else { Order::Any };
        let mut plan = Plan::new(total, order, Ranges::default());
        let mut got = Ranges::default();
        let mut stalled = [None; 4];
        let bring = |plan: &mut Plan, got: &mut Ranges, id: LeaseId, len: usize| {
            let arrived = plan.arrived(id, len);
            let range = arrived.offset..arrived.offset + arrived.len as u64;
            // Nothing that is stored comes twice.
            assert_eq!(got.missing(range.clone()).len(), arrived.len as u64);
            // Now and then a fetch is lost between the two.
            if len % 7 == 3 {
                plan.release(id);
                return;
            }
            plan.stored(id);
            got.insert(range);
            if arrived.over && !plan.extend(id) {
                plan.release(id);
            }
        };
        plan.lease_all_from(0, 0);
        for (lane, what, len) in steps {
            let stalls = stalled;
            let rates = move |lane: LaneId| Speed {
                stalled: stalls[lane % 4],
                link: lane % 3,
                sharing: 2,
                idle: 1 + (lane % 2) as u32,
                ..speed(1e6 * (lane + 1) as f64)
            };
            let mine: Option<LeaseId> = plan.of_lane(lane).next().map(|lease| lease.id);
            match (what, mine) {
                (0..=1, _) => { plan.take(lane, u64::MAX, &rates); }
                (2, _) => stalled[lane] = Some(len as f64 / 500_000.0),
                (3, _) => stalled[lane] = None,
                (4, Some(id)) => { plan.release(id); }
                (5, _) => plan.set_read(plan.first_missing()),
                (_, Some(id)) => bring(&mut plan, &mut got, id, len),
                _ => {}
            }
            prop_assert_eq!(held(&plan), total);
            prop_assert_eq!(&got, plan.received());
        }
        // In the end one good lane is enough.
        for _ in 0..10_000 {
            if plan.is_complete() {
                break;
            }
            plan.set_read(plan.first_missing());
            let dead = apart(|lane: LaneId| Speed { stalled: (lane != 9).then_some(9.0), ..speed(1e6) });
            plan.take(9, u64::MAX, &dead);
            let mine: Vec<LeaseId> = plan.of_lane(9).map(|lease| lease.id).collect();
            for id in mine {
                bring(&mut plan, &mut got, id, 3_000_001);
            }
        }
        prop_assert!(plan.is_complete() && got.len() == total);
    }
}
