//! rtnetlink, as far as the lab needs it: interfaces, addresses, neighbours, routes and rules.

use std::net::IpAddr;
use std::os::fd::RawFd;

use mptcp_paths::netlink::{self, Netlink};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage};
use netlink_packet_route::link::{
    InfoBridge, InfoData, InfoKind, InfoVeth, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State, Stats64,
};
use netlink_packet_route::neighbour::{
    NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState,
};
use netlink_packet_route::route::{
    RouteAttribute, RouteHeader, RouteMessage, RouteNextHop, RouteProtocol, RouteType,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::error::Error;

pub(crate) type Mac = [u8; 6];

/// One end of a veth pair to be made.
pub(crate) struct VethEnd<'a> {
    pub(crate) name: &'a str,
    pub(crate) mac: Mac,
}

/// A default route of a host through one of its links.
pub(crate) struct DefaultRoute {
    pub(crate) interface: u32,
    pub(crate) gateway: IpAddr,
    pub(crate) source: IpAddr,
    pub(crate) metric: u32,
    /// The routing table; `None` is the main one.
    pub(crate) table: Option<u32>,
}

/// An rtnetlink socket; it works on the namespace in which it was opened.
#[derive(Debug)]
pub(crate) struct Rtnl {
    netlink: Netlink,
}

impl Rtnl {
    pub(crate) fn open() -> Result<Self, Error> {
        let netlink = Netlink::open(NETLINK_ROUTE)
            .map_err(|source| Error::Netlink { doing: "open an rtnetlink socket".into(), source })?;
        Ok(Rtnl { netlink })
    }

    pub(crate) fn request(
        &mut self,
        doing: &str,
        message: RouteNetlinkMessage,
        flags: u16,
    ) -> Result<Vec<RouteNetlinkMessage>, Error> {
        self.netlink
            .request(message, flags)
            .map_err(|source| Error::Netlink { doing: doing.to_owned(), source })
    }

    fn get(&mut self, doing: &str, message: LinkMessage) -> Result<LinkMessage, Error> {
        let answers = self.request(doing, RouteNetlinkMessage::GetLink(message), 0)?;
        answers
            .into_iter()
            .find_map(|answer| match answer {
                RouteNetlinkMessage::NewLink(link) => Some(link),
                _ => None,
            })
            .ok_or_else(|| Error::Netlink {
                doing: doing.to_owned(),
                source: netlink::Error::Malformed("no interface in the answer".into()),
            })
    }

