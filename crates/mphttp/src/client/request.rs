//! Building a request.

use std::time::Duration;

use base64::Engine as _;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method,
    header::{AUTHORIZATION, CONTENT_TYPE},
};
use mptcp_socket::Protocol;
use serde::Serialize;
use url::Url;

use super::{Client, Response};
use crate::{Body, Download, Error};

/// A request under construction. What is wrong with it, [`RequestBuilder::send`] says.
#[must_use = "nothing is sent before send() is called and awaited"]
#[derive(Debug)]
pub struct RequestBuilder {
    client: Client,
    request: Result<Request, Error>,
}

/// A request, complete.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Body,
    pub(crate) timeout: Option<Duration>,
    pub(crate) protocol: Option<Protocol>,
    /// Whether it is one of a download's, which keeps the time itself, and must know what was sent in the end.
    pub(crate) for_download: bool,
}

impl RequestBuilder {
    pub(super) fn new(client: Client, method: Method, url: &str) -> Self {
        let request = parse(url).map(|mut url| {
            let mut headers = HeaderMap::new();
            if let Some(credentials) = take_credentials(&mut url) {
                headers.insert(AUTHORIZATION, credentials);
            }
            Request {
                method,
                url,
                headers,
                body: Body::empty(),
                timeout: None,
                protocol: None,
                for_download: false,
            }
        });
        Self { client, request }
    }

    fn with(mut self, change: impl FnOnce(&mut Request) -> Result<(), Error>) -> Self {
        self.request = self.request.and_then(|mut request| change(&mut request).map(|()| request));
        self
    }

    /// Sets a header, in place of those of the same name.
    pub fn header<N, V>(self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        N::Error: std::fmt::Display,
        V: TryInto<HeaderValue>,
        V::Error: std::fmt::Display,
    {
        self.with(|request| {
            let invalid = |what: &str, why: String| Error::Invalid { what: what.to_owned(), why };
            let name = name.try_into().map_err(|e| invalid("a header name", e.to_string()))?;
            let value = value
                .try_into()
                .map_err(|e| invalid(&format!("the value of the header {name}"), e.to_string()))?;
            request.headers.insert(name, value);
            Ok(())
        })
    }

    /// Sets headers, each name's in place of those that were there.
    pub fn headers(self, headers: HeaderMap) -> Self {
        self.with(|request| {
            for name in headers.keys() {
                request.headers.remove(name);
            }
            request.headers.extend(headers);
            Ok(())
        })
    }

    /// The body: bytes, text or a stream. Streams can't be sent again: a redirect that wants that ends the way, and
    /// is the response.
    pub fn body(self, body: impl Into<Body>) -> Self {
        self.with(|request| {
            request.body = body.into();
            Ok(())
        })
    }

    /// A body in JSON, and the content type for it unless one was set.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Self {
        self.with(|request| {
            let json = serde_json::to_vec(value)
                .map_err(|error| Error::Invalid { what: "the JSON body".into(), why: error.to_string() })?;
            request.headers.entry(CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
            request.body = json.into();
            Ok(())
        })
    }

    /// Basic authentication (RFC 7617).
    pub fn basic_auth(self, user: impl AsRef<str>, password: impl AsRef<str>) -> Self {
        self.with(|request| {
            let user = user.as_ref();
            if user.contains(':') {
                let why = "basic authentication has no way to send a colon in it".to_owned();
                return Err(Error::Invalid { what: "the user name".into(), why });
            }
            request.headers.insert(AUTHORIZATION, basic(user, password.as_ref()));
            Ok(())
        })
    }

    /// A bearer token (RFC 6750).
    pub fn bearer_auth(self, token: impl AsRef<str>) -> Self {
        self.with(|request| {
            let mut value = HeaderValue::try_from(format!("Bearer {}", token.as_ref())).map_err(|error| {
                Error::Invalid { what: "the bearer token".into(), why: error.to_string() }
            })?;
            value.set_sensitive(true);
            request.headers.insert(AUTHORIZATION, value);
            Ok(())
        })
    }

    /// The limit for this request as a whole, its body included, in place of the client's.
    pub fn timeout(self, limit: Duration) -> Self {
        self.with(|request| {
            request.timeout = Some(limit);
            Ok(())
        })
    }

    /// The protocol for this request, in place of the client's. Connections of different choices are never shared.
    pub fn protocol(self, protocol: Protocol) -> Self {
        self.with(|request| {
            request.protocol = Some(protocol);
            Ok(())
        })
    }

    /// Downloads the body instead of sending a single request: over every link, and through the loss of any.
    pub fn download(self) -> Download {
        Download::new(self.client, self.request)
    }

    /// An upload of a file with this request's URL, headers, protocol and time limit: see [`Client::upload`]. Its method
    /// and body are the upload's own.
    pub fn upload(self, file: impl Into<std::path::PathBuf>) -> super::Upload {
        super::Upload::of(self).file(file)
    }

    pub(super) fn into_parts(self) -> (Client, Result<Request, Error>) {
        (self.client, self.request)
    }

    /// Sends the request; follows redirects; gives the response once its head is there.
    ///
    /// # Errors
    /// Any of [`Error`]'s but [`Error::Status`]: a status of 400 or above is a response.
    pub async fn send(self) -> Result<Response, Error> {
        self.client.execute(self.request?).await
    }
}

/// A URL that can be requested.
pub(super) fn parse(text: &str) -> Result<Url, Error> {
    let bad = |why: String| Error::BadUrl { url: text.to_owned(), why };
    let url = Url::parse(text).map_err(|error| match error {
        url::ParseError::RelativeUrlWithoutBase => {
            bad("it has no scheme; write it like https://example.com/file".to_owned())
        }
        other => bad(other.to_string()),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(bad(format!("{} is not supported, only http and https are", url.scheme())));
    }
    Ok(url)
}

/// Takes user and password out of a URL, as basic authentication.
pub(super) fn take_credentials(url: &mut Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
    let value = basic(&plain(url.username()), &plain(url.password().unwrap_or_default()));
    // Neither can fail: only URLs without a host have no room for them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(value)
}

fn basic(user: &str, password: &str) -> HeaderValue {
    let encoded = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    // Base64 is always a valid header value.
    let mut value =
        HeaderValue::try_from(format!("Basic {encoded}")).unwrap_or(HeaderValue::from_static("Basic"));
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_cannot_be_requested_say_why() {
        for (text, clause) in [
            ("example.com/file", "no scheme"),
            ("ftp://example.com/", "ftp is not supported"),
            ("http://", "empty host"),
            ("http://a b/", "invalid"),
            ("http://example.com:99999/", "port"),
            ("", "no scheme"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(clause), "{text:?}: {error}");
        }
    }

    #[test]
    fn credentials_move_from_the_url_to_a_header() {
        let mut url = Url::parse("http://al%20ice:p%3Aw@example.com/x").unwrap();
        assert_eq!(take_credentials(&mut url).unwrap(), "Basic YWwgaWNlOnA6dw==");
        assert_eq!(url.as_str(), "http://example.com/x");
        assert_eq!(take_credentials(&mut url), None);
    }
}
