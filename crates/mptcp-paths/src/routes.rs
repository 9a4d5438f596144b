//! The ways out of this host: interfaces that have a default route, read over rtnetlink.

use crate::Error;

/// An interface with a default route in the main table: through it the rest of the world can be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct WayOut {
    /// The interface's name.
    pub interface: String,
    /// The interface's index.
    pub index: u32,
    /// The best metric of its default routes: the kernel prefers the lowest.
    pub metric: u32,
    /// Whether it has an IPv4 default route.
    pub ipv4: bool,
    /// Whether it has an IPv6 default route.
    pub ipv6: bool,
}

/// The interfaces with a default route and a carrier, in the kernel's order of preference.
///
/// It is the network namespace of the calling thread that is read. Everyone may.
///
/// # Errors
/// [`Error::Unsupported`] elsewhere than on Linux; [`Error::Netlink`], [`Error::Refused`] or [`Error::Malformed`] if
/// the kernel's tables can't be read.
pub fn ways_out() -> Result<Vec<WayOut>, Error> {
    imp::ways_out()
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod imp {
    pub(super) fn ways_out() -> Result<Vec<super::WayOut>, crate::Error> {
        Err(crate::Error::Unsupported)
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
mod imp {
    use netlink_packet_core::NLM_F_DUMP;
    use netlink_packet_route::{
        AddressFamily, RouteNetlinkMessage,
        link::{LinkAttribute, LinkFlags, LinkMessage},
        route::{RouteAttribute, RouteHeader, RouteMessage, RouteType},
    };
    use netlink_sys::protocols::NETLINK_ROUTE;

    use super::WayOut;
    use crate::{Error, netlink, netlink::Netlink};

    pub(super) fn ways_out() -> Result<Vec<WayOut>, Error> {
        let mut rtnl = Netlink::open(NETLINK_ROUTE).map_err(|e| failed("read the routes", e))?;
        let mut ways = Vec::new();
        for (family, ipv6) in [(AddressFamily::Inet, false), (AddressFamily::Inet6, true)] {
            let mut message = RouteMessage::default();
            message.header.address_family = family;
            let routes = rtnl
                .request(RouteNetlinkMessage::GetRoute(message), NLM_F_DUMP)
                .map_err(|e| failed("read the routes", e))?;
            for route in routes {
                if let RouteNetlinkMessage::NewRoute(route) = route {
                    collect(&route, ipv6, &mut ways);
                }
            }
        }
        let links = rtnl
            .request(RouteNetlinkMessage::GetLink(LinkMessage::default()), NLM_F_DUMP)
            .map_err(|e| failed("read the interfaces", e))?;
        for link in links {
            let RouteNetlinkMessage::NewLink(link) = link else { continue };
            if !link.header.flags.contains(LinkFlags::Up | LinkFlags::LowerUp) {
                continue;
            }
            let name = link.attributes.into_iter().find_map(|attribute| match attribute {
                LinkAttribute::IfName(name) => Some(name),
                _ => None,
            });
            if let (Some(name), Some(way)) =
                (name, ways.iter_mut().find(|way| way.index == link.header.index))
            {
                way.interface = name;
            }
        }
        // Without a name: without a carrier, or gone between the two looks.
        ways.retain(|way| !way.interface.is_empty());
        ways.sort_by_key(|way| way.metric);
        Ok(ways)
    }

    /// Notes the interfaces of a default route.
    fn collect(route: &RouteMessage, ipv6: bool, ways: &mut Vec<WayOut>) {
        let header = &route.header;
        if header.destination_prefix_length != 0 || header.kind != RouteType::Unicast {
            return;
        }
        let (mut table, mut metric) = (u32::from(header.table), 0);
        let mut indexes = Vec::new();
        for attribute in &route.attributes {
            match attribute {
                RouteAttribute::Table(number) => table = *number,
                RouteAttribute::Priority(number) => metric = *number,
                RouteAttribute::Oif(index) => indexes.push(*index),
                RouteAttribute::MultiPath(hops) => indexes.extend(hops.iter().map(|hop| hop.interface_index)),
                _ => {}
            }
        }
        if table != u32::from(RouteHeader::RT_TABLE_MAIN) {
            return;
        }
        for index in indexes {
            match ways.iter_mut().find(|way| way.index == index) {
                Some(way) => {
                    way.metric = way.metric.min(metric);
                    way.ipv4 |= !ipv6;
                    way.ipv6 |= ipv6;
                }
                None => {
                    ways.push(WayOut { interface: String::new(), index, metric, ipv4: !ipv6, ipv6 });
                }
            }
        }
    }

    fn failed(doing: &'static str, error: netlink::Error) -> Error {
        match error {
            netlink::Error::Socket(source) => Error::Netlink(source),
            netlink::Error::Refused { source, message } => Error::Refused { doing, source, message },
            netlink::Error::Malformed(what) => Error::Malformed(what),
        }
    }
}
