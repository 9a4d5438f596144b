//! One host's side of a link: the interface on the host, the jack backstage that its cable ends in, its
//! addresses, neighbours, routes and rules.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::host::Host;
use crate::lab::Backstage;
use crate::lock;
use crate::rtnl::{DefaultRoute, Mac, VethEnd};

// Backstage indices start far above those on hosts: the two ends of a veth pair must not have the same, else
// the kernel takes the pair for one interface and reports changes of carrier up to a second late (linkwatch).
const FIRST_INDEX: u32 = 1_000;
const INDICES_PER_LINK: u32 = 10;
// Base of the links' routing tables, and of the priorities of their rules (below the main table's 32766).
const FIRST_TABLE: u32 = 1_000;
const FIRST_METRIC: u32 = 100;
// The kernel settles a change of carrier within milliseconds; this bounds the wait on a machine that is busy.
const SETTLE: Duration = Duration::from_secs(5);

/// The index of the bridge of a plain link; those of the jacks follow.
pub(crate) fn bridge_index(number: u8) -> u32 {
    FIRST_INDEX + u32::from(number) * INDICES_PER_LINK
}

pub(crate) fn jack_index(number: u8, side: u8) -> u32 {
    bridge_index(number) + u32::from(side)
}

fn mac(number: u8, side: u8) -> Mac {
    [2, 0, 0, number, 0, side]
}

/// An address on link `number` for the host with this number in its subnets.
fn v4(number: u8, host: u8) -> IpAddr {
    Ipv4Addr::new(10, number, 0, host).into()
}

fn v6(number: u8, host: u8) -> IpAddr {
    Ipv6Addr::new(0xfd00, number.into(), 0, 0, 0, 0, 0, host.into()).into()
}

fn prefix(address: IpAddr) -> u8 {
    if address.is_ipv4() { 24 } else { 64 }
}

#[derive(Debug)]
pub(crate) struct End {
    pub(crate) host: Host,
    /// The interface on the host.
    pub(crate) interface: u32,
    /// The interface at the other end of the cable, backstage.
    pub(crate) jack: u32,
    /// Our addresses, and in the same order those of the other side (its first ones: that is where our routes lead).
    addresses: Mutex<Vec<(IpAddr, IpAddr)>>,
    mac: Mac,
    peer_mac: Mac,
    metric: u32,
    /// The table for what comes from our addresses; only the side that chooses the link has one.
    table: Option<u32>,
}

impl End {
    /// Makes the cable of side 1 or 2 and brings it up, without addresses.
    pub(crate) fn plug_in(
        backstage: &Backstage,
        host: &Host,
        name: &str,
        number: u8,
        side: u8,
        with_ipv6: bool,
    ) -> Result<Self, Error> {
        let jack = jack_index(number, side);
        {
            let jack_name = format!("jack{number}.{side}");
            let here = VethEnd { name: &jack_name, mac: [2, 0, 0, number, 1, side] };
            let there = VethEnd { name, mac: mac(number, side) };
            lock(&backstage.rtnl).add_veth(jack, &here, &there, host.namespace().raw_fd())?;
        }
        let interface = host.rtnl().index(name)?;
        let mut addresses = vec![(v4(number, side), v4(number, 3 - side))];
        if with_ipv6 {
            addresses.push((v6(number, side), v6(number, 3 - side)));
        }
        let end = End {
            host: host.clone(),
            interface,
            jack,
            addresses: Mutex::new(addresses),
            mac: mac(number, side),
            peer_mac: mac(number, 3 - side),
            metric: FIRST_METRIC + host.next_link(),
            table: (side == 1).then_some(FIRST_TABLE + u32::from(number)),
        };
        host.rtnl().set_up(interface, true)?;
        lock(&backstage.rtnl).set_up(jack, true)?;
        Ok(end)
    }

    pub(crate) fn addresses(&self) -> Vec<IpAddr> {
        lock(&self.addresses).iter().map(|&(ours, _)| ours).collect()
    }

    /// What stays for as long as the addresses: neighbours and rules.
    pub(crate) fn prepare(&self) -> Result<(), Error> {
        let mut rtnl = self.host.rtnl();
        for &(ours, theirs) in lock(&self.addresses).iter() {
            rtnl.add_neighbour(self.interface, theirs, self.peer_mac)?;
            if let Some(table) = self.table {
                rtnl.add_source_rule(ours, table, table)?;
            }
        }
        Ok(())
    }

