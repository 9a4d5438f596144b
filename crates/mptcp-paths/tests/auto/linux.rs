//! The tests, where there is Multipath TCP.

use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use crate::support::{PATIENCE, Result};
use mptcp_paths::auto::{Change, Owned};
use mptcp_paths::{Endpoint, EndpointFlags, Error, Hop, Limits, Prefix, RuleAction, Snapshot};
use netlink_packet_route::route::RouteFlags;
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
use socket2::{Domain, Socket, Type};

use super::bench::*;

pub fn main() -> ExitCode {
    crate::support::main(vec![
        ("strict_filters_get_routing_which_is_undone", strict_filters_get_routing_which_is_undone),
        ("routing_goes_with_its_address", routing_goes_with_its_address),
        ("another_gateway_is_another_routing", another_gateway_is_another_routing),
        ("what_is_lost_of_a_routing_is_made_again", what_is_lost_of_a_routing_is_made_again),
        (
            "routing_stays_when_the_best_link_loses_its_carrier",
            routing_stays_when_the_best_link_loses_its_carrier,
        ),
        ("others_limits_are_what_is_found", others_limits_are_what_is_found),
        ("identifiers_are_given_again_to_others", identifiers_are_given_again_to_others),
        ("what_is_left_of_another_keeper_is_adopted", what_is_left_of_another_keeper_is_adopted),
        ("what_fails_is_told_and_the_rest_is_done", what_fails_is_told_and_the_rest_is_done),
        ("who_keeps_deleting_endpoints_wins", who_keeps_deleting_endpoints_wins),
        ("who_keeps_deleting_rules_wins", who_keeps_deleting_rules_wins),
    ])
}

fn strict_filters_get_routing_which_is_undone() -> Result {
    let bench = Bench::new()?;
    let before = snapshot(&bench.phone)?;
    let own = bench.lte.address(&bench.phone)?;
    // By hand: the second path's SYN goes out, and its answer is dropped.
    let mut manager = bench.phone.path_manager()?;
    let flags = EndpointFlags::SUBFLOW;
    let interface = Some(bench.lte.interface_index(&bench.phone)?);
    manager.add(&Endpoint { interface, ..Endpoint::new(own, flags) })?;
    let [_, lte] = bench.send()?;
    println!("without routing by source lte carried {lte} bytes");
    if lte > 20_000 {
        return Err("the filter lets the second path through: there is nothing to show".into());
    }
    manager.flush()?;

    let (with, carried, undone) = bench.keep(|keeper| {
        let outcome = keeper.look()?;
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        // What was made is what is wanted.
        assert_eq!(keeper.look()?.plan.changes, []);
        let with = Snapshot::read()?;
        let carried = bench.send()?;
        Ok((with, carried, undone(keeper)?))
    })?;
    println!("with it the links carried {carried:?} bytes");
    if carried[1] < 100_000 {
        return Err(format!("the second path does not work: {carried:?}").into());
    }
    let rules: Vec<_> = with.rules.iter().filter(|rule| rule.from == Some(Prefix::host(own))).collect();
    let [first, second] = rules[..] else { return Err(format!("{rules:?}").into()) };
    assert_eq!((first.action, first.suppress_prefix_length), (RuleAction::Table(254), Some(0)));
    assert_eq!(second.priority, first.priority + 1);
    let RuleAction::Table(table) = second.action else { return Err("no table".into()) };
    let mine: Vec<_> = with.routes.iter().filter(|route| route.table == table).collect();
    assert_eq!((mine.len(), mine[0].hops[0].gateway), (1, Some(bench.lte.address(&bench.server)?)));
    assert!(undone.iter().any(|change| matches!(change, Change::DeleteRouting(_))));
    assert_eq!(snapshot(&bench.phone)?, before);
    assert_eq!(manager.endpoints()?, []);
    assert_eq!(manager.limits()?, Limits { subflows: 2, add_addr_accepted: 0 });
    Ok(())
}

fn routing_goes_with_its_address() -> Result {
    let bench = Bench::new()?;
    bench.keep(|keeper| {
        looked(keeper)?;
        let of_lte = || -> Result<usize> {
            let own = bench.lte.address(&bench.phone)?;
            let rules = Snapshot::read()?.rules;
            Ok(rules.iter().filter(|rule| rule.from == Some(Prefix::host(own))).count())
        };
        assert_eq!(of_lte()?, 2);
        bench.lte.take_address(&bench.phone)?;
        let outcome = keeper.look()?;
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        assert_eq!(of_lte()?, 0);
        bench.lte.give_address(&bench.phone)?;
        looked(keeper)?;
        assert_eq!(of_lte()?, 2);
        undone(keeper)?;
        assert_eq!(of_lte()?, 0);
        Ok(())
    })
}

