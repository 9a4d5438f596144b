//! Which of the host's addresses should be endpoints, and why the others should not.

use std::fmt;
use std::net::IpAddr;

use super::plan::{Options, Owned};
use crate::{Address, Interface, Prefix, Route, Rule, RuleAction, Snapshot};

/// Kinds of interfaces that mostly belong to networks inside of the host (`docker0`, `virbr0`), as the kernel names them.
const INSIDE: [&str; 3] = ["bridge", "dummy", "veth"];

/// An address that should be an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) address: IpAddr,
    pub(super) interface: u32,
    pub(super) name: String,
    pub(super) backup: bool,
    /// Of the default route that it leaves through; lower is better.
    metric: u32,
}

/// An interface that gets no endpoint, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Note {
    /// The interface.
    pub interface: String,
    /// The address in question, if it is about one.
    pub address: Option<IpAddr>,
    /// Why.
    pub why: Why,
}

/// Why an interface or an address gets no endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Why {
    /// It has no carrier, or waits for something.
    NoCarrier,
    /// No default route leads out through it, and no gateway is made up for it.
    NoWayOut,
    /// No default route leads out through it, and as a rule none should: it looks like a network inside of this host, of
    /// containers or virtual machines.
    Inside,
    /// The host's traffic goes into this tunnel, and paths from the address would go around it.
    AroundTunnel(String),
    /// Somebody else has made an endpoint of this address.
    HeldByOther,
    /// The kernel takes no more endpoints.
    Full,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.interface)?;
        if let Some(address) = self.address {
            write!(f, " {address}")?;
        }
        match &self.why {
            Why::NoCarrier => f.write_str(": no carrier"),
            Why::NoWayOut => write!(
                f,
                ": no default route; give it one (ip route add default via GATEWAY dev {} metric 1000)",
                self.interface
            ),
            Why::Inside => f.write_str(": no default route, as networks inside of this host have none"),
            Why::AroundTunnel(tunnel) => {
                write!(f, ": left alone, since the host's traffic goes through the tunnel {tunnel}")
            }
            Why::HeldByOther => f.write_str(": has an endpoint of somebody else's, which is left alone"),
            Why::Full => f.write_str(": the kernel takes no more endpoints"),
        }
    }
}

/// The addresses to use: the best of IPv4, the best of IPv6, then the others of either, best way out first; and the interfaces that are of no use.
pub(super) fn wanted(options: &Options, owned: &Owned, host: &Snapshot) -> (Vec<Wanted>, Vec<Note>) {
    let (mut wanted, mut notes) = (Vec::new(), Vec::new());
    let tunnel = host.tunnel();
    for interface in &host.interfaces {
        // What belongs to a bridge, bond or VRF is not a way out of its own.
        if interface.loopback || !interface.up || interface.controller.is_some() {
            continue;
        }
        if interface.usable_addresses().next().is_none() {
            continue;
        }
        let mut note = |address, why| notes.push(Note { interface: interface.name.clone(), address, why });
        if !interface.is_usable() {
            note(None, Why::NoCarrier);
            continue;
        }
        let mut found = false;
        for ipv6 in [false, true] {
            let Some((address, metric)) = choose(owned, host, interface, ipv6) else { continue };
            found = true;
            match tunnel {
                Some(tunnel) if !interface.is_tunnel() => {
                    note(Some(address), Why::AroundTunnel(tunnel.name.clone()));
                }
                _ => wanted.push(Wanted {
                    address,
                    interface: interface.index,
                    name: interface.name.clone(),
                    backup: options.backup.contains(&interface.name),
                    metric,
                }),
            }
        }
        if !found {
            let inside = interface.kind.as_deref().is_some_and(|kind| INSIDE.contains(&kind));
            note(None, if inside { Why::Inside } else { Why::NoWayOut });
        }
    }
    wanted.sort_by_key(|wanted| (wanted.address.is_ipv6(), wanted.metric, wanted.interface));
    // Where there isn't room for all, no family goes without.
    if let Some(first) = wanted.iter().position(|wanted| wanted.address.is_ipv6()).filter(|first| *first > 1)
    {
        let best = wanted.remove(first);
        wanted.insert(1, best);
    }
    (wanted, notes)
}

/// The address of an interface that paths of one family come from, and the metric of its way out.
fn choose(owned: &Owned, host: &Snapshot, interface: &Interface, ipv6: bool) -> Option<(IpAddr, u32)> {
    let candidates: Vec<(&Address, &Route)> = interface
        .usable_addresses()
        .filter(|own| own.address.is_ipv6() == ipv6)
        .filter_map(|own| Some((own, way_out(owned, host, interface, own.address)?)))
        .collect();
    // Addresses come and go; the paths from one that works stay.
    let rank = |own: &Address, way: &Route| {
        (!owned.has(own.address, interface.index), own.rank(way.preferred_source))
    };
    let (own, way) = candidates.into_iter().min_by_key(|(own, way)| rank(own, way))?;
    Some((own.address, way.metric))
}

/// The best default route that a packet from this address can take through the interface: one of the main table, for which
/// binding to the interface is enough, or one of a table that rules send it to. What was made here is a copy of one, and no
/// reason for itself.
pub(super) fn way_out<'a>(
    owned: &Owned,
    host: &'a Snapshot,
    interface: &Interface,
    address: IpAddr,
) -> Option<&'a Route> {
    host.routes
        .iter()
        .filter(|route| {
            route.is_default()
                && route.destination.address.is_ipv6() == address.is_ipv6()
                && route.hops.iter().any(|hop| hop.interface == Some(interface.index) && !hop.dead)
                && route.source.is_none_or(|source| source.contains(address))
                && !owned.routings.iter().any(|routing| routing.table == route.table)
                && (route.table == Route::MAIN || leads_to(host, interface, address, route.table))
        })
        .min_by_key(|route| (route.table != Route::MAIN, route.metric))
}

/// Whether a rule sends what comes from this address, through this interface, to that table.
fn leads_to(host: &Snapshot, interface: &Interface, address: IpAddr, table: u32) -> bool {
    let suits = |rule: &Rule| {
        rule.action == RuleAction::Table(table)
            && rule.ipv6 == address.is_ipv6()
            && rule.from.is_none_or(|from| from.contains(address))
            && rule.outgoing_interface.as_ref().is_none_or(|name| *name == interface.name)
            && rule.to.is_none_or(|to| to.is_everything())
            && rule.incoming_interface.is_none()
            && rule.mark.is_none()
            && rule.suppress_prefix_length.is_none()
            && !rule.inverted
            && !rule.has_more
    };
    host.rules.iter().any(suits)
}

/// Whether what comes from this address is sent to a table of its own, in which the interface is the way out.
pub(super) fn has_source_routing(host: &Snapshot, interface: &Interface, address: IpAddr) -> bool {
    let of_address = |rule: &&Rule| rule.from == Some(Prefix::host(address)) || is_of_subnet(rule, address);
    host.rules.iter().filter(of_address).any(|rule| match rule.action {
        RuleAction::Table(table) => {
            table != Route::MAIN
                && host.routes.iter().any(|route| {
                    route.table == table && route.is_default() && route.leaves_through(interface.index)
                })
        }
        _ => false,
    })
}

fn is_of_subnet(rule: &Rule, address: IpAddr) -> bool {
    rule.from.is_some_and(|from| !from.is_everything() && from.contains(address)) && !rule.inverted
}