    /// Gives the host its addresses and routes. Harmless if it has them.
    pub(crate) fn give_addresses(&self) -> Result<(), Error> {
        let mut rtnl = self.host.rtnl();
        for ours in self.addresses() {
            rtnl.add_address(self.interface, ours, prefix(ours))?;
        }
        for route in self.routes() {
            rtnl.add_default_route(&route)?;
        }
        Ok(())
    }

    /// Takes addresses and routes away. Harmless if the host hasn't got them.
    pub(crate) fn take_addresses(&self) -> Result<(), Error> {
        let mut rtnl = self.host.rtnl();
        for route in self.routes() {
            rtnl.delete_default_route(&route)?;
        }
        for ours in self.addresses() {
            rtnl.delete_address(self.interface, ours, prefix(ours))?;
        }
        Ok(())
    }

    /// Deletes the rules by which our addresses choose the link; renumbering brings them back.
    pub(crate) fn drop_source_rules(&self) -> Result<(), Error> {
        let Some(table) = self.table else { return Ok(()) };
        let mut rtnl = self.host.rtnl();
        self.addresses().into_iter().try_for_each(|ours| rtnl.delete_source_rule(ours, table, table))
    }

    /// Deletes the default routes through this link from the main table, not from the link's own.
    pub(crate) fn drop_default_routes(&self) -> Result<(), Error> {
        let mut rtnl = self.host.rtnl();
        let main = self.routes().into_iter().filter(|route| route.table.is_none());
        main.into_iter().try_for_each(|route| rtnl.delete_default_route(&route))
    }

    /// Puts other addresses in place of those the host has or had, with their routes and rules; `peer` is the other
    /// end of the link `number`.
    pub(crate) fn renumber(&self, peer: &End, number: u8, host: u8) -> Result<(), Error> {
        let new = |old: IpAddr| if old.is_ipv4() { v4(number, host) } else { v6(number, host) };
        let taken = peer.addresses();
        if !(1..=254).contains(&host) || self.addresses().into_iter().any(|old| taken.contains(&new(old))) {
            return Err(Error::BadSpec("a host's number outside of 1 to 254, or the other side's"));
        }
        self.take_addresses()?;
        self.drop_source_rules()?;
        for (ours, _) in lock(&self.addresses).iter_mut() {
            *ours = new(*ours);
        }
        // The old neighbours stay: the other side's default route goes through one of them.
        for ours in self.addresses() {
            peer.host.rtnl().add_neighbour(peer.interface, ours, self.mac)?;
        }
        self.prepare()?;
        self.give_addresses()
    }

    fn routes(&self) -> Vec<DefaultRoute> {
        let tables = std::iter::once(None).chain(self.table.map(Some));
        let addresses = lock(&self.addresses);
        let route = |table, &(source, gateway): &(IpAddr, IpAddr)| DefaultRoute {
            interface: self.interface,
            gateway,
            source,
            metric: self.metric,
            table,
        };
        tables.flat_map(|table| addresses.iter().map(move |pair| route(table, pair))).collect()
    }

    /// Plugs the cable in or out and waits until the host has noticed.
    pub(crate) fn set_carrier(&self, backstage: &Backstage, carrier: bool) -> Result<(), Error> {
        lock(&backstage.rtnl).set_up(self.jack, carrier)?;
        self.settle(backstage, carrier)
    }

    /// Waits until both ends of the cable carry frames, or the host's end has stopped to.
    pub(crate) fn settle(&self, backstage: &Backstage, carrier: bool) -> Result<(), Error> {
        let start = Instant::now();
        while start.elapsed() < SETTLE {
            let on_host = self.host.rtnl().is_operational(self.interface)?;
            let settled =
                if carrier { on_host && lock(&backstage.rtnl).is_operational(self.jack)? } else { !on_host };
            if settled {
                return Ok(());
            }
            sleep(Duration::from_millis(1));
        }
        Err(Error::System {
            doing: "change the carrier of a link",
            source: std::io::ErrorKind::TimedOut.into(),
        })
    }
}
