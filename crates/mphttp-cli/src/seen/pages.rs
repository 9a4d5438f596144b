//! The pages of an operator's listener, and who may see them.

use std::{convert::Infallible, future::pending, net::IpAddr, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, header};
use mphttp::{
    Body, Server,
    metrics::CONTENT_TYPE,
    server::{Peer, RequestBody, service_fn},
};

use super::report::Figures;

const PAGE: &str = include_str!("status/page.html");
const STYLE: &str = include_str!("status/page.css");
const SCRIPT: &str = include_str!("status/page.js");

/// The page loads nothing but what this listener has, and runs nothing that stands in a page.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// What a listener shows.
#[derive(Debug)]
pub struct Pages {
    /// The status page, and to whom.
    pub status: Option<Access>,
    /// Metrics.
    pub metrics: bool,
}

/// Who may see the status page.
#[derive(Debug)]
pub enum Access {
    /// Whoever reaches the address, which is one of loopback.
    Here,
    /// Whoever reaches the address.
    Public,
    /// Whoever has the token.
    Token(String),
}

/// Shows the pages for ever.
pub async fn run(server: Server, pages: Arc<Pages>, figures: Arc<Figures>) -> Result<(), mphttp::Error> {
    let service = service_fn(move |request: Request<RequestBody>| {
        let (pages, figures) = (Arc::clone(&pages), Arc::clone(&figures));
        async move { Ok::<_, Infallible>(answer(&pages, &figures, &request).await) }
    });
    server.run(service, pending()).await
}

async fn answer(pages: &Pages, figures: &Arc<Figures>, request: &Request<RequestBody>) -> Response<Body> {
    let mut response = match refusal(pages, request) {
        Some(refusal) => refusal,
        None => page(pages, figures, request.uri().path()).await,
    };
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The answer for those who may not see anything.
fn refusal(pages: &Pages, request: &Request<RequestBody>) -> Option<Response<Body>> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "Only GET and HEAD are understood here.\n");
        response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Some(response);
    }
    if let Some(Access::Token(token)) = &pages.status {
        if presents(request.headers(), token) {
            return None;
        }
        let mut response = text(StatusCode::UNAUTHORIZED, "This page asks for a token.\n");
        let challenge = HeaderValue::from_static("Basic realm=\"mphttp status\", charset=\"UTF-8\"");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
        return Some(response);
    }
    let local = request.extensions().get::<Peer>().map(|peer| peer.local.ip());
    // A page from elsewhere can make its own name lead here (DNS rebinding), but then says that name. Metrics tell nothing
    // of clients, and where others may read them it is by whatever name.
    let open = pages.status.is_none() && local.is_some_and(|ip| !ip.is_loopback());
    if open || is_ours(request.uri(), request.headers(), local) {
        return None;
    }
    let message = "The host that was asked for is not this one. Use localhost, or the address itself.\n";
    Some(text(StatusCode::MISDIRECTED_REQUEST, message))
}

/// Whether the host that was asked for is localhost or the address that the connection was made to.
fn is_ours(uri: &Uri, headers: &HeaderMap, local: Option<IpAddr>) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (uri.authority(), hosts.next(), hosts.next()) {
        (Some(authority), ..) => Some(authority.clone()),
        (None, Some(host), None) => host.to_str().ok().and_then(|host| host.parse().ok()),
        _ => None,
    };
    let Some(host) = host else { return false };
    let name = host.host().trim_start_matches('[').trim_end_matches(']');
    match name.parse::<IpAddr>() {
        Ok(ip) => Some(ip.to_canonical()) == local.map(|local| local.to_canonical()),
        Err(_) => name.eq_ignore_ascii_case("localhost") && local.is_some_and(|local| local.is_loopback()),
    }
}

/// Whether a request brings the token: as a bearer token (RFC 6750), or as a password (RFC 7617).
fn presents(headers: &HeaderMap, token: &str) -> bool {
    let Some(value) = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let Some((scheme, value)) = value.split_once(' ') else { return false };
    if scheme.eq_ignore_ascii_case("bearer") {
        return same(value.trim().as_bytes(), token.as_bytes());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return false;
    }
    let decoded = STANDARD.decode(value.trim()).unwrap_or_default();
    let colon = decoded.iter().position(|&byte| byte == b':');
    colon.and_then(|colon| decoded.get(colon + 1..)).is_some_and(|word| same(word, token.as_bytes()))
}

/// Compares in a time that tells nothing of where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && a.iter().zip(b).fold(0, |differ, (x, y)| differ | (x ^ y)) == 0
}

async fn page(pages: &Pages, figures: &Arc<Figures>, path: &str) -> Response<Body> {
    match path {
        "/metrics" if pages.metrics => typed(CONTENT_TYPE, Arc::clone(figures).metrics().await),
        "/" if pages.status.is_some() => typed("text/html; charset=utf-8", PAGE),
        "/page.css" if pages.status.is_some() => typed("text/css; charset=utf-8", STYLE),
        "/page.js" if pages.status.is_some() => typed("text/javascript; charset=utf-8", SCRIPT),
        "/status.json" if pages.status.is_some() => match Arc::clone(figures).json().await {
            Ok(json) => typed("application/json", json),
            Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")),
        },
        "/" => text(StatusCode::NOT_FOUND, "The metrics are at /metrics.\n"),
        _ => text(StatusCode::NOT_FOUND, "There is nothing here.\n"),
    }
}

fn text(status: StatusCode, message: impl Into<Body>) -> Response<Body> {
    let mut response = typed("text/plain; charset=utf-8", message);
    *response.status_mut() = status;
    response
}

fn typed(kind: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_address_itself_and_localhost_are_this_host() {
        let local = Some("127.0.0.1".parse().unwrap());
        let ours = |host: &str, local: Option<IpAddr>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_str(host).unwrap());
            is_ours(&Uri::from_static("/"), &headers, local)
        };
        for host in ["127.0.0.1", "127.0.0.1:9464", "localhost:80", "LOCALHOST"] {
            assert!(ours(host, local), "{host}");
        }
        for host in
            ["evil.example", "127.0.0.1.evil.example", "192.0.2.1", "localhost.evil.example", "", "a b"]
        {
            assert!(!ours(host, local), "{host}");
        }
        let (six, four) = (Some("::1".parse().unwrap()), Some("192.0.2.1".parse().unwrap()));
        assert!(ours("[::1]:9464", six) && ours("localhost", six));
        assert!(ours("192.0.2.1:1", four) && !ours("localhost", four));
        assert!(!is_ours(&Uri::from_static("/"), &HeaderMap::new(), local));
        assert!(!is_ours(&Uri::from_static("http://evil.example/"), &HeaderMap::new(), local));
    }

    #[test]
    fn the_token_is_a_bearer_token_or_a_password() {
        let token = "0123456789abcdef";
        let allowed = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            presents(&headers, token)
        };
        let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
        assert!(allowed("Bearer 0123456789abcdef") && allowed(&basic("me:0123456789abcdef")));
        assert!(allowed(&basic(":0123456789abcdef")));
        for wrong in [
            "Bearer 0123456789abcde",
            "Bearer ",
            "0123456789abcdef",
            "Basic !",
            &basic(token),
            &basic("me:x"),
        ] {
            assert!(!allowed(wrong), "{wrong}");
        }
        assert!(!presents(&HeaderMap::new(), token));
    }
}
