//! The connect planner: says what to start next, and when. Pure: no sockets, no clock of its own.
//!
//! It follows RFC 8305 ("happy eyeballs"): addresses of both families interleaved, one started every
//! [`Timing::stagger`] or as soon as another fails, the first to connect wins. To that it adds the race between
//! protocols, for boxes on the way that can't bear MPTCP:
//!
//! - An MPTCP attempt that gets no answer for [`Timing::tcp_after`] is joined by a second one and, right after it, a
//!   plain TCP one. If only the first SYN was lost, the second MPTCP SYN is answered before the TCP one and wins: a
//!   lossy path costs time, never MPTCP. If TCP alone is answered, both MPTCP SYNs get a short grace, and then the
//!   path is taken to swallow them.
//! - An MPTCP attempt that is answered with a reset is followed by a TCP attempt at once.
//! - A destination known to swallow or reset is tried with TCP alone, and now and then with both at once: a re-test
//!   that costs a SYN and no time ([`Approach`]).
//!
//! A driver asks [`Plan::next`], does what it says, and reports what became of each attempt.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

/// When to start what. All times count from the start of the plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// Delay between attempts to different addresses (RFC 8305 section 8: 250 ms).
    pub stagger: Duration,
    /// How long an MPTCP attempt may stay without an answer before TCP is tried beside it.
    ///
    /// 200 ms by default. Where the round trip takes longer both are under way, and MPTCP, which started first,
    /// still wins.
    pub tcp_after: Duration,
    /// The longest grace for MPTCP once TCP has connected; less on short paths.
    pub grace: Duration,
    /// How long one attempt may take; `None`: as long as the kernel tries.
    pub attempt: Option<Duration>,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            stagger: Duration::from_millis(250),
            tcp_after: Duration::from_millis(200),
            grace: Duration::from_millis(50),
            attempt: None,
        }
    }
}

/// How a destination is to be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Approach {
    /// With the wanted protocol and nothing else: plain TCP, or MPTCP without an alternative.
    Plain,
    /// MPTCP, joined by TCP if it gets no answer.
    Race,
    /// TCP alone: MPTCP is known to be swallowed or reset.
    TcpOnly,
    /// MPTCP and TCP at once: it was so, and may have changed.
    Retest,
}

/// A destination: an address, by a way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    /// The peer's address.
    pub address: SocketAddr,
    /// Through which interface, as a number that means something to the driver; `None`: as the routes say.
    pub via: Option<usize>,
    /// How to try it.
    pub approach: Approach,
}

/// The number of an attempt within its plan.
pub type Id = usize;

/// Which socket an attempt is made with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The protocol that was asked for.
    Wanted,
    /// Plain TCP, beside, after or instead of MPTCP.
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
        target: Target,
        /// With which socket.
        kind: Kind,
    },
    /// Close an attempt that has taken too long, and ask again. It counts as failed.
    Abandon(Id),
    /// Wait for an attempt to end, at most until the time given.
    Wait(Option<Duration>),
    /// Use this connection, which was kept back while a better one was still possible.
    Take(Id),
    /// Every attempt to every target has failed.
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

/// What to do with an attempt that connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Use it: the plan is done.
    Take,
    /// Keep it open, and ask for the next step.
    Hold,
    /// Close it, and ask for the next step: one is kept open already, and no better one than this.
    Close,
}

/// What a finished plan has learnt of the way to the target that connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// Nothing new.
    Nothing,
    /// MPTCP SYNs are answered.
    MptcpPasses,
    /// MPTCP SYNs got no answer while a TCP one did.
    MptcpDropped,
    /// MPTCP SYNs were answered with a reset while a TCP one was not.
    MptcpReset,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Running,
    Failed(Failure),
    Connected,
}

#[derive(Debug)]
struct Attempt {
    target: Target,
    kind: Kind,
    started: Duration,
    state: State,
}

impl Attempt {
    fn running(&self) -> bool {
        self.state == State::Running
    }
}

/// The state of one connect.
#[derive(Debug)]
pub struct Plan {
    timing: Timing,
    /// Targets not yet tried.
    pending: VecDeque<Target>,
    /// Attempts due now, by an event.
    due: VecDeque<(Target, Kind)>,
    attempts: Vec<Attempt>,
    /// When the next target is due.
    next_target: Duration,
    /// A TCP connection that is kept back, and until when.
    held: Option<(Id, Duration)>,
}

impl Plan {
    /// A plan for these targets, in this order: see [`interleave`].
    #[must_use]
    pub fn new(targets: impl IntoIterator<Item = Target>, timing: Timing) -> Self {
        Self {
            timing,
            pending: targets.into_iter().collect(),
            due: VecDeque::new(),
            attempts: Vec::new(),
            next_target: Duration::ZERO,
            held: None,
        }
    }

