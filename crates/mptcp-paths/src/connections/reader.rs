//! The reader: two tables of the kernel's and `/proc`, joined.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;

use mptcp_socket::{Path, name_interfaces};
use netlink_packet_core::NLM_F_DUMP;
use netlink_sys::protocols::NETLINK_SOCK_DIAG;

use super::diag::{AF_INET, AF_INET6, IPPROTO_MPTCP, IPPROTO_TCP, Message, Socket};
use super::{Connection, Connections, Subflow, processes};
use crate::Error;
use crate::netlink::{self, Netlink};

const DOING: &str = "list the MPTCP connections";

/// Reads the MPTCP connections of one network namespace: that of the thread which opened it.
///
/// Interfaces and processes are looked up where [`Reader::read`] is called: call it on a thread of the same namespace.
#[derive(Debug)]
pub struct Reader {
    netlink: Netlink,
}

impl Reader {
    /// Opens a reader for the calling thread's network namespace. Needs no privilege.
    ///
    /// # Errors
    /// [`Error::NoDiag`] on a kernel without sock_diag, [`Error::Netlink`] if such sockets are forbidden.
    pub fn open() -> Result<Self, Error> {
        match Netlink::open(NETLINK_SOCK_DIAG) {
            Ok(netlink) => Ok(Reader { netlink }),
            Err(error) if error.is_no_protocol() => Err(Error::NoDiag),
            Err(error) => Err(explain(error)),
        }
    }

    /// Looks at all connections. The kernel's tables are read one after the other: a subflow that comes or goes meanwhile
    /// may be in one of them only. Takes time in proportion to all TCP sockets of the host.
    ///
    /// # Errors
    /// [`Error::NoDiag`] if the kernel can't list MPTCP sockets; [`Error::Netlink`], [`Error::Refused`] or
    /// [`Error::Malformed`] if its tables can't be read. Reading needs no privilege.
    pub fn read(&mut self) -> Result<Connections, Error> {
        let mut connections: Vec<Connection> =
            self.dump(IPPROTO_MPTCP)?.into_iter().filter_map(connection).collect();
        // For nothing to join, the larger table need not be read.
        let tcp = if connections.is_empty() { Vec::new() } else { self.dump(IPPROTO_TCP)? };
        join(&mut connections, tcp);
        name(&mut connections);
        let incomplete = connections.iter().filter(|connection| lacks_subflows(connection)).count();
        let inodes: Vec<u32> =
            connections.iter().map(|connection| connection.inode).filter(|&inode| inode != 0).collect();
        let (mut holders, processes_hidden) = processes::holders(&inodes);
        for connection in &mut connections {
            connection.processes = holders.remove(&connection.inode).unwrap_or_default();
            connection.processes.sort();
        }
        Ok(Connections { connections, processes_hidden, incomplete })
    }

    /// The addresses, local and remote, of subflows that either side wants used only when no other works
    /// ([`Subflow::is_backup`]). One of the kernel's tables, and no look at processes: for those that ask often.
    ///
    /// # Errors
    /// As for [`Reader::read`].
    pub fn backups(&mut self) -> Result<Vec<(SocketAddr, SocketAddr)>, Error> {
        let is_backup = |socket: &Socket| {
            socket.subflow.is_some_and(|subflow| subflow.flags.backup_local || subflow.flags.backup_remote)
        };
        let sockets = self.dump(IPPROTO_TCP)?.into_iter();
        Ok(sockets.filter(is_backup).map(|socket| (socket.local, socket.remote)).collect())
    }

