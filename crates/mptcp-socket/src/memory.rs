//! Remembers destinations whose way swallows or resets MPTCP, so that only the first connect pays for finding out.
//!
//! Linux 6.12 answers a swallowed SYN by switching MPTCP off for the whole host for an hour; here only the
//! destination is remembered, and only for as long as re-tests confirm it. A re-test rides on a connect that happens
//! anyway: MPTCP and TCP start at once, and whichever is answered first is used, so it costs a SYN and no time.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    Reason,
    plan::{Approach, Lesson},
};

/// How long after a finding the destination is tested again. The first re-test is the very next connect: two SYNs
/// may have been lost by chance.
const RETEST: [Duration; 5] = [
    Duration::ZERO,
    Duration::from_secs(10),
    Duration::from_secs(60),
    Duration::from_secs(300),
    Duration::from_secs(900),
];
/// A destination that nobody has asked for this long is forgotten.
const EXPIRY: Duration = Duration::from_secs(3600);
/// The most destinations remembered; the one idle longest makes room.
const CAPACITY: usize = 1024;

/// A memory of destinations, shared by its clones.
#[derive(Clone, Debug, Default)]
pub struct Memory(Arc<Mutex<HashMap<Key, Entry>>>);

/// A destination: the address, by way of an interface if one was demanded.
type Key = (SocketAddr, Option<String>);

#[derive(Clone, Copy, Debug)]
struct Entry {
    reason: Reason,
    since: Instant,
    used: Instant,
    confirmed: u32,
    retest_at: Instant,
}

/// A destination that is remembered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Remembered {
    /// The address.
    pub address: SocketAddr,
    /// The interface that was demanded, if one was.
    pub interface: Option<String>,
    /// [`Reason::SynDropped`] or [`Reason::SynReset`].
    pub reason: Reason,
    /// When it was found.
    pub age: Duration,
    /// How often it was found since, the first time included.
    pub confirmed: u32,
    /// When the next connect will test it again; zero if that is due.
    pub retest_in: Duration,
}

impl Memory {
    /// The memory that all connects of this process share unless they are given another.
    #[must_use]
    pub fn global() -> Self {
        static GLOBAL: LazyLock<Memory> = LazyLock::new(Memory::default);
        GLOBAL.clone()
    }

    /// Everything that is remembered now.
    #[must_use]
    pub fn list(&self) -> Vec<Remembered> {
        let now = Instant::now();
        let entries = self.entries();
        let live = entries.iter().filter(|(_, entry)| now < entry.used + EXPIRY);
        live.map(|((address, interface), entry)| Remembered {
            address: *address,
            interface: interface.clone(),
            reason: entry.reason,
            age: now.saturating_duration_since(entry.since),
            confirmed: entry.confirmed,
            retest_in: entry.retest_at.saturating_duration_since(now),
        })
        .collect()
    }

    /// Forgets everything, as after a change of network.
    pub fn clear(&self) {
        self.entries().clear();
    }

    pub(crate) fn approach(&self, address: SocketAddr, interface: Option<&str>) -> Approach {
        self.approach_at(address, interface, Instant::now())
    }

    pub(crate) fn learn(&self, address: SocketAddr, interface: Option<&str>, lesson: Lesson) {
        self.learn_at(address, interface, lesson, Instant::now());
    }

    /// Why MPTCP was not tried: the reason that is remembered.
    pub(crate) fn reason(&self, address: SocketAddr, interface: Option<&str>) -> Option<Reason> {
        self.entries().get(&(address, interface.map(str::to_owned))).map(|entry| entry.reason)
    }

    fn approach_at(&self, address: SocketAddr, interface: Option<&str>, now: Instant) -> Approach {
        let mut entries = self.entries();
        if entries.is_empty() {
            return Approach::Race;
        }
        let key = (address, interface.map(str::to_owned));
        let Some(entry) = entries.get_mut(&key) else { return Approach::Race };
        if now >= entry.used + EXPIRY {
            entries.remove(&key);
            return Approach::Race;
        }
        entry.used = now;
        if now < entry.retest_at {
            return Approach::TcpOnly;
        }
        // Moved on before the result is known: of many connects at once one tests, not all.
        entry.retest_at = now + retest_after(entry.confirmed);
        Approach::Retest
    }

