//! Which way a packet takes: the kernel's rules and routes, asked on paper.

use std::net::IpAddr;

use crate::{Route, RouteKind, Rule, RuleAction, Snapshot};

/// The answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Out through the interface with this index, to this router if there is one.
    Through(u32, Option<IpAddr>),
    /// It is for this host.
    Local,
    /// No route: an error for the sender.
    None,
    /// The rules ask for something that can't be known here: marks, users, ports.
    Unknown,
}

impl Way {
    pub(crate) fn interface(self) -> Option<u32> {
        match self {
            Way::Through(index, _) => Some(index),
            _ => None,
        }
    }
}

/// The way of a packet from `source` to `destination`, of a socket that is bound to the interface with the index
/// `bound`, if it is (`ip-rule(8)`, `ip-route(8)`).
pub(crate) fn way(snapshot: &Snapshot, source: IpAddr, destination: IpAddr, bound: Option<u32>) -> Way {
    let ipv6 = destination.is_ipv6();
    let mut least = 0;
    let mut rules: Vec<&Rule> = snapshot.rules.iter().filter(|rule| rule.ipv6 == ipv6).collect();
    rules.sort_by_key(|rule| rule.priority);
    let plain = [Route::LOCAL, Route::MAIN].map(|table| Rule {
        ipv6,
        action: RuleAction::Table(table),
        ..Rule::default()
    });
    if rules.is_empty() {
        // A kernel without rules has these two tables.
        rules.extend(&plain);
    }
    for rule in rules {
        if rule.priority < least {
            continue;
        }
        match matches(snapshot, rule, source, destination, bound) {
            Some(true) => {}
            Some(false) => continue,
            None => return Way::Unknown,
        }
        match rule.action {
            RuleAction::Table(table) => {
                let suppressed = rule.suppress_prefix_length;
                match in_table(snapshot, table, destination, bound) {
                    Some(route)
                        if suppressed.is_some_and(|most| u32::from(route.destination.length) <= most) => {}
                    Some(route) => match route.kind {
                        RouteKind::Unicast => {
                            let hop = route.hops.iter().find(|hop| {
                                !hop.passed_by && bound.is_none_or(|index| hop.interface == Some(index))
                            });
                            if let Some((index, hop)) = hop.and_then(|hop| Some((hop.interface?, hop))) {
                                return Way::Through(index, hop.gateway);
                            }
                        }
                        RouteKind::Local => return Way::Local,
                        RouteKind::Throw => {}
                        _ => return Way::None,
                    },
                    None => {}
                }
            }
            RuleAction::Goto(priority) => least = priority,
            RuleAction::Nop => {}
            _ => return Way::None,
        }
    }
    Way::None
}

/// Whether a rule is for such a packet; `None` if that can't be known.
fn matches(
    snapshot: &Snapshot,
    rule: &Rule,
    source: IpAddr,
    destination: IpAddr,
    bound: Option<u32>,
) -> Option<bool> {
    let from = rule.from.is_none_or(|prefix| prefix.is_everything() || prefix.contains(source));
    let to = rule.to.is_none_or(|prefix| prefix.is_everything() || prefix.contains(destination));
    let out = rule.outgoing_interface.as_deref().is_none_or(|name| {
        bound.and_then(|index| snapshot.interface(index)).is_some_and(|interface| interface.name == name)
    });
    // The host's own packets come in through "lo".
    let incoming = rule.incoming_interface.as_deref().is_none_or(|name| name == "lo");
    // Sockets have no mark unless their program sets one.
    let mark = rule.mark.is_none_or(|(mark, mask)| mark & mask == 0);
    let in_vrf = |index| {
        snapshot
            .interface(index)
            .is_some_and(|own| own.controller.is_some() || own.kind.as_deref() == Some("vrf"))
    };
    // The rule that stands where VRFs are used is nothing to other sockets, whatever else it asks for.
    let vrf = !rule.vrf || bound.is_some_and(in_vrf);
    let all = from && to && out && incoming && mark && vrf;
    if rule.has_more && all { None } else { Some(all != rule.inverted) }
}

/// The best route of a table: the longest prefix, then the lowest metric.
fn in_table(snapshot: &Snapshot, table: u32, destination: IpAddr, bound: Option<u32>) -> Option<&Route> {
    let usable = |route: &&Route| {
        let ways = || {
            let mut hops = route.hops.iter().filter(|hop| !hop.passed_by);
            hops.any(|hop| bound.is_none_or(|index| hop.interface == Some(index)))
        };
        let family = route.destination.address.is_ipv4() == destination.is_ipv4();
        let leads = route.destination.is_everything() || route.destination.contains(destination);
        route.table == table && family && leads && (route.kind != RouteKind::Unicast || ways())
    };
    snapshot
        .routes
        .iter()
        .filter(usable)
        .min_by_key(|route| (u8::MAX - route.destination.length, route.metric))
}

