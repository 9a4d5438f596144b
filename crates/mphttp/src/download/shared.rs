//! What all who work on a download know: the plan, the lanes and how fast they are, and where bytes go.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use mptcp_socket::{Transport, Watch};

use super::{
    assembly::Assembly,
    checksum::Tally,
    meter::Meter,
    part::{Pen, Stopped},
    plan::{Arrived, LaneId, LeaseId, Plan, Speed, USUAL},
};

/// A connection needs so many of its latencies to find its speed; what it brings before says little of it.
const METER_LATENCIES: f64 = 6.0;

/// Silence that is no news; on a lane with a longer round trip, so many of them.
const QUIET: f64 = 0.3;
const QUIET_LATENCIES: f64 = 4.0;

/// Silence that is no news before the first byte of an answer.
const QUIET_AT_FIRST: f64 = 1.0;

/// How many lanes a far link gets: a connection needs so many round trips to find its speed that it is over before on most.
pub(super) const FAR_LANES: u32 = 4;

/// How far ahead they are, in times what the link is believed to hold, and at the least, in bytes; and how much of that is
/// used by one that could do with more.
const WINDOW: f64 = 1.15;
const LEAST_WINDOW: f64 = 65_536.0;
const FULL: f64 = 0.95;

/// What is taken for a lane's latency, in seconds, before it is known.
const LATENCY: f64 = 0.2;

/// Where bytes are put.
pub(super) enum Sink {
    File(Pen),
    Reader(Arc<Assembly>),
    Nowhere(Mutex<Tally>),
}

impl Sink {
    pub(super) async fn put(&self, offset: u64, bytes: Bytes) -> Result<(), Stopped> {
        match self {
            Self::File(pen) => pen.put(offset, bytes).await,
            Self::Reader(assembly) => {
                assembly.put(offset, bytes).await;
                Ok(())
            }
            Self::Nowhere(tally) => {
                tally.lock().unwrap_or_else(PoisonError::into_inner).update(offset, &bytes);
                Ok(())
            }
        }
    }
}

/// Shared by the engine and its fetches.
pub(super) struct Shared {
    state: Mutex<State>,
    pub(super) sink: Sink,
}

pub(super) struct State {
    pub(super) plan: Plan,
    pub(super) lanes: Vec<Lane>,
    activity: HashMap<LeaseId, Activity>,
    /// When bytes last came, over whatever lane; before the first, when it all began.
    pub(super) last: Instant,
    pub(super) max_gap: Duration,
}

/// A way to the server, with the connections made over it.
pub(super) struct Lane {
    /// The interface; `None`: as the routes say.
    pub(super) interface: Option<String>,
    /// Of the lane that follows the routes: the one interface that they lead to.
    pub(super) home: Option<String>,
    meter: Meter,
    /// Seconds from a request to its first byte, the least so far.
    pub(super) latency: Option<f64>,
    /// Seconds of a round trip, the least that the kernel has seen.
    round_trip: Option<f64>,
    /// Failures since the last success.
    pub(super) fails: u32,
    /// Nothing is asked of it before.
    pub(super) ready_at: Instant,
    /// Whether others have taken its place.
    pub(super) retired: bool,
    /// Whether it is one of several over a far link.
    pub(super) crowded: bool,
    /// How far its connection may be ahead then, in bytes.
    window: f64,
    pub(super) received: u64,
    /// Connections whose bytes are not yet among `links`.
    connections: Vec<Connection>,
    /// Bytes by interface, of connections that are done with.
    links: BTreeMap<String, u64>,
}

/// A connection in use.
struct Connection {
    lease: LeaseId,
    watch: Watch,
    received: u64,
}

/// What a lease is doing.
#[derive(Clone, Copy)]
struct Activity {
    /// When it last received something, or began.
    since: Instant,
    answered: bool,
    /// Bytes that have arrived wait for the disk or the reader.
    held: bool,
}

