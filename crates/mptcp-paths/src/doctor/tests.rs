//! Judges on made-up hosts; the real ones are broken in the lab tests of the program.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::*;
use crate::auto::Rival;
use crate::{
    Address, Endpoint, EndpointFlags, Hop, Interface, Limits, OperState, Prefix, Route, Rule, RuleAction,
    Snapshot,
};

pub(super) const WIFI: u32 = 2;
pub(super) const LTE: u32 = 3;

pub(super) fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    Ipv4Addr::new(a, b, c, d).into()
}

/// Two interfaces with a default route each, and a table for each source address.
pub(super) fn two_links() -> Snapshot {
    let mut host = Snapshot::default();
    for (index, name, link) in [(WIFI, "wifi", 1), (LTE, "lte", 2)] {
        let (ours, router) = (v4(10, link, 0, 1), v4(10, link, 0, 2));
        host.interfaces.push(Interface {
            index,
            name: name.into(),
            up: true,
            carrier: true,
            state: OperState::Up,
            mtu: Some(1500),
            addresses: vec![Address::new(ours, 24)],
            ..Interface::default()
        });
        let hop = |gateway| vec![Hop { interface: Some(index), gateway, ..Hop::default() }];
        let table = 1000 + u32::from(link);
        let metric = 100 + u32::from(link);
        host.routes.push(Route { hops: hop(Some(router)), metric, ..Route::default() });
        host.routes.push(Route { table, hops: hop(Some(router)), metric, ..Route::default() });
        host.routes.push(Route {
            destination: Prefix::new(v4(10, link, 0, 0), 24),
            hops: hop(None),
            ..Route::default()
        });
        host.rules.push(Rule {
            priority: table,
            from: Some(Prefix::host(ours)),
            action: RuleAction::Table(table),
            ..Rule::default()
        });
    }
    host.rules.push(Rule { priority: 0, action: RuleAction::Table(Route::LOCAL), ..Rule::default() });
    host.rules.push(Rule { priority: 32_766, ..Rule::default() });
    host
}

fn endpoint(link: u8) -> Endpoint {
    let flags = EndpointFlags::SUBFLOW;
    Endpoint { id: Some(link), ..Endpoint::new(v4(10, link, 0, 1), flags) }
}

fn healthy() -> Facts {
    let mut facts = Facts {
        socket: SocketAnswer::Made,
        loopback: Some(Outcome::Mptcp),
        endpoints: Some(vec![endpoint(1), endpoint(2)]),
        limits: Some(Limits { subflows: 2, add_addr_accepted: 0 }),
        snapshot: Some(two_links()),
        ..Facts::default()
    };
    facts.settings.enabled = Some(true);
    facts.settings.path_manager = Some("kernel".into());
    facts.counters.0.insert("MPTcpExtMPJoinSynTx".into(), 0);
    facts
}

pub(super) fn with_trial() -> Facts {
    let share = |name: &str, link: u8, received| PathShare {
        interface: Some(name.into()),
        local: Some(v4(10, link, 0, 1)),
        remote: Some(SocketAddr::new(v4(10, 1, 0, 2), 8000)),
        received,
        sent: 100,
    };
    let probe =
        |name: &str| Probe { interface: name.into(), outcome: Outcome::Mptcp, counters: Counters::default() };
    let trial = Trial {
        server: "10.1.0.2:8000".into(),
        remote: Some(SocketAddr::new(v4(10, 1, 0, 2), 8000)),
        outcome: Some(Outcome::Mptcp),
        bytes: 2000,
        paths: vec![share("wifi", 1, 1000), share("lte", 2, 1000)],
        probes: vec![probe("wifi"), probe("lte")],
        ..Trial::default()
    };
    Facts { trial: Some(trial), ..healthy() }
}

pub(super) fn codes(facts: &Facts) -> Vec<&'static str> {
    judge(facts).iter().map(|finding| finding.code.as_str()).collect()
}

