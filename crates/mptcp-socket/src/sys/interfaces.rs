//! Which interface holds an address: `getifaddrs(3)`.
#![allow(unsafe_code, reason = "getifaddrs returns a linked list of raw pointers")]

use std::net::IpAddr;

use crate::Path;

/// Fills in the interface of each path from its local address.
pub(crate) fn name_interfaces(paths: &mut [Path]) {
    if paths.iter().all(|path| path.interface.is_some() || path.local.is_none()) {
        return;
    }
    let Ok(interfaces) = imp::interfaces() else { return };
    for path in paths.iter_mut().filter(|path| path.interface.is_none()) {
        // A dual-stack socket speaks IPv4 under mapped addresses; interfaces hold the plain ones.
        let Some(address) = path.local.map(|local| local.ip().to_canonical()) else { continue };
        path.interface = interfaces.iter().find(|(held, _)| *held == address).map(|(_, name)| name.clone());
    }
}

/// An address of an interface that connections to the rest of the world can be made from.
pub(crate) fn address_of(interface: &str, v6: bool) -> Option<IpAddr> {
    let usable = |address: &IpAddr| match address {
        IpAddr::V4(address) => !v6 && !address.is_link_local(),
        IpAddr::V6(address) => v6 && !address.is_unicast_link_local(),
    };
    let held = imp::interfaces().ok()?;
    held.into_iter().find(|(address, name)| name == interface && usable(address)).map(|(address, _)| address)
}

mod imp {
    use std::{
        ffi::CStr,
        io,
        net::{IpAddr, Ipv4Addr, Ipv6Addr},
        ptr,
    };

    struct List(*mut libc::ifaddrs);

    impl Drop for List {
        fn drop(&mut self) {
            // SAFETY: the pointer came from a successful getifaddrs and is freed once.
            unsafe { libc::freeifaddrs(self.0) }
        }
    }

    /// Every address of this host with the name of the interface that holds it.
    pub(super) fn interfaces() -> io::Result<Vec<(IpAddr, String)>> {
        let mut head = ptr::null_mut();
        // SAFETY: `head` is a valid place for the pointer to the list.
        if unsafe { libc::getifaddrs(&mut head) } != 0 {
            return Err(io::Error::last_os_error());
        }
        let list = List(head);
        let mut found = Vec::new();
        let mut next = list.0;
        while !next.is_null() {
            // SAFETY: a non-null entry of the list is valid until the list is freed, at the end of this function.
            let entry = unsafe { &*next };
            next = entry.ifa_next;
            if entry.ifa_addr.is_null() || entry.ifa_name.is_null() {
                continue;
            }
            // SAFETY: `ifa_addr` points to a sockaddr whose family says how long it is; it may be unaligned for the
            // larger types, so the fields are read unaligned.
            let address: Option<IpAddr> = unsafe {
                match i32::from((*entry.ifa_addr).sa_family) {
                    libc::AF_INET => {
                        let v4 = ptr::read_unaligned(entry.ifa_addr.cast::<libc::sockaddr_in>());
                        Some(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)).into())
                    }
                    libc::AF_INET6 => {
                        let v6 = ptr::read_unaligned(entry.ifa_addr.cast::<libc::sockaddr_in6>());
                        Some(Ipv6Addr::from(v6.sin6_addr.s6_addr).into())
                    }
                    _ => None,
                }
            };
            if let Some(address) = address {
                // SAFETY: `ifa_name` is a NUL-terminated string of the entry.
                let name = unsafe { CStr::from_ptr(entry.ifa_name) };
                found.push((address, name.to_string_lossy().into_owned()));
            }
        }
        Ok(found)
    }
}
