//! Whether Multipath TCP makes good use of the links, by the paths' own figures. Pure: looks are handed in.
//!
//! The kernel's scheduler fills the paths well if they are alike. Of unlike ones the slow path holds up what the fast one
//! has brought: bytes must be delivered in order, and the buffers are finite. So the paths of a connection are looked at:
//! if their rates or round trips are far apart, or interfaces with a way out have no path, other means are better.

use std::{
    collections::{BTreeMap, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use mptcp_socket::{PathState, Transport};

/// Paths whose rates differ by more than this factor are unlike.
const UNLIKE_RATES: f64 = 2.0;

/// As are paths whose round trips differ by more than this factor, and by more than this time.
const UNLIKE_ROUND_TRIPS: f64 = 3.0;
const UNLIKE_BY: Duration = Duration::from_millis(40);

/// For how long they must be found unlike in rate, or for so many round trips if that is longer: a path may pause, or lose.
const CONVINCED: Duration = Duration::from_millis(50);

/// How long a path's rate is measured before it counts, and how long paths may take to come into being. At least; in round
/// trips, as many as slow start needs for a decent rate.
const WARM_UP: Duration = Duration::from_millis(100);
const JOIN: Duration = Duration::from_millis(500);
const ROUND_TRIPS: u32 = 6;

/// Over how long a rate is measured.
const WINDOW: Duration = Duration::from_millis(150);

/// One path, at one look.
#[derive(Clone, Debug)]
struct Seen {
    key: (Option<SocketAddr>, Option<SocketAddr>),
    interface: Option<String>,
    received: u64,
    round_trip: Duration,
}

/// What is thought of a connection.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// It is too early to say.
    Wait,
    /// Leave it.
    Fit,
    /// These interfaces have a way out, but no path.
    Unused(Vec<String>),
    /// The paths are unlike: what was measured of each, by interface.
    Unlike(BTreeMap<String, Measured>),
}

/// What was measured of a path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Measured {
    /// Bytes a second, if it has been long enough.
    pub(super) rate: Option<f64>,
    pub(super) round_trip: Duration,
    /// Whether it may take longer still.
    pub(super) at_least: bool,
}

#[derive(Default)]
pub(super) struct Judge {
    began: Option<Instant>,
    paths: Vec<Known>,
    /// Since when the paths have been unlike in rate.
    unlike: Option<Instant>,
}

struct Known {
    key: (Option<SocketAddr>, Option<SocketAddr>),
    looks: VecDeque<(Instant, u64)>,
    since: Option<Instant>,
}

impl Judge {
    /// Looks at a connection that speaks MPTCP. `ways`: the interfaces that could be used.
    /// `scouted`: what is known of the round trips of interfaces that have no path.
    pub(super) fn look(
        &mut self,
        transport: &Transport,
        scouted: BTreeMap<String, Measured>,
        ways: &[String],
        now: Instant,
    ) -> Verdict {
        let alive = transport.paths.iter().filter(|path| path.state == PathState::Established);
        let seen = alive.map(|path| Seen {
            key: (path.local, path.remote),
            interface: path.interface.clone(),
            received: path.bytes_received.unwrap_or(0),
            round_trip: path.min_rtt.or(path.rtt).unwrap_or_default(),
        });
        self.judge(&seen.collect::<Vec<_>>(), scouted, ways, now)
    }

    /// Whether it has seen paths to compare.
    pub(super) fn compares(&self) -> bool {
        self.paths.len() > 1
    }

    fn judge(
        &mut self,
        seen: &[Seen],
        mut scouted: BTreeMap<String, Measured>,
        ways: &[String],
        now: Instant,
    ) -> Verdict {
        let began = *self.began.get_or_insert(now);
        let slowest = seen.iter().map(|path| path.round_trip).max().unwrap_or_default();
        let unused: Vec<String> = ways
            .iter()
            .filter(|way| !seen.iter().any(|path| path.interface.as_ref() == Some(way) && path.received > 0))
            .cloned()
            .collect();
        if !unused.is_empty() && now - began > JOIN.max(slowest * ROUND_TRIPS) {
            return Verdict::Unused(unused);
        }
        self.paths.retain(|known| seen.iter().any(|path| path.key == known.key));
        let mut rates = Vec::new();
        for path in seen {
            let known = match self.paths.iter_mut().find(|known| known.key == path.key) {
                Some(known) => known,
                None => {
                    self.paths.push(Known { key: path.key, looks: VecDeque::new(), since: None });
                    let Some(known) = self.paths.last_mut() else { return Verdict::Wait };
                    known
                }
            };
            rates.push(known.rate(path, now));
        }
        scouted.retain(|name, _| {
            ways.contains(name) && !seen.iter().any(|path| path.interface.as_ref() == Some(name))
        });
        if let [only] = seen
            && only.round_trip > Duration::ZERO
            && scouted.values().any(|other| unlike(only.round_trip, other.round_trip))
        {
            let own = Measured { rate: None, round_trip: only.round_trip, at_least: false };
            scouted.extend(only.interface.clone().map(|name| (name, own)));
            return Verdict::Unlike(scouted);
        }
        if seen.len() < 2 {
            return if unused.is_empty() { Verdict::Fit } else { Verdict::Wait };
        }
        let fastest = seen.iter().map(|path| path.round_trip).min().unwrap_or_default();
        let by_interface = || {
            let pairs = seen.iter().zip(&rates);
            pairs
                .filter_map(|(path, &rate)| {
                    let measured = Measured { rate, round_trip: path.round_trip, at_least: false };
                    Some((path.interface.clone()?, measured))
                })
                .collect()
        };
        if unlike(fastest, slowest) {
            return Verdict::Unlike(by_interface());
        }
        let Some(rates) = rates.iter().copied().collect::<Option<Vec<f64>>>() else { return Verdict::Wait };
        let least = rates.iter().copied().fold(f64::INFINITY, f64::min);
        let most = rates.iter().copied().fold(0.0, f64::max);
        if most <= least * UNLIKE_RATES {
            self.unlike = None;
            return Verdict::Fit;
        }
        let since = *self.unlike.get_or_insert(now);
        if now - since >= CONVINCED.max(slowest * ROUND_TRIPS) {
            return Verdict::Unlike(by_interface());
        }
        Verdict::Wait
    }
}