    fn dump(&mut self, protocol: u32) -> Result<Vec<Socket>, Error> {
        let mut sockets = Vec::new();
        for family in [AF_INET, AF_INET6] {
            match self.netlink.request(Message::Dump { family, protocol }, NLM_F_DUMP) {
                Ok(answers) => sockets.extend(answers.into_iter().filter_map(|answer| match answer {
                    Message::Socket(socket) => Some(*socket),
                    _ => None,
                })),
                // A kernel without IPv6 has no such sockets either.
                Err(error) if family == AF_INET6 && is_unknown(&error) => {}
                Err(error) if protocol == IPPROTO_MPTCP && is_unknown(&error) => return Err(Error::NoDiag),
                Err(error) => return Err(explain(error)),
            }
        }
        Ok(sockets)
    }
}

fn connection(socket: Socket) -> Option<Connection> {
    Some(Connection {
        info: socket.mptcp_info()?,
        cookie: socket.cookie,
        local: socket.local,
        remote: socket.remote,
        state: socket.state,
        uid: socket.uid,
        inode: socket.inode,
        receive_queue: socket.receive_queue,
        send_queue: socket.send_queue,
        subflows: Vec::new(),
        processes: Vec::new(),
    })
}

/// Gives each connection its subflows: by token, or where that is kept from us by inode, as the kernel gives a subflow the
/// inode of its connection.
fn join(connections: &mut [Connection], tcp: Vec<Socket>) {
    let by_token: HashMap<u32, usize> =
        connections.iter().enumerate().map(|(index, connection)| (connection.info.token, index)).collect();
    let by_inode: HashMap<u32, usize> = connections
        .iter()
        .enumerate()
        .filter(|(_, connection)| connection.inode != 0)
        .map(|(index, connection)| (connection.inode, index))
        .collect();
    for socket in tcp {
        // A subflow that has been taken down stays listed for a while with port 0 and no figures.
        if socket.local.port() == 0 || socket.upper.as_deref().is_some_and(|upper| upper != "mptcp") {
            continue;
        }
        let index = match socket.subflow {
            Some(subflow) => by_token.get(&subflow.token_local),
            None => by_inode.get(&socket.inode),
        };
        if let Some(connection) = index.and_then(|&index| connections.get_mut(index)) {
            connection.subflows.push(Subflow {
                path: socket.path(),
                cookie: socket.cookie,
                bound_interface: Some(socket.bound_interface).filter(|&index| index != 0),
                congestion: socket.congestion,
                mptcp: socket.subflow,
            });
        }
    }
    for connection in connections {
        // The order must not change from look to look. Cookies don't change, but are given when somebody first looks.
        connection.subflows.sort_by_key(|subflow| {
            let joined = subflow.mptcp.is_some_and(|mptcp| mptcp.flags.join_local || mptcp.flags.join_remote);
            (joined, subflow.cookie)
        });
    }
}

/// Names the interfaces of all paths with one look at the host's addresses.
fn name(connections: &mut [Connection]) {
    let subflows = || connections.iter().flat_map(|connection| &connection.subflows);
    let mut paths: Vec<Path> = subflows().map(|subflow| subflow.path.clone()).collect();
    name_interfaces(&mut paths);
    let places = connections.iter_mut().flat_map(|connection| &mut connection.subflows);
    for (subflow, path) in places.zip(paths) {
        subflow.path.interface = path.interface;
    }
}

fn lacks_subflows(connection: &Connection) -> bool {
    let known = connection.info.subflows.map_or(0, usize::from);
    known > connection.subflows.len() && connection.subflows.is_empty()
}

/// `ENOENT`, or what a kernel says that doesn't know such requests at all.
fn is_unknown(error: &netlink::Error) -> bool {
    const ENOENT: i32 = 2;
    const EINVAL: i32 = 22;
    matches!(error.errno(), Some(ENOENT | EINVAL))
}

fn explain(error: netlink::Error) -> Error {
    match error {
        netlink::Error::Socket(error) => Error::Netlink(error),
        netlink::Error::Malformed(what) => Error::Malformed(what),
        netlink::Error::Refused { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Error::Permission { doing: DOING }
        }
        netlink::Error::Refused { source, message } => Error::Refused { doing: DOING, source, message },
    }
}
