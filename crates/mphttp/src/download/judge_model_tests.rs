//! The judge under looks at any paths: they come, go, come back with other counts, and their round trips are anything.

use proptest::prelude::*;

use super::*;

const NAMES: [&str; 3] = ["wifi", "lte", "cable"];

fn key(index: usize) -> (Option<SocketAddr>, Option<SocketAddr>) {
    (Some(SocketAddr::from(([192, 0, 2, 1], index as u16))), None)
}

fn seen(index: usize, received: u64, round_trip: Duration) -> Seen {
    Seen { key: key(index), interface: NAMES.get(index).map(|name| (*name).to_owned()), received, round_trip }
}

/// One look: after how many milliseconds, and of each path its bytes and its round trip in microseconds, if it is there.
type Look = (u64, Vec<Option<(u64, u32)>>);

fn look() -> impl Strategy<Value = Look> {
    let path = prop::option::weighted(0.8, (0..100_000_000u64, prop_oneof![0..300_000u32, any::<u32>()]));
    (0..300u64, prop::collection::vec(path, 0..4))
}

fn names(which: [bool; 3]) -> Vec<String> {
    NAMES.iter().zip(which).filter(|(_, yes)| *yes).map(|(name, _)| (*name).to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// It names what there is, keeps nothing of what has gone, and has a reason for what it says.
    #[test]
    fn whatever_is_seen_a_verdict_has_its_reason(
        looks in prop::collection::vec(look(), 1..60),
        ways in any::<[bool; 3]>(),
        scouted in prop::collection::vec((0usize..3, 0..300_000u64), 0..3),
    ) {
        let (mut judge, start, ways) = (Judge::default(), Instant::now(), names(ways));
        let scouted: BTreeMap<String, Measured> = scouted
            .into_iter()
            .map(|(index, micros)| {
                let round_trip = Duration::from_micros(micros);
                (NAMES[index].to_owned(), Measured { rate: None, round_trip, at_least: true })
            })
            .collect();
        let mut now = start;
        let mut first = None;
        for (after, paths) in looks {
            now += Duration::from_millis(after);
            let began = *first.get_or_insert(now);
            let here: Vec<Seen> = paths
                .iter()
                .enumerate()
                .filter_map(|(index, path)| path.map(|(bytes, micros)| seen(index, bytes, Duration::from_micros(micros.into()))))
                .collect();
            let verdict = judge.judge(&here, scouted.clone(), &ways, now);
            prop_assert!(judge.paths.len() <= here.len() || matches!(verdict, Verdict::Unused(_)), "paths that have gone are kept");
            let bringing = |name: &String| here.iter().any(|path| path.interface.as_ref() == Some(name) && path.received > 0);
            match verdict {
                Verdict::Unused(unused) => {
                    prop_assert!(!unused.is_empty() && now - began > JOIN);
                    prop_assert!(unused.iter().all(|name| ways.contains(name) && !bringing(name)));
                }
                Verdict::Unlike(measured) => {
                    let known = |name: &String| scouted.contains_key(name) || here.iter().any(|path| path.interface.as_ref() == Some(name));
                    prop_assert!(measured.keys().all(known), "{measured:?}");
                    let round_trips = || measured.values().map(|measured| measured.round_trip).chain(here.iter().map(|path| path.round_trip));
                    let far = unlike(round_trips().min().unwrap_or_default(), round_trips().max().unwrap_or_default());
                    let rates = || measured.values().filter_map(|measured| measured.rate);
                    let fast = rates().fold(0.0, f64::max);
                    let slow = rates().fold(f64::INFINITY, f64::min);
                    prop_assert!(far || here.len() > 3 || fast > slow * UNLIKE_RATES, "{measured:?} are unlike?");
                }
                Verdict::Fit => prop_assert!(ways.iter().all(bringing) || here.len() > 1),
                Verdict::Wait => {}
            }
        }
    }

    /// Steady paths: those alike are left alone for ever, those unlike are found out in two seconds.
    #[test]
    fn steady_paths_are_judged_for_what_they_are(
        rate in 1e5..1e8f64,
        times in prop_oneof![1.0..1.9f64, 2.5..50.0f64],
        millis in 1..60u64,
        further in prop_oneof![0..35u64, 200..400u64],
        pauses in prop::collection::vec(10..60u64, 80),
    ) {
        let round_trips = [Duration::from_millis(millis), Duration::from_millis(millis + further)];
        let far = further >= 200;
        prop_assert_eq!(unlike(round_trips[0], round_trips[1]), far);
        let (mut judge, start, mut after) = (Judge::default(), Instant::now(), Duration::ZERO);
        let ways = names([true, true, false]);
        let mut found = None;
        for pause in pauses {
            after += Duration::from_millis(pause);
            let brought = |rate: f64| 1 + (rate * after.as_secs_f64()) as u64;
            let here = [seen(0, brought(rate), round_trips[0]), seen(1, brought(rate / times), round_trips[1])];
            match judge.judge(&here, BTreeMap::new(), &ways, start + after) {
                Verdict::Unlike(_) => { found.get_or_insert(after); }
                Verdict::Unused(unused) => prop_assert!(false, "{unused:?} are used"),
                Verdict::Wait | Verdict::Fit => {}
            }
        }
        let unlike = far || times > UNLIKE_RATES;
        prop_assert_eq!(found.is_some(), unlike, "found {:?}", found);
        prop_assert!(found.is_none_or(|found| found < Duration::from_secs(2)));
    }
}
