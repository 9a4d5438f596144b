//! A server whose socket protocol is a choice: HTTP/1.1 and HTTP/2, with or without TLS, over TCP or Multipath TCP.
//!
//! The caller owns the listener and the shutdown:
//!
//! ```
//! use mphttp::{Body, Server, Watch, server::{RequestBody, service_fn}};
//! use mptcp_socket::{Listen, Protocol};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), mphttp::Error> {
//! let listening = Listen::new(Protocol::from_env()?).bind("127.0.0.1:0".parse().expect("an address"))?;
//! let service = service_fn(|request: http::Request<RequestBody>| async move {
//!     let how = request.extensions().get::<Watch>().map(|watch| watch.transport().to_string());
//!     Ok::<_, std::convert::Infallible>(http::Response::new(Body::from(how.unwrap_or_default())))
//! });
//! # let wanted_stop = async {};
//! Server::new(listening).run(service, wanted_stop).await
//! # }
//! ```
//!
//! Every request carries in its extensions a [`Watch`](mptcp_socket::Watch), which tells live what its connection
//! speaks, and a [`Peer`]. A tower service, such as an axum router, runs through
//! [`TowerToHyperService`](hyper_util::service::TowerToHyperService).

mod accept;
mod admit;
mod body;
pub mod check;
mod connection;
mod crowd;
mod gauge;
mod handshake;
mod open;
mod parking;
mod protocol;
#[cfg(test)]
mod proxied_tests;
mod refused;
mod request;
mod stats;
mod streams;
mod tracked;
mod under_way;
mod workers;

use std::{future::Future, io, net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use hyper::service::Service;
use ipnet::IpNet;
use mptcp_socket::{Listen, Listening, Protocol};
use socket2::SockRef;
use tokio::sync::{Semaphore, watch};

pub(crate) use admit::is_coded;
pub use body::{BodySilent, BodyTooLarge, RequestBody};
pub use hyper::service::service_fn;
pub use open::{OpenConnection, PathCounts, Role};
pub use refused::Refused;
pub use request::Peer;
pub use stats::{Counts, Cut, Durations, RequestCounts, Sample, SpokenCounts, Stats};

use crate::{BoxError, Error, tls::ServerTls};
use accept::Slots;
use connection::Shared;
use crowd::Origins;
use parking::Lively;
use protocol::Protocols;
use refused::Told;

/// How much the kernel keeps of what a client has no room for, in bytes, for each connection: else it may be 4 MB, and a few hundred
/// clients that don't read take all that the host has for TCP (`tcp_mem` of tcp(7)). Twice what is read of a file at a time.
#[cfg(target_os = "linux")]
const UNSENT: u32 = 256 * 1024;

/// Linux hands this on to what is accepted, over TCP and MPTCP. Best effort: without it a connection works.
#[cfg(target_os = "linux")]
fn limit_unsent(listening: &Listening) {
    let _ = SockRef::from(listening).set_tcp_notsent_lowat(UNSENT);
}

#[cfg(not(target_os = "linux"))]
fn limit_unsent(_: &Listening) {}

/// A server, ready to [run](Server::run). Its limits have defaults fit for the open internet.
#[derive(Debug)]
pub struct Server {
    listening: Listening,
    protocol: Protocol,
    limits: Limits,
    tls: Option<ServerTls>,
    proxies: Vec<IpNet>,
    stats: Stats,
    told: Told,
    threads: Option<NonZeroUsize>,
}

#[derive(Clone, Debug)]
struct Limits {
    header_read: Duration,
    idle: Duration,
    write: Duration,
    body_silence: Option<Duration>,
    tls_handshake: Duration,
    grace: Duration,
    connections: usize,
    per_address: Option<usize>,
    body: Option<u64>,
    header_bytes: usize,
    streams: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header_read: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            write: Duration::from_secs(300),
            body_silence: None,
            tls_handshake: Duration::from_secs(10),
            grace: Duration::from_secs(10),
            connections: 10_000,
            per_address: None,
            body: None,
            header_bytes: 128 * 1024,
            streams: 128,
        }
    }
}

impl Server {
    /// Serves connections of this listener.
    #[must_use]
    pub fn new(listening: Listening) -> Self {
        let protocol = listening.protocol();
        let stats = Stats::default();
        let (limits, told) = (Limits::default(), Told::default());
        let proxies = Vec::new();
        Self { listening, protocol, limits, tls: None, proxies, stats, told, threads: None }
    }

