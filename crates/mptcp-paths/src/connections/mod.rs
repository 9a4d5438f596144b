//! Every MPTCP connection of the host, with its subflows and the processes that hold it: what `ss -M` and `ss -tip` know,
//! joined.
//!
//! The kernel is asked over sock_diag (`sock_diag(7)`, `<linux/inet_diag.h>`): once for its MPTCP sockets, once for its TCP
//! sockets, among which the subflows say by a token (RFC 8684 section 3.2) to which connection they belong. Processes are
//! found by the sockets among their descriptors in `/proc`.
//!
//! All of it is that of one network namespace. Everyone may read it; what an ordinary user can't see, processes of others,
//! is counted in [`Connections`].
//!
//! ```no_run
//! let mut reader = mptcp_paths::connections::Reader::open()?;
//! for connection in reader.read()?.connections {
//!     println!("{} {} subflows", connection.remote, connection.subflows.len());
//! }
//! # Ok::<(), mptcp_paths::Error>(())
//! ```

#[cfg(any(target_os = "linux", target_os = "android"))]
mod diag;
#[cfg(any(test, feature = "_fuzzing"))]
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) mod fuzzing;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod processes;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod reader;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "reader_elsewhere.rs"]
mod reader;

use std::net::SocketAddr;

use mptcp_socket::{MptcpInfo, Path, PathState};

pub use reader::Reader;

/// What one look has found.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Connections {
    /// The connections, in no order that means anything. Listening sockets are none.
    pub connections: Vec<Connection>,
    /// How many processes would not let this one see their descriptors: what they hold has no
    /// [process](Connection::processes) here.
    pub processes_hidden: usize,
    /// Connections that have subflows of which none is known: older kernels keep the tokens from an unprivileged reader, and a
    /// connection that no process holds can't be joined without.
    pub incomplete: usize,
}

/// One MPTCP connection.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Connection {
    /// The kernel's own name for the socket (`SO_COOKIE`), which no other gets until the next boot.
    pub cookie: u64,
    /// Local address, that of the first subflow.
    pub local: SocketAddr,
    /// Remote address, that of the first subflow.
    pub remote: SocketAddr,
    /// State of the connection as a whole.
    pub state: PathState,
    /// The user who made the socket.
    pub uid: u32,
    /// The socket's inode, by which processes name it; 0 once no process holds it, and before one has accepted it.
    pub inode: u32,
    /// Bytes received that nobody has read yet.
    pub receive_queue: u32,
    /// Bytes to send that have not been acknowledged.
    pub send_queue: u32,
    /// What the kernel tells of the whole: token, totals, limits, whether it fell back.
    pub info: MptcpInfo,
    /// The subflows that there are now, the first one first. None is left of a connection that has lost all its links.
    pub subflows: Vec<Subflow>,
    /// Who holds the socket, as far as it can be seen; several after a fork.
    pub processes: Vec<Process>,
}

/// One subflow: a TCP connection that belongs to an MPTCP connection (RFC 8684 section 1.3).
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Subflow {
    /// The kernel's own name for the subflow's socket.
    pub cookie: u64,
    /// Addresses, interface, state and figures. Its interface is the one that holds the local address now.
    pub path: Path,
    /// The index of the interface that the subflow is bound to, if it is bound.
    pub bound_interface: Option<u32>,
    /// The congestion control algorithm.
    pub congestion: Option<String>,
    /// What makes it a subflow; `None` where the kernel keeps that from unprivileged readers.
    pub mptcp: Option<SubflowInfo>,
}

impl Subflow {
    /// Whether either side wants it used only when no other subflow works (RFC 8684 section 3.3.8).
    #[must_use]
    pub fn is_backup(&self) -> bool {
        self.mptcp.is_some_and(|mptcp| mptcp.flags.backup_local || mptcp.flags.backup_remote)
    }
}

/// What the kernel tells of a subflow's part in its connection (`MPTCP_SUBFLOW_ATTR_*` in `<linux/mptcp.h>`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubflowInfo {
    /// The connection's token on this host.
    pub token_local: u32,
    /// The connection's token on the peer; 0 where this side never needed it.
    pub token_remote: u32,
    /// The address ID of the local address.
    pub id_local: Option<u8>,
    /// The address ID of the remote address.
    pub id_remote: Option<u8>,
    /// What was said in the handshake, and what became of it.
    pub flags: SubflowFlags,
    /// Where the latest mapping begins in the connection's sequence (`MAP_SEQ`); needs `CAP_NET_ADMIN`.
    pub map_sequence: Option<u64>,
    /// The same in the subflow's own sequence, relative to its start (`MAP_SFSEQ`); needs `CAP_NET_ADMIN`.
    pub map_subflow_sequence: Option<u32>,
    /// How many bytes the latest mapping covers (`MAP_DATALEN`); needs `CAP_NET_ADMIN`.
    pub map_length: Option<u16>,
}

/// A subflow's flags (`MPTCP_SUBFLOW_FLAG_*` in `<linux/mptcp.h>`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubflowFlags {
    /// The peer answered MP_CAPABLE: this is the first subflow.
    pub capable_remote: bool,
    /// This side asked with MP_CAPABLE.
    pub capable_local: bool,
    /// MP_JOIN was agreed on: this is a further subflow.
    pub join_remote: bool,
    /// This side asked with MP_JOIN.
    pub join_local: bool,
    /// The peer wants it to be a backup.
    pub backup_remote: bool,
    /// This side wants it to be a backup.
    pub backup_local: bool,
    /// The peer has shown that it speaks MPTCP on it.
    pub fully_established: bool,
    /// The subflow's handshake is over.
    pub connected: bool,
    /// A mapping of received data is in use.
    pub map_valid: bool,
}

/// A process that holds a connection's socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Process {
    /// Its number, as this process' `/proc` has it.
    pub pid: u32,
    /// Its name: `/proc/PID/comm`, at most 15 bytes.
    pub name: String,
}
