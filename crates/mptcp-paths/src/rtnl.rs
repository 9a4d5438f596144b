//! The kernel's tables of interfaces, addresses, routes and rules (`rtnetlink(7)`), into our own types.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkInfo, LinkMessage, State};
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteNextHop, RouteNextHopFlags, RouteType,
    RouteVia,
};
use netlink_packet_route::rule::{self, RuleAttribute, RuleFlags, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::manager::explain;
use crate::netlink::Netlink;
use crate::{
    Address, Error, Hop, Interface, OperState, Prefix, Route, RouteKind, Rule, RuleAction, Scope, Snapshot,
};

const FAMILIES: [(AddressFamily, bool); 2] = [(AddressFamily::Inet, false), (AddressFamily::Inet6, true)];

/// Reads everything from the namespace of the calling thread.
pub(crate) fn read() -> Result<Snapshot, Error> {
    let mut netlink = Netlink::open(NETLINK_ROUTE).map_err(|e| explain(e, "read the interfaces"))?;
    read_with(&mut netlink)
}

/// The same over a socket that is there.
pub(crate) fn read_with(netlink: &mut Netlink) -> Result<Snapshot, Error> {
    let mut snapshot = Snapshot::default();
    let links = RouteNetlinkMessage::GetLink(LinkMessage::default());
    for message in dump(netlink, links, "read the interfaces", &mut snapshot.unreadable)? {
        if let RouteNetlinkMessage::NewLink(link) = message {
            snapshot.interfaces.extend(interface(&link));
        }
    }
    snapshot.interfaces.sort_by_key(|interface| interface.index);
    let of_all = rp_filter("all");
    for interface in &mut snapshot.interfaces {
        interface.rp_filter = rp_filter(&interface.name).max(of_all);
    }
    let addresses = RouteNetlinkMessage::GetAddress(AddressMessage::default());
    for message in dump(netlink, addresses, "read the addresses", &mut snapshot.unreadable)? {
        let RouteNetlinkMessage::NewAddress(message) = message else { continue };
        let index = message.header.index;
        let owner = snapshot.interfaces.iter_mut().find(|interface| interface.index == index);
        if let (Some(owner), Some(address)) = (owner, address(&message)) {
            owner.addresses.push(address);
        }
    }
    for (family, ipv6) in FAMILIES {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        let question = RouteNetlinkMessage::GetRoute(message);
        for message in dump(netlink, question, "read the routes", &mut snapshot.unreadable)? {
            if let RouteNetlinkMessage::NewRoute(message) = message {
                snapshot.routes.extend(route(&message, ipv6));
            }
        }
    }
    for (family, ipv6) in FAMILIES {
        let mut message = RuleMessage::default();
        message.header.family = family;
        let question = RouteNetlinkMessage::GetRule(message);
        let answers = match dump(netlink, question, "read the routing rules", &mut snapshot.unreadable) {
            // A kernel without CONFIG_IP_MULTIPLE_TABLES has none.
            Err(Error::Refused { source, .. }) if source.raw_os_error() == Some(EOPNOTSUPP) => continue,
            other => other?,
        };
        for message in answers {
            if let RouteNetlinkMessage::NewRule(message) = message {
                snapshot.rules.push(rule(&message, ipv6));
            }
        }
    }
    Ok(snapshot)
}

fn rp_filter(name: &str) -> Option<u8> {
    let file = format!("/proc/sys/net/ipv4/conf/{name}/rp_filter");
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

// On all architectures but mips, parisc and sparc, where such a kernel's rules end in an error.
const EOPNOTSUPP: i32 = 95;

fn dump(
    netlink: &mut Netlink,
    message: RouteNetlinkMessage,
    doing: &'static str,
    unreadable: &mut usize,
) -> Result<Vec<RouteNetlinkMessage>, Error> {
    let dump = netlink.dump(message).map_err(|error| explain(error, doing))?;
    *unreadable += dump.unreadable;
    Ok(dump.messages)
}

/// An interface, without its addresses; `None` if the message has no name.
pub(crate) fn interface(message: &LinkMessage) -> Option<Interface> {
    let flags = message.header.flags;
    let mut interface = Interface {
        index: message.header.index,
        loopback: flags.contains(LinkFlags::Loopback),
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        ..Interface::default()
    };
    for attribute in &message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => interface.name.clone_from(name),
            LinkAttribute::Mtu(mtu) => interface.mtu = Some(*mtu),
            LinkAttribute::Controller(index) if *index != 0 => interface.controller = Some(*index),
            LinkAttribute::OperState(state) => interface.state = oper_state(*state),
            LinkAttribute::LinkInfo(infos) => {
                interface.kind = infos.iter().find_map(|info| match info {
                    LinkInfo::Kind(kind) => Some(kind.to_string()),
                    _ => None,
                });
            }
            _ => {}
        }
    }
    (!interface.name.is_empty()).then_some(interface)
}

