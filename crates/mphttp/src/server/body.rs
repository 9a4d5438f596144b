//! The bodies as the server hands them around: requests held to their limit, responses that end what is in flight.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use hyper::body::Incoming;
use pin_project_lite::pin_project;

use super::{gauge::Gauge, streams, under_way::UnderWay};
use crate::BoxError;

/// The body of a request, as it arrives.
#[derive(Debug)]
pub struct RequestBody {
    incoming: Incoming,
    /// What may still arrive, and what was allowed in all.
    limit: Option<(u64, u64)>,
    exceeded: Arc<AtomicBool>,
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

impl RequestBody {
    pub(super) fn new(incoming: Incoming, limit: Option<u64>, gauge: &Arc<Gauge>) -> Self {
        // Most requests have none.
        let open = !incoming.is_end_stream();
        gauge.body(open);
        let gauge = open.then(|| Arc::clone(gauge));
        Self { incoming, limit: limit.map(|limit| (limit, limit)), exceeded: Arc::default(), gauge }
    }

    /// Tells later whether the limit was exceeded, whatever the handler made of the error.
    pub(super) fn exceeded(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.exceeded)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if self.exceeded.load(Ordering::Relaxed) {
            return Poll::Ready(None);
        }
        if self.incoming.is_end_stream() {
            // hyper tells of the end of an announced length only with its next look at the connection, which may come late
            // if the answer has left before; and if the connection is parked or closed by then, it tells of an error.
            return Poll::Ready(None);
        }
        let frame = ready!(Pin::new(&mut self.incoming).poll_frame(context));
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
                    self.exceeded.store(true, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.exceeded.load(Ordering::Relaxed) || self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}

/// What is given at a time where it is seen by the body whether the client takes it: the largest frame of HTTP/2 that every
/// client takes (RFC 9113 section 6.5.2).
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
    pub(super) fn handler(body: B, under_way: UnderWay) -> Self {
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
        if let Some(rest) = this.rest.as_mut().filter(|rest| !rest.is_empty()) {
            streams::asked(true);
            let piece = rest.split_to(PIECE.min(rest.len()));
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let polled = match this.source.project() {
            SourceProjection::Handler { body } => {
                body.poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
            SourceProjection::Own { body } => {
                body.poll_frame(context).map(|frame| frame.map(|frame| frame.map_err(Into::into)))
            }
        };
        streams::asked(polled.is_ready());
        match (ready!(polled), this.rest) {
            (Some(Ok(frame)), Some(rest)) if frame.data_ref().is_some_and(|data| data.len() > PIECE) => {
                Poll::Ready(Some(Ok(frame.map_data(|mut data| {
                    let piece = data.split_to(PIECE);
                    *rest = data;
                    piece
                }))))
            }
            (frame, _) => Poll::Ready(frame),
        }
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
