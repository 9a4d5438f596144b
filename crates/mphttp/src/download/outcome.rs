//! What a download tells of itself, under way and afterwards.

use std::{fmt, time::Duration};

use http::{HeaderMap, StatusCode, Version};
use mptcp_socket::{Transport, Watch};
use url::Url;

/// By what means a body came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// One TCP connection at a time.
    Single,
    /// One Multipath TCP connection at a time.
    Mptcp,
    /// Ranges over several connections, each over a link of its own.
    Striped,
}

impl Strategy {
    /// A stable word: `single`, `mptcp` or `striped`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Mptcp => "mptcp",
            Self::Striped => "striped",
        }
    }
}

impl fmt::Display for Strategy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What one link has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// The interface; the local address where its interface can't be named.
    pub interface: String,
    /// Bytes of the body. Of a connection over several links, their shares of what it brought.
    pub bytes: u64,
}

/// How far a download is.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Progress {
    /// Bytes that are there, those of an earlier download included.
    pub bytes: u64,
    /// Bytes of the whole, if that is known.
    pub total: Option<u64>,
    /// By what means they come now.
    pub strategy: Strategy,
    /// What each link has brought so far, by interface.
    pub links: Vec<Link>,
    /// How long nothing has come, if that is longer than usual.
    pub stalled: Option<Duration>,
    /// How long the server still asks to wait (`Retry-After`).
    pub waiting: Option<Duration>,
}

/// A finished download.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Downloaded {
    /// The status of the first answer.
    pub status: StatusCode,
    /// The URL that answered, after redirects.
    pub url: Url,
    /// HTTP/1.0, 1.1 or 2, of the first answer.
    pub version: Version,
    /// The headers of the first answer.
    pub headers: HeaderMap,
    /// Bytes of the body.
    pub bytes: u64,
    /// Those of them that an earlier download had left.
    pub resumed: u64,
    /// By what means it came in the end.
    pub strategy: Strategy,
    /// What each link has brought, by interface.
    pub links: Vec<Link>,
    /// How many requests were sent, those that redirects led to left out.
    pub requests: u32,
    /// Connections that failed, and were made up for.
    pub failures: u32,
    /// From the start to the end.
    pub elapsed: Duration,
    /// How long resolving and connecting took for the first connection.
    pub connect_time: Duration,
    /// The longest time without a byte, from the first answer on.
    pub max_gap: Duration,
    /// What the first connection spoke.
    pub transport: Transport,
    /// Whether a checksum, the caller's or the server's, was checked.
    pub verified: bool,
}

/// The first answer.
#[derive(Clone, Debug)]
pub(super) struct Head {
    pub(super) status: StatusCode,
    pub(super) url: Url,
    pub(super) version: Version,
    pub(super) headers: HeaderMap,
    pub(super) total: Option<u64>,
    pub(super) connect_time: Duration,
    pub(super) watch: Watch,
}
