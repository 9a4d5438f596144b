//! Which lanes there are, and what they do next.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use mptcp_socket::{PathState, Protocol, Spoken, Transport};

use super::{
    engine::{Engine, TELL_EVERY, Trial},
    failures::{PATIENCE, PATIENCE_ALONE},
    judge::{self, Measured, Verdict},
    plan::{LOST_SECONDS, LaneId, LeaseId, Order, USUAL},
    shared::{FAR_LANES, Lane, Sink, State},
};
use crate::{Client, Error};

/// Less than this is not worth a second connection, in bytes.
const LEAST_TO_STRIPE: u64 = 1 << 20;

/// How long a lane may take to connect, handshakes included, before it tries anew: its address may be gone.
const CONNECT: Duration = Duration::from_secs(4);

/// Silence after which a connection that could be replaced is, in seconds: by others, or by itself if there are none.
const LOST_ALONE_SECONDS: f64 = 5.0;

/// How much earlier than a part ends the next one is asked for: so many of the lane's latencies, within these limits. A new
/// connection has to find its speed first.
const LEAD_LATENCIES: f64 = 8.0;
const LEAD_SECONDS: (f64, f64) = (0.1, 1.0);

/// How many parts a lane asks for at a time: small ones at the end leave it idle between them otherwise.
const MOST_OF_A_LANE: usize = 3;

/// What will take fewer round trips of the farthest link is over before other connections have found their speed.
const WORTH_ROUND_TRIPS: f64 = 30.0;

/// Less than this is not worth a trial, in bytes.
const LEAST_TO_TRY: u64 = 8 << 20;

/// What a bound connection is given at a time during a trial: so many bytes while its rate is unknown, then for so many seconds.
const TRIAL_BYTES: u64 = 2 << 20;
const TRIAL_SECONDS: f64 = 0.3;

/// For how long a connection that brings everything goes on once others are to take over, in seconds.
const AHEAD_SECONDS: f64 = 0.3;

/// Where nothing has come over the far link yet, for so many round trips of the near one alone.
const AHEAD_OF_NEAR: f64 = 0.5;

/// And for so many round trips, since that is how new connections find their speed.
const AHEAD_ROUND_TRIPS: f64 = 2.0;

impl Engine {
    /// The client for the first request.
    pub(super) fn first_client(&self) -> Client {
        match self.ways.demanded() {
            [] => self.client.clone(),
            names => self.client.among(names),
        }
    }

    pub(super) fn client_of(&mut self, lane: LaneId) -> Client {
        if let Some(client) = self.clients.get(&lane) {
            return client.clone();
        }
        let interface = self.shared.state().lanes.get(lane).and_then(|lane| lane.interface.clone());
        let client = match interface {
            None => self.first_client(),
            Some(name) => {
                // Each is to use its one link: MPTCP would use the others' as well.
                let wanted = self.request.protocol.unwrap_or_else(|| self.client.protocol());
                let protocol = if wanted == Protocol::Mptcp { Protocol::Tcp } else { wanted };
                let direct = !self.client.is_proxied(&self.url);
                // The address that has answered, as long as it does.
                let fails = self.shared.state().lanes.get(lane).map_or(0, |lane| lane.fails);
                let remote = self.url.host_str().zip(self.remote).filter(|_| direct && fails == 0);
                self.client.through(&name, protocol, remote, CONNECT)
            }
        };
        self.clients.insert(lane, client.clone());
        client
    }

    /// Lets a lane make new connections, whatever was kept.
    pub(super) fn renew(&mut self, lane: LaneId) {
        self.clients.remove(&lane);
        if lane == 0 {
            self.clients.insert(0, self.first_client().afresh());
        }
    }

    /// Looks at everything, and does what there is to do.
    pub(super) fn step(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        {
            let mut state = self.shared.state();
            state.measure(now);
            if let Sink::Reader(assembly) = &self.shared.sink {
                state.plan.set_read(assembly.next());
            }
        }
        if let Some(until) = self.busy_until.take_if(|until| *until <= now) {
            // The wait was the server's wish.
            let mut state = self.shared.state();
            state.last = state.last.max(until);
        }
        if now.duration_since(self.told) >= TELL_EVERY {
            self.tell();
        }
        self.give_up(now)?;
        self.drop_lost(now);
        self.consider(now);
        self.assign(now);
        Ok(())
    }

