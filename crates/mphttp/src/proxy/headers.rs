//! The headers that are a proxy's own business: hop-by-hop ones (RFC 9110 section 7.6.1), `Via` (7.6.3), `Forwarded`
//! (RFC 7239) and its elder `X-Forwarded-` cousins.

use std::net::IpAddr;

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Version,
    header::{
        self, CONNECTION, COOKIE, FORWARDED, MAX_FORWARDS, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE,
        TRANSFER_ENCODING, UPGRADE, VIA,
    },
};
use http_body::Body;

/// What the proxy calls itself in `Via`: a pseudonym, since names of hosts inside are nobody's business.
const PSEUDONYM: &str = "mphttp";

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_REAL_IP: HeaderName = HeaderName::from_static("x-real-ip");

/// Removes what concerns one connection only: the standard names, and those that `Connection` lists. A length beside a transfer
/// coding goes too, for it isn't true (RFC 9112 section 6.3).
pub(super) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    one_length(headers);
    let named: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION] {
        headers.remove(name);
    }
    for name in ["keep-alive", "proxy-connection", "http2-settings"] {
        headers.remove(name);
    }
    // Behind CGI and its like these are the fields themselves.
    remove_disguised(headers, |name| name == "content-length" || name == "transfer-encoding");
}

/// Makes one length of a list of the same (RFC 9110 section 8.6), and none of what is no length: hyper looks at it only where a body
/// follows.
fn one_length(headers: &mut HeaderMap) {
    let mut lengths = headers
        .get_all(header::CONTENT_LENGTH)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b',').map(<[u8]>::trim_ascii));
    let Some(first) = lengths.next() else { return };
    let (mut same, mut several) = (!first.is_empty() && first.iter().all(u8::is_ascii_digit), false);
    for other in lengths {
        several = true;
        same &= other == first;
    }
    if same && !several {
        return;
    }
    match HeaderValue::from_bytes(first) {
        Ok(length) if same => drop(headers.insert(header::CONTENT_LENGTH, length)),
        _ => drop(headers.remove(header::CONTENT_LENGTH)),
    }
}

/// Removes fields whose names have underscores and, with dashes in their place, are among these: RFC 3875 section 4.1.18 makes one
/// variable of both, as do WSGI and others.
fn remove_disguised(headers: &mut HeaderMap, among: impl Fn(&str) -> bool) {
    let disguised: Vec<HeaderName> = headers
        .keys()
        .filter(|name| name.as_str().contains('_') && among(&name.as_str().replace('_', "-")))
        .cloned()
        .collect();
    for name in disguised {
        headers.remove(name);
    }
}

/// Whether a list header has this member, such as `trailers` in `TE` or `upgrade` in `Connection`.
pub(crate) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .map(|member| member.split(|&byte| byte == b';').next().unwrap_or_default())
        .any(|member| member.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// Heeds `Max-Forwards`, by which an OPTIONS or TRACE ends at a chosen proxy (RFC 9110 section 7.6.2): whether that is here;
/// else there is one less.
pub(super) fn is_last_hop(headers: &mut HeaderMap) -> bool {
    let value = headers.get(MAX_FORWARDS);
    match value.and_then(|value| value.to_str().ok()?.trim().parse::<u64>().ok()) {
        None => false,
        Some(0) => true,
        Some(left) => {
            headers.insert(MAX_FORWARDS, (left - 1).into());
            false
        }
    }
}

/// How many hosts a message says it came through.
pub(super) fn hops(headers: &HeaderMap) -> usize {
    headers.get_all(VIA).iter().map(|value| value.as_bytes().split(|&byte| byte == b',').count()).sum()
}

/// Whether all protocols that an answer switches to were offered (RFC 9110 section 7.8).
pub(super) fn was_offered(offer: &HeaderValue, chosen: &HeaderValue) -> bool {
    let members = |value: &HeaderValue| -> Vec<Vec<u8>> {
        value
            .as_bytes()
            .split(|&byte| byte == b',')
            .map(|name| name.trim_ascii().to_ascii_lowercase())
            .collect()
    };
    let offered = members(offer);
    members(chosen).iter().all(|name| offered.contains(name))
}

/// What an HTTP/1.1 message asks to be upgraded to; never HTTP/2, which each side chooses for itself.
pub(super) fn upgrade(headers: &HeaderMap, version: Version) -> Option<HeaderValue> {
    let wanted = version == Version::HTTP_11
        && has_token(headers, &CONNECTION, "upgrade")
        && !has_token(headers, &UPGRADE, "h2c");
    if wanted { headers.get(UPGRADE).cloned() } else { None }
}

/// Adds to `Via` that a message of this version came through here.
pub(super) fn via(headers: &mut HeaderMap, version: Version) {
    let version = match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        Version::HTTP_3 => "3",
        _ => "1.1",
    };
    append(headers, VIA, &format!("{version} {PSEUDONYM}"));
}

