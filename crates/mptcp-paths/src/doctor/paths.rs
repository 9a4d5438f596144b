//! The judge of a client's paths: endpoints, the interfaces that have their addresses, and the routes from there.

use std::net::IpAddr;

use super::facts::{Facts, Role};
use super::finding::{Certainty, Code, Finding, Severity};
use super::gather::rp_filter;
use super::host::finding;
use super::links;
use super::lookup::{self, Way};
use super::remedy::{Action, Place, Remedy};
use crate::{Endpoint, EndpointFlags, Interface, Route, Snapshot};

/// An interface through which the destination can be reached, and its address for that.
#[derive(Debug, Clone, Copy)]
pub(super) struct WayOut<'a> {
    pub(super) interface: &'a Interface,
    pub(super) address: IpAddr,
}

/// The ways to the destination, the one that the routes choose first.
pub(super) fn ways(facts: &Facts) -> Vec<WayOut<'_>> {
    ways_of(facts, facts.families())
}

pub(super) fn ways_of(facts: &Facts, families: [bool; 2]) -> Vec<WayOut<'_>> {
    let Some(snapshot) = &facts.snapshot else { return Vec::new() };
    let candidates =
        snapshot.interfaces.iter().filter(|interface| !interface.loopback && interface.is_usable());
    let mut ways: Vec<WayOut<'_>> = candidates
        .filter_map(|interface| {
            let leads = |address: &IpAddr| {
                let ipv4 = address.is_ipv4();
                let wanted = if ipv4 { families[0] } else { families[1] };
                let destination = facts.destination(ipv4);
                wanted
                    && !goes_around(snapshot, destination, interface)
                    && leads_through(snapshot, *address, destination, interface.index)
            };
            let mut addresses: Vec<_> = interface.usable_addresses().collect();
            // A privacy address is gone in a day: a lasting one makes the better endpoint.
            addresses.sort_by_key(|address| address.temporary);
            let address = addresses.into_iter().map(|address| address.address).find(leads)?;
            Some(WayOut { interface, address })
        })
        .collect();
    let first = primary(facts);
    ways.sort_by_key(|way| Some(way.interface.index) != first);
    ways
}

fn leads_through(snapshot: &Snapshot, source: IpAddr, destination: IpAddr, interface: u32) -> bool {
    let through = |bound| lookup::way(snapshot, source, destination, bound).interface() == Some(interface);
    through(None) || through(Some(interface))
}

/// Whether packets through this interface would go around the tunnel that they are meant for.
fn goes_around(snapshot: &Snapshot, destination: IpAddr, interface: &Interface) -> bool {
    snapshot.tunnel_to(destination).map_or(true, |tunnel| tunnel.is_some_and(|tunnel| tunnel != interface))
}

/// The interface of a connection's first path.
pub(super) fn primary(facts: &Facts) -> Option<u32> {
    let snapshot = facts.snapshot.as_ref()?;
    let [ipv4, ipv6] = facts.families();
    let families = [ipv4.then_some(true), ipv6.then_some(false)];
    families.into_iter().flatten().find_map(|ipv4| {
        let anywhere = if ipv4 { IpAddr::from([0, 0, 0, 0]) } else { IpAddr::from([0_u16; 8]) };
        lookup::way(snapshot, anywhere, facts.destination(ipv4), None).interface()
    })
}

/// The name of an endpoint's interface, if it is bound to one that is there.
pub(super) fn device(facts: &Facts, endpoint: &Endpoint) -> Option<String> {
    let interface = facts.snapshot.as_ref()?.interface(endpoint.interface?)?;
    Some(interface.name.clone())
}

pub(super) fn delete(facts: &Facts, endpoint: &Endpoint) -> Action {
    Action::DeleteEndpoint(endpoint.clone(), device(facts, endpoint))
}

