//! The accept loop, and which errors of `accept(2)` concern one client, which pass by, and which end it.

use std::{future::Future, io, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use tokio::{
    net::{TcpListener, TcpStream},
    select,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use super::stats::Stats;

/// The waits before accepting again when the host is short of something, doubling in between.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// Hands each connection, with its slot, to `serve`, until `shutdown` completes or the listener breaks.
pub(super) async fn run(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
    stats: &Stats,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
    mut serve: impl FnMut(TcpStream, SocketAddr, OwnedSemaphorePermit),
) -> io::Result<()> {
    let mut wait = None;
    let mut full = false;
    loop {
        if slots.available_permits() == 0 && !full {
            full = true;
            tracing::warn!(
                "as many connections are open as are allowed: further clients wait in the backlog"
            );
        }
        // First the slot, then the connection: who can't be served yet waits in the kernel's queue.
        let accepted = async {
            let slot = Arc::clone(slots).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, remote)| (stream, remote, slot))
        };
        let accepted = select! {
            biased;
            () = &mut shutdown => return Ok(()),
            accepted = accepted => accepted,
        };
        let error = match accepted {
            Ok((stream, remote, slot)) => {
                wait = None;
                full &= slots.available_permits() == 0;
                serve(stream, remote, slot);
                continue;
            }
            Err(error) => error,
        };
        stats.accept_error();
        match Trouble::of(&error) {
            Trouble::OneClient => tracing::debug!(%error, "a client was gone before it was accepted"),
            Trouble::Listener => return Err(error),
            Trouble::Passing => {
                if wait.is_none() {
                    tracing::warn!(%error, "can't accept connections for now");
                }
                let pause = wait.map_or(FIRST_WAIT, |last: Duration| (last * 2).min(LONGEST_WAIT));
                wait = Some(pause);
                select! {
                    biased;
                    () = &mut shutdown => return Ok(()),
                    () = sleep(pause) => {}
                }
            }
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    /// It concerns the connection that was being accepted: the next one may be fine.
    OneClient,
    /// The host is short of file descriptors or memory, or something unknown: wait, and try again.
    Passing,
    /// The listener is no listener any more.
    Listener,
}

impl Trouble {
    /// accept(2), section "Error handling": errors that are already pending on the new socket are passed on.
    fn of(error: &io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionAborted
            | Kind::ConnectionReset
            | Kind::ConnectionRefused
            | Kind::BrokenPipe
            | Kind::Interrupted
            | Kind::NotConnected
            | Kind::TimedOut
            | Kind::HostUnreachable
            | Kind::NetworkUnreachable
            | Kind::NetworkDown
            // EPERM: a firewall rule forbids this client.
            | Kind::PermissionDenied => Self::OneClient,
            // EINVAL: somebody called shutdown(2) on the listener.
            Kind::InvalidInput => Self::Listener,
            _ => Self::Passing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux's errno numbers.
    const EPERM: i32 = 1;
    const EINVAL: i32 = 22;
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ECONNABORTED: i32 = 103;
    const ECONNRESET: i32 = 104;
    const ENOBUFS: i32 = 105;

    #[test]
    #[cfg(target_os = "linux")]
    fn only_a_dead_listener_ends_the_loop() {
        let of = |errno| Trouble::of(&io::Error::from_raw_os_error(errno));
        for errno in [EPERM, ECONNABORTED, ECONNRESET] {
            assert_eq!(of(errno), Trouble::OneClient, "errno {errno}");
        }
        for errno in [ENFILE, EMFILE, ENOBUFS] {
            assert_eq!(of(errno), Trouble::Passing, "errno {errno}");
        }
        assert_eq!(of(EINVAL), Trouble::Listener);
    }
}
