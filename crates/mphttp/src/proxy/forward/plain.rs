//! Plain requests, whose target is an absolute `http` URL (RFC 9112 section 3.2.2): passed on, connections kept.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
    header::{AUTHORIZATION, HOST},
    uri::{PathAndQuery, Scheme},
};
use http_body::Body as _;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy,
    rt::{TokioExecutor, TokioTimer},
};
use tokio::{select, sync::watch};
use tower_service::Service;

use super::{
    super::{
        body::FailsLate,
        headers::{chunk_unsized, is_last_hop, join_cookies, via},
        traffic::{Stage, Traffic},
    },
    answers, headers,
    targets::Targets,
};
use crate::{
    Body, ConnectionInfo, Connector, Error, Phase,
    client::{
        classify,
        receive::{Limits, Received},
    },
    connector::{ConnectorStream, host_and_port},
    server::{RequestBody, is_coded},
};

/// The largest head of a response: hyper's own least, and far above what servers send.
const HEAD: usize = 256 << 10;
/// How long a connection is kept for the next request.
const KEPT: Duration = Duration::from_secs(30);

type Client = legacy::Client<Guarded, Body>;

/// The clients of the proxy: a connection that was made for somebody on this host is never used for anybody else, who
/// might not be let there.
#[derive(Debug)]
pub(super) struct Pools {
    trusted: Client,
    others: Client,
    /// For requests whose credentials log in the whole connection: nobody else may have it afterwards.
    trusted_once: Client,
    others_once: Client,
}

