//! A link between two hosts, and what can happen to it while traffic flows.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::boxes::{BoxKind, Direction};
use crate::cable::{End, bridge_index, jack_index};
use crate::error::{Doing, Error};
use crate::forwarder::{Forwarder, Settings};
use crate::host::Host;
use crate::lab::Backstage;
use crate::spec::{LinkSpec, Queue, Rate};
use crate::{lock, sys, tbf};

/// A link. Cheap to clone; all clones are the same link.
#[derive(Debug, Clone)]
pub struct Link {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    name: String,
    number: u8,
    ends: [End; 2],
    backstage: Arc<Backstage>,
    seed: u64,
    state: Mutex<State>,
}

/// What is between the two cables.
#[derive(Debug)]
enum Middle {
    /// A bridge of the kernel's, by its index. While the link is a black hole nothing is attached to it.
    Bridge(u32),
    Forwarder(Forwarder),
}

#[derive(Debug)]
struct State {
    middle: Middle,
    /// Whether the hosts' own interfaces keep to the rate (the link was made plain), or the forwarder does.
    paced_by_hosts: bool,
    rate: Option<Rate>,
    queue: Queue,
    black_hole: bool,
}

/// What a link carried in one direction since it was made. Frames and bytes are as the interfaces count them:
/// Ethernet headers included, and what the kernel hands over in one piece (segmentation offload) as one
/// frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Traffic {
    /// Frames that the sending host's interface sent.
    pub sent_frames: u64,
    /// Bytes that the sending host's interface sent.
    pub sent_bytes: u64,
    /// Frames that arrived at the receiving host.
    pub received_frames: u64,
    /// Bytes that arrived at the receiving host.
    pub received_bytes: u64,
    /// Frames that didn't fit into the queue of a forwarded link. (Those that don't fit into a plain link's
    /// queue are never sent.)
    pub dropped_by_queue: u64,
    /// Frames lost at random.
    pub dropped_by_loss: u64,
    /// Frames that the box didn't let pass.
    pub dropped_by_box: u64,
}

impl Link {
    pub(crate) fn new(
        backstage: &Arc<Backstage>,
        number: u8,
        a: &Host,
        b: &Host,
        spec: &LinkSpec,
    ) -> Result<Self, Error> {
        spec.check()?;
        let name = spec.name.clone().unwrap_or_else(|| format!("link{number}"));
        let bad = |byte: u8| byte.is_ascii_whitespace() || matches!(byte, b'/' | b':' | b'%' | 0);
        if !(1..=15).contains(&name.len()) || name.starts_with('.') || name.bytes().any(bad) {
            return Err(Error::BadName(name));
        }
        Self::build(backstage, number, name, [a, b], spec).inspect_err(|_| {
            // What was made before the failure; deleting a jack deletes the interface on its host.
            let mut rtnl = lock(&backstage.rtnl);
            for index in [jack_index(number, 1), jack_index(number, 2), bridge_index(number)] {
                let _ = rtnl.delete_link(index);
            }
        })
    }

    fn build(
        backstage: &Arc<Backstage>,
        number: u8,
        name: String,
        [a, b]: [&Host; 2],
        spec: &LinkSpec,
    ) -> Result<Self, Error> {
        let with_ipv6 = a.has_ipv6() && b.has_ipv6();
        let ends = [
            End::plug_in(backstage, a, &name, number, 1, with_ipv6)?,
            End::plug_in(backstage, b, &name, number, 2, with_ipv6)?,
        ];
        for end in &ends {
            end.settle(backstage, true)?;
            end.prepare()?;
            end.give_addresses()?;
        }
        let seed = spec.seed.unwrap_or(u64::from(number));
        let paced_by_hosts = !spec.is_forwarded();
        let middle = if paced_by_hosts {
            if let Some(rate) = spec.rate {
                for end in &ends {
                    tbf::set(&mut end.host.rtnl(), end.interface, rate, spec.queue.bytes(rate))?;
                }
            }
            let bridge = bridge_index(number);
            let mut rtnl = lock(&backstage.rtnl);
            rtnl.add_bridge(bridge, &format!("bridge{number}"))?;
            rtnl.set_up(bridge, true)?;
            for end in &ends {
                rtnl.set_bridge(end.jack, Some(bridge))?;
            }
            Middle::Bridge(bridge)
        } else {
            let settings = Settings {
                rate: spec.rate.map(|rate| (rate, spec.queue.bytes(rate))),
                delay: spec.delay,
                loss: spec.loss,
                middlebox: spec.middlebox,
            };
            Middle::Forwarder(start_forwarder(backstage, &ends, settings, seed)?)
        };
        let state = State { middle, paced_by_hosts, rate: spec.rate, queue: spec.queue, black_hole: false };
        let inner =
            Inner { name, number, ends, backstage: Arc::clone(backstage), seed, state: Mutex::new(state) };
        Ok(Link { inner: Arc::new(inner) })
    }

