//! Which of an interface's addresses connections show.

use std::cmp::Reverse;
use std::net::IpAddr;

use crate::{Address, Interface, Snapshot};

impl Address {
    /// How good it is as a source, best least; `preferred` is that of the route.
    pub(crate) fn rank(&self, preferred: Option<IpAddr>) -> impl Ord + use<> {
        (
            preferred != Some(self.address),
            // Unique local addresses seldom lead anywhere (RFC 4193).
            matches!(self.address, IpAddr::V6(v6) if v6.is_unique_local()),
            self.secondary,
            // As connections without an endpoint would: the address that was made to be shown.
            Reverse(self.temporary),
        )
    }
}

impl Snapshot {
    /// The address of an interface that its connections to the world show: the preferred source of its best default route,
    /// else not a unique local address (RFC 4193) if there is another, and a temporary one where there is any (RFC 8981).
    /// `None` without one that reaches further than the link.
    #[must_use]
    pub fn source_of(&self, interface: &Interface, ipv6: bool) -> Option<IpAddr> {
        let routes = self.default_routes(interface.index);
        let route = routes.iter().find(|route| route.destination.address.is_ipv6() == ipv6);
        let preferred = route.and_then(|route| route.preferred_source);
        let own = interface.usable_addresses().filter(|own| own.address.is_ipv6() == ipv6);
        own.min_by_key(|own| own.rank(preferred)).map(|own| own.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Hop, Route};

    #[test]
    fn a_source_is_the_preferred_one_and_a_local_one_last() {
        let address = |text: &str| Address::new(text.parse().unwrap(), 64);
        let interface = Interface {
            index: 2,
            addresses: vec![
                address("192.0.2.1"),
                address("192.0.2.2"),
                address("fd00::1"),
                address("2001:db8::1"),
                Address { temporary: true, ..address("fd00::2") },
            ],
            ..Interface::default()
        };
        let mut host = Snapshot { interfaces: vec![interface.clone()], ..Snapshot::default() };
        let source = |host: &Snapshot, ipv6| host.source_of(&interface, ipv6).map(|own| own.to_string());
        assert_eq!(source(&host, false).as_deref(), Some("192.0.2.1"));
        assert_eq!(source(&host, true).as_deref(), Some("2001:db8::1"));
        let hops = vec![Hop { interface: Some(2), ..Hop::default() }];
        let preferred_source = Some("192.0.2.2".parse().unwrap());
        host.routes.push(Route { hops, preferred_source, ..Route::default() });
        assert_eq!(source(&host, false).as_deref(), Some("192.0.2.2"));
        assert_eq!(host.source_of(&Interface::default(), false), None);
    }
}
