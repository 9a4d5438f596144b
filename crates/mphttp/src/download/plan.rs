//! Who fetches which bytes. Pure: no I/O, no clock; speeds are told.
//!
//! Every byte of the body is received, free, or *leased* to a lane (a connection, or the way to one): always exactly one of
//! the three. A lane that has nothing to do takes what is free; where nothing is, it takes a share of what another lane has
//! still before it, such that both end at the same time. So a fast link relieves a slow one, whatever either turns out to
//! be, and a dead one is relieved of everything. Requests are few and large, since each costs a round trip.

use std::ops::Range;

use super::ranges::Ranges;

/// Less than this is not worth a request of its own, in bytes.
const LEAST: u64 = 64 << 10;

/// Nor is what saves less time than this beyond the request's own, in seconds.
const LEAST_SECONDS: f64 = 0.03;

/// What a server sends before the first acknowledgement, in bytes (RFC 6928: ten segments).
const FIRST_FLIGHT: f64 = 14_600.0;

/// What is taken for a rate where none is known, in bytes a second.
pub(super) const USUAL: f64 = 5e6;

/// What a lane of unknown speed that has failed before is trusted with, in bytes.
const PROBE: u64 = 256 << 10;

/// In order: how long a piece is to take, in seconds, and how many of them fit into the window.
const PIECE_SECONDS: f64 = 0.5;
const PIECES: u64 = 8;

/// A lane that has been silent for so many seconds is given up.
pub(super) const LOST_SECONDS: f64 = 2.0;

/// The number of a lane.
pub(super) type LaneId = usize;

/// The number of a lease, never used again.
pub(super) type LeaseId = u64;

/// In which order the bytes are wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Any: they go to a file.
    Any,
    /// From the first to the last, at most so many bytes ahead of who reads them.
    Sequential { window: u64 },
}

/// What is known of a lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Speed {
    /// Bytes a second; `None` before it has been measured.
    pub(super) rate: Option<f64>,
    /// Seconds from a request over a new connection to its first byte: two round trips.
    pub(super) latency: f64,
    /// For how many seconds it has received nothing of what it asked for, if that is longer than usual.
    pub(super) stalled: Option<f64>,
    /// Whether its latest attempt failed.
    pub(super) suspect: bool,
    /// The link that it uses, by the number of its first lane.
    pub(super) link: LaneId,
    /// How many lanes use that link, and how many of them have nothing to do: at least 1, this one.
    pub(super) sharing: u32,
    pub(super) idle: u32,
}

impl Speed {
    /// The rate of all lanes of the link, as far as this one's says it.
    fn of_link(&self) -> Option<f64> {
        self.rate.map(|rate| rate * f64::from(self.sharing))
    }

    /// Its rate, or what is left to believe where the link is taken for one of that rate.
    fn rate_or(&self, link: f64) -> f64 {
        self.rate.unwrap_or(link / f64::from(self.sharing))
    }
}

/// Bytes that a lane fetches: `pos..end` are still to come.
#[derive(Clone, Debug)]
pub(super) struct Lease {
    pub(super) id: LeaseId,
    pub(super) lane: LaneId,
    start: u64,
    /// What is before this has been handed over; what has come since may still be lost with the fetch.
    stored: u64,
    pub(super) pos: u64,
    pub(super) end: u64,
    /// How far the answer reaches, which may be further than is wanted of it now.
    pub(super) limit: u64,
}

impl Lease {
    pub(super) fn left(&self) -> u64 {
        self.end - self.pos
    }

    /// Whether nothing has come of it.
    pub(super) fn is_fresh(&self) -> bool {
        self.pos == self.start
    }
}

/// What to do with bytes that have arrived: those before are not wanted (any more).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrived {
    /// Where they belong.
    pub(super) offset: u64,
    /// How many of them are wanted.
    pub(super) len: usize,
    /// Whether no more are.
    pub(super) over: bool,
}

#[derive(Debug)]
pub(super) struct Plan {
    total: u64,
    order: Order,
    /// How much has been read, in order.
    read: u64,
    received: Ranges,
    free: Ranges,
    leases: Vec<Lease>,
    next: LeaseId,
}

impl Plan {
    /// A plan for a body of `total` bytes, of which those in `received` are there already.
    pub(super) fn new(total: u64, order: Order, received: Ranges) -> Self {
        let free = received.missing(0..total);
        Self { total, order, read: 0, received, free, leases: Vec::new(), next: 0 }
    }

    /// Numbers its leases on where another plan's end.
    pub(super) const fn follow(&mut self, other: &Self) {
        self.next = other.next;
    }

    pub(super) const fn total(&self) -> u64 {
        self.total
    }

    /// The length has turned out to be this.
    pub(super) fn set_total(&mut self, total: u64) {
        for lease in &mut self.leases {
            lease.end = lease.end.min(total).max(lease.pos);
            lease.limit = lease.limit.min(total);
        }
        self.free.remove(total..u64::MAX);
        self.total = total;
    }

    pub(super) const fn received(&self) -> &Ranges {
        &self.received
    }

    pub(super) fn is_complete(&self) -> bool {
        self.received.len() >= self.total
    }

