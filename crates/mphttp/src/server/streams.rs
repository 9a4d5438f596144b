//! The tasks of HTTP/2's streams. A client that gives one of them no more room (RFC 9113 section 5.2) holds up that answer alone,
//! and the connection's bytes tell nothing of it: it is seen by the answer's body, of which nobody asks more.

use std::{
    cell::Cell,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use hyper::rt::Executor;
use pin_project_lite::pin_project;
use tokio::{
    task_local,
    time::{Instant, Sleep, sleep_until},
};

task_local! {
    /// Since when what this stream's body has given waits for room, if it does.
    static WAITING: Cell<Option<Instant>>;
}

/// The answer of this stream waits for room from now on, or does no more.
pub(super) fn wait(waits: bool) {
    // An answer that is dropped elsewhere is over.
    let _ = WAITING.try_with(|waiting| waiting.set(waits.then(Instant::now)));
}

/// Spawns the streams of connections.
#[derive(Clone, Copy, Debug)]
pub(super) struct Streams {
    /// How long an answer may wait for room.
    pub(super) limit: Duration,
}

impl<F> Executor<F> for Streams
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        tokio::spawn(WAITING.scope(Cell::new(None), Limited::new(stream, self.limit)));
    }
}

pin_project! {
    /// A stream that ends when its answer has waited for room too long: dropped, it is reset (CANCEL).
    struct Limited<F> {
        #[pin]
        stream: F,
        limit: Duration,
        alarm: Option<Pin<Box<Sleep>>>,
    }
}

impl<F> Limited<F> {
    fn new(stream: F, limit: Duration) -> Self {
        Self { stream, limit, alarm: None }
    }
}

impl<F: Future<Output = ()>> Future for Limited<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = self.project();
        if this.stream.poll(context).is_ready() {
            return Poll::Ready(());
        }
        // A limit beyond what the clock can tell is none.
        let Some(deadline) = WAITING.with(Cell::get).and_then(|since| since.checked_add(*this.limit)) else {
            return Poll::Pending;
        };
        let alarm = this.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        if alarm.deadline() != deadline {
            alarm.as_mut().reset(deadline);
        }
        if alarm.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        tracing::info!("reset a stream whose client gives its answer no room");
        Poll::Ready(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };
    use tokio::{
        sync::mpsc::{UnboundedReceiver, unbounded_channel},
        task::yield_now,
        time::{advance, sleep},
    };

    const LIMIT: Duration = Duration::from_secs(60);

    /// A stream that does what it is told, and tells when it is gone.
    struct Stream {
        told: UnboundedReceiver<bool>,
        gone: Arc<AtomicBool>,
    }

    impl Future for Stream {
        type Output = ();

        fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
            while let Poll::Ready(told) = self.told.poll_recv(context) {
                match told {
                    Some(waits) => wait(waits),
                    None => return Poll::Ready(()),
                }
            }
            Poll::Pending
        }
    }

    impl Drop for Stream {
        fn drop(&mut self) {
            self.gone.store(true, Ordering::SeqCst);
        }
    }

    async fn after(seconds: u64) {
        // The stream hears what it was told now, not then.
        yield_now().await;
        advance(Duration::from_secs(seconds)).await;
        sleep(Duration::from_millis(1)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_waits_for_room_is_given_up_after_the_limit() {
        let (tell, told) = unbounded_channel();
        let gone = Arc::new(AtomicBool::new(false));
        Streams { limit: LIMIT }.execute(Stream { told, gone: Arc::clone(&gone) });
        let gone = || gone.load(Ordering::SeqCst);
        // Nothing is there to be sent: that is the handler's time.
        after(1000).await;
        tell.send(true).unwrap();
        after(59).await;
        // There was room, and there is more to be sent.
        tell.send(false).unwrap();
        tell.send(true).unwrap();
        after(59).await;
        // There was room, and the handler has no more yet.
        tell.send(false).unwrap();
        after(1000).await;
        tell.send(true).unwrap();
        after(59).await;
        assert!(!gone());
        after(1).await;
        assert!(gone());
    }
}
