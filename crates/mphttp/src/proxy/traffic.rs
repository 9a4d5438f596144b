//! What passes through, counted, and how long nothing has.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    select,
    sync::watch,
    time::{Instant, sleep_until},
};

/// How far the proxy's end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Not begun.
    Open,
    /// What is silent ends; what still moves may go on.
    Leaving,
    /// Everything ends.
    Closed,
}

/// How long a tunnel may be silent once the proxy is stopping.
const LEAVING: Duration = Duration::from_secs(1);

/// The traffic of one exchange.
#[derive(Debug)]
pub(super) struct Traffic {
    born: Instant,
    /// Milliseconds from `born` to the latest byte.
    latest: AtomicU64,
    sent: AtomicU64,
    received: AtomicU64,
}

impl Traffic {
    pub(super) fn new() -> Arc<Self> {
        let zero = || AtomicU64::new(0);
        Arc::new(Self { born: Instant::now(), latest: zero(), sent: zero(), received: zero() })
    }

    pub(super) fn touch(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.latest.store(now, Ordering::Relaxed);
    }

    /// Bytes from the client.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Bytes for the client.
    pub(super) fn received(&self) -> u64 {
        self.received.load(Ordering::Relaxed)
    }

    /// Ends when nothing has passed for `idle`, or much less while the proxy stops.
    pub(super) async fn silence(&self, idle: Duration, mut stage: watch::Receiver<Stage>) {
        loop {
            let now = *stage.borrow_and_update();
            let limit = match now {
                Stage::Open => idle,
                Stage::Leaving => LEAVING.min(idle),
                Stage::Closed => return,
            };
            let latest = self.born + Duration::from_millis(self.latest.load(Ordering::Relaxed));
            // A limit beyond what the clock can tell is none.
            let due = latest.checked_add(limit);
            if due.is_some_and(|due| due <= Instant::now()) {
                return;
            }
            let wait = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            select! {
                () = wait => {}
                // A proxy that is gone stops nothing gracefully any more.
                changed = stage.changed() => if changed.is_err() { return },
            }
        }
    }
}

/// Which end of a tunnel a stream leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Client,
    Target,
}

/// A stream whose bytes are counted.
#[derive(Debug)]
pub(super) struct Metered<IO> {
    io: IO,
    end: End,
    traffic: Arc<Traffic>,
}

impl<IO> Metered<IO> {
    pub(super) fn new(io: IO, end: End, traffic: &Arc<Traffic>) -> Self {
        Self { io, end, traffic: Arc::clone(traffic) }
    }
}

impl<IO: AsyncRead + Unpin> AsyncRead for Metered<IO> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        let count = match self.end {
            End::Client => &self.traffic.sent,
            End::Target => &self.traffic.received,
        };
        count.fetch_add((buffer.filled().len() - before) as u64, Ordering::Relaxed);
        self.traffic.touch();
        Poll::Ready(Ok(()))
    }
}

impl<IO: AsyncWrite + Unpin> AsyncWrite for Metered<IO> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write(context, bytes))?;
        // A slow reader is not silent.
        self.traffic.touch();
        Poll::Ready(Ok(written))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.io).poll_write_vectored(context, pieces))?;
        self.traffic.touch();
        Poll::Ready(Ok(written))
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
    use tokio::time::timeout;

    const IDLE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn silence_is_counted_from_the_latest_byte() {
        let (_stop, stage) = watch::channel(Stage::Open);
        let traffic = Traffic::new();
        let begun = Instant::now();
        let silence = traffic.silence(IDLE, stage);
        tokio::pin!(silence);
        assert!(timeout(Duration::from_secs(50), &mut silence).await.is_err());
        traffic.touch();
        silence.await;
        assert_eq!(begun.elapsed().as_secs(), 110);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_what_is_silent_soon_and_at_last_everything() {
        let (stop, stage) = watch::channel(Stage::Open);
        let traffic = Traffic::new();
        let begun = Instant::now();
        let silence = traffic.silence(IDLE, stage.clone());
        tokio::pin!(silence);
        assert!(timeout(Duration::from_secs(10), &mut silence).await.is_err());
        traffic.touch();
        stop.send_replace(Stage::Leaving);
        silence.await;
        assert_eq!(begun.elapsed().as_secs(), 11);
        stop.send_replace(Stage::Closed);
        traffic.touch();
        traffic.silence(IDLE, stage).await;
        assert_eq!(begun.elapsed().as_secs(), 11);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_beyond_the_clock_is_none() {
        let (_stop, stage) = watch::channel(Stage::Open);
        let traffic = Traffic::new();
        assert!(timeout(IDLE, traffic.silence(Duration::MAX, stage)).await.is_err());
    }
}
