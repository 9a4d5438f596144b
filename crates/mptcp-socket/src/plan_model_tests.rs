//! The planner against made-up networks: every address has a fate for each socket that is tried there, and a driver carries
//! the plan out that may oversleep. What holds of any network is checked at every step.

use std::collections::BTreeMap;

use super::*;
use proptest::prelude::*;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// What becomes of an attempt, and after how many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Connects(u64),
    Resets(u64),
    Fails(u64),
    /// Nobody ever answers.
    Silence,
}

impl Fate {
    fn after(self) -> Option<Duration> {
        match self {
            Self::Connects(after) | Self::Resets(after) | Self::Fails(after) => Some(MS(after)),
            Self::Silence => None,
        }
    }
}

/// One address: how it is tried, and the fates of its first and second wanted attempt and of its TCP one.
#[derive(Clone, Debug)]
struct Place {
    approach: Approach,
    fates: [Fate; 3],
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        Just(Fate::Silence),
        (0..1500u64).prop_map(Fate::Fails),
        (0..1500u64).prop_map(Fate::Resets),
        (0..1500u64).prop_map(Fate::Connects),
    ]
}

fn place() -> impl Strategy<Value = Place> {
    let approach = prop_oneof![
        Just(Approach::Plain),
        Just(Approach::Race),
        Just(Approach::Race),
        Just(Approach::TcpOnly),
        Just(Approach::Retest)
    ];
    (approach, [fate(), fate(), fate()]).prop_map(|(approach, fates)| Place { approach, fates })
}

/// An attempt as the driver sees it.
#[derive(Clone, Copy, Debug)]
struct Tried {
    place: usize,
    kind: Kind,
    began: Duration,
    fate: Fate,
    over: bool,
}

impl Tried {
    fn ends(&self) -> Option<Duration> {
        Some(self.began + self.fate.after()?)
    }
}

/// The driver, with all that it has done.
struct Driver {
    places: Vec<Place>,
    timing: Timing,
    plan: Plan,
    now: Duration,
    tried: BTreeMap<Id, Tried>,
    held: Option<Id>,
    /// When an address was last begun with, and whether something has failed since.
    last_place: Option<Duration>,
    failed_since: bool,
    /// By how much it has overslept at most.
    late: Duration,
}

type Checked = Result<(), TestCaseError>;

impl Driver {
    fn new(places: Vec<Place>, timing: Timing) -> Self {
        let targets = places.iter().enumerate().map(|(index, place)| Target {
            address: SocketAddr::from(([192, 0, 2, 1], 1 + index as u16)),
            via: None,
            approach: place.approach,
        });
        let plan = Plan::new(targets.collect::<Vec<_>>(), timing);
        Self {
            places,
            timing,
            plan,
            now: MS(0),
            tried: BTreeMap::new(),
            held: None,
            last_place: None,
            failed_since: false,
            late: MS(0),
        }
    }

    fn of_place(&self, place: usize, kind: Kind) -> impl Iterator<Item = &Tried> {
        self.tried.values().filter(move |tried| tried.place == place && tried.kind == kind)
    }