    /// The interface's name on both hosts.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// The addresses of a host on this link, IPv4 first; none if the host isn't at an end of it.
    #[must_use]
    pub fn addresses(&self, host: &Host) -> Vec<IpAddr> {
        self.inner.ends.iter().filter(|end| end.host == *host).flat_map(End::addresses).collect()
    }

    /// The IPv4 address of a host on this link.
    ///
    /// # Errors
    /// [`Error::NotAnEnd`] if the host isn't at an end of it.
    pub fn address(&self, host: &Host) -> Result<IpAddr, Error> {
        // Every end has an IPv4 address, and it is the first one.
        self.end(host)?.addresses().first().copied().ok_or_else(|| self.not_an_end(host))
    }

    /// The index of the interface on a host.
    ///
    /// # Errors
    /// [`Error::NotAnEnd`] if the host isn't at an end of the link.
    pub fn interface_index(&self, host: &Host) -> Result<u32, Error> {
        Ok(self.end(host)?.interface)
    }

    /// Pulls the cables out of both hosts (`false`) or plugs them in again, and returns when the hosts have
    /// noticed: their interfaces lose their carrier but stay administratively up, with addresses and routes.
    ///
    /// # Errors
    /// [`Error::Netlink`], or [`Error::System`] if a host doesn't notice within 5 s.
    pub fn set_carrier(&self, carrier: bool) -> Result<(), Error> {
        let _one_at_a_time = lock(&self.inner.state);
        self.inner.ends.iter().try_for_each(|end| end.set_carrier(&self.inner.backstage, carrier))
    }

    /// Whether the host's interface has its carrier.
    ///
    /// # Errors
    /// [`Error::NotAnEnd`] if the host isn't at an end of the link, or [`Error::Netlink`].
    pub fn has_carrier(&self, host: &Host) -> Result<bool, Error> {
        let end = self.end(host)?;
        host.rtnl().is_operational(end.interface)
    }

    /// Lets every frame vanish, in both directions, without a trace on the hosts: carrier, addresses and
    /// neighbours stay. `false` ends it.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses.
    pub fn set_black_hole(&self, black_hole: bool) -> Result<(), Error> {
        let mut state = lock(&self.inner.state);
        match &state.middle {
            Middle::Forwarder(forwarder) => forwarder.set_black_hole(black_hole),
            Middle::Bridge(bridge) => {
                let mut rtnl = lock(&self.inner.backstage.rtnl);
                for end in &self.inner.ends {
                    rtnl.set_bridge(end.jack, (!black_hole).then_some(*bridge))?;
                }
            }
        }
        state.black_hole = black_hole;
        Ok(())
    }

    /// Sets the rate in each direction; `None`: as fast as the machine. A queue given as time keeps its time.
    ///
    /// # Errors
    /// [`Error::BadSpec`] for a rate of nothing, [`Error::Netlink`] if the kernel refuses.
    pub fn set_rate(&self, rate: Option<Rate>) -> Result<(), Error> {
        LinkSpec { rate, ..LinkSpec::default() }.check()?;
        let mut state = lock(&self.inner.state);
        if state.paced_by_hosts {
            for end in &self.inner.ends {
                let mut rtnl = end.host.rtnl();
                match rate {
                    Some(rate) => tbf::set(&mut rtnl, end.interface, rate, state.queue.bytes(rate))?,
                    None if state.rate.is_some() => tbf::clear(&mut rtnl, end.interface)?,
                    None => {}
                }
            }
        } else if let Middle::Forwarder(forwarder) = &state.middle {
            let queue = state.queue;
            forwarder.change(|settings| settings.rate = rate.map(|rate| (rate, queue.bytes(rate))));
        }
        state.rate = rate;
        Ok(())
    }

