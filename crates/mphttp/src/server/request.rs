//! The way of one request: what it learns of its connection, its limits, and what becomes of a handler that fails.

use std::{
    any::Any, convert::Infallible, future::Future, net::SocketAddr, panic::AssertUnwindSafe, pin::Pin,
    sync::Arc, time::Duration,
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use http_body::Body;
use http_body_util::BodyExt;
use hyper::{body::Incoming, service::Service};
use mptcp_socket::WeakWatch;
use tokio::time::timeout;
use tracing::Instrument;

use super::{
    admit,
    body::{RequestBody, ResponseBody},
    connection::Shared,
    crowd::Tally,
    gauge::Gauge,
    open::Record,
    refused::Refused,
    stats::Cut,
    under_way::UnderWay,
};
use crate::{BoxError, proxy::has_token, trace};

/// How much of a refused body is read before the answer, and for how long: closing with unread data would reset the
/// connection, and the client might never see why.
const DISCARD_BYTES: usize = 1 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(1);

/// The two ends of a request's connection; in the extensions of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// The client's address. An IPv4 client of a dual-stack listener has its IPv4 address here.
    pub remote: SocketAddr,
    /// The address on which the connection was accepted.
    pub local: SocketAddr,
    /// Whether the connection speaks TLS.
    pub tls: bool,
}

/// The service as one connection sees it.
pub(super) struct ForConnection<S> {
    pub(super) shared: Arc<Shared<S>>,
    pub(super) watch: WeakWatch,
    pub(super) peer: Peer,
    pub(super) gauge: Arc<Gauge>,
    /// What is known of the connection, if connections are tracked.
    pub(super) record: Option<Arc<Record>>,
    /// What else is open from its address, if that is counted.
    pub(super) tally: Option<Arc<Tally>>,
}

type Answer<B> = Result<Response<ResponseBody<B>>, Infallible>;

impl<S, B> Service<Request<Incoming>> for ForConnection<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<ResponseBody<B>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Answer<B>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        self.shared.stats.request();
        let multiplexed = request.version() == Version::HTTP_2;
        if let Some(record) = &self.record {
            record.request();
        }
        let span = trace::of_server(&request, &self.peer, || self.watch.upgrade());
        let in_flight = self.gauge.request(multiplexed, is_last(&request));
        let mut under_way = UnderWay::new(in_flight, &self.shared.stats, request.method(), span.clone());
        if let Err((status, why)) = admit::admit(&request) {
            self.gauge.body(true);
            let (peer, watch) = (self.peer, self.watch.upgrade());
            let shared = Arc::clone(&self.shared);
            return Box::pin(async move {
                discard(request).await;
                let told = why.trim_end().to_owned();
                shared.told.refused(&Refused { peer, watch, status: status.as_u16(), why: told });
                let mut response = own(status, why, under_way);
                // What follows on the connection may be anything.
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                Ok(response)
            });
        }
        // HTTP/1.1 has one request a connection, and connections are counted.
        if multiplexed && let Some(tally) = &self.tally {
            match tally.ask() {
                Some(asking) => under_way.holds(asking),
                None => {
                    self.shared.stats.cut(Cut::Address);
                    return Box::pin(std::future::ready(Ok(too_many(under_way))));
                }
            }
        }
        let (limit, silence) = (self.shared.limits.body, self.shared.limits.body_silence);
        if limit.is_some_and(|limit| request.body().size_hint().lower() > limit) {
            self.gauge.body(true);
            return Box::pin(async move {
                discard(request).await;
                Ok(too_large(under_way))
            });
        }
        let tunnel = multiplexed && request.method() == Method::CONNECT;
        let shape = Shape { multiplexed, head: request.method() == Method::HEAD };
        let mut request = request.map(|body| RequestBody::new(body, limit, silence, &self.gauge));
        if let Some(watch) = self.watch.upgrade() {
            request.extensions_mut().insert(watch);
        }
        request.extensions_mut().insert(self.peer);
        let fault = request.body().fault();
        let shared = Arc::clone(&self.shared);
        let handling = async move {
            // Within the async block, so that a panic of `call` itself is caught too.
            let handled = AssertUnwindSafe(async { shared.service.call(request).await }).catch_unwind().await;
            if fault.is_too_large() {
                return Ok(shape.of(too_large(under_way)));
            }
            if fault.is_silent() {
                shared.stats.cut(Cut::Body);
                return Ok(shape.of(silent(multiplexed, under_way)));
            }
            let answer = match handled {
                Ok(Ok(response)) => {
                    under_way.answered(response.status());
                    if tunnel && response.status().is_success() {
                        under_way.forever();
                    }
                    response.map(|body| ResponseBody::handler(body, under_way))
                }
                Ok(Err(error)) => {
                    tracing::error!(error = error.into(), "the handler failed");
                    failed(under_way)
                }
                Err(panic) => {
                    tracing::error!(message = panic_text(&*panic), "the handler panicked");
                    failed(under_way)
                }
            };
            Ok(shape.of(answer))
        };
        // Two futures of different size, so that who has nobody listening doesn't carry a span along.
        if span.is_disabled() { Box::pin(handling) } else { Box::pin(handling.instrument(span)) }
    }
}