    fn running(&self) -> impl Iterator<Item = (Id, Tried)> + '_ {
        self.tried.iter().filter(|(_, tried)| !tried.over).map(|(id, tried)| (*id, *tried))
    }

    /// Begins an attempt, if the rules let it.
    fn start(&mut self, id: Id, target: Target, kind: Kind) -> Checked {
        let place = usize::from(target.address.port()) - 1;
        let approach = self.places[place].approach;
        prop_assert!(self.held.is_none(), "begins although it has a connection");
        prop_assert!(!self.tried.contains_key(&id), "a number twice");
        let wanted = self.of_place(place, Kind::Wanted).count();
        let tcp = self.of_place(place, Kind::PlainTcp).count();
        match kind {
            Kind::Wanted => {
                prop_assert!(approach != Approach::TcpOnly);
                prop_assert!(wanted == 0 || (wanted == 1 && approach == Approach::Race), "too often");
                if wanted == 1 {
                    let first = self.of_place(place, Kind::Wanted).next().copied();
                    let waited = first.map(|first| (first.over, self.now - first.began));
                    prop_assert!(
                        waited.is_some_and(|(over, waited)| !over && waited >= self.timing.tcp_after)
                    );
                }
            }
            Kind::PlainTcp => {
                prop_assert!(approach != Approach::Plain && tcp == 0, "TCP where it has no place, or twice");
                if approach == Approach::Race {
                    // Only where MPTCP was reset, or is not answered.
                    let reset = self
                        .of_place(place, Kind::Wanted)
                        .any(|tried| tried.over && matches!(tried.fate, Fate::Resets(_)));
                    let waits = self.of_place(place, Kind::Wanted).count() == 2;
                    prop_assert!(reset || waits, "TCP before MPTCP had its time");
                }
            }
        }
        if wanted + tcp == 0 {
            // A new address: in turn, not before its time, and in time.
            prop_assert!((0..place).all(|before| self.of_place(before, Kind::Wanted).count() > 0
                || self.of_place(before, Kind::PlainTcp).count() > 0));
            if let Some(last) = self.last_place {
                let since = self.now - last;
                let free = self.failed_since || self.running().next().is_none();
                prop_assert!(free || since >= self.timing.stagger, "{since:?} after the last address");
                prop_assert!(since <= self.timing.stagger + self.late, "starved for {since:?}");
            }
            self.last_place = Some(self.now);
            self.failed_since = false;
        }
        let fate = self.places[place].fates[if kind == Kind::PlainTcp { 2 } else { wanted }];
        self.tried.insert(id, Tried { place, kind, began: self.now, fate, over: false });
        // What is in flight is bounded by what there is to try.
        let most: usize = self.places.iter().map(|place| most(place.approach)).sum();
        prop_assert!(self.running().count() <= most);
        Ok(())
    }

    /// What has happened up to now is told, in order of time; true once the plan is done.
    fn tell(&mut self) -> Result<Option<Id>, TestCaseError> {
        loop {
            let due = self.running().filter_map(|(id, tried)| Some((tried.ends()?, id)));
            let Some((_, id)) = due.filter(|(at, _)| *at <= self.now).min() else { return Ok(None) };
            let Some(tried) = self.tried.get_mut(&id) else { return Ok(None) };
            tried.over = true;
            let tried = *tried;
            match tried.fate {
                Fate::Connects(_) => match self.plan.connected(id, self.now) {
                    Verdict::Take => return Ok(Some(id)),
                    Verdict::Hold => {
                        prop_assert!(self.held.is_none(), "two connections are kept back");
                        prop_assert!(tried.kind == Kind::PlainTcp, "what was wanted is kept back");
                        self.held = Some(id);
                    }
                    Verdict::Close => {
                        prop_assert!(
                            self.held.is_some() && tried.kind == Kind::PlainTcp,
                            "closes what it needs"
                        );
                    }
                },
                Fate::Resets(_) => self.plan.failed(id, self.now, Failure::Reset),
                _ => self.plan.failed(id, self.now, Failure::Other),
            }
            self.failed_since |= !matches!(tried.fate, Fate::Connects(_));
            // Whoever tells twice changes nothing.
            if !matches!(tried.fate, Fate::Connects(_)) {
                self.plan.failed(id, self.now, Failure::Reset);
            }
        }
    }

    /// Carries the plan out to its end; gives the connection.
    fn run(&mut self, mut oversleeps: impl Iterator<Item = u64>) -> Result<Option<Id>, TestCaseError> {
        let mut held_since = None;
        // Each step begins, ends or waits for one of these.
        let most: usize = self.places.iter().map(|place| most(place.approach)).sum();
        for _ in 0..=most * 6 + 6 {
            match self.plan.next(self.now) {
                Step::Start { id, target, kind } => self.start(id, target, kind)?,
                Step::Abandon(id) => {
                    let tried = self.tried.get_mut(&id).filter(|tried| !tried.over);
                    let Some(tried) = tried else { return Err(TestCaseError::fail("abandons what is over")) };
                    // Whatever would have become of it.
                    (tried.over, tried.fate) = (true, Fate::Silence);
                    let since = self.now - tried.began;
                    prop_assert!(self.timing.attempt.is_some_and(|limit| since >= limit), "too early");
                    self.failed_since = true;
                }
                Step::Take(id) => {
                    prop_assert_eq!(Some(id), self.held);
                    let kept = self.now - held_since.unwrap_or(self.now);
                    prop_assert!(kept <= self.timing.grace + self.late, "kept back for {:?}", kept);
                    return Ok(Some(id));
                }
                Step::Exhausted => {
                    prop_assert!(self.held.is_none(), "loses a connection");
                    prop_assert!(self.running().next().is_none(), "leaves attempts behind");
                    return Ok(None);
                }
                Step::Wait(until) => {
                    prop_assert!(self.running().next().is_some(), "waits for nothing");
                    prop_assert!(until.is_none_or(|until| until > self.now), "waits for the past");
                    let begun = self.tried.values().map(|tried| tried.place + 1).max().unwrap_or(0);
                    let more = begun < self.places.len() && self.held.is_none();
                    prop_assert!(!more || !self.failed_since, "a failure lets the next address wait");
                    let event = self.running().filter_map(|(_, tried)| tried.ends()).min();
                    let Some(wake) = event.into_iter().chain(until).min() else {
                        // Nobody answers, and nobody set a limit: the kernel would give up one day.
                        for (id, _) in self.running().collect::<Vec<_>>() {
                            self.tried.get_mut(&id).into_iter().for_each(|tried| tried.over = true);
                            self.plan.failed(id, self.now, Failure::Other);
                            self.failed_since = true;
                        }
                        continue;
                    };
                    let late = MS(oversleeps.next().unwrap_or(0));
                    self.late = self.late.max(late);
                    self.now = self.now.max(wake) + late;
                    if let Some(id) = self.tell()? {
                        return Ok(Some(id));
                    }
                    held_since = held_since.or(self.held.map(|_| self.now));
                }
            }
        }
        Err(TestCaseError::fail("the plan does not end"))
    }
}

