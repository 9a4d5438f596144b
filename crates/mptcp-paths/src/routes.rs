//! The ways out of this host: interfaces that have a default route.

use std::net::IpAddr;

use crate::tunnels::Undecided;
use crate::{Error, Interface, Route, Snapshot};

/// An interface with a default route in the main table: through it the rest of the world can be tried.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
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

impl WayOut {
    /// A tunnel as the way out, of both families as far as is known: what doesn't fit into it is not to leave elsewhere.
    fn of(tunnel: &Interface) -> Self {
        Self { interface: tunnel.name.clone(), index: tunnel.index, metric: 0, ipv4: true, ipv6: true }
    }
}

/// The interfaces with a default route and a carrier, in the kernel's order of preference; the tunnel alone where one takes
/// what the host sends to the world.
///
/// It is the network namespace of the calling thread that is read. Everyone may.
///
/// # Errors
/// [`Error::Unsupported`] elsewhere than on Linux; [`Error::Netlink`], [`Error::Refused`] or [`Error::Malformed`] if
/// the kernel's tables can't be read.
pub fn ways_out() -> Result<Vec<WayOut>, Error> {
    Ok(Snapshot::read()?.ways_out())
}

/// The interfaces through which this address may be tried: as [`ways_out`], but the tunnel alone where what is for this
/// address goes into one, and none where a tunnel is up and rules leave open what goes into it (`ip-rule(8)`: users, ports).
///
/// # Errors
/// Those of [`ways_out`].
pub fn ways_to(destination: IpAddr) -> Result<Vec<WayOut>, Error> {
    Ok(Snapshot::read()?.ways_to(destination))
}

impl Snapshot {
    /// As the function [`ways_out`], of this snapshot.
    #[must_use]
    pub fn ways_out(&self) -> Vec<WayOut> {
        self.tunnel().map_or_else(|| self.with_default_route(), |tunnel| vec![WayOut::of(tunnel)])
    }

    /// As the function [`ways_to`], of this snapshot.
    #[must_use]
    pub fn ways_to(&self, destination: IpAddr) -> Vec<WayOut> {
        match self.tunnel_to(destination) {
            Ok(Some(tunnel)) => vec![WayOut::of(tunnel)],
            Ok(None) => self.with_default_route(),
            Err(Undecided) => Vec::new(),
        }
    }

    fn with_default_route(&self) -> Vec<WayOut> {
        let mut ways: Vec<WayOut> = Vec::new();
        let defaults = self.routes.iter().filter(|route| route.table == Route::MAIN && route.is_default());
        for route in defaults {
            for index in route.hops.iter().filter_map(|hop| hop.interface) {
                let (ipv4, ipv6) = (route.destination.address.is_ipv4(), route.destination.address.is_ipv6());
                if let Some(way) = ways.iter_mut().find(|way| way.index == index) {
                    way.metric = way.metric.min(route.metric);
                    way.ipv4 |= ipv4;
                    way.ipv6 |= ipv6;
                    continue;
                }
                let interface = self.interface(index).filter(|interface| interface.up && interface.carrier);
                if let Some(interface) = interface {
                    let interface = interface.name.clone();
                    ways.push(WayOut { interface, index, metric: route.metric, ipv4, ipv6 });
                }
            }
        }
        ways.sort_by_key(|way| way.metric);
        ways
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hop, Prefix, Rule, RuleAction};

    const WIFI: u32 = 2;
    const LTE: u32 = 3;
    const TUNNEL: u32 = 4;

    fn route(destination: Prefix, interface: u32, metric: u32) -> Route {
        let hop = Hop { interface: Some(interface), ..Hop::default() };
        Route { destination, metric, table: Route::MAIN, hops: vec![hop], ..Route::default() }
    }

    fn everywhere() -> Prefix {
        Prefix::new(IpAddr::from([0; 4]), 0)
    }

    fn host() -> Snapshot {
        let interface = |index, name: &str, kind: Option<&str>| Interface {
            index,
            name: name.into(),
            up: true,
            carrier: true,
            kind: kind.map(Into::into),
            ..Interface::default()
        };
        Snapshot {
            interfaces: vec![
                interface(WIFI, "wifi", None),
                interface(LTE, "lte", None),
                interface(TUNNEL, "vpn", Some("tun")),
            ],
            routes: vec![route(everywhere(), WIFI, 100), route(everywhere(), LTE, 200)],
            ..Snapshot::default()
        }
    }

    fn names(ways: Vec<WayOut>) -> Vec<String> {
        ways.into_iter().map(|way| way.interface).collect()
    }

    #[test]
    fn a_tunnel_that_takes_all_is_the_only_way_out() {
        let mut host = host();
        assert_eq!(names(host.ways_out()), ["wifi", "lte"]);
        // OpenVPN's two halves.
        host.routes.push(route(Prefix::new(IpAddr::from([0; 4]), 1), TUNNEL, 0));
        host.routes.push(route(Prefix::new(IpAddr::from([128, 0, 0, 0]), 1), TUNNEL, 0));
        assert_eq!(names(host.ways_out()), ["vpn"]);
        assert_eq!(names(host.ways_to(IpAddr::from([203, 0, 113, 7]))), ["vpn"]);
    }

    #[test]
    fn what_is_for_a_tunnel_to_somewhere_goes_nowhere_else() {
        let mut host = host();
        host.routes.push(route(Prefix::new(IpAddr::from([10, 8, 0, 0]), 16), TUNNEL, 0));
        assert_eq!(names(host.ways_to(IpAddr::from([10, 8, 1, 1]))), ["vpn"]);
        assert_eq!(names(host.ways_to(IpAddr::from([203, 0, 113, 7]))), ["wifi", "lte"]);
        assert_eq!(names(host.ways_out()), ["wifi", "lte"]);
    }

    #[test]
    fn marks_of_other_programs_are_no_tunnel_and_users_leave_it_open() {
        let mut host = host();
        host.routes.push(Route { table: 77, ..route(everywhere(), TUNNEL, 0) });
        let rule = |priority, table| Rule { priority, action: RuleAction::Table(table), ..Rule::default() };
        host.rules = vec![Rule { mark: Some((1, 1)), ..rule(10, 77) }, rule(32_766, Route::MAIN)];
        let world = IpAddr::from([203, 0, 113, 7]);
        assert_eq!(names(host.ways_to(world)), ["wifi", "lte"]);
        // As wg-quick does it: all but what the tunnel itself sends.
        host.rules[0].inverted = true;
        assert_eq!(names(host.ways_to(world)), ["vpn"]);
        host.rules[0] = Rule { has_more: true, ..rule(10, 77) };
        assert_eq!(host.ways_to(world), []);
        host.interfaces.pop();
        assert_eq!(names(host.ways_to(world)), ["wifi", "lte"]);
    }
}
