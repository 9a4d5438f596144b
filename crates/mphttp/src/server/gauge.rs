//! Whether a connection is busy, idle, or dawdling over the head of a request: what its time limits are judged by.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::Instant;

/// The activity of one connection.
#[derive(Debug)]
pub(super) struct Gauge {
    in_flight: AtomicU32,
    /// Whether the client has sent anything.
    spoke: AtomicBool,
    /// Whether what was written may not have left yet.
    unflushed: AtomicBool,
    /// Whether more of a request's body may arrive.
    body: AtomicBool,
    /// Whether the connection ends with the answer to the latest request.
    last: AtomicBool,
    born: Instant,
    /// Since when the client takes nothing of what is to be sent, in milliseconds after `born`, and one more; 0 while it does.
    stuck_at: AtomicU64,
    /// How many answers of HTTP/2 have something for the client that it has not taken.
    offers: AtomicU32,
    /// When it last took something of one, in milliseconds after `born`.
    taken_at: AtomicU64,
    /// How fast the client takes answers, once it has had no room for one.
    takes: Pace,
    /// How fast it sends the body of its request.
    sends: Pace,
    times: Mutex<Times>,
}

/// How long a connection with nothing to answer is left alone although others want its room: what it is about to ask may be on
/// its way.
const LEFT_ALONE: Duration = Duration::from_secs(1);
/// How long one that takes or sends hardly anything of what is under way is.
const PATIENCE: Duration = Duration::from_secs(10);
/// How many bytes in that time are more than hardly anything.
const HARDLY: u64 = 5000;

/// Since when hardly anything moves in one direction.
#[derive(Debug, Default)]
struct Pace {
    /// In milliseconds after the connection's birth, and one more; 0 for a direction that is not looked at.
    since: AtomicU64,
    bytes: AtomicU64,
}

impl Pace {
    fn begin(&self, now: u64) {
        self.bytes.store(0, Ordering::Relaxed);
        self.since.store(now + 1, Ordering::Relaxed);
    }

    fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    fn is_on(&self) -> bool {
        self.since.load(Ordering::Relaxed) != 0
    }

    /// Whether enough has moved for time to count anew.
    fn moved(&self, bytes: usize) -> bool {
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed) + bytes as u64 >= HARDLY
    }

    fn is_slow(&self, now: u64) -> bool {
        let since = self.since.load(Ordering::Relaxed).checked_sub(1);
        since.is_some_and(|since| since + PATIENCE.as_millis() as u64 <= now)
    }
}

#[derive(Debug)]
struct Times {
    /// The end of the latest activity.
    idle_since: Instant,
    /// When the head began that has not arrived in full yet.
    head_since: Option<Instant>,
    /// Whether any of it has.
    head_begun: bool,
    multiplexed: bool,
}

/// What the limits say of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Within its limits; look again then at the latest.
    Fine(Instant),
    /// The head of a request takes too long.
    SlowHead,
    /// Nothing has happened for too long.
    Idle,
    /// The client has taken nothing of what is to be sent for too long.
    Stuck,
}

impl Gauge {
    /// A connection that is ready now: the time for its first request runs.
    pub(super) fn new() -> Arc<Self> {
        let now = Instant::now();
        let times = Times { idle_since: now, head_since: Some(now), head_begun: false, multiplexed: false };
        Arc::new(Self {
            in_flight: AtomicU32::new(0),
            spoke: AtomicBool::new(false),
            unflushed: AtomicBool::new(false),
            body: AtomicBool::new(false),
            last: AtomicBool::new(false),
            born: now,
            stuck_at: AtomicU64::new(0),
            offers: AtomicU32::new(0),
            taken_at: AtomicU64::new(0),
            takes: Pace::default(),
            sends: Pace::default(),
            times: Mutex::new(times),
        })
    }

    /// The time for the first request begins anew.
    pub(super) fn restart(&self) {
        let now = Instant::now();
        let mut times = self.times();
        (times.idle_since, times.head_since) = (now, Some(now));
    }

    /// A request whose head has arrived; in flight until the guard is dropped. `last` if the connection ends with its answer.
    pub(super) fn request(self: &Arc<Self>, multiplexed: bool, last: bool) -> InFlight {
        self.last.store(last, Ordering::Release);
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        let mut times = self.times();
        times.head_since = None;
        times.head_begun = false;
        times.multiplexed = multiplexed;
        InFlight { gauge: Arc::clone(self), multiplexed }
    }

    pub(super) fn judge(&self, head: Duration, idle: Duration, stuck: Duration) -> Verdict {
        let now = Instant::now();
        // Looked at this often, no deadline that arises in between is missed: none is nearer.
        let mut next = now + head.min(idle).min(stuck);
        if let Some(since) = self.stuck_since() {
            let deadline = since + stuck;
            if deadline <= now {
                return Verdict::Stuck;
            }
            next = next.min(deadline);
        }
        if self.is_idle() {
            let times = self.times();
            let (deadline, verdict) = match times.head_since {
                Some(since) => (since + head, Verdict::SlowHead),
                None => (times.idle_since + idle, Verdict::Idle),
            };
            if deadline <= now {
                return verdict;
            }
            next = next.min(deadline);
        }
        Verdict::Fine(next)
    }

    /// Whether more of the body of the latest request may arrive. One that is given up before its end counts until the next
    /// request: who knows how much of it HTTP still has to skip.
    pub(super) fn body(&self, open: bool) {
        if open {
            self.sends.begin(self.now());
        } else {
            self.sends.end();
        }
        self.body.store(open, Ordering::Release);
    }