/// Joins the pieces into which HTTP/2 may cut `Cookie`; HTTP/1.1 has one (RFC 9113 section 8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    let pieces: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if pieces.len() < 2 {
        return;
    }
    if let Ok(whole) = HeaderValue::from_bytes(&pieces.join(&b"; "[..])) {
        headers.insert(COOKIE, whole);
    }
}

/// Where a request came from, as its upstream is told.
pub(super) struct Origin<'a> {
    pub(super) client: Option<IpAddr>,
    pub(super) tls: bool,
    /// What the client called the server.
    pub(super) host: Option<&'a str>,
    /// Whether the client is a proxy whose word on where requests come from is believed.
    pub(super) trusted: bool,
}

/// Tells the upstream where the request came from. Others' word is believed of a trusted peer only.
pub(super) fn forwarded(headers: &mut HeaderMap, origin: &Origin<'_>) {
    if !origin.trusted {
        let forged: Vec<HeaderName> =
            headers.keys().filter(|name| name.as_str().starts_with("x-forwarded-")).cloned().collect();
        for name in forged.into_iter().chain([FORWARDED, X_REAL_IP]) {
            headers.remove(name);
        }
    }
    remove_disguised(headers, |name| name.starts_with("x-forwarded-") || name == X_REAL_IP.as_str());
    let proto = if origin.tls { "https" } else { "http" };
    let node = match origin.client {
        Some(IpAddr::V4(address)) => address.to_string(),
        // Colons and brackets are none of a token (RFC 7239 section 4).
        Some(IpAddr::V6(address)) => format!("\"[{address}]\""),
        None => "unknown".to_owned(),
    };
    let mut element = format!("for={node}");
    if let Some(host) = origin.host {
        element.push_str(";host=");
        element.push_str(&token_or_quoted(host));
    }
    element.push_str(";proto=");
    element.push_str(proto);
    append(headers, FORWARDED, &element);
    if let Some(address) = origin.client {
        append(headers, X_FORWARDED_FOR, &address.to_string());
    }
    // What a trusted proxy said is what its client sees; the latest hop is no news to anybody.
    if !headers.contains_key(X_FORWARDED_PROTO) {
        headers.insert(X_FORWARDED_PROTO, HeaderValue::from_static(proto));
    }
    if let Some(host) = origin.host.and_then(|host| HeaderValue::from_str(host).ok())
        && !headers.contains_key(X_FORWARDED_HOST)
    {
        headers.insert(X_FORWARDED_HOST, host);
    }
}

fn token_or_quoted(text: &str) -> String {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_token) {
        return text.to_owned();
    }
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

/// Adds a member to a list header, all on one line: many a reader of `X-Forwarded-For` sees the first line only.
fn append(headers: &mut HeaderMap, name: HeaderName, member: &str) {
    let mut line = Vec::new();
    for value in headers.get_all(&name) {
        line.extend_from_slice(value.as_bytes());
        line.extend_from_slice(b", ");
    }
    line.extend_from_slice(member.as_bytes());
    if let Ok(value) = HeaderValue::from_bytes(&line) {
        headers.insert(name, value);
    }
}

