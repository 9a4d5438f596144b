//! Restarts without a refused connection, and sockets that systemd passed: where a server's listeners come from, and where they go.
//!
//! In this order: from the process that this one replaces, from systemd, made here. For all that serves in this process, since
//! standard input and the environment, through which they come, are the process's.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::OnceLock,
};

use mphttp::Protocol;
use mptcp_socket::{Listen, Listening, Reason};

use crate::{error_reporting::Failure, exit::Exit};

#[cfg(unix)]
static RESTART: OnceLock<Restart> = OnceLock::new();

#[cfg(unix)]
struct Restart {
    listeners: mphttp::restart::Restart,
    /// Found out before the program's file is replaced: afterwards the system calls it deleted.
    program: std::io::Result<PathBuf>,
}

/// Takes what was handed over. To be called before any listener is asked for; without it listeners are made here.
///
/// # Errors
/// A predecessor handed over nothing.
#[cfg(unix)]
pub fn begin() -> anyhow::Result<()> {
    let listeners = mphttp::restart::Restart::begin()?;
    // It is called once; the second one had nothing.
    let _ = RESTART.set(Restart { listeners, program: std::env::current_exe() });
    Ok(())
}

/// The listener of that name whose address `fits`, or a new one.
///
/// # Errors
/// Those of `make`.
#[cfg(unix)]
pub fn listening(
    name: &str,
    fits: impl Fn(SocketAddr) -> bool,
    make: impl FnOnce() -> Result<Listening, mptcp_socket::Error>,
) -> Result<Listening, mptcp_socket::Error> {
    match RESTART.get() {
        Some(restart) => restart.listeners.listening(name, fits, make),
        None => make(),
    }
}

/// The listener of a verb that serves on one address, or on all of them.
///
/// # Errors
/// It can't be bound, or what systemd passed can't be used.
pub fn main_listener(bind: Option<IpAddr>, port: u16, protocol: Protocol) -> anyhow::Result<Listening> {
    // One that systemd passed to a predecessor, to which `LISTEN_PID` belongs then, has whatever address its unit gives.
    let activated = std::env::var_os("LISTEN_FDS").is_some();
    let fits = |other: SocketAddr| {
        let port_fits = port == 0 || other.port() == port;
        activated || port_fits && bind.map_or_else(|| other.ip().is_unspecified(), |ip| ip == other.ip())
    };
    let passed = passed()?;
    let made = || match (passed, bind) {
        (Some(passed), _) => Ok(passed),
        (None, Some(ip)) => Listen::new(protocol).bind((ip, port).into()),
        (None, None) => Listen::new(protocol).bind_all(port),
    };
    let listening = listening("main", fits, made)?;
    match listening.why_tcp() {
        // Made here, it would not exist. Every client would be turned away.
        Some(_) if protocol == Protocol::MptcpOnly => {
            Err(mptcp_socket::Error::NotMptcp { reason: Reason::TcpSocket, peer: None }.into())
        }
        _ => Ok(listening),
    }
}

/// The socket that systemd passed.
#[cfg(unix)]
fn passed() -> anyhow::Result<Option<Listening>> {
    let mut passed = mptcp_socket::passed_listeners()?;
    let first = passed.pop();
    if !passed.is_empty() {
        let count = passed.len() + 1;
        return Err(Failure::new(
            Exit::Usage,
            format!("{count} sockets were passed, where one can be served"),
        )
        .hint("give the .socket unit one ListenStream=; a port alone listens on all addresses")
        .into());
    }
    Ok(first.map(|passed| passed.listening))
}

/// Says that this process serves: to the one that it replaces, and to systemd (`Type=notify`).
#[cfg(unix)]
pub fn ready() {
    if let Some(restart) = RESTART.get() {
        restart.listeners.ready();
    }
    tell_systemd(&[sd_notify::NotifyState::Ready]);
}

/// Starts this program again, as it was started, hands over to it, and returns when it serves: its process id.
///
/// # Errors
/// It did not get that far; this process goes on.
#[cfg(unix)]
pub async fn successor() -> anyhow::Result<u32> {
    let restart = RESTART.get().ok_or_else(|| anyhow::anyhow!("this verb does not restart"))?;
    let program = restart.program.as_ref().map_err(|error| {
        Failure::new(Exit::Other, format!("can't find this program to start it again: {error}"))
    })?;
    let mut command = std::process::Command::new(program);
    command.args(std::env::args_os().skip(1));
    let process = restart.listeners.successor(command).await?;
    // Or systemd would take this one's end for the service's.
    tell_systemd(&[sd_notify::NotifyState::MainPid(process), sd_notify::NotifyState::Ready]);
    Ok(process)
}

/// Lets go of what is kept for a successor: this process stops.
#[cfg(unix)]
pub fn stopping() {
    if let Some(restart) = RESTART.get() {
        restart.listeners.let_go();
    }
    tell_systemd(&[sd_notify::NotifyState::Stopping]);
}

#[cfg(unix)]
fn tell_systemd(state: &[sd_notify::NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "systemd can't be told what this service does");
    }
}

#[cfg(not(unix))]
pub use elsewhere::*;

/// Where processes can't hand over descriptors: each makes its own.
#[cfg(not(unix))]
mod elsewhere {
    use super::*;

    pub fn begin() -> anyhow::Result<()> {
        Ok(())
    }

    pub fn listening(
        _: &str,
        _: impl Fn(SocketAddr) -> bool,
        make: impl FnOnce() -> Result<Listening, mptcp_socket::Error>,
    ) -> Result<Listening, mptcp_socket::Error> {
        make()
    }

    pub(super) fn passed() -> anyhow::Result<Option<Listening>> {
        Ok(None)
    }

    pub fn ready() {}

    pub async fn successor() -> anyhow::Result<u32> {
        std::future::pending().await
    }

    pub fn stopping() {}
}