/// Whether one round trip is much longer than the other.
pub(super) fn unlike(one: Duration, other: Duration) -> bool {
    one.max(other) > far_from(one.min(other))
}

/// Round trips longer than this are unlike one of `near`.
pub(super) fn far_from(near: Duration) -> Duration {
    near.mul_f64(UNLIKE_ROUND_TRIPS).max(near + UNLIKE_BY)
}

impl Known {
    /// Bytes a second, once the path is warm.
    fn rate(&mut self, path: &Seen, now: Instant) -> Option<f64> {
        if path.received == 0 {
            return None;
        }
        let since = *self.since.get_or_insert(now);
        self.looks.push_back((now, path.received));
        while self.looks.get(1).is_some_and(|(at, _)| now - *at >= WINDOW.max(path.round_trip * ROUND_TRIPS))
        {
            self.looks.pop_front();
        }
        let &(at, before) = self.looks.front()?;
        let warm = now - since >= WARM_UP.max(path.round_trip * ROUND_TRIPS);
        (warm && now > at).then(|| path.received.saturating_sub(before) as f64 / (now - at).as_secs_f64())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The verdicts on paths of such rates (bytes a second) and round trips (milliseconds) in two seconds of looks.
    fn verdicts(paths: &[(&str, f64, u64)]) -> Vec<Verdict> {
        let (mut judge, start) = (Judge::default(), Instant::now());
        let ways = ["wifi".to_owned(), "lte".to_owned()];
        (0..40u32)
            .map(|tick| {
                let after = Duration::from_millis(50) * tick;
                let seen: Vec<Seen> = paths
                    .iter()
                    .enumerate()
                    .map(|(index, &(name, rate, round_trip))| Seen {
                        key: (Some(SocketAddr::from(([127, 0, 0, 1], index as u16))), None),
                        interface: Some(name.to_owned()),
                        received: 1 + (rate * after.as_secs_f64()) as u64,
                        round_trip: Duration::from_millis(round_trip),
                    })
                    .collect();
                judge.judge(&seen, BTreeMap::new(), &ways, start + after)
            })
            .collect()
    }

    #[test]
    fn paths_alike_are_left_alone() {
        for (rate, round_trip) in [(12e6, 1), (8e6, 20), (12e6, 30)] {
            let all = verdicts(&[("wifi", 12e6, 1), ("lte", rate, round_trip)]);
            assert!(all.iter().all(|verdict| matches!(verdict, Verdict::Wait | Verdict::Fit)), "{all:?}");
            assert_eq!(all.last(), Some(&Verdict::Fit));
        }
    }

    #[test]
    fn a_slow_path_is_found_out_in_a_quarter_of_a_second() {
        let all = verdicts(&[("wifi", 12e6, 1), ("lte", 1.2e6, 1)]);
        let index = all.iter().position(|verdict| matches!(verdict, Verdict::Unlike(_))).unwrap();
        assert!((2..6).contains(&index), "{index}");
        let Verdict::Unlike(rates) = &all[index] else { unreachable!() };
        let rate = |name: &str| rates[name].rate.unwrap();
        assert!((rate("wifi") / rate("lte") - 10.0).abs() < 1.0, "{rates:?}");
    }

    #[test]
    fn a_far_path_is_found_out_at_once() {
        assert!(matches!(verdicts(&[("wifi", 1e6, 20), ("lte", 1e6, 160)])[0], Verdict::Unlike(_)));
    }

    #[test]
    fn a_far_link_is_known_before_it_has_a_path() {
        let ways = ["wifi".to_owned(), "lte".to_owned()];
        let seen = Seen {
            key: (None, None),
            interface: Some("wifi".to_owned()),
            received: 1,
            round_trip: Duration::from_millis(20),
        };
        let verdict = |name: &str, millis| {
            let round_trip = Duration::from_millis(millis);
            let scouted = [(name.to_owned(), Measured { rate: None, round_trip, at_least: true })];
            Judge::default().judge(std::slice::from_ref(&seen), scouted.into(), &ways, Instant::now())
        };
        assert_eq!(verdict("lte", 59), Verdict::Wait);
        let Verdict::Unlike(both) = verdict("lte", 61) else { panic!("a far link") };
        assert!(both["lte"].at_least && !both["wifi"].at_least);
        // One that may not be used says nothing.
        assert_eq!(verdict("third", 500), Verdict::Wait);
    }

    #[test]
    fn interfaces_without_a_path_are_named_after_a_while() {
        let all = verdicts(&[("wifi", 12e6, 1)]);
        assert_eq!(all[5], Verdict::Wait);
        assert_eq!(all.last(), Some(&Verdict::Unused(vec!["lte".to_owned()])));
    }
}

#[cfg(test)]
#[path = "judge_model_tests.rs"]
mod model_tests;