    /// Since when the client takes nothing of what is to be sent: its socket has no room, or no answer of HTTP/2 may go on.
    fn stuck_since(&self) -> Option<Instant> {
        let socket = self.stuck_at.load(Ordering::Relaxed).checked_sub(1);
        let offers = self.offers.load(Ordering::Relaxed) > 0;
        let answers = offers.then(|| self.taken_at.load(Ordering::Relaxed));
        let at = match (socket, answers) {
            (Some(socket), Some(answers)) => socket.min(answers),
            (at, other) => at.or(other)?,
        };
        Some(self.born + Duration::from_millis(at))
    }

    /// Whether the connection can be closed when others want its room: nothing is being answered, or the client neither takes
    /// nor sends anything.
    pub(super) fn could_go(&self) -> bool {
        let now = Instant::now();
        let stuck = self.stuck_since().is_some_and(|since| since + PATIENCE <= now);
        if stuck || self.takes.is_slow(self.now()) {
            return true;
        }
        let times = self.times();
        if self.is_idle() {
            let since = times.head_since.unwrap_or(times.idle_since);
            return !self.unflushed.load(Ordering::Acquire) && since + LEFT_ALONE <= now;
        }
        // The bodies of HTTP/2 are not told apart.
        !times.multiplexed && self.sends.is_slow(self.now())
    }

    /// Since when an HTTP/1.1 connection has been between two requests, with nothing under way in either direction.
    pub(super) fn silent_since(&self) -> Option<Instant> {
        let busy = self.body.load(Ordering::Acquire) || self.unflushed.load(Ordering::Acquire);
        if busy || !self.is_idle() {
            return None;
        }
        let times = self.times();
        (!times.head_begun && !times.multiplexed).then_some(times.idle_since)
    }

    /// Bytes of a head are there that were not seen to be some.
    pub(super) fn head_begun(&self) {
        self.has_read(0);
    }

    /// Whether a request is being answered.
    pub(super) fn is_busy(&self) -> bool {
        !self.is_idle()
    }

    /// Whether what is still to be sent is the end of the last answer.
    pub(super) fn ends(&self) -> bool {
        self.last.load(Ordering::Acquire) && self.is_idle()
    }

    /// Something is to be written: it may not leave at once.
    pub(super) fn unflushed(&self) {
        self.unflushed.store(true, Ordering::Release);
    }

    /// All that was to be written has left.
    pub(super) fn flushed(&self) {
        self.takes.end();
        self.unflushed.store(false, Ordering::Release);
    }

    fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0
    }

    /// Whether the client has sent nothing yet.
    pub(super) fn is_fresh(&self) -> bool {
        !self.spoke.load(Ordering::Relaxed)
    }

    /// Bytes have arrived, so many.
    pub(super) fn has_read(&self, bytes: usize) {
        self.spoke.store(true, Ordering::Relaxed);
        if self.sends.is_on() && self.sends.moved(bytes) {
            self.sends.begin(self.now());
        }
        if self.is_idle() {
            let mut times = self.times();
            // What arrives between HTTP/2 requests may be anything (PING, SETTINGS, WINDOW_UPDATE): only the idle
            // limit holds there.
            if !times.multiplexed {
                times.head_begun = true;
                times.head_since.get_or_insert_with(Instant::now);
            }
        }
    }

    /// There is something to send, and the client has no room for it.
    pub(super) fn waits_to_write(&self) {
        if self.stuck_at.load(Ordering::Relaxed) == 0 {
            self.stuck_at.store(self.now() + 1, Ordering::Relaxed);
            if !self.takes.is_on() {
                self.takes.begin(self.now());
            }
        }
    }

    /// Milliseconds since `born`.
    fn now(&self) -> u64 {
        u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1)
    }

    /// The client has taken bytes, so many.
    pub(super) fn has_written(&self, bytes: usize) {
        if self.takes.is_on() && self.takes.moved(bytes) {
            self.takes.end();
        }
        if self.stuck_at.load(Ordering::Relaxed) != 0 {
            self.stuck_at.store(0, Ordering::Relaxed);
        }
        // The tail of a response still leaves after its body has ended: a slow reader is not idle.
        if self.is_idle() {
            self.times().idle_since = Instant::now();
        }
    }

    fn times(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Keeps a request counted as in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    gauge: Arc<Gauge>,
    multiplexed: bool,
}

impl InFlight {
    /// Never lets go: for an HTTP/2 stream that becomes a tunnel (CONNECT) and outlives its response.
    pub(super) fn forever(&self) {
        self.gauge.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    /// Whether answers wait for the client by themselves (RFC 9113 section 5.2). In HTTP/1.1 its socket tells.
    pub(super) fn is_multiplexed(&self) -> bool {
        self.multiplexed
    }

    /// The answer has something for the client.
    pub(super) fn offers(&self) {
        if self.gauge.offers.fetch_add(1, Ordering::Relaxed) == 0 {
            self.gauge.taken_at.store(self.gauge.now(), Ordering::Relaxed);
        }
    }

    /// The client has taken it, or will never.
    pub(super) fn offers_no_more(&self) {
        self.gauge.taken_at.store(self.gauge.now(), Ordering::Relaxed);
        self.gauge.offers.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.gauge.times().idle_since = Instant::now();
        self.gauge.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests;