const fn oper_state(state: State) -> OperState {
    match state {
        State::NotPresent => OperState::NotPresent,
        State::Down => OperState::Down,
        State::LowerLayerDown => OperState::LowerLayerDown,
        State::Testing => OperState::Testing,
        State::Dormant => OperState::Dormant,
        State::Up => OperState::Up,
        // Also what is newer than this.
        _ => OperState::Unknown,
    }
}

pub(crate) fn address(message: &AddressMessage) -> Option<Address> {
    let (mut local, mut remote) = (None, None);
    let mut flags = AddressFlags::from_bits_retain(u32::from(message.header.flags.bits()));
    for attribute in &message.attributes {
        match attribute {
            AddressAttribute::Local(address) => local = Some(*address),
            AddressAttribute::Address(address) => remote = Some(*address),
            // All of the header's, and those that don't fit there.
            AddressAttribute::Flags(all) => flags = *all,
            _ => {}
        }
    }
    // Of two, `Local` is ours and `Address` the other end's; IPv6 without a peer has `Address` alone.
    let own = local.or(remote)?;
    // One bit, two meanings: secondary for IPv4, temporary for IPv6.
    let first_bit = flags.contains(AddressFlags::Secondary);
    let duplicate = flags.contains(AddressFlags::Dadfailed);
    let optimistic = flags.contains(AddressFlags::Optimistic);
    Some(Address {
        peer: remote.filter(|remote| local.is_some() && *remote != own),
        scope: scope(message.header.scope),
        temporary: first_bit && own.is_ipv6(),
        secondary: first_bit && own.is_ipv4(),
        tentative: flags.contains(AddressFlags::Tentative) && !duplicate && !optimistic,
        deprecated: flags.contains(AddressFlags::Deprecated),
        duplicate,
        ..Address::new(own, message.header.prefix_len)
    })
}

fn scope(scope: AddressScope) -> Scope {
    match scope {
        AddressScope::Universe => Scope::Global,
        AddressScope::Site => Scope::Site,
        AddressScope::Link => Scope::Link,
        AddressScope::Host => Scope::Host,
        other => Scope::Other(other.into()),
    }
}

/// A route; `None` for the kernel's caches of routes, which aren't configured by anybody.
pub(crate) fn route(message: &RouteMessage, ipv6: bool) -> Option<Route> {
    let header = &message.header;
    if header.flags.contains(RouteFlags::Cloned) {
        return None;
    }
    let unspecified = unspecified(ipv6);
    let mut route = Route {
        table: u32::from(header.table),
        kind: route_kind(header.kind),
        destination: Prefix::new(unspecified, header.destination_prefix_length),
        source: (header.source_prefix_length != 0)
            .then_some(Prefix::new(unspecified, header.source_prefix_length)),
        protocol: header.protocol.into(),
        ..Route::default()
    };
    let mut single = Hop {
        dead: header.flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown),
        passed_by: header.flags.contains(RouteFlags::Dead),
        onlink: header.flags.contains(RouteFlags::Onlink),
        ..Hop::default()
    };
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Table(table) => route.table = *table,
            RouteAttribute::Priority(metric) => route.metric = *metric,
            RouteAttribute::Oif(index) => single.interface = Some(*index),
            RouteAttribute::Gateway(address) => single.gateway = ip(address),
            RouteAttribute::Via(via) => single.gateway = via_ip(via),
            RouteAttribute::PrefSource(address) => route.preferred_source = ip(address),
            RouteAttribute::Destination(address) => {
                route.destination.address = ip(address).unwrap_or(unspecified);
            }
            RouteAttribute::Source(address) => {
                if let (Some(source), Some(address)) = (&mut route.source, ip(address)) {
                    source.address = address;
                }
            }
            RouteAttribute::MultiPath(hops) => route.hops.extend(hops.iter().map(hop)),
            _ => {}
        }
    }
    if single.interface.is_some() || single.gateway.is_some() {
        route.hops.push(single);
    }
    Some(route)
}