/// An endpoint for a way out: bound to the interface where the routes would send its packets elsewhere.
fn add(facts: &Facts, way: WayOut<'_>, flags: EndpointFlags) -> Action {
    let destination = facts.destination(way.address.is_ipv4());
    let by_source = facts
        .snapshot
        .as_ref()
        .map(|snapshot| lookup::way(snapshot, way.address, destination, None).interface());
    let bound = by_source != Some(Some(way.interface.index));
    let interface = bound.then_some(way.interface.index);
    let endpoint = Endpoint { interface, ..Endpoint::new(way.address, flags) };
    Action::AddEndpoint(endpoint, bound.then(|| way.interface.name.clone()))
}

pub(super) fn opens(endpoint: &Endpoint) -> bool {
    endpoint.flags.subflow || endpoint.flags.fullmesh
}

/// Judges endpoints, interfaces and routes of a client.
pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    if facts.role != Role::Client || facts.snapshot.is_none() {
        return;
    }
    let Some(endpoints) = &facts.endpoints else { return };
    let first = primary(facts);
    let used = facts.trial.as_ref().map(|trial| trial.used_interfaces()).unwrap_or_default();
    let mut lacking: Vec<WayOut<'_>> = ways(facts)
        .into_iter()
        .filter(|way| Some(way.interface.index) != first && !used.contains(&way.interface.name.as_str()))
        .filter(|way| {
            let here = |endpoint: &&Endpoint| {
                facts.interface_of(endpoint.address).is_some_and(|owner| owner.index == way.interface.index)
                    && endpoint.address.is_ipv4() == way.address.is_ipv4()
            };
            // Those that have one of the wrong kind are told of with it.
            !endpoints.iter().any(|endpoint| here(&endpoint))
        })
        .collect();
    for endpoint in endpoints.iter().filter(|endpoint| !endpoint.flags.implicit) {
        match facts.interface_of(endpoint.address) {
            None => gone(facts, endpoint, &mut lacking, found),
            Some(owner) if facts.concerns(endpoint.address) => one(facts, endpoint, owner, first, found),
            Some(_) => {}
        }
    }
    if endpoints.is_empty() && !lacking.is_empty() {
        let names: Vec<_> = lacking.iter().map(|way| way.interface.name.as_str()).collect();
        found.push(finding(
            Code::NoEndpoints,
            Severity::Warning,
            Certainty::Proven,
            format!("no endpoint is set, and there is a second way out: {}", names.join(", ")),
            "the kernel opens further paths from endpoints only: every connection has one path",
            Remedy::here(lacking.iter().map(|way| add(facts, *way, EndpointFlags::SUBFLOW))),
        ));
    } else {
        for way in lacking {
            let name = &way.interface.name;
            found.push(
                finding(
                    Code::NoEndpointForInterface,
                    Severity::Warning,
                    Certainty::Proven,
                    format!("no address of {name} is an endpoint"),
                    "the kernel opens further paths from endpoints only: none begins there",
                    Remedy::here([add(facts, way, EndpointFlags::SUBFLOW)]),
                )
                .about(name),
            );
        }
    }
    links::judge(facts, found);
}

/// An endpoint whose address is not there: what it was for may be on an interface that has none.
fn gone(facts: &Facts, endpoint: &Endpoint, lacking: &mut Vec<WayOut<'_>>, found: &mut Vec<Finding>) {
    let bound = device(facts, endpoint);
    let instead = lacking.iter().position(|way| {
        way.address.is_ipv4() == endpoint.address.is_ipv4()
            && bound.as_ref().is_none_or(|name| *name == way.interface.name)
    });
    let mut actions = vec![delete(facts, endpoint)];
    if let Some(way) = instead.map(|index| lacking.remove(index)) {
        let flags = if opens(endpoint) { endpoint.flags } else { EndpointFlags::SUBFLOW };
        actions.push(add(facts, way, flags));
    }
    found.push(
        finding(
            Code::EndpointAddressGone,
            // No path of the connection that was tried would begin there.
            if facts.concerns(endpoint.address) { Severity::Warning } else { Severity::Note },
            Certainty::Proven,
            format!("the endpoint {} is an address that no interface has", endpoint.address),
            "no path can begin there, and it takes one of the 8 places; the address has gone with the network that it \
             was of",
            Remedy::here(actions),
        )
        .about(endpoint.address.to_string()),
    );
}

