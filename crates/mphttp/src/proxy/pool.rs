//! The connections to one upstream: HTTP/1.1 ones kept while unused, and of HTTP/2 as few as its limit of streams allows.
//!
//! Not hyper-util's client: that takes the authority of a request (`:authority`) for the place to connect to, and
//! with the client's own `Host` it would make a pool for each name that a client thinks of.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::{Request, Response, Uri};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::{
    client::legacy::connect::Connection,
    rt::{TokioExecutor, TokioIo, TokioTimer},
};

use super::{
    body::Upload,
    traffic::{End, Metered, Traffic},
};
use crate::{
    BoxError, Error, Phase,
    client::dial::{Dialed, Dialer},
    proxy_protocol::Header,
};

/// How many unused HTTP/1.1 connections are kept, and for how long.
const KEPT: usize = 128;
const KEPT_FOR: Duration = Duration::from_secs(60);
/// How many HTTP/2 connections are shared; further requests wait for a stream of these.
const SHARED: usize = 16;
/// How often an HTTP/2 connection is asked whether it lives (PING, RFC 9113 section 6.7), and how long it may take.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_LIMIT: Duration = Duration::from_secs(20);
/// Windows of HTTP/2 (RFC 9113 section 6.9), as the client has them.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// The longest head of an answer over HTTP/2, in bytes as RFC 9113 section 6.5.2 counts them.
const LONGEST_HEAD: u32 = 64 << 10;
/// How many streams an HTTP/2 connection is taken to bear until its server says (RFC 9113 section 6.5.2 wants 100 at least).
const STREAMS: usize = 100;

type Http1 = http1::SendRequest<Upload>;
type Http2 = http2::SendRequest<Upload>;
type Http2Connection = http2::Connection<Dialed, Upload, TokioExecutor>;

/// What a request may go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Any connection, a kept one first.
    Any,
    /// A new one, since a kept one turned out to be dead.
    New,
    /// One of its own, which begins with a PROXY protocol header if there is one, and which nobody else gets.
    Own(Option<Header>),
}

pub(super) struct Pool {
    uri: Uri,
    dialer: Dialer,
    /// As `dialer`, offering HTTP/1.1 alone.
    http1_dialer: Dialer,
    /// HTTP/2 without asking.
    prior_knowledge: bool,
    /// Whether the upstream agreed on HTTP/2 when last asked.
    speaks_http2: AtomicBool,
    kept: Arc<Mutex<Vec<Kept>>>,
    shared: Mutex<Vec<Shared>>,
    /// Held while an HTTP/2 connection is made, so that many requests at once make one.
    making: tokio::sync::Mutex<()>,
}

/// An unused HTTP/1.1 connection.
struct Kept {
    since: Instant,
    sender: Http1,
    came: Arc<Traffic>,
}

/// An HTTP/2 connection that requests share.
#[derive(Clone)]
struct Shared {
    sender: Http2,
    /// How many requests are under way.
    streams: Arc<AtomicUsize>,
    /// It knows how many its server allows.
    connection: Arc<Mutex<Http2Connection>>,
}

impl Shared {
    fn has_room(&self) -> bool {
        self.streams.load(Ordering::Relaxed) < lock(&self.connection).current_max_send_streams()
    }

    fn lease(&self, used: bool) -> Lease {
        self.streams.fetch_add(1, Ordering::Relaxed);
        let held = Held(Arc::new(Stream(Arc::clone(&self.streams))));
        Lease { sender: Sender::Http2(self.sender.clone(), held), used, alone: false }
    }
}

