//! Compression on the fly, for what has no compressed neighbour: zstd or gzip (RFC 8878, RFC 1952), as the client takes
//! it.
//!
//! What comes out differs from what is on disk, so that its entity tag is weak (RFC 9110 section 8.8.1), and no ranges of
//! it are offered: whoever asks for a range gets one of the file as it is.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_compression::Level;
use async_compression::tokio::bufread::{GzipEncoder, ZstdEncoder};
use bytes::Bytes;
use futures_util::Stream;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use tokio_util::io::{ReaderStream, StreamReader};

use super::answer::Ask;
use super::body::Body;
use super::encoding::{self, Coding};

/// Below this size, in bytes, what is saved is not worth the work.
const LEAST: u64 = 1024;
/// What is handed on at a time, in bytes.
const PIECE: usize = 32 * 1024;
/// gzip's levels are slow from here on, and gain little.
const GZIP: Level = Level::Precise(5);

/// The same answer, compressed if that is wanted and worth it.
pub(super) fn apply(ask: &Ask<'_>, response: Response<Body>) -> Response<Body> {
    if response.status() == StatusCode::NOT_MODIFIED {
        return not_modified(ask, response);
    }
    if !worth_it(ask, &response) {
        return response;
    }
    // Brotli takes too long for what it gains, unless it was done beforehand.
    let coding = encoding::preferred(ask.headers).into_iter().find(|coding| *coding != Coding::Brotli);
    let (mut parts, body) = response.into_parts();
    vary(&mut parts.headers);
    let Some(coding) = coding else { return Response::from_parts(parts, body) };
    let headers = &mut parts.headers;
    headers.remove(header::CONTENT_LENGTH);
    headers.remove(header::ACCEPT_RANGES);
    headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
    weaken(headers);
    let body = if ask.head { body } else { Body::coded(Coded::new(body, coding)) };
    Response::from_parts(parts, body)
}

fn worth_it(ask: &Ask<'_>, response: &Response<Body>) -> bool {
    let headers = response.headers();
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    response.status() == StatusCode::OK
        && !headers.contains_key(header::CONTENT_ENCODING)
        && !ask.headers.contains_key(header::RANGE)
        && length.is_some_and(|length| length >= LEAST)
        && text(header::CONTENT_TYPE).is_some_and(compressible)
        // RFC 9111 section 5.2.2.6.
        && !text(header::CACHE_CONTROL).is_some_and(|value| value.contains("no-transform"))
}

/// Whether it is text, or as loosely packed: all else is compressed already, or may be.
fn compressible(kind: &str) -> bool {
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.starts_with("text/")
        || kind.ends_with("+json")
        || kind.ends_with("+xml")
        || matches!(
            kind,
            "application/javascript"
                | "application/json"
                | "application/rtf"
                | "application/sql"
                | "application/toml"
                | "application/wasm"
                | "application/x-javascript"
                | "application/x-ndjson"
                | "application/x-sh"
                | "application/x-tar"
                | "application/x-yaml"
                | "application/xml"
                | "application/yaml"
                | "font/otf"
                | "font/ttf"
                | "image/bmp"
                | "image/vnd.microsoft.icon"
                | "image/x-icon"
        )
}

/// 304 has the entity tag that 200 would have (RFC 9110 section 15.4.5): the one that the client showed, if that was weak.
fn not_modified(ask: &Ask<'_>, mut response: Response<Body>) -> Response<Body> {
    let headers = response.headers_mut();
    let weak = weak(headers).is_some_and(|weak| {
        let mut shown = ask.headers.get_all(header::IF_NONE_MATCH).iter();
        shown.any(|value| value.as_bytes().windows(weak.len()).any(|part| part == weak.as_bytes()))
    });
    if weak {
        weaken(headers);
    }
    vary(headers);
    response
}

fn weak(headers: &HeaderMap) -> Option<String> {
    let tag = headers.get(header::ETAG)?.to_str().ok()?;
    (!tag.starts_with("W/")).then(|| format!("W/{tag}"))
}

fn weaken(headers: &mut HeaderMap) {
    if let Some(weak) = weak(headers).and_then(|tag| HeaderValue::from_str(&tag).ok()) {
        headers.insert(header::ETAG, weak);
    }
}

/// Says that others may get it in another coding.
fn vary(headers: &mut HeaderMap) {
    let said = headers.get_all(header::VARY).iter().any(|value| value == "Accept-Encoding");
    if !said {
        headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
}

/// A body, compressed as it is read.
pub(super) struct Coded(Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>);

impl Coded {
    fn new(body: Body, coding: Coding) -> Self {
        let plain = StreamReader::new(Pieces { body, breath: false });
        Self(match coding {
            Coding::Zstd => Box::pin(ReaderStream::with_capacity(ZstdEncoder::new(plain), PIECE)),
            Coding::Gzip | Coding::Brotli => {
                Box::pin(ReaderStream::with_capacity(GzipEncoder::with_quality(plain, GZIP), PIECE))
            }
        })
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Coded")
    }
}

/// A body's chunks, with a breath after each: a compressor takes all that it can get until it has something to give, and
/// of zeros that is more than the thread's other connections can wait for.
struct Pieces {
    body: Body,
    breath: bool,
}

impl Stream for Pieces {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if std::mem::take(&mut self.breath) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let frame = std::task::ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), cx));
        self.breath = true;
        // A file's body has no trailers.
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.into_data().unwrap_or_default())))
    }
}