/// The one finding of this kind.
pub(super) fn only(facts: &Facts, code: Code) -> Finding {
    let found = judge(facts);
    match found.iter().filter(|finding| finding.code == code).collect::<Vec<_>>().as_slice() {
        [one] => (*one).clone(),
        _ => panic!("{found:?}"),
    }
}

#[test]
fn a_healthy_host_has_no_finding() {
    for facts in [healthy(), with_trial(), Facts { role: Role::Server, ..healthy() }] {
        assert_eq!(codes(&facts), [""; 0]);
        assert_eq!(Verdict::of(&judge(&facts)), Verdict::Well);
    }
    assert_eq!(healthy().interfaces_to_probe(), ["wifi", "lte"]);
}

#[test]
fn no_mptcp_explains_everything_else() {
    for (socket, code) in [
        (SocketAnswer::Platform, Code::NoMptcp),
        (SocketAnswer::TooOld, Code::NoMptcp),
        (SocketAnswer::NotBuilt, Code::NoMptcp),
        (SocketAnswer::Disabled, Code::Disabled),
        (SocketAnswer::Denied, Code::Denied),
    ] {
        let facts = Facts { socket, endpoints: Some(Vec::new()), ..healthy() };
        assert_eq!(codes(&facts), [code.as_str()]);
        assert_eq!(Verdict::of(&judge(&facts)), Verdict::NoMptcp);
    }
}

#[test]
fn the_kernels_own_switch_is_told_with_the_way_to_end_it() {
    let mut facts = Facts { loopback: Some(Outcome::HostBlackhole), ..healthy() };
    facts.settings.blackhole_timeout = Some(1800);
    let finding = only(&facts, Code::HostBlackhole);
    assert_eq!(finding.remedy.commands(), ["sysctl -w net.mptcp.blackhole_timeout=1800"]);
    assert!(finding.remedy.is_safe());
    facts.settings.blackhole_timeout = None;
    assert!(!only(&facts, Code::HostBlackhole).remedy.is_safe(), "what it was is not known");
    let mut past = healthy();
    past.counters.0.insert("MPTcpExtBlackhole".into(), 2);
    assert_eq!(codes(&past), ["syns-swallowed"]);
    assert_eq!(Verdict::of(&judge(&past)), Verdict::Well);
}

#[test]
fn the_path_manager_must_be_somebodys() {
    let mut facts = healthy();
    facts.settings.path_manager = Some("userspace".into());
    assert_eq!(
        only(&facts, Code::NoUserspaceDaemon).remedy.commands(),
        ["sysctl -w net.mptcp.path_manager=kernel"]
    );
    facts.daemons = vec![Rival::Mptcpd { pid: 7 }];
    assert_eq!(codes(&facts), [""; 0]);
    facts.daemons.clear();
    facts.settings.path_manager = None;
    facts.settings.pm_type = Some(1);
    assert_eq!(only(&facts, Code::NoUserspaceDaemon).remedy.commands(), ["sysctl -w net.mptcp.pm_type=0"]);
}

#[test]
fn endpoints_are_missed_where_a_second_way_leads_out() {
    let none = Facts { endpoints: Some(Vec::new()), ..healthy() };
    let finding = only(&none, Code::NoEndpoints);
    assert_eq!(finding.remedy.commands(), ["mphttp paths add 10.2.0.1 --subflow"]);
    assert_eq!(finding.remedy.undo(), ["mphttp paths del 10.2.0.1"]);
    let first = Facts { endpoints: Some(vec![endpoint(1)]), ..healthy() };
    assert_eq!(only(&first, Code::NoEndpointForInterface).subject.as_deref(), Some("lte"));
    // The first path needs none.
    let second = Facts { endpoints: Some(vec![endpoint(2)]), ..healthy() };
    assert_eq!(codes(&second), [""; 0]);
    // Without rules about the source an endpoint must be bound to its interface.
    let mut plain = none;
    if let Some(host) = &mut plain.snapshot {
        host.rules.retain(|rule| rule.from.is_none());
    }
    assert_eq!(
        only(&plain, Code::NoEndpoints).remedy.commands(),
        ["mphttp paths add 10.2.0.1 --subflow --dev lte"]
    );
    // Nobody's network but the container host's own: no way out.
    if let Some(host) = &mut plain.snapshot {
        host.routes.retain(|route| !(route.is_default() && route.leaves_through(LTE)));
    }
    assert_eq!(codes(&plain), ["one-interface"]);
}

