//! The planner on made-up hosts.

use std::net::{IpAddr, Ipv4Addr};

use super::*;
use crate::{
    Address, Endpoint, EndpointFlags, Hop, Interface, Limits, OperState, Prefix, Route, Rule, RuleAction,
    Scope, Snapshot,
};

const DEFAULTS: Limits = Limits { subflows: 2, add_addr_accepted: 0 };
pub(super) fn v4(link: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(192, 0, link, host).into()
}

pub(super) fn v6(link: u8) -> IpAddr {
    IpAddr::from([0x2001, 0xdb8, link.into(), 0, 0, 0, 0, 1])
}

/// An interface that is up, with an IPv4 address; interface N of `phone` is 192.0.N.1.
pub(super) fn interface(index: u8, name: &str) -> Interface {
    Interface {
        index: index.into(),
        name: name.to_owned(),
        up: true,
        carrier: true,
        state: OperState::Up,
        addresses: vec![Address::new(v4(index, 1), 24)],
        ..Interface::default()
    }
}

pub(super) fn default_route(index: u8, metric: u32) -> Route {
    let hop = Hop { interface: Some(index.into()), gateway: Some(v4(index, 254)), ..Hop::default() };
    Route { hops: vec![hop], metric, ..Route::default() }
}

pub(super) fn default_route6(index: u8, metric: u32) -> Route {
    let hop = Hop { interface: Some(index.into()), ..Hop::default() };
    let destination = Prefix::new("::".parse().unwrap(), 0);
    Route { destination, hops: vec![hop], metric, ..Route::default() }
}

/// Wi-Fi is preferred to LTE.
fn phone() -> Snapshot {
    Snapshot {
        interfaces: vec![interface(2, "wifi"), interface(3, "lte")],
        routes: vec![default_route(3, 700), default_route(2, 600)],
        ..Snapshot::default()
    }
}

pub(super) fn endpoint(address: IpAddr, interface: u32, id: u8) -> Endpoint {
    Endpoint { id: Some(id), interface: Some(interface), ..Endpoint::new(address, EndpointFlags::SUBFLOW) }
}

fn owned(endpoints: &[(Endpoint, bool)]) -> Owned {
    let made =
        |(endpoint, stalled): &(Endpoint, bool)| Made { endpoint: endpoint.clone(), stalled: *stalled };
    Owned { endpoints: endpoints.iter().map(made).collect(), ..Owned::default() }
}

/// The endpoints that a first look at a host adds.
fn added(host: &Snapshot) -> Vec<IpAddr> {
    changes(&Owned::default(), host, &[]).into_iter().filter_map(is_add).collect()
}

fn is_add(change: Change) -> Option<IpAddr> {
    match change {
        Change::AddEndpoint(endpoint) => Some(endpoint.address),
        _ => None,
    }
}

fn changes(owned: &Owned, host: &Snapshot, endpoints: &[Endpoint]) -> Vec<Change> {
    plan(&Options::default(), owned, host, endpoints, Limits { subflows: 8, add_addr_accepted: 8 }).changes
}

fn why(host: &Snapshot) -> Vec<Why> {
    let plan = plan(&Options::default(), &Owned::default(), host, &[], DEFAULTS);
    plan.notes.into_iter().map(|note| note.why).collect()
}

#[test]
fn each_way_out_gets_an_endpoint_the_best_first_and_limits_to_match() {
    let plan = plan(&Options::default(), &Owned::default(), &phone(), &[], DEFAULTS);
    let endpoint = |address, interface| {
        Change::AddEndpoint(Endpoint {
            interface: Some(interface),
            ..Endpoint::new(address, EndpointFlags::SUBFLOW)
        })
    };
    let limits = Change::SetLimits(Limits { subflows: 4, add_addr_accepted: 2 });
    assert_eq!(plan.changes, [limits, endpoint(v4(2, 1), 2), endpoint(v4(3, 1), 3)]);
    assert!(plan.notes.is_empty() && plan.stalled.is_empty());
}

