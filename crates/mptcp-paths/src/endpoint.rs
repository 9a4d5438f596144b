//! What the path manager is told: endpoints, their flags, and the limits of a network namespace.

use std::net::IpAddr;

/// A local address that MPTCP connections of this network namespace may use, and what for
/// (`struct mptcp_pm_addr_entry` in the kernel, `ip-mptcp(8)`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
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
}

/// What an [`Endpoint`] is used for (`MPTCP_PM_ADDR_FLAG_*` in `<linux/mptcp_pm.h>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
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

/// How much the kernel does by itself on each MPTCP connection of the namespace. At most 8 each; the kernel's
/// defaults are 2 subflows and no accepted ADD_ADDR.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Limits {
    /// Subflows in addition to the first one, opened and accepted together.
    pub subflows: u32,
    /// How many addresses announced by the peer (ADD_ADDR) a connection makes use of.
    pub add_addr_accepted: u32,
}
