//! Where a redirect leads and what of the request goes with it (RFC 9110 section 15.4). Pure: no I/O.

use http::{
    HeaderMap, Method, StatusCode,
    header::{
        AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, COOKIE, HOST, LOCATION,
        PROXY_AUTHORIZATION, TRANSFER_ENCODING,
    },
};
use url::Url;

use crate::Error;

/// The next request.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Next {
    pub(super) url: Url,
    pub(super) method: Method,
    /// Whether the body goes along.
    pub(super) keeps_body: bool,
}

/// What a response to `method url` asks for; `None` if it is no redirect.
///
/// # Errors
/// [`Error::Redirect`] if it leads where one must not, or can't, go.
pub(super) fn next(
    status: StatusCode,
    headers: &HeaderMap,
    method: &Method,
    url: &Url,
    allow_downgrade: bool,
) -> Result<Option<Next>, Error> {
    let (method, keeps_body) = match status {
        // What everybody does with POST, and RFC 9110 sections 15.4.2 and 15.4.3 allow.
        StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND if method == Method::POST => (Method::GET, false),
        StatusCode::SEE_OTHER if method == Method::HEAD => (Method::HEAD, false),
        StatusCode::SEE_OTHER => (Method::GET, false),
        StatusCode::MOVED_PERMANENTLY
        | StatusCode::FOUND
        | StatusCode::TEMPORARY_REDIRECT
        | StatusCode::PERMANENT_REDIRECT => (method.clone(), true),
        _ => return Ok(None),
    };
    let Some(location) = headers.get(LOCATION) else { return Ok(None) };
    let text = String::from_utf8_lossy(location.as_bytes()).into_owned();
    let refuse = |why| Error::Redirect { location: text.clone(), why };
    let mut next =
        url.join(&text).map_err(|_| refuse("it is not a valid URL; tell whoever runs the server"))?;
    if !matches!(next.scheme(), "http" | "https") || next.host_str().is_none_or(str::is_empty) {
        return Err(refuse("only http and https are followed; open it with another program, if it is meant"));
    }
    if url.scheme() == "https" && next.scheme() == "http" && !allow_downgrade {
        return Err(refuse("it gives up TLS; request that URL yourself, or allow it, if that is meant"));
    }
    if next.fragment().is_none() {
        // RFC 9110 section 10.2.2: the fragment of the original lives on.
        next.set_fragment(url.fragment());
    }
    Ok(Some(Next { url: next, method, keeps_body }))
}

/// Takes out of a request's headers what must not go along.
pub(super) fn strip(headers: &mut HeaderMap, from: &Url, next: &Next) {
    if from.origin() != next.url.origin() {
        for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, HOST] {
            headers.remove(name);
        }
    }
    if !next.keeps_body {
        for name in [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING] {
            headers.remove(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn go(status: u16, method: Method, from: &str, to: &str) -> Result<Option<Next>, Error> {
        let mut headers = HeaderMap::new();
        headers.insert(LOCATION, HeaderValue::from_str(to).unwrap());
        next(StatusCode::from_u16(status).unwrap(), &headers, &method, &Url::parse(from).unwrap(), false)
    }

    #[test]
    fn methods_change_as_the_rfc_says() {
        for (status, before, after, keeps_body) in [
            (301, Method::POST, Method::GET, false),
            (302, Method::POST, Method::GET, false),
            (302, Method::PUT, Method::PUT, true),
            (303, Method::PUT, Method::GET, false),
            (303, Method::HEAD, Method::HEAD, false),
            (307, Method::POST, Method::POST, true),
            (308, Method::DELETE, Method::DELETE, true),
        ] {
            let next = go(status, before.clone(), "http://a.example/x", "/y").unwrap().unwrap();
            assert_eq!((next.method, next.keeps_body), (after, keeps_body), "{status} {before}");
            assert_eq!(next.url.as_str(), "http://a.example/y");
        }
        for status in [200, 300, 304, 404] {
            assert_eq!(go(status, Method::GET, "http://a.example/", "/y").unwrap(), None);
        }
    }

    #[test]
    fn a_fragment_lives_on_unless_there_is_a_new_one() {
        let url = |to| go(302, Method::GET, "http://a.example/x#part", to).unwrap().unwrap().url.to_string();
        assert_eq!(url("/y"), "http://a.example/y#part");
        assert_eq!(url("/y#other"), "http://a.example/y#other");
    }

    #[test]
    fn other_schemes_and_the_loss_of_tls_are_refused() {
        for to in ["ftp://a.example/", "file:///etc/passwd", "http://a.example/", "http://[broken/"] {
            let error = go(302, Method::GET, "https://a.example/", to).unwrap_err();
            assert!(matches!(error, Error::Redirect { .. }), "{to}: {error}");
        }
    }

    #[test]
    fn credentials_stay_with_their_origin() {
        let from = Url::parse("http://a.example/").unwrap();
        for (to, kept) in [
            ("http://a.example/y", true),
            ("http://a.example:80/y", true),
            ("http://a.example:81/y", false),
            ("http://b.example/y", false),
            ("https://a.example/y", false),
        ] {
            let next = Next { url: Url::parse(to).unwrap(), method: Method::GET, keeps_body: true };
            let mut headers = HeaderMap::new();
            for name in [AUTHORIZATION, COOKIE, CONTENT_TYPE] {
                headers.insert(name, HeaderValue::from_static("x"));
            }
            strip(&mut headers, &from, &next);
            assert_eq!(headers.contains_key(AUTHORIZATION), kept, "{to}");
            assert_eq!(headers.contains_key(COOKIE), kept, "{to}");
            assert!(headers.contains_key(CONTENT_TYPE));
        }
    }
}
