//! What a host's network looks like at a moment: interfaces, addresses, routes and rules, in our own types.

use std::fmt;
use std::net::IpAddr;

use crate::{Error, Prefix};

/// The interfaces, routes and routing rules of a network namespace, read over rtnetlink (`rtnetlink(7)`).
///
/// Made up as tests like it, or [read](Snapshot::read) from the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Snapshot {
    /// The interfaces, in the order of their indices.
    pub interfaces: Vec<Interface>,
    /// The routes of every table, IPv4 first.
    pub routes: Vec<Route>,
    /// The routing rules, IPv4 first, each family in the order in which the kernel asks them.
    pub rules: Vec<Rule>,
    /// How many of the kernel's messages could not be understood: what they tell of is missing above.
    pub unreadable: usize,
}

/// A network interface.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Interface {
    /// Its index, unique in the namespace while it exists.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Whether it is a loopback device.
    pub loopback: bool,
    /// Whether it is set up (`ip link set up`).
    pub up: bool,
    /// Whether it has a carrier: a cable, a radio link.
    pub carrier: bool,
    /// The state that the kernel made of both, and of what the driver says (RFC 2863).
    pub state: OperState,
    /// The largest packet, in bytes.
    pub mtu: Option<u32>,
    /// What kind of virtual interface it is: `veth`, `bridge`, `wireguard` …; `None` for hardware, or not known.
    pub kind: Option<String>,
    /// The index of the bridge, bond or VRF that it belongs to.
    pub controller: Option<u32>,
    /// How it filters packets whose source it would not answer through it (`rp_filter` in
    /// `Documentation/networking/ip-sysctl.rst`, RFC 3704; IPv4 only): 0 not at all, 1 strictly, 2 loosely. The
    /// higher value of its own and that of all interfaces, which is what counts.
    pub rp_filter: Option<u8>,
    /// Its addresses, in the kernel's order.
    pub addresses: Vec<Address>,
}

/// An address of an interface.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Address {
    /// The address.
    pub address: IpAddr,
    /// How many of its bits name the subnet.
    pub prefix_length: u8,
    /// The other end of a point-to-point interface.
    pub peer: Option<IpAddr>,
    /// How far it is valid.
    pub scope: Scope,
    /// IPv6: a privacy address that will be replaced (RFC 8981).
    pub temporary: bool,
    /// IPv6: not to be used yet, since it isn't known whether somebody else has it (RFC 4862, section 5.4).
    pub tentative: bool,
    /// Not to be used for new connections: its preferred lifetime has passed (RFC 4862, section 5.5.4).
    pub deprecated: bool,
    /// IPv6: somebody else has it; never to be used.
    pub duplicate: bool,
    /// IPv4: not the first address of its subnet.
    pub secondary: bool,
}

/// How far an address or a route reaches (`rtnetlink(7)`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum Scope {
    /// Everywhere.
    #[default]
    Global,
    /// This site (IPv6 addresses of old).
    Site,
    /// This link.
    Link,
    /// This host.
    Host,
    /// Nowhere, or a scope of the administrator's own.
    Other(u8),
}

/// The operational state of an interface (`Documentation/networking/operstates.rst`, RFC 2863).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum OperState {
    /// The driver doesn't say; many tunnels and the loopback device.
    #[default]
    Unknown,
    /// Parts are missing.
    NotPresent,
    /// Down, or without a carrier.
    Down,
    /// What it stands on is down.
    LowerLayerDown,
    /// Under test.
    Testing,
    /// Waits for something outside, such as an authentication.
    Dormant,
    /// Ready.
    Up,
}

impl OperState {
    /// The kernel's word for it, as in `/sys/class/net/IFACE/operstate`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::NotPresent => "notpresent",
            Self::Down => "down",
            Self::LowerLayerDown => "lowerlayerdown",
            Self::Testing => "testing",
            Self::Dormant => "dormant",
            Self::Up => "up",
        }
    }
}

