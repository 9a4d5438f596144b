//! The keeper on a host whose interfaces filter reverse paths strictly: the routing it sets up, what that is good for, and
//! that nothing of it is left.

#[cfg(target_os = "linux")]
mod support;

fn main() -> std::process::ExitCode {
    #[cfg(target_os = "linux")]
    return linux::main();
    #[cfg(not(target_os = "linux"))]
    {
        let options = mptcp_paths::auto::Options::default();
        let opened = mptcp_paths::auto::Keeper::open(options);
        assert!(matches!(opened, Err(mptcp_paths::Error::Unsupported)));
        std::process::ExitCode::SUCCESS
    }
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::{Read, Write};
    use std::net::{IpAddr, Ipv4Addr, SocketAddr};
    use std::process::ExitCode;
    use std::sync::{Arc, Mutex, PoisonError};
    use std::time::{Duration, Instant};

    use crate::support::{Failure, PATIENCE, Result, listen, mptcp};
    use mptcp_paths::auto::{Change, Keeper, Options, Owned};
    use mptcp_paths::netlink::Netlink;
    use mptcp_paths::{Endpoint, EndpointFlags, Error, Hop, Limits, Prefix, RuleAction, Snapshot};
    use netlab::{Direction, Host, Lab, Link, LinkSpec, Rate};
    use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
    use netlink_packet_route::address::{AddressAttribute, AddressMessage};
    use netlink_packet_route::route::{
        RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteType, RouteVia,
    };
    use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
    use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
    use netlink_sys::protocols::NETLINK_ROUTE;
    use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
    use socket2::{Domain, Socket, Type};

    /// The server's address: like most of the world it is in no subnet of the phone's.
    const WORLD: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

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

    struct Bench {
        _lab: Lab,
        phone: Host,
        server: Host,
        wifi: Link,
        lte: Link,
    }

    impl Bench {
        /// A phone as most hosts are: two default routes, no routing by source, and filters that are strict.
        fn new() -> Result<Self> {
            let lab = Lab::new()?;
            let (phone, server) = (lab.host("phone")?, lab.host("server")?);
            let wifi = lab.link(&phone, &server, LinkSpec::new().name("wifi").rate(Rate::mbit(20)))?;
            let lte = lab.link(&phone, &server, LinkSpec::new().name("lte").rate(Rate::mbit(20)))?;
            phone.run(delete_lab_rules)??;
            for name in ["all", "wifi", "lte"] {
                phone.sysctl(&format!("net.ipv4.conf.{name}.rp_filter"), "1")?;
            }
            server.mptcp_limits(8, 8)?;
            server.run(give_world_address)??;
            Ok(Self { _lab: lab, phone, server, wifi, lte })
        }

        /// Sends over MPTCP to the server for a second and gives the bytes that each link carried.
        fn send(&self) -> Result<[u64; 2]> {
            let to = SocketAddr::from((WORLD, 80));
            let listener = listen(&self.server)?;
            let carried = || -> Result<[u64; 2]> {
                let of = |link: &Link| Ok::<_, Failure>(link.traffic(Direction::AToB)?.received_bytes);
                Ok([of(&self.wifi)?, of(&self.lte)?])
            };
            let before = carried()?;
            let reader = self.server.thread(move || -> std::io::Result<u64> {
                let (mut stream, _) = listener.accept()?;
                let (mut buffer, mut total) = (vec![0; 1 << 16], 0);
                loop {
                    match stream.read(&mut buffer)? {
                        0 => return Ok(total),
                        count => total += count as u64,
                    }
                }
            })?;
            let sent = self.phone.run(|| -> Result<u64> {
                let mut socket = mptcp()?;
                socket.connect(&to.into())?;
                let (start, mut total) = (Instant::now(), 0);
                while start.elapsed() < Duration::from_secs(1) {
                    total += socket.write(&[7; 1 << 14])? as u64;
                }
                Ok(total)
            })??;
            let got = reader.join().map_err(|_| "the reader panicked")??;
            if got != sent {
                return Err(format!("{got} of {sent} bytes arrived").into());
            }
            let after = carried()?;
            Ok([after[0] - before[0], after[1] - before[1]])
        }

        /// Runs with a keeper, on one thread of the phone.
        fn keep<T: Send>(&self, work: impl FnOnce(&mut Keeper) -> Result<T> + Send) -> Result<T> {
            self.phone.run(|| work(&mut Keeper::open(Options::default())?))?
        }
    }

    /// The lab gives its hosts routing by source; most hosts have none.
    fn delete_lab_rules() -> Result {
        let mut netlink = Netlink::open(NETLINK_ROUTE)?;
        for family in [AddressFamily::Inet, AddressFamily::Inet6] {
            let mut question = RuleMessage::default();
            question.header.family = family;
            for answer in netlink.request(RouteNetlinkMessage::GetRule(question), NLM_F_DUMP)? {
                let RouteNetlinkMessage::NewRule(rule) = answer else { continue };
                if rule.attributes.iter().any(|attribute| matches!(attribute, RuleAttribute::Source(_))) {
                    netlink.request(RouteNetlinkMessage::DelRule(rule), 0)?;
                }
            }
        }
        Ok(())
    }

    fn give_world_address() -> Result {
        let mut message = AddressMessage::default();
        message.header.family = AddressFamily::Inet;
        message.header.prefix_len = 32;
        message.header.index = 1;
        message.attributes =
            vec![AddressAttribute::Local(WORLD.into()), AddressAttribute::Address(WORLD.into())];
        let mut netlink = Netlink::open(NETLINK_ROUTE)?;
        netlink.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE)?;
        Ok(())
    }

    /// What a look changed, all of it.
    fn looked(keeper: &mut Keeper) -> Result<Vec<Change>> {
        let outcome = keeper.look()?;
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        Ok(outcome.plan.changes)
    }

    /// Gives an interface of the calling thread's host a default route, in place of the one with this metric, in one step.
    fn set_default(interface: u32, gateway: IpAddr, metric: u32, flags: RouteFlags) -> Result {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.table = 254;
        message.header.protocol = RouteProtocol::Boot;
        message.header.kind = RouteType::Unicast;
        message.header.flags = flags;
        message.attributes = vec![RouteAttribute::Oif(interface), RouteAttribute::Priority(metric)];
        message.attributes.push(match gateway {
            IpAddr::V6(gateway) => RouteAttribute::Via(RouteVia::Inet6(gateway)),
            gateway => RouteAttribute::Gateway(gateway.into()),
        });
        let mut netlink = Netlink::open(NETLINK_ROUTE)?;
        netlink.request(RouteNetlinkMessage::NewRoute(message), NLM_F_CREATE | NLM_F_REPLACE)?;
        Ok(())
    }

    /// Whether the kernel takes packets from the world to this address through this interface (`ip route get … iif`): its
    /// reverse path filter, asked in its own words.
    fn lets_in(address: IpAddr, interface: u32) -> Result<bool> {
        let mut message = RouteMessage::default();
        message.header.address_family = AddressFamily::Inet;
        message.header.destination_prefix_length = 32;
        message.header.source_prefix_length = 32;
        message.attributes = vec![
            RouteAttribute::Destination(address.into()),
            RouteAttribute::Source(WORLD.into()),
            RouteAttribute::Iif(interface),
        ];
        let mut netlink = Netlink::open(NETLINK_ROUTE)?;
        match netlink.request(RouteNetlinkMessage::GetRoute(message), 0) {
            Ok(_) => Ok(true),
            // EXDEV, EINVAL: how the kernel refuses a source, depending on its version.
            Err(error) if matches!(error.errno(), Some(18 | 22)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The default routes of the tables other than the kernel's own: gateway and whether it is taken to be on the link.
    fn own_routes() -> Result<Vec<(Option<IpAddr>, bool)>> {
        let routes = Snapshot::read()?.routes;
        let own = routes.iter().filter(|route| route.table > 0x6d70_0000 && route.is_default());
        Ok(own.flat_map(|route| &route.hops).map(|hop| (hop.gateway, hop.onlink)).collect())
    }

    /// What undoing did, all of it.
    fn undone(keeper: &mut Keeper) -> Result<Vec<Change>> {
        let outcome = keeper.undo();
        assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
        Ok(outcome.plan.changes)
    }

    fn snapshot(host: &Host) -> Result<Snapshot> {
        Ok(host.run(Snapshot::read)??)
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
            keeper.set_journal(move |owned| {
                tell.lock().unwrap_or_else(PoisonError::into_inner).clone_from(owned)
            });
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
            let expected: Vec<_> =
                others.iter().map(|other| (other.address, other.id, other.flags)).collect();
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
            keeper.set_journal(move |owned| {
                *tell.lock().unwrap_or_else(PoisonError::into_inner) = owned.clone()
            });
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
            assert!(
                matches!(refused.failures[..], [(_, Error::Permission { .. })]),
                "{:?}",
                refused.failures
            );
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
}
