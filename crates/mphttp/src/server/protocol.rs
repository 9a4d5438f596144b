//! Which HTTP a connection speaks, and its state machine: made when the first bytes have arrived, and, for HTTP/1.1, taken
//! apart and made anew as often as wanted.

use std::{
    future::{Future, poll_fn},
    io,
    pin::Pin,
};

use http::{Request, Response};
use hyper::{
    body::Incoming,
    rt::{Read, Write},
    server::conn::{http1, http2},
    service::HttpService,
};
use hyper_util::rt::TokioTimer;

use super::{Limits, parking::Parkable, streams::Streams, tracked::Tracked};
use crate::BoxError;

/// What a client of HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Makers of state machines, with the server's limits.
#[derive(Debug)]
pub(super) struct Protocols {
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<Streams>,
}

impl Protocols {
    pub(super) fn new(limits: &Limits) -> Self {
        // A connection on which no answer goes on ends before its streams do.
        let streams = Streams { limit: limits.write.saturating_add(limits.write / 4) };
        let (mut http1, mut http2) = (http1::Builder::new(), http2::Builder::new(streams));
        http1
            .timer(TokioTimer::new())
            // The gauge keeps this time: hyper's clock also runs while a kept-alive connection is idle.
            .header_read_timeout(None)
            .max_buf_size(limits.header_bytes);
        http2
            .timer(TokioTimer::new())
            .max_concurrent_streams(limits.streams)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX));
        Self { http1, http2 }
    }
}

/// Reads the first bytes of a connection ahead: whether they are HTTP/2's.
pub(super) async fn is_http2<IO: Parkable>(io: &mut Tracked<IO>) -> io::Result<bool> {
    loop {
        let first = io.again();
        let begin = first.get(..PREFACE.len()).unwrap_or(first);
        if begin.len() == PREFACE.len() || !PREFACE.starts_with(begin) {
            return Ok(begin == PREFACE);
        }
        if !poll_fn(|context| io.poll_ahead(context)).await? {
            return Ok(false);
        }
    }
}

/// A connection's state machine.
pub(super) trait Machine: Future<Output = hyper::Result<()>> {
    /// Finishes what is under way, and then the connection.
    fn leave(self: Pin<&mut Self>);
}

impl<IO, S, B> Machine for http1::UpgradeableConnection<IO, S>
where
    S: HttpService<Incoming, ResBody = B>,
    S::Error: Into<BoxError>,
    IO: Read + Write + Unpin + Send + 'static,
    B: http_body::Body + 'static,
    B::Error: Into<BoxError>,
{
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<IO, S, B> Machine for http2::Connection<IO, S, Streams>
where
    S: hyper::service::Service<Request<Incoming>, Response = Response<B>>,
    S::Future: Send + 'static,
    S::Error: Into<BoxError>,
    IO: Read + Write + Unpin + Send + 'static,
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<BoxError>,
{
    fn leave(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}
