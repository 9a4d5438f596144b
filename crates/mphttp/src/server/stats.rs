//! What the server has seen so far, for metrics and for those who wonder.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

/// Counters of a running server; clones share them.
#[derive(Clone, Debug, Default)]
pub struct Stats(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    accepted: AtomicU64,
    open: AtomicU64,
    requests: AtomicU64,
    refused_tcp: AtomicU64,
    tls_failed: AtomicU64,
    accept_errors: AtomicU64,
}

/// The counters at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counts {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that are being served now; upgraded ones are no longer counted here.
    pub open: u64,
    /// Requests whose head was read.
    pub requests: u64,
    /// Connections closed because they spoke TCP where MPTCP was demanded.
    pub refused_tcp: u64,
    /// Connections whose TLS handshake failed, or that spoke plain HTTP instead.
    pub tls_failed: u64,
    /// Errors of `accept(2)`.
    pub accept_errors: u64,
}

impl Stats {
    /// The counters now.
    #[must_use]
    pub fn counts(&self) -> Counts {
        Counts {
            accepted: self.0.accepted.load(Relaxed),
            open: self.0.open.load(Relaxed),
            requests: self.0.requests.load(Relaxed),
            refused_tcp: self.0.refused_tcp.load(Relaxed),
            tls_failed: self.0.tls_failed.load(Relaxed),
            accept_errors: self.0.accept_errors.load(Relaxed),
        }
    }

    /// Counts a connection for as long as the guard lives.
    pub(super) fn connection(&self) -> Open {
        self.0.accepted.fetch_add(1, Relaxed);
        self.0.open.fetch_add(1, Relaxed);
        Open(self.clone())
    }

    pub(super) fn request(&self) {
        self.0.requests.fetch_add(1, Relaxed);
    }

    pub(super) fn refused_tcp(&self) {
        self.0.refused_tcp.fetch_add(1, Relaxed);
    }

    pub(super) fn tls_failed(&self) {
        self.0.tls_failed.fetch_add(1, Relaxed);
    }

    pub(super) fn accept_error(&self) {
        self.0.accept_errors.fetch_add(1, Relaxed);
    }
}

/// A connection that is counted as open.
#[derive(Debug)]
pub(super) struct Open(Stats);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.0.open.fetch_sub(1, Relaxed);
    }
}
