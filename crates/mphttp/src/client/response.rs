//! The answer: head, body, and how it came.

use std::{fmt, time::Duration};

use bytes::{Bytes, BytesMut};
use futures_util::Stream;
use http::{HeaderMap, StatusCode, Version, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use mptcp_socket::{Transport, Watch};
use serde::de::DeserializeOwned;
use url::Url;

use super::classify;
use crate::{Body, BoxError, ConnectionInfo, Error};

/// The response to a request, whose body is still to be read.
pub struct Response {
    pub(super) head: http::response::Parts,
    pub(super) body: Body,
    pub(super) url: Url,
    pub(super) connection: ConnectionInfo,
    pub(super) requests_before: u64,
    pub(super) length: Option<u64>,
    /// The content coding that is undone on the way.
    pub(super) coding: &'static str,
    /// The headers of the request that was answered, for a download.
    pub(super) sent: HeaderMap,
}

impl Response {
    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.head.status
    }

    /// The headers. Of a body that is decompressed on the way, `Content-Encoding` and `Content-Length` are gone.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.head.headers
    }

    /// HTTP/1.0, 1.1 or 2.
    #[must_use]
    pub const fn version(&self) -> Version {
        self.head.version
    }

    /// The URL that answered, after redirects.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// How many bytes of body there will be, if that was announced and the body is not decompressed on the way.
    #[must_use]
    pub const fn content_length(&self) -> Option<u64> {
        self.length
    }

    /// What the connection speaks, over which paths, now.
    ///
    /// For a request that went through a proxy it is the connection to the proxy; what the proxy speaks with the
    /// server can't be seen from here.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.connection.transport()
    }

    /// A handle to ask for the transport at any time, while the body is read and afterwards.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.connection.watch()
    }

    /// What is known of the connection.
    #[must_use]
    pub const fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// How long resolving and connecting took for this connection, whose first request may have been another.
    #[must_use]
    pub const fn connect_time(&self) -> Duration {
        self.connection.connect_time()
    }

    /// Whether the connection had carried other requests before.
    #[must_use]
    pub const fn reused(&self) -> bool {
        self.requests_before > 0
    }

    /// Whether the whole body has been read.
    pub(crate) fn is_over(&self) -> bool {
        http_body::Body::is_end_stream(&self.body)
    }

    /// The headers of the request that was answered, redirects followed.
    pub(crate) const fn sent(&self) -> &HeaderMap {
        &self.sent
    }

    /// The response, unless its status is 400 or above.
    ///
    /// # Errors
    /// [`Error::Status`].
    pub fn error_for_status(self) -> Result<Self, Error> {
        let status = self.status();
        // RFC 9110 section 15: what is beyond the classes is an error of the server's as well.
        if status.as_u16() >= 400 {
            return Err(Error::Status { status, url: self.url.into() });
        }
        Ok(self)
    }

    /// The next piece of the body; `None` at its end.
    ///
    /// # Errors
    /// [`Error::Incomplete`] if the body ends early, [`Error::Timeout`], [`Error::Decode`] and others.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        while let Some(frame) = self.body.frame().await {
            match frame.map_err(|error| classify::of_decoder(error, self.coding))?.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => return Ok(Some(data)),
                Err(trailers) => drop(trailers),
            }
        }
        Ok(None)
    }

    /// The whole body, in memory.
    ///
    /// # Errors
    /// As [`Response::chunk`].
    pub async fn bytes(mut self) -> Result<Bytes, Error> {
        let Some(first) = self.chunk().await? else { return Ok(Bytes::new()) };
        let Some(second) = self.chunk().await? else { return Ok(first) };
        // A server may announce any length: no more is set aside than is then filled by growing.
        let announced = usize::try_from(self.length.unwrap_or(0)).unwrap_or(0).min(1 << 20);
        let mut whole = BytesMut::with_capacity(announced.max(first.len() + second.len()));
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(piece) = self.chunk().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// The whole body as text: UTF-8, or ISO 8859-1 where the content type says so. What is not valid becomes
    /// U+FFFD.
    ///
    /// # Errors
    /// As [`Response::chunk`].
    pub async fn text(self) -> Result<String, Error> {
        let latin1 = self
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .map(str::to_ascii_lowercase)
            .is_some_and(|value| {
                value.contains("charset=iso-8859-1") || value.contains("charset=\"iso-8859-1\"")
            });
        let bytes = self.bytes().await?;
        Ok(if latin1 {
            bytes.iter().copied().map(char::from).collect()
        } else {
            String::from_utf8_lossy(&bytes).into_owned()
        })
    }

    /// The whole body as JSON.
    ///
    /// # Errors
    /// As [`Response::chunk`]; [`Error::Decode`] if it is not JSON of that shape.
    pub async fn json<T: DeserializeOwned>(self) -> Result<T, Error> {
        let bytes = self.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::Decode { what: "JSON", source: error.into() })
    }

    /// The body piece by piece.
    pub fn stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send {
        futures_util::stream::try_unfold(self, |mut response| async move {
            Ok(response.chunk().await?.map(|piece| (piece, response)))
        })
    }

    /// The body, for whatever takes a [`Body`]: to pass it on as the body of a request, say.
    #[must_use]
    pub fn into_body(self) -> Body {
        let coding = self.coding;
        Body::new(self.body.map_err(move |error| BoxError::from(classify::of_decoder(error, coding))))
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("url", &self.url.as_str())
            .field("status", &self.status())
            .field("version", &self.version())
            .field("headers", &self.headers())
            .finish_non_exhaustive()
    }
}
