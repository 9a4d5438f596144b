//! What can go wrong, each with its cause and what to do about it.

use std::{fmt, io, net::SocketAddr, path::PathBuf, time::Duration};

use http::StatusCode;
use mptcp_socket::Reason;

use crate::{BoxError, tls::TlsProblem};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The socket, at a server: listening, or a demand for MPTCP that was not met. Clients sort these errors further.
    #[error(transparent)]
    Socket(#[from] mptcp_socket::Error),
    /// The listener itself failed; errors that concern one client or pass by are not reported as this.
    #[error("can't accept connections any more: {0}")]
    Accept(#[source] io::Error),
    /// A restart without a gap failed; the process that was to be replaced goes on.
    #[error("can't restart: {why}; the running process goes on, see its messages and those of the new one")]
    Restart {
        /// What went wrong.
        why: String,
    },
    /// A certificate or key file can't be used.
    #[error("{}: {what}", .path.display())]
    TlsFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A TLS configuration can't be made.
    #[error("can't set up TLS: {0}")]
    TlsSetup(String),
    /// A URL that can't be requested.
    #[error("{url:?} can't be requested: {why}")]
    BadUrl {
        /// What was given.
        url: String,
        /// What is wrong with it, and how to write it.
        why: String,
    },
    /// A header, method or setting that can't be used.
    #[error("{what} can't be used: {why}")]
    Invalid {
        /// The thing, named for people.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The resolver failed.
    #[error("can't resolve {host:?}: {source}; check the name and the network's DNS")]
    Resolve {
        /// The name that was asked for.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// No connection could be made.
    #[error("{host}: {source}{}", ConnectHint(.source))]
    Connect {
        /// Host and port.
        host: String,
        /// Each attempt with its failure.
        source: mptcp_socket::Error,
    },
    /// [`Protocol::MptcpOnly`](mptcp_socket::Protocol::MptcpOnly) was asked for, and the connection would speak, or
    /// has begun to speak, TCP.
    #[error("Multipath TCP was demanded, but {}{}", .reason.explain(), Remedy(*.reason))]
    NotMptcp {
        /// Why it is TCP.
        reason: Reason,
        /// The peer that was reached, if any was.
        peer: Option<SocketAddr>,
    },
    /// The connection fell back to TCP while it carried the response: see [`mptcp_socket::Error::FellBack`].
    #[error("{host}: {}", mptcp_socket::Error::FellBack)]
    FellBack {
        /// The host.
        host: String,
    },
    /// TLS failed: the handshake, the certificate, the name.
    #[error("TLS with {host}: {problem}")]
    Tls {
        /// Host and port.
        host: String,
        /// What is wrong, with its remedy.
        problem: TlsProblem,
        /// What the TLS library said.
        source: io::Error,
    },
    /// A time limit passed.
    #[error("{phase} within {:.3} s; try again, or allow more time", after.as_secs_f64())]
    Timeout {
        /// Which limit.
        phase: Phase,
        /// The limit.
        after: Duration,
    },
    /// The chain of redirects is longer than allowed.
    #[error(
        "more than {limit} redirects, the latest to {url}; the server may send in circles, else allow more"
    )]
    TooManyRedirects {
        /// The limit.
        limit: usize,
        /// Where the latest one leads.
        url: String,
    },
    /// A redirect that can't, or may not, be followed.
    #[error("the redirect to {location:?} was not followed: {why}")]
    Redirect {
        /// The `Location`.
        location: String,
        /// Why.
        why: &'static str,
    },
    /// The peer closed the connection without a complete response head.
    #[error("{host} closed the connection without an answer; try again, or check that the server is well")]
    NoAnswer {
        /// Host and port.
        host: String,
        /// What was seen of it.
        source: BoxError,
    },
    /// The response head is larger than allowed.
    #[error(
        "the response headers of {host} are too many, or larger than {limit} bytes; allow more if you trust it"
    )]
    HeadersTooLarge {
        /// Host and port.
        host: String,
        /// The limit, in bytes.
        limit: usize,
    },
    /// What came back is not valid HTTP.
    #[error("{host} did not answer in valid HTTP: {detail}; check that an HTTP server listens on that port")]
    Http {
        /// Host and port.
        host: String,
        /// What is wrong, in a clause.
        detail: String,
        /// What the HTTP library said.
        source: BoxError,
    },
    /// The connection broke while the request was on its way or the response awaited.
    #[error("the connection to {host} broke: {source}; try again")]
    Broken {
        /// Host and port.
        host: String,
        /// What was seen of it.
        source: BoxError,
    },
    /// A body ended before it was whole.
    #[error("the transfer was cut short after {got} bytes{}; try again", Expected(*.expected))]
    Incomplete {
        /// The announced length, where there was one.
        expected: Option<u64>,
        /// Bytes that arrived.
        got: u64,
        /// What was seen of it.
        source: BoxError,
    },
    /// A body that isn't what it says it is.
    #[error("the body can't be read as {what}: {source}; try again, or tell whoever runs the server")]
    Decode {
        /// A content coding, or a format such as JSON.
        what: &'static str,
        /// What the decoder said.
        source: BoxError,
    },
    /// The caller's own request body failed.
    #[error("the request body failed: {0}")]
    RequestBody(#[source] BoxError),
    /// A file that is to be sent can't be read.
    #[error("can't read {}: {source}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file was written to while it was being sent: what the server has is neither the old one nor the new.
    #[error("{} changed while it was being sent; send it again when nobody writes to it", .path.display())]
    FileChanged {
        /// The file.
        path: PathBuf,
    },
    /// The server does not take an upload.
    #[error("{url} refused the upload: {status}{}", Said(.text))]
    UploadRefused {
        /// The URL that answered.
        url: String,
        /// The status.
        status: StatusCode,
        /// What the answer says about it, in one line; may be empty.
        text: String,
    },
    /// An upload was tried again and again, and no more got through.
    #[error("nothing more got through in {} s ({got} of {size} bytes are known to be there): {source}", after.as_secs_f64())]
    UploadStuck {
        /// Bytes that the server is known to have; it may have more.
        got: u64,
        /// The file's size in bytes.
        size: u64,
        /// For how long nothing got through.
        after: Duration,
        /// What went wrong last.
        source: Box<Error>,
    },
    /// A status of 400 or above, where the caller asked for that to be an error.
    #[error("{url} answered {status}; {}", Next(*.status))]
    Status {
        /// The status.
        status: StatusCode,
        /// The URL that answered.
        url: String,
    },
    /// A downloaded file can't be written.
    #[error("can't write to {}: {source}; check the path, its permissions and the room on the disk", .path.display())]
    Write {
        /// The file, by its final name.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A body is not the one that its checksum, or the server's digest of it, names.
    #[error(
        "the body is not what it should be: its checksum is {got}, not {expected}; try again, or ask whoever gave the checksum"
    )]
    Checksum {
        /// What it should have been.
        expected: String,
        /// What it is.
        got: String,
    },
    /// The body has changed on the server while it was downloaded, and what had arrived could not be taken back.
    #[error("{url} changed while it was downloaded; try again")]
    Changed {
        /// The URL that answered.
        url: String,
    },
    /// The server asks to wait for longer than is allowed.
    #[error("{url} answered {status} and asks to wait {:.0} s; try again then, or allow more time", after.as_secs_f64())]
    Busy {
        /// The status: 429 or 503.
        status: StatusCode,
        /// The URL that answered.
        url: String,
        /// The wait that the server asks for.
        after: Duration,
    },
    /// No byte has come for as long as a download may go without.
    #[error("nothing has come for {:.0} s, whatever was tried; the latest failure: {source}", after.as_secs_f64())]
    GaveUp {
        /// How long that was.
        after: Duration,
        /// The latest failure.
        source: Box<Error>,
    },
    /// A proxy of ours may not go there for this client.
    #[error("{host} can't be reached through this proxy: {why}")]
    Prohibited {
        /// Host and port.
        host: String,
        /// Why not, and how its operator changes that.
        why: &'static str,
    },
    /// The proxy would not, or could not, carry the request.
    #[error("the proxy {proxy} {why}; check http_proxy, https_proxy and no_proxy in the environment")]
    Proxy {
        /// The proxy, without credentials.
        proxy: String,
        /// What happened, as a predicate: "refused …".
        why: String,
    },
}

