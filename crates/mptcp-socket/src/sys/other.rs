//! Platforms without MPTCP sockets that this library knows: everything is TCP, and says so.

use super::{AsFd, Blocking};
use std::io;

use socket2::{Domain, SockRef, Socket, Type};

use crate::{MptcpInfo, Path, Protocol, Reason, decode};

pub(crate) fn reason_for_socket_errno(_: &io::Error) -> Option<Reason> {
    Some(Reason::Platform)
}

/// Makes a TCP socket, with the reason why it is one.
pub(crate) fn stream_socket(
    domain: Domain,
    protocol: Protocol,
    blocking: Blocking,
) -> Result<(Socket, Option<Reason>), io::Error> {
    let reason = if protocol.wants_mptcp() { Reason::Platform } else { Reason::NotRequested };
    let socket = Socket::new(domain, Type::STREAM, Some(socket2::Protocol::TCP))?;
    if blocking == Blocking::No {
        socket.set_nonblocking(true)?;
    }
    Ok((socket, Some(reason)))
}

pub(crate) fn is_mptcp_socket(_: &impl AsFd) -> io::Result<bool> {
    Ok(false)
}

pub(crate) fn speaks_mptcp(_: &impl AsFd) -> io::Result<Option<bool>> {
    Ok(Some(false))
}

/// The number by which Linux tells network namespaces apart.
///
/// # Errors
/// There are none here.
pub fn network_namespace() -> io::Result<u64> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn set_fast_open(_: &impl AsFd, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn limit_window(_: &impl AsFd, _: u32) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn host_blackholed() -> bool {
    false
}

pub(crate) fn mptcp_info(_: &impl AsFd) -> io::Result<Vec<u8>> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(crate) fn mptcp_state(_: &impl AsFd) -> io::Result<(Option<MptcpInfo>, Vec<Path>)> {
    Ok((None, Vec::new()))
}

/// The one path of a TCP connection: its addresses; figures are not asked for on these platforms.
pub(crate) fn tcp_path(socket: &impl AsFd) -> io::Result<Path> {
    let socket = SockRef::from(socket);
    if socket.r#type()? != Type::STREAM {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a stream socket"));
    }
    let mut path = decode::tcp_info(&[1]);
    path.local = socket.local_addr()?.as_socket();
    path.remote = socket.peer_addr().ok().and_then(|address| address.as_socket());
    Ok(path)
}
