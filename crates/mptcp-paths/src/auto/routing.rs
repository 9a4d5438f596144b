//! Routing by source: what an address needs where reverse paths are filtered strictly, and whether the host still has it.

use std::fmt;
use std::net::IpAddr;

use super::plan::Owned;
use super::want::{Wanted, has_source_routing, way_out};
use crate::{Prefix, Route, Rule, RuleAction, Snapshot};

/// Where the tables of [`SourceRouting`] begin: far from the numbers that people choose.
const FIRST_TABLE: u32 = 0x6d70_0000;
/// The priorities of the two rules of [`SourceRouting`], before the main table's 32766.
const RULE_PRIORITY: u32 = 32_100;

/// Routes and rules that let what comes from an address leave through its interface, in both directions of the kernel's
/// reverse path filter: a table with one default route, a rule that sends the address there, and one before it that
/// prefers the main table's more precise routes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct SourceRouting {
    /// The address.
    pub address: IpAddr,
    /// The index of the interface.
    pub interface: u32,
    /// The router, of either family (RFC 8950); `None` where there is none on the link.
    pub gateway: Option<IpAddr>,
    /// Whether the router is taken to be on the link, whatever the subnets say.
    pub onlink: bool,
    /// The number of the table.
    pub table: u32,
    /// The priority of the first of the two rules; the second comes right after it.
    pub priority: u32,
}

impl fmt::Display for SourceRouting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "routing of what comes from {}: table {}", self.address, self.table)?;
        self.gateway.map_or(Ok(()), |gateway| write!(f, ", via {gateway}"))
    }
}

impl SourceRouting {
    /// Its two rules, in the order in which the kernel asks them: the main table's routes but its default ones; then the
    /// address's own table.
    pub(crate) fn rules(&self) -> [Rule; 2] {
        let rule = |priority, table, suppress_prefix_length| Rule {
            ipv6: self.address.is_ipv6(),
            priority,
            from: Some(Prefix::host(self.address)),
            action: RuleAction::Table(table),
            suppress_prefix_length,
            ..Rule::default()
        };
        [rule(self.priority, Route::MAIN, Some(0)), rule(self.priority.saturating_add(1), self.table, None)]
    }

    /// Whether the host has its route.
    fn has_route(&self, host: &Snapshot) -> bool {
        host.routes.iter().any(|route| {
            route.table == self.table
                && route.is_default()
                && route.destination.address.is_ipv6() == self.address.is_ipv6()
                && route.hops.iter().any(|hop| {
                    (hop.interface, hop.gateway, hop.onlink)
                        == (Some(self.interface), self.gateway, self.onlink)
                })
        })
    }

    /// Whether the host has all of it: links that go take routes along, and other programs clear rules away.
    fn is_whole(&self, host: &Snapshot) -> bool {
        self.has_route(host) && self.has_rules(host)
    }

    /// Whether the host has both of its rules.
    pub(super) fn has_rules(&self, host: &Snapshot) -> bool {
        self.rules().iter().all(|rule| host.rules.contains(rule))
    }

    /// Whether the host has any of it.
    pub(super) fn is_there(&self, host: &Snapshot) -> bool {
        self.has_route(host) || self.rules().iter().any(|rule| host.rules.contains(rule))
    }

    /// Whether deleting one takes from the other: they share rules, or a table.
    fn overlaps(&self, other: &Self) -> bool {
        self.address == other.address || self.table == other.table
    }
}

/// What to do about routings.
#[derive(Debug, Default)]
pub(super) struct Rerouting {
    /// To delete before anything is added: what is new stands in their place.
    pub(super) replaced: Vec<SourceRouting>,
    /// To add.
    pub(super) new: Vec<SourceRouting>,
    /// To delete in the end, when their paths are closed.
    pub(super) old: Vec<SourceRouting>,
}

/// What to do so that these addresses have the routings they need.
pub(super) fn reroute(owned: &Owned, host: &Snapshot, targets: &[&Wanted]) -> Rerouting {
    let needed: Vec<_> = targets.iter().filter_map(|target| routing(owned, host, target)).collect();
    let old = owned.routings.iter().filter(|routing| !needed.contains(routing)).cloned();
    let (replaced, old): (Vec<_>, Vec<_>) =
        old.partition(|old| needed.iter().any(|routing| routing.overlaps(old)));
    let is_new = |routing: &SourceRouting| {
        !owned.routings.contains(routing)
            || !routing.is_whole(host)
            || replaced.iter().any(|old| routing.overlaps(old))
    };
    let new = needed.into_iter().filter(is_new).collect();
    Rerouting { replaced, new, old }
}

/// The routing that an address needs: where the interface filters reverse paths strictly (RFC 3704; there is no such filter
/// for IPv6), answers from the world would be dropped, unless the way back is through it too.
fn routing(owned: &Owned, host: &Snapshot, target: &Wanted) -> Option<SourceRouting> {
    let interface = host.interface(target.interface)?;
    let way = way_out(owned, host, interface, target.address)?;
    let mut ours = owned.routings.iter();
    let ours = ours.any(|routing| routing.address == target.address && routing.interface == target.interface);
    let strict = target.address.is_ipv4() && interface.rp_filter == Some(1);
    if !strict || way.table != Route::MAIN || (!ours && has_source_routing(host, interface, target.address)) {
        return None;
    }
    let best = host
        .routes
        .iter()
        .filter(|route| route.table == Route::MAIN && route.is_default())
        // A route without its carrier is still the kernel's choice.
        .filter(|route| route.destination.address.is_ipv4() && route.hops.iter().any(|hop| !hop.passed_by))
        .min_by_key(|route| route.metric)?;
    if best.leaves_through(interface.index) {
        return None;
    }
    let hop = way.hops.iter().find(|hop| hop.interface == Some(interface.index) && !hop.dead)?;
    Some(SourceRouting {
        address: target.address,
        interface: interface.index,
        gateway: hop.gateway,
        onlink: hop.onlink,
        table: FIRST_TABLE.saturating_add(interface.index),
        priority: RULE_PRIORITY,
    })
}
