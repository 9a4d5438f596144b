//! The listeners: events from the kernel's multicast groups, never blocking.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use netlink_packet_core::{
    DecodeError, NlasIterator, ParseableParametrized, parse_ip, parse_u8, parse_u16, parse_u16_be, parse_u32,
};
use netlink_packet_generic::{GenlHeader, GenlMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::{NETLINK_GENERIC, NETLINK_ROUTE};

use crate::manager::{explain, look_up, open_generic};
use crate::netlink::{Heard, Listener};
use crate::{Connection, Error, HostEvent, InterfaceAddress, PathEvent, Reset, Subflow, rtnl};

// enum mptcp_event_attr
const TOKEN: u16 = 1;
const LOC_ID: u16 = 3;
const REM_ID: u16 = 4;
const SADDR4: u16 = 5;
const SADDR6: u16 = 6;
const DADDR4: u16 = 7;
const DADDR6: u16 = 8;
const SPORT: u16 = 9;
const DPORT: u16 = 10;
const BACKUP: u16 = 11;
const ERROR: u16 = 12;
const FLAGS: u16 = 13;
const IF_IDX: u16 = 15;
const RESET_REASON: u16 = 16;
const RESET_FLAGS: u16 = 17;
const SERVER_SIDE: u16 = 18;

// MPTCP_PM_EV_FLAG_*
const FLAG_DENY_JOIN_ID0: u16 = 1 << 0;
const FLAG_SERVER_SIDE: u16 = 1 << 1;
// RFC 8684, section 3.6: the T flag.
const RESET_TRANSIENT: u32 = 1 << 0;

// RTNLGRP_*: link, IPv4 address, IPv4 route, IPv4 rule, IPv6 address, IPv6 route, IPv6 rule.
const HOST_GROUPS: [u32; 7] = [1, 5, 7, 8, 9, 11, 19];

/// Listens to what happens to the MPTCP connections of a network namespace.
///
/// It never blocks: wait until its descriptor is readable, then take events until there are none.
#[derive(Debug)]
pub struct PathEvents {
    listener: Listener<GenlMessage<EventMessage>>,
    family: u16,
}

impl PathEvents {
    /// Listens in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`Error::Permission`] without `CAP_NET_ADMIN`, [`Error::NoFamily`] on a kernel without MPTCP, [`Error::Lacks`] on
    /// one older than 5.12.
    pub fn open() -> Result<Self, Error> {
        const DOING: &str = "listen to MPTCP events";
        let mut netlink = open_generic(DOING)?;
        let family = look_up(&mut netlink)?;
        let group = family.events.ok_or(Error::Lacks { what: "MPTCP events", since: "Linux 5.12" })?;
        let listener = Listener::open(NETLINK_GENERIC, &[group]).map_err(|error| explain(error, DOING))?;
        Ok(Self { listener, family: family.id })
    }

    /// The next event; `None` when there are no more for now.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the socket fails.
    pub fn next_event(&mut self) -> Result<Option<PathEvent>, Error> {
        loop {
            let heard = self.listener.hear().map_err(|error| explain(error, "listen to MPTCP events"))?;
            return Ok(match heard {
                Some(Heard::Message(family, _)) if family != self.family => continue,
                Some(Heard::Message(_, message)) => Some(message.payload.0),
                Some(Heard::Unknown) => Some(PathEvent::Unknown { number: 0 }),
                Some(Heard::Lost) => Some(PathEvent::Lost),
                None => None,
            });
        }
    }
}

impl AsFd for PathEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl AsRawFd for PathEvents {
    fn as_raw_fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }
}

/// Listens to what happens to the interfaces, addresses, routes and rules of a network namespace. Everyone may.
///
/// It never blocks: wait until its descriptor is readable, then take events until there are none.
#[derive(Debug)]
pub struct HostEvents {
    listener: Listener<RouteNetlinkMessage>,
}

impl HostEvents {
    /// Listens in the network namespace of the calling thread.
    ///
    /// # Errors
    /// [`Error::Netlink`] if netlink sockets are forbidden.
    pub fn open() -> Result<Self, Error> {
        let listener = Listener::open(NETLINK_ROUTE, &HOST_GROUPS)
            .map_err(|error| explain(error, "listen to changes of the network"))?;
        Ok(Self { listener })
    }

    /// The next event; `None` when there are no more for now.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the socket fails.
    pub fn next_event(&mut self) -> Result<Option<HostEvent>, Error> {
        loop {
            let heard =
                self.listener.hear().map_err(|error| explain(error, "listen to changes of the network"))?;
            match heard {
                Some(Heard::Message(_, message)) => match host_event(&message) {
                    Some(event) => return Ok(Some(event)),
                    None => continue,
                },
                Some(Heard::Unknown) => return Ok(Some(HostEvent::Unknown)),
                Some(Heard::Lost) => return Ok(Some(HostEvent::Lost)),
                None => return Ok(None),
            }
        }
    }
}

impl AsFd for HostEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

impl AsRawFd for HostEvents {
    fn as_raw_fd(&self) -> RawFd {
        self.listener.as_raw_fd()
    }
}

