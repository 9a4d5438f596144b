//! The paths of one connection, managed by a program: what the kernel offers where its own path manager is off
//! (`net.mptcp.path_manager=userspace`, before Linux 6.16 `net.mptcp.pm_type=1`), as mptcpd uses it.
//!
//! A connection is named by its token on this host, which [`PathEvent`](crate::PathEvent)s and
//! [`connections`](crate::connections) tell. Connections of the kernel's own path manager are refused. All of this needs
//! `CAP_NET_ADMIN`, and Linux 5.19.

use std::net::SocketAddr;

use netlink_packet_core::NLM_F_DUMP;

use crate::manager::explain;
use crate::message::{self, Attribute};
use crate::{Endpoint, EndpointFlags, Error, PathManager};

impl PathManager {
    /// Announces an address to the peer of a connection (ADD_ADDR, RFC 8684 section 3.4.1). Only the address, the port and
    /// the identifier, which must not be 0, are of use.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_ADMIN`, [`Error::Refused`] if there is no such connection, the kernel manages
    /// its paths, or the identifier is missing.
    pub fn announce(&mut self, token: u32, endpoint: &Endpoint) -> Result<(), Error> {
        let flags = EndpointFlags::SIGNAL;
        let endpoint = Attribute::Endpoint(Endpoint { flags, ..endpoint.clone() });
        self.of_connection(message::ANNOUNCE, token, vec![endpoint], "announce an address")
    }

    /// Takes back an announcement (REMOVE_ADDR, RFC 8684 section 3.4.2), and closes the subflows from that address.
    ///
    /// # Errors
    /// Those of [`PathManager::announce`]; there must be an address with this identifier.
    pub fn withdraw(&mut self, token: u32, id: u8) -> Result<(), Error> {
        self.of_connection(message::REMOVE, token, vec![Attribute::LocalId(id)], "withdraw an address")
    }

    /// Opens a subflow (MP_JOIN, RFC 8684 section 3.2) from the address, and through the interface if one is given, of
    /// `local` to `remote`. That it is there is told by [`PathEvent::SubflowEstablished`](crate::PathEvent).
    ///
    /// # Errors
    /// Those of [`PathManager::announce`], and what `connect(2)` says of the way there.
    pub fn open_subflow(&mut self, token: u32, local: &Endpoint, remote: SocketAddr) -> Result<(), Error> {
        let flags = EndpointFlags { backup: local.flags.backup, ..EndpointFlags::default() };
        let local = Attribute::Endpoint(Endpoint { flags, port: None, ..local.clone() });
        let attributes = vec![local, Attribute::Remote(remote)];
        self.of_connection(message::SUBFLOW_CREATE, token, attributes, "open a subflow")
    }

    /// Closes the subflow between these two addresses with their ports.
    ///
    /// # Errors
    /// Those of [`PathManager::announce`]; there must be such a subflow.
    pub fn close_subflow(&mut self, token: u32, local: SocketAddr, remote: SocketAddr) -> Result<(), Error> {
        let attributes = vec![Attribute::Local(local), Attribute::Remote(remote)];
        self.of_connection(message::SUBFLOW_DESTROY, token, attributes, "close a subflow")
    }

    /// Makes the subflow between these two addresses a backup, or a regular one again, and tells the peer (MP_PRIO, RFC 8684
    /// section 3.3.8).
    ///
    /// # Errors
    /// Those of [`PathManager::announce`]; there must be such a subflow.
    pub fn set_backup(
        &mut self,
        token: u32,
        local: SocketAddr,
        remote: SocketAddr,
        backup: bool,
    ) -> Result<(), Error> {
        let flags = EndpointFlags { backup, ..EndpointFlags::default() };
        let port = Some(local.port());
        let local = Attribute::Endpoint(Endpoint { port, ..Endpoint::new(local.ip(), flags) });
        let attributes = vec![local, Attribute::Remote(remote)];
        self.of_connection(message::SET_FLAGS, token, attributes, "change a subflow's priority")
    }

    /// The local addresses that a connection has been given by [`PathManager::announce`] and [`PathManager::open_subflow`].
    ///
    /// # Errors
    /// Those of [`PathManager::announce`]. A kernel before 6.10 gives the endpoints of the namespace instead.
    pub fn endpoints_of(&mut self, token: u32) -> Result<Vec<Endpoint>, Error> {
        let answers = self
            .request(message::GET_ADDR, vec![Attribute::Token(token)], NLM_F_DUMP)
            .map_err(|error| explain(error, "list the addresses of a connection"))?;
        Ok(message::endpoints(answers))
    }

    fn of_connection(
        &mut self,
        command: u8,
        token: u32,
        mut attributes: Vec<Attribute>,
        doing: &'static str,
    ) -> Result<(), Error> {
        attributes.insert(0, Attribute::Token(token));
        self.request(command, attributes, 0).map(drop).map_err(|error| explain(error, doing))
    }
}