#[test]
fn an_endpoint_of_a_network_left_makes_room_for_the_new_address() {
    let stale = Endpoint { id: Some(2), ..Endpoint::new(v4(192, 0, 2, 9), endpoint(2).flags) };
    let facts = Facts { endpoints: Some(vec![endpoint(1), stale]), ..healthy() };
    assert_eq!(codes(&facts), ["endpoint-address-gone"]);
    assert_eq!(
        only(&facts, Code::EndpointAddressGone).remedy.commands(),
        ["mphttp paths del 192.0.2.9", "mphttp paths add 10.2.0.1 --subflow"]
    );
}

#[test]
fn flags_of_endpoints_are_looked_at() {
    let with = |flags| Facts {
        endpoints: Some(vec![endpoint(1), Endpoint { port: Some(9), flags, ..endpoint(2) }]),
        ..healthy()
    };
    let signal = with(EndpointFlags::SIGNAL);
    assert_eq!(
        only(&signal, Code::EndpointSignalOnly).remedy.commands(),
        ["mphttp paths del 10.2.0.1:9", "mphttp paths add 10.2.0.1 --subflow"]
    );
    // Most of those are a server's.
    let finding = only(&signal, Code::EndpointSignalOnly);
    assert_eq!((finding.severity, finding.remedy.is_safe()), (Severity::Note, false));
    let mut portless = signal;
    portless.endpoints.iter_mut().flatten().for_each(|endpoint| endpoint.port = None);
    let finding = only(&portless, Code::EndpointSignalOnly);
    assert_eq!((finding.severity, finding.remedy.is_safe()), (Severity::Warning, false));
    let backup = with(EndpointFlags { backup: true, ..EndpointFlags::SUBFLOW });
    assert_eq!(only(&backup, Code::EndpointBackup).severity, Severity::Note);
    let mut elsewhere = healthy();
    elsewhere.endpoints = Some(vec![Endpoint { interface: Some(WIFI), ..endpoint(2) }]);
    assert_eq!(
        only(&elsewhere, Code::EndpointWrongInterface).remedy.commands(),
        ["mphttp paths del 10.2.0.1", "mphttp paths add 10.2.0.1 --subflow --dev lte"]
    );
}

#[test]
fn interfaces_are_looked_at() {
    let with = |change: fn(&mut Interface)| {
        let mut facts = healthy();
        let host = facts.snapshot.as_mut().expect("a snapshot");
        change(host.interfaces.iter_mut().find(|interface| interface.index == LTE).expect("lte"));
        facts
    };
    let down = with(|lte| (lte.up, lte.carrier, lte.state) = (false, false, OperState::Down));
    assert_eq!(only(&down, Code::InterfaceDown).remedy.commands(), ["ip link set dev lte up"]);
    let unplugged = with(|lte| (lte.carrier, lte.state) = (false, OperState::Down));
    assert_eq!(codes(&unplugged), ["no-carrier"]);
    let small = with(|lte| lte.mtu = Some(576));
    assert_eq!(only(&small, Code::MtuSmall).remedy.undo(), ["ip link set dev lte mtu 576"]);
}