fn another_gateway_is_another_routing() -> Result {
    let bench = Bench::new()?;
    let before = snapshot(&bench.phone)?;
    let (own, index) = (bench.lte.address(&bench.phone)?, bench.lte.interface_index(&bench.phone)?);
    let metric = |host: &Snapshot| host.default_routes(index).first().map_or(0, |route| route.metric);
    let metric = metric(&before);
    bench.keep(|keeper| {
        assert!(!lets_in(own, index)?);
        looked(keeper)?;
        assert!(lets_in(own, index)?);
        let IpAddr::V4(first) = bench.lte.address(&bench.server)? else { return Err("not IPv4".into()) };
        let mut other = first.octets();
        other[3] = 200;
        // As DHCP does it; with a gateway that is on the link; with one that only the flag says is; of IPv6.
        for (gateway, flags) in [
            (IpAddr::from(other), RouteFlags::empty()),
            (IpAddr::from([203, 0, 113, 1]), RouteFlags::Onlink),
            (IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 1]), RouteFlags::empty()),
            (first.into(), RouteFlags::empty()),
        ] {
            set_default(index, gateway, metric, flags)?;
            looked(keeper)?;
            assert!(lets_in(own, index)?, "the routing via {gateway} does not work");
            assert_eq!(own_routes()?, [(Some(gateway), flags == RouteFlags::Onlink)]);
            assert_eq!(looked(keeper)?, []);
        }
        undone(keeper)?;
        assert_eq!(own_routes()?, []);
        assert!(!lets_in(own, index)?);
        Ok(())
    })?;
    assert_eq!(snapshot(&bench.phone)?.rules, before.rules);
    Ok(())
}

fn what_is_lost_of_a_routing_is_made_again() -> Result {
    let bench = Bench::new()?;
    let (own, index) = (bench.lte.address(&bench.phone)?, bench.lte.interface_index(&bench.phone)?);
    bench.keep(|keeper| {
        looked(keeper)?;
        // Gone and back between two looks: the kernel has taken the route along. However often that happened, rules
        // that are cleared away once are cleared away once.
        for _ in 0..6 {
            bench.lte.take_address(&bench.phone)?;
            bench.lte.give_address(&bench.phone)?;
            assert_eq!(own_routes()?, []);
            looked(keeper)?;
            assert!(lets_in(own, index)?);
        }
        // As systemd-networkd clears away rules that it didn't make.
        delete_lab_rules()?;
        assert!(!lets_in(own, index)?);
        looked(keeper)?;
        assert!(lets_in(own, index)?);
        assert_eq!(looked(keeper)?, []);
        undone(keeper)?;
        assert_eq!(own_routes()?, []);
        Ok(())
    })
}

fn routing_stays_when_the_best_link_loses_its_carrier() -> Result {
    let bench = Bench::new()?;
    let (own, index) = (bench.lte.address(&bench.phone)?, bench.lte.interface_index(&bench.phone)?);
    bench.keep(|keeper| {
        looked(keeper)?;
        bench.wifi.set_carrier(false)?;
        let hop = |host: &Snapshot| -> Result<Hop> {
            let wifi = bench.wifi.interface_index(&bench.phone)?;
            Ok(host.default_routes(wifi).first().ok_or("no route")?.hops[0])
        };
        let lost = hop(&Snapshot::read()?)?;
        assert!(lost.dead && !lost.passed_by);
        looked(keeper)?;
        assert!(lets_in(own, index)?, "the path that is left is cut off");
        // Bound to the link, as the paths of its endpoint are: by the routes alone the kernel still chooses wifi.
        let listener = bench.server.run(|| std::net::TcpListener::bind((WORLD, 81)))??;
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        bound.bind_device(Some(b"lte"))?;
        bound.bind(&SocketAddr::from((own, 0)).into())?;
        bound.connect_timeout(&SocketAddr::from((WORLD, 81)).into(), PATIENCE)?;
        drop(listener);
        // Where the kernel is told to ignore such routes it needs no routing any more.
        bench.phone.sysctl("net.ipv4.conf.wifi.ignore_routes_with_linkdown", "1")?;
        assert!(hop(&Snapshot::read()?)?.passed_by);
        looked(keeper)?;
        assert!(lets_in(own, index)? && own_routes()?.is_empty());
        bench.wifi.set_carrier(true)?;
        looked(keeper)?;
        assert!(lets_in(own, index)?);
        undone(keeper)?;
        Ok(())
    })
}

fn others_limits_are_what_is_found() -> Result {
    let bench = Bench::new()?;
    let mut admin = bench.phone.path_manager()?;
    let limits = |subflows, add_addr_accepted| Limits { subflows, add_addr_accepted };
    bench.keep(|keeper| {
        let journal = Arc::new(Mutex::new(Owned::default()));
        let tell = Arc::clone(&journal);
        keeper
            .set_journal(move |owned| tell.lock().unwrap_or_else(PoisonError::into_inner).clone_from(owned));
        looked(keeper)?;
        assert_eq!(admin.limits()?, limits(4, 2));
        admin.set_limits(limits(5, 0))?;
        looked(keeper)?;
        assert_eq!(admin.limits()?, limits(5, 2));
        undone(keeper)?;
        assert_eq!(admin.limits()?, limits(5, 0));
        // What somebody has set last stays, and is nothing that a later keeper could undo.
        looked(keeper)?;
        admin.set_limits(limits(6, 2))?;
        undone(keeper)?;
        assert_eq!(admin.limits()?, limits(6, 2));
        assert!(
            journal.lock().unwrap_or_else(PoisonError::into_inner).is_empty(),
            "there is nothing left to undo"
        );
        Ok(())
    })
}