impl Lane {
    pub(super) fn new(interface: Option<String>, now: Instant) -> Self {
        Self {
            interface,
            home: None,
            meter: Meter::default(),
            latency: None,
            round_trip: None,
            fails: 0,
            ready_at: now,
            retired: false,
            crowded: false,
            window: 0.0,
            received: 0,
            connections: Vec::new(),
            links: BTreeMap::new(),
        }
    }

    pub(super) fn rate(&self) -> Option<f64> {
        self.meter.rate
    }

    /// Takes this for its rate, in bytes a second, until it is measured.
    pub(super) const fn presume(&mut self, rate: Option<f64>) {
        if self.meter.rate.is_none() {
            self.meter.rate = rate;
        }
    }

    /// About as many seconds as a new request over a new connection takes to its first byte.
    pub(super) fn start_up(&self) -> Option<f64> {
        // The measured one may have waited behind what other connections had queued.
        self.round_trip.map(|seconds| 2.0 * seconds).or(self.latency)
    }

    /// A connection has failed. What was known of the link says nothing any more, and nothing much is asked of it before this.
    pub(super) fn failed(&mut self, now: Instant, most: Duration) {
        self.fails += 1;
        self.meter = Meter::default();
        // The first time at once: most connections that end can be replaced.
        let wait = if self.fails == 1 { 0 } else { 100u64 << self.fails.min(10) };
        self.ready_at = now + Duration::from_millis(wait).min(most);
    }

    /// A round trip took this long: more than the least of them is time spent in queues.
    pub(super) fn know_round_trip(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        self.round_trip = Some(self.round_trip.map_or(took, |known| known.min(took)));
    }

    /// The link that it uses, if that is known.
    fn link(&self) -> Option<&str> {
        self.interface.as_deref().or(self.home.as_deref())
    }

    /// Limits how far the connection of a lane that is one of several over a far link is ahead: together they would overrun
    /// its queue before any of them notices. Taken for as fast as the fastest other link until it has shown more.
    fn keep_window(&mut self, fastest: f64) {
        let Some(round_trip) = self.round_trip.filter(|_| self.crowded) else { return };
        let fair = fastest * round_trip * WINDOW / f64::from(FAR_LANES);
        self.window = self.window.max(fair).max(LEAST_WINDOW);
        if self.rate().is_some_and(|rate| rate * round_trip > self.window * FULL) {
            self.window *= 2.0;
        }
        if let Some(watch) = self.watch() {
            // A system that has no such limit does without.
            let _ = watch.limit_window(self.window as u32);
        }
    }

    /// Looks at the connection in use.
    fn look(&mut self) {
        let transport = self.watch().map(Watch::transport);
        let least =
            transport.iter().flat_map(|transport| &transport.paths).filter_map(|path| path.min_rtt).min();
        if let Some(least) = least {
            self.know_round_trip(least);
        }
    }

    pub(super) fn leads_to(&self, interface: &str) -> bool {
        self.link() == Some(interface)
    }

    /// The connection that it uses now, the latest if there are several.
    pub(super) fn watch(&self) -> Option<&Watch> {
        self.connections.last().map(|connection| &connection.watch)
    }

    /// Bytes by interface.
    pub(super) fn links(&self) -> BTreeMap<String, u64> {
        let mut links = self.links.clone();
        for connection in &self.connections {
            self.account(connection, &mut links);
        }
        links
    }

    fn account(&self, connection: &Connection, links: &mut BTreeMap<String, u64>) {
        if connection.received == 0 {
            return;
        }
        if let Some(name) = &self.interface {
            *links.entry(name.clone()).or_default() += connection.received;
            return;
        }
        for (name, share) in shares(&connection.watch.transport()) {
            *links.entry(name).or_default() += (share * connection.received as f64).round() as u64;
        }
    }
}

