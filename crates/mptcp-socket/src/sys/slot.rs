//! A borrowed look at a descriptor that somebody else owns and may close, and waiting for descriptors.
#![allow(unsafe_code, reason = "a descriptor is shared with watchers that must not keep it open; poll(2)")]

use std::{io, time::Duration};

use super::{
    AsFd, BorrowedFd, OwnedSocket, RawSocket,
    sync::{Mutex, PoisonError},
};

#[cfg(unix)]
fn raw(fd: &impl AsFd) -> RawSocket {
    std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd())
}

#[cfg(windows)]
fn raw(fd: &impl AsFd) -> RawSocket {
    std::os::windows::io::AsRawSocket::as_raw_socket(&fd.as_socket())
}

/// -1: the one value that a borrowed socket can't have.
const NO_SOCKET: RawSocket = !0;

/// A duplicate of a socket that another runtime owns and knows by its number, such as Python's `sock.fileno()`.
///
/// The number is the caller's word: if its owner closes it at the same moment, another socket may be meant. What is
/// returned is the caller's own, so that nothing done with it can close or take away what belongs to the other runtime.
///
/// # Errors
/// `EBADF` if no such descriptor is open, `EMFILE` if there are too many.
pub fn duplicate(socket: RawSocket) -> io::Result<OwnedSocket> {
    if socket == NO_SOCKET {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: not -1; and a number that is not open, or is closed meanwhile, makes the duplication fail or duplicate
    // another socket, which is then owned all the same.
    unsafe { BorrowedFd::borrow_raw(socket) }.try_clone_to_owned()
}

/// The descriptor of a stream, for watchers, until the stream's owner empties the slot.
///
/// A duplicate of the descriptor would keep the connection open after its owner dropped it; a weak pointer would
/// cost the owner an indirection on each read and write.
#[derive(Debug)]
pub(crate) struct Slot(Mutex<Option<RawSocket>>);

impl Slot {
    /// The caller promises to call [`Slot::close`] before it closes or gives away the descriptor; the only caller,
    /// `Watched`, does so in `Drop` and `into_inner`, and hands out no exclusive reference to its stream.
    pub(crate) fn new(fd: &impl AsFd) -> Self {
        Self(Mutex::new(Some(raw(fd))))
    }

    /// Looks at the descriptor while its owner can't close it; `None` after the owner let go.
    pub(crate) fn with<T>(&self, look: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: while the slot holds a descriptor its owner has it open, and to close it the owner must first
        // empty the slot, which waits for this lock.
        slot.map(|fd| look(unsafe { BorrowedFd::borrow_raw(fd) }))
    }

    pub(crate) fn close(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

/// Waits until one of the sockets is writable or failed (as a connecting one is when it is done), or the time is up.
/// Returns for each whether it is.
#[cfg(unix)]
pub(crate) fn poll_writable<'a, S: AsFd + 'a>(
    sockets: impl Iterator<Item = &'a S>,
    wait: Duration,
) -> io::Result<Vec<bool>> {
    let mut entries: Vec<libc::pollfd> =
        sockets.map(|socket| libc::pollfd { fd: raw(socket), events: libc::POLLOUT, revents: 0 }).collect();
    // Rounded up: a wait cut to zero would spin until the time has come.
    let wait = wait.as_micros().div_ceil(1000).min(i32::MAX as u128) as libc::c_int;
    // SAFETY: the pointer and the count describe `entries`, borrowed exclusively during the call.
    let ready = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, wait) };
    if ready < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    Ok(entries.iter().map(|entry| ready > 0 && entry.revents != 0).collect())
}

/// As on Unix, by `WSAPoll`.
#[cfg(windows)]
pub(crate) fn poll_writable<'a, S: AsFd + 'a>(
    sockets: impl Iterator<Item = &'a S>,
    wait: Duration,
) -> io::Result<Vec<bool>> {
    use windows_sys::Win32::Networking::WinSock;
    let mut entries: Vec<WinSock::WSAPOLLFD> = sockets
        .map(|socket| WinSock::WSAPOLLFD {
            fd: raw(socket) as usize,
            events: WinSock::POLLWRNORM,
            revents: 0,
        })
        .collect();
    let wait = wait.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
    // SAFETY: the pointer and the count describe `entries`, borrowed exclusively during the call.
    let ready = unsafe { WinSock::WSAPoll(entries.as_mut_ptr(), entries.len() as u32, wait) };
    if ready < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(entries.iter().map(|entry| ready > 0 && entry.revents != 0).collect())
}
