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
    times: Mutex<Times>,
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
        InFlight(Arc::clone(self))
    }

    pub(super) fn judge(&self, head: Duration, idle: Duration, stuck: Option<Duration>) -> Verdict {
        let now = Instant::now();
        // Looked at this often, no deadline that arises in between is missed: none is nearer.
        let mut next = now + head.min(idle).min(stuck.unwrap_or(idle));
        if let (Some(limit), Some(at)) = (stuck, self.stuck_at.load(Ordering::Relaxed).checked_sub(1)) {
            let deadline = self.born + Duration::from_millis(at) + limit;
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
        self.body.store(open, Ordering::Release);
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
        self.has_read();
    }

    /// Whether what is still to be sent is the end of the last answer.
    pub(super) fn ends(&self) -> bool {
        self.last.load(Ordering::Acquire) && self.is_idle()
    }

    /// Something was written, or was to be: it may not have left yet.
    pub(super) fn unflushed(&self, unflushed: bool) {
        self.unflushed.store(unflushed, Ordering::Release);
    }

    fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0
    }

    /// Whether the client has sent nothing yet.
    pub(super) fn is_fresh(&self) -> bool {
        !self.spoke.load(Ordering::Relaxed)
    }

    /// Bytes have arrived.
    pub(super) fn has_read(&self) {
        self.spoke.store(true, Ordering::Relaxed);
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
            let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
            self.stuck_at.store(now + 1, Ordering::Relaxed);
        }
    }

    /// The client has taken bytes.
    pub(super) fn has_written(&self) {
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
pub(super) struct InFlight(Arc<Gauge>);

impl InFlight {
    /// Never lets go: for an HTTP/2 stream that becomes a tunnel (CONNECT) and outlives its response.
    pub(super) fn forever(&self) {
        self.0.in_flight.fetch_add(1, Ordering::AcqRel);
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.times().idle_since = Instant::now();
        self.0.in_flight.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    const HEAD: Duration = Duration::from_secs(30);
    const IDLE: Duration = Duration::from_secs(75);
    const STUCK: Duration = Duration::from_secs(100);

    async fn after(gauge: &Gauge, seconds: u64) -> Verdict {
        advance(Duration::from_secs(seconds)).await;
        gauge.judge(HEAD, IDLE, Some(STUCK))
    }

    fn fine(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Fine(_))
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_connection_has_the_time_of_a_head() {
        let gauge = Gauge::new();
        assert!(fine(after(&gauge, 29).await));
        assert_eq!(after(&gauge, 1).await, Verdict::SlowHead);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_flight_has_all_the_time() {
        let gauge = Gauge::new();
        let request = gauge.request(false, false);
        assert!(fine(after(&gauge, 3600).await));
        drop(request);
        assert!(fine(after(&gauge, 74).await));
        assert_eq!(after(&gauge, 1).await, Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_head_is_timed_from_its_first_byte() {
        let gauge = Gauge::new();
        drop(gauge.request(false, false));
        assert!(fine(after(&gauge, 70).await));
        gauge.has_read();
        assert!(fine(after(&gauge, 29).await));
        gauge.has_read();
        assert_eq!(after(&gauge, 1).await, Verdict::SlowHead);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_still_reads_is_not_idle() {
        let gauge = Gauge::new();
        drop(gauge.request(false, false));
        advance(Duration::from_secs(60)).await;
        gauge.has_written();
        assert!(fine(after(&gauge, 60).await));
        assert_eq!(after(&gauge, 15).await, Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_stuck_though_a_request_is_in_flight() {
        let gauge = Gauge::new();
        let _request = gauge.request(false, false);
        gauge.waits_to_write();
        advance(Duration::from_secs(60)).await;
        gauge.has_written();
        gauge.waits_to_write();
        advance(Duration::from_secs(60)).await;
        gauge.waits_to_write();
        assert!(fine(after(&gauge, 39).await));
        assert_eq!(gauge.judge(HEAD, IDLE, None), Verdict::Fine(Instant::now() + HEAD));
        assert_eq!(after(&gauge, 1).await, Verdict::Stuck);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_between_http2_requests_are_no_heads() {
        let gauge = Gauge::new();
        drop(gauge.request(true, false));
        gauge.has_read();
        assert!(fine(after(&gauge, 74).await));
        assert_eq!(after(&gauge, 1).await, Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_between_requests_only() {
        let gauge = Gauge::new();
        let begun = Instant::now();
        assert_eq!(gauge.silent_since(), Some(begun));
        gauge.has_read();
        assert_eq!(gauge.silent_since(), None, "a head has begun");
        let request = gauge.request(false, false);
        gauge.body(true);
        assert_eq!(gauge.silent_since(), None, "a request is under way");
        drop(request);
        assert_eq!(gauge.silent_since(), None, "its body is not read");
        gauge.body(false);
        assert_eq!(gauge.silent_since(), Some(begun));
        gauge.unflushed(true);
        assert_eq!(gauge.silent_since(), None, "bytes have not left yet");
        gauge.unflushed(false);
        drop(gauge.request(true, false));
        assert_eq!(gauge.silent_since(), None, "HTTP/2 is never silent");
    }

    #[tokio::test(start_paused = true)]
    async fn the_end_is_what_follows_the_last_answer() {
        let gauge = Gauge::new();
        drop(gauge.request(false, false));
        assert!(!gauge.ends());
        let request = gauge.request(false, true);
        assert!(!gauge.ends(), "its answer is not complete");
        drop(request);
        assert!(gauge.ends());
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_look_comes_before_any_deadline() {
        let gauge = Gauge::new();
        drop(gauge.request(false, false));
        assert_eq!(gauge.judge(HEAD, IDLE, Some(STUCK)), Verdict::Fine(Instant::now() + HEAD));
    }
}