    /// Ends connections that bring nothing any more, and those whose work others have taken.
    fn drop_lost(&mut self, now: Instant) {
        if self.version.is_none() {
            // What is lost can't be had again: the client's own limits decide.
            return;
        }
        let lost: Vec<(LeaseId, LaneId)> = {
            let state = self.shared.state();
            let others = |lane: LaneId| state.lanes_alive(lane, now);
            state
                .plan
                .leases()
                .iter()
                .filter_map(|lease| {
                    let silent = state.silence(lease.id, lease.lane, now)?;
                    let lane = state.lanes.get(lease.lane)?;
                    let patience = if others(lease.lane) { LOST_SECONDS } else { LOST_ALONE_SECONDS };
                    // Servers that need long for a first byte get longer each time.
                    let patience = patience * f64::from(1 + lane.fails.min(8));
                    // Without retries it is for the client's own limits to say that a connection is lost.
                    let lost = silent > patience && (others(lease.lane) || !self.options.retry_for.is_zero());
                    // Nothing is left of it where another lane has taken over.
                    (lease.left() == 0 || lost).then_some((lease.id, lease.lane))
                })
                .collect()
        };
        for (lease, lane) in lost {
            self.abort(lease);
            // Its connections are not to be used again.
            self.renew(lane);
            self.failures += 1;
            let mut state = self.shared.state();
            let alive = state.lanes_alive(lane, now);
            if let Some(lane) = state.lanes.get_mut(lane) {
                lane.failed(now, if alive { PATIENCE } else { PATIENCE_ALONE });
            }
        }
    }

    /// Whether, and with which lanes, the body should be striped.
    fn consider(&mut self, now: Instant) {
        let (stalled, left, sequential) = {
            let state = self.shared.state();
            let left = state.plan.total().saturating_sub(state.plan.received().len());
            let stalled = now.duration_since(state.last) > Duration::from_millis(250);
            (stalled, left, matches!(self.order, Order::Sequential { .. }))
        };
        let known = self.shared.state().plan.total() != u64::MAX;
        // A digest of bytes that go nowhere can be made in order only.
        let ordered = matches!(self.shared.sink, Sink::Nowhere(_)) && !self.digests.is_empty();
        let possible =
            self.ranges && known && !ordered && self.busy_until.is_none() && !self.client.is_bound();
        let server = self.remote.map(|remote| remote.ip().to_canonical());
        let Some(server) = server.filter(|server| possible && !server.is_loopback()) else { return };
        let ways = self.ways.look(server, stalled, now).to_vec();
        self.revive(now);
        if self.striped {
            self.add_lanes(&ways, now);
            return;
        }
        let watch = self.shared.state().lanes.first().and_then(|lane| lane.watch().cloned());
        let Some(transport) = watch.map(|watch| watch.transport()) else {
            // The only connection is gone: if there is more than the way it took, whatever link there is will do.
            if ways.len() > 1 {
                self.stripe(&ways, None, now);
            }
            return;
        };
        let uses = |way: &String| transport.paths.iter().any(|path| path.interface.as_ref() == Some(way));
        if stalled && !ways.iter().all(uses) {
            return self.stripe(&ways, None, now);
        }
        if ways.len() < 2 || left < LEAST_TO_STRIPE {
            return;
        }
        if stalled {
            return self.stripe(&ways, None, now);
        }
        match transport.spoken {
            Spoken::Tcp(_) => {
                let used = transport.paths.first().and_then(|path| path.interface.clone());
                if let Some(route) = self.shared.state().lanes.first_mut() {
                    route.home.clone_from(&used);
                }
                let others: Vec<String> = ways.into_iter().filter(|way| Some(way) != used.as_ref()).collect();
                self.stripe(&others, None, now);
            }
            Spoken::Mptcp => {
                if left >= LEAST_TO_TRY && !self.scouts.sent() {
                    self.scout(&transport, &ways);
                }
                let verdict = self.judge.look(&transport, self.scouts.round_trips(now), &ways, now);
                if self.trial == Trial::Before
                    && left >= LEAST_TO_TRY
                    && !sequential
                    && self.judge.compares()
                    && verdict == Verdict::Wait
                {
                    self.trial = Trial::Running;
                    self.add_lanes(&ways, now);
                }
                match verdict {
                    Verdict::Wait => return,
                    Verdict::Fit => return self.end_trial(),
                    Verdict::Unused(unused) if transport.paths.len() == 1 => {
                        let home = transport.paths.first().and_then(|path| path.interface.clone());
                        self.stripe(&unused, None, now);
                        let mut state = self.shared.state();
                        for lane in state.lanes.iter_mut().filter(|lane| lane.interface == home) {
                            lane.retired = true;
                        }
                        if let Some(route) = state.lanes.first_mut() {
                            (route.home, route.retired) = (home, false);
                        }
                    }
                    Verdict::Unused(_) => self.stripe(&ways, Some(AHEAD_SECONDS), now),
                    Verdict::Unlike(paths) => {
                        // The others find their speed while the first one still brings something.
                        let far =
                            paths.values().map(|path| path.round_trip.as_secs_f64()).fold(0.0, f64::max);
                        let rate = self.shared.state().lanes.first().and_then(Lane::rate).unwrap_or(USUAL);
                        if (left as f64) < rate * far * WORTH_ROUND_TRIPS {
                            return;
                        }
                        // A path that has not brought anything yet will not be missed.
                        let near =
                            paths.values().map(|path| path.round_trip.as_secs_f64()).fold(far, f64::min);
                        let early = !self.judge.compares();
                        let ahead = if early {
                            AHEAD_OF_NEAR * near
                        } else {
                            AHEAD_SECONDS + far * AHEAD_ROUND_TRIPS
                        };
                        self.stripe(&ways, Some(ahead), now);
                        self.crowd(&paths, now);
                        let mut state = self.shared.state();
                        for lane in &mut state.lanes {
                            if let Some(path) = lane.interface.as_ref().and_then(|name| paths.get(name)) {
                                let lanes = if lane.crowded { f64::from(FAR_LANES) } else { 1.0 };
                                lane.presume(path.rate.map(|rate| rate / lanes));
                                if !path.at_least {
                                    lane.know_round_trip(path.round_trip);
                                }
                            }
                        }
                    }
                }
            }
        }
        if sequential {
            self.shorten(AHEAD_SECONDS);
        }
    }

