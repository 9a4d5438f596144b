//! The servers behind the proxy, and which of them is next: the one with the fewest requests in flight, in turn among
//! equals; one that could not be reached rests for a while, and one that its health check failed gets nothing.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::uri::{Authority, Scheme};

use super::pool::Pool;

pub(super) struct Upstream {
    /// For logs.
    pub(super) name: String,
    pub(super) scheme: Scheme,
    pub(super) authority: Authority,
    /// What is put before each path: empty, or a path without its last slash.
    pub(super) prefix: String,
    pub(super) pool: Pool,
    load: Arc<AtomicUsize>,
    rests_until: Mutex<Option<Instant>>,
    healthy: AtomicBool,
}

/// A request of an upstream, until this is dropped.
pub(super) struct InFlight(Arc<AtomicUsize>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Upstream {
    pub(super) fn new(
        name: String,
        scheme: Scheme,
        authority: Authority,
        prefix: String,
        pool: Pool,
    ) -> Self {
        Self {
            name,
            scheme,
            authority,
            prefix,
            pool,
            load: Arc::default(),
            rests_until: Mutex::new(None),
            healthy: AtomicBool::new(true),
        }
    }

    pub(super) fn begin(&self) -> InFlight {
        self.load.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(&self.load))
    }

    /// It could not be reached: others first, for a while.
    pub(super) fn rest(&self, time: Duration) {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now().checked_add(time);
    }

    /// It was reached.
    pub(super) fn reached(&self) {
        *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn is_resting(&self) -> bool {
        let until = *self.rests_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// Notes what a health check found; whether that is news.
    pub(super) fn set_healthy(&self, healthy: bool) -> bool {
        self.healthy.swap(healthy, Ordering::Relaxed) != healthy
    }

    pub(super) fn is_healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed)
    }
}

/// All of them.
pub(super) struct Upstreams {
    pub(super) all: Vec<Upstream>,
    turn: AtomicUsize,
}

impl Upstreams {
    pub(super) const fn new(all: Vec<Upstream>) -> Self {
        Self { all, turn: AtomicUsize::new(0) }
    }

    /// The next one for a request that was tried at `tried` before. One that rests is better than none.
    pub(super) fn choose(&self, tried: &[usize]) -> Option<usize> {
        let count = self.all.len();
        if count == 0 {
            return None;
        }
        let first = self.turn.fetch_add(1, Ordering::Relaxed) % count;
        (0..count)
            .map(|step| (first + step) % count)
            .filter(|index| !tried.contains(index))
            .filter_map(|index| Some((index, self.all.get(index)?)))
            .filter(|(_, upstream)| upstream.is_healthy())
            // The first of equals: the turn decides.
            .min_by_key(|(_, upstream)| (upstream.is_resting(), upstream.load.load(Ordering::Relaxed)))
            .map(|(index, _)| index)
    }
}
