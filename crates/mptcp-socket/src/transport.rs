//! The truth about a connected socket: what it speaks, over which paths, and what those have carried.

use std::{fmt, net::SocketAddr, time::Duration};

use crate::{Error, Origin, Reason, decode, sys, sys::AsFd};

/// What a connection speaks on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spoken {
    /// Multipath TCP.
    Mptcp,
    /// Plain TCP, and why.
    Tcp(Reason),
}

impl Spoken {
    /// `"mptcp"` or `"tcp"`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mptcp => "mptcp",
            Self::Tcp(_) => "tcp",
        }
    }

    /// Whether it is MPTCP.
    #[must_use]
    pub const fn is_mptcp(self) -> bool {
        matches!(self, Self::Mptcp)
    }

    /// Why it is TCP; `None` for MPTCP.
    #[must_use]
    pub const fn reason(self) -> Option<Reason> {
        match self {
            Self::Mptcp => None,
            Self::Tcp(reason) => Some(reason),
        }
    }
}

/// The state of a path's TCP connection, numbered as in `<netinet/tcp.h>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[allow(missing_docs, reason = "the names are those of RFC 9293 section 3.3.2")]
pub enum PathState {
    Established,
    SynSent,
    SynReceived,
    FinWait1,
    FinWait2,
    TimeWait,
    Closed,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    /// A number that this version doesn't know.
    Other(u8),
}

impl PathState {
    /// The state for a number of `tcpi_state`.
    #[must_use]
    pub const fn from_number(number: u8) -> Self {
        match number {
            1 => Self::Established,
            2 => Self::SynSent,
            3 | 12 => Self::SynReceived,
            4 => Self::FinWait1,
            5 => Self::FinWait2,
            6 => Self::TimeWait,
            7 => Self::Closed,
            8 => Self::CloseWait,
            9 => Self::LastAck,
            10 => Self::Listen,
            11 => Self::Closing,
            other => Self::Other(other),
        }
    }

    /// A stable word: `established`, `syn-sent` …
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Established => "established",
            Self::SynSent => "syn-sent",
            Self::SynReceived => "syn-received",
            Self::FinWait1 => "fin-wait-1",
            Self::FinWait2 => "fin-wait-2",
            Self::TimeWait => "time-wait",
            Self::Closed => "closed",
            Self::CloseWait => "close-wait",
            Self::LastAck => "last-ack",
            Self::Listen => "listen",
            Self::Closing => "closing",
            Self::Other(_) => "other",
        }
    }
}

/// One path of a connection: a subflow of MPTCP (RFC 8684 section 1.3), or the only one of TCP.
///
/// Figures are `tcp_info`'s (`<linux/tcp.h>`); `None` where this kernel's structure doesn't reach that far.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Path {
    /// The kernel's number for the subflow, unique within the connection's life (Linux 6.5).
    pub id: Option<u32>,
    /// Local address.
    pub local: Option<SocketAddr>,
    /// Remote address.
    pub remote: Option<SocketAddr>,
    /// The interface that holds the local address.
    pub interface: Option<String>,
    /// State of the subflow's own TCP connection.
    pub state: PathState,
    /// Smoothed round-trip time.
    pub rtt: Option<Duration>,
    /// The least round-trip time seen.
    pub min_rtt: Option<Duration>,
    /// Payload bytes received, MPTCP retransmissions on several subflows counted on each.
    pub bytes_received: Option<u64>,
    /// Payload bytes sent, retransmissions included.
    pub bytes_sent: Option<u64>,
    /// Payload bytes sent and acknowledged.
    pub bytes_acked: Option<u64>,
    /// Segments retransmitted.
    pub retransmits: Option<u32>,
    /// Congestion window, in segments.
    pub congestion_window: Option<u32>,
    /// The latest delivery rate the kernel measured when sending, in bytes a second.
    pub delivery_rate: Option<u64>,
    /// Milliseconds since data last arrived on this path.
    pub idle_receive: Option<Duration>,
}

/// Sums over paths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Totals {
    /// Payload bytes received.
    pub bytes_received: u64,
    /// Payload bytes sent.
    pub bytes_sent: u64,
    /// Segments retransmitted.
    pub retransmits: u64,
}

