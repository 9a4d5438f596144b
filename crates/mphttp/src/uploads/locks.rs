//! Who writes to an upload: one request at a time. A request whose connection has gone quiet, because its link died and
//! nobody told this host, gives way to the client's next one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{sync::Notify, time::timeout};

use super::id::Id;

/// After so long without a byte a request has to give way. Longer than the gaps that a lossy link makes.
const QUIET: Duration = Duration::from_secs(3);
/// How long it may take to give way: it writes out what it has.
const YIELDING: Duration = Duration::from_secs(5);

/// The uploads that are being written to.
#[derive(Clone, Debug, Default)]
pub(super) struct Locks(Arc<Mutex<HashMap<Id, Arc<Holder>>>>);

#[derive(Debug)]
struct Holder {
    since: Instant,
    /// When the latest byte came, in milliseconds after `since`.
    latest: AtomicU64,
    leave: Notify,
    left: Notify,
}

impl Holder {
    fn is_quiet(&self) -> bool {
        let latest = self.since + Duration::from_millis(self.latest.load(Ordering::Relaxed));
        latest.elapsed() >= QUIET
    }
}

/// An upload held for writing, until this is dropped.
#[derive(Debug)]
pub(super) struct Held {
    locks: Locks,
    id: Id,
    holder: Arc<Holder>,
}

impl Locks {
    /// Takes an upload; `None` if another request is busy with it.
    pub(super) async fn take(&self, id: Id) -> Option<Held> {
        for _ in 0..2 {
            let other = match self.enter(id) {
                Ok(held) => return Some(held),
                Err(other) if other.is_quiet() => other,
                Err(_) => return None,
            };
            let left = other.left.notified();
            other.leave.notify_one();
            // It may have left between the two: then there is nothing to wait for.
            if self.map().get(&id).is_some_and(|holder| Arc::ptr_eq(holder, &other)) {
                let _ = timeout(YIELDING, left).await;
            }
        }
        None
    }

    fn enter(&self, id: Id) -> Result<Held, Arc<Holder>> {
        let mut map = self.map();
        if let Some(other) = map.get(&id) {
            return Err(Arc::clone(other));
        }
        let holder = Arc::new(Holder {
            since: Instant::now(),
            latest: AtomicU64::new(0),
            leave: Notify::new(),
            left: Notify::new(),
        });
        map.insert(id, Arc::clone(&holder));
        Ok(Held { locks: self.clone(), id, holder })
    }

    fn map(&self) -> MutexGuard<'_, HashMap<Id, Arc<Holder>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    /// Tells that something has arrived.
    pub(super) fn beat(&self) {
        let after = u64::try_from(self.holder.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.holder.latest.store(after, Ordering::Relaxed);
    }

    /// Ends when another request is to go on in place of this one.
    pub(super) async fn asked_to_leave(&self) {
        self.holder.leave.notified().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.locks.map().remove(&self.id);
        self.holder.left.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_busy_upload_is_locked_and_a_quiet_one_changes_hands() {
        let (locks, id) = (Locks::default(), Id::random().unwrap());
        let first = locks.take(id).await.unwrap();
        assert!(locks.take(id).await.is_none());
        assert!(locks.take(Id::random().unwrap()).await.is_some());
        tokio::time::sleep(QUIET + Duration::from_millis(50)).await;
        first.beat();
        assert!(locks.take(id).await.is_none(), "something has arrived");
        tokio::time::sleep(QUIET + Duration::from_millis(50)).await;
        let task = tokio::spawn(async move { first.asked_to_leave().await });
        assert!(locks.take(id).await.is_some());
        task.await.unwrap();
    }
}
