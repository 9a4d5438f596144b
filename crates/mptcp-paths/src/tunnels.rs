//! Whether what this host sends goes into a tunnel: nothing of this library may go around it.

use std::net::IpAddr;

use crate::doctor::lookup::{self, Way};
use crate::{Interface, Snapshot};

/// Kinds of interfaces that carry packets inside of packets, as the kernel names them. A modem's `ppp` isn't one.
const TUNNELS: &[&str] = &[
    "wireguard",
    "amneziawg",
    "tun",
    "ovpn",
    "ovpn-dco",
    "ipip",
    "sit",
    "gre",
    "gretap",
    "ip6gre",
    "ip6gretap",
    "erspan",
    "ip6erspan",
    "ip6tnl",
    "vti",
    "vti6",
    "xfrm",
    "vxlan",
    "geneve",
    "bareudp",
    "gtp",
    "amt",
];

/// Addresses anywhere in the world: one in each half of IPv4, for OpenVPN routes both apart, and one of IPv6, whose global
/// addresses are all in its lower half. They are looked up on paper only.
const WORLD: [IpAddr; 3] = [
    IpAddr::V4(std::net::Ipv4Addr::new(11, 0, 0, 1)),
    IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 1)),
    IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

impl Interface {
    /// Whether it carries packets inside of packets: a VPN's interface, as a rule.
    #[must_use]
    pub fn is_tunnel(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| TUNNELS.contains(&kind))
    }
}

impl Snapshot {
    /// The tunnel into which the host sends what it sends to the world, if there is one.
    #[must_use]
    pub fn tunnel(&self) -> Option<&Interface> {
        WORLD.into_iter().find_map(|destination| self.tunnel_to(destination).ok()?)
    }

    /// The tunnel into which the host sends what it sends to this address, if there is one. An error where rules ask for
    /// what can't be known, and there is a tunnel.
    pub(crate) fn tunnel_to(&self, destination: IpAddr) -> Result<Option<&Interface>, Undecided> {
        let anywhere = match destination {
            IpAddr::V4(_) => IpAddr::from([0; 4]),
            IpAddr::V6(_) => IpAddr::from([0_u16; 8]),
        };
        match lookup::way(self, anywhere, destination, None) {
            Way::Through(index, _) => Ok(self.interface(index).filter(|interface| interface.is_tunnel())),
            Way::Unknown if self.has_tunnel() => Err(Undecided),
            _ => Ok(None),
        }
    }

    /// Whether a tunnel is up, whatever goes through it.
    #[must_use]
    pub fn has_tunnel(&self) -> bool {
        self.interfaces.iter().any(|interface| interface.up && interface.is_tunnel())
    }
}

/// Rules ask for marks, users or ports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Undecided;