/// What a message of rtnetlink tells; `None` for what nobody configured.
pub(crate) fn host_event(message: &RouteNetlinkMessage) -> Option<HostEvent> {
    use RouteNetlinkMessage as Message;
    // Bridges report their ports with their own family, and less about them.
    let of_bridge = |link: &netlink_packet_route::link::LinkMessage| {
        link.header.interface_family != AddressFamily::Unspec
    };
    let address = |message: &netlink_packet_route::address::AddressMessage| {
        Some(InterfaceAddress { interface: message.header.index, address: rtnl::address(message)? })
    };
    let is_v6 = |family| family == AddressFamily::Inet6;
    let is_ip = |family| family == AddressFamily::Inet || is_v6(family);
    Some(match message {
        Message::NewLink(link) | Message::DelLink(link) if of_bridge(link) => return None,
        Message::NewLink(link) => HostEvent::Interface(rtnl::interface(link)?),
        Message::DelLink(link) => HostEvent::InterfaceGone(rtnl::interface(link)?),
        Message::NewAddress(message) => HostEvent::Address(address(message)?),
        Message::DelAddress(message) => HostEvent::AddressGone(address(message)?),
        Message::NewRoute(route) if is_ip(route.header.address_family) => {
            HostEvent::Route(rtnl::route(route, is_v6(route.header.address_family))?)
        }
        Message::DelRoute(route) if is_ip(route.header.address_family) => {
            HostEvent::RouteGone(rtnl::route(route, is_v6(route.header.address_family))?)
        }
        Message::NewRule(rule) => HostEvent::Rule(rtnl::rule(rule, is_v6(rule.header.family))),
        Message::DelRule(rule) => HostEvent::RuleGone(rtnl::rule(rule, is_v6(rule.header.family))),
        _ => return None,
    })
}

/// A message of the multicast group, understood as far as it can be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EventMessage(pub(crate) PathEvent);

/// What messages of events consist of; each kind has some of it.
#[derive(Default)]
struct Parts {
    token: Option<u32>,
    local_id: Option<u8>,
    remote_id: Option<u8>,
    local: Option<IpAddr>,
    remote: Option<IpAddr>,
    local_port: Option<u16>,
    remote_port: Option<u16>,
    backup: bool,
    error: Option<u8>,
    flags: Option<u16>,
    interface: Option<u32>,
    reset_reason: Option<u32>,
    reset_flags: u32,
    server_side: bool,
}

impl ParseableParametrized<[u8], GenlHeader> for EventMessage {
    fn parse_with_param(buffer: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let mut parts = Parts::default();
        for nla in NlasIterator::new(buffer) {
            let nla = nla?;
            let value = nla.value();
            match nla.kind() {
                TOKEN => parts.token = Some(parse_u32(value)?),
                LOC_ID => parts.local_id = Some(parse_u8(value)?),
                REM_ID => parts.remote_id = Some(parse_u8(value)?),
                SADDR4 | SADDR6 => parts.local = Some(parse_ip(value)?),
                DADDR4 | DADDR6 => parts.remote = Some(parse_ip(value)?),
                SPORT => parts.local_port = Some(parse_u16_be(value)?),
                DPORT => parts.remote_port = Some(parse_u16_be(value)?),
                BACKUP => parts.backup = parse_u8(value)? != 0,
                ERROR => parts.error = Some(parse_u8(value)?).filter(|&number| number != 0),
                FLAGS => parts.flags = Some(parse_u16(value)?),
                // Signed in the kernel; 0 is no interface.
                IF_IDX => parts.interface = Some(parse_u32(value)?).filter(|&index| index != 0),
                RESET_REASON => parts.reset_reason = Some(parse_u32(value)?),
                RESET_FLAGS => parts.reset_flags = parse_u32(value)?,
                SERVER_SIDE => parts.server_side = parse_u8(value)? != 0,
                _ => {}
            }
        }
        let number = header.cmd;
        Ok(Self(parts.event(number).unwrap_or(PathEvent::Unknown { number })))
    }
}

impl Parts {
    fn event(&self, number: u8) -> Option<PathEvent> {
        // enum mptcp_event_type
        Some(match number {
            1 => PathEvent::Created(self.connection()?),
            2 => PathEvent::Established(self.connection()?),
            3 => PathEvent::Closed { token: self.token? },
            6 => PathEvent::Announced {
                token: self.token?,
                remote_id: self.remote_id?,
                address: self.remote?,
                port: self.remote_port.filter(|&port| port != 0),
            },
            7 => PathEvent::Removed { token: self.token?, remote_id: self.remote_id? },
            10 => PathEvent::SubflowEstablished(self.subflow()?),
            11 => PathEvent::SubflowClosed(self.subflow()?),
            13 => PathEvent::SubflowPriority(self.subflow()?),
            15 => PathEvent::ListenerCreated { local: self.local()? },
            16 => PathEvent::ListenerClosed { local: self.local()? },
            _ => return None,
        })
    }

    fn local(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.local?, self.local_port?))
    }

    fn remote(&self) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.remote?, self.remote_port?))
    }

    fn connection(&self) -> Option<Connection> {
        let flag = |bit: u16| self.flags.map(|flags| flags & bit != 0);
        Some(Connection {
            token: self.token?,
            local: self.local()?,
            remote: self.remote()?,
            server_side: self.server_side || flag(FLAG_SERVER_SIDE).unwrap_or(false),
            peer_denies_joins: flag(FLAG_DENY_JOIN_ID0),
        })
    }

    fn subflow(&self) -> Option<Subflow> {
        let transient = self.reset_flags & RESET_TRANSIENT != 0;
        Some(Subflow {
            token: self.token?,
            local_id: self.local_id?,
            remote_id: self.remote_id?,
            local: self.local()?,
            remote: self.remote()?,
            backup: self.backup,
            interface: self.interface,
            error: self.error,
            reset: self.reset_reason.map(|code| Reset { code, transient }),
        })
    }
}