    fn learn_at(&self, address: SocketAddr, interface: Option<&str>, lesson: Lesson, now: Instant) {
        let reason = match lesson {
            Lesson::Nothing => return,
            Lesson::MptcpPasses => {
                let mut entries = self.entries();
                if !entries.is_empty() {
                    entries.remove(&(address, interface.map(str::to_owned)));
                }
                return;
            }
            Lesson::MptcpDropped => Reason::SynDropped,
            Lesson::MptcpReset => Reason::SynReset,
        };
        tracing::info!(%address, interface, %reason, "remembering that the way there does not bear Multipath TCP");
        let mut entries = self.entries();
        let key = (address, interface.map(str::to_owned));
        if entries.len() >= CAPACITY && !entries.contains_key(&key) {
            let idle = entries.iter().min_by_key(|(_, entry)| entry.used).map(|(key, _)| key.clone());
            idle.map(|key| entries.remove(&key));
        }
        let entry = entries.entry(key).or_insert(Entry {
            reason,
            since: now,
            used: now,
            confirmed: 0,
            retest_at: now,
        });
        entry.reason = reason;
        entry.used = now;
        entry.retest_at = now + retest_after(entry.confirmed);
        entry.confirmed = entry.confirmed.saturating_add(1);
    }

    fn entries(&self) -> MutexGuard<'_, HashMap<Key, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn retest_after(confirmed: u32) -> Duration {
    let last = RETEST.len() - 1;
    RETEST.get(confirmed as usize).or(RETEST.get(last)).copied().unwrap_or(EXPIRY)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u16) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, 1], n))
    }

    #[test]
    fn a_new_finding_is_tested_by_the_next_connect_and_then_ever_more_rarely() {
        let (memory, mut now) = (Memory::default(), Instant::now());
        assert_eq!(memory.approach_at(address(1), None, now), Approach::Race);
        for wait in RETEST {
            memory.learn_at(address(1), None, Lesson::MptcpDropped, now);
            if !wait.is_zero() {
                let early = now + wait - Duration::from_millis(1);
                assert_eq!(memory.approach_at(address(1), None, early), Approach::TcpOnly);
            }
            now += wait;
            assert_eq!(memory.approach_at(address(1), None, now), Approach::Retest);
        }
        assert_eq!(memory.reason(address(1), None), Some(Reason::SynDropped));
    }

    #[test]
    fn of_many_connects_one_tests() {
        let (memory, now) = (Memory::default(), Instant::now());
        memory.learn_at(address(1), None, Lesson::MptcpReset, now);
        assert_eq!(memory.approach_at(address(1), None, now), Approach::Retest);
        assert_eq!(memory.approach_at(address(1), None, now), Approach::TcpOnly);
    }

    #[test]
    fn a_passed_test_forgets_that_destination_alone() {
        let (memory, now) = (Memory::default(), Instant::now());
        memory.learn_at(address(1), None, Lesson::MptcpDropped, now);
        memory.learn_at(address(2), None, Lesson::MptcpDropped, now);
        memory.learn_at(address(1), Some("wifi"), Lesson::MptcpDropped, now);
        memory.learn_at(address(1), None, Lesson::MptcpPasses, now);
        assert_eq!(memory.approach_at(address(1), None, now), Approach::Race);
        assert_eq!(memory.list().len(), 2);
        memory.clear();
        assert!(memory.list().is_empty());
    }

    #[test]
    #[cfg_attr(miri, ignore = "two thousand entries take Miri an hour")]
    fn the_memory_is_bounded_and_expires() {
        let (memory, now) = (Memory::default(), Instant::now());
        for n in 0..2000u64 {
            let later = now + Duration::from_millis(n);
            memory.learn_at(address(n as u16), None, Lesson::MptcpDropped, later);
        }
        assert_eq!(memory.list().len(), CAPACITY);
        assert_eq!(memory.approach_at(address(0), None, now), Approach::Race);
        assert_eq!(memory.approach_at(address(1999), None, now + 2 * EXPIRY), Approach::Race);
        assert_eq!(memory.list().len(), CAPACITY - 1);
    }
}