#[test]
fn routes_are_followed() {
    let mut facts = healthy();
    facts.snapshot.as_mut().expect("a snapshot").rules.retain(|rule| rule.from.is_none());
    assert_eq!(
        only(&facts, Code::RouteWrongInterface).remedy.commands(),
        ["mphttp paths del 10.2.0.1", "mphttp paths add 10.2.0.1 --subflow --dev lte"]
    );
    let filter = |facts: &mut Facts, value| {
        let interfaces = &mut facts.snapshot.as_mut().expect("a snapshot").interfaces;
        interfaces.iter_mut().for_each(|interface| interface.rp_filter = Some(value));
    };
    filter(&mut facts, 1);
    let finding = only(&facts, Code::RpFilter);
    assert_eq!(finding.certainty, Certainty::Likely);
    assert_eq!(finding.remedy.commands(), ["sysctl -w net.ipv4.conf.lte.rp_filter=2"]);
    // What was there before must be known to be put back; it may be 0, and 1 the value of all interfaces.
    assert!(!finding.remedy.is_safe());
    facts.sysctls.insert("net/ipv4/conf/lte/rp_filter".into(), "0".into());
    let remedy = only(&facts, Code::RpFilter).remedy;
    assert!(remedy.is_safe());
    assert_eq!(remedy.undo(), ["sysctl -w net.ipv4.conf.lte.rp_filter=0"]);
    filter(&mut facts, 2);
    assert_eq!(codes(&facts), ["route-wrong-interface"]);
    // The route is there, in a table that no rule leads to.
    let host = facts.snapshot.as_mut().expect("a snapshot");
    host.routes
        .retain(|route| !(route.is_default() && route.table == Route::MAIN && route.leaves_through(LTE)));
    assert_eq!(only(&facts, Code::NoRoute).remedy.commands(), ["ip rule add from 10.2.0.1 table 1002"]);
    let host = facts.snapshot.as_mut().expect("a snapshot");
    host.routes.retain(|route| !(route.is_default() && route.leaves_through(LTE)));
    let finding = only(&facts, Code::NoRoute);
    assert!(finding.remedy.actions.is_empty() && finding.remedy.advice.is_some(), "{finding:?}");
}

#[test]
fn limits_are_measured_by_what_is_there() {
    let facts = Facts { limits: Some(Limits { subflows: 0, add_addr_accepted: 0 }), ..healthy() };
    let finding = only(&facts, Code::LimitSubflows);
    assert_eq!(finding.remedy.commands(), ["mphttp paths limits --subflows 8 --add-addr-accepted 0"]);
    assert_eq!(finding.remedy.undo(), ["mphttp paths limits --subflows 0 --add-addr-accepted 0"]);
}

