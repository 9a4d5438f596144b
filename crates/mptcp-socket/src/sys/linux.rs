//! MPTCP as Linux has it: socket options of `SOL_MPTCP` and `TCP_IS_MPTCP` (`<linux/mptcp.h>`, `<linux/tcp.h>`).
//!
//! No kernel version is parsed anywhere: the kernel is asked for the thing itself, and an error is the answer
//! "I don't have that".
#![allow(unsafe_code, reason = "socket options whose layout no safe crate knows")]

use std::{
    fs, io, mem,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    os::fd::{AsFd, AsRawFd},
    ptr,
    time::Duration,
};

use socket2::{Domain, SockRef, Socket, Type};

use super::Blocking;
use crate::{MptcpInfo, Path, Protocol, Reason, decode};

const SOL_MPTCP: libc::c_int = 284;
const MPTCP_INFO: libc::c_int = 1;
const MPTCP_TCPINFO: libc::c_int = 2;
const MPTCP_SUBFLOW_ADDRS: libc::c_int = 3;
const MPTCP_FULL_INFO: libc::c_int = 4;
const TCP_IS_MPTCP: libc::c_int = 43;
/// `<asm-generic/socket.h>` and `<linux/socket.h>`, since Linux 5.15.
const SO_BUF_LOCK: libc::c_int = 72;
const SOCK_RCVBUF_LOCK: u32 = 2;

/// Subflows asked for at once. The kernel allows 8 besides the first; the rest is room for those closing.
const MOST_SUBFLOWS: usize = 16;

/// `struct mptcp_full_info`.
#[repr(C)]
struct FullInfo {
    size_tcpinfo_kernel: u32,
    size_tcpinfo_user: u32,
    size_sfinfo_kernel: u32,
    size_sfinfo_user: u32,
    num_subflows: u32,
    size_arrays_user: u32,
    subflow_info: u64,
    tcp_info: u64,
    mptcp_info: [u8; decode::MPTCP_INFO_SIZE],
}

// The same for programs of 32 bits and of 64: `__aligned_u64` in the header.
const _: () = assert!(
    mem::offset_of!(FullInfo, subflow_info) == 24
        && mem::offset_of!(FullInfo, tcp_info) == 32
        && mem::offset_of!(FullInfo, mptcp_info) == 40
);

pub(crate) fn reason_for_socket_errno(error: &io::Error) -> Option<Reason> {
    match error.raw_os_error()? {
        libc::EINVAL => Some(Reason::KernelTooOld),
        libc::EPROTONOSUPPORT => Some(Reason::NotBuilt),
        libc::ENOPROTOOPT => Some(Reason::Disabled),
        libc::EPERM | libc::EACCES => Some(Reason::Denied),
        _ => None,
    }
}

/// Makes a socket of the wanted protocol: `Ok((socket, None))`, or with the reason why it is a TCP one after all.
pub(crate) fn stream_socket(
    domain: Domain,
    protocol: Protocol,
    blocking: Blocking,
) -> Result<(Socket, Option<Reason>), io::Error> {
    let mut reason = Reason::NotRequested;
    // A flag of the type (socket(2)) saves two system calls on a path of a dozen.
    let kind = if blocking == Blocking::No { Type::STREAM.nonblocking() } else { Type::STREAM };
    if protocol.wants_mptcp() {
        match Socket::new(domain, kind, Some(socket2::Protocol::MPTCP)) {
            Ok(socket) => return Ok((socket, None)),
            Err(error) => reason = reason_for_socket_errno(&error).ok_or(error)?,
        }
    }
    Ok((Socket::new(domain, kind, Some(socket2::Protocol::TCP))?, Some(reason)))
}

/// Fills `value` with an option and returns the length that the kernel wrote.
fn option(socket: &impl AsFd, level: libc::c_int, name: libc::c_int, value: &mut [u8]) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(value.len()).unwrap_or(libc::socklen_t::MAX);
    // SAFETY: the pointer and the length describe `value`, which lives and is borrowed exclusively during the call.
    let status = unsafe {
        libc::getsockopt(socket.as_fd().as_raw_fd(), level, name, value.as_mut_ptr().cast(), &mut length)
    };
    if status == 0 { Ok((length as usize).min(value.len())) } else { Err(io::Error::last_os_error()) }
}