impl Totals {
    /// Adds a path's figures; unknown ones count as none.
    pub(crate) fn add(&mut self, path: &Path) {
        self.bytes_received += path.bytes_received.unwrap_or(0);
        self.bytes_sent += path.bytes_sent.unwrap_or(0);
        self.retransmits += u64::from(path.retransmits.unwrap_or(0));
    }
}

/// What the kernel tells of an MPTCP connection as a whole: `struct mptcp_info` of `<linux/mptcp.h>`.
///
/// Fields that a kernel's structure lacks are `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MptcpInfo {
    /// Subflows besides the first.
    pub extra_subflows: u8,
    /// The local limit of extra subflows.
    pub extra_subflows_max: u8,
    /// Addresses announced to the peer (ADD_ADDR, RFC 8684 section 3.4.1).
    pub add_addr_signal: u8,
    /// Addresses accepted from the peer.
    pub add_addr_accepted: u8,
    /// The local limit of accepted addresses.
    pub add_addr_accepted_max: u8,
    /// `MPTCP_INFO_FLAG_FALLBACK`: the connection fell back to TCP.
    pub fallback: bool,
    /// The connection's token (RFC 8684 section 3.2); it authenticates nothing by itself.
    pub token: u32,
    /// Segments retransmitted at the MPTCP level (Linux 6.5).
    pub retransmits: Option<u32>,
    /// Bytes retransmitted at the MPTCP level.
    pub bytes_retransmitted: Option<u64>,
    /// Bytes sent at the MPTCP level.
    pub bytes_sent: Option<u64>,
    /// Bytes received at the MPTCP level.
    pub bytes_received: Option<u64>,
    /// Bytes acknowledged at the MPTCP level.
    pub bytes_acked: Option<u64>,
    /// Subflows that exist now, the first included (Linux 6.8).
    pub subflows: Option<u8>,
}

/// What a connected socket speaks, over which paths, and what those that are gone have carried.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Transport {
    /// MPTCP, or TCP and why.
    pub spoken: Spoken,
    /// The paths that exist now; when none is left, the last ones, in state [`PathState::Closed`]. None of MPTCP before Linux
    /// 5.16, which tells nothing of them.
    pub paths: Vec<Path>,
    /// Subflows that were seen and have gone, with their last figures; at most [`Transport::GONE_KEPT`] of them.
    pub gone: Vec<Path>,
    /// Sums over all subflows that have gone, kept or not.
    pub gone_totals: Totals,
    /// How many paths the connection has had in its life, as far as it was watched.
    pub paths_total: u32,
    /// The connection as a whole; `None` for TCP, and for MPTCP before Linux 5.16.
    pub mptcp: Option<MptcpInfo>,
}

impl Transport {
    /// How many gone subflows are kept one by one: a flapping link must not grow a record without bound.
    pub const GONE_KEPT: usize = 16;

    /// Asks the kernel about any connected socket, of which nothing else is known.
    ///
    /// For connections made or accepted by this library, [`Watch::transport`](crate::Watch::transport) knows more:
    /// the exact reason for TCP, and the subflows that have gone.
    ///
    /// # Errors
    /// [`Error::State`] if it is not a TCP or MPTCP socket.
    pub fn of(socket: &impl AsFd) -> Result<Self, Error> {
        Self::with_origin(socket, &Origin::unknown())
    }

    /// Asks the kernel about a connected socket of which it is known how it came to be.
    ///
    /// # Errors
    /// [`Error::State`] if it is not a TCP or MPTCP socket.
    pub fn with_origin(socket: &impl AsFd, origin: &Origin) -> Result<Self, Error> {
        let mut transport = Self::without_interfaces(socket, origin)?;
        transport.name_interfaces();
        Ok(transport)
    }

