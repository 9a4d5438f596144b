//! Any bytes as the fields of messages that pass a proxy, and as what it is told on the command line.

use std::net::{IpAddr, Ipv6Addr};

use http::{HeaderValue, Uri, Version, header};

use mptcp_socket::Protocol;

use super::{
    ReverseProxy,
    forward::{Token, range},
    headers, outgoing,
};
use crate::{fuzzing::fields, server::is_coded};

/// The fields of a message that is passed on. What concerns one connection stays there; what a client that is not believed
/// says of where it comes from does too.
pub fn forwarding(bytes: &[u8]) {
    let came = fields(bytes);
    let _ = headers::has_token(&came, &header::TE, "trailers");
    let _ = (is_coded(&came), headers::hops(&came));
    for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
        let uri = came.get("x-url").and_then(|url| Uri::try_from(url.as_bytes()).ok()).unwrap_or_default();
        if let Ok(Some(host)) = outgoing::host(&uri, version, &came) {
            assert!(!host.as_str().contains('@'));
        }
        if let Some(offer) = headers::upgrade(&came, version) {
            assert!(version == Version::HTTP_11 && headers::was_offered(&offer, &offer));
        }
    }
    let mut sent = came.clone();
    headers::strip_hop_by_hop(&mut sent);
    let own = ["connection", "te", "transfer-encoding", "upgrade", "keep-alive", "proxy-authorization"];
    assert!(own.iter().all(|name| !sent.contains_key(*name)));
    let last = headers::is_last_hop(&mut sent);
    assert!(!last || sent.contains_key(header::MAX_FORWARDS));
    let before = headers::hops(&sent);
    headers::via(&mut sent, Version::HTTP_11);
    assert_eq!(headers::hops(&sent), before + 1);
    let host = came.get(header::HOST).and_then(|host| host.to_str().ok());
    for trusted in [false, true] {
        let mut told = sent.clone();
        let client = Some(IpAddr::V6(Ipv6Addr::LOCALHOST));
        headers::forwarded(&mut told, &headers::Origin { client, tls: false, host, trusted });
        let from = told.get("x-forwarded-for").map(HeaderValue::as_bytes).unwrap_or_default();
        assert!(from.ends_with(b"::1") && (trusted || from == b"::1"));
        assert_eq!(told.get_all(header::FORWARDED).iter().count(), 1);
    }
}

/// Ranges of addresses, tokens and upstreams, as they are named on the command line.
pub fn proxy_words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(range) = range(&text) {
        assert_eq!(super::forward::range(&range.to_string()).ok(), Some(range));
        assert!(range.contains(&range.addr()), "{range} does not hold its own address");
    }
    if let Ok(token) = Token::new(&text) {
        let bearer = HeaderValue::from_str(&format!("Bearer {text}"));
        let bearer = bearer.ok().map(|value| (header::PROXY_AUTHORIZATION, value));
        assert!(token.is_in(&bearer.into_iter().collect()), "a token is not taken");
        let _ = token.is_in(&fields(bytes));
    }
    let lines = || text.lines().map(str::to_owned);
    let proxy = ReverseProxy::builder(Protocol::Tcp);
    let _ = lines().fold(proxy, |proxy, url| proxy.to(url)).build();
}
