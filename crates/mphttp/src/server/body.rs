//! The bodies as the server hands them around: requests held to their limit, responses that end what is in flight.

use std::{
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{gauge::Gauge, under_way::UnderWay};
use crate::BoxError;

/// The body of a request, as it arrives.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    /// What may still arrive, and what was allowed in all.
    limit: Option<(u64, u64)>,
    silence: Option<Silence>,
    fault: Fault,
    /// Who is to be told when all of it was read.
    gauge: Option<Arc<Gauge>>,
}

/// The body of a request was longer than the server allows ([`Server::max_body`](super::Server::max_body)).
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request's body is longer than the {limit} bytes that are allowed")]
#[non_exhaustive]
pub struct BodyTooLarge {
    /// The limit in bytes.
    pub limit: u64,
}

/// Nothing of the body of a request came for too long ([`Server::body_timeout`](super::Server::body_timeout)).
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("nothing of the request's body came for {:.1} s", .limit.as_secs_f64())]
#[non_exhaustive]
pub struct BodySilent {
    /// The limit.
    pub limit: Duration,
}

/// What a client did wrong with its body: told to the server, whatever the handler makes of the error.
#[derive(Clone, Debug, Default)]
pub(super) struct Fault(Arc<AtomicU8>);

impl Fault {
    const TOO_LARGE: u8 = 1;
    const SILENT: u8 = 2;

    pub(super) fn is_too_large(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::TOO_LARGE
    }

    pub(super) fn is_silent(&self) -> bool {
        self.0.load(Ordering::Relaxed) == Self::SILENT
    }

    fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    fn set(&self, fault: u8) {
        self.0.store(fault, Ordering::Relaxed);
    }
}

/// For how long a client may send nothing of a body that is waited for. Time in which nobody asks for more does not count.
#[derive(Debug)]
struct Silence {
    limit: Duration,
    asked: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Silence {
    fn heard(&mut self) {
        self.asked = None;
    }

    /// Ready when nothing has come for too long.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let asked = *self.asked.get_or_insert_with(Instant::now);
        // A limit beyond what the clock can tell is none.
        let Some(deadline) = asked.checked_add(self.limit) else { return Poll::Pending };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        // Set anew only when it rings, not for each piece that comes.
        while alarm.as_mut().poll(context).is_ready() {
            if alarm.deadline() >= deadline {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
        Poll::Pending
    }
}

impl RequestBody {
    pub(super) fn new(
        incoming: Incoming,
        limit: Option<u64>,
        silence: Option<Duration>,
        gauge: &Arc<Gauge>,
    ) -> Self {
        // Most requests have none.
        let open = !incoming.is_end_stream();
        gauge.body(open);
        let gauge = open.then(|| Arc::clone(gauge));
        let silence = silence.filter(|_| open).map(|limit| Silence { limit, asked: None, alarm: None });
        let limit = limit.map(|limit| (limit, limit));
        Self { incoming, limit, silence, fault: Fault::default(), gauge }
    }

    /// Tells later what was wrong with it, whatever the handler made of the error.
    pub(super) fn fault(&self) -> Fault {
        self.fault.clone()
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.fault.is_any() {
            return Poll::Ready(None);
        }
        if self.incoming.is_end_stream() {
            // hyper tells of the end of an announced length only with its next look at the connection, which may come late
            // if the answer has left before; and if the connection is parked or closed by then, it tells of an error.
            return Poll::Ready(None);
        }
        let this = &mut *self;
        let Poll::Ready(frame) = Pin::new(&mut this.incoming).poll_frame(context) else {
            let Some(silence) = &mut this.silence else { return Poll::Pending };
            ready!(silence.poll(context));
            this.fault.set(Fault::SILENT);
            return Poll::Ready(Some(Err(BodySilent { limit: silence.limit }.into())));
        };
        if let Some(silence) = &mut this.silence {
            silence.heard();
        }
        if (frame.is_none() || self.incoming.is_end_stream())
            && let Some(gauge) = self.gauge.take()
        {
            gauge.body(false);
        }
        if let (Some((left, limit)), Some(Ok(frame))) = (&mut self.limit, &frame)
            && let Some(data) = frame.data_ref()
        {
            match left.checked_sub(data.len() as u64) {
                Some(rest) => *left = rest,
                None => {
                    let error = BodyTooLarge { limit: *limit };
                    self.fault.set(Fault::TOO_LARGE);
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.fault.is_any() || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// What is given at a time where the body has to see whether the client takes it: the largest frame of HTTP/2 that every client
/// takes (RFC 9113 section 6.5.2).
const PIECE: usize = 1 << 14;

pin_project! {
    /// The body of a response: the handler's or the server's own.
    pub(super) struct ResponseBody<B> {
        #[pin]
        source: Source<B>,
        // What is left of a frame that is given in pieces.
        rest: Option<Bytes>,
        under_way: UnderWay,
    }
}

pin_project! {
    #[project = SourceProjection]
    enum Source<B> {
        Handler { #[pin] body: B },
        Own { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(super) fn handler(body: B, mut under_way: UnderWay) -> Self {
        under_way.offers();
        Self { source: Source::Handler { body }, rest: None, under_way }
    }

    pub(super) fn own(text: &'static str, under_way: UnderWay) -> Self {
        Self { source: Source::Own { body: Full::from(text) }, rest: None, under_way }
    }

    /// Is given in pieces.
    pub(super) fn in_pieces(self) -> Self {
        Self { rest: Some(Bytes::new()), ..self }
    }

    /// Nothing of it.
    pub(super) fn emptied(self) -> Self {
        Self { source: Source::Own { body: Full::default() }, ..self }
    }
}

impl<B> Body for ResponseBody<B>
where
    B: Body<Data = Bytes>,
    B::Error: Into<BoxError>,
{
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.project();
        this.under_way.is_asked();
        if let Some(rest) = this.rest.as_mut().filter(|rest| !rest.is_empty()) {
            this.under_way.offers();
            let piece = rest.split_to(PIECE.min(rest.len()));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let frame = match this.source.project() {
            SourceProjection::Handler { body } => {
                ready!(body.poll_frame(context)).map(|frame| frame.map_err(Into::into))
            }
            SourceProjection::Own { body } => {
                ready!(body.poll_frame(context)).map(|frame| frame.map_err(Into::into))
            }
        };
        if let Some(Ok(_)) = &frame {
            this.under_way.offers();
        }
        Poll::Ready(match (frame, this.rest) {
            (Some(Ok(frame)), Some(rest)) if frame.data_ref().is_some_and(|data| data.len() > PIECE) => {
                Some(Ok(frame.map_data(|mut data| {
                    let piece = data.split_to(PIECE);
                    *rest = data;
                    piece
                })))
            }
            (frame, _) => frame,
        })
    }

    fn is_end_stream(&self) -> bool {
        let ended = match &self.source {
            Source::Handler { body } => body.is_end_stream(),
            Source::Own { body } => body.is_end_stream(),
        };
        ended && self.rest.as_ref().is_none_or(Bytes::is_empty)
    }

    /// As long as nothing was given, which is when it is asked for.
    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Handler { body } => body.size_hint(),
            Source::Own { body } => body.size_hint(),
        }
    }
}
