//! Asking a connection for its transport while somebody else reads and writes it.

use std::{
    io::{self, Read, Write},
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use super::{
    sync::{Mutex, PoisonError},
    sys,
};
use crate::{
    Error, Origin, Path, PathState, Spoken, Transport,
    doubt::{Doubt, Peer},
    path_count, spoken,
};

/// How often a stream in use is looked at, so that subflows that come and go between questions are not missed.
const LOOK_EVERY: Duration = Duration::from_millis(250);

mod sealed {
    use crate::sys::AsFd;

    /// Streams whose descriptor stays the same until they are dropped: what [`crate::sys::Slot`] rests on.
    pub trait Stream: AsFd {}
    impl Stream for std::net::TcpStream {}
    #[cfg(feature = "tokio")]
    impl Stream for tokio::net::TcpStream {}
    #[cfg(feature = "tokio")]
    impl Stream for crate::EagerStream {}
}

/// A `TcpStream`, of std or of tokio, or an `EagerStream`: what can be [`Watched`].
pub trait Stream: sealed::Stream {}
impl<S: sealed::Stream> Stream for S {}

/// A stream whose [`Transport`] can be asked for from elsewhere, through its [`Watch`].
///
/// Reads and writes go straight to the stream. Those of an MPTCP connection also look at its paths four times a
/// second, a system call of some microseconds, for the history of subflows that have gone.
///
/// A connection that falls back to TCP after bytes have been read as MPTCP gives an error ([`Error::FellBack`], of the
/// kind `InvalidData`) at the next read: from there on the kernel may deliver bytes twice. One that falls back at the first byte
/// goes on, since both ends notice; if the server of HTTP/1.1 turns out not to have, that is the same error.
#[derive(Debug)]
pub struct Watched<S: Stream> {
    // Declared, and so dropped, before the stream: the slot must be empty before the descriptor is closed.
    owner: Owner,
    stream: S,
}

/// The owner's end of the shared record.
#[derive(Debug)]
struct Owner {
    shared: Arc<Shared>,
    /// When to look again; `None` for a connection that never spoke MPTCP, whose one path needs no history.
    next_look: Option<Instant>,
    integrity: Integrity,
    /// Of a client's connection that fell back at the first byte: whether its server knows.
    doubt: Option<Box<Doubt>>,
}

/// Whether what is read can still be what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Integrity {
    /// MPTCP, and nothing has been read yet.
    Fresh,
    /// MPTCP, and bytes have been read.
    Running,
    /// TCP from the first byte on.
    Plain,
    /// It fell back after bytes had been read as MPTCP.
    Broken,
}

/// The live record of a connection: cheap to clone and keep, and never what keeps the connection open.
#[derive(Clone, Debug)]
pub struct Watch {
    shared: Arc<Shared>,
}

/// A [`Watch`] that counts for nobody asking: what keeps one for later, such as a server for the requests that may come,
/// spares a connection that ends with nobody asking its last look.
#[derive(Clone, Debug)]
pub struct WeakWatch {
    shared: Weak<Shared>,
}

impl WeakWatch {
    /// The watch, unless the stream is gone and all its watches are too.
    #[must_use]
    pub fn upgrade(&self) -> Option<Watch> {
        self.shared.upgrade().map(|shared| Watch { shared })
    }
}

#[derive(Debug)]
struct Shared {
    slot: sys::Slot,
    origin: Origin,
    /// The latest look, whose `gone`, `gone_totals` and `paths_total` cover the whole watch.
    latest: Mutex<Option<Transport>>,
}

impl<S: Stream> Watched<S> {
    /// Watches a stream. `origin` is what the maker of the connection knows: [`Origin::unknown`] for one from
    /// elsewhere.
    #[must_use]
    pub fn new(stream: S, origin: Origin) -> Self {
        let shared = Arc::new(Shared { slot: sys::Slot::new(&stream), origin, latest: Mutex::new(None) });
        let began = origin.began_as_mptcp();
        let integrity = if began { Integrity::Fresh } else { Integrity::Plain };
        // Not at once: most connections are over before there is a history to keep.
        let next_look = began.then(|| Instant::now() + LOOK_EVERY);
        Self { owner: Owner { shared, next_look, integrity, doubt: None }, stream }
    }

    /// A handle that can be kept and asked at any time.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch { shared: Arc::clone(&self.owner.shared) }
    }

    /// The stream itself.
    #[must_use]
    pub const fn get_ref(&self) -> &S {
        &self.stream
    }

    /// The stream alone; watches keep its last known state.
    #[must_use]
    pub fn into_inner(self) -> S {
        let Self { owner, stream } = self;
        drop(owner);
        stream
    }

    /// The origin that the stream was made with.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.owner.shared.origin
    }
}

