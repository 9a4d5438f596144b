//! The bodies on their way through: piece by piece, as fast as the receiver takes them, and never silent for ever.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep};

use super::upstream::InFlight;
use crate::{BoxError, server::RequestBody};

/// The sender of a body was silent for longer than allowed.
#[derive(Debug, thiserror::Error)]
#[error("no byte of the body within {:.1} s", .0.as_secs_f64())]
struct Silence(Duration);

/// A body that fails when its sender is silent for too long. Time in which nobody asks for more does not count.
struct Paced<B> {
    body: B,
    limit: Duration,
    alarm: Option<Pin<Box<Sleep>>>,
    armed: bool,
}

impl<B> Paced<B> {
    const fn new(body: B, limit: Duration) -> Self {
        Self { body, limit, alarm: None, armed: false }
    }
}

impl<B> Paced<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<BoxError>,
{
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.armed = false;
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let limit = self.limit;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep(limit)));
        if !self.armed {
            self.armed = true;
            alarm.as_mut().reset(Instant::now() + limit);
        }
        ready!(alarm.as_mut().poll(context));
        Poll::Ready(Some(Err(Silence(limit).into())))
    }
}

/// How far a request has got: what the limit for the answer's head is counted from.
#[derive(Debug)]
pub(super) struct Progress {
    born: Instant,
    /// When the client's body last moved, in milliseconds after `born`.
    moved_at: AtomicU64,
    /// Whether more of the body is wanted and the client does not send it.
    waits: AtomicBool,
    failed: AtomicBool,
}

impl Progress {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            born: Instant::now(),
            moved_at: AtomicU64::new(0),
            waits: AtomicBool::new(false),
            failed: AtomicBool::new(false),
        })
    }

    /// Counts from now.
    pub(super) fn touch(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.moved_at.store(now, Ordering::Relaxed);
    }

    /// When the limit passes, if nothing moves until then. While the client is awaited its own limit holds.
    pub(super) fn deadline(&self, limit: Duration) -> Instant {
        if self.waits.load(Ordering::Relaxed) {
            return Instant::now() + limit;
        }
        self.born + Duration::from_millis(self.moved_at.load(Ordering::Relaxed)) + limit
    }

    /// Whether the client's body broke, or was silent for too long.
    pub(super) fn client_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }
}

/// The body of a request on its way to an upstream; or none.
pub(super) struct Upload {
    body: Option<Paced<RequestBody>>,
    progress: Arc<Progress>,
}

impl Upload {
    pub(super) fn new(body: RequestBody, limit: Duration, progress: Arc<Progress>) -> Self {
        let body = (!body.is_end_stream()).then(|| Paced::new(body, limit));
        Self { body, progress }
    }

    /// No body.
    pub(super) const fn none(progress: Arc<Progress>) -> Self {
        Self { body: None, progress }
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
        let polled = body.poll(context);
        this.progress.waits.store(polled.is_pending(), Ordering::Relaxed);
        let frame = ready!(polled);
        this.progress.touch();
        if let Some(Err(_)) = &frame {
            this.progress.failed.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|paced| paced.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), |paced| paced.body.size_hint())
    }
}

/// The body of an answer on its way to the client; its request counts as in flight until then.
pub(super) struct Download {
    body: Paced<Incoming>,
    _in_flight: InFlight,
}

impl Download {
    pub(super) const fn new(body: Incoming, limit: Duration, in_flight: InFlight) -> Self {
        Self { body: Paced::new(body, limit), _in_flight: in_flight }
    }
}

impl Body for Download {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(self.body.poll(context));
        if let Some(Err(error)) = &frame {
            tracing::warn!(error, "an upstream's answer broke off; the client's breaks off as well");
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.body.size_hint()
    }
}