    /// Sets the delay in each direction. On a plain link, a forwarder takes over the frames (not the rate).
    ///
    /// # Errors
    /// [`Error::Netlink`] or [`Error::System`] if the forwarder can't start.
    pub fn set_delay(&self, one_way: Duration) -> Result<(), Error> {
        self.change(|settings| settings.delay = one_way)
    }

    /// Sets the share of frames lost at random, 0.0 to 1.0, in each direction. On a plain link, a forwarder
    /// takes over the frames (not the rate).
    ///
    /// # Errors
    /// [`Error::BadSpec`] for a share that is none, [`Error::Netlink`] or [`Error::System`] if the forwarder
    /// can't start.
    pub fn set_loss(&self, share: f64) -> Result<(), Error> {
        LinkSpec { loss: share, ..LinkSpec::default() }.check()?;
        self.change(|settings| settings.loss = share)
    }

    /// Puts a box on the link, in place of the one there, or takes it away. On a plain link, a forwarder
    /// takes over the frames (not the rate).
    ///
    /// # Errors
    /// [`Error::Netlink`] or [`Error::System`] if the forwarder can't start.
    pub fn set_box(&self, kind: Option<BoxKind>) -> Result<(), Error> {
        self.change(|settings| settings.middlebox = kind)
    }

    /// Takes the host's addresses on this link away, with their routes, as when a network is left.
    ///
    /// # Errors
    /// [`Error::NotAnEnd`] if the host isn't at an end of the link, or [`Error::Netlink`].
    pub fn take_address(&self, host: &Host) -> Result<(), Error> {
        self.end(host)?.take_addresses()
    }

    /// Gives the host its addresses on this link back, with their routes.
    ///
    /// # Errors
    /// [`Error::NotAnEnd`] if the host isn't at an end of the link, or [`Error::Netlink`].
    pub fn give_address(&self, host: &Host) -> Result<(), Error> {
        self.end(host)?.give_addresses()
    }

    /// Gives the host other addresses on this link, with their routes, in place of those it has or had, as when a
    /// network is left and entered again: 10.N.0.`number` and fd00:N::`number` on the lab's link number N.
    /// [`Link::addresses`] and [`Lab::enable_multipath`](crate::Lab::enable_multipath) go by the new ones. The other
    /// host keeps its own, and its default route, which still leads to this host.
    ///
    /// # Errors
    /// [`Error::NotAnEnd`] if the host isn't at an end of the link, [`Error::BadSpec`] for a number outside of 1 to
    /// 254 or that of the other host, or [`Error::Netlink`].
    pub fn renumber(&self, host: &Host, number: u8) -> Result<(), Error> {
        let end = self.end(host)?;
        let [a, b] = &self.inner.ends;
        let peer = if a.host == *host { b } else { a };
        let _one_at_a_time = lock(&self.inner.state);
        end.renumber(peer, self.inner.number, number)
    }

    /// Deletes the host's rules by which its address on this link chooses the link, as on hosts that route by
    /// destination alone. The routing table that they led to stays.
    ///
    /// # Errors
    /// [`Error::NotAnEnd`] if the host isn't at an end of the link, or [`Error::Netlink`].
    pub fn drop_source_rules(&self, host: &Host) -> Result<(), Error> {
        self.end(host)?.drop_source_rules()
    }

    /// Deletes the host's default routes through this link from the main routing table.
    ///
    /// # Errors
    /// [`Error::NotAnEnd`] if the host isn't at an end of the link, or [`Error::Netlink`].
    pub fn drop_default_routes(&self, host: &Host) -> Result<(), Error> {
        self.end(host)?.drop_default_routes()
    }

