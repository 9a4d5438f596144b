//! The proxy's own answers: each says what is wrong and what to do about it.

use http::{
    HeaderValue, Response, StatusCode,
    header::{ALLOW, CONNECTION, CONTENT_TYPE, PROXY_AUTHENTICATE},
};

use crate::{Body, Error};

pub(super) const NOT_A_SITE: &str = "This is a forward proxy, not a web site: set http_proxy and https_proxy to its \
    address, and programs ask it for what is elsewhere.\n";
pub(super) const USE_CONNECT: &str = "This proxy does not speak TLS for its clients: ask it with CONNECT for https URLs, as \
    programs do that find its address in https_proxy.\n";
pub(super) const ONLY_HTTP: &str =
    "This proxy passes on http URLs, and opens tunnels with CONNECT; no other schemes.\n";
pub(super) const BAD_TARGET: &str = "The target of this request can't be read: it must be an http URL.\n";
pub(super) const BAD_CONNECT: &str = "CONNECT needs a host and a port: CONNECT example.com:443.\n";
pub(super) const NO_TRACE: &str = "This proxy does not pass on TRACE.\n";
pub(super) const LAST_HOP: &str = "The request was to go no further than this proxy.\n";
const BROKE_OFF: &str = "The request's body broke off.\n";
pub(super) const CODED_ANSWER: &str =
    "The server answered in a transfer coding beside chunked, which this proxy does not know.\n";
pub(super) const UPGRADED: &str = "The server changed to another protocol, which nobody had asked for.\n";
pub(super) const NO_CLIENT: &str =
    "The proxy can't tell who asks: it runs in a server that does not say (Peer).\n";
pub(super) const CLOSED: &str =
    "This proxy is not open to your address; its operator can open it (mphttp proxy --forward --allow).\n";
pub(super) const TOKEN: &str = "This proxy wants its token: as the password of any user in the proxy's URL \
    (http://user:TOKEN@host:port), or as Proxy-Authorization: Bearer TOKEN.\n";
pub(super) const FULL: &str = "As many tunnels are open as this proxy allows: try again later.\n";

/// A short text.
pub(super) fn text(status: StatusCode, text: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(text.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers
            .insert(ALLOW, HeaderValue::from_static("CONNECT, DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"));
    }
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        headers.append(PROXY_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"mphttp\""));
        headers.append(PROXY_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"mphttp\""));
    }
    response
}

/// The client's body broke off. What follows on its connection may be anything.
pub(super) fn broken_request() -> Response<Body> {
    let mut response = text(StatusCode::BAD_REQUEST, BROKE_OFF);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// What went wrong on the way to the target: 403 where the proxy won't go there, 504 where time is over, else 502
/// (RFC 9110 section 15.6). `Proxy-Status` says it for programs (RFC 9209 section 2.3).
pub(super) fn failure(error: &Error) -> Response<Body> {
    let (status, word) = match error {
        Error::Prohibited { .. } => (StatusCode::FORBIDDEN, "destination_ip_prohibited"),
        Error::BadUrl { .. } => (StatusCode::BAD_REQUEST, "http_request_error"),
        Error::Timeout { phase: crate::Phase::Read, .. } => {
            (StatusCode::GATEWAY_TIMEOUT, "http_response_timeout")
        }
        error if error.is_timeout() => (StatusCode::GATEWAY_TIMEOUT, "connection_timeout"),
        Error::Resolve { .. } => (StatusCode::BAD_GATEWAY, "dns_error"),
        Error::Connect { source, .. } => {
            let refused = |attempt: &mptcp_socket::AttemptError| {
                attempt.source.kind() == std::io::ErrorKind::ConnectionRefused
            };
            let attempts = source.attempts();
            let all = !attempts.is_empty() && attempts.iter().all(refused);
            (StatusCode::BAD_GATEWAY, if all { "connection_refused" } else { "destination_unavailable" })
        }
        Error::NoAnswer { .. } | Error::Broken { .. } => (StatusCode::BAD_GATEWAY, "connection_terminated"),
        Error::HeadersTooLarge { .. } => (StatusCode::BAD_GATEWAY, "http_response_header_section_size"),
        Error::Http { .. } => (StatusCode::BAD_GATEWAY, "http_protocol_error"),
        _ => (StatusCode::BAD_GATEWAY, "proxy_internal_error"),
    };
    let mut response = text(status, format!("{error}\n"));
    if let Ok(value) = HeaderValue::from_str(&format!("mphttp; error={word}")) {
        response.headers_mut().insert("proxy-status", value);
    }
    response
}
