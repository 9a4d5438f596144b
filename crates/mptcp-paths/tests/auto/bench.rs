//! The host under test, and what is looked up and changed on it beside the keeper.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::support::{Failure, Result, listen, mptcp};
use mptcp_paths::Snapshot;
use mptcp_paths::auto::{Change, Keeper, Options};
use mptcp_paths::netlink::Netlink;
use netlab::{Direction, Host, Lab, Link, LinkSpec, Rate};
use netlink_packet_core::{NLM_F_CREATE, NLM_F_DUMP, NLM_F_REPLACE};
use netlink_packet_route::address::{AddressAttribute, AddressMessage};
use netlink_packet_route::route::{
    RouteAttribute, RouteFlags, RouteMessage, RouteProtocol, RouteType, RouteVia,
};
use netlink_packet_route::rule::{RuleAttribute, RuleMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::protocols::NETLINK_ROUTE;

/// The server's address: like most of the world it is in no subnet of the phone's.
pub const WORLD: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

pub struct Bench {
    pub _lab: Lab,
    pub phone: Host,
    pub server: Host,
    pub wifi: Link,
    pub lte: Link,
}

impl Bench {
    /// A phone as most hosts are: two default routes, no routing by source, and filters that are strict.
    pub fn new() -> Result<Self> {
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
    pub fn send(&self) -> Result<[u64; 2]> {
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
    pub fn keep<T: Send>(&self, work: impl FnOnce(&mut Keeper) -> Result<T> + Send) -> Result<T> {
        self.phone.run(|| work(&mut Keeper::open(Options::default())?))?
    }
}

/// The lab gives its hosts routing by source; most hosts have none.
pub fn delete_lab_rules() -> Result {
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

pub fn give_world_address() -> Result {
    let mut message = AddressMessage::default();
    message.header.family = AddressFamily::Inet;
    message.header.prefix_len = 32;
    message.header.index = 1;
    message.attributes = vec![AddressAttribute::Local(WORLD.into()), AddressAttribute::Address(WORLD.into())];
    let mut netlink = Netlink::open(NETLINK_ROUTE)?;
    netlink.request(RouteNetlinkMessage::NewAddress(message), NLM_F_CREATE)?;
    Ok(())
}

/// What a look changed, all of it.
pub fn looked(keeper: &mut Keeper) -> Result<Vec<Change>> {
    let outcome = keeper.look()?;
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    Ok(outcome.plan.changes)
}

/// Gives an interface of the calling thread's host a default route, in place of the one with this metric, in one step.
pub fn set_default(interface: u32, gateway: IpAddr, metric: u32, flags: RouteFlags) -> Result {
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
pub fn lets_in(address: IpAddr, interface: u32) -> Result<bool> {
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
pub fn own_routes() -> Result<Vec<(Option<IpAddr>, bool)>> {
    let routes = Snapshot::read()?.routes;
    let own = routes.iter().filter(|route| route.table > 0x6d70_0000 && route.is_default());
    Ok(own.flat_map(|route| &route.hops).map(|hop| (hop.gateway, hop.onlink)).collect())
}

/// What undoing did, all of it.
pub fn undone(keeper: &mut Keeper) -> Result<Vec<Change>> {
    let outcome = keeper.undo();
    assert!(outcome.failures.is_empty(), "{:?}", outcome.failures);
    Ok(outcome.plan.changes)
}

pub fn snapshot(host: &Host) -> Result<Snapshot> {
    Ok(host.run(Snapshot::read)??)
}
