//! Requests that are turned down: the status, and a sentence that names no path of this host.

use std::{borrow::Cow, io};

use http::{HeaderValue, Response, StatusCode, header};

use crate::{Body, files::root};

/// Why not.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    text: Cow<'static, str>,
}

impl Refusal {
    pub(super) fn new(status: StatusCode, text: impl Into<Cow<'static, str>>) -> Self {
        Self { status, text: text.into() }
    }

    pub(super) fn bad(text: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, text)
    }

    pub(super) fn too_large(limit: u64) -> Self {
        Self::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("Uploads may have {limit} bytes on this server, no more."),
        )
    }

    pub(super) fn exists() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "There is a file of that name already, and it stays. Choose another name.",
        )
    }

    /// The status of the checksum extension for a chunk that came spoilt. It has no registered name.
    pub(super) fn mismatch() -> Self {
        let status = StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST);
        Self::new(status, "The checksum does not fit what came. Send it again.")
    }

    /// The sentence.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn response(self) -> Response<Body> {
        let Self { status, text } = self;
        let mut response = Response::new(Body::from(format!("{} {text}\n", status.as_u16())));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        response
    }
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        let status = match error.kind() {
            Kind::StorageFull | Kind::QuotaExceeded => StatusCode::INSUFFICIENT_STORAGE,
            Kind::FileTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Kind::ReadOnlyFilesystem => StatusCode::FORBIDDEN,
            Kind::IsADirectory | Kind::DirectoryNotEmpty => StatusCode::CONFLICT,
            _ => root::status(&error),
        };
        if status.is_server_error() {
            tracing::warn!(%error, %status, "an upload can't be stored");
        }
        let text = match status {
            StatusCode::INSUFFICIENT_STORAGE => "The server's disk is full.",
            StatusCode::PAYLOAD_TOO_LARGE => "The server's file system takes no file of that size.",
            StatusCode::FORBIDDEN => "The server has no permission to write there.",
            StatusCode::NOT_FOUND => "There is no such place on this server.",
            StatusCode::CONFLICT => "There is a folder of that name.",
            StatusCode::SERVICE_UNAVAILABLE => "The server has too many files open. Try again in a moment.",
            _ => "The server could not store this.",
        };
        Self::new(status, text)
    }
}