/// What HTTP/2 wants of an answer that hyper does not see to.
#[derive(Clone, Copy)]
struct Shape {
    multiplexed: bool,
    /// It is one to HEAD, and has no body (RFC 9110 section 9.3.2): hyper leaves it out in HTTP/1.1 alone.
    head: bool,
}

impl Shape {
    fn of<B>(self, response: Response<ResponseBody<B>>) -> Response<ResponseBody<B>>
    where
        B: Body<Data = Bytes>,
        B::Error: Into<BoxError>,
    {
        if !self.multiplexed {
            return response;
        }
        if self.head {
            let (mut parts, body) = response.into_parts();
            // As hyper tells it in HTTP/1.1.
            if let Some(length) = body.size_hint().exact().filter(|&length| length > 0) {
                parts.headers.entry(header::CONTENT_LENGTH).or_insert(length.into());
            }
            return Response::from_parts(parts, body.emptied());
        }
        response.map(ResponseBody::in_pieces)
    }
}

/// Whether the connection ends with the answer, by the words of the client (RFC 9112 section 9.3), and bytes of nothing else follow.
fn is_last<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    if request.method() == Method::CONNECT || headers.contains_key(header::UPGRADE) {
        return false;
    }
    let says = |word| has_token(headers, &header::CONNECTION, word);
    match request.version() {
        Version::HTTP_11 => says("close"),
        Version::HTTP_10 => !says("keep-alive"),
        _ => false,
    }
}

/// Reads the body of a request that is refused, as far as is worth while.
async fn discard(request: Request<Incoming>) {
    // A client that waits for "100 Continue" sends nothing if it is told no.
    if !request.headers().contains_key(header::EXPECT) {
        let mut body = request.into_body();
        let _ = timeout(DISCARD_TIME, async {
            let mut seen = 0;
            while seen < DISCARD_BYTES
                && let Some(Ok(frame)) = body.frame().await
            {
                seen += frame.data_ref().map_or(0, Bytes::len);
            }
        })
        .await;
    }
}

fn too_large<B>(under_way: UnderWay) -> Response<ResponseBody<B>> {
    own(StatusCode::PAYLOAD_TOO_LARGE, "The request's body is longer than this server allows.\n", under_way)
}

/// RFC 6585 section 4.
fn too_many<B>(under_way: UnderWay) -> Response<ResponseBody<B>> {
    let text = "Too many requests of this address are under way.\n";
    let mut response = own(StatusCode::TOO_MANY_REQUESTS, text, under_way);
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// RFC 9110 section 15.5.9: with that the connection ends.
fn silent<B>(multiplexed: bool, under_way: UnderWay) -> Response<ResponseBody<B>> {
    let text = "Nothing of the request's body came for too long.\n";
    let mut response = own(StatusCode::REQUEST_TIMEOUT, text, under_way);
    if !multiplexed {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

fn failed<B>(under_way: UnderWay) -> Response<ResponseBody<B>> {
    own(StatusCode::INTERNAL_SERVER_ERROR, "The server failed to answer this request.\n", under_way)
}

fn own<B>(status: StatusCode, text: &'static str, mut under_way: UnderWay) -> Response<ResponseBody<B>> {
    under_way.answered(status);
    let mut response = Response::new(ResponseBody::own(text, under_way));
    *response.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => text,
        (_, Some(text)) => text,
        _ => "(no message)",
    }
}