    /// The index of the interface with this name.
    pub(crate) fn index(&mut self, name: &str) -> Result<u32, Error> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(name.to_owned()));
        Ok(self.get(&format!("find the interface {name}"), message)?.header.index)
    }

    pub(crate) fn statistics(&mut self, index: u32) -> Result<Stats64, Error> {
        let doing = "read an interface's statistics";
        let link = self.get(doing, with_index(index))?;
        let statistics = link.attributes.into_iter().find_map(|attribute| match attribute {
            LinkAttribute::Stats64(statistics) => Some(statistics),
            _ => None,
        });
        Ok(statistics.unwrap_or_default())
    }

    /// Whether the interface carries frames: it is up, has its carrier, and the kernel has drawn its
    /// conclusions.
    pub(crate) fn is_operational(&mut self, index: u32) -> Result<bool, Error> {
        let link = self.get("read an interface's state", with_index(index))?;
        let state_is_up = link.attributes.contains(&LinkAttribute::OperState(State::Up));
        Ok(state_is_up && link.header.flags.contains(LinkFlags::LowerUp))
    }

    pub(crate) fn set_up(&mut self, index: u32, up: bool) -> Result<(), Error> {
        let mut message = with_index(index);
        message.header.change_mask = LinkFlags::Up;
        message.header.flags = if up { LinkFlags::Up } else { LinkFlags::empty() };
        self.request("set an interface up or down", RouteNetlinkMessage::SetLink(message), 0).map(drop)
    }

    /// The largest packet, in bytes.
    pub(crate) fn set_mtu(&mut self, index: u32, bytes: u32) -> Result<(), Error> {
        let mut message = with_index(index);
        message.attributes.push(LinkAttribute::Mtu(bytes));
        self.request("set an interface's MTU", RouteNetlinkMessage::SetLink(message), 0).map(drop)
    }

    /// Makes a veth pair: one end here, with the index given, the other in the namespace of `peer_namespace`.
    pub(crate) fn add_veth(
        &mut self,
        index: u32,
        here: &VethEnd<'_>,
        peer: &VethEnd<'_>,
        peer_namespace: RawFd,
    ) -> Result<(), Error> {
        let mut there = LinkMessage::default();
        there.attributes = vec![
            LinkAttribute::IfName(peer.name.to_owned()),
            LinkAttribute::Address(peer.mac.to_vec()),
            LinkAttribute::NetNsFd(peer_namespace),
        ];
        let mut message = with_index(index);
        message.attributes = vec![
            LinkAttribute::IfName(here.name.to_owned()),
            LinkAttribute::Address(here.mac.to_vec()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Veth),
                LinkInfo::Data(InfoData::Veth(InfoVeth::Peer(there))),
            ]),
        ];
        let doing = format!("make the interface {}", peer.name);
        self.request(&doing, RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL).map(drop)
    }

    /// Makes a bridge that does nothing but pass frames on: no spanning tree, no snooping, no delay.
    pub(crate) fn add_bridge(&mut self, index: u32, name: &str) -> Result<(), Error> {
        let mut message = with_index(index);
        message.attributes = vec![
            LinkAttribute::IfName(name.to_owned()),
            LinkAttribute::LinkInfo(vec![
                LinkInfo::Kind(InfoKind::Bridge),
                LinkInfo::Data(InfoData::Bridge(vec![
                    InfoBridge::ForwardDelay(0),
                    InfoBridge::MulticastSnooping(false),
                ])),
            ]),
        ];
        self.request("make a bridge", RouteNetlinkMessage::NewLink(message), NLM_F_CREATE | NLM_F_EXCL)
            .map(drop)
    }

    pub(crate) fn delete_link(&mut self, index: u32) -> Result<(), Error> {
        self.request("delete an interface", RouteNetlinkMessage::DelLink(with_index(index)), 0).map(drop)
    }

    /// Makes the interface a port of the bridge, or of none.
    pub(crate) fn set_bridge(&mut self, index: u32, bridge: Option<u32>) -> Result<(), Error> {
        let mut message = with_index(index);
        message.attributes.push(LinkAttribute::Controller(bridge.unwrap_or(0)));
        self.request("attach an interface to a bridge", RouteNetlinkMessage::SetLink(message), 0).map(drop)
    }

    /// Bounds the segments that the stack hands to the interface as one: 1 means frames no larger than the
    /// MTU.
    pub(crate) fn set_gso_segments(&mut self, index: u32, segments: u32) -> Result<(), Error> {
        let mut message = with_index(index);
        message.attributes.push(LinkAttribute::GsoMaxSegs(segments));
        self.request("set an interface's segmentation", RouteNetlinkMessage::SetLink(message), 0).map(drop)
    }

    pub(crate) fn add_address(&mut self, index: u32, address: IpAddr, prefix: u8) -> Result<(), Error> {
        let message = RouteNetlinkMessage::NewAddress(address_message(index, address, prefix));
        self.request(&format!("add the address {address}"), message, NLM_F_CREATE | NLM_F_REPLACE).map(drop)
    }

    pub(crate) fn delete_address(&mut self, index: u32, address: IpAddr, prefix: u8) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelAddress(address_message(index, address, prefix));
        unless_gone(self.request(&format!("take the address {address} away"), message, 0))
    }

    /// A neighbour that never has to be asked for, so that ARP and neighbour discovery don't disturb
    /// measurements.
    pub(crate) fn add_neighbour(&mut self, index: u32, address: IpAddr, mac: Mac) -> Result<(), Error> {
        let mut message = NeighbourMessage::default();
        message.header.family = family(address);
        message.header.ifindex = index;
        message.header.state = NeighbourState::Permanent;
        message.header.kind = RouteType::Unicast;
        let destination = match address {
            IpAddr::V4(address) => NeighbourAddress::Inet(address),
            IpAddr::V6(address) => NeighbourAddress::Inet6(address),
        };
        message.attributes = vec![
            NeighbourAttribute::Destination(destination),
            NeighbourAttribute::LinkLayerAddress(mac.to_vec()),
        ];
        let message = RouteNetlinkMessage::NewNeighbour(message);
        self.request("add a neighbour", message, NLM_F_CREATE | NLM_F_REPLACE).map(drop)
    }

    pub(crate) fn add_default_route(&mut self, route: &DefaultRoute) -> Result<(), Error> {
        let message = RouteNetlinkMessage::NewRoute(route.message());
        let doing = format!("add a route through {}", route.gateway);
        self.request(&doing, message, NLM_F_CREATE | NLM_F_REPLACE).map(drop)
    }

    pub(crate) fn delete_default_route(&mut self, route: &DefaultRoute) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelRoute(route.message());
        unless_gone(self.request(&format!("delete the route through {}", route.gateway), message, 0))
    }

    /// A route in the main table through one gateway or several, of equal weight.
    pub(crate) fn add_route(
        &mut self,
        destination: IpAddr,
        prefix: u8,
        gateways: &[IpAddr],
    ) -> Result<(), Error> {
        let mut message = RouteMessage::default();
        message.header.address_family = family(destination);
        message.header.destination_prefix_length = prefix;
        message.header.table = RouteHeader::RT_TABLE_MAIN;
        message.header.protocol = RouteProtocol::Static;
        message.header.kind = RouteType::Unicast;
        let hops = gateways.iter().map(|&gateway| {
            let mut hop = RouteNextHop::default();
            hop.attributes = vec![RouteAttribute::Gateway(gateway.into())];
            hop
        });
        message.attributes =
            vec![RouteAttribute::Destination(destination.into()), RouteAttribute::MultiPath(hops.collect())];
        let message = RouteNetlinkMessage::NewRoute(message);
        self.request(&format!("add a route to {destination}"), message, NLM_F_CREATE | NLM_F_EXCL).map(drop)
    }

    /// What comes from `source` is routed by `table`.
    pub(crate) fn add_source_rule(&mut self, source: IpAddr, table: u32, priority: u32) -> Result<(), Error> {
        let message = RouteNetlinkMessage::NewRule(rule_message(source, table, priority));
        self.request("add a routing rule", message, NLM_F_CREATE | NLM_F_EXCL).map(drop)
    }

    pub(crate) fn delete_source_rule(
        &mut self,
        source: IpAddr,
        table: u32,
        priority: u32,
    ) -> Result<(), Error> {
        let message = RouteNetlinkMessage::DelRule(rule_message(source, table, priority));
        unless_gone(self.request("delete a routing rule", message, 0))
    }
}

