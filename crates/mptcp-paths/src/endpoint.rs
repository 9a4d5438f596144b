//! What the path manager is told: endpoints, their flags, and the limits of a network namespace.

use std::fmt;
use std::net::IpAddr;

/// A local address that MPTCP connections of this network namespace may use, and what for
/// (`struct mptcp_pm_addr_entry` in the kernel, `ip-mptcp(8)`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Endpoint {
    /// The local address. The kernel doesn't check that the host has it.
    pub address: IpAddr,
    /// Only for endpoints that are announced ([`EndpointFlags::signal`]): the port to announce; the kernel
    /// listens on it.
    pub port: Option<u16>,
    /// The identifier, 1 to 255, unique in the namespace, that goes over the wire as the Address ID.
    /// `None` when adding lets the kernel choose; what the kernel reports always has one.
    pub id: Option<u8>,
    /// The index of the interface that subflows from this address are bound to; `None`: the routes decide.
    pub interface: Option<u32>,
    /// What the endpoint is used for.
    pub flags: EndpointFlags,
}

impl Endpoint {
    /// An endpoint for `address` that leaves the identifier to the kernel and the interface to the routes.
    #[must_use]
    pub fn new(address: IpAddr, flags: EndpointFlags) -> Self {
        Endpoint { address, port: None, id: None, interface: None, flags }
    }

    /// Whether both have the same address and port, by which the kernel tells endpoints apart.
    #[must_use]
    pub fn is_at(&self, other: &Self) -> bool {
        self.address == other.address && self.port == other.port
    }
}

/// What an [`Endpoint`] is used for (`MPTCP_PM_ADDR_FLAG_*` in `<linux/mptcp_pm.h>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct EndpointFlags {
    /// Open an additional subflow from this address on every MPTCP connection, up to [`Limits::subflows`].
    pub subflow: bool,
    /// Announce this address to the peer with ADD_ADDR.
    pub signal: bool,
    /// Subflows from here carry data only when no other subflow can.
    pub backup: bool,
    /// Open a subflow from here to every address known of the peer, not only to the first one.
    pub fullmesh: bool,
    /// Made by the kernel for a subflow of an address that nobody configured; reported, never set.
    pub implicit: bool,
    /// Use this address to answer ADD_ADDR announcements (Linux 6.18 and newer).
    pub laminar: bool,
}

impl EndpointFlags {
    /// No flag.
    pub const NONE: Self = Self {
        subflow: false,
        signal: false,
        backup: false,
        fullmesh: false,
        implicit: false,
        laminar: false,
    };
    /// Connections open a path from here, and no other flag.
    pub const SUBFLOW: Self = Self { subflow: true, ..Self::NONE };
    /// Peers are told of this address, and no other flag.
    pub const SIGNAL: Self = Self { signal: true, ..Self::NONE };

    /// The words of the flags that are set, as `ip mptcp` has them.
    #[must_use]
    pub fn words(self) -> Vec<&'static str> {
        let all = [
            (self.subflow, "subflow"),
            (self.signal, "signal"),
            (self.backup, "backup"),
            (self.fullmesh, "fullmesh"),
            (self.laminar, "laminar"),
            (self.implicit, "implicit"),
        ];
        all.into_iter().filter(|(set, _)| *set).map(|(_, word)| word).collect()
    }
}

impl fmt::Display for EndpointFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(" "))
    }
}

/// What to change of an endpoint in place: the kernel can change these two and no others. `None` leaves it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct FlagChange {
    /// [`EndpointFlags::backup`]. Connections tell their peers at once (MP_PRIO, RFC 8684 section 3.3.8).
    pub backup: Option<bool>,
    /// [`EndpointFlags::fullmesh`]. The endpoint's subflows are closed and opened anew.
    pub fullmesh: Option<bool>,
}

impl FlagChange {
    /// The flags after the change.
    #[must_use]
    pub fn apply(self, flags: EndpointFlags) -> EndpointFlags {
        EndpointFlags {
            backup: self.backup.unwrap_or(flags.backup),
            fullmesh: self.fullmesh.unwrap_or(flags.fullmesh),
            ..flags
        }
    }
}

/// How much the kernel does by itself on each MPTCP connection of the namespace. At most 8 each; the kernel's
/// defaults are 2 subflows and no accepted ADD_ADDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Limits {
    /// Subflows in addition to the first one, opened and accepted together.
    pub subflows: u32,
    /// How many addresses announced by the peer (ADD_ADDR) a connection makes use of.
    pub add_addr_accepted: u32,
}

impl Limits {
    /// The highest value of each, and the highest number of endpoints (`MPTCP_PM_ADDR_MAX` in the kernel).
    pub const MAX: u32 = 8;
}