#[test]
fn higher_limits_stay() {
    let limits = Limits { subflows: 3, add_addr_accepted: 8 };
    let plan = plan(&Options::default(), &Owned::default(), &phone(), &[], limits);
    assert_eq!(plan.changes[0], Change::SetLimits(Limits { subflows: 4, add_addr_accepted: 8 }));
}

#[test]
fn backups_are_backups_and_can_become_so() {
    let options = Options { backup: vec!["lte".into()] };
    let made = [endpoint(v4(2, 1), 2, 1), endpoint(v4(3, 1), 3, 2)];
    let owned = owned(&[(made[0].clone(), false), (made[1].clone(), false)]);
    let limits = Limits { subflows: 8, add_addr_accepted: 8 };
    let plan = plan(&options, &owned, &phone(), &made, limits);
    assert_eq!(plan.changes, [Change::SetBackup(made[1].clone(), true)]);
}

#[test]
fn what_is_no_way_out_is_left_alone_and_told() {
    let mut host = phone();
    host.interfaces.push(interface(4, "printer"));
    host.interfaces.push(Interface { carrier: false, state: OperState::Down, ..interface(5, "cable") });
    host.routes.push(default_route(5, 100));
    let mut local = interface(6, "usb");
    local.addresses[0].scope = Scope::Link;
    host.interfaces.push(local);
    host.interfaces.push(Interface { controller: Some(9), ..interface(7, "port") });
    host.interfaces.push(Interface { loopback: true, ..interface(8, "lo") });
    assert_eq!(added(&host), [v4(2, 1), v4(3, 1)]);
    assert_eq!(why(&host), [Why::NoWayOut, Why::NoCarrier]);
}

#[test]
fn networks_inside_of_the_host_need_no_way_out() {
    let mut host = phone();
    host.interfaces.push(Interface { kind: Some("bridge".into()), ..interface(4, "docker0") });
    assert_eq!(why(&host), [Why::Inside]);
    let note = Note { interface: "docker0".into(), address: None, why: Why::Inside };
    assert!(!note.to_string().contains("ip route add"), "{note}");
    // One that leads out is used like any other.
    host.routes.push(default_route(4, 800));
    assert_eq!(added(&host), [v4(2, 1), v4(3, 1), v4(4, 1)]);
}

#[test]
fn dead_routes_lead_nowhere() {
    let mut host = phone();
    host.routes[1].hops[0].dead = true;
    assert_eq!(added(&host), [v4(3, 1)]);
}

#[test]
fn a_table_that_a_rule_leads_to_is_a_way_out() {
    let mut host = phone();
    host.routes[0].table = 100;
    assert_eq!(added(&host), [v4(2, 1)]);
    let mut rule =
        Rule { from: Some(Prefix::host(v4(3, 1))), action: RuleAction::Table(100), ..Rule::default() };
    host.rules = vec![rule.clone()];
    assert_eq!(added(&host), [v4(2, 1), v4(3, 1)]);
    rule.from = Some(Prefix::host(v4(3, 2)));
    host.rules = vec![rule];
    assert_eq!(added(&host), [v4(2, 1)]);
}

#[test]
fn of_several_addresses_the_one_that_connections_show() {
    let mut host = phone();
    let address = |address: IpAddr| Address::new(address, 64);
    host.interfaces[0].addresses.extend([
        Address { secondary: true, ..Address::new(v4(2, 2), 24) },
        address("fd00::1".parse().unwrap()),
        address(v6(1)),
        Address { temporary: true, ..address(v6(2)) },
        Address { temporary: true, deprecated: true, ..address(v6(3)) },
        Address { tentative: true, ..address(v6(4)) },
    ]);
    host.routes.push(default_route6(2, 1024));
    assert_eq!(added(&host), [v4(2, 1), v6(2), v4(3, 1)]);
    host.routes[2].preferred_source = Some(v6(1));
    assert_eq!(added(&host), [v4(2, 1), v6(1), v4(3, 1)]);
    // One that is in use stays while it can.
    let made = [endpoint(v4(2, 1), 2, 1), endpoint(v4(3, 1), 3, 2), endpoint(v6(2), 2, 3)];
    let owned = owned(&made.clone().map(|endpoint| (endpoint, false)));
    assert_eq!(changes(&owned, &host, &made), []);
}