    /// Sets the host's interface up or down: down, it loses its routes and its IPv6 addresses.
    ///
    /// # Errors
    /// [`Error::NotAnEnd`] if the host isn't at an end of the link, or [`Error::Netlink`].
    pub fn set_up(&self, host: &Host, up: bool) -> Result<(), Error> {
        let interface = self.end(host)?.interface;
        host.rtnl().set_up(interface, up)
    }

    /// Sets the largest packet of the host's interface, in bytes. Below 1280 it loses IPv6.
    ///
    /// # Errors
    /// [`Error::NotAnEnd`] if the host isn't at an end of the link, or [`Error::Netlink`].
    pub fn set_mtu(&self, host: &Host, bytes: u32) -> Result<(), Error> {
        let interface = self.end(host)?.interface;
        host.rtnl().set_mtu(interface, bytes)
    }

    /// What the link carried in one direction.
    ///
    /// # Errors
    /// [`Error::Netlink`] if the kernel refuses.
    pub fn traffic(&self, direction: Direction) -> Result<Traffic, Error> {
        let [a, b] = &self.inner.ends;
        let (from, to, lane) = match direction {
            Direction::AToB => (a, b, 0),
            Direction::BToA => (b, a, 1),
        };
        let sent = from.host.rtnl().statistics(from.interface)?;
        let received = to.host.rtnl().statistics(to.interface)?;
        let dropped = match &lock(&self.inner.state).middle {
            Middle::Forwarder(forwarder) => forwarder.dropped()[lane],
            Middle::Bridge(_) => Default::default(),
        };
        Ok(Traffic {
            sent_frames: sent.tx_packets,
            sent_bytes: sent.tx_bytes,
            received_frames: received.rx_packets,
            received_bytes: received.rx_bytes,
            dropped_by_queue: dropped.queue,
            dropped_by_loss: dropped.loss,
            dropped_by_box: dropped.middlebox,
        })
    }

    pub(crate) fn connects(&self, one: &Host, other: &Host) -> bool {
        let [a, b] = &self.inner.ends;
        (a.host == *one && b.host == *other) || (a.host == *other && b.host == *one)
    }

    fn change(&self, change: impl FnOnce(&mut Settings)) -> Result<(), Error> {
        let mut state = lock(&self.inner.state);
        let bridge = match &state.middle {
            Middle::Forwarder(forwarder) => {
                forwarder.change(change);
                return Ok(());
            }
            Middle::Bridge(bridge) => *bridge,
        };
        // The rate stays with the hosts: moving it would empty their queues.
        let mut settings = Settings { rate: None, delay: Duration::ZERO, loss: 0.0, middlebox: None };
        change(&mut settings);
        // Once the bridge is gone the jacks are free; frames meanwhile are lost, for some milliseconds.
        lock(&self.inner.backstage.rtnl).delete_link(bridge)?;
        let forwarder = start_forwarder(&self.inner.backstage, &self.inner.ends, settings, self.inner.seed)?;
        forwarder.set_black_hole(state.black_hole);
        state.middle = Middle::Forwarder(forwarder);
        Ok(())
    }

    fn end(&self, host: &Host) -> Result<&End, Error> {
        self.inner.ends.iter().find(|end| end.host == *host).ok_or_else(|| self.not_an_end(host))
    }

    fn not_an_end(&self, host: &Host) -> Error {
        Error::NotAnEnd { host: host.name().to_owned(), link: self.inner.name.clone() }
    }
}

fn start_forwarder(
    backstage: &Backstage,
    ends: &[End; 2],
    settings: Settings,
    seed: u64,
) -> Result<Forwarder, Error> {
    for end in ends {
        // A frame lost must be one segment, not a burst of forty.
        end.host.rtnl().set_gso_segments(end.interface, 1)?;
    }
    let jacks = ends.each_ref().map(|end| end.jack);
    let sockets = backstage.namespace.run(|| jacks.map(sys::packet_socket))?;
    let [a, b] = sockets;
    let doing = "open a packet socket";
    Forwarder::start([a.doing(doing)?, b.doing(doing)?], settings, seed)
}