fn hop(next: &RouteNextHop) -> Hop {
    let gateway = next.attributes.iter().find_map(|attribute| match attribute {
        RouteAttribute::Gateway(address) => ip(address),
        RouteAttribute::Via(via) => via_ip(via),
        _ => None,
    });
    Hop {
        interface: (next.interface_index != 0).then_some(next.interface_index),
        gateway,
        dead: next.flags.intersects(RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown),
        passed_by: next.flags.contains(RouteNextHopFlags::Dead),
        onlink: next.flags.contains(RouteNextHopFlags::Onlink),
    }
}

const fn route_kind(kind: RouteType) -> RouteKind {
    match kind {
        RouteType::Unicast => RouteKind::Unicast,
        RouteType::Local => RouteKind::Local,
        RouteType::Broadcast => RouteKind::Broadcast,
        RouteType::Multicast | RouteType::Anycast => RouteKind::Multicast,
        RouteType::BlackHole => RouteKind::Blackhole,
        RouteType::Unreachable => RouteKind::Unreachable,
        RouteType::Prohibit => RouteKind::Prohibit,
        RouteType::Throw => RouteKind::Throw,
        RouteType::Nat => RouteKind::Other(10),
        RouteType::ExternalResolve => RouteKind::Other(11),
        RouteType::Other(number) => RouteKind::Other(number),
        _ => RouteKind::Other(0),
    }
}

pub(crate) fn rule(message: &RuleMessage, ipv6: bool) -> Rule {
    let header = &message.header;
    let (mut table, mut target, mut mark, mut mask) = (u32::from(header.table), 0, None, u32::MAX);
    let mut rule = Rule {
        ipv6,
        inverted: header.flags.contains(RuleFlags::Invert),
        has_more: header.tos != 0,
        ..Rule::default()
    };
    for attribute in &message.attributes {
        match attribute {
            RuleAttribute::Priority(priority) => rule.priority = *priority,
            RuleAttribute::Table(number) => table = *number,
            RuleAttribute::Goto(priority) => target = *priority,
            RuleAttribute::Source(address) => rule.from = Some(Prefix::new(*address, header.src_len)),
            RuleAttribute::Destination(address) => rule.to = Some(Prefix::new(*address, header.dst_len)),
            RuleAttribute::Iifname(name) => rule.incoming_interface = Some(name.clone()),
            RuleAttribute::Oifname(name) => rule.outgoing_interface = Some(name.clone()),
            RuleAttribute::FwMark(number) => mark = Some(*number),
            RuleAttribute::FwMask(number) => mask = *number,
            // All bits set: none.
            RuleAttribute::SuppressPrefixLen(length) if *length != u32::MAX => {
                rule.suppress_prefix_length = Some(*length);
            }
            RuleAttribute::IpProtocol(_)
            | RuleAttribute::SourcePortRange(_)
            | RuleAttribute::DestinationPortRange(_)
            | RuleAttribute::UidRange(_) => rule.has_more = true,
            RuleAttribute::L3MDev(true) => (rule.vrf, rule.has_more) = (true, true),
            RuleAttribute::TunId(number) if *number != 0 => rule.has_more = true,
            _ => {}
        }
    }
    rule.mark = mark.filter(|&mark| mark != 0 || mask != 0).map(|mark| (mark, mask));
    rule.action = match header.action {
        rule::RuleAction::ToTable => RuleAction::Table(table),
        rule::RuleAction::Goto => RuleAction::Goto(target),
        rule::RuleAction::Nop => RuleAction::Nop,
        rule::RuleAction::Blackhole => RuleAction::Blackhole,
        rule::RuleAction::Unreachable => RuleAction::Unreachable,
        rule::RuleAction::Prohibit => RuleAction::Prohibit,
        other => RuleAction::Other(other.into()),
    };
    rule
}

const fn unspecified(ipv6: bool) -> IpAddr {
    if ipv6 { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { IpAddr::V4(Ipv4Addr::UNSPECIFIED) }
}

const fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(address) => Some(IpAddr::V4(*address)),
        RouteAddress::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}

const fn via_ip(via: &RouteVia) -> Option<IpAddr> {
    match via {
        RouteVia::Inet(address) => Some(IpAddr::V4(*address)),
        RouteVia::Inet6(address) => Some(IpAddr::V6(*address)),
        _ => None,
    }
}
