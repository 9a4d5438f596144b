//! The host's MPTCP path manager: which addresses take part in Multipath TCP connections and how many
//! subflows a connection may have.
//!
//! The kernel opens and announces the paths of an MPTCP connection by itself, from a list of *endpoints* and
//! two *limits* that belong to a network namespace. This crate reads and changes both, blocking, over generic
//! netlink (family `mptcp_pm`, `<linux/mptcp_pm.h>`, RFC 8684 section 3.4 for what goes over the wire). It
//! does what `ip mptcp endpoint` and `ip mptcp limits` do, without needing those programs.
//!
//! Beside it: the [interfaces, addresses, routes and rules](Snapshot) that endpoints stand on, the [sysctls](Settings),
//! [events](PathEvents) of connections and [of the host](HostEvents), and endpoints that [follow the host](auto).
//!
//! Reading is open to everyone; changing needs `CAP_NET_ADMIN` in the network namespace.
//!
//! ```no_run
//! use mptcp_paths::{Endpoint, EndpointFlags, Limits, PathManager};
//!
//! # fn main() -> Result<(), mptcp_paths::Error> {
//! let mut manager = PathManager::open()?;
//! manager.set_limits(Limits { subflows: 4, add_addr_accepted: 4 })?;
//! let address = std::net::IpAddr::from([192, 0, 2, 7]);
//! manager.add(&Endpoint::new(address, EndpointFlags::SUBFLOW))?;
//! for endpoint in manager.endpoints()? {
//!     println!("{:?} {}", endpoint.id, endpoint.address);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What the connections of the host make of it, [`connections`] reads.
//!
//! Everything builds on systems without MPTCP; there [`PathManager::open`] says [`Error::Unsupported`].
#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod auto;
pub mod connections;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod controller;
pub mod doctor;
mod endpoint;
mod error;
mod events;
#[cfg(test)]
#[cfg(any(target_os = "linux", target_os = "android"))]
mod fuzz_tests;
#[cfg(any(test, feature = "_fuzzing"))]
#[cfg(any(target_os = "linux", target_os = "android"))]
#[doc(hidden)]
pub mod fuzzing;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod listen;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "listen_elsewhere.rs"]
mod listen;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod manager;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "manager_elsewhere.rs"]
mod manager;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod message;
#[cfg(any(target_os = "linux", target_os = "android"))]
#[doc(hidden)]
pub mod netlink;
mod overview;
mod prefix;
mod routes;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod rtnl;
mod settings;
mod snapshot;
mod source;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod source_routes;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[path = "source_routes_elsewhere.rs"]
mod source_routes;
mod tunnels;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod userspace;

pub use endpoint::{Endpoint, EndpointFlags, FlagChange, Limits};
pub use error::Error;
pub use events::{Connection, HostEvent, InterfaceAddress, PathEvent, Reset, Subflow};
pub use listen::{HostEvents, PathEvents};
pub use manager::PathManager;
pub use overview::Overview;
pub use prefix::Prefix;
pub use routes::{WayOut, ways_out, ways_to};
pub use settings::{ManagerKind, Settings};
pub use snapshot::{Address, Hop, Interface, OperState, Route, RouteKind, Rule, RuleAction, Scope, Snapshot};
use source_routes::SourceRoutes;
