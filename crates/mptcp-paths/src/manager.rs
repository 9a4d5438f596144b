//! The path manager itself: requests to the kernel in our own types.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::NLM_F_DUMP;
use netlink_packet_generic::GenlMessage;
use netlink_sys::protocols::NETLINK_GENERIC;

use crate::controller;
use crate::message::{self, Attribute, Message};
use crate::netlink::{self, Netlink};
use crate::{Endpoint, Error, FlagChange, Limits, ManagerKind, Settings};

// Of Linux on x86, ARM, RISC-V and nearly all others, whose names std has no kind for.
const EBUSY: i32 = 16;
const EEXIST: i32 = 17;
const EINVAL: i32 = 22;
const ERANGE: i32 = 34;
const EOPNOTSUPP: i32 = 95;

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
        let mut netlink = open_generic("open the path manager")?;
        let family = look_up(&mut netlink)?.id;
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
        Ok(message::endpoints(answers))
    }

    /// Adds an endpoint. Connections that exist already make use of it too, if their limits allow.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_ADMIN`, [`Error::Exists`] if the address or the identifier is
    /// taken, [`Error::Refused`] for combinations that the kernel doesn't accept (a port without `signal`,
    /// `signal` with `fullmesh`) and when there are 8 endpoints already. [`Error::Lacks`] for `laminar` and `fullmesh` where the
    /// kernel doesn't know them, for which it is read back; if that fails with another error the endpoint is there.
    pub fn add(&mut self, endpoint: &Endpoint) -> Result<(), Error> {
        match self.try_add(endpoint) {
            Err(netlink::Error::Refused { source, message })
                if matches!(source.raw_os_error(), Some(EEXIST | EBUSY)) =>
            {
                return Err(Error::Exists { address: endpoint.address, message });
            }
            Err(netlink::Error::Refused { source, .. }) if source.raw_os_error() == Some(ERANGE) => {
                return Err(Error::Full);
            }
            other => other.map(drop).map_err(|error| explain(error, "add an MPTCP endpoint"))?,
        }
        // A kernel drops flags that it doesn't know without a word; those of its first day need no look.
        let asked = endpoint.flags;
        if !asked.laminar && !asked.fullmesh {
            return Ok(());
        }
        let Some(made) = self.endpoints()?.into_iter().find(|made| made.is_at(endpoint)) else {
            return Ok(());
        };
        for (lost, what, since) in [
            (asked.laminar && !made.flags.laminar, "laminar endpoints", "Linux 6.18"),
            (asked.fullmesh && !made.flags.fullmesh, "fullmesh endpoints", "Linux 5.15"),
        ] {
            if lost {
                made.id.map_or(Ok(()), |id| self.delete(id))?;
                return Err(Error::Lacks { what, since });
            }
        }
        Ok(())
    }

    /// The kernel replaces an endpoint that it has made for an address itself, when a connection came by way of it, only by
    /// one that takes over its identifier.
    fn try_add(&mut self, endpoint: &Endpoint) -> Result<Vec<Attribute>, netlink::Error> {
        let attributes = || vec![Attribute::Endpoint(endpoint.clone())];
        let added = self.request(message::ADD_ADDR, attributes(), 0);
        let is_in_place = |own: &Endpoint| own.flags.implicit && own.is_at(endpoint);
        match &added {
            Err(netlink::Error::Refused { source, .. })
                if source.raw_os_error() == Some(EINVAL) && endpoint.id.is_some() =>
            {
                let there = self.endpoints().ok().into_iter().flatten().find(is_in_place);
                let Some(id) = there.and_then(|own| own.id) else { return added };
                self.request(message::DEL_ADDR, vec![Attribute::EndpointId(id)], 0)?;
                self.request(message::ADD_ADDR, attributes(), 0)
            }
            _ => added,
        }
    }

    /// The endpoint with this identifier.
    ///
    /// # Errors
    /// Those of [`PathManager::endpoints`].
    pub fn endpoint(&mut self, id: u8) -> Result<Option<Endpoint>, Error> {
        Ok(self.endpoints()?.into_iter().find(|endpoint| endpoint.id == Some(id)))
    }

    /// Changes flags of the endpoint with this identifier in place.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_ADMIN`, [`Error::Refused`] if there is no such endpoint or it can't have
    /// the flag (`fullmesh` with `signal`), [`Error::Lacks`] on Linux 5.11 and older.
    pub fn change(&mut self, id: u8, change: FlagChange) -> Result<(), Error> {
        const DOING: &str = "change the flags of an MPTCP endpoint";
        let Some(endpoint) = self.endpoint(id)? else {
            let source = io::Error::from(io::ErrorKind::NotFound);
            return Err(Error::Refused { doing: DOING, source, message: Some(format!("no endpoint {id}")) });
        };
        // By its address: finding it by its identifier alone came later.
        let flags = change.apply(endpoint.flags);
        let attributes = vec![Attribute::Endpoint(Endpoint { flags, ..endpoint })];
        match self.request(message::SET_FLAGS, attributes, 0) {
            Err(netlink::Error::Refused { source, .. }) if source.raw_os_error() == Some(EOPNOTSUPP) => {
                Err(Error::Lacks { what: "changing the flags of an endpoint", since: "Linux 5.12" })
            }
            other => other.map(drop).map_err(|error| explain(error, DOING)),
        }
    }

    /// Deletes the endpoint with this address (and port, if it has one); the subflows from it are closed.
    ///
    /// # Errors
    /// [`Error::NoEndpoint`] if there is none, [`Error::Permission`] without `CAP_NET_ADMIN`.
    pub fn delete_address(&mut self, address: IpAddr, port: Option<u16>) -> Result<(), Error> {
        let endpoints = self.endpoints()?;
        let found = endpoints.iter().find(|endpoint| endpoint.address == address && endpoint.port == port);
        let id = found.and_then(|endpoint| endpoint.id).ok_or(Error::NoEndpoint(address))?;
        self.delete(id)
    }

    /// Closes the first subflow of every connection that began at this local address, whether there is an endpoint
    /// for it or not. A connection without another path is lost, if it gets none within
    /// [`Settings::close_timeout`](crate::Settings::close_timeout).
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_ADMIN`, [`Error::Refused`] before Linux 5.12.
    pub fn close_first_subflows(&mut self, address: IpAddr) -> Result<(), Error> {
        self.request(message::DEL_ADDR, vec![Attribute::FirstSubflow(address)], 0)
            .map(drop)
            .map_err(|error| explain(error, "close first subflows"))
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

    /// Deletes every endpoint; the subflows from their addresses are closed. The limits stay.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_ADMIN`.
    pub fn flush(&mut self) -> Result<(), Error> {
        let limits = self.limits()?;
        self.request(message::FLUSH_ADDRS, vec![], 0)
            .map(drop)
            .map_err(|error| explain(error, "delete the MPTCP endpoints"))?;
        // Some kernels set the announced addresses that are accepted back to 0.
        if self.limits()? == limits { Ok(()) } else { self.set_limits(limits) }
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

    pub(crate) fn request(
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

/// The generic netlink family `mptcp_pm` of this kernel.
pub(crate) struct Family {
    /// What its messages are marked with.
    pub(crate) id: u16,
    /// The multicast group of its events.
    pub(crate) events: Option<u32>,
}

/// Asks the kernel for the family.
pub(crate) fn look_up(netlink: &mut Netlink) -> Result<Family, Error> {
    let question = GenlMessage::from_payload(controller::Family::named(message::FAMILY));
    let answers = match netlink.request(question, 0) {
        Err(error) if is(&error, io::ErrorKind::NotFound) => return Err(Error::NoFamily),
        other => other.map_err(|error| explain(error, "look up the path manager"))?,
    };
    let id = answers.iter().find_map(|answer| answer.payload.id);
    let mut groups = answers.iter().flat_map(|answer| &answer.payload.groups);
    let events = groups.find(|(name, _)| name == message::EVENT_GROUP).map(|(_, number)| *number);
    let id = id.ok_or_else(|| Error::Malformed("a family without an identifier".into()))?;
    Ok(Family { id, events })
}

fn is(error: &netlink::Error, kind: io::ErrorKind) -> bool {
    matches!(error, netlink::Error::Refused { source, .. } if source.kind() == kind)
}

/// A socket of generic netlink. Where there is none, there is no family either.
pub(crate) fn open_generic(doing: &'static str) -> Result<Netlink, Error> {
    Netlink::open(NETLINK_GENERIC)
        .map_err(|error| if error.is_no_protocol() { Error::NoFamily } else { explain(error, doing) })
}

pub(crate) fn explain(error: netlink::Error, doing: &'static str) -> Error {
    match error {
        netlink::Error::Socket(error) => Error::Netlink(error),
        netlink::Error::Malformed(what) => Error::Malformed(what),
        netlink::Error::Refused { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
            Error::Permission { doing }
        }
        netlink::Error::Refused { source, message } => Error::Refused { doing, source, message },
    }
}
