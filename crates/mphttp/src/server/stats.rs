//! What the server has seen so far, for metrics and for those who wonder.
//!
//! Everything that a request touches is an atomic counter: no lock, no allocation. What is known of connections one by one
//! is in [`super::open`], and kept only if [asked for](super::Server::track_connections).

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::{Method, StatusCode};
use mptcp_socket::{Reason, Spoken};

use super::open::{OpenConnection, PathCounts, Registry};

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
    malformed: AtomicU64,
    cuts: [AtomicU64; Cut::ALL.len()],
    /// MPTCP, then TCP for each reason, in the order of [`Reason::ALL`].
    spoken: [Pair; 1 + Reason::ALL.len()],
    /// By method, then by the status' first digit; the first is for clients that left before there was a status.
    finished: [[AtomicU64; 6]; METHODS.len() + 1],
    /// Requests that took no longer than each of [`BOUNDS`], and no shorter than the one before; then all longer ones.
    durations: [AtomicU64; BOUNDS.len() + 1],
    nanoseconds: AtomicU64,
    registry: Registry,
}

#[derive(Debug, Default)]
struct Pair {
    total: AtomicU64,
    open: AtomicU64,
}

/// The methods that are counted by name (RFC 9110 section 9, RFC 5789): a client can't make up new time series.
const METHODS: [Method; 9] = [
    Method::GET,
    Method::HEAD,
    Method::POST,
    Method::PUT,
    Method::DELETE,
    Method::OPTIONS,
    Method::PATCH,
    Method::CONNECT,
    Method::TRACE,
];

/// The upper bounds of the histogram's buckets, in milliseconds.
const BOUNDS: [u64; 14] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 60_000];

/// Why the server closed, or did not take, a connection that may have wanted more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Cut {
    /// It had nothing to answer, or its client took or sent nothing, and others wanted its room.
    Room,
    /// As many connections were open from its address as may be.
    Address,
    /// The head of a request took too long.
    Head,
    /// Nothing of a request's body came for too long.
    Body,
    /// The client took nothing of what was to be sent for too long.
    Write,
}

impl Cut {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Room, Self::Address, Self::Head, Self::Body, Self::Write];

    /// `room`, `address`, `head`, `body` or `write`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Room => "room",
            Self::Address => "address",
            Self::Head => "head",
            Self::Body => "body",
            Self::Write => "write",
        }
    }
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
    /// Requests that were no HTTP, or whose head was too long.
    pub malformed: u64,
}

/// Connections that began by speaking the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpokenCounts {
    /// What they spoke when they were accepted, and why.
    pub spoken: Spoken,
    /// How many there were.
    pub total: u64,
    /// How many of them are open.
    pub open: u64,
}

/// Requests of one method that ended with one class of status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RequestCounts {
    /// `GET` …, or `other`.
    pub method: &'static str,
    /// `1xx` to `5xx`; `none` for clients that left before there was a status.
    pub status: &'static str,
    /// How many.
    pub total: u64,
}

/// How long requests took, from their head to the last byte of their answer that was handed to the connection.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Durations {
    /// How many took no longer than so many seconds: ascending, each with those before it.
    pub up_to: Vec<(f64, u64)>,
    /// How many in all.
    pub count: u64,
    /// All of them together.
    pub sum: Duration,
}

/// Everything that is known of a running server, as nearly at one moment as counters that nobody stops can be.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Sample {
    /// The plain counters.
    pub counts: Counts,
    /// Connections that were closed, or not taken, by why.
    pub cuts: [(Cut, u64); 5],
    /// MPTCP, then TCP for each reason, whether there were any or not.
    pub spoken: Vec<SpokenCounts>,
    /// Requests that are over; only those kinds that there were.
    pub requests: Vec<RequestCounts>,
    /// How long those took.
    pub durations: Durations,
    /// Bytes and paths by role, closed connections included; empty unless [tracked](super::Server::track_connections).
    pub paths: Vec<PathCounts>,
    /// Connections on which MPTCP was agreed on and then lost; 0 unless tracked.
    pub fallbacks: u64,
    /// The connections that are open now, the oldest first; empty unless tracked.
    pub connections: Vec<OpenConnection>,
}

