//! Accepting, receiving and sending without a wait, with the flags that std has no words for, and waiting.
#![allow(
    unsafe_code,
    reason = "accept4(2), bytes received into memory that was not initialised, and a promise to tokio"
)]

use std::{
    io,
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::{AsFd, AsRawFd, RawFd},
};

use socket2::SockRef;
use tokio::io::{Interest, ReadBuf, unix::AsyncFd};

/// A descriptor that somebody else owns, who has promised to keep it open for longer.
#[derive(Debug)]
pub(crate) struct Lent(RawFd);

impl AsRawFd for Lent {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

/// Registers a stream with the runtime. The caller promises to drop what is returned before the stream: `EagerStream`, the
/// only one, has them in that order.
pub(crate) fn register(stream: &TcpStream) -> io::Result<AsyncFd<Lent>> {
    let interest = Interest::READABLE | Interest::WRITABLE;
    // SAFETY: `Lent` always gives the same descriptor, which stays open for longer, by the promise.
    let registered = unsafe { AsyncFd::register_with_interest(Lent(stream.as_raw_fd()), interest) };
    registered.map_err(|refused| refused.into_parts().1)
}

/// Registers a listener with the runtime.
pub(crate) fn register_listener(listener: TcpListener) -> io::Result<AsyncFd<TcpListener>> {
    // SAFETY: std's listener always gives the same descriptor.
    let registered = unsafe { AsyncFd::register_with_interest(listener, Interest::READABLE) };
    registered.map_err(|refused| refused.into_parts().1)
}

/// Flags of `send(2)`; a connection that is gone gives `EPIPE` and no signal.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) const SEND: libc::c_int = libc::MSG_NOSIGNAL;
/// The same, and more is to come.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) const SEND_CORKED: libc::c_int = libc::MSG_NOSIGNAL | libc::MSG_MORE;

/// Flags of `send(2)`. Rust's runtime has switched the signal off.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) const SEND: libc::c_int = 0;
/// There is no word for more to come.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) const SEND_CORKED: libc::c_int = 0;

/// Receives into the room of `buffer`, or only looks (`MSG_PEEK`); says how much.
pub(crate) fn receive(socket: &impl AsFd, buffer: &mut ReadBuf<'_>, peek: bool) -> io::Result<usize> {
    let flags = if peek { libc::MSG_PEEK } else { 0 };
    // SAFETY: what is initialised stays so: `recv_with_flags` writes bytes that were received, and nothing else.
    let room = unsafe { buffer.unfilled_mut() };
    let received = SockRef::from(socket).recv_with_flags(room, flags)?;
    // SAFETY: recv(2) has written so many bytes at the beginning of the room.
    unsafe { buffer.assume_init(received) };
    buffer.advance(received);
    Ok(received)
}

/// Accepts a connection that doesn't block.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    use std::os::fd::FromRawFd;

    // SAFETY: the closure writes an address and its length to where it is told, or returns an error.
    let (descriptor, address) = unsafe {
        socket2::SockAddr::try_init(|storage, length| {
            let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            match libc::accept4(listener.as_raw_fd(), storage.cast(), length, flags) {
                -1 => Err(io::Error::last_os_error()),
                descriptor => Ok(descriptor),
            }
        })
    }?;
    // SAFETY: accept4(2) has just made it, for nobody else.
    let stream = unsafe { TcpStream::from_raw_fd(descriptor) };
    let peer = address.as_socket().ok_or(io::ErrorKind::InvalidInput)?;
    Ok((stream, peer))
}

/// Accepts a connection that doesn't block.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
pub(crate) fn accept(listener: &TcpListener) -> io::Result<(TcpStream, SocketAddr)> {
    let (stream, peer) = listener.accept()?;
    stream.set_nonblocking(true)?;
    Ok((stream, peer))
}