/// How many attempts an address is worth.
const fn most(approach: Approach) -> usize {
    match approach {
        Approach::Plain | Approach::TcpOnly => 1,
        Approach::Retest => 2,
        Approach::Race => 3,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 16 } else { 1024 }))]

    #[test]
    fn whatever_the_network_does_the_plan_keeps_its_promises(
        places in prop::collection::vec(place(), 0..6),
        limit in prop::option::of(1u64..2000),
        oversleeps in prop::collection::vec(0u64..300, 0..20),
    ) {
        let timing = Timing { attempt: limit.map(MS), ..Timing::default() };
        let mut driver = Driver::new(places.clone(), timing);
        let taken = driver.run(oversleeps.into_iter())?;
        let Some(id) = taken else {
            for (place, _) in places.iter().enumerate() {
                let begun = driver.tried.values().any(|tried| tried.place == place);
                prop_assert!(begun, "address {} starved", place);
            }
            let connected = driver.tried.values().any(|tried| tried.over && matches!(tried.fate, Fate::Connects(_))
                && limit.is_none());
            prop_assert!(!connected, "a connection is lost");
            return Ok(());
        };
        let taken = driver.tried[&id];
        prop_assert!(matches!(taken.fate, Fate::Connects(_)));
        // What is learnt is what the network is like.
        let place = &places[taken.place];
        let resets = driver.of_place(taken.place, Kind::Wanted).any(|tried| tried.over && matches!(tried.fate, Fate::Resets(_)));
        let silent = driver.of_place(taken.place, Kind::Wanted).all(|tried| !tried.over);
        match driver.plan.lesson(id) {
            Lesson::MptcpPasses => prop_assert!(taken.kind == Kind::Wanted),
            Lesson::MptcpReset => prop_assert!(taken.kind == Kind::PlainTcp && resets),
            Lesson::MptcpDropped => prop_assert!(taken.kind == Kind::PlainTcp && silent),
            Lesson::Nothing => {
                let learns = matches!(place.approach, Approach::Race | Approach::Retest);
                prop_assert!(!learns || (taken.kind == Kind::PlainTcp && !resets));
            }
        }
    }

    /// Where MPTCP is answered no later than TCP, it is MPTCP that is taken, however long the way is.
    #[test]
    fn a_way_that_bears_mptcp_gets_it(
        round_trip in 0u64..3000,
        lost in any::<bool>(),
        places in prop::collection::vec(place(), 0..4),
    ) {
        let answered = Fate::Connects(round_trip);
        let first = Place {
            approach: Approach::Race,
            fates: [if lost { Fate::Silence } else { answered }, answered, answered],
        };
        // Others that never connect change nothing.
        let others = places.into_iter().map(|place| Place {
            fates: place.fates.map(|fate| if let Fate::Connects(after) = fate { Fate::Fails(after) } else { fate }),
            ..place
        });
        let mut driver = Driver::new(std::iter::once(first).chain(others).collect(), Timing::default());
        let Some(id) = driver.run(std::iter::empty())? else { return Err(TestCaseError::fail("no connection")) };
        prop_assert_eq!((driver.tried[&id].place, driver.tried[&id].kind), (0, Kind::Wanted));
    }
}
