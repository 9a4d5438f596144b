//! [`ReverseProxy`]: the way of a request to an upstream, and of the answer back.

use std::{
    convert::Infallible,
    future::Future,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use http::{
    HeaderValue, Request, Response, StatusCode, Version,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, UPGRADE},
};
use http_body::Body as _;
use hyper::{body::Incoming, service::Service, upgrade::OnUpgrade};
use mptcp_socket::Protocol;
use tokio::time::{Instant, timeout_at};

use super::{
    body::{Download, FailsLate, Progress, Upload},
    headers,
    outgoing::{Outgoing, Refusal},
    pool::{Held, Unanswered, Want},
    settings::{ReverseProxyBuilder, Settings},
    tunnel,
    upstream::{InFlight, Upstream, Upstreams},
};
use crate::{
    Body, BoxError, Error,
    proxy_protocol::Header,
    server::{Peer, RequestBody, is_coded},
};

/// How often one request may meet a kept connection that its upstream has closed.
const STALE: u32 = 2;

/// Hands requests on to other servers, and their answers back. Cheap to clone; clones share connections.
///
/// Bodies go through piece by piece in both directions, never faster than their receiver takes them. Upgrades such as
/// WebSocket become tunnels. A request that fails before it was sent, or that is idempotent and without a body and fails
/// before a byte of an answer, is tried again at the next upstream.
///
/// ```
/// use mphttp::{Protocol, Server, proxy::ReverseProxy};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), mphttp::Error> {
/// // MPTCP towards the clients, plain TCP to a server that has nothing else.
/// let proxy = ReverseProxy::builder(Protocol::Tcp).to("http://127.0.0.1:8080").build()?;
/// # let wanted_stop = async {};
/// Server::bind(Protocol::Mptcp, ([127, 0, 0, 1], 0).into())?.run(proxy, wanted_stop).await
/// # }
/// ```
#[derive(Clone)]
pub struct ReverseProxy {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) upstreams: Upstreams,
    pub(super) settings: Settings,
}

/// Why there is no answer.
enum Failure {
    /// No upstream is well.
    NoneHealthy,
    Unreachable(BoxError),
    Broken(BoxError),
    TooSlow(Duration),
    Client,
    ClientSilent,
    NotARequest,
}

/// What became of one attempt.
enum Attempt {
    Answer(Response<Incoming>),
    /// It may be tried again with this body.
    Again(Failure, Upload, NextTime),
    Over(Failure),
}

#[derive(PartialEq, Eq)]
enum NextTime {
    /// A kept connection was closed, or had no room for the stream: no fault of the upstream.
    Here,
    Elsewhere,
}

impl ReverseProxy {
    /// Builds a proxy whose connections to upstreams are of `protocol`.
    pub fn builder(protocol: Protocol) -> ReverseProxyBuilder {
        ReverseProxyBuilder::new(protocol)
    }

    pub(super) fn new(upstreams: Upstreams, settings: Settings) -> Self {
        Self { inner: Arc::new(Inner { upstreams, settings }) }
    }

    /// Answers a request.
    pub async fn respond(&self, mut request: Request<RequestBody>) -> Response<Body> {
        let settings = &self.inner.settings;
        let peer = request.extensions().get::<Peer>().copied();
        let on_upgrade = request.extensions().get::<OnUpgrade>().is_some();
        let on_upgrade = on_upgrade.then(|| hyper::upgrade::on(&mut request));
        let (parts, body) = request.into_parts();
        let announced = settings.announce.then(|| announced(peer));
        let outgoing = match Outgoing::new(parts, peer, settings) {
            Ok(outgoing) => outgoing,
            Err(refusal) => return refused(&refusal),
        };
        let progress = Progress::new();
        let empty = body.is_end_stream();
        let upload = Upload::new(body, settings.idle, Arc::clone(&progress));
        match self.forward(&outgoing, upload, (empty, announced), &progress).await {
            Ok((response, in_flight)) => self.answer(response, (in_flight, progress), &outgoing, on_upgrade),
            Err(failure) => self.failed(&failure),
        }
    }