impl fmt::Display for OperState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A route.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Route {
    /// The table that it is in; see [`Route::MAIN`] and [`Route::LOCAL`].
    pub table: u32,
    /// What is done with a packet.
    pub kind: RouteKind,
    /// Where it leads. Length 0: everywhere, a default route.
    pub destination: Prefix,
    /// IPv6: only for packets from here.
    pub source: Option<Prefix>,
    /// The ways that it takes: one, more for a multipath route, none where packets are dropped.
    pub hops: Vec<Hop>,
    /// The source address for packets that have none yet.
    pub preferred_source: Option<IpAddr>,
    /// Among routes to the same destination the lowest metric wins.
    pub metric: u32,
    /// Who made it (`RTPROT_*` in `<linux/rtnetlink.h>`): 2 the kernel, 3 boot, 4 an administrator, 16 DHCP …
    pub protocol: u8,
}

impl Route {
    /// The number of the table in which packets are looked up when no rule says otherwise.
    pub const MAIN: u32 = 254;
    /// The number of the kernel's table of the host's own addresses.
    pub const LOCAL: u32 = 255;

    /// Whether it leads everywhere.
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.kind == RouteKind::Unicast && self.destination.is_everything()
    }

    /// Whether it leads through this interface.
    #[must_use]
    pub fn leaves_through(&self, interface: u32) -> bool {
        self.hops.iter().any(|hop| hop.interface == Some(interface))
    }
}

/// One of the ways a route takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Hop {
    /// The index of the interface.
    pub interface: Option<u32>,
    /// The router; `None` where the destination is on the link itself.
    pub gateway: Option<IpAddr>,
    /// Whether nothing gets through: the interface is down or without a carrier.
    pub dead: bool,
    /// Whether the kernel passes it by (`RTNH_F_DEAD`): the interface is down, or it is without a carrier and
    /// `net.ipv4.conf.IFACE.ignore_routes_with_linkdown` is 1. By default the kernel goes on choosing a route that is dead for
    /// want of a carrier (`Documentation/networking/ip-sysctl.rst`).
    pub passed_by: bool,
    /// Whether the router is taken to be on the link, whatever the subnets say (`onlink`, `ip-route(8)`).
    pub onlink: bool,
}

/// What a route does with packets (`RTN_*` in `<linux/rtnetlink.h>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum RouteKind {
    /// Sends them on.
    Unicast,
    /// They are for this host.
    Local,
    /// Broadcasts them.
    Broadcast,
    /// Multicasts them, or takes them as anycast.
    Multicast,
    /// Drops them without a word.
    Blackhole,
    /// Says that the destination can't be reached.
    Unreachable,
    /// Says that it is forbidden.
    Prohibit,
    /// Goes on with the next rule.
    Throw,
    /// Something else.
    Other(u8),
}

/// A routing rule: which packets are looked up in which table (`ip-rule(8)`).
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[non_exhaustive]
pub struct Rule {
    /// Whether it is for IPv6.
    pub ipv6: bool,
    /// Rules are asked in this order, lowest first.
    pub priority: u32,
    /// Only packets from here.
    pub from: Option<Prefix>,
    /// Only packets to there.
    pub to: Option<Prefix>,
    /// Only packets that came in through this interface.
    pub incoming_interface: Option<String>,
    /// Only packets of sockets that are bound to this interface.
    pub outgoing_interface: Option<String>,
    /// Only packets with this firewall mark, under the mask.
    pub mark: Option<(u32, u32)>,
    /// What is done.
    pub action: RuleAction,
    /// Routes of at most this prefix length are passed by (`suppress_prefixlength`).
    pub suppress_prefix_length: Option<u32>,
    /// Whether it is for the packets that do not match.
    pub inverted: bool,
    /// Whether it has conditions that are not told here: users, ports, protocols, a type of service, a VRF.
    pub has_more: bool,
    /// Whether it is for sockets of a VRF only (`l3mdev`, `Documentation/networking/vrf.rst`): those that are bound to it, or
    /// to an interface in it.
    pub vrf: bool,
}

