//! The connect planner: says what to start next, and when. Pure: no sockets, no clock of its own.
//!
//! It follows RFC 8305 ("happy eyeballs"): addresses of both families interleaved, one started every
//! [`Timing::stagger`] or as soon as another fails, the first to connect wins. To that it adds the race between
//! protocols: an MPTCP attempt that gets no answer for [`Timing::tcp_after`] is joined by a plain TCP attempt to the
//! same address, and one that is answered with a reset is followed by a TCP attempt at once. So a box that swallows
//! or resets SYNs with MPTCP costs that delay or one round trip, where the kernel alone needs seconds or fails.
//!
//! A driver asks [`Plan::next`], does what it says, and reports what became of each attempt.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

/// When to start what. All times count from the start of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// Delay between attempts to different addresses (RFC 8305 section 8: 250 ms).
    pub stagger: Duration,
    /// How long an MPTCP attempt may stay without an answer before TCP is tried beside it; `None`: never.
    ///
    /// 200 ms by default. Where the round trip takes longer both are under way, and MPTCP, which started first,
    /// still wins.
    pub tcp_after: Option<Duration>,
    /// How long one attempt may take; `None`: as long as the kernel tries.
    pub attempt: Option<Duration>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            stagger: Duration::from_millis(250),
            tcp_after: Some(Duration::from_millis(200)),
            attempt: None,
        }
    }
}

/// The number of an attempt within its plan.
pub type Id = usize;

/// Which socket an attempt is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The protocol that was asked for.
    Wanted,
    /// Plain TCP, beside or after an MPTCP attempt to the same address.
    PlainTcp,
}

/// What to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Start an attempt, and ask again.
    Start {
        /// Its number, for the report.
        id: Id,
        /// Where to.
        address: SocketAddr,
        /// With which socket.
        kind: Kind,
    },
    /// Close an attempt that has taken too long, and ask again. It counts as failed.
    Abandon(Id),
    /// Wait for an attempt to end, at most until the time given.
    Wait(Option<Duration>),
    /// Every attempt to every address has failed.
    Exhausted,
}

/// How an attempt failed, as far as the plan cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Answered with a reset: a closed port, or a box that dislikes MPTCP.
    Reset,
    /// Anything else.
    Other,
}

#[derive(Debug)]
struct Attempt {
    address: SocketAddr,
    kind: Kind,
    started: Duration,
    running: bool,
    reset: bool,
}

/// The state of one connect.
#[derive(Debug)]
pub struct Plan {
    timing: Timing,
    /// Addresses not yet tried.
    pending: VecDeque<SocketAddr>,
    /// Addresses whose MPTCP attempt was reset: TCP is due.
    after_reset: VecDeque<SocketAddr>,
    attempts: Vec<Attempt>,
    /// When the next address is due.
    next_address: Duration,
}

impl Plan {
    /// A plan for these addresses, in the resolver's order of preference. `race` says whether plain TCP may be tried
    /// beside the wanted protocol.
    #[must_use]
    pub fn new(addresses: &[SocketAddr], timing: Timing, race: bool) -> Self {
        let timing = Timing { tcp_after: timing.tcp_after.filter(|_| race), ..timing };
        Self {
            timing,
            pending: interleave(addresses),
            after_reset: VecDeque::new(),
            attempts: Vec::new(),
            next_address: Duration::ZERO,
        }
    }

    /// What to do at the time `now`.
    pub fn next(&mut self, now: Duration) -> Step {
        if let Some(limit) = self.timing.attempt
            && let Some(id) = self.attempts.iter().position(|a| a.running && now >= a.started + limit)
        {
            self.failed(id, now, Failure::Other);
            return Step::Abandon(id);
        }
        if let Some(address) = self.after_reset.pop_front() {
            return self.start(address, Kind::PlainTcp, now);
        }
        let unanswered = self.unanswered().find(|(_, due)| now >= *due);
        if let Some((address, _)) = unanswered {
            return self.start(address, Kind::PlainTcp, now);
        }
        if (now >= self.next_address || !self.attempts.iter().any(|a| a.running))
            && let Some(address) = self.pending.pop_front()
        {
            self.next_address = now + self.timing.stagger;
            return self.start(address, Kind::Wanted, now);
        }
        let running = self.attempts.iter().filter(|a| a.running);
        let timeouts = running.clone().filter_map(|a| Some(a.started + self.timing.attempt?));
        let address = (!self.pending.is_empty()).then_some(self.next_address);
        let wake = timeouts.chain(self.unanswered().map(|(_, due)| due)).chain(address).min();
        if running.count() == 0 { Step::Exhausted } else { Step::Wait(wake) }
    }

    /// An attempt failed at the time `now`.
    pub fn failed(&mut self, id: Id, now: Duration, failure: Failure) {
        let Some(attempt) = self.attempts.get_mut(id).filter(|attempt| attempt.running) else { return };
        attempt.running = false;
        attempt.reset = failure == Failure::Reset;
        let (address, kind) = (attempt.address, attempt.kind);
        // The next address need not wait for its turn any longer.
        self.next_address = self.next_address.min(now);
        let race = self.timing.tcp_after.is_some();
        if race && kind == Kind::Wanted && failure == Failure::Reset && !self.tried_tcp(address) {
            self.after_reset.push_back(address);
        }
    }

    /// Whether the MPTCP attempt to this address was answered with a reset.
    #[must_use]
    pub fn was_reset(&self, address: SocketAddr) -> bool {
        self.attempts.iter().any(|a| a.address == address && a.kind == Kind::Wanted && a.reset)
    }

    /// When an attempt started.
    #[must_use]
    pub fn started(&self, id: Id) -> Duration {
        self.attempts.get(id).map_or(Duration::ZERO, |attempt| attempt.started)
    }

    fn start(&mut self, address: SocketAddr, kind: Kind, now: Duration) -> Step {
        let id = self.attempts.len();
        self.attempts.push(Attempt { address, kind, started: now, running: true, reset: false });
        Step::Start { id, address, kind }
    }

    fn tried_tcp(&self, address: SocketAddr) -> bool {
        self.attempts.iter().any(|a| a.address == address && a.kind == Kind::PlainTcp)
    }

    /// MPTCP attempts without an answer and without a TCP attempt beside them, with the time when one is due.
    fn unanswered(&self) -> impl Iterator<Item = (SocketAddr, Duration)> {
        let waiting = self.attempts.iter().filter(|a| a.running && a.kind == Kind::Wanted);
        waiting
            .filter(|a| !self.tried_tcp(a.address))
            .filter_map(|a| Some((a.address, a.started + self.timing.tcp_after?)))
    }
}

/// RFC 8305 section 4: families alternate, beginning with that of the first address; duplicates go.
fn interleave(addresses: &[SocketAddr]) -> VecDeque<SocketAddr> {
    let first_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second) = (VecDeque::new(), VecDeque::new());
    for &address in addresses {
        let queue = if address.is_ipv6() == first_v6 { &mut first } else { &mut second };
        if !queue.contains(&address) {
            queue.push_back(address);
        }
    }
    let mut order = VecDeque::with_capacity(first.len() + second.len());
    while let Some(address) = first.pop_front() {
        order.push_back(address);
        order.extend(second.pop_front());
    }
    order.extend(second);
    order
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
