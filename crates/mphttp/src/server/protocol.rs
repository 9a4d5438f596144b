//! Which HTTP a connection speaks, and its state machine: made when the first bytes have arrived, and, for HTTP/1.1, taken
//! apart and made anew as often as wanted.

use std::{future::Future, io, pin::Pin};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use hyper::{
    body::Incoming,
    rt::{Read, Write},
    server::conn::{http1, http2},
    service::HttpService,
};
use hyper_util::rt::TokioTimer;
use tokio::io::{AsyncRead, AsyncReadExt};

use super::{Limits, streams::Streams};
use crate::BoxError;

/// What a client of HTTP/2 begins with (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Room for the first bytes: most heads fit, and then there is one read and not two.
const FIRST: usize = 1024;

/// Makers of state machines, with the server's limits.
#[derive(Debug)]
pub(super) struct Protocols {
    pub(super) http1: http1::Builder,
    pub(super) http2: http2::Builder<Streams>,
}

impl Protocols {
    pub(super) fn new(limits: &Limits) -> Self {
        let streams = Streams { limit: limits.write };
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

/// Reads the first bytes of a connection, which `Protocols` have to see too: whether they are HTTP/2's.
pub(super) async fn tell<IO: AsyncRead + Unpin>(io: &mut IO) -> io::Result<(bool, Bytes)> {
    let mut first = BytesMut::with_capacity(FIRST);
    loop {
        let read = io.read_buf(&mut first).await?;
        let begin = first.get(..PREFACE.len()).unwrap_or(&first);
        if begin.len() == PREFACE.len() || read == 0 || !PREFACE.starts_with(begin) {
            return Ok((begin == PREFACE, first.freeze()));
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
