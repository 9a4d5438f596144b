//! The bodies on their way through: piece by piece, as fast as the receiver takes them, and never silent for ever. One
//! clock is kept for both directions of a request, for in a call that streams both ways either may rest while the other
//! talks.

use std::{
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::{
    task::AbortHandle,
    time::{Instant, Sleep, sleep_until},
};

use super::{pool::Held, upstream::InFlight};
use crate::{BoxError, server::RequestBody};

/// Nothing moved for longer than allowed.
#[derive(Debug, thiserror::Error)]
#[error("no byte of a body moved within {:.1} s", .0.as_secs_f64())]
struct Silence(Duration);

/// How far a request has got: what its limits are counted from.
#[derive(Debug)]
pub(super) struct Progress {
    born: Instant,
    /// When a body last moved, of the request or the answer, in milliseconds after `born`.
    moved_at: AtomicU64,
    /// Whether more of the request's body is wanted and the client does not send it.
    waits: AtomicBool,
    failed: AtomicBool,
    silent: AtomicBool,
}

impl Progress {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            moved_at: AtomicU64::new(0),
            waits: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            silent: AtomicBool::new(false),
        })
    }

    /// Counts from now.
    pub(super) fn touch(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_at.store(now, Ordering::Relaxed);
    }

    fn moved(&self) -> Instant {
        self.born + Duration::from_millis(self.moved_at.load(Ordering::Relaxed))
    }

    /// When the limit for the answer's head passes, if nothing moves until then. While the client is awaited its own
    /// limit holds.
    pub(super) fn deadline(&self, limit: Duration) -> Instant {
        if self.waits.load(Ordering::Relaxed) {
            return Instant::now() + limit;
        }
        self.moved() + limit
    }

    /// Whether the client's body broke, or was silent for too long.
    pub(super) fn client_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Whether the client's body was silent for too long.
    pub(super) fn client_silent(&self) -> bool {
        self.silent.load(Ordering::Relaxed)
    }
}

/// The body of a request on its way to an upstream; or none.
pub(super) struct Upload {
    body: Option<RequestBody>,
    limit: Duration,
    progress: Arc<Progress>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Since when the client is awaited. Time in which nobody asks for more does not count.
    asked: Option<Instant>,
}

impl Upload {
    pub(super) fn new(body: RequestBody, limit: Duration, progress: Arc<Progress>) -> Self {
        let body = (!body.is_end_stream()).then_some(body);
        Self { body, limit, progress, alarm: None, asked: None }
    }

    /// No body.
    pub(super) const fn none(progress: Arc<Progress>) -> Self {
        Self { body: None, limit: Duration::MAX, progress, alarm: None, asked: None }
    }

    /// Ready when neither the client was heard since it was asked, nor the answer moved.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let asked = *self.asked.get_or_insert_with(Instant::now);
        loop {
            let deadline = self.progress.moved().max(asked) + self.limit;
            let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if alarm.deadline() < deadline {
                alarm.as_mut().reset(deadline);
            }
            ready!(alarm.as_mut().poll(context));
            if self.progress.moved() + self.limit <= Instant::now() {
                return Poll::Ready(());
            }
        }
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(context);
        this.progress.waits.store(polled.is_pending(), Ordering::Relaxed);
        match polled {
            Poll::Ready(frame) => {
                this.asked = None;
                this.progress.touch();
                if let Some(Err(_)) = &frame {
                    this.progress.failed.store(true, Ordering::Relaxed);
                }
                Poll::Ready(frame)
            }
            Poll::Pending => {
                ready!(this.poll_silence(context));
                this.progress.silent.store(true, Ordering::Relaxed);
                this.progress.failed.store(true, Ordering::Relaxed);
                Poll::Ready(Some(Err(Silence(this.limit).into())))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// The body of an answer on its way to the client; its request counts as in flight until then.
pub(super) struct Download {
    inner: Arc<Mutex<Answer>>,
    limit: Duration,
    progress: Arc<Progress>,
    watchman: Option<AbortHandle>,
}

/// What an answer holds on to.
struct Answer {
    /// None once it was given up.
    body: Option<Incoming>,
    /// Who waits for more of it.
    waker: Option<Waker>,
    _holds: (InFlight, Option<Held>),
}

fn lock(answer: &Mutex<Answer>) -> MutexGuard<'_, Answer> {
    answer.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Download {
    pub(super) fn new(
        body: Incoming,
        limit: Duration,
        progress: Arc<Progress>,
        in_flight: InFlight,
        held: Option<Held>,
    ) -> Self {
        progress.touch();
        let answer = Answer { body: Some(body), waker: None, _holds: (in_flight, held) };
        Self { inner: Arc::new(Mutex::new(answer)), limit, progress, watchman: None }
    }

    /// Has the answer given up when nothing moves. A task of its own sees to it, for nobody polls this body while its
    /// client does not read.
    fn watch(&mut self) {
        if self.watchman.is_some() {
            return;
        }
        let (inner, progress, limit) = (Arc::clone(&self.inner), Arc::clone(&self.progress), self.limit);
        let watching = tokio::spawn(async move {
            loop {
                let deadline = progress.moved() + limit;
                if deadline <= Instant::now() {
                    break;
                }
                sleep_until(deadline).await;
            }
            let waker = {
                let mut answer = lock(&inner);
                // Dropped, it ends the upstream's connection or stream.
                answer.body = None;
                answer.waker.take()
            };
            if let Some(waker) = waker {
                waker.wake();
            }
        });
        self.watchman = Some(watching.abort_handle());
    }
}

impl Drop for Download {
    fn drop(&mut self) {
        if let Some(watchman) = &self.watchman {
            watchman.abort();
        }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let mut answer = lock(&this.inner);
        let (polled, more) = match &mut answer.body {
            Some(body) => {
                let polled = Pin::new(&mut *body).poll_frame(context).map_err(BoxError::from);
                (polled, !body.is_end_stream())
            }
            None => (Poll::Ready(Some(Err(Silence(this.limit).into()))), false),
        };
        if polled.is_pending() {
            answer.waker = Some(context.waker().clone());
        }
        drop(answer);
        // An answer that came whole needs no watching: what is left of it is the client's connection's affair.
        if more && !matches!(polled, Poll::Ready(None | Some(Err(_)))) {
            this.watch();
        }
        match ready!(polled) {
            Some(Err(error)) => {
                tracing::warn!(%error, "an answer broke off on its way; the client's breaks off as well");
                Poll::Ready(Some(Err(error)))
            }
            frame => {
                this.progress.touch();
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        lock(&self.inner).body.as_ref().is_some_and(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        lock(&self.inner).body.as_ref().map_or_else(SizeHint::default, Body::size_hint)
    }
}

/// A body whose failure is told one poll late: hyper drops what it has not sent yet when a body fails, the head included, and sends
/// it while a body has no more.
pub(super) struct FailsLate<B> {
    body: B,
    failing: Option<BoxError>,
}

impl<B> FailsLate<B> {
    pub(super) const fn new(body: B) -> Self {
        Self { body, failing: None }
    }
}

impl<B> Body for FailsLate<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        if let Some(error) = this.failing.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(Pin::new(&mut this.body).poll_frame(context)) {
            Some(Err(error)) => {
                this.failing = Some(error.into());
                context.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame.map(|frame| frame.map_err(Into::into))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.failing.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