#[test]
fn a_path_that_dies_goes_and_comes_back() {
    let made = [endpoint(v4(2, 1), 2, 1), endpoint(v4(3, 1), 3, 2)];
    let both = owned(&made.clone().map(|endpoint| (endpoint, false)));
    let mut host = phone();
    host.interfaces[0].addresses.clear();
    host.routes.pop();
    assert_eq!(changes(&both, &host, &made), [Change::DeleteEndpoint(made[0].clone())]);
    let one = owned(&[(made[1].clone(), false)]);
    assert!(matches!(
        changes(&one, &phone(), &made[1..]).as_slice(),
        [Change::AddEndpoint(endpoint)] if endpoint.address == v4(2, 1)
    ));
}

#[test]
fn the_last_path_stays_and_is_renewed() {
    let made = [endpoint(v4(3, 1), 3, 2)];
    let mut dead = phone();
    dead.interfaces.iter_mut().for_each(|interface| interface.carrier = false);
    let limits = Limits { subflows: 8, add_addr_accepted: 8 };
    let plan = plan(&Options::default(), &owned(&[(made[0].clone(), false)]), &dead, &made, limits);
    assert_eq!((plan.changes, plan.stalled), (vec![], vec![v4(3, 1)]));
    let back = changes(&owned(&[(made[0].clone(), true)]), &phone(), &made);
    let renewed = Endpoint { id: None, ..made[0].clone() };
    // The other first, so that connections have a path while this one is renewed.
    assert!(
        matches!(&back[..], [Change::AddEndpoint(other), Change::DeleteEndpoint(old), Change::AddEndpoint(new)]
        if other.address == v4(2, 1) && *old == made[0] && *new == renewed)
    );
    // IPv6 is no replacement for IPv4.
    dead.interfaces[0].carrier = true;
    dead.interfaces[0].addresses = vec![Address::new(v6(1), 64)];
    dead.routes = vec![default_route6(2, 1)];
    assert_eq!(changes(&owned(&[(made[0].clone(), false)]), &dead, &made).len(), 1);
}

#[test]
fn an_address_that_moves_to_another_interface_is_bound_anew() {
    let made = [endpoint(v4(2, 1), 9, 1), endpoint(v4(3, 1), 3, 2)];
    let owned = owned(&made.clone().map(|endpoint| (endpoint, false)));
    let moved = Endpoint { id: None, interface: Some(2), ..made[0].clone() };
    let expected = [Change::DeleteEndpoint(made[0].clone()), Change::AddEndpoint(moved)];
    assert_eq!(changes(&owned, &phone(), &made), expected);
}

#[test]
fn others_endpoints_are_left_alone_and_the_kernels_own_replaced() {
    let theirs = endpoint(v4(3, 1), 3, 7);
    let plan_with = |endpoint: &Endpoint| {
        plan(&Options::default(), &Owned::default(), &phone(), std::slice::from_ref(endpoint), DEFAULTS)
    };
    let plan = plan_with(&theirs);
    assert_eq!(plan.changes.into_iter().filter_map(is_add).collect::<Vec<_>>(), [v4(2, 1)]);
    assert_eq!(plan.notes[0].why, Why::HeldByOther);
    let implicit = Endpoint { flags: EndpointFlags { implicit: true, ..EndpointFlags::default() }, ..theirs };
    assert_eq!(plan_with(&implicit).changes.into_iter().filter_map(is_add).count(), 2);
}

#[test]
fn there_is_room_for_eight() {
    let mut host = phone();
    for index in 10..20 {
        host.interfaces.push(interface(index, "more"));
        host.routes.push(default_route(index, 1000));
    }
    assert_eq!(added(&host).len(), 8);
    assert_eq!(why(&host).iter().filter(|why| **why == Why::Full).count(), 4);
}