impl Owner {
    /// Called on each read and write: looks at the paths when it is time.
    fn touch(&mut self) {
        if let Some(due) = self.next_look {
            let now = Instant::now();
            if now >= due {
                self.shared.look();
                self.next_look = Some(now + LOOK_EVERY);
            }
        }
    }

    /// Called when bytes have been read: an error if they may not be what was sent.
    ///
    /// A receiver that sees data without MPTCP's mapping falls back to plain TCP (RFC 8684 section 3.7), but its peer,
    /// which waits for acknowledgements of MPTCP's own, may send bytes again that the receiver then takes for new ones:
    /// Linux 6.18 does, where a box strips all MPTCP options from one moment on.
    fn received(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.integrity = match self.integrity {
            Integrity::Plain => Integrity::Plain,
            Integrity::Broken => return Err(broken()),
            Integrity::Fresh | Integrity::Running => {
                match self.shared.slot.with(|fd| sys::speaks_mptcp(&fd)) {
                    // A box that lets only the handshake pass: both ends notice at the first byte, unless a client's own first
                    // bytes have passed.
                    Some(Ok(Some(false))) if self.integrity == Integrity::Fresh => {
                        self.doubt = self.shared.origin.is_client().then(Box::default);
                        Integrity::Plain
                    }
                    Some(Ok(Some(false))) => Integrity::Broken,
                    _ => Integrity::Running,
                }
            }
        };
        match self.doubt.as_mut().map(|doubt| doubt.came(bytes)) {
            None | Some(Peer::Doubtful) => {}
            Some(Peer::Aware) => self.doubt = None,
            Some(Peer::Unaware) => self.integrity = Integrity::Broken,
        }
        if self.integrity == Integrity::Broken {
            tracing::warn!(
                "a connection fell back to TCP in the middle of data: what follows can't be trusted"
            );
            return Err(broken());
        }
        Ok(())
    }

    /// Called on each write.
    fn sent(&mut self) {
        self.touch();
        if let Some(doubt) = &mut self.doubt {
            doubt.sent();
        }
    }

    /// Called when the peer has no more to send: its subflows will soon be taken down, with their figures.
    fn ended(&mut self) {
        if self.next_look.is_some() {
            self.shared.look();
        }
    }
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, Error::FellBack)
}

impl Drop for Owner {
    fn drop(&mut self) {
        // The last look, for those who still ask; most connections end with nobody asking.
        if Arc::strong_count(&self.shared) > 1 {
            self.shared.look();
        }
        self.shared.slot.close();
    }
}

impl Watch {
    /// What the connection speaks, over which paths, now; after the stream was closed, its last known state.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.shared.look().unwrap_or_else(|| self.unseen())
    }

    /// The same, with the interfaces left out that no earlier look has named: a few system calls, where naming them asks the
    /// host for all its addresses.
    #[must_use]
    pub fn transport_without_interfaces(&self) -> Transport {
        self.shared.look_by(false).unwrap_or_else(|| self.unseen())
    }

    fn unseen(&self) -> Transport {
        Transport::unseen(self.shared.origin.began())
    }

    /// How the connection came to be.
    #[must_use]
    pub fn origin(&self) -> Origin {
        self.shared.origin
    }

    /// MPTCP, or TCP and why: cheaper than [`Watch::transport`].
    #[must_use]
    pub fn spoken(&self) -> Spoken {
        let now = self.shared.slot.with(|fd| spoken(&fd, &self.shared.origin).ok()).flatten();
        now.unwrap_or_else(|| self.transport().spoken)
    }

    /// The number of paths now: cheaper than [`Watch::transport`].
    #[must_use]
    pub fn path_count(&self) -> u32 {
        let now = self.shared.slot.with(|fd| path_count(&fd)).filter(|&count| count > 0);
        now.unwrap_or_else(|| number(self.transport().paths.len()))
    }

    /// Lets the peer send at most so many bytes ahead of what has arrived (`TCP_WINDOW_CLAMP`, `tcp(7)`): several
    /// connections over one link then don't overrun its queue together. A window already granted is not taken back, and
    /// one that the kernel widens by itself must be limited again.
    ///
    /// # Errors
    /// The socket is closed (`NotConnected`), speaks MPTCP, or the platform has no such option.
    pub fn limit_window(&self, bytes: u32) -> io::Result<()> {
        let done = self.shared.slot.with(|fd| sys::limit_window(&fd, bytes));
        done.unwrap_or_else(|| Err(io::ErrorKind::NotConnected.into()))
    }

    /// The same, to keep without asking.
    #[must_use]
    pub fn downgrade(&self) -> WeakWatch {
        WeakWatch { shared: Arc::downgrade(&self.shared) }
    }

    /// Whether the stream still exists on this side.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.shared.slot.is_open()
    }
}

