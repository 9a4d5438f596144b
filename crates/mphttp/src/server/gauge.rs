//! Whether a connection is busy, idle, or dawdling over the head of a request: what its time limits are judged by.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::Instant,
};

use super::open::Entry;

/// The activity of one connection.
#[derive(Debug)]
pub(super) struct Gauge {
    in_flight: AtomicU32,
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
    /// A connection that is ready now: the time for its first request runs, and so much of it is spent.
    pub(super) fn new(spent: Duration) -> Arc<Self> {
        let now = Instant::now();
        let head_since = Some(now.checked_sub(spent).unwrap_or(now));
        let times = Times { idle_since: now, head_since, multiplexed: false };
        let (in_flight, stuck_at) = (AtomicU32::new(0), AtomicU64::new(0));
        Arc::new(Self { in_flight, born: now, stuck_at, times: Mutex::new(times) })
    }

    /// A request whose head has arrived; in flight until the guard is dropped.
    pub(super) fn request(self: &Arc<Self>, multiplexed: bool) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::AcqRel);
        let mut times = self.times();
        times.head_since = None;
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

    fn is_idle(&self) -> bool {
        self.in_flight.load(Ordering::Acquire) == 0
    }

    fn has_read(&self) {
        if self.is_idle() {
            let mut times = self.times();
            // What arrives between HTTP/2 requests may be anything (PING, SETTINGS, WINDOW_UPDATE): only the idle
            // limit holds there.
            if times.head_since.is_none() && !times.multiplexed {
                times.head_since = Some(Instant::now());
            }
        }
    }

    /// There is something to send, and the client has no room for it.
    fn waits_to_write(&self) {
        if self.stuck_at.load(Ordering::Relaxed) == 0 {
            let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
            self.stuck_at.store(now + 1, Ordering::Relaxed);
        }
    }

    fn has_written(&self) {
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

/// The connection's bytes, seen by its gauge. Holds the connection's slot, also after an upgrade took it over.
#[derive(Debug)]
pub(super) struct Tracked<IO> {
    // Declared, and so dropped, before the stream: its last look needs it.
    _entry: Option<Entry>,
    io: IO,
    gauge: Arc<Gauge>,
    _slot: OwnedSemaphorePermit,
}

impl<IO> Tracked<IO> {
    pub(super) fn new(io: IO, gauge: Arc<Gauge>, slot: OwnedSemaphorePermit, entry: Option<Entry>) -> Self {
        Self { _entry: entry, io, gauge, _slot: slot }
    }

    fn note_write(&self, polled: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &polled {
            Poll::Pending => self.gauge.waits_to_write(),
            Poll::Ready(Ok(_)) => self.gauge.has_written(),
            Poll::Ready(Err(_)) => {}
        }
        polled
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Tracked<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        if buffer.filled().len() > before {
            self.gauge.has_read();
        }
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Tracked<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(context, buffer);
        self.note_write(polled)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(context, buffers);
        self.note_write(polled)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
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
        let gauge = Gauge::new(Duration::ZERO);
        assert!(fine(after(&gauge, 29).await));
        assert_eq!(after(&gauge, 1).await, Verdict::SlowHead);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_in_flight_has_all_the_time() {
        let gauge = Gauge::new(Duration::ZERO);
        let request = gauge.request(false);
        assert!(fine(after(&gauge, 3600).await));
        drop(request);
        assert!(fine(after(&gauge, 74).await));
        assert_eq!(after(&gauge, 1).await, Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_head_is_timed_from_its_first_byte() {
        let gauge = Gauge::new(Duration::ZERO);
        drop(gauge.request(false));
        assert!(fine(after(&gauge, 70).await));
        gauge.has_read();
        assert!(fine(after(&gauge, 29).await));
        gauge.has_read();
        assert_eq!(after(&gauge, 1).await, Verdict::SlowHead);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_still_reads_is_not_idle() {
        let gauge = Gauge::new(Duration::ZERO);
        drop(gauge.request(false));
        advance(Duration::from_secs(60)).await;
        gauge.has_written();
        assert!(fine(after(&gauge, 60).await));
        assert_eq!(after(&gauge, 15).await, Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_stuck_though_a_request_is_in_flight() {
        let gauge = Gauge::new(Duration::ZERO);
        let _request = gauge.request(false);
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
    async fn what_a_proxys_header_took_is_spent() {
        let gauge = Gauge::new(Duration::from_secs(20));
        assert!(fine(after(&gauge, 9).await));
        assert_eq!(after(&gauge, 1).await, Verdict::SlowHead);
    }

    #[tokio::test(start_paused = true)]
    async fn frames_between_http2_requests_are_no_heads() {
        let gauge = Gauge::new(Duration::ZERO);
        drop(gauge.request(true));
        gauge.has_read();
        assert!(fine(after(&gauge, 74).await));
        assert_eq!(after(&gauge, 1).await, Verdict::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn the_next_look_comes_before_any_deadline() {
        let gauge = Gauge::new(Duration::ZERO);
        drop(gauge.request(false));
        assert_eq!(gauge.judge(HEAD, IDLE, Some(STUCK)), Verdict::Fine(Instant::now() + HEAD));
    }
}