#[test]
fn nothing_goes_around_a_tunnel() {
    let mut host = phone();
    host.interfaces.push(Interface { kind: Some("wireguard".into()), ..interface(4, "wg0") });
    // A tunnel to somewhere else.
    assert_eq!(added(&host).len(), 2);
    // As wg-quick does it.
    let mut everything = default_route(4, 0);
    everything.table = 51_820;
    host.routes.push(everything);
    let rule = Rule {
        priority: 32_765,
        mark: Some((51_820, u32::MAX)),
        inverted: true,
        action: RuleAction::Table(51_820),
        ..Rule::default()
    };
    host.rules.push(rule);
    assert!(!added(&host).contains(&v4(2, 1)));
    assert!(why(&host).contains(&Why::AroundTunnel("wg0".into())));
    // As OpenVPN does it.
    host.rules.clear();
    host.routes.pop();
    host.routes.push(Route { destination: Prefix::new(v4(0, 0), 1), ..default_route(4, 0) });
    assert!(!added(&host).contains(&v4(2, 1)));
    // Worse than Wi-Fi: not in use.
    host.routes.pop();
    host.routes.push(default_route(4, 9000));
    assert!(added(&host).contains(&v4(2, 1)));
}

#[test]
fn strict_filters_get_source_routing() {
    let mut host = phone();
    for interface in &mut host.interfaces {
        interface.rp_filter = Some(1);
    }
    let routing = |change: &Change| match change {
        Change::AddRouting(routing) => Some(routing.clone()),
        _ => None,
    };
    let made: Vec<_> = changes(&Owned::default(), &host, &[]).iter().filter_map(routing).collect();
    assert_eq!(made.len(), 1);
    assert_eq!((made[0].address, made[0].gateway), (v4(3, 1), Some(v4(3, 254))));
    // Made, it stays; undone in the end.
    let mine = Owned { routings: made.clone(), ..Owned::default() };
    let with_it = with(&host, &made);
    let again = changes(&mine, &with_it, &[]);
    let about_routing = |change: &Change| matches!(change, Change::AddRouting(_) | Change::DeleteRouting(_));
    assert!(!again.iter().any(about_routing), "{again:?}");
    // Whatever of it is lost is made again: to a link that went and came back, or to somebody who clears rules away.
    for lost in 0..2 {
        let mut without = with_it.clone();
        without.rules.remove(lost);
        assert_eq!(routings(&mine, &without), [Change::AddRouting(made[0].clone())]);
    }
    let mut without = with_it.clone();
    without.routes.retain(|route| route.table == Route::MAIN);
    assert_eq!(routings(&mine, &without), [Change::AddRouting(made[0].clone())]);
    // It is no way out by itself.
    let mut without = with_it.clone();
    without.routes.retain(|route| route.table != Route::MAIN || !route.leaves_through(3));
    assert_eq!(routings(&mine, &without), [Change::DeleteRouting(made[0].clone())]);
    // Somebody else's does as well.
    assert!(!changes(&Owned::default(), &with_it, &[]).iter().any(about_routing));
    let undone = mine.undo(Some(DEFAULTS));
    assert_eq!(undone, [Change::DeleteRouting(made[0].clone())]);
    host.interfaces[1].rp_filter = Some(2);
    assert!(!changes(&Owned::default(), &host, &[]).iter().any(about_routing));
}

/// The host once these were made.
pub(super) fn with(host: &Snapshot, made: &[SourceRouting]) -> Snapshot {
    let mut host = host.clone();
    for routing in made {
        let SourceRouting { interface, gateway, onlink, table, .. } = *routing;
        let hop = Hop { interface: Some(interface), gateway, onlink, ..Hop::default() };
        host.routes.push(Route { table, hops: vec![hop], ..Route::default() });
        host.rules.extend(routing.rules());
    }
    host
}

/// Two links with strict filters.
fn strict_phone() -> Snapshot {
    let mut host = phone();
    for interface in &mut host.interfaces {
        interface.rp_filter = Some(1);
    }
    host
}

/// What is done about routings.
fn routings(owned: &Owned, host: &Snapshot) -> Vec<Change> {
    let mut changes = changes(owned, host, &[]);
    changes.retain(|change| matches!(change, Change::AddRouting(_) | Change::DeleteRouting(_)));
    changes
}

