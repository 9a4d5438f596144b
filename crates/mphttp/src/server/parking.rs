//! Where idle connections wait: what a connection keeps while it has nothing to do is its socket, the keys of its TLS, what
//! its limits are judged by, and a small task. Buffers and the state of HTTP are made when there is something to read.
//!
//! A connection is parked when it begins, and again when it has been silent between two requests of HTTP/1.1: for a second,
//! or less where many are lively. Those that ask more often never come here. HTTP/2 has state that can't be taken apart; it stays.

use std::{
    future::{Future, poll_fn},
    io,
    mem::MaybeUninit,
    pin::{Pin, pin},
    sync::atomic::{AtomicUsize, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use mptcp_socket::{EagerStream, Watched};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    select,
    sync::watch,
    time::{sleep, sleep_until},
};
use tokio_rustls::server::TlsStream;

use super::{
    Limits,
    crowd::Room,
    gauge::{Gauge, Verdict},
    tracked::Tracked,
};

/// How long a connection is silent before it gives up what it can make again, while few have that.
pub(super) const SILENCE: Duration = Duration::from_secs(1);
/// The least of it, however many they are.
const LEAST: Duration = Duration::from_millis(50);
/// How many are few.
const FEW: usize = 256;

/// Counts the connections that have the buffers and the state of HTTP.
#[derive(Debug, Default)]
pub(super) struct Lively(AtomicUsize);

impl Lively {
    /// Counts one more until what is returned is dropped.
    pub(super) fn one(&self) -> impl Drop + '_ {
        struct One<'a>(&'a Lively);
        impl Drop for One<'_> {
            fn drop(&mut self) {
                self.0.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.0.fetch_add(1, Ordering::Relaxed);
        One(self)
    }

    /// How long a connection may be silent before it is parked: the more have what parked ones give up, the shorter, so that
    /// thousands that each ask once don't have it all at once.
    pub(super) fn patience(&self) -> Duration {
        let crowd = self.0.load(Ordering::Relaxed) / FEW;
        let divisor = u32::try_from(crowd.saturating_mul(crowd)).unwrap_or(u32::MAX).saturating_add(1);
        (SILENCE / divisor).max(LEAST)
    }
}

/// How long a client that connected before the stop, and has sent nothing yet, may take for its first request: it may be on its
/// way, and to close now would be to refuse it.
const FRESH: Duration = Duration::from_secs(1);

/// A stream that can wait for its socket.
pub(super) trait Parkable: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Whether all that has arrived was read, so that only the socket can bring more.
    fn is_drained(&self) -> bool;

    /// Waits until there is something to read, and reads it into `first` if that takes no buffers. `false`: there is no more to
    /// come.
    fn poll_arrival(&mut self, context: &mut Context<'_>, first: &mut ReadBuf<'_>) -> Poll<io::Result<bool>>;

    /// See [`EagerStream::cork`].
    fn cork(&self, on: bool);
}

impl Parkable for Watched<EagerStream> {
    fn is_drained(&self) -> bool {
        true
    }

    fn poll_arrival(&mut self, context: &mut Context<'_>, first: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        Pin::new(self).poll_read(context, first).map_ok(|()| !first.filled().is_empty())
    }

    fn cork(&self, on: bool) {
        self.get_ref().cork(on);
    }
}

/// In a box: the state of TLS is far larger than a parked connection's task.
impl Parkable for Box<TlsStream<Watched<EagerStream>>> {
    fn is_drained(&self) -> bool {
        let (_, tls) = self.get_ref();
        // A request can come with the end of the handshake, and lie decrypted in the buffers of TLS.
        tls.wants_read() && !tls.wants_write()
    }

    /// Reads nothing: the buffers of TLS are made only when there is something for them. Readiness may be a guess that lasts
    /// until a read finds nothing: a look at the first byte settles it. If there can be no such look (MPTCP before Linux
    /// 5.17), the next read says more.
    fn poll_arrival(&mut self, context: &mut Context<'_>, _: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let mut byte = [MaybeUninit::uninit()];
        self.get_mut().0.poll_peek(context, &mut ReadBuf::uninit(&mut byte)).map(|_| Ok(true))
    }

    fn cork(&self, on: bool) {
        self.get_ref().0.get_ref().cork(on);
    }
}

/// How a connection that has nothing under way is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// With a farewell: it was idle for too long, or the server stops.
    Farewell,
    /// At once: the head of a request took too long.
    AtOnce,
    /// With a farewell: others want its room.
    Room,
}

/// Waits until there is something to read (`true`) or the end has come; or says how to close.
pub(super) async fn park<IO: Parkable>(
    io: &mut Tracked<IO>,
    gauge: &Gauge,
    limits: &Limits,
    stopping: &mut watch::Receiver<bool>,
    room: &Room,
) -> Result<io::Result<bool>, Close> {
    within(gauge, limits, stopping, room, poll_fn(|context| io.poll_arrival(context))).await
}

/// Waits until the server stops, and until a client that has sent nothing yet has had a moment for its first request.
pub(super) async fn asked_to_end(gauge: &Gauge, stopping: &mut watch::Receiver<bool>) {
    drop(stopping.wait_for(|&stop| stop).await);
    if gauge.is_fresh() {
        // In a box: it is what a parked connection would never need.
        Box::pin(sleep(FRESH)).await;
    }
}

/// Waits for `event` as long as the connection's limits and the server allow.
pub(super) async fn within<T>(
    gauge: &Gauge,
    limits: &Limits,
    stopping: &mut watch::Receiver<bool>,
    room: &Room,
    event: impl Future<Output = T>,
) -> Result<T, Close> {
    // Over all rounds: who waits longest goes first.
    let (mut event, mut room) = (pin!(event), pin!(room.make(gauge)));
    loop {
        let next = match gauge.judge(limits.header_read, limits.idle, limits.write) {
            Verdict::Fine(next) => next,
            Verdict::SlowHead | Verdict::Stuck => return Err(Close::AtOnce),
            Verdict::Idle => return Err(Close::Farewell),
        };
        select! {
            biased;
            happened = event.as_mut() => return Ok(happened),
            () = asked_to_end(gauge, stopping) => return Err(Close::Farewell),
            () = room.as_mut() => return Err(Close::Room),
            () = sleep_until(next) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_more_are_lively_the_sooner_they_are_parked() {
        let lively = Lively::default();
        let few: Vec<_> = (0..FEW - 1).map(|_| lively.one()).collect();
        assert_eq!(lively.patience(), SILENCE);
        let many: Vec<_> = (0..FEW).map(|_| lively.one()).collect();
        assert_eq!(lively.patience(), SILENCE / 2);
        let crowd: Vec<_> = (0..40 * FEW).map(|_| lively.one()).collect();
        assert_eq!(lively.patience(), LEAST);
        drop((few, many, crowd));
        assert_eq!(lively.patience(), SILENCE);
    }
}
