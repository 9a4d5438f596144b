//! Which lanes there are, and what they do next.

use std::time::{Duration, Instant};

use mptcp_socket::{Protocol, Spoken};

use super::{
    engine::{Engine, TELL_EVERY},
    judge::Verdict,
    plan::{LOST_SECONDS, LaneId, LeaseId, Order},
    shared::{Lane, State},
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

/// In order: for how long a connection that brings everything goes on once others help, in seconds.
const AHEAD_SECONDS: f64 = 0.3;

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
                let remote = self.url.host_str().zip(self.remote).filter(|_| direct);
                self.client.through(&name, protocol, remote, CONNECT)
            }
        };
        self.clients.insert(lane, client.clone());
        client
    }

    /// Looks at everything, and does what there is to do.
    pub(super) async fn step(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        {
            let mut state = self.shared.state();
            state.measure(now);
            if let super::shared::Sink::Reader(assembly) = &self.shared.sink {
                state.plan.set_read(assembly.next());
            }
        }
        if self.busy_until.is_some_and(|until| until <= now) {
            self.busy_until = None;
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
        let lost: Vec<(LeaseId, LaneId, bool)> = {
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
                    let idle = lease.left() == 0;
                    (idle || silent > patience).then_some((lease.id, lease.lane, idle))
                })
                .collect()
        };
        for (lease, lane, idle) in lost {
            self.abort(lease);
            // Its connections are not to be used again.
            self.clients.remove(&lane);
            if !idle {
                self.failures += 1;
                let mut state = self.shared.state();
                if let Some(lane) = state.lanes.get_mut(lane) {
                    lane.fails += 1;
                    lane.ready_at = now;
                }
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
        let possible = self.ranges && known && self.busy_until.is_none() && !self.client.is_bound();
        if !possible || self.remote.is_none_or(|remote| remote.ip().is_loopback()) {
            return;
        }
        let ways = self.ways.look(stalled, now).to_vec();
        if self.striped {
            self.add_lanes(&ways, now);
            return;
        }
        if ways.len() < 2 || left < LEAST_TO_STRIPE {
            return;
        }
        let watch = self.shared.state().lanes.first().and_then(|lane| lane.watch().cloned());
        let Some(watch) = watch else {
            // The only connection is gone: whatever link there is will do.
            return self.stripe(&ways, None, now);
        };
        let transport = watch.transport();
        if stalled {
            return self.stripe(&ways, None, now);
        }
        match transport.spoken {
            Spoken::Tcp(_) => {
                let used = transport.paths.first().and_then(|path| path.interface.clone());
                let others: Vec<String> = ways.into_iter().filter(|way| Some(way) != used.as_ref()).collect();
                self.stripe(&others, None, now);
            }
            Spoken::Mptcp => match self.judge.look(&transport, &ways, now) {
                Verdict::Wait | Verdict::Fit => return,
                Verdict::Unused(unused) if transport.paths.len() == 1 => self.stripe(&unused, None, now),
                Verdict::Unused(_) => self.stripe(&ways, Some(AHEAD_SECONDS), now),
                Verdict::Unlike(rates) => {
                    self.stripe(&ways, Some(AHEAD_SECONDS), now);
                    let mut state = self.shared.state();
                    for lane in &mut state.lanes {
                        if let Some(rate) = lane.interface.as_ref().and_then(|name| rates.get(name)) {
                            lane.presume(*rate);
                        }
                    }
                }
            },
        }
        if sequential {
            self.shorten(AHEAD_SECONDS);
        }
    }

    /// Adds lanes for these interfaces. `replace`: the first connection is to end so many seconds from now.
    fn stripe(&mut self, ways: &[String], replace: Option<f64>, now: Instant) {
        tracing::debug!(?ways, ?replace, "striping a download");
        self.striped = true;
        self.add_lanes(ways, now);
        if let Some(ahead) = replace {
            self.shorten(ahead);
        }
    }

    fn add_lanes(&mut self, ways: &[String], now: Instant) {
        let mut state = self.shared.state();
        for way in ways {
            if !state.lanes.iter().any(|lane| lane.interface.as_ref() == Some(way)) && !state.covered(way) {
                state.lanes.push(Lane::new(Some(way.clone()), now));
            }
        }
        // Once its first connection is over, the route's own lane is one of the others.
        let pinned = state.lanes.iter().skip(1).any(|lane| lane.fails == 0);
        let over = state.plan.of_lane(0).next().is_none();
        if let Some(route) = state.lanes.first_mut() {
            route.retired = over && pinned;
        }
    }

    /// Lets the first connection end soon.
    fn shorten(&mut self, seconds: f64) {
        let mut state = self.shared.state();
        let rate = state.lanes.first().and_then(Lane::rate).unwrap_or(1e6);
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
                if self.striped { next_striped(&mut state, now) } else { next_alone(&mut state, now) }
            };
            let Some((lease, lane)) = next else { return };
            self.fetch(lease, lane);
        }
    }
}

/// A lease for a lane that should have one.
fn next_striped(state: &mut State, now: Instant) -> Option<(LeaseId, LaneId)> {
    let mut wanting: Vec<(LaneId, usize)> = Vec::new();
    for (index, lane) in state.lanes.iter().enumerate() {
        if lane.retired || lane.ready_at > now {
            continue;
        }
        let leases: Vec<_> = state.plan.of_lane(index).collect();
        let wants = match leases.as_slice() {
            [] => true,
            [only] if state.silence(only.id, index, now).is_none() => {
                let lead = (lane.latency.unwrap_or(LEAD_SECONDS.0) * LEAD_LATENCIES)
                    .clamp(LEAD_SECONDS.0, LEAD_SECONDS.1);
                lane.rate().is_some_and(|rate| (only.left() as f64) < rate * lead)
            }
            _ => false,
        };
        if wants {
            wanting.push((index, leases.len()));
        }
    }
    // Those with nothing first; of those, the fastest.
    wanting.sort_by(|a, b| {
        let rate = |lane: LaneId| state.lanes.get(lane).and_then(Lane::rate).unwrap_or(0.0);
        a.1.cmp(&b.1).then(rate(b.0).total_cmp(&rate(a.0)))
    });
    wanting.into_iter().find_map(|(lane, _)| Some((state.take(lane, now)?, lane)))
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
