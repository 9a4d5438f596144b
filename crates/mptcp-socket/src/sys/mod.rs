//! The edge to the operating system, and the only place in the workspace's published crates with unsafe code.
//!
//! One `imp` per kind of platform: `linux` asks the kernel, `other` says that there is no MPTCP. Both have the same
//! functions, so that nothing above needs to know where it runs.

#[cfg(all(any(target_os = "linux", target_os = "android"), not(mptcp_socket_no_mptcp)))]
#[path = "linux.rs"]
mod imp;
#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(mptcp_socket_no_mptcp))))]
#[path = "other.rs"]
mod imp;

#[cfg(all(unix, feature = "tokio"))]
mod eager;
#[cfg(unix)]
mod inherited;
#[cfg(unix)]
mod interfaces;
mod slot;

use crate::sync;

/// What has a socket to ask: everything on Unix that has a descriptor, on Windows what has a socket.
#[cfg(unix)]
pub(crate) use std::os::fd::{AsFd, BorrowedFd};
#[cfg(windows)]
pub(crate) use std::os::windows::io::{AsSocket as AsFd, BorrowedSocket as BorrowedFd};

/// Whether calls on a new socket wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blocking {
    Yes,
    No,
}

/// A socket that is closed when dropped: `OwnedFd` on Unix, `OwnedSocket` on Windows.
#[cfg(unix)]
pub type OwnedSocket = std::os::fd::OwnedFd;
/// A socket that is closed when dropped: `OwnedFd` on Unix, `OwnedSocket` on Windows.
#[cfg(windows)]
pub type OwnedSocket = std::os::windows::io::OwnedSocket;

/// A socket as a number: a descriptor on Unix, a handle on Windows.
#[cfg(unix)]
pub type RawSocket = std::os::fd::RawFd;
/// A socket as a number: a descriptor on Unix, a handle on Windows.
#[cfg(windows)]
pub type RawSocket = std::os::windows::io::RawSocket;

#[cfg(all(unix, feature = "tokio"))]
pub(crate) use eager::{Lent, SEND, SEND_CORKED, accept, receive, register, register_listener};
pub use imp::network_namespace;
pub(crate) use imp::*;
#[cfg(unix)]
pub(crate) use inherited::inherited;
#[cfg(unix)]
pub(crate) use interfaces::{address_of, name_interfaces};
pub use slot::duplicate;
pub(crate) use slot::{Slot, poll_writable};

/// Windows has no `getifaddrs`; paths have no interface there.
#[cfg(windows)]
pub(crate) fn name_interfaces(_: &mut [crate::Path]) {}

/// Nor do interfaces have names here.
#[cfg(windows)]
pub(crate) fn address_of(_: &str, _: bool) -> Option<std::net::IpAddr> {
    None
}