    /// As [`Transport::with_origin`], with the interfaces of its paths left out: asking the host for all its addresses
    /// costs ten times as much as the rest. [`Transport::name_interfaces`] can add them later.
    ///
    /// # Errors
    /// [`Error::State`] if it is not a TCP or MPTCP socket.
    pub fn without_interfaces(socket: &impl AsFd, origin: &Origin) -> Result<Self, Error> {
        let spoken = spoken(socket, origin)?;
        let (mptcp, mut paths) = match spoken {
            Spoken::Mptcp => sys::mptcp_state(socket).map_err(Error::State)?,
            Spoken::Tcp(_) => (None, vec![sys::tcp_path(socket).map_err(Error::State)?]),
        };
        // A subflow that has been taken down stays listed for a while, without its figures and, of its addresses, at least the
        // peer's; one of a server keeps its port.
        let is_up = |address: Option<SocketAddr>| address.is_none_or(|address| address.port() != 0);
        paths.retain(|path| is_up(path.local) && is_up(path.remote));
        let paths_total = u32::try_from(paths.len()).unwrap_or(u32::MAX);
        Ok(Self { spoken, paths, gone: Vec::new(), gone_totals: Totals::default(), paths_total, mptcp })
    }

    /// Fills in the interfaces of paths that have none, as far as the host has their local addresses now.
    pub fn name_interfaces(&mut self) {
        sys::name_interfaces(&mut self.paths);
    }

    /// A connection that was closed before anybody looked at it: what it spoke, and nothing of its paths.
    #[must_use]
    pub fn unseen(spoken: Spoken) -> Self {
        let gone_totals = Totals::default();
        Self { spoken, paths: Vec::new(), gone: Vec::new(), gone_totals, paths_total: 0, mptcp: None }
    }

    /// Whether the connection speaks MPTCP on the wire now.
    #[must_use]
    pub const fn is_mptcp(&self) -> bool {
        self.spoken.is_mptcp()
    }

    /// Why the connection speaks TCP; `None` if it speaks MPTCP.
    #[must_use]
    pub const fn reason(&self) -> Option<Reason> {
        self.spoken.reason()
    }

    /// Sums over all paths, those gone included.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let mut totals = self.gone_totals;
        for path in &self.paths {
            totals.add(path);
        }
        totals
    }

    /// Paths, living and gone, that carried payload in either direction.
    pub fn used_paths(&self) -> impl Iterator<Item = &Path> {
        self.paths
            .iter()
            .chain(&self.gone)
            .filter(|path| path.bytes_received.unwrap_or(0) > 0 || path.bytes_sent.unwrap_or(0) > 0)
    }
}

impl fmt::Display for Transport {
    /// One clause: `MPTCP over 2 paths`, `MPTCP` alone where the kernel tells nothing of paths (before Linux 5.16), or `TCP: plain TCP was asked for`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.spoken {
            Spoken::Mptcp if self.paths.is_empty() && self.mptcp.is_none() => f.write_str("MPTCP"),
            Spoken::Mptcp => {
                let paths = self.paths.len();
                write!(f, "MPTCP over {paths} {}", if paths == 1 { "path" } else { "paths" })
            }
            Spoken::Tcp(reason) => write!(f, "TCP: {}", reason.explain()),
        }
    }
}

/// Fills in the interfaces of paths that have none, as far as the host has their local addresses now. The addresses are
/// those of the calling thread's network namespace.
pub fn name_interfaces(paths: &mut [Path]) {
    sys::name_interfaces(paths);
}

/// What a socket speaks now, in one or two system calls: for hot paths that don't need the paths themselves.
///
/// # Errors
/// [`Error::State`] if it is not a TCP or MPTCP socket.
pub fn spoken(socket: &impl AsFd, origin: &Origin) -> Result<Spoken, Error> {
    if !sys::is_mptcp_socket(socket).map_err(Error::State)? {
        return Ok(Spoken::Tcp(origin.reason_for_tcp_socket()));
    }
    Ok(match sys::speaks_mptcp(socket).map_err(Error::State)? {
        Some(true) => Spoken::Mptcp,
        Some(false) => Spoken::Tcp(origin.reason_for_fallback()),
        None => Spoken::Tcp(Reason::Unknown),
    })
}

/// The number of paths now: `struct mptcp_info`'s count, 1 for TCP.
#[must_use]
pub fn path_count(socket: &impl AsFd) -> u32 {
    sys::mptcp_info(socket).ok().map_or(1, |bytes| {
        let info = decode::mptcp_info(&bytes);
        info.subflows.map_or_else(|| u32::from(info.extra_subflows) + 1, u32::from)
    })
}