/// A stream's place on its connection, until the last of these is dropped. In the extensions of an answer.
#[derive(Clone)]
pub(super) struct Held(#[expect(dead_code, reason = "dropping it is its use")] Arc<Stream>);

struct Stream(Arc<AtomicUsize>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection to send one request over.
pub(super) struct Lease {
    sender: Sender,
    /// Whether it carried requests before: it may have been closed meanwhile.
    pub(super) used: bool,
    /// Whether it is for this request and no other.
    alone: bool,
}

enum Sender {
    /// With the number of bytes that came.
    Http1(Http1, Arc<Traffic>),
    Http2(Http2, Held),
}

/// Why there is no answer.
pub(super) struct Unanswered {
    pub(super) error: TrySendError<Request<Upload>>,
    /// Whether bytes of an answer came.
    pub(super) begun: bool,
}

impl Lease {
    pub(super) const fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(..))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    pub(super) fn new(uri: Uri, dialer: Dialer, http1_dialer: Dialer, prior_knowledge: bool) -> Self {
        Self {
            uri,
            dialer,
            http1_dialer,
            prior_knowledge,
            speaks_http2: AtomicBool::new(prior_knowledge),
            kept: Arc::default(),
            shared: Mutex::default(),
            making: tokio::sync::Mutex::new(()),
        }
    }

    /// Whether connections can be upgraded: HTTP/2 has no such thing.
    pub(super) const fn upgrades(&self) -> bool {
        !self.prior_knowledge
    }

    /// A connection for one request, within the dialer's limit in all.
    pub(super) async fn lease(&self, want: Want, upgradable: bool) -> Result<Lease, BoxError> {
        if want == Want::Any
            && let Some(lease) = self.at_hand()
        {
            return Ok(lease);
        }
        let getting = self.get(want, upgradable);
        match self.dialer.connector.timeout() {
            None => getting.await,
            // Whoever waits for another's connection waits no longer than for its own.
            Some(limit) => tokio::time::timeout(limit, getting)
                .await
                .unwrap_or_else(|_| Err(Error::Timeout { phase: Phase::Connect, after: limit }.into())),
        }
    }

    async fn get(&self, want: Want, upgradable: bool) -> Result<Lease, BoxError> {
        let alone = matches!(want, Want::Own(_)) || upgradable;
        if alone || !self.speaks_http2.load(Ordering::Relaxed) {
            return self.connect(want, upgradable).await;
        }
        let _making = self.making.lock().await;
        // Another request may have made one meanwhile; a dead one is not there any more.
        match self.with_room() {
            Some(lease) => Ok(lease),
            None => self.connect(want, upgradable).await,
        }
    }

    fn at_hand(&self) -> Option<Lease> {
        if let Some(lease) = self.with_room() {
            return Some(lease);
        }
        let mut kept = lock(&self.kept);
        while let Some(Kept { since, sender, came }) = kept.pop() {
            if sender.is_ready() && since.elapsed() < KEPT_FOR {
                return Some(Lease { sender: Sender::Http1(sender, came), used: true, alone: false });
            }
        }
        None
    }

    /// The fullest HTTP/2 connection that takes one more request, so that others fall idle; any, where there may be no
    /// further one.
    fn with_room(&self) -> Option<Lease> {
        let mut shared = lock(&self.shared);
        shared.retain(|one| !one.sender.is_closed());
        let load = |one: &&Shared| one.streams.load(Ordering::Relaxed);
        let found = shared.iter().filter(|one| one.has_room()).max_by_key(load);
        let found =
            found.or_else(|| (shared.len() >= SHARED).then(|| shared.iter().min_by_key(load)).flatten());
        found.map(|one| one.lease(true))
    }

    async fn connect(&self, want: Want, upgradable: bool) -> Result<Lease, BoxError> {
        let mut dialer = if upgradable { self.http1_dialer.clone() } else { self.dialer.clone() };
        if let Want::Own(Some(header)) = want {
            dialer.connector = dialer.connector.announce(header);
        }
        let stream = dialer.dial(self.uri.clone()).await?;
        let http2 = self.prior_knowledge || stream.connected().is_negotiated_h2();
        if !upgradable {
            self.speaks_http2.store(http2, Ordering::Relaxed);
        }
        if http2 {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(PING_EVERY)
                .keep_alive_timeout(PING_LIMIT)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .max_header_list_size(LONGEST_HEAD)
                .initial_max_send_streams(STREAMS)
                .handshake(stream)
                .await?;
            let connection = Arc::new(Mutex::new(connection));
            let driven = Arc::clone(&connection);
            tokio::spawn(async move {
                if let Err(error) = poll_fn(|context| Pin::new(&mut *lock(&driven)).poll(context)).await {
                    tracing::debug!(%error, "an HTTP/2 connection to an upstream ended");
                }
            });
            let one = Shared { sender, streams: Arc::default(), connection };
            if !matches!(want, Want::Own(_)) {
                let mut shared = lock(&self.shared);
                // Those that were made beside each other, before it was known that one does, end with their requests.
                if shared.len() < SHARED
                    && !shared.iter().any(|one| !one.sender.is_closed() && one.has_room())
                {
                    shared.push(one.clone());
                }
            }
            return Ok(one.lease(false));
        }
        let came = Traffic::new();
        let stream = TokioIo::new(Metered::new(TokioIo::new(stream), End::Target, &came));
        let (sender, connection) = http1::Builder::new().handshake(stream).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to an upstream ended");
            }
        });
        let alone = matches!(want, Want::Own(_));
        Ok(Lease { sender: Sender::Http1(sender, came), used: false, alone })
    }

    /// Sends a request and awaits the head of its answer. The connection is kept when the answer is read.
    pub(super) async fn send(
        &self,
        lease: Lease,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, Unanswered> {
        match lease.sender {
            Sender::Http2(mut sender, held) => match sender.try_send_request(request).await {
                Ok(mut response) => {
                    response.extensions_mut().insert(held);
                    Ok(response)
                }
                Err(error) => Err(Unanswered { error, begun: false }),
            },
            Sender::Http1(mut sender, came) => {
                let before = came.received();
                let response = sender.try_send_request(request).await.map_err(|error| {
                    let begun = came.received() > before;
                    Unanswered { error, begun }
                })?;
                if !lease.alone {
                    let kept = Arc::clone(&self.kept);
                    tokio::spawn(async move {
                        if sender.ready().await.is_ok() {
                            keep(&kept, Kept { since: Instant::now(), sender, came });
                        }
                    });
                }
                Ok(response)
            }
        }
    }
}

/// Puts a connection where the next request finds it; the oldest make room.
fn keep(kept: &Mutex<Vec<Kept>>, unused: Kept) {
    let mut kept = lock(kept);
    kept.retain(|kept| kept.since.elapsed() < KEPT_FOR && !kept.sender.is_closed());
    if kept.len() >= KEPT {
        kept.remove(0);
    }
    kept.push(unused);
}
