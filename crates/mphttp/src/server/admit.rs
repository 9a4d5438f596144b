//! What no handler sees: requests of HTTP/1.1 that hyper reads and RFC 9112 has refused, since whoever reads them next, or whatever
//! decides by their host, may read them differently.

use http::{
    HeaderMap, Method, Request, StatusCode, Uri, Version,
    header::{HOST, TRANSFER_ENCODING},
};

/// The status, and a sentence for the client.
pub(super) type Fault = (StatusCode, &'static str);

/// Whether a handler may see it.
pub(super) fn admit<B>(request: &Request<B>) -> Result<(), Fault> {
    if request.version() > Version::HTTP_11 {
        return Ok(());
    }
    let bad = |why| Err((StatusCode::BAD_REQUEST, why));
    if !is_target(request.method(), request.uri()) {
        return bad("This is no target for a request of this method (RFC 9112 section 3.2).\n");
    }
    let mut hosts = request.headers().get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if request.version() == Version::HTTP_11 => return bad("The Host header is missing.\n"),
        (_, Some(_)) => return bad("A request has one Host header, not several.\n"),
        (Some(host), None) if !is_host(host.as_bytes()) => {
            return bad("The Host header is no name or address with an optional port.\n");
        }
        _ => {}
    }
    if is_coded(request.headers()) {
        return Err((StatusCode::NOT_IMPLEMENTED, "No transfer coding but chunked is known here.\n"));
    }
    Ok(())
}

/// Whether a message is in a transfer coding beside `chunked` (RFC 9112 section 6.1), which would have to be undone here.
pub(crate) fn is_coded(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    let Some(coding) = codings.next() else { return false };
    codings.next().is_some() || !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked")
}

/// Whether the method goes with this form of target (RFC 9112 section 3.2): a path or a URL; an authority for CONNECT, and for
/// nothing else; an asterisk for OPTIONS.
fn is_target(method: &Method, uri: &Uri) -> bool {
    if method == Method::CONNECT {
        return uri.scheme().is_none() && uri.authority().is_some();
    }
    match (uri.scheme(), uri.path_and_query()) {
        (None, _) if uri.authority().is_some() => false,
        (None, Some(path)) if path == "*" => method == Method::OPTIONS,
        // RFC 3986 has ASCII only; what others make of the rest differs.
        (_, path) => path.is_none_or(|path| path.as_str().is_ascii()),
    }
}

/// `uri-host [ ":" port ]` (RFC 9110 section 7.2). It may be empty, where a URL has no authority.
fn is_host(value: &[u8]) -> bool {
    let name = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%".contains(byte);
    let address = |byte: &u8| name(byte) || *byte == b':';
    let is_port = |rest: &[u8]| match rest {
        [] => true,
        [b':', port @ ..] => port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    let (inside, rest, allowed): (_, _, &dyn Fn(&u8) -> bool) = match value.strip_prefix(b"[") {
        Some(value) => match value.iter().position(|&byte| byte == b']') {
            Some(end) => (value.get(..end), value.get(end + 1..), &address),
            None => return false,
        },
        None => {
            let end = value.iter().position(|&byte| byte == b':').unwrap_or(value.len());
            (value.get(..end), value.get(end..), &name)
        }
    };
    inside.is_some_and(|host| host.iter().all(allowed)) && rest.is_some_and(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_rfc_9110_section_7_2() {
        for host in [
            "",
            "a",
            "a.test",
            "a.test:80",
            "a.test:",
            "127.0.0.1:8",
            "[::1]",
            "[fe80::1%25eth0]:80",
            "a_b",
            "%41",
        ] {
            assert!(is_host(host.as_bytes()), "{host}");
        }
        for host in
            ["a b", "a@b", "a/b", "a:b", "a:8:8", "[::1", "::1", "[::1]x", "[a]b:8", "a\\b", "a?b", "\u{e9}"]
        {
            assert!(!is_host(host.as_bytes()), "{host}");
        }
    }

    #[test]
    fn targets_rfc_9112_section_3_2() {
        for (method, target, good) in [
            (Method::GET, "/", true),
            (Method::GET, "//a/b?c", true),
            (Method::GET, "http://a/b", true),
            (Method::GET, "*", false),
            (Method::OPTIONS, "*", true),
            (Method::GET, "a:80", false),
            (Method::GET, "a", false),
            (Method::CONNECT, "a:80", true),
            (Method::CONNECT, "/a", false),
            (Method::CONNECT, "http://a/", false),
            (Method::GET, "/\u{e9}", false),
        ] {
            assert_eq!(is_target(&method, &target.parse().unwrap()), good, "{method} {target}");
        }
    }
}