/// The number by which the kernel tells the calling thread's network namespace from all others that there have been since
/// it was booted (`SO_NETNS_COOKIE` in `<asm-generic/socket.h>`, Linux 5.14).
///
/// # Errors
/// Those of `socket(2)`, and `ENOPROTOOPT` on older kernels.
pub fn network_namespace() -> io::Result<u64> {
    let socket = Socket::new(Domain::UNIX, Type::DGRAM, None)?;
    let mut value = [0; size_of::<u64>()];
    option(&socket, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, &mut value)?;
    Ok(u64::from_ne_bytes(value))
}

/// `TCP_FASTOPEN` on a listener (`tcp(7)`).
pub(crate) fn set_fast_open(socket: &impl AsFd, waiting: u32) -> io::Result<()> {
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_FASTOPEN, waiting)
}

pub(crate) fn limit_window(socket: &impl AsFd, bytes: u32) -> io::Result<()> {
    // The kernel widens the buffer, and the window with it, as data comes in, unless the buffer's size is locked. To lock it
    // at a size of choice, `SO_RCVBUF` has the low limit of net.core.rmem_max; `SO_RCVLOWAT` makes room for what is to be
    // waited for up to half of what tcp_rmem allows (tcp_set_rcvlowat() in net/ipv4/tcp.c).
    set_option(socket, libc::SOL_SOCKET, SO_BUF_LOCK, 0)?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVLOWAT, bytes)?;
    set_option(socket, libc::SOL_SOCKET, SO_BUF_LOCK, SOCK_RCVBUF_LOCK)?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_RCVLOWAT, 1)?;
    set_option(socket, libc::IPPROTO_TCP, libc::TCP_WINDOW_CLAMP, bytes)
}

/// Sets an option whose value is an int.
fn set_option(socket: &impl AsFd, level: libc::c_int, name: libc::c_int, value: u32) -> io::Result<()> {
    let value = libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX);
    // SAFETY: the pointer and the length describe `value`, an int as the option takes.
    let status = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            level,
            name,
            ptr::from_ref(&value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        )
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn is_no(error: &io::Error) -> bool {
    // EOPNOTSUPP: not (any more) an MPTCP connection, or an option this kernel lacks; ENOPROTOOPT: likewise.
    matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOPROTOOPT | libc::EINVAL))
}

/// Whether the socket was made as an MPTCP one (`SO_PROTOCOL`), whatever it speaks now.
pub(crate) fn is_mptcp_socket(socket: &impl AsFd) -> io::Result<bool> {
    Ok(SockRef::from(socket).protocol()? == Some(socket2::Protocol::MPTCP))
}

/// Whether an MPTCP socket speaks MPTCP; `None` where the kernel can't tell.
pub(crate) fn speaks_mptcp(socket: &impl AsFd) -> io::Result<Option<bool>> {
    let mut flag = [0; 4];
    match option(socket, libc::IPPROTO_TCP, TCP_IS_MPTCP, &mut flag) {
        Ok(_) => return Ok(Some(i32::from_ne_bytes(flag) != 0)),
        Err(error) if is_no(&error) => {}
        Err(error) => return Err(error),
    }
    // A kernel from before TCP_IS_MPTCP, but perhaps with MPTCP_INFO (5.16): it refuses that after a fallback.
    match mptcp_info(socket) {
        Ok(_) => Ok(Some(true)),
        // Or there is no MPTCP_INFO. MPTCP's own code never knew TCP_SYNCNT; after a fallback all options are the TCP socket's.
        // Not TCP_INFO, which is answered for the first subflow (mptcp_getsockopt_sol_tcp() of 5.15).
        Err(error) if is_no(&error) => match option(socket, libc::IPPROTO_TCP, libc::TCP_SYNCNT, &mut flag) {
            Ok(_) => Ok(Some(false)),
            Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(Some(true)),
            Err(_) => Ok(None),
        },
        Err(error) => Err(error),
    }
}

/// Whether the kernel has switched MPTCP off for new connections of this network namespace (Linux 6.12: a "black
/// hole" was met, `net.mptcp.blackhole_timeout`). Asked only when a connection fell back in its handshake.
///
/// The counter says that there has been a black hole since boot, which is a hint and cheap; a connection over
/// loopback, where nothing else could be in the way, is the proof.
pub(crate) fn host_blackholed() -> bool {
    // Not /proc/net: that is the main thread's namespace, which need not be this one's.
    let Ok(table) = fs::read_to_string("/proc/thread-self/net/netstat") else { return false };
    decode::counter(&table, "MPTcpExt", "Blackhole").is_some_and(|count| count > 0)
        && loopback_speaks_mptcp().is_ok_and(|speaks| speaks == Some(false))
}