/// What a [time limit](Error::Timeout) was set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Phase {
    /// Resolving and connecting.
    Connect,
    /// What connecting left over for the handshakes with proxy and TLS: somebody took the connection, and fell silent.
    Handshake,
    /// Silence: no response, or no more of its body.
    Read,
    /// The request and its response as a whole.
    Total,
}

impl Phase {
    /// A stable word: `connect`, `handshake`, `read` or `total`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Handshake => "handshake",
            Self::Read => "read",
            Self::Total => "total",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection was ready",
            Self::Handshake => "the handshake with proxy or TLS was not finished",
            Self::Read => "nothing was received",
            Self::Total => "the transfer was not finished",
        })
    }
}

impl Error {
    /// Sorts an error of the socket crate, met while connecting to `host`.
    pub(crate) fn connecting(host: &str, error: mptcp_socket::Error) -> Self {
        match error {
            mptcp_socket::Error::Resolve { host, source } => Self::Resolve { host, source },
            mptcp_socket::Error::NotMptcp { reason, peer } => Self::NotMptcp { reason, peer },
            mptcp_socket::Error::TimedOut { after, attempts } if attempts.is_empty() => {
                Self::Timeout { phase: Phase::Connect, after }
            }
            source => Self::Connect { host: host.to_owned(), source },
        }
    }

    /// Whether a time limit passed: one of ours, or that of connecting.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match self {
            Self::Timeout { .. } => true,
            Self::Connect { source: mptcp_socket::Error::TimedOut { .. }, .. } => true,
            // The kernel's own limit: each attempt ended without an answer.
            Self::Connect { source, .. } => {
                let attempts = source.attempts();
                !attempts.is_empty() && attempts.iter().all(|a| a.source.kind() == io::ErrorKind::TimedOut)
            }
            _ => false,
        }
    }
}

/// What to do about a status.
struct Next(StatusCode);

impl fmt::Display for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0.as_u16() {
            401 | 407 => "give a user and a password, or a token, if you have one",
            403 => "ask whoever runs the server whether you may have it",
            404 | 410 => "check the URL",
            408 | 425 | 429 | 500.. => "try again later, or tell whoever runs the server",
            _ => "look at what the answer says, and at the request",
        })
    }
}

struct Remedy(Reason);

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.remedy() {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

struct Expected(Option<u64>);

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(expected) => write!(f, " of {expected}"),
            None => Ok(()),
        }
    }
}

struct Said<'a>(&'a str);

impl fmt::Display for Said<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", self.0) }
    }
}

struct ConnectHint<'a>(&'a mptcp_socket::Error);

impl fmt::Display for ConnectHint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(attempt) = self.0.attempts().last() else { return Ok(()) };
        f.write_str(match attempt.source.kind() {
            io::ErrorKind::ConnectionRefused => "; check that the server runs and that the port is right",
            io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
                "; check that this host has a route there"
            }
            io::ErrorKind::TimedOut => "; check the address, and that no firewall swallows the packets",
            _ => "",
        })
    }
}