/// Has a body of unknown length sent in chunks also with GET and HEAD, with which hyper sends none unless told to (RFC 9110 section
/// 9.3.1: it has no meaning of its own, which is not to say that nobody reads it).
pub(super) fn chunk_unsized(headers: &mut HeaderMap, method: &Method, body: &impl Body) {
    if matches!(*method, Method::GET | Method::HEAD) && body.size_hint().exact().is_none() {
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
}

/// What may be asked of an upstream: no more bodies than there are.
pub(super) fn remove_framing(headers: &mut HeaderMap) -> bool {
    // The client was told "100 Continue" by the server as soon as somebody wanted its body.
    headers.remove(header::EXPECT);
    headers.remove(header::CONTENT_LENGTH).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        headers
    }

    fn origin(client: &str, trusted: bool) -> Origin<'static> {
        Origin { client: Some(client.parse().unwrap()), tls: true, host: Some("site.test:8443"), trusted }
    }

    #[test]
    fn hop_by_hop_headers_go_and_those_that_connection_names() {
        let mut map = headers(&[
            ("connection", "close, X-Mine"),
            ("connection", "x-other"),
            ("x-mine", "1"),
            ("x-other", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("te", "trailers"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "h2c"),
            ("proxy-authorization", "Basic x"),
            ("trailer", "grpc-status"),
            ("authorization", "Bearer x"),
        ]);
        strip_hop_by_hop(&mut map);
        let mut left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["authorization", "trailer"]);
    }

    #[test]
    fn a_length_counts_only_without_a_transfer_coding() {
        let mut map = headers(&[("content-length", "5")]);
        strip_hop_by_hop(&mut map);
        assert_eq!(map.len(), 1);
        map.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        strip_hop_by_hop(&mut map);
        assert!(map.is_empty(), "{map:?}");
    }

    #[test]
    fn there_is_one_length_or_none() {
        for (lengths, left) in [
            (&["5"][..], Some("5")),
            (&["5", "5"], Some("5")),
            (&["5, 5"], Some("5")),
            (&["5", "6"], None),
            (&["5, 6"], None),
            (&["+5"], None),
            (&[""], None),
        ] {
            let mut map = HeaderMap::new();
            for length in lengths {
                map.append("content-length", length.parse().unwrap());
            }
            strip_hop_by_hop(&mut map);
            let found: Vec<_> = map.get_all("content-length").iter().collect();
            assert_eq!(found, left.into_iter().collect::<Vec<_>>(), "{lengths:?}");
        }
    }

    #[test]
    fn underscores_disguise_nothing() {
        let mut map = headers(&[
            ("x_forwarded_for", "10.0.0.1"),
            ("x-forwarded_proto", "gopher"),
            ("x_real_ip", "10.0.0.1"),
            ("content_length", "5"),
            ("transfer-encoding", "chunked"),
            ("transfer_encoding", "chunked"),
            ("x_mine", "1"),
        ]);
        strip_hop_by_hop(&mut map);
        forwarded(&mut map, &origin("192.0.2.7", true));
        let mut left: Vec<_> = map.keys().map(HeaderName::as_str).collect();
        left.sort_unstable();
        assert_eq!(left, ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x_mine"]);
        assert_eq!(map[X_FORWARDED_FOR], "192.0.2.7");
    }

    #[test]
    fn what_an_unknown_client_says_of_its_origin_is_replaced() {
        let mut map = headers(&[
            ("forwarded", "for=10.0.0.1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("x-forwarded-port", "1"),
            ("x-forwarded-proto", "gopher"),
            ("x-real-ip", "10.0.0.1"),
        ]);
        forwarded(&mut map, &origin("2001:db8::1", false));
        assert_eq!(map[FORWARDED], "for=\"[2001:db8::1]\";host=\"site.test:8443\";proto=https");
        assert_eq!(map[X_FORWARDED_FOR], "2001:db8::1");
        assert_eq!(map[X_FORWARDED_PROTO], "https");
        assert_eq!(map[X_FORWARDED_HOST], "site.test:8443");
        assert!(!map.contains_key(X_REAL_IP) && !map.contains_key("x-forwarded-port"));
    }

    #[test]
    fn a_trusted_proxys_word_is_kept_and_added_to() {
        let mut map = headers(&[
            ("forwarded", "for=192.0.2.7"),
            ("x-forwarded-for", "192.0.2.7"),
            ("x-forwarded-for", "192.0.2.8"),
            ("x-forwarded-proto", "http"),
        ]);
        forwarded(&mut map, &origin("10.0.0.1", true));
        assert_eq!(map[FORWARDED], "for=192.0.2.7, for=10.0.0.1;host=\"site.test:8443\";proto=https");
        assert_eq!(map[X_FORWARDED_FOR], "192.0.2.7, 192.0.2.8, 10.0.0.1");
        assert_eq!(map.get_all(X_FORWARDED_FOR).iter().count(), 1);
        assert_eq!(map[X_FORWARDED_PROTO], "http");
    }

    #[test]
    fn cookies_are_joined() {
        let mut map = headers(&[("cookie", "a=1"), ("x-a", "b"), ("cookie", "b=2")]);
        join_cookies(&mut map);
        assert_eq!(map.get_all(COOKIE).iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }

    #[test]
    fn via_grows() {
        let mut map = headers(&[("via", "1.0 fred")]);
        via(&mut map, Version::HTTP_2);
        assert_eq!(map[VIA], "1.0 fred, 2 mphttp");
    }

    #[test]
    fn upgrades_are_of_http_1_1_and_never_to_http_2() {
        let websocket = headers(&[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]);
        assert_eq!(upgrade(&websocket, Version::HTTP_11).unwrap(), "websocket");
        assert!(upgrade(&websocket, Version::HTTP_10).is_none());
        let h2c = headers(&[("connection", "upgrade, http2-settings"), ("upgrade", "h2c")]);
        assert!(upgrade(&h2c, Version::HTTP_11).is_none());
        assert!(upgrade(&headers(&[("upgrade", "websocket")]), Version::HTTP_11).is_none());
    }
}
