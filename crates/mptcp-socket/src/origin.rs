//! What only the maker of a connection knows: what was asked for, and why it could not be had.

use crate::{Protocol, Reason, Spoken, sys, sys::AsFd};

/// How a connection came to be: the part of the truth that the kernel doesn't keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    side: Side,
    /// Why the socket is not an MPTCP socket, if that is known.
    no_mptcp: Option<Reason>,
    /// Whether the connection spoke MPTCP when it was first looked at.
    began_as_mptcp: bool,
    /// Whether the kernel sent the SYN without MPTCP, since it had switched that off for the whole host.
    host_blackhole: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
    Unknown,
}

impl Origin {
    /// Nothing is known: a socket from elsewhere.
    #[must_use]
    pub const fn unknown() -> Self {
        Self { side: Side::Unknown, no_mptcp: None, began_as_mptcp: false, host_blackhole: false }
    }

    /// A socket of [`stream_socket`](crate::stream_socket), which its user connects: `why_tcp` is the reason that came
    /// with it.
    #[must_use]
    pub const fn made(why_tcp: Option<Reason>) -> Self {
        Self { side: Side::Unknown, no_mptcp: why_tcp, began_as_mptcp: false, host_blackhole: false }
    }

    /// A connection that this side opened; `no_mptcp` says why its socket is a TCP socket, if it is one.
    #[must_use]
    pub(crate) fn connected(socket: &impl AsFd, no_mptcp: Option<Reason>) -> Self {
        let began_as_mptcp = no_mptcp.is_none() && speaks_mptcp(socket);
        let host_blackhole = no_mptcp.is_none() && !began_as_mptcp && sys::host_blackholed();
        Self { side: Side::Client, no_mptcp, began_as_mptcp, host_blackhole }
    }

    /// A connection that was accepted from a listener made with `protocol`; `listener_reason` says why that
    /// listener is a TCP one, if it is.
    #[must_use]
    pub fn accepted(socket: &impl AsFd, protocol: Protocol, listener_reason: Option<Reason>) -> Self {
        let no_mptcp = match (protocol, listener_reason) {
            (Protocol::Tcp, _) => Some(Reason::NotRequested),
            (_, Some(reason)) => Some(reason),
            // accept() gives a TCP socket for a client that asked for TCP, at no cost to either.
            (_, None) => Some(Reason::Client),
        };
        // A TCP listener accepts nothing else: one system call less for each connection.
        let began_as_mptcp = listener_reason.is_none() && speaks_mptcp(socket);
        Self { side: Side::Server, no_mptcp, began_as_mptcp, host_blackhole: false }
    }

    /// What the connection spoke when it was made, without asking the kernel again.
    #[must_use]
    pub fn began(&self) -> Spoken {
        match self.no_mptcp {
            _ if self.began_as_mptcp => Spoken::Mptcp,
            Some(reason) => Spoken::Tcp(reason),
            None => Spoken::Tcp(self.reason_for_fallback()),
        }
    }

    pub(crate) const fn began_as_mptcp(&self) -> bool {
        self.began_as_mptcp
    }

    pub(crate) const fn is_client(&self) -> bool {
        matches!(self.side, Side::Client)
    }

    pub(crate) fn reason_for_tcp_socket(&self) -> Reason {
        self.no_mptcp.unwrap_or(Reason::TcpSocket)
    }

    pub(crate) fn reason_for_fallback(&self) -> Reason {
        match self.side {
            _ if self.began_as_mptcp => Reason::FellBack,
            _ if self.host_blackhole => Reason::HostBlackhole,
            // The kernel makes MPTCP sockets only for clients that offered MPTCP: losing it came after.
            Side::Server => Reason::FellBack,
            Side::Client | Side::Unknown => Reason::PeerOrPath,
        }
    }
}

fn speaks_mptcp(socket: &impl AsFd) -> bool {
    matches!(sys::is_mptcp_socket(socket), Ok(true)) && matches!(sys::speaks_mptcp(socket), Ok(Some(true)))
}
