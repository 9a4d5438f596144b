//! The connections to one upstream: HTTP/1.1 ones kept while unused, one of HTTP/2 for all where it speaks that.
//!
//! Not hyper-util's client: that takes the authority of a request (`:authority`) for the place to connect to, and
//! with the client's own `Host` it would make a pool for each name that a client thinks of.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use http::{Request, Response, Uri};
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use hyper_util::{
    client::legacy::connect::Connection,
    rt::{TokioExecutor, TokioTimer},
};

use super::body::Upload;
use crate::{BoxError, client::dial::Dialer};

/// How many unused HTTP/1.1 connections are kept, and for how long.
const KEPT: usize = 128;
const KEPT_FOR: Duration = Duration::from_secs(60);
/// How often an HTTP/2 connection is asked whether it lives (PING, RFC 9113 section 6.7), and how long it may take.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_LIMIT: Duration = Duration::from_secs(20);
/// Windows of HTTP/2 (RFC 9113 section 6.9), as the client has them.
const STREAM_WINDOW: u32 = 8 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;

type Http1 = http1::SendRequest<Upload>;
type Http2 = http2::SendRequest<Upload>;

/// What a request may go over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Want {
    /// Any connection, a kept one first.
    Any,
    /// A new one, since a kept one turned out to be dead.
    New,
    /// One of HTTP/1.1, to be upgraded.
    Upgradable,
}

pub(super) struct Pool {
    uri: Uri,
    dialer: Dialer,
    /// As `dialer`, offering HTTP/1.1 alone.
    http1_dialer: Dialer,
    /// HTTP/2 without asking.
    prior_knowledge: bool,
    kept: Arc<Mutex<Vec<(Instant, Http1)>>>,
    shared: Mutex<Option<Http2>>,
    /// Held while the one HTTP/2 connection is made, so that it is one.
    making: tokio::sync::Mutex<()>,
}

/// A connection to send one request over.
pub(super) struct Lease {
    sender: Sender,
    /// Whether it carried requests before: it may have been closed meanwhile.
    pub(super) used: bool,
}

enum Sender {
    Http1(Http1),
    Http2(Http2),
}

impl Lease {
    pub(super) const fn is_http2(&self) -> bool {
        matches!(self.sender, Sender::Http2(_))
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
            kept: Arc::default(),
            shared: Mutex::new(None),
            making: tokio::sync::Mutex::new(()),
        }
    }

    /// Whether connections can be upgraded: HTTP/2 has no such thing.
    pub(super) const fn upgrades(&self) -> bool {
        !self.prior_knowledge
    }

    /// A connection for one request.
    pub(super) async fn lease(&self, want: Want) -> Result<Lease, BoxError> {
        if want == Want::Any
            && let Some(lease) = self.at_hand()
        {
            return Ok(lease);
        }
        if !self.prior_knowledge {
            return self.connect(want).await;
        }
        let _making = self.making.lock().await;
        // Another request may have made it meanwhile; a dead one is not there any more.
        match self.live_http2() {
            Some(lease) => Ok(lease),
            None => self.connect(want).await,
        }
    }

    fn at_hand(&self) -> Option<Lease> {
        if let Some(lease) = self.live_http2() {
            return Some(lease);
        }
        let mut kept = lock(&self.kept);
        while let Some((since, sender)) = kept.pop() {
            if sender.is_ready() && since.elapsed() < KEPT_FOR {
                return Some(Lease { sender: Sender::Http1(sender), used: true });
            }
        }
        None
    }

    fn live_http2(&self) -> Option<Lease> {
        let mut shared = lock(&self.shared);
        if shared.as_ref().is_some_and(Http2::is_closed) {
            *shared = None;
        }
        shared.clone().map(|sender| Lease { sender: Sender::Http2(sender), used: true })
    }

    async fn connect(&self, want: Want) -> Result<Lease, BoxError> {
        let dialer = if want == Want::Upgradable { &self.http1_dialer } else { &self.dialer };
        let stream = dialer.clone().dial(self.uri.clone()).await?;
        if self.prior_knowledge || stream.connected().is_negotiated_h2() {
            let (sender, connection) = http2::Builder::new(TokioExecutor::new())
                .timer(TokioTimer::new())
                .keep_alive_interval(PING_EVERY)
                .keep_alive_timeout(PING_LIMIT)
                .initial_stream_window_size(STREAM_WINDOW)
                .initial_connection_window_size(CONNECTION_WINDOW)
                .handshake(stream)
                .await?;
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    tracing::debug!(%error, "an HTTP/2 connection to an upstream ended");
                }
            });
            *lock(&self.shared) = Some(sender.clone());
            return Ok(Lease { sender: Sender::Http2(sender), used: false });
        }
        let (sender, connection) = http1::Builder::new().handshake(stream).await?;
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection to an upstream ended");
            }
        });
        Ok(Lease { sender: Sender::Http1(sender), used: false })
    }

    /// Sends a request and awaits the head of its answer. The connection is kept when the answer is read.
    pub(super) async fn send(
        &self,
        lease: Lease,
        request: Request<Upload>,
    ) -> Result<Response<Incoming>, TrySendError<Request<Upload>>> {
        match lease.sender {
            Sender::Http2(mut sender) => sender.try_send_request(request).await,
            Sender::Http1(mut sender) => {
                let response = sender.try_send_request(request).await?;
                let kept = Arc::clone(&self.kept);
                tokio::spawn(async move {
                    if sender.ready().await.is_ok() {
                        keep(&kept, sender);
                    }
                });
                Ok(response)
            }
        }
    }
}

/// Puts a connection where the next request finds it; the oldest make room.
fn keep(kept: &Mutex<Vec<(Instant, Http1)>>, sender: Http1) {
    let mut kept = lock(kept);
    kept.retain(|(since, sender)| since.elapsed() < KEPT_FOR && !sender.is_closed());
    if kept.len() >= KEPT {
        kept.remove(0);
    }
    kept.push((Instant::now(), sender));
}
