//! What can go wrong, each with its cause and what to do about it.

use std::{fmt, io, net::SocketAddr, time::Duration};

use crate::{Protocol, Reason};

/// An error of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A word that names no protocol.
    #[error("unknown protocol {word:?}{place}: use tcp, mptcp or mptcp-only")]
    UnknownProtocol {
        /// The word that was given.
        word: String,
        /// Where it was found, with a leading space, or nothing.
        place: &'static str,
    },
    /// The resolver failed.
    #[error("can't resolve {host:?}: {source}; check the name and the network's DNS")]
    Resolve {
        /// The name that was asked for.
        host: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// There is no address to connect to.
    #[error("there is no address to connect to")]
    NoAddress,
    /// Every attempt failed.
    #[error("can't connect: {}", Attempts(.attempts))]
    Connect {
        /// Each failed attempt, in the order of failure.
        attempts: Vec<AttemptError>,
    },
    /// The time allowed for connecting is over.
    #[error("no connection within {:.3} s{}", after.as_secs_f64(), AttemptsTail(.attempts))]
    TimedOut {
        /// The limit that was set.
        after: Duration,
        /// The attempts that had failed by then, or were still waiting.
        attempts: Vec<AttemptError>,
    },
    /// Connecting was cancelled by the caller.
    #[error("connecting was cancelled")]
    Cancelled,
    /// [`Protocol::MptcpOnly`] was asked for, and the host can't, or the connection that was made speaks TCP.
    #[error("Multipath TCP was demanded, but {}{}", .reason.explain(), Remedy(*.reason))]
    NotMptcp {
        /// Why it is TCP.
        reason: Reason,
        /// The peer that was reached, if any was.
        peer: Option<SocketAddr>,
    },
    /// The socket could not be made.
    #[error("can't create a {protocol} socket: {source}")]
    Socket {
        /// The protocol that was tried.
        protocol: Protocol,
        /// What the kernel said.
        source: io::Error,
    },
    /// Listening failed.
    #[error("can't listen on {address}: {source}{}", ListenHint(.source))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the kernel said.
        source: io::Error,
    },
    /// What a service manager passed to this process can't be used ([`passed_listeners`](crate::passed_listeners)).
    #[error("can't use the socket {name:?} that was passed: {why}; see systemd.socket(5)")]
    Passed {
        /// Its name (`FileDescriptorName=`), or the variable that makes no sense.
        name: String,
        /// What is wrong with it.
        why: String,
    },
    /// A connection fell back to TCP while it carried data: what arrives since may not be what was sent.
    #[error(
        "the connection began with Multipath TCP and fell back under way, for a box on the way removes its options; \
         since then bytes may arrive twice: start again with the protocol tcp, or over another network"
    )]
    FellBack,
    /// The kernel did not say what a socket speaks.
    #[error("can't read the state of the socket: {0}")]
    State(#[source] io::Error),
    /// A socket could not be handed to the runtime.
    #[error("can't register the socket with the runtime: {0}")]
    Runtime(#[source] io::Error),
}

impl Error {
    /// The attempts behind a connect error, in the order of failure; empty for other errors.
    #[must_use]
    pub fn attempts(&self) -> &[AttemptError] {
        match self {
            Self::Connect { attempts } | Self::TimedOut { attempts, .. } => attempts,
            _ => &[],
        }
    }
}

impl From<Error> for io::Error {
    /// Keeps the kind of the underlying error, so that callers of `std` interfaces can still match on it.
    fn from(error: Error) -> Self {
        let kind = match &error {
            Error::UnknownProtocol { .. } | Error::Passed { .. } => io::ErrorKind::InvalidInput,
            Error::NoAddress => io::ErrorKind::AddrNotAvailable,
            Error::TimedOut { .. } => io::ErrorKind::TimedOut,
            Error::Cancelled => io::ErrorKind::Interrupted,
            Error::NotMptcp { .. } => io::ErrorKind::Unsupported,
            Error::FellBack => io::ErrorKind::InvalidData,
            Error::Connect { attempts } => {
                attempts.last().map_or(io::ErrorKind::NotConnected, |a| a.source.kind())
            }
            Error::Resolve { source, .. }
            | Error::Socket { source, .. }
            | Error::Listen { source, .. }
            | Error::State(source)
            | Error::Runtime(source) => source.kind(),
        };
        Self::new(kind, error)
    }
}

/// One attempt to connect that failed.
#[derive(Debug, thiserror::Error)]
#[error("{address} over {}: {source}", if *.mptcp { "MPTCP" } else { "TCP" })]
#[non_exhaustive]
pub struct AttemptError {
    /// The peer's address.
    pub address: SocketAddr,
    /// Whether the attempt was made with an MPTCP socket.
    pub mptcp: bool,
    /// When it started, counted from the first attempt.
    pub started: Duration,
    /// What the kernel said; [`io::ErrorKind::TimedOut`] for an attempt that was still waiting at the end.
    pub source: io::Error,
}

struct Attempts<'a>(&'a [AttemptError]);

impl fmt::Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, attempt) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{attempt}")?;
        }
        Ok(())
    }
}

struct AttemptsTail<'a>(&'a [AttemptError]);

impl fmt::Display for AttemptsTail<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() { Ok(()) } else { write!(f, ": {}", Attempts(self.0)) }
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

struct ListenHint<'a>(&'a io::Error);

impl fmt::Display for ListenHint<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            io::ErrorKind::AddrInUse => f.write_str("; another program listens there: choose another port"),
            io::ErrorKind::AddrNotAvailable => f.write_str("; no interface of this host has that address"),
            io::ErrorKind::PermissionDenied => {
                f.write_str("; ports below 1024 need the capability CAP_NET_BIND_SERVICE")
            }
            _ => Ok(()),
        }
    }
}
