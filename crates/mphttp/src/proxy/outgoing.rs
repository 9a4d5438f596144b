//! A client's request as it goes to an upstream: checked, stripped of what was this connection's, framed anew.

use http::{
    HeaderMap, HeaderValue, Method, Request, StatusCode, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, HOST, TE, UPGRADE, USER_AGENT},
    request::Parts,
    uri::{Authority, PathAndQuery, Scheme},
};
use http_body::Body as _;

use super::{
    body::Upload,
    headers::{self, Origin, chunk_unsized},
    settings::{HostHeader, Settings},
    upstream::Upstream,
};
use crate::server::Peer;

/// A request that goes nowhere, and what its client is told.
#[derive(Debug)]
pub(super) struct Refusal(pub(super) StatusCode, pub(super) &'static str);

/// What came through more proxies than this goes in a circle.
const MOST_HOPS: usize = 20;
pub(super) struct Outgoing {
    pub(super) method: Method,
    /// What the client wants instead of HTTP.
    pub(super) upgrade: Option<HeaderValue>,
    path: PathAndQuery,
    headers: HeaderMap,
    /// What the client called the server.
    host: Option<Authority>,
    /// Whether the client reads trailers.
    trailers: bool,
    /// Whether the client named a length: then the upstream gets one as well, zero included.
    sized: bool,
}

impl Outgoing {
    pub(super) fn new(parts: Parts, peer: Option<Peer>, settings: &Settings) -> Result<Self, Refusal> {
        let Parts { method, uri, version, mut headers, .. } = parts;
        if method == Method::CONNECT {
            return Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "This proxy makes no tunnels.\n"));
        }
        if headers::hops(&headers) > MOST_HOPS {
            return Err(Refusal(StatusCode::LOOP_DETECTED, "This request came through too many proxies.\n"));
        }
        if uri.scheme().is_some_and(|scheme| *scheme != Scheme::HTTP && *scheme != Scheme::HTTPS) {
            return Err(Refusal(StatusCode::BAD_REQUEST, "This proxy hands on http and https URLs only.\n"));
        }
        count_forwards(&method, &mut headers)?;
        let host = host(&uri, version, &headers)?;
        let upgrade = headers::upgrade(&headers, version);
        let trailers = headers::has_token(&headers, &TE, "trailers");
        headers::strip_hop_by_hop(&mut headers);
        let sized = headers::remove_framing(&mut headers);
        headers.remove(HOST);
        headers::join_cookies(&mut headers);
        // Some programs take it for the variable HTTP_PROXY (httpoxy.org); it means nothing in HTTP.
        headers.remove("proxy");
        headers::via(&mut headers, version);
        let client = peer.map(|peer| peer.remote.ip());
        let origin = Origin {
            client,
            tls: peer.is_some_and(|peer| peer.tls),
            host: host.as_ref().map(Authority::as_str),
            trusted: client.is_some_and(|ip| settings.trusted.iter().any(|range| range.contains(&ip))),
        };
        headers::forwarded(&mut headers, &origin);
        let path = uri.path_and_query().cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Self { method, upgrade, path, headers, host, trailers, sized })
    }

    /// A request of the proxy's own: GET, by the upstream's own name.
    pub(super) fn own(path: PathAndQuery) -> Self {
        let agent = HeaderValue::from_static(concat!("mphttp/", env!("CARGO_PKG_VERSION")));
        Self {
            method: Method::GET,
            upgrade: None,
            path,
            headers: HeaderMap::from_iter([(USER_AGENT, agent)]),
            host: None,
            trailers: false,
            sized: false,
        }
    }

    /// Whether doing it twice does no more than once: RFC 9110 section 9.2.2.
    pub(super) fn is_idempotent(&self) -> bool {
        self.method.is_idempotent()
    }

    /// The request for this upstream.
    pub(super) fn to(
        &self,
        upstream: &Upstream,
        http2: bool,
        policy: HostHeader,
        body: Upload,
    ) -> Result<Request<Upload>, http::Error> {
        let host = match policy {
            HostHeader::Client => self.host.as_ref().unwrap_or(&upstream.authority),
            HostHeader::Upstream => &upstream.authority,
        };
        let path = if upstream.prefix.is_empty() {
            self.path.clone()
        } else if self.path.as_str() == "*" {
            PathAndQuery::try_from(upstream.prefix.as_str())?
        } else {
            PathAndQuery::try_from(format!("{}{}", upstream.prefix, self.path))?
        };
        let mut headers = self.headers.clone();
        if self.sized
            && let Some(length) = body.size_hint().exact()
        {
            headers.insert(CONTENT_LENGTH, length.into());
        }
        let mut uri = Uri::builder().path_and_query(path);
        if self.trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        if http2 {
            uri = uri.scheme(upstream.scheme.clone()).authority(host.clone());
        } else {
            headers.insert(HOST, HeaderValue::from_str(host.as_str())?);
            chunk_unsized(&mut headers, &self.method, &body);
            let connection = match (&self.upgrade, self.trailers) {
                (Some(_), true) => Some("upgrade, te"),
                (Some(_), false) => Some("upgrade"),
                (None, true) => Some("te"),
                (None, false) => None,
            };
            if let Some(connection) = connection {
                headers.insert(CONNECTION, HeaderValue::from_static(connection));
            }
            if let Some(protocol) = &self.upgrade {
                headers.insert(UPGRADE, protocol.clone());
            }
        }
        let mut request = Request::new(body);
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri.build()?;
        *request.version_mut() = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        *request.headers_mut() = headers;
        Ok(request)
    }
}

/// The host that the client asks: the target's where that names one, else the one and only `Host` (RFC 9112 section
/// 3.2).
pub(super) fn host(uri: &Uri, version: Version, headers: &HeaderMap) -> Result<Option<Authority>, Refusal> {
    let bad = |why| Refusal(StatusCode::BAD_REQUEST, why);
    let mut hosts = headers.get_all(HOST).iter();
    let named = hosts.next();
    if hosts.next().is_some() {
        return Err(bad("A request has one Host header, not several.\n"));
    }
    let authority = match (uri.authority(), named) {
        // RFC 9113 section 8.3.1: malformed. In HTTP/1.1 the target simply decides.
        (Some(authority), Some(host))
            if version == Version::HTTP_2
                && !host.as_bytes().eq_ignore_ascii_case(authority.as_str().as_bytes()) =>
        {
            return Err(bad("The Host header differs from :authority.\n"));
        }
        (Some(authority), _) => authority.clone(),
        (None, Some(host)) => Authority::try_from(host.as_bytes())
            .map_err(|_| bad("The Host header is no name or address with an optional port.\n"))?,
        (None, None) => return Ok(None),
    };
    if authority.as_str().contains('@') {
        return Err(bad("The Host header is no name or address with an optional port.\n"));
    }
    Ok(Some(authority))
}

/// Where a TRACE or OPTIONS is to go no further than this proxy.
fn count_forwards(method: &Method, headers: &mut HeaderMap) -> Result<(), Refusal> {
    match *method {
        Method::OPTIONS if headers::is_last_hop(headers) => Err(Refusal(StatusCode::OK, "")),
        Method::TRACE if headers::is_last_hop(headers) => {
            Err(Refusal(StatusCode::METHOD_NOT_ALLOWED, "This proxy does not answer TRACE.\n"))
        }
        _ => Ok(()),
    }
}
