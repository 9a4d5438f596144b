//! Listeners that a service manager made: socket activation as systemd does it (`sd_listen_fds(3)`).
//!
//! With `SocketProtocol=mptcp` in its `.socket` unit (`systemd.socket(5)`, systemd 257) a listener comes as an MPTCP one, which
//! is read from the socket (`SO_PROTOCOL`), not believed. Connections that arrive while nobody accepts wait in its queue: a
//! service that is restarted refuses none.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
};

use socket2::{SockRef, Socket, Type};

use crate::{Error, Listening, sys};

/// A listener that was passed to this process.
#[derive(Debug)]
#[non_exhaustive]
pub struct Passed {
    /// Its name: `FileDescriptorName=` of the unit, by default that of the unit; `unknown` if none was told
    /// (`LISTEN_FDNAMES`).
    pub name: String,
    /// The listener itself.
    pub listening: Listening,
}

/// Takes the listeners that a service manager passed to this process, in the order of its configuration; none if none were
/// passed (`LISTEN_PID` is absent or names another process), and none if they were taken before. They are closed on exec.
///
/// # Errors
/// [`Error::Passed`]: what was passed is no listening TCP or MPTCP socket, or the variables make no sense. Nothing can be taken
/// after that.
pub fn passed_listeners() -> Result<Vec<Passed>, Error> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let bad = |name: &str, why: String| Error::Passed { name: name.to_owned(), why };
    let descriptors =
        sd_notify::listen_fds_with_names().map_err(|error| bad("LISTEN_FDS", error.to_string()))?;
    // The second caller would own descriptors that the first one owns, or that are something else by now.
    if TAKEN.swap(true, Ordering::SeqCst) {
        return Ok(Vec::new());
    }
    // All of them owned before the first is judged, so that none stays open for nobody.
    let owned: Vec<_> =
        descriptors.map(|(descriptor, name)| (Socket::from(sys::inherited(descriptor)), name)).collect();
    owned
        .into_iter()
        .map(|(socket, name)| {
            judge(&socket).map_err(|why| bad(&name, why.to_owned()))?;
            // Nonblocking or not is the manager's taste; the rest of this crate expects the usual.
            socket.set_nonblocking(false).map_err(|error| bad(&name, error.to_string()))?;
            let listening = Listening::from_std(socket.into());
            let why_tcp = listening.why_tcp().map(crate::Reason::as_str);
            tracing::info!(name, protocol = %listening.protocol(), why_tcp, "a listener was passed");
            Ok(Passed { name, listening })
        })
        .collect()
}

fn judge(socket: &Socket) -> Result<(), &'static str> {
    let not = |_: io::Error| "it is no socket";
    if SockRef::from(socket).r#type().map_err(not)? != Type::STREAM {
        return Err("it is no stream socket: use ListenStream= with a port");
    }
    if socket.local_addr().map_err(not)?.as_socket().is_none() {
        return Err("it has no Internet address: use ListenStream= with a port, not a path");
    }
    // Platforms without SO_ACCEPTCONN find out when they accept.
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd"))]
    if !socket.is_listener().map_err(not)? {
        return Err("it is a connection, not a listener: use Accept=no");
    }
    Ok(())
}
