//! The judge of a client's links as such, whatever endpoints there are: their packets, their families, how many they are.

use super::facts::Facts;
use super::finding::{Certainty, Code, Finding, Severity};
use super::gather::disable_ipv6;
use super::host::finding;
use super::paths::{WayOut, ways, ways_of};
use super::remedy::{Action, Place, Remedy};

/// IPv6 demands that links carry packets of this many bytes (RFC 8200 section 5).
const LEAST_MTU: u32 = 1280;
const USUAL_MTU: u32 = 1500;

/// Interfaces as such, whatever endpoints there are.
pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    let ways = ways(facts);
    for way in &ways {
        let name = &way.interface.name;
        if let Some(mtu) = way.interface.mtu.filter(|mtu| *mtu < LEAST_MTU) {
            found.push(
                finding(
                    Code::MtuSmall,
                    Severity::Warning,
                    Certainty::Proven,
                    format!("{name} takes packets of {mtu} bytes at most"),
                    format!(
                        "below {LEAST_MTU} bytes there is no IPv6, and headers take a large share; MPTCP's options need up to 40 \
                         bytes of each"
                    ),
                    Remedy::here([Action::SetMtu { interface: name.clone(), to: USUAL_MTU, from: mtu }])
                        .advice("unless the network itself can't carry larger ones"),
                )
                .about(name),
            );
        }
    }
    families(facts, &ways, found);
    let tunnel = facts.snapshot.as_ref().and_then(|snapshot| {
        let [ipv4, ipv6] = facts.families();
        let families = [ipv4.then_some(true), ipv6.then_some(false)].into_iter().flatten();
        families.filter_map(|ipv4| snapshot.tunnel_to(facts.destination(ipv4)).ok()?).next()
    });
    if let Some(tunnel) = tunnel {
        let name = &tunnel.name;
        found.push(
            finding(
                Code::Tunnel,
                Severity::Note,
                Certainty::Proven,
                format!("what is for there goes into the tunnel {name}"),
                "paths from other links would go around it, and are not proposed: inside of it there is one path",
                Remedy::at(Place::Here, format!("take {name} down, if what it protects may go without it")),
            )
            .about(name),
        );
        return;
    }
    let explained = |finding: &Finding| {
        matches!(
            finding.code,
            Code::InterfaceDown | Code::NoCarrier | Code::NoRoute | Code::FamilyMissing | Code::Ipv6Disabled
        )
    };
    let mut links = facts.snapshot.iter().flat_map(|snapshot| &snapshot.interfaces);
    if ways.len() == 1 && !found.iter().any(explained) && !links.any(|link| facts.is_way_unknown(link)) {
        let name = ways.first().map(|way| way.interface.name.as_str()).unwrap_or_default();
        found.push(
            finding(
                Code::OneInterface,
                Severity::Note,
                Certainty::Proven,
                format!("{name} is the only way out of this host"),
                "with one link there is one path: MPTCP then brings neither speed nor safety",
                Remedy::at(Place::Here, "connect a second link, with an address and a route of its own"),
            )
            .about(name),
        );
    }
}

/// Interfaces that lack the family by which the server is reached.
fn families(facts: &Facts, ways: &[WayOut<'_>], found: &mut Vec<Finding>) {
    let on_trial = facts.trial.as_ref().is_some_and(|trial| trial.remote.is_some());
    let [_, ipv6] = facts.families();
    if !ipv6 && !on_trial {
        return;
    }
    let others = ways_of(facts, [true, true]);
    let lacks = |other: &&WayOut<'_>| {
        let index = other.interface.index;
        let way_of =
            |ipv6: bool| ways_of(facts, [!ipv6, ipv6]).iter().any(|way| way.interface.index == index);
        if on_trial { !ways.iter().any(|way| way.interface.index == index) } else { !way_of(true) }
    };
    let anyone = ways_of(facts, [false, true]);
    // What can't be known is lacking nowhere.
    for other in others.iter().filter(lacks).filter(|other| !facts.is_way_unknown(other.interface)) {
        let name = &other.interface.name;
        let severity = if on_trial { Severity::Warning } else { Severity::Note };
        if ipv6 && !anyone.is_empty() && facts.ipv6_disabled.contains(name) {
            found.push(
                finding(
                    Code::Ipv6Disabled,
                    severity,
                    Certainty::Proven,
                    format!("IPv6 is switched off on {name}, and another way out has it"),
                    "a connection over IPv6 has no path there: the paths of a connection are of one family, as its endpoints are",
                    // Somebody may have switched it off for a reason.
                    Remedy::here([facts.sysctl(disable_ipv6(name), "0")]).by_hand().advice(
                        "unless it is meant to be off; its addresses come back with the next router advertisement, or \
                         with whatever set them",
                    ),
                )
                .about(name),
            );
        } else if on_trial {
            let family = if ipv6 { "IPv6" } else { "IPv4" };
            found.push(
                finding(
                    Code::FamilyMissing,
                    severity,
                    Certainty::Proven,
                    format!("{name} has no {family} address that reaches beyond its link, or no route for it, and the server is reached by {family}"),
                    "the connection has no path there",
                    Remedy::at(
                        Place::Here,
                        format!("get {name} an {family} address and a default route for it, or reach the server by the other family"),
                    ),
                )
                .about(name),
            );
        }
    }
}