    /// Tries interfaces that have come back at once: what their lanes were waiting for began with addresses that are gone.
    fn revive(&mut self, now: Instant) {
        let fresh = self.ways.fresh();
        let vain: Vec<LeaseId> = {
            let mut state = self.shared.state();
            let mut vain = Vec::new();
            for (index, lane) in state.lanes.iter().enumerate() {
                if lane.interface.as_ref().is_some_and(|name| fresh.contains(name)) {
                    vain.extend(state.plan.of_lane(index).map(|lease| lease.id));
                }
            }
            vain.retain(|&lease| !state.is_answered(lease));
            for lane in &mut state.lanes {
                if lane.interface.as_ref().is_some_and(|name| fresh.contains(name)) {
                    lane.ready_at = now;
                }
            }
            vain
        };
        for lease in vain {
            self.abort(lease);
        }
    }

    /// Adds lanes for these interfaces. `replace`: the first connection is to end so many seconds from now.
    fn stripe(&mut self, ways: &[String], replace: Option<f64>, now: Instant) {
        tracing::info!(?ways, ?replace, "striping a download");
        self.striped = true;
        if let Some(ahead) = replace {
            self.shorten(ahead);
            if let Some(route) = self.shared.state().lanes.first_mut() {
                route.retired = true;
            }
        }
        self.add_lanes(ways, now);
    }

    /// Multipath TCP does well: it needs no help.
    fn end_trial(&mut self) {
        if self.trial != Trial::Running {
            return;
        }
        self.trial = Trial::Over;
        tracing::info!("Multipath TCP does well");
        for lane in self.shared.state().lanes.iter_mut().skip(1) {
            lane.retired = true;
        }
    }

    /// Adds lanes for interfaces that have none.
    fn add_lanes(&mut self, ways: &[String], now: Instant) {
        let mut state = self.shared.state();
        for way in ways {
            let known = state
                .lanes
                .iter_mut()
                .find(|lane| lane.leads_to(way) && (!lane.retired || lane.interface.is_some()));
            match known {
                Some(lane) => lane.retired = false,
                None => state.lanes.push(Lane::new(Some(way.clone()), now)),
            }
        }
        // Where no bound lane works, such as on a system that can't bind, the routes may still lead somewhere.
        let hopeless =
            state.plan.leases().is_empty() && state.lanes.iter().skip(1).all(|lane| lane.fails > 1);
        if let Some(route) = state.lanes.first_mut().filter(|_| hopeless) {
            route.retired = false;
        }
    }

    /// Finds out how far the server is over the links that a connection does not use.
    fn scout(&mut self, transport: &Transport, ways: &[String]) {
        // The kernel is about to open the others.
        let mut paths = transport.paths.iter().filter(|path| path.state == PathState::Established);
        let (Some(path), None) = (paths.next(), paths.next()) else { return };
        let (Some(near), Some(remote)) = (path.min_rtt.or(path.rtt), self.remote) else { return };
        let others = ways.iter().filter(|way| Some(*way) != path.interface.as_ref()).cloned();
        self.scouts.send(others, remote, judge::far_from(near));
    }