/// Which interface has carried which share of what a connection has received.
fn shares(transport: &Transport) -> BTreeMap<String, f64> {
    let mut bytes: BTreeMap<String, u64> = BTreeMap::new();
    for path in transport.paths.iter().chain(&transport.gone) {
        let name = path.interface.clone();
        let name =
            name.or_else(|| Some(path.local?.ip().to_string())).unwrap_or_else(|| "unknown".to_owned());
        *bytes.entry(name).or_default() += path.bytes_received.unwrap_or(0);
    }
    let sum = bytes.values().sum::<u64>();
    if sum == 0 {
        // A system that doesn't count: the first path stands for all.
        return bytes.into_keys().take(1).map(|name| (name, 1.0)).collect();
    }
    bytes
        .into_iter()
        .map(|(name, bytes)| (name, bytes as f64 / sum as f64))
        .filter(|(_, share)| *share > 0.0)
        .collect()
}

impl Shared {
    pub(super) fn new(plan: Plan, sink: Sink, now: Instant) -> Self {
        let state =
            State { plan, lanes: Vec::new(), activity: HashMap::new(), last: now, max_gap: Duration::ZERO };
        Self { state: Mutex::new(state), sink }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Begins with another plan; who has brought what so far stays known.
    pub(super) fn restart(&mut self, mut plan: Plan, now: Instant) {
        plan.follow(&self.plan);
        self.plan = plan;
        self.activity.clear();
        if self.lanes.is_empty() {
            self.lanes.push(Lane::new(None, now));
        }
        for (index, lane) in self.lanes.iter_mut().enumerate() {
            lane.retired = index != 0;
        }
        self.last = now;
    }

    /// Whether a lease's bytes wait for whoever takes them.
    pub(super) fn is_held(&self, lease: LeaseId) -> bool {
        self.activity.get(&lease).is_some_and(|activity| activity.held)
    }

    pub(super) fn is_answered(&self, lease: LeaseId) -> bool {
        self.activity.get(&lease).is_some_and(|activity| activity.answered)
    }

    pub(super) fn any_held(&self) -> bool {
        self.activity.values().any(|activity| activity.held)
    }

    /// Whether any other lane is bringing something.
    pub(super) fn lanes_alive(&self, lane: LaneId, now: Instant) -> bool {
        self.plan.leases().iter().any(|lease| {
            lease.lane != lane
                && self.activity.get(&lease.id).is_some_and(|activity| activity.answered)
                && self.silence(lease.id, lease.lane, now).is_none()
        })
    }

    /// A request for a lease goes out.
    pub(super) fn began(&mut self, lease: LeaseId, now: Instant) {
        self.activity.insert(lease, Activity { since: now, answered: false, held: false });
    }

    /// It is answered, over this connection.
    pub(super) fn answered(&mut self, lease: LeaseId, latency: Duration, watch: Watch, now: Instant) {
        let Some(lane) = self.plan.lease(lease).and_then(|lease| self.lanes.get_mut(lease.lane)) else {
            return;
        };
        // The least says most of the way: the first one had a connection to make.
        let latency = latency.as_secs_f64();
        lane.latency = Some(lane.latency.map_or(latency, |known| known.min(latency)));
        lane.connections.push(Connection { lease, watch, received: 0 });
        if let Some(activity) = self.activity.get_mut(&lease) {
            *activity = Activity { since: now, answered: true, held: false };
        }
    }

    /// Bytes have come for a lease.
    pub(super) fn arrived(&mut self, lease: LeaseId, len: usize, now: Instant) -> Arrived {
        let lane = self.plan.lease(lease).map(|lease| lease.lane);
        let mut arrived = self.plan.arrived(lease, len);
        if arrived.over && self.plan.extend(lease) {
            arrived.over = false;
        }
        if arrived.len > 0 {
            self.max_gap = self.max_gap.max(now.duration_since(self.last));
            self.last = now;
            if let Some(lane) = lane.and_then(|lane| self.lanes.get_mut(lane)) {
                lane.fails = 0;
                lane.received += arrived.len as u64;
                let connection = lane.connections.iter_mut().find(|connection| connection.lease == lease);
                if let Some(connection) = connection {
                    connection.received += arrived.len as u64;
                }
            }
        }
        arrived
    }

    /// Whether the lease's bytes wait for whoever takes them.
    pub(super) fn held(&mut self, lease: LeaseId, held: bool, now: Instant) {
        if let Some(activity) = self.activity.get_mut(&lease) {
            activity.held = held;
            activity.since = now;
        }
    }

    /// A lease is over.
    pub(super) fn release(&mut self, id: LeaseId) {
        self.activity.remove(&id);
        let Some(lease) = self.plan.release(id) else { return };
        let Some(lane) = self.lanes.get_mut(lease.lane) else { return };
        let (done, going) =
            std::mem::take(&mut lane.connections).into_iter().partition(|connection| connection.lease == id);
        let done: Vec<Connection> = done;
        lane.connections = going;
        let mut links = std::mem::take(&mut lane.links);
        for connection in &done {
            lane.account(connection, &mut links);
        }
        lane.links = links;
    }

    /// How long a lease has been silent, in seconds, if that is longer than usual.
    pub(super) fn silence(&self, id: LeaseId, lane: LaneId, now: Instant) -> Option<f64> {
        let activity = self.activity.get(&id).filter(|activity| !activity.held)?;
        let lane = self.lanes.get(lane)?;
        let latency = lane.latency.unwrap_or(LATENCY);
        let quiet = if activity.answered || lane.fails > 0 { QUIET } else { QUIET_AT_FIRST };
        let silent = now.duration_since(activity.since).as_secs_f64();
        (silent > quiet.max(QUIET_LATENCIES * latency)).then_some(silent)
    }

    /// What is known of a lane's speed.
    pub(super) fn speed(&self, id: LaneId, now: Instant) -> Speed {
        let Some(lane) = self.lanes.get(id) else {
            return Speed {
                rate: None,
                latency: LATENCY,
                stalled: None,
                suspect: true,
                link: id,
                sharing: 1,
                idle: 1,
            };
        };
        let of_link = |other: &&Lane| other.link() == lane.link() && !other.retired;
        let link = self.lanes.iter().position(|other| other.link() == lane.link()).unwrap_or(id);
        let mates = self.lanes.iter().enumerate().filter(|(_, other)| of_link(other));
        let idle =
            mates.clone().filter(|&(other, _)| other == id || self.plan.of_lane(other).next().is_none());

        let silences: Option<Vec<f64>> =
            self.plan.of_lane(id).map(|lease| self.silence(lease.id, id, now)).collect();
        // Stalled is a lane all of whose leases are.
        let stalled = silences.and_then(|all| all.into_iter().reduce(f64::min));
        Speed {
            rate: lane.rate(),
            latency: lane.start_up().unwrap_or(LATENCY),
            stalled,
            suspect: lane.fails > 0,
            link,
            sharing: number(mates.clone().count()),
            idle: number(idle.count()),
        }
    }

    /// Gives a lane something to do, at most so many bytes, if there is anything.
    pub(super) fn take(&mut self, lane: LaneId, most: u64, now: Instant) -> Option<LeaseId> {
        // What is known is looked up before the plan changes.
        let speeds: Vec<Speed> = (0..self.lanes.len()).map(|lane| self.speed(lane, now)).collect();
        let unknown = self.speed(usize::MAX, now);
        self.plan.take(lane, most, &|lane| speeds.get(lane).copied().unwrap_or(unknown))
    }

    /// Measures all lanes.
    pub(super) fn measure(&mut self, now: Instant) {
        let rates = self.lanes.iter().filter(|lane| !lane.crowded).filter_map(Lane::rate);
        let fastest = rates.reduce(f64::max).unwrap_or(USUAL);
        for index in 0..self.lanes.len() {
            let busy = self.plan.of_lane(index).any(|lease| {
                self.activity.get(&lease.id).is_some_and(|activity| activity.answered && !activity.held)
            });
            if let Some(lane) = self.lanes.get_mut(index) {
                if busy {
                    lane.look();
                }
                lane.keep_window(fastest);
                let warm_up = Duration::from_secs_f64(lane.latency.unwrap_or(0.0).min(1.0) * METER_LATENCIES);
                lane.meter.look(busy, lane.received, warm_up, now);
            }
        }
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}