/// An endpoint whose address an interface has.
fn one(facts: &Facts, endpoint: &Endpoint, owner: &Interface, first: Option<u32>, found: &mut Vec<Finding>) {
    let (address, name) = (endpoint.address, owner.name.as_str());
    let warn = |code, certainty, what: String, why: &str, remedy| {
        finding(code, Severity::Warning, certainty, what, why, remedy).about(name)
    };
    if !owner.up {
        found.push(warn(
            Code::InterfaceDown,
            Certainty::Proven,
            format!("{name}, which has the endpoint {address}, is set down"),
            "no path can begin there",
            Remedy::here([Action::SetUp { interface: name.to_owned() }])
                .advice("its routes went with it: whatever set them (a DHCP client, say) must do so again"),
        ));
        return;
    }
    if !owner.carrier {
        found.push(warn(
            Code::NoCarrier,
            Certainty::Proven,
            format!("{name}, which has the endpoint {address}, has no carrier"),
            "no path can begin there: the cable is out, or the radio link is lost",
            Remedy::at(Place::Network, format!("plug the cable of {name} in, or connect its radio")),
        ));
        return;
    }
    let around = |snapshot| goes_around(snapshot, facts.destination(address.is_ipv4()), owner);
    if facts.snapshot.as_ref().is_some_and(around) {
        // Nothing here should help it to.
        return;
    }
    let again = |flags: EndpointFlags, interface: Option<&Interface>| {
        // A port goes with an announcement only.
        let port = endpoint.port.filter(|_| flags.signal);
        let bound = interface.map(|interface| interface.index);
        let new = Endpoint { id: None, port, flags, interface: bound, ..endpoint.clone() };
        [delete(facts, endpoint), Action::AddEndpoint(new, interface.map(|interface| interface.name.clone()))]
    };
    if endpoint.interface.is_some_and(|index| index != owner.index) {
        let other = device(facts, endpoint).unwrap_or_else(|| "one that is gone".to_owned());
        found.push(warn(
            Code::EndpointWrongInterface,
            Certainty::Proven,
            format!("the endpoint {address} is bound to the interface {other}, and {name} has the address"),
            "paths from there would leave through an interface that doesn't have their address",
            Remedy::here(again(endpoint.flags, Some(owner))),
        ));
        return;
    }
    if Some(owner.index) == first {
        // The first path is there without it.
        return;
    }
    let bound = endpoint.interface.map(|_| owner);
    if !opens(endpoint) && !endpoint.flags.laminar {
        let flags = EndpointFlags { signal: false, subflow: true, ..endpoint.flags };
        found.push(
            finding(
                Code::EndpointSignalOnly,
                // Nobody but a server announces a port.
                if endpoint.port.is_some() { Severity::Note } else { Severity::Warning },
                Certainty::Proven,
                format!("the endpoint {address} is only announced to servers (signal)"),
                "a client opens paths from endpoints with the flag subflow; servers hardly ever connect to what clients \
                 announce",
                Remedy::here(again(flags, bound))
                    .by_hand()
                    .advice("leave it if this host is a server: mphttp doctor --server"),
            )
            .about(name),
        );
        return;
    }
    if endpoint.flags.backup {
        let flags = EndpointFlags { backup: false, ..endpoint.flags };
        found.push(
            finding(
                Code::EndpointBackup,
                Severity::Note,
                Certainty::Proven,
                format!("the endpoint {address} is a backup"),
                "its path carries nothing while another one lives",
                Remedy::here(again(flags, bound))
                    .advice("leave it if that is meant, as for a link that is paid by volume"),
            )
            .about(name),
        );
    }
    routes(facts, endpoint, owner, again(endpoint.flags, Some(owner)), found);
}