impl Shared {
    /// Looks at the socket, if it is open, and merges what is seen into the history.
    fn look(&self) -> Option<Transport> {
        self.look_by(true)
    }

    fn look_by(&self, interfaces: bool) -> Option<Transport> {
        // Locked before the look, so that two askers merge in the order in which they looked.
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Ok(seen)) = self.slot.with(|fd| {
            if interfaces {
                Transport::with_origin(&fd, &self.origin)
            } else {
                Transport::without_interfaces(&fd, &self.origin)
            }
        }) {
            *latest = Some(match latest.take() {
                Some(before) => merge(before, seen),
                None => seen,
            });
        }
        latest.clone()
    }
}

/// What is known after a new look: the paths of now, and those of before that are not among them.
fn merge(before: Transport, mut now: Transport) -> Transport {
    now.gone = before.gone;
    now.gone_totals = before.gone_totals;
    now.paths_total = before.paths_total;
    if now.paths.is_empty() {
        // The connection is closing, or has lost its last subflow: the figures of the last ones stand.
        now.paths = before.paths;
        for path in &mut now.paths {
            path.state = PathState::Closed;
        }
        return now;
    }
    if let (Spoken::Tcp(_), [path], [old]) = (now.spoken, &mut *now.paths, &*before.paths)
        && path.remote.is_none()
    {
        // A TCP connection that was reset no longer names its peer; its one path is the same all the same.
        (path.local, path.remote) = (old.local, old.remote);
    }
    let fresh = now.paths.iter().filter(|path| !before.paths.iter().any(|old| same(old, path)));
    let fresh = fresh.inspect(|path| tell("a path has come", path)).count();
    now.paths_total = now.paths_total.saturating_add(number(fresh));
    for old in before.paths {
        if let Some(path) = now.paths.iter_mut().find(|path| same(path, &old)) {
            // Its address may have been taken from the interface since.
            path.interface = path.interface.take().or(old.interface);
        } else {
            tell("a path has gone", &old);
            now.gone_totals.add(&old);
            if now.gone.len() == Transport::GONE_KEPT {
                now.gone.remove(0);
            }
            now.gone.push(Path { state: PathState::Closed, ..old });
        }
    }
    now
}

fn tell(what: &'static str, path: &Path) {
    let Path { local: Some(local), remote: Some(remote), .. } = path else { return };
    tracing::debug!(
        %local,
        %remote,
        interface = path.interface.as_deref(),
        bytes_received = path.bytes_received,
        bytes_sent = path.bytes_sent,
        "{what}"
    );
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The same subflow in two looks: same addresses; the kernel's ids tell apart a pair of addresses used again.
fn same(a: &Path, b: &Path) -> bool {
    a.local == b.local && a.remote == b.remote && (a.id == b.id || a.id.is_none() || b.id.is_none())
}

impl<S: Stream + Read> Read for Watched<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.owner.touch();
        let read = self.stream.read(buffer)?;
        if read > 0 {
            self.owner.received(buffer.get(..read).unwrap_or_default())?;
        } else if !buffer.is_empty() {
            self.owner.ended();
        }
        Ok(read)
    }

    fn read_vectored(&mut self, buffers: &mut [io::IoSliceMut<'_>]) -> io::Result<usize> {
        self.owner.touch();
        let read = self.stream.read_vectored(buffers)?;
        let mut left = read;
        for buffer in buffers {
            let part = buffer.get(..left.min(buffer.len())).unwrap_or_default();
            if !part.is_empty() {
                self.owner.received(part)?;
            }
            left -= part.len();
        }
        Ok(read)
    }
}

impl<S: Stream + Write> Write for Watched<S> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.owner.sent();
        self.stream.write(buffer)
    }

    fn write_vectored(&mut self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        self.owner.sent();
        self.stream.write_vectored(buffers)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(unix)]
impl<S: Stream> sys::AsFd for Watched<S> {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

#[cfg(windows)]
impl<S: Stream> sys::AsFd for Watched<S> {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        self.stream.as_socket()
    }
}

#[cfg(feature = "tokio")]
// By its path: loom's tests compile this file a second time, from elsewhere.
#[path = "watch/aio.rs"]
mod aio;
