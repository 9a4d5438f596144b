//! A response body as it comes from the connection: it tells a whole body from one that was cut short, and keeps the
//! time limits.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::classify;
use crate::{Error, Phase};

/// Limits of one request.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Limits {
    /// Silence.
    pub(crate) read: Option<Duration>,
    /// The whole, and when it is over.
    pub(crate) total: Option<(Duration, Instant)>,
}

/// The body.
pub(crate) struct Received {
    incoming: Incoming,
    host: Arc<str>,
    expected: Option<u64>,
    got: u64,
    limits: Limits,
    silence: Option<Pin<Box<Sleep>>>,
    end: Option<Pin<Box<Sleep>>>,
    finished: bool,
}

impl Received {
    pub(crate) fn new(incoming: Incoming, host: Arc<str>, limits: Limits) -> Self {
        let expected = incoming.size_hint().exact();
        let silence = limits.read.map(|limit| Box::pin(sleep(limit)));
        let end = limits.total.map(|(_, at)| Box::pin(sleep_until(at)));
        Self { incoming, host, expected, got: 0, limits, silence, end, finished: false }
    }

    fn timeout(&mut self, context: &mut Context<'_>, pending: bool) -> Option<Error> {
        if let (Some(end), Some((after, _))) = (&mut self.end, self.limits.total)
            && end.as_mut().poll(context).is_ready()
        {
            return Some(Error::Timeout { phase: Phase::Total, after });
        }
        let (Some(silence), Some(after)) = (&mut self.silence, self.limits.read) else { return None };
        if !pending {
            // A limit beyond what the clock can tell is none.
            if let Some(due) = Instant::now().checked_add(after) {
                silence.as_mut().reset(due);
            }
            return None;
        }
        let over = silence.as_mut().poll(context).is_ready();
        over.then_some(Error::Timeout { phase: Phase::Read, after })
    }
}

impl Body for Received {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        if this.finished {
            return Poll::Ready(None);
        }
        let polled = Pin::new(&mut this.incoming).poll_frame(context);
        // The end of the body is no occasion to look at the clock: it has all arrived.
        if !matches!(polled, Poll::Ready(None))
            && let Some(error) = this.timeout(context, polled.is_pending())
        {
            this.finished = true;
            return Poll::Ready(Some(Err(error)));
        }
        let Poll::Ready(next) = polled else { return Poll::Pending };
        let result = match next {
            Some(Ok(frame)) => {
                this.got += frame.data_ref().map_or(0, |data| data.len() as u64);
                return Poll::Ready(Some(Ok(frame)));
            }
            Some(Err(error)) => Some(Err(classify::of_body(error, &this.host, this.expected, this.got))),
            None => this.expected.filter(|&expected| this.got < expected).map(|expected| {
                let source = "the body ended early".into();
                Err(Error::Incomplete { expected: Some(expected), got: this.got, source })
            }),
        };
        this.finished = true;
        Poll::Ready(result)
    }

    fn is_end_stream(&self) -> bool {
        self.finished || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
