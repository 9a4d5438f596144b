//! More clients than there is room for: who makes room for them, and who is not let in at all.
//!
//! At the limit of connections, or of descriptors, the one that has waited longest with nothing to answer is closed for each client
//! that waits at the listener: idle ones, handshakes and heads that do not come along, and clients that take or send nothing of what
//! is under way. So a flood of such connections keeps nobody out; it only costs others their idle ones. And nobody has more
//! than a part of all connections, by address.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use ipnet::IpNet;
use tokio::sync::Notify;

use super::gauge::Gauge;

/// Who could make room, in the order in which they began to wait.
#[derive(Debug, Default)]
pub(super) struct Room {
    waiting: Notify,
    wanted: AtomicBool,
}

impl Room {
    /// Asks the one that has waited longest to go. It may decline, so ask again while room is wanted.
    pub(super) fn ask(&self) {
        self.wanted.store(true, Ordering::Relaxed);
        self.waiting.notify_one();
    }

    /// There is room.
    pub(super) fn found(&self) {
        if self.wanted.load(Ordering::Relaxed) {
            self.wanted.store(false, Ordering::Relaxed);
        }
    }

    /// Waits until this connection is to go, so that another has room.
    pub(super) async fn make(&self, gauge: &Gauge) {
        loop {
            // Woken in the order in which they began to wait.
            self.waiting.notified().await;
            if gauge.could_go() && self.wanted.swap(false, Ordering::Relaxed) {
                return;
            }
        }
    }
}

/// How many connections come from where.
#[derive(Debug)]
pub(super) struct Origins {
    most: usize,
    /// Who speaks for others, and may have as many as there are.
    exempt: Vec<IpNet>,
    open: Mutex<HashMap<Origin, Arc<Tally>>>,
}

/// What is open from one address.
#[derive(Debug)]
pub(super) struct Tally {
    most: usize,
    /// Changed under the lock of all.
    connections: AtomicUsize,
    /// Those of HTTP/2, whose connections would otherwise have many times as many as those of HTTP/1.1.
    requests: AtomicUsize,
}

/// A request counted as under way.
#[derive(Debug)]
pub(super) struct Asking(Arc<Tally>);

impl Tally {
    /// Counts a request, unless as many are under way as connections may be open.
    pub(super) fn ask(self: &Arc<Self>) -> Option<Asking> {
        let asking = Asking(Arc::clone(self));
        // Dropped, it is counted off again.
        (self.requests.fetch_add(1, Ordering::Relaxed) < self.most).then_some(asking)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.requests.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An address; of IPv6 its network of 64 bits, in which one host has as many addresses as it likes (RFC 7934, RFC 8981).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    V4([u8; 4]),
    V6([u16; 4]),
}

impl Origin {
    fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.octets()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self::V6([a, b, c, d])
            }
        }
    }
}

/// A connection counted as open, unless it need not be.
#[derive(Debug)]
pub(super) struct Guest(Option<(Arc<Origins>, Origin, Arc<Tally>)>);

impl Guest {
    /// What else is open from its address.
    pub(super) fn tally(&self) -> Option<Arc<Tally>> {
        self.0.as_ref().map(|(_, _, tally)| Arc::clone(tally))
    }
}

impl Origins {
    pub(super) fn new(most: usize, exempt: Vec<IpNet>) -> Arc<Self> {
        Arc::new(Self { most, exempt, open: Mutex::default() })
    }

    /// Lets a connection in, or not, if as many are open from there as may be.
    pub(super) fn admit(self: &Arc<Self>, from: IpAddr) -> Option<Guest> {
        let from = from.to_canonical();
        // Whoever is on this host has other ways to do harm, and a server in front of this one may be there.
        if from.is_loopback() || self.exempt.iter().any(|range| range.contains(&from)) {
            return Some(Guest(None));
        }
        let origin = Origin::of(from);
        let mut open = self.open();
        let tally = open.entry(origin).or_insert_with(|| {
            let (connections, requests) = (AtomicUsize::new(0), AtomicUsize::new(0));
            Arc::new(Tally { most: self.most, connections, requests })
        });
        if tally.connections.load(Ordering::Relaxed) >= self.most {
            return None;
        }
        tally.connections.fetch_add(1, Ordering::Relaxed);
        Some(Guest(Some((Arc::clone(self), origin, Arc::clone(tally)))))
    }

    fn open(&self) -> MutexGuard<'_, HashMap<Origin, Arc<Tally>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let Some((origins, origin, tally)) = &self.0 else { return };
        let mut open = origins.open();
        // What is kept is no more than what is open.
        if tally.connections.fetch_sub(1, Ordering::Relaxed) == 1 {
            open.remove(origin);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_part_and_gets_it_back() {
        let origins = Origins::new(2, vec!["192.0.2.0/24".parse().unwrap()]);
        let first = origins.admit(ip("198.51.100.1")).unwrap();
        let _second = origins.admit(ip("::ffff:198.51.100.1")).unwrap();
        assert!(origins.admit(ip("198.51.100.1")).is_none(), "IPv4 in IPv6 is the same address");
        assert!(origins.admit(ip("198.51.100.2")).is_some());
        drop(first);
        let second = origins.admit(ip("198.51.100.1")).unwrap();
        let tally = second.tally().unwrap();
        let asked: Vec<_> = (0..3).map(|_| tally.ask()).collect();
        assert!(asked[1].is_some() && asked[2].is_none(), "so have its requests of HTTP/2");
        drop(asked);
        assert!(tally.ask().is_some());
        let many: Vec<_> = (0..9).map(|_| origins.admit(ip("192.0.2.7"))).collect();
        assert!(many.iter().all(Option::is_some), "who speaks for others has no part");
        let here: Vec<_> = (0..9).map(|_| origins.admit(ip("::1"))).collect();
        assert!(here.iter().all(Option::is_some), "nor has this host");
    }

    #[test]
    fn ipv6_counts_by_network() {
        let origins = Origins::new(1, Vec::new());
        let one = origins.admit(ip("2001:db8::1")).unwrap();
        assert!(origins.admit(ip("2001:db8::2")).is_none());
        assert!(origins.admit(ip("2001:db8:0:1::1")).is_some());
        drop(one);
        assert!(origins.open().is_empty(), "nothing is kept of those that have gone");
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_longest_goes_first_and_only_if_room_is_wanted() {
        let room = Room::default();
        let (old, young) = (Gauge::new(), Gauge::new());
        let mut gone = Vec::new();
        let first = room.make(&old);
        let second = room.make(&young);
        tokio::pin!(first, second);
        let moment = std::time::Duration::from_secs(2);
        for _ in 0..2 {
            tokio::select! {
                biased;
                () = &mut first, if !gone.contains(&1) => gone.push(1),
                () = &mut second, if !gone.contains(&2) => gone.push(2),
                () = tokio::time::sleep(moment) => {}
            }
            if gone.is_empty() {
                room.ask();
            }
        }
        assert_eq!(gone, [1]);
        room.ask();
        room.found();
        tokio::select! {
            biased;
            () = &mut second => panic!("nobody wants its room any more"),
            () = tokio::time::sleep(moment) => {}
        }
    }
}
