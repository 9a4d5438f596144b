//! AF_PACKET sockets, `packet(7)`: the one place of the lab with unsafe code, because no safe crate can bind
//! them or set their options. Everything else about them goes through `socket2`. Below it, for the same reason, is
//! what answers system calls for the kernel.
#![allow(unsafe_code)]

#[cfg(feature = "systems")]
pub(crate) mod notify;

use std::io;
use std::mem::size_of;
use std::os::fd::AsRawFd;

use libc::{c_int, c_void, sockaddr_ll, socklen_t};
use socket2::{Domain, Socket, Type};

// Wanted for the packets that arrive while the forwarder's thread waits for a processor.
const RECEIVE_BUFFER: c_int = 8 * 1024 * 1024;
// <linux/if_packet.h>; missing in libc for some targets.
const PACKET_VNET_HDR: c_int = 15;
const PACKET_IGNORE_OUTGOING: c_int = 23;

/// A non-blocking socket that receives every frame which arrives at the interface, and sends through it. Each
/// frame is preceded by a `struct virtio_net_hdr` of 10 bytes, so that checksums that the sender's stack left
/// to its interface, and segments yet to be cut, stay what they are across the forwarder.
pub(crate) fn packet_socket(interface: u32) -> io::Result<Socket> {
    // Protocol 0 receives nothing until the socket is bound: no frame of another interface gets in.
    let socket = Socket::new(Domain::PACKET, Type::RAW.nonblocking().cloexec(), None)?;
    set_option(&socket, libc::SOL_PACKET, PACKET_VNET_HDR, 1)?;
    set_option(&socket, libc::SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)?;
    // Above net.core.rmem_max only for root; others get what that sysctl allows.
    if set_option(&socket, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, RECEIVE_BUFFER).is_err() {
        socket.set_recv_buffer_size(RECEIVE_BUFFER as usize)?;
    }
    let address = sockaddr_ll {
        sll_family: libc::AF_PACKET as libc::sa_family_t,
        sll_protocol: (libc::ETH_P_ALL as u16).to_be(),
        sll_ifindex: c_int::try_from(interface).map_err(|_| io::ErrorKind::InvalidInput)?,
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    // SAFETY: `address` is an initialised sockaddr_ll, its size is passed along, and bind(2) only reads it
    // during the call; the descriptor is open because `socket` is borrowed.
    let done = unsafe {
        libc::bind(
            socket.as_raw_fd(),
            (&raw const address).cast::<libc::sockaddr>(),
            size_of::<sockaddr_ll>() as socklen_t,
        )
    };
    if done == 0 { Ok(socket) } else { Err(io::Error::last_os_error()) }
}

fn set_option(socket: &Socket, level: c_int, option: c_int, value: c_int) -> io::Result<()> {
    // SAFETY: all options used here take an int; `value` is one, its size is passed along, and setsockopt(2)
    // only reads it during the call; the descriptor is open because `socket` is borrowed.
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast::<c_void>(),
            size_of::<c_int>() as socklen_t,
        )
    };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}
