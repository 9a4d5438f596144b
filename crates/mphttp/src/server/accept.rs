//! The accept loop, and which errors of `accept(2)` concern one client, which pass by, and which end it.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use mptcp_socket::{EagerListener, EagerStream};
use tokio::{
    select,
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};

use super::{
    crowd::{Guest, Origins, Room, Tally},
    stats::{Cut, Stats},
};

/// The waits before accepting again when the host is short of something, doubling in between.
const FIRST_WAIT: Duration = Duration::from_millis(10);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How often a lack is told while it lasts.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// How often somebody is asked to make room, while clients wait and there is none.
const ASKED_EVERY: Duration = Duration::from_millis(20);

/// How many connections may be open, for all who accept them.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<Limit>);

#[derive(Debug)]
struct Limit {
    free: Arc<Semaphore>,
    /// Who has a slot, but no connection for it yet.
    ready: AtomicUsize,
    told: AtomicBool,
    /// When it was told last that connections can't be accepted for now.
    short: Mutex<Option<Instant>>,
    /// When it was told last that one address has all that it may have.
    greedy: Mutex<Option<Instant>>,
    room: Room,
    origins: Arc<Origins>,
}

/// A connection's place among those that may be open, which it has until this is dropped.
#[derive(Debug)]
pub(super) struct Slot {
    _permit: OwnedSemaphorePermit,
    guest: Guest,
}

impl Slot {
    /// What else is open from its address, if that is counted.
    pub(super) fn tally(&self) -> Option<Arc<Tally>> {
        self.guest.tally()
    }
}

impl Slots {
    pub(super) fn new(connections: usize, origins: Arc<Origins>) -> Self {
        let free = Arc::new(Semaphore::new(connections));
        let (ready, told) = (AtomicUsize::new(0), AtomicBool::new(false));
        let (short, greedy) = (Mutex::default(), Mutex::default());
        Self(Arc::new(Limit { free, ready, told, short, greedy, room: Room::default(), origins }))
    }

    /// Where connections wait that can make room for others.
    pub(super) fn room(&self) -> &Room {
        &self.0.room
    }

    async fn take(&self, listener: &EagerListener) -> io::Result<(OwnedSemaphorePermit, Ready<'_>)> {
        let limit = &*self.0;
        let slot = if let Ok(slot) = Arc::clone(&limit.free).try_acquire_owned() {
            if limit.free.available_permits() > 0 {
                limit.told.store(false, Ordering::Relaxed);
            }
            slot
        } else {
            if limit.ready.load(Ordering::Relaxed) == 0 && !limit.told.swap(true, Ordering::Relaxed) {
                tracing::warn!(
                    "as many connections are open as are allowed: for each further client an idle one is closed, and \
                     where none is, clients wait"
                );
            }
            let mut free = pin!(Arc::clone(&limit.free).acquire_owned());
            loop {
                // While nobody waits at the listener, nobody has to go.
                if is_wanted(listener) {
                    limit.room.ask();
                }
                select! {
                    biased;
                    slot = free.as_mut() => break slot.map_err(io::Error::other)?,
                    () = sleep(ASKED_EVERY) => {}
                }
            }
        };
        limit.room.found();
        limit.ready.fetch_add(1, Ordering::Relaxed);
        Ok((slot, Ready(limit)))
    }

    /// Whether a lack is to be told: all who accept meet the same one, and it comes back with each connection that ends.
    fn tells_of_lack(&self) -> bool {
        is_due(&self.0.short)
    }

    /// Lets a client in, unless too many come from where it does.
    fn admit(&self, permit: OwnedSemaphorePermit, remote: SocketAddr) -> Option<Slot> {
        let guest = self.0.origins.admit(remote.ip());
        if guest.is_none() && is_due(&self.0.greedy) {
            tracing::warn!(
                address = %remote.ip().to_canonical(),
                "one address has as many connections as it may have: further ones are closed"
            );
        }
        guest.map(|guest| Slot { _permit: permit, guest })
    }
}

/// Whether something that lasts is to be told again.
fn is_due(last: &Mutex<Option<Instant>>) -> bool {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let due = last.is_none_or(|last| last.elapsed() >= TOLD_EVERY);
    if due {
        *last = Some(Instant::now());
    }
    due
}

/// Whether clients wait to be accepted.
#[cfg(unix)]
fn is_wanted(listener: &EagerListener) -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let mut look = [PollFd::new(listener, PollFlags::IN)];
    // What can't be known is taken for so.
    poll(&mut look, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_or(true, |ready| ready > 0)
}

#[cfg(not(unix))]
fn is_wanted(_: &EagerListener) -> bool {
    true
}

/// Counts somebody as ready to accept.
struct Ready<'a>(&'a Limit);

impl Drop for Ready<'_> {
    fn drop(&mut self) {
        self.0.ready.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Hands each connection, with its slot, to `serve`, until `shutdown` completes or the listener breaks.
pub(super) async fn run(
    listener: &EagerListener,
    slots: &Slots,
    stats: &Stats,
    mut shutdown: Pin<&mut impl Future<Output = ()>>,
    mut serve: impl FnMut(EagerStream, SocketAddr, Slot),
) -> io::Result<()> {
    let mut wait = None;
    loop {
        // First the slot, then the connection: who can't be served yet waits in the kernel's queue.
        let accepted = async {
            let (slot, _ready) = slots.take(listener).await?;
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
                match slots.admit(slot, remote) {
                    Some(slot) => serve(stream, remote, slot),
                    None => stats.cut(Cut::Address),
                }
                continue;
            }
            Err(error) => error,
        };
        stats.accept_error();
        match Trouble::of(&error) {
            Trouble::OneClient => tracing::debug!(%error, "a client was gone before it was accepted"),
            Trouble::Listener => return Err(error),
            Trouble::Passing => {
                if slots.tells_of_lack() {
                    tracing::warn!(%error, "can't accept connections for now");
                }
                // Whoever goes gives a descriptor back.
                slots.room().ask();
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

    /// What the server counts on where it doesn't set the option on each connection.
    #[test]
    #[cfg(target_os = "linux")]
    fn connections_have_nodelay_from_their_listener() {
        use mptcp_socket::{Connect, Listen, Protocol};
        for listener in [Protocol::Tcp, Protocol::Mptcp] {
            let listening = Listen::new(listener).bind("127.0.0.1:0".parse().unwrap()).unwrap();
            socket2::SockRef::from(&listening).set_tcp_nodelay(true).unwrap();
            let address = listening.local_addr().unwrap();
            for client in [Protocol::Tcp, Protocol::Mptcp] {
                let _client = Connect::new(client).to(&[address]).unwrap();
                let (accepted, _) = listening.accept().unwrap();
                assert!(accepted.get_ref().nodelay().unwrap(), "{listener} {client}");
            }
        }
    }
}