fn loopback_speaks_mptcp() -> io::Result<Option<bool>> {
    // Not every host has IPv4.
    let families = [(Domain::IPV4, Ipv4Addr::LOCALHOST.into()), (Domain::IPV6, Ipv6Addr::LOCALHOST.into())];
    let listen = |(domain, address): (Domain, IpAddr)| -> io::Result<_> {
        let (listener, _) = stream_socket(domain, Protocol::Mptcp, Blocking::Yes)?;
        listener.bind(&SocketAddr::from((address, 0)).into())?;
        listener.listen(1)?;
        Ok((domain, listener))
    };
    let [first, second] = families;
    let (domain, listener) = listen(first).or_else(|_| listen(second))?;
    let (client, _) = stream_socket(domain, Protocol::Mptcp, Blocking::No)?;
    // A handshake over loopback ends within the call; if not, there is no answer to be had here.
    match client.connect(&listener.local_addr()?) {
        Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => return Err(error),
        _ => {}
    }
    let ready = super::poll_writable([&client].into_iter(), Duration::from_millis(20))?;
    if ready.first() == Some(&true) { speaks_mptcp(&client) } else { Ok(None) }
}

/// The bytes of `struct mptcp_info`.
pub(crate) fn mptcp_info(socket: &impl AsFd) -> io::Result<Vec<u8>> {
    let mut value = vec![0; decode::MPTCP_INFO_SIZE];
    let length = option(socket, SOL_MPTCP, MPTCP_INFO, &mut value)?;
    value.truncate(length);
    Ok(value)
}

/// The whole connection and its paths, by the best means this kernel has.
pub(crate) fn mptcp_state(socket: &impl AsFd) -> io::Result<(Option<MptcpInfo>, Vec<Path>)> {
    match full_info(socket) {
        Err(error) if is_no(&error) => {}
        result => return result.map(|(info, paths)| (Some(info), paths)),
    }
    let info = match mptcp_info(socket) {
        Ok(bytes) => Some(decode::mptcp_info(&bytes)),
        Err(error) if is_no(&error) => None,
        Err(error) => return Err(error),
    };
    Ok((info, subflows(socket)?))
}

/// `MPTCP_FULL_INFO` (Linux 6.5): everything in one consistent look.
fn full_info(socket: &impl AsFd) -> io::Result<(MptcpInfo, Vec<Path>)> {
    let mut infos = vec![0u8; MOST_SUBFLOWS * decode::SUBFLOW_INFO_SIZE];
    let mut tcps = vec![0u8; MOST_SUBFLOWS * decode::TCP_INFO_SIZE];
    let mut full = FullInfo {
        size_tcpinfo_kernel: 0,
        size_tcpinfo_user: decode::TCP_INFO_SIZE as u32,
        size_sfinfo_kernel: 0,
        size_sfinfo_user: decode::SUBFLOW_INFO_SIZE as u32,
        num_subflows: 0,
        size_arrays_user: MOST_SUBFLOWS as u32,
        subflow_info: infos.as_mut_ptr() as u64,
        tcp_info: tcps.as_mut_ptr() as u64,
        mptcp_info: [0; decode::MPTCP_INFO_SIZE],
    };
    let mut length = size_of::<FullInfo>() as libc::socklen_t;
    // SAFETY: `full` is a `struct mptcp_full_info` of `length` bytes. The kernel writes at most `size_arrays_user`
    // records of the sizes given beside it to the two arrays, which are exactly that large and outlive the call.
    let status = unsafe {
        libc::getsockopt(
            socket.as_fd().as_raw_fd(),
            SOL_MPTCP,
            MPTCP_FULL_INFO,
            ptr::from_mut(&mut full).cast(),
            &mut length,
        )
    };
    if status != 0 {
        return Err(io::Error::last_os_error());
    }
    let count = (full.num_subflows as usize).min(MOST_SUBFLOWS);
    // A record is as long as the shorter of the two sides' structures: beyond it a field is not there, not zero.
    let tcp_size = decode::TCP_INFO_SIZE.min(full.size_tcpinfo_kernel as usize);
    let tcps: Vec<u8> = tcps
        .chunks_exact(decode::TCP_INFO_SIZE)
        .flat_map(|record| record.get(..tcp_size).unwrap_or(record).iter().copied())
        .collect();
    let paths = decode::full_info(&infos, decode::SUBFLOW_INFO_SIZE, &tcps, tcp_size, count);
    let header = mem::offset_of!(FullInfo, mptcp_info);
    let filled = (length as usize).saturating_sub(header).min(decode::MPTCP_INFO_SIZE);
    Ok((decode::mptcp_info(full.mptcp_info.get(..filled).unwrap_or_default()), paths))
}