    /// Serves connections of any listener, such as one that systemd passed; what it speaks is read from it.
    #[must_use]
    pub fn from_std(listener: std::net::TcpListener) -> Self {
        Self::new(Listening::from_std(listener))
    }

    /// Listens on `address` with `protocol` and serves what arrives.
    ///
    /// # Errors
    /// As for [`Listen::bind`].
    pub fn bind(protocol: Protocol, address: SocketAddr) -> Result<Self, Error> {
        Ok(Self::new(Listen::new(protocol).bind(address)?))
    }

    /// Speaks TLS. Plain HTTP that arrives all the same is answered with 400 and a hint.
    #[must_use]
    pub fn tls(mut self, tls: ServerTls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Holds connections to another choice than the listener was made with. With [`Protocol::MptcpOnly`],
    /// connections that speak TCP are closed right after they were accepted, and counted.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Expects connections from these addresses to begin with a [PROXY protocol](crate::proxy_protocol) header, version 1 or 2,
    /// before TLS; [`Peer`] then names the client that it names. Those that begin otherwise are closed. Nobody else is
    /// believed: whoever may send that header can pass for anybody. Default: no addresses.
    ///
    /// The header and the head of the first request have [the time of a head](Server::header_read_timeout) together.
    #[must_use]
    pub fn proxy_protocol(mut self, proxies: impl IntoIterator<Item = IpNet>) -> Self {
        self.proxies.extend(proxies);
        self
    }

    /// How long a client may take nothing of what is to be sent to it, for lack of reading or of a working way; then its
    /// connection is closed. Of HTTP/2 also one that gives no answer room to go on (RFC 9113 section 5.2), while one waits for
    /// it. Where others go on, the stream of an answer that waits is reset alone, a quarter of the limit later. What has to find
    /// room is 16 KiB.
    /// Default: 300 s.
    #[must_use]
    pub fn write_timeout(mut self, limit: Duration) -> Self {
        self.limits.write = limit;
        self
    }

    /// How long a client may send nothing of a request's body that its handler waits for: then the handler gets an error
    /// ([`BodySilent`]), and the client 408. Default: no limit, since only handlers know what may be silent.
    #[must_use]
    pub fn body_timeout(mut self, limit: Duration) -> Self {
        self.limits.body_silence = Some(limit);
        self
    }

    /// How long a client may take to send the head of a request, from its first byte, or, on a new connection, from
    /// the handshake. Then the connection is closed. Default: 30 s.
    #[must_use]
    pub fn header_read_timeout(mut self, limit: Duration) -> Self {
        self.limits.header_read = limit;
        self
    }

    /// How long a kept-alive connection may be idle between requests. Default: 75 s.
    #[must_use]
    pub fn keep_alive_timeout(mut self, limit: Duration) -> Self {
        self.limits.idle = limit;
        self
    }

    /// How long the TLS handshake may take. Default: 10 s.
    #[must_use]
    pub fn tls_handshake_timeout(mut self, limit: Duration) -> Self {
        self.limits.tls_handshake = limit;
        self
    }

    /// How long requests in flight may take to finish after the shutdown began. Default: 10 s.
    #[must_use]
    pub fn grace(mut self, limit: Duration) -> Self {
        self.limits.grace = limit;
        self
    }

    /// How many connections may be open at once, upgraded ones included. Default: 10,000. The limit of file descriptors
    /// (`ulimit -n`) may be lower; it is met in the same way.
    ///
    /// At the limit, for each client that waits in the listener's backlog, the connection is closed that has waited longest
    /// without anything to answer, for a second at least: idle ones, handshakes and heads that don't come along, and clients
    /// that have neither sent nor taken anything for 10 s. While there is none, clients wait in the backlog; none is turned
    /// away.
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.limits.connections = connections.clamp(1, Semaphore::MAX_PERMITS);
        self
    }

    /// How many connections one address may have open at once, of IPv6 one network of 64 bits; further ones are closed as soon
    /// as they are accepted. So many requests of HTTP/2 may one address have under way as well, over all of its connections;
    /// further ones are answered with 429. Loopback and those whose [PROXY protocol](Server::proxy_protocol) headers are believed are not
    /// limited. Default: a quarter of [all](Server::max_connections), and 16 at least.
    #[must_use]
    pub fn max_connections_per_address(mut self, connections: usize) -> Self {
        self.limits.per_address = Some(connections.max(1));
        self
    }