impl Pools {
    pub(super) fn new(connector: &Connector, targets: &Arc<Targets>) -> Self {
        let client = |trusted, kept| {
            legacy::Client::builder(TokioExecutor::new())
                .timer(TokioTimer::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(KEPT)
                .pool_max_idle_per_host(kept)
                .http1_max_buf_size(HEAD)
                .build(Guarded { connector: connector.clone(), targets: Arc::clone(targets), trusted })
        };
        Self {
            trusted: client(true, usize::MAX),
            others: client(false, usize::MAX),
            trusted_once: client(true, 0),
            others_once: client(false, 0),
        }
    }

    fn of(&self, headers: &HeaderMap, trusted: bool) -> &Client {
        match (logs_in_connection(headers), trusted) {
            (false, true) => &self.trusted,
            (false, false) => &self.others,
            (true, true) => &self.trusted_once,
            (true, false) => &self.others_once,
        }
    }

    /// Passes a request on; what goes wrong is an answer too.
    pub(super) async fn pass_on(
        &self,
        request: Request<RequestBody>,
        trusted: bool,
        idle: Duration,
        stage: watch::Receiver<Stage>,
    ) -> Response<Body> {
        let (request, traffic) = match outgoing(request) {
            Ok(outgoing) => outgoing,
            Err(answer) => return *answer,
        };
        let host: Arc<str> = request.uri().authority().map_or("", |authority| authority.as_str()).into();
        // A kept connection may be closed just as it is used again: what may be sent twice is (RFC 9110 section 9.2.2).
        let again = (request.method().is_idempotent() && request.body().is_end_stream()).then(|| {
            let mut again = Request::new(Body::empty());
            again.method_mut().clone_from(request.method());
            again.uri_mut().clone_from(request.uri());
            again.headers_mut().clone_from(request.headers());
            again
        });
        let client = self.of(request.headers(), trusted);
        let exchange = async {
            match (client.request(request).await, again) {
                (Err(error), Some(again)) if !error.is_connect() => client.request(again).await,
                (result, _) => result,
            }
        };
        let result = select! {
            biased;
            result = exchange => result,
            () = traffic.silence(idle, stage) => {
                return answers::failure(&Error::Timeout { phase: Phase::Read, after: idle });
            }
        };
        match result {
            Ok(response) => incoming(response, host, idle),
            Err(error) if of_the_client(&error) => answers::broken_request(),
            Err(error) => match classify::find::<Error>(&error) {
                Some(ours) => answers::failure(ours),
                None => answers::failure(&classify::of_request(error, &host, HEAD)),
            },
        }
    }
}

/// Whether it was the request's own body that failed: nothing that the server could be blamed for.
fn of_the_client(error: &legacy::Error) -> bool {
    classify::find::<hyper::Error>(error).is_some_and(hyper::Error::is_user)
}

/// NTLM and Negotiate log in a connection, not a request (RFC 4559 section 6).
fn logs_in_connection(headers: &HeaderMap) -> bool {
    headers.get_all(AUTHORIZATION).iter().any(|value| {
        let scheme = value.as_bytes().split(|&byte| byte == b' ').next().unwrap_or_default();
        scheme.eq_ignore_ascii_case(b"ntlm") || scheme.eq_ignore_ascii_case(b"negotiate")
    })
}

/// A request as it goes to the server, with what passes of its body; or the answer to one that doesn't.
type Outgoing = Result<(Request<Body>, Arc<Traffic>), Box<Response<Body>>>;

/// The request as it goes to the server.
fn outgoing(request: Request<RequestBody>) -> Outgoing {
    let (mut head, body) = request.into_parts();
    let scheme = head.uri.scheme().cloned();
    let Some(scheme) = scheme.filter(|_| head.uri.host().is_some_and(|host| !host.is_empty())) else {
        return Err(Box::new(answers::text(StatusCode::BAD_REQUEST, answers::NOT_A_SITE)));
    };
    if scheme == Scheme::HTTPS {
        return Err(Box::new(answers::text(StatusCode::BAD_REQUEST, answers::USE_CONNECT)));
    }
    if scheme != Scheme::HTTP {
        return Err(Box::new(answers::text(StatusCode::NOT_IMPLEMENTED, answers::ONLY_HTTP)));
    }
    hop_count(&head.method, &mut head.headers)?;
    let bad = || Box::new(answers::text(StatusCode::BAD_REQUEST, answers::BAD_TARGET));
    // User names in URLs are not for servers, and `Host` names the target whatever the client wrote there.
    let authority = match (head.uri.host(), head.uri.port_u16()) {
        (Some(host), None | Some(80)) => host.to_owned(),
        (Some(host), Some(port)) => format!("{host}:{port}"),
        (None, _) => return Err(bad()),
    };
    let host = HeaderValue::from_str(&authority).map_err(|_| bad())?;
    let path = head.uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
    head.uri = Uri::builder()
        .scheme(Scheme::HTTP)
        .authority(authority)
        .path_and_query(path)
        .build()
        .map_err(|_| bad())?;
    headers::strip(&mut head.headers);
    join_cookies(&mut head.headers);
    via(&mut head.headers, head.version);
    head.headers.insert(HOST, host);
    head.version = Version::HTTP_11;
    // What is there is of the connection to the client.
    head.extensions.clear();
    let traffic = Traffic::new();
    let seen = Arc::clone(&traffic);
    let empty = body.is_end_stream();
    let body = body.map_frame(move |frame| {
        seen.touch();
        frame
    });
    let body = if empty { Body::empty() } else { Body::new(body) };
    chunk_unsized(&mut head.headers, &head.method, &body);
    Ok((Request::from_parts(head, body), traffic))
}

/// Heeds `Max-Forwards` (RFC 9110 section 7.6.2), and refuses TRACE, which shows scripts what they must not see.
fn hop_count(method: &Method, headers: &mut HeaderMap) -> Result<(), Box<Response<Body>>> {
    if method == Method::TRACE {
        return Err(Box::new(answers::text(StatusCode::METHOD_NOT_ALLOWED, answers::NO_TRACE)));
    }
    if method == Method::OPTIONS && is_last_hop(headers) {
        return Err(Box::new(answers::text(StatusCode::OK, answers::LAST_HOP)));
    }
    Ok(())
}

/// The response as it goes to the client.
fn incoming(response: Response<Incoming>, host: Arc<str>, idle: Duration) -> Response<Body> {
    let (mut head, body) = response.into_parts();
    if head.status == StatusCode::SWITCHING_PROTOCOLS {
        // Nobody asked it to: `Upgrade` was not passed on.
        return answers::text(StatusCode::BAD_GATEWAY, answers::UPGRADED);
    }
    if is_coded(&head.headers) {
        return answers::text(StatusCode::BAD_GATEWAY, answers::CODED_ANSWER);
    }
    headers::strip(&mut head.headers);
    via(&mut head.headers, head.version);
    head.version = Version::HTTP_11;
    let connection = head.extensions.remove::<ConnectionInfo>();
    head.extensions.clear();
    if let Some(connection) = connection {
        head.extensions.insert(connection);
    }
    // A body may be shorter than announced where there is none: HEAD, 204, 304.
    let body = if body.is_end_stream() {
        Body::empty()
    } else {
        Body::new(FailsLate::new(Received::new(body, host, Limits { read: Some(idle), total: None })))
    };
    Response::from_parts(head, body)
}

/// Connections to where a client may go.
#[derive(Clone, Debug)]
struct Guarded {
    connector: Connector,
    targets: Arc<Targets>,
    trusted: bool,
}

impl Service<Uri> for Guarded {
    type Response = ConnectorStream;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<ConnectorStream, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let (host, port) = host_and_port(&uri)?;
            this.targets.reach(&this.connector, (host, port), this.trusted).await
        })
    }
}