fn identifiers_are_given_again_to_others() -> Result {
    let bench = Bench::new()?;
    let mut admin = bench.phone.path_manager()?;
    bench.keep(|keeper| {
        looked(keeper)?;
        let made = admin.endpoints()?;
        assert!(!made.is_empty());
        for endpoint in &made {
            admin.delete(endpoint.id.ok_or("no identifier")?)?;
        }
        let others: Vec<_> = made
            .iter()
            .map(|made| Endpoint { id: made.id, ..Endpoint::new(made.address, EndpointFlags::SIGNAL) })
            .collect();
        for other in &others {
            admin.add(other)?;
        }
        // All of them at once are one clearing.
        looked(keeper)?;
        undone(keeper)?;
        let left: Vec<_> =
            admin.endpoints()?.iter().map(|left| (left.address, left.id, left.flags)).collect();
        let expected: Vec<_> = others.iter().map(|other| (other.address, other.id, other.flags)).collect();
        assert_eq!(left, expected);
        Ok(())
    })
}

fn what_is_left_of_another_keeper_is_adopted() -> Result {
    let bench = Bench::new()?;
    let before = snapshot(&bench.phone)?;
    let journal = Arc::new(Mutex::new(Owned::default()));
    let tell = Arc::clone(&journal);
    bench.keep(move |keeper| {
        keeper.set_journal(move |owned| *tell.lock().unwrap_or_else(PoisonError::into_inner) = owned.clone());
        looked(keeper).map(drop)
    })?;
    let owned = journal.lock().unwrap_or_else(PoisonError::into_inner).clone();
    assert_eq!((owned.routings.len(), owned.limits.is_some()), (1, true));
    let mut admin = bench.phone.path_manager()?;
    let endpoints = admin.endpoints()?;
    // A host that has changed meanwhile: what isn't there isn't adopted.
    let gone = owned.endpoints.iter().map(|made| made.endpoint.address).next().ok_or("no endpoint")?;
    admin.delete_address(gone, None)?;
    bench.keep(|keeper| {
        let adopted = keeper.adopt(owned)?;
        assert_eq!(adopted, endpoints.len());
        let changes = looked(keeper)?;
        assert!(matches!(&changes[..], [Change::AddEndpoint(new)] if new.address == gone), "{changes:?}");
        undone(keeper).map(drop)
    })?;
    assert_eq!(admin.endpoints()?, []);
    assert_eq!(admin.limits()?, Limits { subflows: 2, add_addr_accepted: 0 });
    assert_eq!(snapshot(&bench.phone)?, before);
    Ok(())
}

fn what_fails_is_told_and_the_rest_is_done() -> Result {
    let bench = Bench::new()?;
    let before = snapshot(&bench.phone)?;
    // On the thread of the keeper alone.
    let set_capable = |capable: bool| -> Result {
        let mut sets = capabilities(None)?;
        sets.effective.set(CapabilitySet::NET_ADMIN, capable);
        Ok(set_capabilities(None, sets)?)
    };
    bench.keep(|keeper| {
        set_capable(false)?;
        let refused = keeper.look()?;
        // One was tried, and none is told that was not.
        assert!(matches!(refused.failures[..], [(_, Error::Permission { .. })]), "{:?}", refused.failures);
        assert_eq!(refused.plan.changes.len(), 1);
        set_capable(true)?;
        looked(keeper)?;
        set_capable(false)?;
        let refused = keeper.undo();
        assert!(refused.plan.changes.len() > 3, "{:?}", refused.plan.changes);
        assert_eq!(refused.failures.len(), refused.plan.changes.len());
        set_capable(true)?;
        assert_eq!(undone(keeper)?, refused.plan.changes);
        assert_eq!(undone(keeper)?, []);
        Ok(())
    })?;
    assert_eq!(snapshot(&bench.phone)?, before);
    Ok(())
}

fn who_keeps_deleting_endpoints_wins() -> Result {
    let bench = Bench::new()?;
    let mut other = bench.phone.path_manager()?;
    gives_in(&bench, || Ok(other.flush()?))
}

fn who_keeps_deleting_rules_wins() -> Result {
    gives_in(&Bench::new()?, delete_lab_rules)
}

/// That a keeper ends when somebody else does this after each of its looks.
fn gives_in(bench: &Bench, mut other: impl FnMut() -> Result + Send) -> Result {
    let start = Instant::now();
    bench.keep(|keeper| {
        while start.elapsed() < PATIENCE {
            match keeper.look() {
                Ok(_) => other()?,
                Err(Error::TakenAway(_)) => return undone(keeper).map(drop),
                Err(error) => return Err(error.into()),
            }
        }
        Err("it never gives in".into())
    })
}