    /// What to do at the time `now`.
    pub fn next(&mut self, now: Duration) -> Step {
        if let Some((id, until)) = self.held {
            let target = self.attempts.get(id).map(|attempt| attempt.target);
            if now >= until || !self.attempts.iter().any(|a| a.running() && Some(a.target) == target) {
                return Step::Take(id);
            }
        }
        if let Some(limit) = self.timing.attempt
            && let Some(id) =
                self.attempts.iter().position(|a| a.running() && now >= a.started.saturating_add(limit))
        {
            self.failed(id, now, Failure::Other);
            return Step::Abandon(id);
        }
        if let Some((_, until)) = self.held {
            return Step::Wait(Some(until));
        }
        if let Some((target, kind)) = self.due.pop_front() {
            return self.start(target, kind, now);
        }
        let unanswered = self.unanswered().find(|(_, due)| now >= *due);
        if let Some((target, _)) = unanswered {
            // The second MPTCP SYN leaves first, so that its answer does too.
            self.due.push_back((target, Kind::PlainTcp));
            return self.start(target, Kind::Wanted, now);
        }
        if (now >= self.next_target || !self.attempts.iter().any(Attempt::running))
            && let Some(target) = self.pending.pop_front()
        {
            self.next_target = now.saturating_add(self.timing.stagger);
            if target.approach == Approach::Retest {
                self.due.push_back((target, Kind::PlainTcp));
            }
            let tcp = target.approach == Approach::TcpOnly;
            return self.start(target, if tcp { Kind::PlainTcp } else { Kind::Wanted }, now);
        }
        if !self.attempts.iter().any(Attempt::running) {
            return Step::Exhausted;
        }
        let running = self.attempts.iter().filter(|a| a.running());
        let timeouts = running.filter_map(|a| Some(a.started.saturating_add(self.timing.attempt?)));
        let target = (!self.pending.is_empty()).then_some(self.next_target);
        Step::Wait(timeouts.chain(self.unanswered().map(|(_, due)| due)).chain(target).min())
    }

    /// An attempt failed at the time `now`.
    pub fn failed(&mut self, id: Id, now: Duration, failure: Failure) {
        let Some(attempt) = self.attempts.get_mut(id).filter(|attempt| attempt.running()) else { return };
        attempt.state = State::Failed(failure);
        let (target, kind) = (attempt.target, attempt.kind);
        // The next target need not wait for its turn any longer.
        self.next_target = self.next_target.min(now);
        let race = target.approach == Approach::Race;
        if race && kind == Kind::Wanted && failure == Failure::Reset && !self.tcp_tried(target) {
            self.due.push_back((target, Kind::PlainTcp));
        }
    }

    /// An attempt connected at the time `now`, and the driver is content with it.
    pub fn connected(&mut self, id: Id, now: Duration) -> Verdict {
        let Some(attempt) = self.attempts.get_mut(id) else { return Verdict::Hold };
        attempt.state = State::Connected;
        let (target, kind, took) = (attempt.target, attempt.kind, now.saturating_sub(attempt.started));
        let better =
            self.attempts.iter().any(|a| a.running() && a.target == target && a.kind == Kind::Wanted);
        if kind == Kind::Wanted || target.approach != Approach::Race || !better {
            return Verdict::Take;
        }
        // One of another address, whose grace must not begin anew.
        if self.held.is_some() {
            return Verdict::Close;
        }
        // The MPTCP SYN left just before the TCP one: its answer is late by no more than the path's jitter.
        let grace = (took / 4 + Duration::from_millis(10)).min(self.timing.grace);
        self.held = Some((id, now.saturating_add(grace)));
        Verdict::Hold
    }

    /// What is known about the way to the target of the attempt that was taken.
    #[must_use]
    pub fn lesson(&self, taken: Id) -> Lesson {
        let Some(attempt) = self.attempts.get(taken) else { return Lesson::Nothing };
        let target = attempt.target;
        if !matches!(target.approach, Approach::Race | Approach::Retest) {
            return Lesson::Nothing;
        }
        if attempt.kind == Kind::Wanted {
            return Lesson::MptcpPasses;
        }
        let wanted = || self.attempts.iter().filter(|a| a.target == target && a.kind == Kind::Wanted);
        if wanted().any(|a| a.state == State::Failed(Failure::Reset)) {
            Lesson::MptcpReset
        } else if wanted().all(Attempt::running) {
            Lesson::MptcpDropped
        } else {
            Lesson::Nothing
        }
    }

    /// When an attempt started.
    #[must_use]
    pub fn started(&self, id: Id) -> Duration {
        self.attempts.get(id).map_or(Duration::ZERO, |attempt| attempt.started)
    }

    fn start(&mut self, target: Target, kind: Kind, now: Duration) -> Step {
        let id = self.attempts.len();
        self.attempts.push(Attempt { target, kind, started: now, state: State::Running });
        Step::Start { id, target, kind }
    }

    fn tcp_tried(&self, target: Target) -> bool {
        self.attempts.iter().any(|a| a.target == target && a.kind == Kind::PlainTcp)
            || self.due.contains(&(target, Kind::PlainTcp))
    }

    /// Targets whose MPTCP attempt has no answer and no TCP attempt beside it, with the time when that is due.
    fn unanswered(&self) -> impl Iterator<Item = (Target, Duration)> {
        let waiting = self.attempts.iter().filter(|a| a.running() && a.kind == Kind::Wanted);
        waiting
            .filter(|a| a.target.approach == Approach::Race && !self.tcp_tried(a.target))
            .map(|a| (a.target, a.started.saturating_add(self.timing.tcp_after)))
    }
}

/// RFC 8305 section 4: families alternate, beginning with that of the first address; duplicates go.
#[must_use]
pub fn interleave(addresses: &[SocketAddr]) -> Vec<SocketAddr> {
    let first_v6 = addresses.first().is_some_and(SocketAddr::is_ipv6);
    let (mut first, mut second) = (VecDeque::new(), VecDeque::new());
    for &address in addresses {
        let queue = if address.is_ipv6() == first_v6 { &mut first } else { &mut second };
        if !queue.contains(&address) {
            queue.push_back(address);
        }
    }
    let mut order = Vec::with_capacity(first.len() + second.len());
    while let Some(address) = first.pop_front() {
        order.push(address);
        order.extend(second.pop_front());
    }
    order.extend(second);
    order
}

#[cfg(test)]
#[path = "plan_model_tests.rs"]
mod model_tests;
#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
