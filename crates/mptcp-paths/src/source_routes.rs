//! Tables and rules for what comes from one address: made and deleted over rtnetlink.

use std::net::IpAddr;

use netlink_packet_core::{NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteScope, RouteType, RouteVia,
};
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

use crate::Error;
use crate::auto::SourceRouting;
use crate::manager::explain;
use crate::netlink::{self, Netlink};

// What deleting says of what has gone already: with its address, its interface.
const GONE: [i32; 4] = [2, 3, 19, 99]; // ENOENT, ESRCH, ENODEV, EADDRNOTAVAIL
const EEXIST: i32 = 17;

/// Makes and deletes [`SourceRouting`]s in the network namespace of the thread that opened it.
#[derive(Debug)]
pub(crate) struct SourceRoutes {
    netlink: Netlink,
}

impl SourceRoutes {
    pub(crate) fn open() -> Result<Self, Error> {
        let netlink = Netlink::open(NETLINK_ROUTE).map_err(|error| explain(error, "change the routes"))?;
        Ok(Self { netlink })
    }

    /// The route first, so that no packet meets a rule without it.
    pub(crate) fn add(&mut self, routing: &SourceRouting) -> Result<(), Error> {
        let route = RouteNetlinkMessage::NewRoute(route_message(routing));
        self.request(route, NLM_F_CREATE | NLM_F_REPLACE, &[])?;
        for rule in rules(routing) {
            self.request(RouteNetlinkMessage::NewRule(rule), NLM_F_CREATE | NLM_F_EXCL, &[EEXIST])?;
        }
        Ok(())
    }

    /// All of it, also if a part can't be deleted; the error is that of the first that can't.
    pub(crate) fn delete(&mut self, routing: &SourceRouting) -> Result<(), Error> {
        let rules = rules(routing).map(RouteNetlinkMessage::DelRule);
        let route = RouteNetlinkMessage::DelRoute(route_message(routing));
        let mut outcome = Ok(());
        for message in rules.into_iter().chain([route]) {
            outcome = outcome.and(self.request(message, 0, &GONE));
        }
        outcome
    }

    fn request(&mut self, message: RouteNetlinkMessage, flags: u16, fine: &[i32]) -> Result<(), Error> {
        match self.netlink.request(message, flags) {
            Err(netlink::Error::Refused { source, .. })
                if source.raw_os_error().is_some_and(|number| fine.contains(&number)) =>
            {
                Ok(())
            }
            other => other.map(drop).map_err(|error| explain(error, "change the routes")),
        }
    }
}

fn family(address: IpAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn route_message(routing: &SourceRouting) -> RouteMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family(routing.address);
    message.header.protocol = RouteProtocol::Static;
    message.header.kind = RouteType::Unicast;
    message.header.scope = if routing.gateway.is_some() { RouteScope::Universe } else { RouteScope::Link };
    message.attributes = vec![
        RouteAttribute::Table(routing.table),
        RouteAttribute::Oif(routing.interface),
        RouteAttribute::PrefSource(routing.address.into()),
    ];
    if routing.onlink {
        message.header.flags |= RouteFlags::Onlink;
    }
    message.attributes.extend(routing.gateway.map(|gateway| match gateway {
        IpAddr::V6(gateway) if routing.address.is_ipv4() => RouteAttribute::Via(RouteVia::Inet6(gateway)),
        gateway => RouteAttribute::Gateway(gateway.into()),
    }));
    message
}

fn rules(routing: &SourceRouting) -> [RuleMessage; 2] {
    routing.rules().map(|rule| {
        let mut message = RuleMessage::default();
        message.header.family = family(routing.address);
        message.header.action = RuleAction::ToTable;
        message.attributes.push(RuleAttribute::Priority(rule.priority));
        if let Some(from) = rule.from {
            message.header.src_len = from.length;
            message.attributes.push(RuleAttribute::Source(from.address));
        }
        if let crate::RuleAction::Table(table) = rule.action {
            message.attributes.push(RuleAttribute::Table(table));
        }
        message.attributes.extend(rule.suppress_prefix_length.map(RuleAttribute::SuppressPrefixLen));
        message
    })
}