    /// Gives links that are far more lanes: of one connection, slow start over many long round trips is most of its life.
    fn crowd(&mut self, paths: &BTreeMap<String, Measured>, now: Instant) {
        self.scouts.dismiss();
        if self.order != Order::Any {
            return;
        }
        let Some(nearest) = paths.values().map(|path| path.round_trip).min() else { return };
        let mut state = self.shared.state();
        for (name, path) in paths {
            if !judge::unlike(nearest, path.round_trip) {
                continue;
            }
            let room = self.allowed.saturating_sub(state.lanes.iter().filter(|lane| !lane.retired).count());
            let more = room.min(FAR_LANES as usize - 1);
            if let Some(lane) = state.lanes.iter_mut().find(|lane| lane.interface.as_ref() == Some(name)) {
                lane.crowded = more > 0;
            }
            for _ in 0..more {
                let mut lane = Lane::new(Some(name.clone()), now);
                lane.crowded = true;
                state.lanes.push(lane);
            }
        }
    }

    /// Lets the first connection end soon.
    fn shorten(&mut self, seconds: f64) {
        let mut state = self.shared.state();
        let rate = state.lanes.first().and_then(Lane::rate).unwrap_or(USUAL);
        let leases: Vec<LeaseId> = state.plan.of_lane(0).map(|lease| lease.id).collect();
        for lease in leases {
            state.plan.shorten(lease, (rate * seconds) as u64);
        }
    }

    /// Gives work to the lanes that have none, or will soon have none.
    fn assign(&mut self, now: Instant) {
        if self.version.is_none() || self.busy_until.is_some() {
            return;
        }
        loop {
            if self.aborts.len() >= self.allowed {
                return;
            }
            let next = {
                let mut state = self.shared.state();
                if self.striped || self.trial == Trial::Running {
                    next_striped(&mut state, self.trial == Trial::Running && !self.striped, now)
                } else {
                    next_alone(&mut state, now)
                }
            };
            let Some((lease, lane)) = next else { return };
            self.fetch(lease, lane);
        }
    }
}

/// A lease for a lane that should have one; a small one during a trial.
fn next_striped(state: &mut State, trial: bool, now: Instant) -> Option<(LeaseId, LaneId)> {
    let mut wanting: Vec<(LaneId, usize)> = Vec::new();
    for (index, lane) in state.lanes.iter().enumerate() {
        // Of a link that fails, one lane finds out whether it is back.
        let first = state.lanes.iter().position(|other| other.interface == lane.interface) == Some(index);
        if lane.retired || lane.ready_at > now || (lane.fails > 0 && !first) {
            continue;
        }
        let leases: Vec<_> = state.plan.of_lane(index).collect();
        let wants = match leases.as_slice() {
            [] => true,
            // What is new to a lane comes over a new connection, which a trial is too short for.
            some if !trial
                && some.len() < MOST_OF_A_LANE
                && some.iter().all(|lease| state.silence(lease.id, index, now).is_none()) =>
            {
                let lead = (lane.start_up().unwrap_or(LEAD_SECONDS.0) * LEAD_LATENCIES)
                    .clamp(LEAD_SECONDS.0, LEAD_SECONDS.1);
                let left = some.iter().map(|lease| lease.left()).sum::<u64>();
                lane.rate().is_some_and(|rate| (left as f64) < rate * lead)
            }
            _ => false,
        };
        if wants {
            wanting.push((index, leases.len()));
        }
    }
    // Those with nothing first; of those, the fastest, or the nearest while that is not known.
    wanting.sort_by(|a, b| {
        let rate = |lane: LaneId| state.lanes.get(lane).and_then(Lane::rate).unwrap_or(0.0);
        let far = |lane: LaneId| state.lanes.get(lane).and_then(Lane::start_up).unwrap_or(f64::MAX);
        a.1.cmp(&b.1).then(rate(b.0).total_cmp(&rate(a.0))).then(far(a.0).total_cmp(&far(b.0)))
    });
    wanting.into_iter().find_map(|(lane, _)| {
        let rate = state.lanes.get(lane).and_then(Lane::rate);
        let most = match rate {
            _ if !trial => u64::MAX,
            Some(rate) => ((rate * TRIAL_SECONDS) as u64).max(TRIAL_BYTES),
            None => TRIAL_BYTES,
        };
        Some((state.take(lane, most, now)?, lane))
    })
}

/// One connection at a time: all that is missing, from the first byte on.
fn next_alone(state: &mut State, now: Instant) -> Option<(LeaseId, LaneId)> {
    let ready = state.lanes.first().is_some_and(|lane| lane.ready_at <= now);
    if !ready || state.plan.leases().iter().any(|lease| lease.left() > 0) || !state.plan.has_free() {
        return None;
    }
    let first = state.plan.first_free()?;
    Some((state.plan.lease_all_from(0, first), 0))
}