    /// Bytes that are neither here nor asked for.
    pub(super) fn has_free(&self) -> bool {
        self.free.iter().any(|range| range.start < self.horizon())
    }

    pub(super) fn leases(&self) -> &[Lease] {
        &self.leases
    }

    pub(super) fn lease(&self, id: LeaseId) -> Option<&Lease> {
        self.leases.iter().find(|lease| lease.id == id)
    }

    fn lease_mut(&mut self, id: LeaseId) -> Option<&mut Lease> {
        self.leases.iter_mut().find(|lease| lease.id == id)
    }

    pub(super) fn of_lane(&self, lane: LaneId) -> impl Iterator<Item = &Lease> {
        self.leases.iter().filter(move |lease| lease.lane == lane)
    }

    /// Bytes up to `read` have been read.
    pub(super) fn set_read(&mut self, read: u64) {
        self.read = read;
    }

    /// Bytes from here on are not wanted yet.
    pub(super) fn horizon(&self) -> u64 {
        match self.order {
            Order::Any => u64::MAX,
            Order::Sequential { window } => self.read.saturating_add(window),
        }
    }

    /// The first byte that nobody has received.
    pub(super) fn first_missing(&self) -> u64 {
        self.received.starting_at(0).map_or(0, |range| range.end)
    }

    /// The first byte that is neither here nor asked for.
    pub(super) fn first_free(&self) -> Option<u64> {
        self.free.iter().next().map(|range| range.start)
    }

    /// Leases everything from `start` to the end of the free range there.
    pub(super) fn lease_all_from(&mut self, lane: LaneId, start: u64) -> LeaseId {
        let end = self.free.iter().find(|range| range.contains(&start)).map_or(start, |range| range.end);
        self.grant(lane, start..end)
    }

    fn grant(&mut self, lane: LaneId, range: Range<u64>) -> LeaseId {
        let id = self.next;
        self.next += 1;
        self.free.remove(range.clone());
        let Range { start, end } = range;
        self.leases.push(Lease { id, lane, start, stored: start, pos: start, end, limit: end });
        id
    }

    /// `len` more bytes have arrived for a lease, the next ones after those before. They count once they are stored.
    pub(super) fn arrived(&mut self, id: LeaseId, len: usize) -> Arrived {
        let Some(lease) = self.lease_mut(id) else { return Arrived { offset: 0, len: 0, over: true } };
        let wanted = (len as u64).min(lease.left());
        let offset = lease.pos;
        lease.pos += wanted;
        let over = lease.pos >= lease.end;
        Arrived { offset, len: usize::try_from(wanted).unwrap_or(len), over }
    }

    /// All that has arrived for a lease is where it belongs.
    pub(super) fn stored(&mut self, id: LeaseId) {
        let Some(lease) = self.lease_mut(id) else { return };
        let range = lease.stored..lease.pos;
        lease.stored = lease.pos;
        self.received.insert(range);
    }

    /// What arrived from `range` on was not what it should be: it is wanted again.
    pub(super) fn spoilt(&mut self, range: Range<u64>) {
        self.received.remove(range.clone());
        self.free.insert(range);
    }

    /// A lease is over, for whatever reason; what of it is not stored is free again.
    pub(super) fn release(&mut self, id: LeaseId) -> Option<Lease> {
        let index = self.leases.iter().position(|lease| lease.id == id)?;
        let lease = self.leases.swap_remove(index);
        self.free.insert(lease.stored..lease.end);
        Some(lease)
    }

    /// Lets a lease go on to what is free after it, if its answer reaches that far.
    pub(super) fn extend(&mut self, id: LeaseId) -> bool {
        let free = self.lease(id).and_then(|lease| {
            let free = self.free.starting_at(lease.end)?;
            let end = free.end.min(lease.limit);
            (end > free.start).then_some(free.start..end)
        });
        let Some(free) = free else { return false };
        self.free.remove(free.clone());
        if let Some(lease) = self.lease_mut(id) {
            lease.end = free.end;
        }
        true
    }

    /// In order: ends leases early, so that no answer goes on for longer than is useful beside those of others.
    pub(super) fn shorten(&mut self, id: LeaseId, ahead: u64) {
        let Some(lease) = self.lease_mut(id) else { return };
        let end = lease.pos.saturating_add(ahead).min(lease.end);
        let free = end..lease.end;
        lease.end = end;
        self.free.insert(free);
    }

    /// Gives a lane that has nothing (more) to do something, if there is anything that it can do in time; at most so many bytes.
    pub(super) fn take(
        &mut self,
        lane: LaneId,
        most: u64,
        speed: &impl Fn(LaneId) -> Speed,
    ) -> Option<LeaseId> {
        let range = match self.order {
            Order::Any => self.any(lane, most, speed),
            Order::Sequential { window } => self.next_piece(lane, window, speed),
        }?;
        Some(self.grant(lane, range))
    }