/// The one routing that a host needs.
fn routing(host: &Snapshot) -> SourceRouting {
    match &routings(&Owned::default(), host)[..] {
        [Change::AddRouting(routing)] => routing.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_shares_rules_or_a_table_goes_before_its_successor_comes() {
    let host = strict_phone();
    let old = routing(&host);
    let mine = Owned { routings: vec![old.clone()], ..Owned::default() };
    let mut host = with(&host, &mine.routings);
    // Another gateway.
    host.routes[0].hops[0].gateway = Some(v4(3, 253));
    let new = SourceRouting { gateway: Some(v4(3, 253)), ..old.clone() };
    assert_eq!(routings(&mine, &host), [Change::DeleteRouting(old.clone()), Change::AddRouting(new)]);
    // The address on another interface.
    host.interfaces[1].index = 9;
    host.routes[0].hops[0].interface = Some(9);
    match &routings(&mine, &host)[..] {
        [Change::DeleteRouting(gone), Change::AddRouting(new)] => {
            assert_eq!((gone, new.address, new.interface), (&old, v4(3, 1), 9));
        }
        other => panic!("{other:?}"),
    }
    // What shares nothing with anything else goes when its endpoint is gone.
    host.interfaces.pop();
    let mine = Owned { endpoints: owned(&[(endpoint(v4(3, 1), 3, 1), false)]).endpoints, ..mine };
    let all = changes(&mine, &host, &[endpoint(v4(3, 1), 3, 1)]);
    assert_eq!(all.last(), Some(&Change::DeleteRouting(old)));
}

#[test]
fn a_routing_is_its_own_default_route_again() {
    let mut host = strict_phone();
    // A default route of IPv6 without a gateway is none for IPv4.
    host.routes.insert(0, default_route6(3, 1));
    assert_eq!(routing(&host).gateway, Some(v4(3, 254)));
    // Cloud hosts: a gateway outside of the subnet.
    host.routes[1].hops[0].onlink = true;
    assert!(routing(&host).onlink);
    // A gateway of IPv6 (RFC 8950).
    host.routes[1].hops[0].gateway = Some(v6(3));
    assert_eq!(routing(&host).gateway, Some(v6(3)));
}

#[test]
fn a_best_route_without_its_carrier_is_still_the_kernels_choice() {
    let mut host = strict_phone();
    let made = routing(&host);
    let mine = Owned { routings: vec![made.clone()], ..Owned::default() };
    host = with(&host, &mine.routings);
    host.interfaces[0].carrier = false;
    host.routes[1].hops[0].dead = true;
    assert_eq!(routings(&mine, &host), []);
    // Unless it is told to ignore it: then the other route is the best one, and needs no routing.
    host.routes[1].hops[0].passed_by = true;
    assert_eq!(routings(&mine, &host), [Change::DeleteRouting(made)]);
}

#[test]
fn limits_that_somebody_else_sets_are_what_was_found() {
    let limits = |subflows, add_addr_accepted| Limits { subflows, add_addr_accepted };
    let mut owned = Owned::default();
    owned.set_limits(limits(2, 0), limits(4, 2));
    owned.set_limits(limits(4, 2), limits(6, 2));
    assert_eq!(owned.limits, Some((limits(2, 0), limits(6, 2))));
    owned.set_limits(limits(5, 0), limits(6, 2));
    assert_eq!(owned.undo(Some(limits(6, 2))), [Change::SetLimits(limits(5, 0))]);
    assert_eq!(owned.undo(Some(limits(5, 1))), []);
    owned.set_limits(limits(6, 2), limits(5, 0));
    assert_eq!(owned.limits, None);
}

#[test]
fn an_endpoint_whose_renewal_failed_is_renewed_later() {
    let stalled = endpoint(v4(3, 1), 3, 1);
    let mut owned = owned(&[(stalled.clone(), true), (endpoint(v4(2, 1), 2, 2), true)]);
    owned.set_stalled(&[], &[&Change::DeleteEndpoint(stalled)]);
    assert_eq!(owned.endpoints.iter().map(|made| made.stalled).collect::<Vec<_>>(), [true, false]);
    owned.set_stalled(&[v4(2, 1)], &[]);
    assert_eq!(owned.endpoints.iter().map(|made| made.stalled).collect::<Vec<_>>(), [false, true]);
}