/// `MPTCP_SUBFLOW_ADDRS` and `MPTCP_TCPINFO` (Linux 5.16): two looks, joined by position where they agree in number.
fn subflows(socket: &impl AsFd) -> io::Result<Vec<Path>> {
    let fetch = |name, size: usize| -> io::Result<(Vec<u8>, usize)> {
        const HEADER: usize = 16;
        let mut value = vec![0; HEADER + MOST_SUBFLOWS * size];
        for (offset, number) in [(0, HEADER), (12, size)] {
            if let Some(field) = value.get_mut(offset..offset + 4) {
                field.copy_from_slice(&(number as u32).to_ne_bytes());
            }
        }
        match option(socket, SOL_MPTCP, name, &mut value) {
            Ok(length) => Ok((value, length)),
            // A kernel without these options (before 5.16) tells nothing of its subflows.
            Err(error) if is_no(&error) => Ok((Vec::new(), 0)),
            Err(error) => Err(error),
        }
    };
    let (addresses, addresses_length) = fetch(MPTCP_SUBFLOW_ADDRS, decode::SUBFLOW_ADDRS_SIZE)?;
    let (infos, infos_length) = fetch(MPTCP_TCPINFO, decode::TCP_INFO_SIZE)?;
    let addresses = decode::subflow_data(&addresses, addresses_length);
    let infos = decode::subflow_data(&infos, infos_length);
    if addresses.len() != infos.len() {
        // One came or went between the two looks: figures without addresses are true, joined ones may not be.
        return Ok(infos.into_iter().map(decode::tcp_info).collect());
    }
    Ok(addresses
        .into_iter()
        .zip(infos)
        .map(|(pair, info)| {
            let mut path = decode::tcp_info(info);
            (path.local, path.remote) = decode::subflow_addrs(pair);
            path
        })
        .collect())
}

/// The one path of a TCP connection.
pub(crate) fn tcp_path(socket: &impl AsFd) -> io::Result<Path> {
    let mut value = vec![0; decode::TCP_INFO_SIZE];
    let length = option(socket, libc::IPPROTO_TCP, libc::TCP_INFO, &mut value)?;
    value.truncate(length);
    let mut path = decode::tcp_info(&value);
    let socket = SockRef::from(socket);
    path.local = socket.local_addr().ok().and_then(|address| address.as_socket());
    path.remote = socket.peer_addr().ok().and_then(|address| address.as_socket());
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// The older means must see what the newest one sees; this kernel has them all.
    #[test]
    fn older_options_agree_with_the_full_one() {
        let (listener, reason) = stream_socket(Domain::IPV4, Protocol::MptcpOnly, Blocking::Yes).unwrap();
        assert_eq!(reason, None);
        listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
        listener.listen(1).unwrap();
        let listener = TcpListener::from(listener);
        let (client, _) = stream_socket(Domain::IPV4, Protocol::Mptcp, Blocking::Yes).unwrap();
        client.connect(&listener.local_addr().unwrap().into()).unwrap();
        let (server, _) = listener.accept().unwrap();
        assert_eq!(speaks_mptcp(&client).unwrap(), Some(true));
        assert_eq!(speaks_mptcp(&server).unwrap(), Some(true));

        let (info, full) = full_info(&client).unwrap();
        let old = subflows(&client).unwrap();
        assert_eq!((full.len(), old.len()), (1, 1));
        assert_eq!((full[0].local, full[0].remote), (old[0].local, old[0].remote));
        assert_eq!(full[0].remote, Some(listener.local_addr().unwrap()));
        assert_eq!(full[0].state, crate::PathState::Established);
        assert_eq!(old[0].state, crate::PathState::Established);
        assert_eq!(decode::mptcp_info(&mptcp_info(&client).unwrap()).token, info.token);
        assert_eq!(info.subflows, Some(1));
    }
}