/// What a [`Rule`] does with the packets it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize), serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum RuleAction {
    /// Looks them up in this table.
    Table(u32),
    /// Goes on with the rule of this priority.
    Goto(u32),
    /// Nothing.
    Nop,
    /// Drops them without a word.
    Blackhole,
    /// Says that the destination can't be reached.
    Unreachable,
    /// Says that it is forbidden.
    Prohibit,
    /// Something else.
    Other(u8),
}

impl Snapshot {
    /// Reads the network namespace of the calling thread. Everyone may.
    ///
    /// The tables are read one after the other: what changes meanwhile may be in one and not yet in the other.
    ///
    /// # Errors
    /// [`Error::Unsupported`] elsewhere than on Linux; [`Error::Netlink`], [`Error::Refused`] or [`Error::Malformed`] if
    /// the kernel's tables can't be read.
    pub fn read() -> Result<Self, Error> {
        #[cfg(any(target_os = "linux", target_os = "android"))]
        return crate::rtnl::read();
        #[cfg(not(any(target_os = "linux", target_os = "android")))]
        Err(Error::Unsupported)
    }

    /// The interface with this index.
    #[must_use]
    pub fn interface(&self, index: u32) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.index == index)
    }

    /// The interface with this name.
    #[must_use]
    pub fn interface_named(&self, name: &str) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.name == name)
    }

    /// The interface that has this address.
    #[must_use]
    pub fn interface_with(&self, address: IpAddr) -> Option<&Interface> {
        self.interfaces.iter().find(|interface| interface.addresses.iter().any(|own| own.address == address))
    }

    /// The default routes through an interface in the main table, best first.
    #[must_use]
    pub fn default_routes(&self, interface: u32) -> Vec<&Route> {
        let mut routes: Vec<_> = self
            .routes
            .iter()
            .filter(|route| {
                route.table == Route::MAIN && route.is_default() && route.leaves_through(interface)
            })
            .collect();
        routes.sort_by_key(|route| route.metric);
        routes
    }
}

impl Interface {
    /// Whether packets can leave through it, as far as the host can see: up, with a carrier, and not waiting for
    /// anything.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        self.up && self.carrier && matches!(self.state, OperState::Up | OperState::Unknown)
    }

    /// The addresses that connections to the rest of the world may come from.
    pub fn usable_addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter().filter(|address| address.is_usable())
    }
}

impl Address {
    /// An address of global scope that can be used.
    #[must_use]
    pub const fn new(address: IpAddr, prefix_length: u8) -> Self {
        Self {
            address,
            prefix_length,
            peer: None,
            scope: Scope::Global,
            temporary: false,
            tentative: false,
            deprecated: false,
            duplicate: false,
            secondary: false,
        }
    }

    /// Whether new connections to the rest of the world may come from it: it reaches further than the link, and is
    /// neither tentative, deprecated nor a duplicate.
    #[must_use]
    pub const fn is_usable(&self) -> bool {
        matches!(self.scope, Scope::Global | Scope::Site)
            && !self.tentative
            && !self.deprecated
            && !self.duplicate
    }

    /// The subnet.
    #[must_use]
    pub const fn subnet(&self) -> Prefix {
        Prefix::new(self.address, self.prefix_length)
    }
}

impl Default for Address {
    fn default() -> Self {
        Self::new(IpAddr::from([0, 0, 0, 0]), 32)
    }
}

impl Default for Route {
    fn default() -> Self {
        Self {
            table: Self::MAIN,
            kind: RouteKind::Unicast,
            destination: Prefix::new(IpAddr::from([0, 0, 0, 0]), 0),
            source: None,
            hops: Vec::new(),
            preferred_source: None,
            metric: 0,
            protocol: 0,
        }
    }
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            ipv6: false,
            priority: 0,
            from: None,
            to: None,
            incoming_interface: None,
            outgoing_interface: None,
            mark: None,
            action: RuleAction::Table(Route::MAIN),
            suppress_prefix_length: None,
            inverted: false,
            has_more: false,
            vrf: false,
        }
    }
}
