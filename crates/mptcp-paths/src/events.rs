//! What happens, as it happens: to MPTCP connections and their paths, and to the host's network.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::{Address, Interface, Route, Rule};

/// What happened to an MPTCP connection or one of its paths (`MPTCP_EVENT_*` in `<linux/mptcp_pm.h>`).
///
/// Connections are named by their *token*, a number that is unique on the host while they last (RFC 8684, section 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(tag = "event", rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum PathEvent {
    /// A connection is being made; the peer speaks MPTCP.
    Created(Connection),
    /// A connection is complete: further paths can be added.
    Established(Connection),
    /// A connection has ended.
    Closed {
        /// The connection.
        token: u32,
    },
    /// The peer announced an address (ADD_ADDR, RFC 8684 section 3.4.1).
    Announced {
        /// The connection.
        token: u32,
        /// The peer's identifier for the address.
        remote_id: u8,
        /// The address.
        address: IpAddr,
        /// The port. Where the peer announced none the kernel tells the connection's own (Linux 5.19), or nothing before.
        port: Option<u16>,
    },
    /// The peer withdrew an address (REMOVE_ADDR, RFC 8684 section 3.4.2).
    Removed {
        /// The connection.
        token: u32,
        /// The peer's identifier for the address.
        remote_id: u8,
    },
    /// A path was added to a connection (MP_JOIN, RFC 8684 section 3.2).
    SubflowEstablished(Subflow),
    /// A path has closed.
    SubflowClosed(Subflow),
    /// A path became a backup, or stopped to be one (MP_PRIO, RFC 8684 section 3.3.8).
    SubflowPriority(Subflow),
    /// The path manager listens on the port of an endpoint.
    ListenerCreated {
        /// Where.
        local: SocketAddr,
    },
    /// The path manager listens there no more.
    ListenerClosed {
        /// Where.
        local: SocketAddr,
    },
    /// The kernel dropped events, because they came faster than they were read.
    Lost,
    /// Something that this version doesn't know, or whose message lacks what it should have.
    Unknown {
        /// The kernel's number for it.
        number: u8,
    },
}

/// A connection that an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Connection {
    /// Its name.
    pub token: u32,
    /// The local end of its first path.
    pub local: SocketAddr,
    /// The remote end of its first path.
    pub remote: SocketAddr,
    /// Whether this host is the one that listened.
    pub server_side: bool,
    /// Whether the peer wants no further paths to the address and port of the first (the C flag of RFC 8684, section
    /// 3.1). `None` if it doesn't, or the kernel doesn't tell: it leaves the flags away where none is set.
    pub peer_denies_joins: Option<bool>,
}

/// A path that an event is about.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Subflow {
    /// The connection.
    pub token: u32,
    /// The identifier of the local address: that of its endpoint, 0 for the first path's.
    pub local_id: u8,
    /// The peer's identifier for its address.
    pub remote_id: u8,
    /// The local end.
    pub local: SocketAddr,
    /// The remote end.
    pub remote: SocketAddr,
    /// Whether it carries data only when no other path can.
    pub backup: bool,
    /// The index of the interface that it is bound to.
    pub interface: Option<u32>,
    /// Why it closed: an error number (`errno(3)`), if there was an error.
    pub error: Option<u8>,
    /// Why the peer or this host reset it (`MP_TCPRST`, RFC 8684 section 3.6).
    pub reset: Option<Reset>,
}

/// The reason that comes with a reset of a path (RFC 8684, section 3.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Reset {
    /// The code.
    pub code: u32,
    /// Whether a new path may be tried again (the T flag).
    pub transient: bool,
}

impl Reset {
    /// The code in words.
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self.code {
            0 => "unspecified error",
            1 => "MPTCP-specific error",
            2 => "lack of resources",
            3 => "administratively prohibited",
            4 => "too much outstanding data",
            5 => "unacceptable performance",
            6 => "middlebox interference",
            _ => "unknown reason",
        }
    }
}

impl Subflow {
    /// Why it closed, for people; `None` if it was closed in order, or the kernel doesn't tell.
    #[must_use]
    pub fn why(&self) -> Option<String> {
        let reset = self.reset.map(|reset| {
            let transient = if reset.transient { ", may be tried again" } else { "" };
            format!("reset: {}{transient}", reset.explain())
        });
        let error = self.error.map(|number| {
            let text = std::io::Error::from_raw_os_error(number.into()).to_string();
            text.split(" (os error").next().unwrap_or_default().to_lowercase()
        });
        match (error, reset) {
            (Some(error), Some(reset)) => Some(format!("{error}; {reset}")),
            (error, reset) => error.or(reset),
        }
    }
}

impl fmt::Display for Subflow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -> {}", self.local, self.remote)?;
        if self.backup { f.write_str(" backup") } else { Ok(()) }
    }
}

/// What happened to the host's network (`rtnetlink(7)`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize),
    serde(tag = "event", content = "what", rename_all = "kebab-case")
)]
#[non_exhaustive]
pub enum HostEvent {
    /// An interface came or changed; its addresses are not told here.
    Interface(Interface),
    /// An interface has gone.
    InterfaceGone(Interface),
    /// An address came or changed.
    Address(InterfaceAddress),
    /// An address has gone.
    AddressGone(InterfaceAddress),
    /// A route came or changed.
    Route(Route),
    /// A route has gone.
    RouteGone(Route),
    /// A routing rule came.
    Rule(Rule),
    /// A routing rule has gone.
    RuleGone(Rule),
    /// Something that this version can't read.
    Unknown,
    /// The kernel dropped events, because they came faster than they were read.
    Lost,
}

/// An address and the interface that has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct InterfaceAddress {
    /// The index of the interface.
    pub interface: u32,
    /// The address.
    #[cfg_attr(feature = "serde", serde(flatten))]
    pub address: Address,
}
