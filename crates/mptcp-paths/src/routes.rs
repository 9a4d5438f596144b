//! The ways out of this host: interfaces that have a default route.

use crate::{Error, Route, Snapshot};

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

/// The interfaces with a default route and a carrier, in the kernel's order of preference.
///
/// It is the network namespace of the calling thread that is read. Everyone may.
///
/// # Errors
/// [`Error::Unsupported`] elsewhere than on Linux; [`Error::Netlink`], [`Error::Refused`] or [`Error::Malformed`] if
/// the kernel's tables can't be read.
pub fn ways_out() -> Result<Vec<WayOut>, Error> {
    Ok(Snapshot::read()?.ways_out())
}

impl Snapshot {
    /// The interfaces with a default route in the main table and a carrier, in the kernel's order of preference.
    #[must_use]
    pub fn ways_out(&self) -> Vec<WayOut> {
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