/// The best router on an interface that any table knows, for packets of this family to anywhere.
pub(super) fn router(snapshot: &Snapshot, interface: u32, ipv4: bool) -> Option<IpAddr> {
    let defaults = snapshot.routes.iter().filter(|route| route.is_default());
    let of_family = defaults.filter(|route| route.destination.address.is_ipv4() == ipv4);
    let hops = of_family.flat_map(|route| route.hops.iter().map(move |hop| (route.metric, hop)));
    let here = hops.filter(|(_, hop)| hop.interface == Some(interface));
    here.filter_map(|(metric, hop)| Some((metric, hop.gateway?))).min().map(|(_, gateway)| gateway)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::tests::{LTE, WIFI, two_links, v4};

    #[test]
    fn the_source_chooses_the_link_where_rules_say_so() {
        let mut host = two_links();
        let world = v4(198, 51, 100, 1);
        let from = |host: &Snapshot, link| way(host, v4(10, link, 0, 1), world, None);
        assert_eq!(from(&host, 1), Way::Through(WIFI, Some(v4(10, 1, 0, 2))));
        assert_eq!(from(&host, 2), Way::Through(LTE, Some(v4(10, 2, 0, 2))));
        host.rules.retain(|rule| rule.from.is_none());
        assert_eq!(from(&host, 2), Way::Through(WIFI, Some(v4(10, 1, 0, 2))));
    }

    #[test]
    fn a_bound_socket_takes_its_interface_or_none() {
        let mut host = two_links();
        host.rules.retain(|rule| rule.from.is_none());
        let (source, world) = (v4(10, 2, 0, 1), v4(198, 51, 100, 1));
        assert_eq!(way(&host, source, world, Some(LTE)), Way::Through(LTE, Some(v4(10, 2, 0, 2))));
        host.routes.retain(|route| !(route.is_default() && route.leaves_through(LTE)));
        assert_eq!(way(&host, source, world, Some(LTE)), Way::None);
        assert_eq!(way(&host, source, v4(10, 2, 0, 2), Some(LTE)), Way::Through(LTE, None));
    }

    #[test]
    fn a_route_without_its_carrier_is_chosen_unless_the_kernel_is_told_otherwise() {
        let mut host = two_links();
        host.rules.retain(|rule| rule.from.is_none());
        let (source, world) = (v4(10, 2, 0, 1), v4(198, 51, 100, 1));
        let hops = |host: &mut Snapshot, set: fn(&mut crate::Hop)| {
            let hops = host.routes.iter_mut().flat_map(|route| &mut route.hops);
            hops.filter(|hop| hop.interface == Some(WIFI)).for_each(set);
        };
        hops(&mut host, |hop| hop.dead = true);
        assert_eq!(way(&host, source, world, None).interface(), Some(WIFI));
        hops(&mut host, |hop| hop.passed_by = true);
        assert_eq!(way(&host, source, world, None).interface(), Some(LTE));
    }

    #[test]
    fn rules_about_users_are_not_guessed_at() {
        let mut host = two_links();
        host.rules.push(Rule { priority: 1, has_more: true, ..Rule::default() });
        assert_eq!(way(&host, v4(10, 1, 0, 1), v4(198, 51, 100, 1), None), Way::Unknown);
    }

    #[test]
    fn the_rule_for_vrfs_is_for_sockets_in_one() {
        let mut host = two_links();
        host.rules.push(Rule { priority: 1, vrf: true, has_more: true, ..Rule::default() });
        let (source, world) = (v4(10, 2, 0, 1), v4(198, 51, 100, 1));
        assert_eq!(way(&host, source, world, None), Way::Through(LTE, Some(v4(10, 2, 0, 2))));
        assert_eq!(way(&host, source, world, Some(LTE)), Way::Through(LTE, Some(v4(10, 2, 0, 2))));
        host.interfaces[1].controller = Some(9);
        assert_eq!(way(&host, source, world, Some(LTE)), Way::Unknown);
        assert_eq!(way(&host, source, world, None), Way::Through(LTE, Some(v4(10, 2, 0, 2))));
    }

    #[test]
    fn a_router_is_found_in_any_table() {
        let mut host = two_links();
        host.routes.retain(|route| !(route.table == Route::MAIN && route.leaves_through(LTE)));
        assert_eq!(router(&host, LTE, true), Some(v4(10, 2, 0, 2)));
        assert_eq!(router(&host, LTE, false), None);
    }
}