impl DefaultRoute {
    fn message(&self) -> RouteMessage {
        let mut message = RouteMessage::default();
        message.header.address_family = family(self.gateway);
        // Tables above 255 travel as an attribute alone.
        message.header.table = if self.table.is_some() { 0 } else { RouteHeader::RT_TABLE_MAIN };
        message.header.protocol = RouteProtocol::Static;
        message.header.kind = RouteType::Unicast;
        message.attributes = vec![
            RouteAttribute::Gateway(self.gateway.into()),
            RouteAttribute::Oif(self.interface),
            RouteAttribute::PrefSource(self.source.into()),
            RouteAttribute::Priority(self.metric),
        ];
        message.attributes.extend(self.table.map(RouteAttribute::Table));
        message
    }
}

/// What is to be deleted may have gone already: the kernel deletes the routes of an address with it.
fn unless_gone<T>(deleted: Result<T, Error>) -> Result<(), Error> {
    match deleted {
        Err(Error::Netlink { source, .. })
            if matches!(source.errno(), Some(libc::ESRCH | libc::EADDRNOTAVAIL | libc::ENOENT)) =>
        {
            Ok(())
        }
        other => other.map(drop),
    }
}

fn with_index(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

fn address_message(index: u32, address: IpAddr, prefix: u8) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = family(address);
    message.header.prefix_len = prefix;
    message.header.index = index;
    message.attributes = vec![AddressAttribute::Address(address), AddressAttribute::Local(address)];
    if address.is_ipv6() {
        // Duplicate address detection would keep the address unusable for its first second.
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message
}

fn rule_message(source: IpAddr, table: u32, priority: u32) -> RuleMessage {
    let mut message = RuleMessage::default();
    message.header.family = family(source);
    message.header.src_len = if source.is_ipv4() { 32 } else { 128 };
    message.header.action = RuleAction::ToTable;
    message.attributes =
        vec![RuleAttribute::Source(source), RuleAttribute::Table(table), RuleAttribute::Priority(priority)];
    message
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}
