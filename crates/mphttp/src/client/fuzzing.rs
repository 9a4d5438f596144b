//! Any bytes as URLs, as what a redirect leads to, and as what an earlier upload left behind.

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use url::Url;

use super::{
    proxy::Proxies,
    redirect,
    request::{parse, take_credentials},
    upload,
};
use crate::report::public_url;

/// Two lines: a URL, and where its answer redirects to. No password is left where it may be shown, and none goes to another
/// origin; TLS is not given up.
pub fn urls(bytes: &[u8]) {
    let mut lines = bytes.splitn(2, |&byte| byte == b'\n');
    let text = String::from_utf8_lossy(lines.next().unwrap_or_default());
    let location = lines.next().unwrap_or_default();
    let _ = Proxies::all(&text);
    let public = public_url(&text);
    let Ok(mut url) = parse(&text) else { return };
    assert_eq!(public_url(&public), public);
    take_credentials(&mut url);
    assert!(url.username().is_empty() && url.password().is_none());
    let _ = super::uri(&url);
    let named = upload::upload_url(&text, "a folder/a file").unwrap_or_default();
    assert!(
        !named.ends_with('/') || !Url::parse(&named).is_ok_and(|url| url.path().ends_with('/')),
        "{named}"
    );
    let Ok(location) = HeaderValue::from_bytes(location) else { return };
    let headers = HeaderMap::from_iter([(header::LOCATION, location)]);
    for status in [StatusCode::FOUND, StatusCode::SEE_OTHER, StatusCode::PERMANENT_REDIRECT] {
        let Ok(Some(next)) = redirect::next(status, &headers, &Method::PUT, &url, false) else { continue };
        assert!(matches!(next.url.scheme(), "http" | "https"));
        assert!(url.scheme() == "http" || next.url.scheme() == "https", "{next:?} gives up TLS");
        let mut sent = HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_static("secret"))]);
        redirect::strip(&mut sent, &url, &next);
        assert_eq!(sent.is_empty(), url.origin() != next.url.origin());
    }
}

/// The state of an unfinished upload: gone on with only to where it was meant to go.
pub fn upload_states(bytes: &[u8]) {
    for target in ["http://example.com/", "https://[::1]:8443/in/x"] {
        let Ok(target) = Url::parse(target) else { continue };
        if let Some((url, _)) = upload::state::parse(bytes, &target, 5, 1) {
            assert!(matches!(url.scheme(), "http" | "https"));
        }
    }
}
