//! Connections one by one: those that are open, and what those that have ended carried over which paths.
//!
//! A request costs nothing here but an addition. Figures are read from the kernel when somebody asks, and once more right
//! before a connection is closed.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use mptcp_socket::{Path, PathState, Reason, Spoken, Transport, WeakWatch};

use super::Peer;
use crate::report::plain;

/// A path's part in its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Role {
    /// The first one, over which the connection was made; the only one of TCP.
    Initial,
    /// One that joined later.
    Additional,
    /// One that joined later, and that either side wants used only when no other works (RFC 8684 section 3.3.8).
    Backup,
}

impl Role {
    /// `initial`, `additional` or `backup`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Initial => "initial",
            Self::Additional => "additional",
            Self::Backup => "backup",
        }
    }
}

/// What paths of one role have carried, those of connections that have ended included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PathCounts {
    /// Whether they were those of connections that began with MPTCP.
    pub mptcp: bool,
    /// Their part in their connections.
    pub role: Option<Role>,
    /// Payload bytes sent, retransmissions included.
    pub bytes_sent: u64,
    /// Payload bytes received.
    pub bytes_received: u64,
    /// Segments retransmitted.
    pub retransmits: u64,
    /// How many paths there were.
    pub total: u64,
    /// How many there are now.
    pub open: u64,
}

/// A connection that is open.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct OpenConnection {
    /// Its number: 1 for the first that was tracked.
    pub id: u64,
    /// Its two ends.
    pub peer: Peer,
    /// When it was accepted.
    pub since: SystemTime,
    /// For how long it has been open.
    pub age: Duration,
    /// Requests whose head was read.
    pub requests: u64,
    /// What it speaks, over which paths.
    pub transport: Transport,
    /// The parts of [`Transport::paths`], in their order.
    pub roles: Vec<Role>,
}

/// MPTCP's three roles, and TCP's one.
type Sums = [PathCounts; 4];

const NO_SUMS: Sums = {
    let none = PathCounts {
        mptcp: true,
        role: None,
        bytes_sent: 0,
        bytes_received: 0,
        retransmits: 0,
        total: 0,
        open: 0,
    };
    [
        PathCounts { role: Some(Role::Initial), ..none },
        PathCounts { role: Some(Role::Additional), ..none },
        PathCounts { role: Some(Role::Backup), ..none },
        PathCounts { mptcp: false, role: Some(Role::Initial), ..none },
    ]
};

/// All that are tracked.
#[derive(Debug, Default)]
pub(super) struct Registry {
    on: AtomicBool,
    inner: Mutex<Inner>,
}

#[derive(Debug)]
struct Inner {
    last: u64,
    open: BTreeMap<u64, Arc<Record>>,
    /// What those carried that have ended.
    ended: Sums,
    fallbacks: u64,
}

