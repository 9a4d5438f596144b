//! What a forward proxy takes out of messages that it passes on (RFC 9110 section 7.6).

use http::{HeaderMap, header::TRAILER};

use super::super::headers;

/// Takes out the headers that are for one connection only: the known ones, and those that `Connection` names; and the names of
/// trailers, which are not passed on.
pub(super) fn strip(headers: &mut HeaderMap) {
    headers.remove(TRAILER);
    headers::strip_hop_by_hop(headers);
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderName, HeaderValue};

    #[test]
    fn what_is_for_one_connection_stays_there() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("connection", "close, X-Mine"),
            ("connection", "x-too,, \u{7f}"),
            ("x-mine", "1"),
            ("x-too", "1"),
            ("keep-alive", "timeout=5"),
            ("proxy-connection", "keep-alive"),
            ("proxy-authorization", "Bearer secret"),
            ("te", "trailers"),
            ("upgrade", "websocket"),
            ("accept", "*/*"),
        ] {
            // The odd value is one that HTTP/1.1 lets in as opaque bytes.
            let value = HeaderValue::from_bytes(value.replace('\u{7f}', "\u{fc}").as_bytes()).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        strip(&mut headers);
        let left: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        assert_eq!(left, ["accept"]);
    }
}
