//! The judge of a server: what it announces, and whether it takes the paths that come of it.

use std::net::{IpAddr, SocketAddr};

use super::facts::{Facts, Role};
use super::finding::{Certainty, Code, Finding, Severity};
use super::host::{finding, sysctl};
use super::paths::{delete, device};
use super::remedy::{Action, Place, Remedy};
use crate::{Endpoint, EndpointFlags};

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    if facts.role != Role::Server {
        return;
    }
    let Some(endpoints) = &facts.endpoints else { return };
    let announced: Vec<&Endpoint> = endpoints.iter().filter(|endpoint| endpoint.flags.signal).collect();
    for endpoint in &announced {
        match facts.interface_of(endpoint.address) {
            None if facts.snapshot.is_some() => found.push(
                finding(
                    Code::EndpointAddressGone,
                    Severity::Warning,
                    Certainty::Proven,
                    format!("{} is announced to clients, and no interface has it", endpoint.address),
                    "clients try to reach it in vain",
                    Remedy::here([delete(facts, endpoint)]),
                )
                .about(endpoint.address.to_string()),
            ),
            _ => listener(facts, endpoint, endpoints, found),
        }
    }
    if facts.settings.allow_join_initial_addr_port == Some(false) {
        cflag(&announced, found);
    }
}

/// A path to an announced address is a SYN to that address, and to the port of the first path unless one was announced
/// (RFC 8684 section 3.4.1): somebody must listen there. Which of the listeners clients connect to isn't known, so a
/// single one that takes the address is enough.
fn listener(facts: &Facts, endpoint: &Endpoint, endpoints: &[Endpoint], found: &mut Vec<Finding>) {
    let address = endpoint.address;
    // The kernel listens on a port of the endpoint's own; such listeners of others are no programs' either.
    if endpoint.port.is_some() {
        return;
    }
    let is_kernels = |listener: &SocketAddr| {
        endpoints.iter().any(|own| own.address == listener.ip() && own.port == Some(listener.port()))
    };
    let programs = || {
        facts
            .listeners
            .iter()
            .filter(|listener| !is_kernels(listener))
            .map(|listener| (listener, listener.ip()))
    };
    let takes = |(_, ip): (&SocketAddr, IpAddr)| match ip {
        IpAddr::V4(any) => any.is_unspecified() && address.is_ipv4() || ip == address,
        // Most listeners on all IPv6 addresses take IPv4 as well; /proc doesn't tell which don't.
        IpAddr::V6(any) => any.is_unspecified() || ip == address,
    };
    if programs().any(takes) {
        return;
    }
    let elsewhere = |(_, ip): &(&SocketAddr, IpAddr)| {
        ip.is_ipv4() == address.is_ipv4() && !ip.is_loopback() && !ip.is_unspecified()
    };
    let Some((bound, _)) = programs().find(elsewhere) else { return };
    let new = Endpoint {
        id: None,
        port: free_port(&facts.listeners, bound.port()),
        // With a port the kernel takes announcements only.
        flags: EndpointFlags { subflow: false, ..endpoint.flags },
        ..endpoint.clone()
    };
    found.push(
        finding(
            Code::ListenerOneAddress,
            Severity::Warning,
            Certainty::Likely,
            format!("a program listens on {bound} alone, and {address} is announced to clients"),
            format!("paths that clients open to {address} are refused: nobody listens there"),
            // Which listener clients connect to is for the owner to say, and what works must not be taken from them.
            Remedy::here([delete(facts, endpoint), Action::AddEndpoint(new, device(facts, endpoint))])
                .by_hand()
                .advice(
                    "this has the kernel listen on a port of the endpoint's own; better, let the program listen on all \
                     addresses (mphttp serve without --bind)",
                ),
        )
        .about(bound.to_string()),
    );
}

/// The next port that nobody listens on.
fn free_port(listeners: &[SocketAddr], after: u16) -> Option<u16> {
    (after..u16::MAX).skip(1).find(|port| listeners.iter().all(|listener| listener.port() != *port))
}

/// The C-flag tells clients not to open paths to the address of the first one, which is a load balancer's (RFC 8684
/// section 3.1). They then need an address that is this server's own, and a port that the balancer doesn't share out.
fn cflag(announced: &[&Endpoint], found: &mut Vec<Finding>) {
    if announced.is_empty() {
        found.push(finding(
            Code::CflagWithoutSignal,
            Severity::Warning,
            Certainty::Proven,
            "clients are told not to open further paths to the address that they connected to \
             (net.mptcp.allow_join_initial_addr_port is 0), and no other address is announced",
            "clients can't add any path",
            Remedy::here([sysctl("net/mptcp/allow_join_initial_addr_port", "1", Some("0".into()))]).advice(
                "behind a load balancer leave it at 0 and announce an address of this server's own: mphttp paths add \
                 ADDR --signal --port N",
            ),
        ));
    } else if announced.iter().all(|endpoint| endpoint.port.is_none()) {
        found.push(finding(
            Code::CflagWithoutPort,
            Severity::Note,
            Certainty::Possible,
            "the setting is one for servers behind a load balancer (net.mptcp.allow_join_initial_addr_port is 0), and no \
             announced address has a port of its own",
            "if the balancer shares out the announced address and port too, paths end at the wrong server",
            Remedy::at(
                Place::Here,
                "give each server an address, or a port, of its own: mphttp paths add ADDR --signal --port N",
            ),
        ));
    }
}