    /// Tries one upstream after the other.
    async fn forward(
        &self,
        outgoing: &Outgoing,
        mut upload: Upload,
        (empty, announced): (bool, Option<Header>),
        progress: &Arc<Progress>,
    ) -> Result<(Response<Incoming>, InFlight), Failure> {
        let upstreams = &self.inner.upstreams;
        let mut tried = Vec::new();
        let mut failure = Failure::NoneHealthy;
        while let Some(index) = upstreams.choose(&tried) {
            tried.push(index);
            let Some(upstream) = upstreams.all.get(index) else { break };
            let in_flight = upstream.begin();
            let mut stale = 0;
            loop {
                match self.attempt(upstream, outgoing, upload, (empty, announced), progress, stale).await {
                    Attempt::Answer(response) => return Ok((response, in_flight)),
                    Attempt::Over(failure) => {
                        failure.log(upstream);
                        return Err(failure);
                    }
                    Attempt::Again(_, body, NextTime::Here) if stale < STALE => {
                        upload = body;
                        stale += 1;
                    }
                    Attempt::Again(why, body, _) => {
                        why.log(upstream);
                        (failure, upload) = (why, body);
                        break;
                    }
                }
            }
        }
        Err(failure)
    }

    async fn attempt(
        &self,
        upstream: &Upstream,
        outgoing: &Outgoing,
        upload: Upload,
        (empty, announced): (bool, Option<Header>),
        progress: &Arc<Progress>,
        stale: u32,
    ) -> Attempt {
        let settings = &self.inner.settings;
        let upgrade = outgoing.upgrade.is_some() && upstream.pool.upgrades();
        let want = match announced {
            Some(header) => Want::Own(Some(header)),
            None if upgrade || stale >= STALE => Want::New,
            None => Want::Any,
        };
        let lease = match upstream.pool.lease(want, upgrade).await {
            Ok(lease) => lease,
            Err(error) => {
                upstream.rest(settings.rest);
                return Attempt::Again(Failure::Unreachable(error), upload, NextTime::Elsewhere);
            }
        };
        upstream.reached();
        let used = lease.used;
        let Ok(request) = outgoing.to(upstream, lease.is_http2(), settings.host, upload) else {
            return Attempt::Over(Failure::NotARequest);
        };
        progress.touch();
        let sending = upstream.pool.send(lease, request);
        let Unanswered { mut error, begun } = match within(sending, progress, settings.head).await {
            Ok(Ok(response)) if is_coded(response.headers()) => {
                let why = "its answer is in a transfer coding beside chunked";
                return Attempt::Over(Failure::Broken(why.into()));
            }
            Ok(Ok(response)) => return Attempt::Answer(response),
            Ok(Err(unanswered)) => unanswered,
            Err(TooSlow) => return Attempt::Over(Failure::TooSlow(settings.head)),
        };
        let unsent = error.take_message().map(Request::into_body);
        let error = error.into_error();
        let refused = was_refused(&error);
        let broken = Failure::Broken(error.into());
        if progress.client_silent() {
            return Attempt::Over(Failure::ClientSilent);
        }
        if progress.client_failed() {
            return Attempt::Over(Failure::Client);
        }
        let again = match unsent {
            Some(upload) => Some(upload),
            None if empty && (refused || (!begun && outgoing.is_idempotent())) => {
                Some(Upload::none(Arc::clone(progress)))
            }
            // It may have been acted upon.
            None => None,
        };
        match again {
            Some(upload) => {
                let next = if used || refused { NextTime::Here } else { NextTime::Elsewhere };
                Attempt::Again(broken, upload, next)
            }
            None => Attempt::Over(broken),
        }
    }

    /// The upstream's answer as the client gets it.
    fn answer(
        &self,
        mut response: Response<Incoming>,
        (in_flight, progress): (InFlight, Arc<Progress>),
        outgoing: &Outgoing,
        on_upgrade: Option<OnUpgrade>,
    ) -> Response<Body> {
        let version = response.version();
        let settings = &self.inner.settings;
        let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        let protocol = response.headers().get(UPGRADE).cloned();
        headers::strip_hop_by_hop(response.headers_mut());
        headers::via(response.headers_mut(), version);
        *response.version_mut() = Version::HTTP_11;
        if !switching {
            let held = response.extensions_mut().remove::<Held>();
            return response.map(|body| {
                let body = Download::new(body, settings.idle, progress, in_flight, held);
                Body::new(FailsLate::new(body))
            });
        }
        let (Some(client), Some(protocol), Some(offer)) = (on_upgrade, protocol, &outgoing.upgrade) else {
            return self.failed(&Failure::Broken("it switched protocols unasked".into()));
        };
        if !headers::was_offered(offer, &protocol) {
            return self.failed(&Failure::Broken("it switched to a protocol that was not offered".into()));
        }
        tunnel::join(client, hyper::upgrade::on(&mut response), settings.idle, in_flight);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(UPGRADE, protocol);
        response.map(|_| Body::empty())
    }