#[test]
fn servers_are_judged_by_what_they_announce() {
    let flags = EndpointFlags::SIGNAL;
    let announced = Endpoint { id: Some(1), ..Endpoint::new(v4(10, 2, 0, 1), flags) };
    let mut facts = Facts { role: Role::Server, endpoints: Some(vec![announced.clone()]), ..healthy() };
    let listen = |listeners: &[&str]| {
        listeners.iter().map(|address| address.parse().expect("an address")).collect::<Vec<SocketAddr>>()
    };
    facts.listeners = listen(&["10.1.0.1:8000", "127.0.0.1:8001"]);
    let finding = only(&facts, Code::ListenerOneAddress);
    assert_eq!(
        finding.remedy.commands(),
        ["mphttp paths del 10.2.0.1", "mphttp paths add 10.2.0.1 --signal --port 8002"]
    );
    assert!(!finding.remedy.is_safe(), "the owner knows which listener is meant");
    // The kernel takes a port with an announcement only, and what is bound stays bound.
    let both = EndpointFlags { subflow: true, ..flags };
    facts.endpoints = Some(vec![Endpoint { flags: both, interface: Some(LTE), ..announced.clone() }]);
    let remedy = only(&facts, Code::ListenerOneAddress).remedy;
    assert_eq!(
        remedy.commands(),
        ["mphttp paths del 10.2.0.1", "mphttp paths add 10.2.0.1 --signal --port 8002 --dev lte"]
    );
    assert_eq!(
        remedy.undo(),
        ["mphttp paths del 10.2.0.1:8002", "mphttp paths add 10.2.0.1 --subflow --signal --dev lte --id 1"]
    );
    // Any listener that takes the address may be the one that clients connect to.
    facts.endpoints = Some(vec![announced.clone()]);
    for other in ["[::]:8000", "0.0.0.0:443", "10.2.0.1:443"] {
        facts.listeners = listen(&["10.1.0.1:53", other]);
        assert_eq!(codes(&facts), [""; 0], "{other}");
    }
    // Those of the other family have nothing to do with it, nor has the kernel's own for another endpoint.
    facts.listeners = listen(&["[fd00::1]:8000"]);
    assert_eq!(codes(&facts), [""; 0]);
    let other = Endpoint { port: Some(8443), ..Endpoint::new(v4(10, 1, 0, 1), flags) };
    facts.endpoints = Some(vec![announced.clone(), other]);
    facts.listeners = listen(&["10.1.0.1:8443"]);
    assert_eq!(codes(&facts), [""; 0]);
    facts.endpoints = Some(vec![announced.clone()]);
    facts.listeners.clear();
    facts.settings.allow_join_initial_addr_port = Some(false);
    assert_eq!(codes(&facts), ["cflag-without-port"]);
    facts.endpoints = Some(vec![Endpoint { port: Some(8443), ..announced }]);
    assert_eq!(codes(&facts), [""; 0], "the set-up behind a load balancer");
    facts.endpoints = Some(Vec::new());
    assert_eq!(codes(&facts), ["cflag-without-signal"]);
}

#[test]
fn what_rules_leave_open_is_said() {
    let mut facts = healthy();
    facts.note_unknown_ways();
    assert_eq!(facts.unseen, []);
    facts.snapshot.as_mut().expect("a snapshot").rules.push(Rule {
        priority: 1,
        has_more: true,
        ..Rule::default()
    });
    facts.note_unknown_ways();
    facts.note_unknown_ways();
    assert_eq!(facts.unseen.len(), 1);
}

#[test]
fn other_managers_are_told_of_when_endpoints_are_amiss() {
    let mut facts = healthy();
    facts.daemons = vec![Rival::Mptcpd { pid: 7 }, Rival::NetworkManager { pid: 8 }];
    assert_eq!(codes(&facts), [""; 0]);
    facts.endpoints = Some(Vec::new());
    let found = codes(&facts);
    assert!(found.contains(&"mptcpd") && found.contains(&"network-manager"), "{found:?}");
}

#[test]
fn nothing_is_proposed_around_a_tunnel() {
    let mut facts = healthy();
    facts.endpoints = Some(Vec::new());
    assert!(codes(&facts).contains(&"no-endpoints"));
    let host = facts.snapshot.as_mut().unwrap();
    host.interfaces.push(Interface {
        index: 9,
        name: "vpn".into(),
        up: true,
        carrier: true,
        state: OperState::Unknown,
        kind: Some("wireguard".into()),
        addresses: vec![Address::new(v4(10, 9, 0, 1), 32)],
        ..Interface::default()
    });
    let hop = Hop { interface: Some(9), ..Hop::default() };
    let everywhere = Prefix::new(v4(0, 0, 0, 0), 0);
    host.routes.push(Route { table: 51_820, destination: everywhere, hops: vec![hop], ..Route::default() });
    host.rules.push(Rule {
        priority: 1,
        mark: Some((51_820, u32::MAX)),
        inverted: true,
        action: RuleAction::Table(51_820),
        ..Rule::default()
    });
    assert_eq!(codes(&facts), ["tunnel"]);
    // Nor for endpoints that are there already.
    facts.endpoints = Some(vec![Endpoint::new(v4(10, 2, 0, 1), EndpointFlags::SIGNAL)]);
    assert_eq!(codes(&facts), ["tunnel"]);
}