impl Sample {
    /// Requests that are being answered.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.counts.requests.saturating_sub(self.durations.count)
    }
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
            malformed: self.0.malformed.load(Relaxed),
        }
    }

    /// How many connections were closed for this.
    #[must_use]
    pub fn cuts(&self, why: Cut) -> u64 {
        self.0.cuts.get(why as usize).map_or(0, |count| count.load(Relaxed))
    }

    /// Everything that is known. Looks at each [tracked](super::Server::track_connections) connection: some microseconds of
    /// system calls for each of them, so not for an async thread if there are many.
    #[must_use]
    pub fn sample(&self) -> Sample {
        let looked = self.0.registry.look();
        // First those that are over, so that none is over that has not begun.
        let durations = self.durations();
        Sample {
            durations,
            requests: self.requests(),
            spoken: self.spoken(),
            counts: self.counts(),
            cuts: Cut::ALL.map(|why| (why, self.cuts(why))),
            paths: looked.paths,
            fallbacks: looked.fallbacks,
            connections: looked.connections,
        }
    }

    fn spoken(&self) -> Vec<SpokenCounts> {
        let kinds = [Spoken::Mptcp].into_iter().chain(Reason::ALL.map(Spoken::Tcp));
        kinds
            .zip(&self.0.spoken)
            .map(|(spoken, pair)| {
                let (open, total) = (pair.open.load(Relaxed), pair.total.load(Relaxed));
                SpokenCounts { spoken, total, open }
            })
            .collect()
    }

    fn requests(&self) -> Vec<RequestCounts> {
        let mut counts = Vec::new();
        for (index, classes) in self.0.finished.iter().enumerate() {
            let method = METHODS.get(index).map_or("other", method_word);
            for (status, count) in ["none", "1xx", "2xx", "3xx", "4xx", "5xx"].into_iter().zip(classes) {
                let total = count.load(Relaxed);
                if total > 0 {
                    counts.push(RequestCounts { method, status, total });
                }
            }
        }
        counts
    }

    fn durations(&self) -> Durations {
        let sum = Duration::from_nanos(self.0.nanoseconds.load(Relaxed));
        let mut count = 0;
        let mut up_to = Vec::with_capacity(BOUNDS.len());
        for (index, bucket) in self.0.durations.iter().enumerate() {
            count += bucket.load(Relaxed);
            if let Some(&bound) = BOUNDS.get(index) {
                up_to.push((Duration::from_millis(bound).as_secs_f64(), count));
            }
        }
        Durations { up_to, count, sum }
    }

    pub(super) fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// Counts a connection for as long as the guard lives.
    pub(super) fn connection(&self) -> Open {
        self.0.accepted.fetch_add(1, Relaxed);
        self.0.open.fetch_add(1, Relaxed);
        Open { stats: self.clone(), kind: None }
    }

    pub(super) fn request(&self) {
        self.0.requests.fetch_add(1, Relaxed);
    }

    /// A request is over.
    pub(super) fn finished(&self, method: MethodIndex, status: Option<StatusCode>, took: Duration) {
        let class = status.map_or(0, |status| usize::from(status.as_u16() / 100));
        if let Some(count) = self.0.finished.get(usize::from(method.0)).and_then(|row| row.get(class)) {
            count.fetch_add(1, Relaxed);
        }
        let milliseconds = took.as_nanos().div_ceil(1_000_000);
        let bucket = BOUNDS.iter().take_while(|&&bound| u128::from(bound) < milliseconds).count();
        if let Some(count) = self.0.durations.get(bucket) {
            count.fetch_add(1, Relaxed);
        }
        self.0.nanoseconds.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Relaxed);
    }

    pub(super) fn malformed(&self) {
        self.0.malformed.fetch_add(1, Relaxed);
    }

    pub(super) fn cut(&self, why: Cut) {
        if let Some(count) = self.0.cuts.get(why as usize) {
            count.fetch_add(1, Relaxed);
        }
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

/// Which of the [`METHODS`] a request has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct MethodIndex(u8);

impl From<&Method> for MethodIndex {
    fn from(method: &Method) -> Self {
        let index = METHODS.iter().position(|known| known == method).unwrap_or(METHODS.len());
        Self(u8::try_from(index).unwrap_or(u8::MAX))
    }
}

fn method_word(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::DELETE => "DELETE",
        Method::OPTIONS => "OPTIONS",
        Method::PATCH => "PATCH",
        Method::CONNECT => "CONNECT",
        Method::TRACE => "TRACE",
        _ => "other",
    }
}