/// Whether packets from an endpoint leave through its interface, and those for it are let in.
fn routes(
    facts: &Facts,
    endpoint: &Endpoint,
    owner: &Interface,
    bound_again: [Action; 2],
    found: &mut Vec<Finding>,
) {
    let Some(snapshot) = &facts.snapshot else { return };
    let (address, name) = (endpoint.address, owner.name.as_str());
    let destination = facts.destination(address.is_ipv4());
    let by_source = lookup::way(snapshot, address, destination, None);
    let by_device = lookup::way(snapshot, address, destination, Some(owner.index));
    let leaves = if endpoint.interface.is_some() { by_device } else { by_source };
    let here = |way: Way| way.interface() == Some(owner.index);
    if leaves == Way::Unknown || leaves == Way::Local {
        return;
    }
    if !here(leaves) && here(by_device) {
        let other = leaves.interface().and_then(|index| snapshot.interface(index));
        let other = other.map_or("no interface", |interface| interface.name.as_str());
        found.push(
            finding(
                Code::RouteWrongInterface,
                Severity::Warning,
                Certainty::Likely,
                format!("packets from {address}, the address of {name}, leave through {other}"),
                "the second path takes the first one's link, and networks drop packets with an address that is not \
                 theirs: the routes look at the destination only",
                Remedy::here(bound_again).advice(format!(
                    "or let the source choose the route: ip rule add from {address} table N, with a default route \
                     through {name} in that table"
                )),
            )
            .about(name),
        );
    } else if !here(leaves) {
        found.push(no_route(snapshot, endpoint, owner, bound_again).about(name));
        return;
    }
    if address.is_ipv4() && owner.rp_filter == Some(1) && !here(by_source) {
        let dropped = facts
            .trial
            .as_ref()
            .and_then(|trial| trial.probe(name))
            .is_some_and(|probe| probe.counters.tcp("IPReversePathFilter") > 0);
        found.push(
            finding(
                Code::RpFilter,
                Severity::Warning,
                if dropped { Certainty::Proven } else { Certainty::Likely },
                format!("{name} filters strictly by reverse path (rp_filter is 1)"),
                format!(
                    "answers that come in through {name} are dropped, since the routes to their sender lead through \
                     another interface"
                ),
                // The greater of this one and that of `all` counts.
                Remedy::here([facts.sysctl(rp_filter(name), "2")])
                    .advice("2 is loose: any interface with a route to the sender will do (ip-sysctl.rst)"),
            )
            .about(name),
        );
    }
}

fn no_route(
    snapshot: &Snapshot,
    endpoint: &Endpoint,
    owner: &Interface,
    bound_again: [Action; 2],
) -> Finding {
    let (address, name) = (endpoint.address, owner.name.as_str());
    let of_family = |route: &&Route| route.destination.address.is_ipv4() == address.is_ipv4();
    let defaults = || snapshot.routes.iter().filter(|route| route.is_default()).filter(of_family);
    let own_table = defaults().find(|route| route.table != Route::MAIN && route.leaves_through(owner.index));
    let metric = defaults()
        .filter(|route| route.table == Route::MAIN)
        .map(|route| route.metric.saturating_add(100))
        .max()
        .unwrap_or(0);
    let gateway = lookup::router(snapshot, owner.index, address.is_ipv4());
    let peer = owner.addresses.iter().any(|own| own.address == address && own.peer.is_some());
    let remedy = if let Some(route) = own_table {
        Remedy::here([Action::AddSourceRule { source: address, table: route.table }])
    } else if gateway.is_some() || peer {
        let route = Action::AddDefaultRoute { gateway, interface: name.to_owned(), metric };
        Remedy::here([route].into_iter().chain(bound_again))
    } else {
        Remedy::at(
            Place::Here,
            format!(
                "give {name} a default route of its own: ip route add default via ROUTER dev {name} metric {metric}, \
                 ROUTER being the router of its network, then bind the endpoint to it: {}; {}",
                bound_again[0], bound_again[1]
            ),
        )
    };
    finding(
        Code::NoRoute,
        Severity::Warning,
        Certainty::Likely,
        format!("no route leads out through {name}, which has the endpoint {address}"),
        "a path from there reaches nothing beyond its own network",
        remedy,
    )
}
