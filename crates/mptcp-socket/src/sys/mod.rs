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

mod interfaces;
mod slot;

pub(crate) use imp::*;
pub(crate) use interfaces::name_interfaces;
pub(crate) use slot::{Slot, poll_writable};