    fn any(&mut self, lane: LaneId, most: u64, speed: &impl Fn(LaneId) -> Speed) -> Option<Range<u64>> {
        let mine = speed(lane);
        let most = if mine.rate.is_none() && mine.suspect { PROBE.min(most) } else { most };
        if let Some(range) = self.free.iter().max_by_key(|range| range.end - range.start) {
            return Some(range.start..range.end.min(range.start.saturating_add(most)));
        }
        // Whoever would take longest.
        let time = |lease: &Lease| {
            let theirs = speed(lease.lane);
            let rate = if theirs.stalled.is_some() { Some(1.0) } else { theirs.rate.or(mine.rate) };
            lease.left() as f64 / rate.unwrap_or(USUAL).max(1.0)
        };
        let victim = self
            .leases
            .iter()
            .filter(|lease| lease.lane != lane && lease.left() > 0)
            // Those that share a link don't help each other: what one brings, the others don't.
            .filter(|lease| {
                let theirs = speed(lease.lane);
                theirs.link != mine.link || theirs.stalled.is_some()
            })
            .max_by(|a, b| time(a).total_cmp(&time(b)))?;
        let own = self.of_lane(lane).map(Lease::left).sum();
        let theirs = speed(victim.lane);
        let mates: Vec<(u64, Speed)> = self
            .leases
            .iter()
            .filter(|lease| lease.id != victim.id && lease.left() > 0)
            .map(|lease| (lease.left(), speed(lease.lane)))
            .filter(|(_, speed)| speed.link == theirs.link && speed.stalled.is_none())
            .collect();
        let share = share(victim.left(), &mine, own, &theirs, &mates)?;
        self.steal(victim.id, share.min(most))
    }

    /// Takes the last `share` bytes of a lease.
    fn steal(&mut self, id: LeaseId, share: u64) -> Option<Range<u64>> {
        let victim = self.lease_mut(id)?;
        let range = victim.end - share.min(victim.left())..victim.end;
        victim.end = range.start;
        (range.start < range.end).then_some(range)
    }

    fn next_piece(
        &mut self,
        lane: LaneId,
        window: u64,
        speed: &impl Fn(LaneId) -> Speed,
    ) -> Option<Range<u64>> {
        let (mine, horizon, first) = (speed(lane), self.horizon(), self.first_missing());
        // Whoever holds up everything is relieved, if there is no hope that it comes by itself.
        let head =
            self.leases.iter().find(|lease| lease.pos == first && lease.lane != lane && lease.left() > 0);
        if let Some(head) = head
            && speed(head.lane).stalled.is_some()
        {
            let (id, left) = (head.id, head.left());
            return self.steal(id, left);
        }
        let most = (window / PIECES).max(1);
        let size = match mine.rate {
            Some(rate) => (rate * PIECE_SECONDS) as u64,
            None => PROBE,
        };
        let size = size.clamp(PROBE.min(most), most);
        let free = self.free.iter().find(|range| range.start < horizon)?;
        Some(free.start..free.end.min(free.start.saturating_add(size)).min(horizon))
    }
}

/// How much of a lease of which `left` bytes are left another lane, which still has `own` bytes to fetch, should take, so that
/// both end together, and with them the `mates`: other leases of lanes that share the victim's link, with what is left of
/// them. `None` if it is not worth it.
fn share(left: u64, mine: &Speed, own: u64, theirs: &Speed, mates: &[(u64, Speed)]) -> Option<u64> {
    match theirs.stalled {
        // Nothing will come any more.
        Some(seconds) if seconds > LOST_SECONDS => return Some(left),
        // Perhaps something will: half of it is what the other could do if it came back.
        Some(_) if left > 2 * LEAST => return Some(left / 2),
        Some(_) => return Some(left),
        None => {}
    }
    // Who is not known is taken for an equal.
    let usual = mine.of_link().or(theirs.of_link()).unwrap_or(USUAL);
    let (mine_rate, theirs_rate) = (mine.rate_or(usual), theirs.rate_or(usual));
    if mine_rate <= 0.0 || theirs_rate <= 0.0 {
        return None;
    }
    // What is busy until then can't begin earlier, nor before the request is answered; and a new connection has to find its
    // speed first, doubling what it sends with every round trip.
    let round_trip = mine.latency / 2.0;
    let doublings = (mine_rate * round_trip / FIRST_FLIGHT).max(1.0).log2();
    let begin = (own as f64 / mine_rate).max(mine.latency) + round_trip * (doublings - 1.0).max(0.0);
    // All who are on either link are to end together.
    let helpers = f64::from(mine.idle);
    let link_left = mates.iter().map(|(left, _)| *left).sum::<u64>().saturating_add(left);
    let link_rate = mates.iter().map(|(_, mate)| mate.rate_or(usual)).sum::<f64>() + theirs_rate;
    let rest = (link_left as f64 - link_rate * begin).max(0.0);
    let until = begin + rest / (link_rate + mine_rate * helpers);
    let share = ((left as f64 - theirs_rate * until).max(0.0) / helpers) as u64;
    // What is won must be worth the request, and the victim's connection, which is lost with it.
    let won = share as f64 / theirs_rate;
    (share >= LEAST && won > mine.latency / 2.0 + LEAST_SECONDS).then_some(share)
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