impl Default for Inner {
    fn default() -> Self {
        Self { last: 0, open: BTreeMap::new(), ended: NO_SUMS, fallbacks: 0 }
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Record {
    id: u64,
    peer: Peer,
    /// The ends as the kernel names them, which may differ from the peer's: a proxy can speak for another.
    ends: (SocketAddr, SocketAddr),
    began: Spoken,
    since: SystemTime,
    opened: Instant,
    watch: WeakWatch,
    requests: AtomicU64,
    /// Paths that were seen to be backups; they stay it, so that no counter ever falls.
    backups: Mutex<Vec<(SocketAddr, SocketAddr)>>,
    /// Paths that were seen and were none.
    others: Mutex<Vec<(SocketAddr, SocketAddr)>>,
}

/// What a look has found.
#[derive(Default)]
pub(super) struct Looked {
    pub(super) paths: Vec<PathCounts>,
    pub(super) fallbacks: u64,
    pub(super) connections: Vec<OpenConnection>,
}

/// Keeps a connection among the open ones; to be dropped before its stream, at which it looks a last time.
#[derive(Debug)]
pub(super) struct Entry {
    stats: super::Stats,
    record: Arc<Record>,
}

impl Registry {
    pub(super) fn switch_on(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    /// Tracks a connection, if connections are tracked.
    pub(super) fn enter(
        stats: &super::Stats,
        peer: Peer,
        ends: (SocketAddr, SocketAddr),
        began: Spoken,
        watch: &WeakWatch,
    ) -> Option<Entry> {
        let registry = stats.registry();
        if !registry.on.load(Ordering::Relaxed) {
            return None;
        }
        let mut inner = registry.inner();
        inner.last += 1;
        let record = Arc::new(Record {
            id: inner.last,
            peer,
            ends: (plain(ends.0), plain(ends.1)),
            began,
            since: SystemTime::now(),
            opened: Instant::now(),
            watch: watch.clone(),
            requests: AtomicU64::new(0),
            backups: Mutex::default(),
            others: Mutex::default(),
        });
        inner.open.insert(record.id, Arc::clone(&record));
        drop(inner);
        Some(Entry { stats: stats.clone(), record })
    }

    /// Looks at every open connection.
    pub(super) fn look(&self) -> Looked {
        if !self.on.load(Ordering::Relaxed) {
            return Looked::default();
        }
        // The looks take system calls: connections that come and go meanwhile must not wait for them.
        let records: Vec<_> = self.inner().open.values().map(Arc::clone).collect();
        let mut connections: Vec<_> = records.iter().filter_map(|record| record.look()).collect();
        find_backups(&mut connections);
        for (record, connection) in &mut connections {
            connection.roles = record.note(&connection.transport);
        }
        name_interfaces(&mut connections);
        let inner = self.inner();
        let (mut sums, mut fallbacks) = (inner.ended, inner.fallbacks);
        // What has ended meanwhile is in the sums already.
        connections.retain(|(record, _)| inner.open.contains_key(&record.id));
        drop(inner);
        for (record, connection) in &connections {
            record.add(&connection.transport, &mut sums, true);
            fallbacks += u64::from(fell_back(&connection.transport));
        }
        let connections = connections.into_iter().map(|(_, connection)| connection).collect();
        Looked { paths: sums.to_vec(), fallbacks, connections }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Counts a request.
    pub(super) fn record(&self) -> &Arc<Record> {
        &self.record
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let transport = self.record.watch.upgrade().map(|watch| watch.transport_without_interfaces());
        let mut inner = self.stats.registry().inner();
        inner.open.remove(&self.record.id);
        if let Some(transport) = transport {
            inner.fallbacks += u64::from(fell_back(&transport));
            self.record.add(&transport, &mut inner.ended, false);
        }
    }
}

impl Record {
    pub(super) fn request(&self) {
        self.requests.fetch_add(1, Ordering::Relaxed);
    }

    fn look(self: &Arc<Self>) -> Option<(Arc<Self>, OpenConnection)> {
        let transport = self.watch.upgrade()?.transport_without_interfaces();
        let connection = OpenConnection {
            id: self.id,
            peer: self.peer,
            since: self.since,
            age: self.opened.elapsed(),
            requests: self.requests.load(Ordering::Relaxed),
            transport,
            roles: Vec::new(),
        };
        Some((Arc::clone(self), connection))
    }

    /// Settles the roles of the paths that there are now, for good, and gives them.
    fn note(&self, transport: &Transport) -> Vec<Role> {
        let mut others = self.others.lock().unwrap_or_else(PoisonError::into_inner);
        let roles: Vec<_> = transport.paths.iter().map(|path| self.role(path)).collect();
        others.clear();
        let pairs = transport.paths.iter().zip(&roles);
        others
            .extend(pairs.filter(|(_, role)| **role == Role::Additional).filter_map(|(path, _)| ends(path)));
        roles
    }

    fn role(&self, path: &Path) -> Role {
        let Some(ends) = ends(path) else { return Role::Additional };
        let backups = || self.backups.lock().unwrap_or_else(PoisonError::into_inner);
        if ends == self.ends || !self.began.is_mptcp() {
            Role::Initial
        } else if backups().contains(&ends) {
            Role::Backup
        } else {
            Role::Additional
        }
    }

    /// Adds what the connection's paths have carried, those that have gone included.
    fn add(&self, transport: &Transport, sums: &mut Sums, open: bool) {
        let [initial, additional, backup, tcp] = sums;
        let mut rest = transport.gone_totals;
        let mut seen = 0;
        for (gone, path) in transport
            .paths
            .iter()
            .map(|path| (false, path))
            .chain(transport.gone.iter().map(|path| (true, path)))
        {
            let counts = match self.role(path) {
                _ if !self.began.is_mptcp() => &mut *tcp,
                Role::Initial => &mut *initial,
                Role::Backup => &mut *backup,
                Role::Additional => &mut *additional,
            };
            let (sent, received) = (path.bytes_sent.unwrap_or(0), path.bytes_received.unwrap_or(0));
            let retransmits = u64::from(path.retransmits.unwrap_or(0));
            counts.bytes_sent += sent;
            counts.bytes_received += received;
            counts.retransmits += retransmits;
            counts.total += 1;
            counts.open += u64::from(open && !gone && path.state != PathState::Closed);
            seen += 1;
            if gone {
                rest.bytes_sent = rest.bytes_sent.saturating_sub(sent);
                rest.bytes_received = rest.bytes_received.saturating_sub(received);
                rest.retransmits = rest.retransmits.saturating_sub(retransmits);
            }
        }
        // Of very many that have gone, the oldest are known by their sums alone.
        additional.bytes_sent += rest.bytes_sent;
        additional.bytes_received += rest.bytes_received;
        additional.retransmits += rest.retransmits;
        additional.total += u64::from(transport.paths_total).saturating_sub(seen);
    }
}

/// Whether MPTCP was agreed on and then lost, be it before the connection was accepted.
fn fell_back(transport: &Transport) -> bool {
    transport.reason() == Some(Reason::FellBack)
}

fn ends(path: &Path) -> Option<(SocketAddr, SocketAddr)> {
    Some((plain(path.local?), plain(path.remote?)))
}

/// Asks the kernel which paths are backups, where there are paths that could be.
fn find_backups(connections: &mut [(Arc<Record>, OpenConnection)]) {
    let several = |connection: &OpenConnection| connection.transport.paths.len() > 1;
    if !connections.iter().any(|(_, connection)| several(connection)) {
        return;
    }
    // Where this can't be known they count as additional ones.
    let reader = mptcp_paths::connections::Reader::open();
    let Ok(found) = reader.and_then(|mut reader| reader.backups()) else { return };
    let found: std::collections::HashSet<_> =
        found.into_iter().map(|(local, remote)| (plain(local), plain(remote))).collect();
    if found.is_empty() {
        return;
    }
    for (record, connection) in connections {
        let others = record.others.lock().unwrap_or_else(PoisonError::into_inner);
        let mut backups = record.backups.lock().unwrap_or_else(PoisonError::into_inner);
        for ends in connection.transport.paths.iter().filter_map(ends) {
            if found.contains(&ends) && !others.contains(&ends) && !backups.contains(&ends) {
                backups.push(ends);
            }
        }
    }
}

/// Names the interfaces of all paths with one look at the host's addresses.
fn name_interfaces(connections: &mut [(Arc<Record>, OpenConnection)]) {
    let paths = || connections.iter().flat_map(|(_, connection)| &connection.transport.paths);
    let mut all: Vec<Path> = paths().cloned().collect();
    mptcp_socket::name_interfaces(&mut all);
    let places = connections.iter_mut().flat_map(|(_, connection)| &mut connection.transport.paths);
    for (place, path) in places.zip(all) {
        place.interface = path.interface;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mptcp_socket::{Origin, Watched};
    use std::{
        io::{Read, Write},
        net::{TcpListener, TcpStream},
    };

    #[test]
    fn what_ended_connections_carried_is_kept_and_nothing_is_counted_twice() {
        let stats = super::super::Stats::default();
        stats.registry().switch_on(true);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (stream, remote) = listener.accept().unwrap();
        let local = stream.local_addr().unwrap();
        let mut stream = Watched::new(stream, Origin::unknown());
        let peer = Peer { remote, local, tls: false };
        let began = stream.origin().began();
        let entry =
            Registry::enter(&stats, peer, (local, remote), began, &stream.watch().downgrade()).unwrap();
        entry.record().request();
        client.write_all(&[7; 1000]).unwrap();
        stream.read_exact(&mut [0; 1000]).unwrap();
        let sum = |sample: &super::super::Sample| -> (u64, u64, u64) {
            let sum = |of: fn(&PathCounts) -> u64| sample.paths.iter().map(of).sum();
            (sum(|c| c.bytes_received), sum(|c| c.total), sum(|c| c.open))
        };
        let sample = stats.sample();
        assert_eq!(sum(&sample), (1000, 1, 1));
        assert_eq!((sample.connections.len(), sample.connections[0].requests), (1, 1));
        assert_eq!(sample.connections[0].roles, [Role::Initial]);
        assert!(sample.paths.iter().all(|counts| !counts.mptcp || counts.total == 0));
        // A connection that is reset forgets its peer, and stays the same all the same.
        socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
        drop(client);
        assert!(stream.read(&mut [0; 1]).is_err());
        assert_eq!(sum(&stats.sample()), (1000, 1, 0));
        drop(entry);
        drop(stream);
        let sample = stats.sample();
        assert_eq!(sum(&sample), (1000, 1, 0));
        assert!(sample.connections.is_empty());
    }
}
