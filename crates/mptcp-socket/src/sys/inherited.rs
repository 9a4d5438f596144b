//! Descriptors that this process was started with.
#![allow(unsafe_code, reason = "a number becomes an owned descriptor")]

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Takes over a descriptor that this process was started with. To be called once for each: the protocol of
/// `sd_listen_fds(3)` leaves these numbers, from 3 on, to the process that `LISTEN_PID` names.
pub(crate) fn inherited(descriptor: RawFd) -> OwnedFd {
    // SAFETY: it is open (`listen_fds` has set its flags) and nobody else's, by the protocol and since this is done once.
    unsafe { OwnedFd::from_raw_fd(descriptor) }
}