    /// How long the body of a request may be, announced or not: beyond that the client gets 413 and the handler an
    /// error ([`BodyTooLarge`]). Default: no limit, since bodies are streamed and only their handler knows.
    #[must_use]
    pub fn max_body(mut self, bytes: u64) -> Self {
        self.limits.body = Some(bytes);
        self
    }

    /// How long the head of a request may be: beyond that the client gets 431. At least 8 KiB; default: 128 KiB.
    /// HTTP/1.1 connections also buffer no more than this in either direction.
    #[must_use]
    pub fn max_header_bytes(mut self, bytes: usize) -> Self {
        self.limits.header_bytes = bytes.clamp(8192, 16 << 20);
        self
    }

    /// How many requests of one HTTP/2 connection may be in flight (SETTINGS_MAX_CONCURRENT_STREAMS). Default: 128.
    #[must_use]
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.limits.streams = streams;
        self
    }

    /// Serves on this many threads, which have a runtime each and share the listener: a connection stays on the thread that
    /// accepted it. Handlers that never block are served faster so; one that does holds up the other connections of its
    /// thread. Work of handlers that goes to `tokio::spawn` or `spawn_blocking` stays with the thread too, and ends with the
    /// server. Default: none, everything runs on the runtime that [`run`](Server::run) is called on.
    #[must_use]
    pub fn threads(mut self, threads: NonZeroUsize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// The listener's address, with the port that the kernel chose.
    ///
    /// # Errors
    /// What `getsockname(2)` says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listening.local_addr()
    }

    /// The listener: what it was made with, and why it speaks TCP if it does.
    #[must_use]
    pub fn listening(&self) -> &Listening {
        &self.listening
    }

    /// Keeps account of each connection, for [`Stats::sample`]: bytes by path, fallbacks, and which connections are open.
    /// Off by default: a connection then costs a lock when it begins, and a few system calls when it ends; a request costs
    /// nothing that could be measured.
    #[must_use]
    pub fn track_connections(self, on: bool) -> Self {
        self.stats.registry().switch_on(on);
        self
    }

    /// Tells of requests that no handler will see, since they are no HTTP/1.1 or have too long a head: for access logs. The
    /// client has its answer by then, or is about to get it; HTTP/2 refuses streams by itself, of which nothing is told here.
    #[must_use]
    pub fn on_refused(mut self, tell: impl Fn(&Refused) + Send + Sync + 'static) -> Self {
        self.told = Told::to(tell);
        self
    }

    /// Counters that can be kept and read while the server runs.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats.clone()
    }

    /// Serves until `shutdown` completes; then refuses new connections, lets requests in flight finish within the
    /// [grace period](Server::grace), and closes what is left. Dropping the future closes everything at once.
    ///
    /// A service that fails or panics costs its request (500), never the connection or the server.
    ///
    /// # Errors
    /// [`Error::Socket`] if the listener can't be registered with the runtime, [`Error::Accept`] if it breaks.
    /// Trouble with single clients, or a lack of file descriptors, is neither.
    pub async fn run<S, B>(self, service: S, shutdown: impl Future<Output = ()>) -> Result<(), Error>
    where
        S: Service<Request<RequestBody>, Response = Response<B>> + Send + Sync + 'static,
        S::Future: Send + 'static,
        S::Error: Into<BoxError> + Send,
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let Self { listening, protocol, limits, tls, proxies, stats, told, threads } = self;
        let accepts = listening.accepts().with_protocol(protocol);
        let (stop, stopping) = watch::channel(false);
        let per_address = limits.per_address.unwrap_or((limits.connections / 4).max(16));
        let slots = Slots::new(limits.connections, Origins::new(per_address, proxies.clone()));
        limit_unsent(&listening);
        let shared = Arc::new(Shared {
            service,
            accepts,
            local: listening.local_addr().ok().filter(|local| !local.ip().is_unspecified()),
            acceptor: tls.map(|tls| tokio_rustls::TlsAcceptor::from(tls.config())),
            protocols: Protocols::new(&limits),
            // Linux hands this on to what is accepted, over TCP and MPTCP; others need not.
            nodelay: cfg!(target_os = "linux") && SockRef::from(&listening).set_tcp_nodelay(true).is_ok(),
            proxies,
            lively: Lively::default(),
            slots: slots.clone(),
            limits,
            stats,
            told,
            stopping,
        });
        match threads {
            None => workers::here(listening, slots, shared, stop, shutdown).await,
            Some(threads) => workers::on_threads(threads, listening, slots, shared, stop, shutdown).await,
        }
    }
}