/// A connection that is counted as open.
pub(super) struct Open {
    stats: Stats,
    kind: Option<usize>,
}

impl Open {
    /// Counts what the connection speaks.
    pub(super) fn began(&mut self, spoken: Spoken) {
        let kind = match spoken {
            Spoken::Mptcp => Some(0),
            Spoken::Tcp(reason) => Reason::ALL.iter().position(|known| *known == reason).map(|at| at + 1),
        };
        if let Some(pair) = kind.and_then(|kind| self.stats.0.spoken.get(kind)) {
            pair.total.fetch_add(1, Relaxed);
            pair.open.fetch_add(1, Relaxed);
            self.kind = kind;
        }
    }
}

impl fmt::Debug for Open {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Open").field(&self.kind).finish()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(pair) = self.kind.and_then(|kind| self.stats.0.spoken.get(kind)) {
            pair.open.fetch_sub(1, Relaxed);
        }
        self.stats.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_fall_into_the_bucket_that_holds_them() {
        let stats = Stats::default();
        let get = MethodIndex::from(&Method::GET);
        for micros in [0, 1000, 1001, 59_999_999, 60_000_001] {
            stats.request();
            stats.finished(get, Some(StatusCode::OK), Duration::from_micros(micros));
        }
        let sample = stats.sample();
        let at = |seconds: f64| sample.durations.up_to.iter().find(|(bound, _)| *bound == seconds).unwrap().1;
        assert_eq!((at(0.001), at(0.002), at(10.0), at(60.0)), (2, 3, 3, 4));
        assert_eq!((sample.durations.count, sample.in_flight()), (5, 0));
        assert_eq!(sample.durations.sum, Duration::from_micros(120_002_001));
    }

    #[test]
    fn methods_and_statuses_make_few_series() {
        let stats = Stats::default();
        for (method, status) in [("GET", Some(200)), ("BREW", Some(418)), ("X", Some(418)), ("PUT", None)] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let status = status.map(|status| StatusCode::from_u16(status).unwrap());
            stats.finished(MethodIndex::from(&method), status, Duration::ZERO);
        }
        // A status beyond the five classes is none of them, and nothing to fall over.
        let odd = StatusCode::from_u16(999).unwrap();
        stats.finished(MethodIndex::from(&Method::GET), Some(odd), Duration::ZERO);
        let of = |counts: &RequestCounts| (counts.method, counts.status, counts.total);
        let kinds: Vec<_> = stats.sample().requests.iter().map(of).collect();
        assert_eq!(kinds, [("GET", "2xx", 1), ("PUT", "none", 1), ("other", "4xx", 2)]);
    }

    #[test]
    fn connections_are_counted_by_what_they_speak() {
        let stats = Stats::default();
        let mut mptcp = stats.connection();
        mptcp.began(Spoken::Mptcp);
        let mut tcp = stats.connection();
        tcp.began(Spoken::Tcp(Reason::Client));
        drop(tcp);
        let spoken = stats.sample().spoken;
        let of = |kind| spoken.iter().find(|counts| counts.spoken == kind).map(|c| (c.total, c.open));
        assert_eq!(of(Spoken::Mptcp), Some((1, 1)));
        assert_eq!(of(Spoken::Tcp(Reason::Client)), Some((1, 0)));
        assert_eq!(of(Spoken::Tcp(Reason::Unknown)), Some((0, 0)));
    }
}
