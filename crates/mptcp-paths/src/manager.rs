//! The path manager itself: requests to the kernel in our own types.

use std::io;

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_generic::GenlMessage;
use netlink_packet_generic::ctrl::nlas::GenlCtrlAttrs;
use netlink_packet_generic::ctrl::{GenlCtrl, GenlCtrlCmd};
use netlink_sys::protocols::NETLINK_GENERIC;

use crate::message::{self, Attribute, Message};
use crate::netlink::{self, Netlink};
use crate::{Endpoint, Error, Limits, ManagerKind, Settings};

const READ_ENDPOINTS: &str = "list the MPTCP endpoints";
const READ_LIMITS: &str = "read the MPTCP limits";

/// The MPTCP path manager of one network namespace: that of the thread which opened it, wherever it is used
/// later.
#[derive(Debug)]
pub struct PathManager {
    netlink: Netlink,
    family: u16,
}

impl PathManager {
    /// Opens the path manager of the calling thread's network namespace. Needs no privilege.
    ///
    /// # Errors
    /// [`Error::NoFamily`] on a kernel without MPTCP, [`Error::Netlink`] if netlink sockets are forbidden.
    pub fn open() -> Result<Self, Error> {
        let mut netlink =
            Netlink::open(NETLINK_GENERIC).map_err(|error| explain(error, "open the path manager"))?;
        let question = GenlCtrl {
            cmd: GenlCtrlCmd::GetFamily,
            nlas: vec![GenlCtrlAttrs::FamilyName(message::FAMILY.to_owned())],
        };
        let answers = match netlink.request(GenlMessage::from_payload(question), 0) {
            Err(error) if is(&error, io::ErrorKind::NotFound) => return Err(Error::NoFamily),
            other => other.map_err(|error| explain(error, "look up the path manager"))?,
        };
        let family =
            answers.iter().flat_map(|answer| &answer.payload.nlas).find_map(|attribute| match attribute {
                GenlCtrlAttrs::FamilyId(id) => Some(*id),
                _ => None,
            });
        let family = family.ok_or_else(|| Error::Malformed("a family without an identifier".into()))?;
        Ok(PathManager { netlink, family })
    }

    /// Who manages the paths of new connections in the calling thread's network namespace: endpoints and limits are
    /// of use to the kernel's path manager alone. `None` without MPTCP.
    #[must_use]
    pub fn kind() -> Option<ManagerKind> {
        Settings::read().manager()
    }

    /// The endpoints of the namespace, in the kernel's order.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Netlink`]; reading needs no privilege.
    pub fn endpoints(&mut self) -> Result<Vec<Endpoint>, Error> {
        let answers = self
            .request(message::GET_ADDR, vec![], NLM_F_DUMP)
            .map_err(|error| explain(error, READ_ENDPOINTS))?;
        Ok(answers
            .into_iter()
            .filter_map(|attribute| match attribute {
                Attribute::Endpoint(endpoint) => Some(endpoint),
                _ => None,
            })
            .collect())
    }

    /// Adds an endpoint. Connections that exist already make use of it too, if their limits allow.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_ADMIN`, [`Error::Exists`] if the address or the identifier is
    /// taken, [`Error::Refused`] for combinations that the kernel doesn't accept (a port without `signal`,
    /// `signal` with `fullmesh`) and when there are 8 endpoints already.
    pub fn add(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        let attributes = vec![Attribute::Endpoint(endpoint.clone())];
        match self.request(message::ADD_ADDR, attributes, 0) {
            Err(netlink::Error::Refused { source, message })
                if source.kind() == io::ErrorKind::AlreadyExists =>
            {
                Err(Error::Exists { address: endpoint.address, message })
            }
            other => other.map(drop).map_err(|error| explain(error, "add an MPTCP endpoint")),
        }
    }

    /// Deletes the endpoint with this identifier; the subflows from its address are closed.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_ADMIN`, [`Error::Refused`] if there is no such endpoint.
    pub fn delete(&mut self, id: u8) -> Result<(), Error> {
        self.request(message::DEL_ADDR, vec![Attribute::EndpointId(id)], 0)
            .map(drop)
            .map_err(|error| explain(error, "delete an MPTCP endpoint"))
    }

    /// Deletes every endpoint.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_ADMIN`.
    pub fn flush(&mut self) -> Result<(), Error> {
        self.request(message::FLUSH_ADDRS, vec![], 0)
            .map(drop)
            .map_err(|error| explain(error, "delete the MPTCP endpoints"))
    }

    /// The limits of the namespace.
    ///
    /// # Errors
    /// [`Error::Malformed`] or [`Error::Netlink`]; reading needs no privilege.
    pub fn limits(&mut self) -> Result<Limits, Error> {
        let answers =
            self.request(message::GET_LIMITS, vec![], 0).map_err(|error| explain(error, READ_LIMITS))?;
        let (mut subflows, mut accepted) = (None, None);
        for attribute in answers {
            match attribute {
                Attribute::Subflows(count) => subflows = Some(count),
                Attribute::AddAddrAccepted(count) => accepted = Some(count),
                _ => {}
            }
        }
        match (subflows, accepted) {
            (Some(subflows), Some(add_addr_accepted)) => Ok(Limits { subflows, add_addr_accepted }),
            _ => Err(Error::Malformed("limits without their values".into())),
        }
    }

    /// Sets the limits, for connections to come and for those that exist.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_ADMIN`, [`Error::Refused`] above 8.
    pub fn set_limits(&mut self, limits: Limits) -> Result<(), Error> {
        let attributes =
            vec![Attribute::AddAddrAccepted(limits.add_addr_accepted), Attribute::Subflows(limits.subflows)];
        self.request(message::SET_LIMITS, attributes, 0)
            .map(drop)
            .map_err(|error| explain(error, "set the MPTCP limits"))
    }

    fn request(
        &mut self,
        command: u8,
        attributes: Vec<Attribute>,
        flags: u16,
    ) -> Result<Vec<Attribute>, netlink::Error> {
        let mut message = GenlMessage::from_payload(Message { command, attributes });
        message.set_resolved_family_id(self.family);
        let answers = self.netlink.request(message, flags)?;
        Ok(answers.into_iter().flat_map(|answer| answer.payload.attributes).collect())
    }
}

fn is(error: &netlink::Error, kind: io::ErrorKind) -> bool {
    matches!(error, netlink::Error::Refused { source, .. } if source.kind() == kind)
}

fn explain(error: netlink::Error, doing: &'static str) -> Error {
    match error {
        netlink::Error::Socket(error) => Error::Netlink(error),
        netlink::Error::Malformed(what) => Error::Malformed(what),
        netlink::Error::Refused { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Error::Permission { doing }
        }
        netlink::Error::Refused { source, message } => Error::Refused { doing, source, message },
    }
}