    fn failed(&self, failure: &Failure) -> Response<Body> {
        let (status, text) = match failure {
            Failure::NoneHealthy => {
                (StatusCode::SERVICE_UNAVAILABLE, "No server behind this proxy is well. Try again later.\n")
            }
            Failure::Unreachable(error) if is_timeout(error) => {
                (StatusCode::GATEWAY_TIMEOUT, "The server behind this proxy can't be reached in time.\n")
            }
            Failure::Unreachable(_) => {
                (StatusCode::BAD_GATEWAY, "The server behind this proxy can't be reached.\n")
            }
            Failure::Broken(_) => (StatusCode::BAD_GATEWAY, "The server behind this proxy broke off.\n"),
            Failure::TooSlow(_) => {
                (StatusCode::GATEWAY_TIMEOUT, "The server behind this proxy did not answer in time.\n")
            }
            Failure::ClientSilent => {
                (StatusCode::REQUEST_TIMEOUT, "The rest of the request's body did not come in time.\n")
            }
            Failure::Client => (StatusCode::BAD_REQUEST, "The request's body broke off.\n"),
            Failure::NotARequest => (StatusCode::BAD_REQUEST, "The request's target can't be used.\n"),
        };
        let mut response = short(status, text);
        if matches!(failure, Failure::ClientSilent) {
            // RFC 9110 section 15.5.9.
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        if let (StatusCode::SERVICE_UNAVAILABLE, Some((_, every))) = (status, &self.inner.settings.health) {
            // The next check may find one well again.
            response.headers_mut().insert(RETRY_AFTER, every.as_secs().max(1).into());
        }
        response
    }
}

impl Failure {
    fn log(&self, upstream: &Upstream) {
        let upstream = &*upstream.name;
        match self {
            Self::Unreachable(error) => tracing::warn!(upstream, %error, "can't reach an upstream"),
            Self::Broken(error) => {
                tracing::warn!(upstream, %error, "an upstream broke off before its answer")
            }
            Self::TooSlow(limit) => {
                tracing::warn!(upstream, limit = limit.as_secs_f64(), "an upstream did not answer in time");
            }
            Self::NoneHealthy | Self::Client | Self::ClientSilent | Self::NotARequest => {}
        }
    }
}

/// Whether an HTTP/2 upstream says that it has done nothing with the request (REFUSED_STREAM, RFC 9113 section 8.7).
fn was_refused(error: &hyper::Error) -> bool {
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<h2::Error>());
    source.is_some_and(|error| error.is_remote() && error.reason() == Some(h2::Reason::REFUSED_STREAM))
}

/// Who the client is, for the upstream.
fn announced(peer: Option<Peer>) -> Header {
    peer.map_or(Header::Unknown, |peer| Header::Proxied { source: peer.remote, destination: peer.local })
}

fn is_timeout(error: &BoxError) -> bool {
    error.downcast_ref::<Error>().is_some_and(Error::is_timeout)
}

struct TooSlow;

/// Waits for the head of an answer, as long as the request's body moves, and then as long as the limit says.
async fn within<F: Future>(sending: F, progress: &Progress, limit: Duration) -> Result<F::Output, TooSlow> {
    let mut sending = pin!(sending);
    loop {
        if let Ok(sent) = timeout_at(progress.deadline(limit), sending.as_mut()).await {
            return Ok(sent);
        }
        if progress.deadline(limit) <= Instant::now() {
            return Err(TooSlow);
        }
    }
}

fn short(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let mut response = short(refusal.0, refusal.1);
    match refusal.0 {
        StatusCode::METHOD_NOT_ALLOWED | StatusCode::OK => {
            let allowed = HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
            response.headers_mut().insert(ALLOW, allowed);
        }
        // What follows on the connection may be anything.
        _ => {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
    response
}

impl Service<Request<RequestBody>> for ReverseProxy {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<RequestBody>) -> Self::Future {
        let proxy = self.clone();
        Box::pin(async move { Ok(proxy.respond(request).await) })
    }
}
