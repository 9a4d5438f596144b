//! The scheduler with lanes that do whatever connections do, in any order: bring bytes in pieces, break, stall, wait for the
//! reader or the disk, are ended from outside while they still put what they have, bring what was damaged. The body is known,
//! so that every byte that is put can be checked, and where it ends up too.

use bytes::Bytes;
use futures_util::FutureExt as _;
use proptest::prelude::*;

use super::{
    assembly::Assembly,
    plan::{LaneId, LeaseId, Order, Plan, Speed},
    ranges::Ranges,
};

const LANES: usize = 4;
const WINDOW: u64 = 2048;
/// The most that a connection brings at a time.
const PIECE: usize = 500;

/// The byte at a place: its neighbours are others, and so is what is a piece away.
const fn byte_at(place: u64) -> u8 {
    (place.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8
}

fn body(range: std::ops::Range<u64>) -> Bytes {
    range.map(byte_at).collect()
}

#[derive(Clone, Debug)]
enum Event {
    /// A lane that has nothing to do looks for something.
    Take(LaneId, u64),
    /// So many bytes come over a lane's connection.
    Bring(LaneId, usize),
    /// The connection breaks.
    Break(LaneId),
    /// The fetch is ended from outside; what it was about to put is put all the same, at once or much later.
    Abort(LaneId, bool),
    /// What is put late is put now.
    Late,
    Stall(LaneId, Option<u8>),
    /// Nothing of an answer was what it should be.
    Spoil(LaneId),
    /// Its lease ends so many bytes further on.
    Shorten(LaneId, u64),
    /// The reader takes a piece.
    Read,
    /// The disk takes nothing, or does again.
    Disk(bool),
    /// The length is told, where it was not known.
    Length,
    /// The process is killed, and another goes on with what was stored.
    Restart,
}

fn event() -> impl Strategy<Value = Event> {
    let lane = || 0..LANES;
    prop_oneof![
        6 => (lane(), prop_oneof![Just(u64::MAX), 1..5000u64]).prop_map(|(lane, most)| Event::Take(lane, most)),
        12 => (lane(), 1..=PIECE).prop_map(|(lane, len)| Event::Bring(lane, len)),
        2 => lane().prop_map(Event::Break),
        2 => (lane(), any::<bool>()).prop_map(|(lane, late)| Event::Abort(lane, late)),
        1 => Just(Event::Late),
        2 => (lane(), prop::option::of(0..6u8)).prop_map(|(lane, stalled)| Event::Stall(lane, stalled)),
        1 => lane().prop_map(Event::Spoil),
        1 => (lane(), 0..5000u64).prop_map(|(lane, ahead)| Event::Shorten(lane, ahead)),
        4 => Just(Event::Read),
        2 => any::<bool>().prop_map(Event::Disk),
        1 => Just(Event::Length),
        1 => Just(Event::Restart),
    ]
}

/// Where the bytes go.
enum Sink {
    /// Byte by byte, what is there, and whether it takes more now.
    File(Vec<Option<u8>>, bool),
    Reader {
        assembly: Assembly,
        got: u64,
    },
}

/// A connection in use.
struct Fetch {
    lease: LeaseId,
    /// Where its answer began.
    start: u64,
    /// A piece that has arrived and waits for room.
    waits: Option<(u64, Bytes)>,
    /// Whether some of it was not put: no more is read before.
    over: bool,
}

struct World {
    length: u64,
    plan: Plan,
    sink: Sink,
    fetches: [Option<Fetch>; LANES],
    stalled: [Option<f64>; LANES],
    late: Vec<(u64, Bytes)>,
    /// How many bytes have come, and how many of them were lost with their fetch, or spoilt.
    brought: u64,
    lost: u64,
}

type Checked = Result<(), TestCaseError>;

impl World {
    fn new(length: u64, known: bool, sequential: bool) -> Self {
        let order = if sequential { Order::Sequential { window: WINDOW } } else { Order::Any };
        let sink = if sequential {
            Sink::Reader { assembly: Assembly::new(WINDOW), got: 0 }
        } else {
            Sink::File(vec![None; usize::try_from(length).unwrap_or(0)], true)
        };
        let mut plan = Plan::new(if known { length } else { u64::MAX }, order, Ranges::default());
        let lease = plan.lease_all_from(0, 0);
        let mut fetches = [const { None }; LANES];
        fetches[0] = Some(Fetch { lease, start: 0, waits: None, over: false });
        let (stalled, late) = ([None; LANES], Vec::new());
        Self { length, plan, sink, fetches, stalled, late, brought: 0, lost: 0 }
    }

    fn is_known(&self) -> bool {
        self.plan.total() != u64::MAX
    }

    fn take(&mut self, lane: LaneId, most: u64) -> Checked {
        // As the engine has it: others come in once the length is known.
        if self.fetches[lane].is_some() || !self.is_known() {
            return Ok(());
        }
        let stalled = self.stalled;
        let speed = move |lane: LaneId| Speed {
            rate: (lane != 3).then_some(1e6 * (lane + 1) as f64),
            latency: 0.02,
            stalled: stalled[lane],
            suspect: lane == 3,
            link: lane % 3,
            sharing: 2,
            idle: 1 + (lane % 2) as u32,
        };
        let Some(lease) = self.plan.take(lane, most, &speed) else { return Ok(()) };
        let (start, end) = self.plan.lease(lease).map(|lease| (lease.pos, lease.end)).unwrap_or_default();
        prop_assert!(start < end && end <= self.length, "nothing, or more than there is: {start}..{end}");
        prop_assert!(end - start <= most || matches!(self.sink, Sink::Reader { .. }), "more than it may");
        // Whoever is relieved may have put a piece that goes beyond it.
        prop_assert!(start < self.plan.horizon().saturating_add(PIECE as u64), "beyond the window");
        self.fetches[lane] = Some(Fetch { lease, start, waits: None, over: false });
        Ok(())
    }

    fn bring(&mut self, lane: LaneId, len: usize) -> Checked {
        let Some(fetch) = &mut self.fetches[lane] else { return Ok(()) };
        if fetch.waits.is_none() {
            let (pos, id) = (self.plan.lease(fetch.lease).map_or(0, |lease| lease.pos), fetch.lease);
            let len = len.min(usize::try_from(self.length - pos).unwrap_or(len));
            let arrived = self.plan.arrived(id, len);
            prop_assert!(arrived.len <= len && arrived.offset == pos);
            self.brought += arrived.len as u64;
            fetch.waits = Some((pos, body(pos..pos + arrived.len as u64)));
            fetch.over = arrived.over;
        }
        self.settle(lane)
    }

    /// Puts what waits, if there is room, and looks whether the fetch is done.
    fn settle(&mut self, lane: LaneId) -> Checked {
        let Some(fetch) = &mut self.fetches[lane] else { return Ok(()) };
        let (id, over) = (fetch.lease, fetch.over);
        if let Some((offset, piece)) = fetch.waits.take() {
            if !put(&mut self.sink, offset, &piece) {
                fetch.waits = Some((offset, piece));
                return Ok(());
            }
            self.plan.stored(id);
        }
        let pos = self.plan.lease(id).map_or(0, |lease| lease.pos);
        if !self.is_known() && pos == self.length {
            // The answer has ended: only now the length is known.
            self.plan.set_total(pos);
        }
        let done = over || self.plan.lease(id).is_none_or(|lease| lease.left() == 0);
        if done && !self.plan.extend(id) {
            self.plan.release(id);
            self.fetches[lane] = None;
        } else if let Some(fetch) = &mut self.fetches[lane] {
            fetch.over = false;
        }
        Ok(())
    }

    /// Ends a fetch; gives what it had not put yet.
    fn end(&mut self, lane: LaneId) -> Option<(u64, Bytes)> {
        let fetch = self.fetches[lane].take()?;
        self.plan.release(fetch.lease);
        let waits = fetch.waits?;
        self.lost += waits.1.len() as u64;
        Some(waits)
    }

    fn act(&mut self, event: &Event) -> Checked {
        match *event {
            Event::Take(lane, most) => self.take(lane, most)?,
            Event::Bring(lane, len) => self.bring(lane, len)?,
            Event::Break(lane) => drop(self.end(lane)),
            Event::Abort(lane, late) => {
                // It was just about to put what came: not as long as it waits for room.
                let next = self.fetches[lane].as_ref().and_then(|fetch| self.plan.lease(fetch.lease));
                let next =
                    next.map(|lease| (lease.pos, lease.end.min(lease.pos + PIECE as u64).min(self.length)));
                if self.fetches[lane].as_ref().is_some_and(|fetch| fetch.waits.is_some()) {
                    self.end(lane);
                } else if let Some((pos, end)) = next.filter(|(pos, end)| pos < end) {
                    self.end(lane);
                    self.brought += end - pos;
                    self.lost += end - pos;
                    self.late.push((pos, body(pos..end)));
                    if !late {
                        self.put_late();
                    }
                }
            }
            Event::Late => self.put_late(),
            Event::Stall(lane, stalled) => self.stalled[lane] = stalled.map(f64::from),
            Event::Spoil(lane) => self.spoil(lane),
            Event::Shorten(lane, ahead) => {
                let id = self.fetches[lane].as_ref().map(|fetch| fetch.lease);
                id.into_iter().for_each(|id| self.plan.shorten(id, ahead));
                self.settle(lane)?;
            }
            Event::Read => self.read()?,
            Event::Disk(takes) => self.disk(takes)?,
            Event::Length if !self.is_known() => self.plan.set_total(self.length),
            Event::Restart => self.restart(),
            Event::Length => {}
        }
        self.check()
    }

    fn put_late(&mut self) {
        if let Some((offset, piece)) = self.late.pop() {
            put(&mut self.sink, offset, &piece);
        }
    }

    /// As the engine: only a file can be gone back to.
    fn spoil(&mut self, lane: LaneId) {
        let Sink::File(bytes, _) = &mut self.sink else { return };
        let Some(fetch) = self.fetches[lane].take_if(|fetch| fetch.waits.is_none()) else { return };
        let end = self.plan.lease(fetch.lease).map_or(fetch.start, |lease| lease.pos);
        for place in fetch.start..end {
            bytes[place as usize] = None;
        }
        self.lost += end - fetch.start;
        self.plan.spoilt(fetch.start..end);
        self.plan.release(fetch.lease);
    }

    fn read(&mut self) -> Checked {
        let Sink::Reader { assembly, got } = &mut self.sink else { return Ok(()) };
        if let Some(Some(piece)) = assembly.take().now_or_never() {
            prop_assert_eq!(&piece, &body(*got..*got + piece.len() as u64), "from {}", got);
            *got += piece.len() as u64;
        }
        self.plan.set_read(assembly.next());
        self.go_on()
    }

    fn disk(&mut self, takes: bool) -> Checked {
        if let Sink::File(_, now) = &mut self.sink {
            *now = takes;
        }
        self.go_on()
    }

    /// What waits is put, as far as there is room now.
    fn go_on(&mut self) -> Checked {
        for lane in 0..LANES {
            if self.fetches[lane].as_ref().is_some_and(|fetch| fetch.waits.is_some()) {
                self.settle(lane)?;
            }
        }
        Ok(())
    }

    fn restart(&mut self) {
        if let (true, Sink::File(..)) = (self.is_known(), &self.sink) {
            for lane in 0..LANES {
                self.end(lane);
            }
            let mut plan = Plan::new(self.length, Order::Any, self.plan.received().clone());
            plan.follow(&self.plan);
            self.plan = plan;
        }
    }

    /// What always holds.
    fn check(&self) -> Checked {
        let received = self.plan.received();
        // Every byte is received or to be had of exactly one: nobody has what another has, or what is here.
        let mut all = received.clone();
        let mut sum = received.len();
        for lease in self.plan.leases() {
            let stored = lease.pos - self.waiting(lease.id);
            prop_assert!(lease.pos <= lease.end && lease.end <= self.plan.total());
            sum += lease.end - stored;
            all.insert(stored..lease.end);
        }
        prop_assert_eq!(sum, all.len(), "bytes that two have: {:?}", &self.plan);
        let free = all.missing(0..self.plan.total());
        prop_assert_eq!(
            free.iter().next().map(|range| range.start),
            self.plan.first_free(),
            "{:?}",
            &self.plan
        );
        match &self.sink {
            Sink::File(bytes, _) => {
                for range in received.iter() {
                    for place in range {
                        prop_assert_eq!(bytes[place as usize], Some(byte_at(place)), "byte {}", place);
                    }
                }
            }
            Sink::Reader { assembly, .. } => {
                // Those who wait hold a piece each; what was put late may lie beside what was fetched in its place.
                let most = WINDOW as usize + LANES * PIECE;
                prop_assert!(assembly.covered() <= most, "{} bytes wait for the reader", assembly.covered());
            }
        }
        // Nothing is fetched twice but what was lost.
        prop_assert!(self.brought <= self.length + self.lost, "{} + {}", self.length, self.lost);
        Ok(())
    }

    /// Bytes that have arrived for a lease and are not stored.
    fn waiting(&self, id: LeaseId) -> u64 {
        let fetch = self.fetches.iter().flatten().find(|fetch| fetch.lease == id);
        fetch.and_then(|fetch| fetch.waits.as_ref()).map_or(0, |(_, piece)| piece.len() as u64)
    }

    /// From here on all goes well, over one lane: everything comes, with few requests.
    fn finish(&mut self) -> Checked {
        self.stalled = [Some(9.0); LANES];
        self.stalled[1] = None;
        self.disk(true)?;
        let mut requests = 0;
        let most = 4 * (self.length / (WINDOW / 8) + 50);
        for _ in 0..20_000 {
            if self.plan.is_complete() {
                break;
            }
            self.read()?;
            if self.fetches[1].is_none() {
                if !self.is_known() {
                    // Nobody but the first can ask for what has no known end.
                    let first = self.plan.first_free();
                    if let (true, Some(first)) = (self.fetches[0].is_none(), first) {
                        let lease = self.plan.lease_all_from(0, first);
                        self.fetches[0] = Some(Fetch { lease, start: first, waits: None, over: false });
                    }
                    self.bring(0, PIECE)?;
                    continue;
                }
                requests += 1;
                self.take(1, u64::MAX)?;
            }
            self.bring(1, PIECE)?;
            // Those that are given up are ended by the engine; their work is taken, and so they have none.
            for lane in [0, 2, 3] {
                let id = self.fetches[lane].as_ref().map(|fetch| fetch.lease);
                if id.and_then(|id| self.plan.lease(id)).is_some_and(|lease| lease.left() == 0) {
                    self.settle(lane)?;
                }
            }
            self.check()?;
        }
        prop_assert!(self.plan.is_complete(), "it does not end: {:?}", &self.plan);
        prop_assert!(requests <= most, "{requests} requests for {} bytes", self.length);
        while let Sink::Reader { got, .. } = &self.sink {
            let before = *got;
            self.read()?;
            if let Sink::Reader { got, .. } = &self.sink
                && *got == before
            {
                prop_assert_eq!(*got, self.length, "the reader misses bytes");
                break;
            }
        }
        if let Sink::File(bytes, _) = &self.sink {
            prop_assert!(bytes.iter().all(Option::is_some));
        }
        Ok(())
    }
}

/// Whether there was room.
fn put(sink: &mut Sink, offset: u64, piece: &Bytes) -> bool {
    match sink {
        Sink::File(_, false) => false,
        Sink::File(bytes, true) => {
            for (place, byte) in bytes.iter_mut().skip(offset as usize).zip(piece) {
                *place = Some(*byte);
            }
            true
        }
        Sink::Reader { assembly, .. } => assembly.put(offset, piece.clone()).now_or_never().is_some(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn no_order_of_events_loses_a_byte_or_exceeds_a_bound(
        length in 1u64..30_000,
        known in any::<bool>(),
        sequential in any::<bool>(),
        events in prop::collection::vec(event(), 0..200),
    ) {
        let mut world = World::new(length, known, sequential);
        for event in &events {
            world.act(event)?;
        }
        world.finish()?;
    }

    /// Whatever pieces of a body come in whatever order, some of them twice and in other cuts: what is there comes out,
    /// once, in order.
    #[test]
    fn pieces_that_overlap_are_put_together(
        steps in prop::collection::vec((0u64..40, 0u64..15, any::<bool>()), 0..40),
    ) {
        let assembly = Assembly::new(1000);
        let (mut there, mut got) = (Ranges::default(), 0);
        let mut take = |all: bool| -> Checked {
            while let Some(Some(piece)) = assembly.take().now_or_never() {
                prop_assert_eq!(&piece, &body(got..got + piece.len() as u64));
                got += piece.len() as u64;
                if !all {
                    break;
                }
            }
            Ok(())
        };
        for (offset, len, read) in steps {
            assembly.put(offset, body(offset..offset + len)).now_or_never();
            there.insert(offset..offset + len);
            if read {
                take(false)?;
            }
        }
        take(true)?;
        prop_assert_eq!(got, there.starting_at(0).map_or(0, |range| range.end), "of {:?}", there);
    }
}
