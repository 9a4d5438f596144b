//! The [`Connector`]: connections of a chosen protocol for whatever takes a `tower` service of [`Uri`]s: hyper-util's
//! legacy client, tonic (`Endpoint::connect_with_connector`), and our own [`Client`](crate::Client).
//!
//! ```no_run
//! use http_body_util::Empty;
//! use hyper::body::Bytes;
//! use hyper_util::{client::legacy::Client, rt::TokioExecutor};
//! use mphttp::{ConnectionInfo, Connector, Protocol};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::builder(TokioExecutor::new())
//!     .build::<_, Empty<Bytes>>(Connector::new(Protocol::Mptcp));
//! let response = client.get("http://example.com/".parse()?).await?;
//! if let Some(connection) = response.extensions().get::<ConnectionInfo>() {
//!     println!("{}", connection.transport());
//! }
//! # Ok(())
//! # }
//! ```

use std::{
    collections::HashMap,
    future::Future,
    io,
    net::{IpAddr, SocketAddr},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::{
    client::legacy::connect::{Connected as HyperConnected, Connection},
    rt::TokioIo,
};
use mptcp_socket::{Connect, Connected, Memory, Protocol, SocketOptions, Transport, Watch, Watched};
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tower_service::Service;

use crate::{Error, proxy_protocol::Header};

/// Connects to the host and port of a [`Uri`] with a chosen protocol, racing over all addresses (RFC 8305).
///
/// It makes plain connections whatever the scheme; `https` only changes the default port. TLS goes on top: see
/// [`Client`](crate::Client), or `hyper_rustls::HttpsConnector`.
#[derive(Clone, Debug)]
pub struct Connector {
    protocol: Protocol,
    timeout: Option<Duration>,
    /// Interfaces that may be used, the next one if the one before gives no answer; none: as the routes say.
    interfaces: Arc<[String]>,
    race: Arc<[String]>,
    local: Option<IpAddr>,
    options: SocketOptions,
    overrides: Overrides,
    memory: Memory,
    announced: Option<Header>,
}

/// Addresses by name, lower case, and by port where one was given; shared, for connectors are cloned a lot.
type Overrides = Arc<HashMap<(String, Option<u16>), Vec<SocketAddr>>>;

impl Connector {
    /// Connects with `protocol`; `TCP_NODELAY` is on, for HTTP never wants to wait for more to send.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        let options = SocketOptions { nodelay: Some(true), ..SocketOptions::default() };
        Self {
            protocol,
            timeout: None,
            interfaces: Arc::default(),
            race: Arc::default(),
            local: None,
            options,
            overrides: Overrides::default(),
            memory: Memory::global(),
            announced: None,
        }
    }

    /// The same with another protocol.
    #[must_use]
    pub fn with_protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// The limit for resolving and connecting; none by default.
    #[must_use]
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Sends through this interface alone.
    #[must_use]
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interfaces = [name.into()].into();
        self
    }

    /// Sends through one of these interfaces: see [`Connect::interfaces`].
    pub(crate) fn among(mut self, names: &[String]) -> Self {
        self.interfaces = names.into();
        self
    }

    /// Tries these interfaces too where the way that the routes name gives no answer: see
    /// [`Connect::race_interfaces`]. Does nothing beside [`Connector::interface`].
    #[must_use]
    pub fn race_interfaces(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.race = names.into_iter().map(Into::into).collect();
        self
    }

    /// Binds this local address.
    #[must_use]
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.local = Some(address);
        self
    }

    /// Options for the sockets, in place of the default `TCP_NODELAY`. Refused ones are logged, never fatal.
    #[must_use]
    pub fn options(mut self, options: SocketOptions) -> Self {
        self.options = options;
        self
    }

    /// The memory of destinations whose way swallows or resets MPTCP, in place of the one that the process shares.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
        self
    }

    /// Uses these addresses for a host name instead of asking the resolver. Port 0 stands for the URL's port.
    #[must_use]
    pub fn resolve(self, host: &str, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.with_override(host, None, addresses)
    }

    /// As [`Connector::resolve`], for one port of the URL only: curl's `--resolve`.
    #[must_use]
    pub fn resolve_port(
        self,
        host: &str,
        port: u16,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        self.with_override(host, Some(port), addresses)
    }

    /// Begins each connection with this PROXY protocol header, version 2: for a proxy, to tell its upstream who the client is.
    ///
    /// A connection then belongs to that client: give each client connection a clone with its own header, and no pool that it
    /// shares with others.
    #[must_use]
    pub fn announce(mut self, header: Header) -> Self {
        self.announced = Some(header);
        self
    }

    fn with_override(
        mut self,
        host: &str,
        port: Option<u16>,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        let key = (bare(host).to_ascii_lowercase(), port);
        Arc::make_mut(&mut self.overrides).entry(key).or_default().extend(addresses);
        self
    }

    /// The protocol that was chosen.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    fn plan(&self) -> Connect {
        let mut connect =
            Connect::new(self.protocol).options(self.options.clone()).memory(self.memory.clone());
        if let Some(limit) = self.timeout {
            connect = connect.timeout(limit);
        }
        if !self.interfaces.is_empty() {
            connect = connect.interfaces(self.interfaces.iter());
        } else if !self.race.is_empty() {
            connect = connect.race_interfaces(self.race.iter());
        }
        if let Some(address) = self.local {
            connect = connect.local_address(address);
        }
        connect
    }

    pub(crate) fn is_bound(&self) -> bool {
        !self.interfaces.is_empty() || self.local.is_some()
    }

    pub(crate) const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    /// Connects to a host name or address.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`], [`Error::Timeout`] and [`Error::NotMptcp`], the latter before a byte
    /// was sent.
    pub async fn connect(&self, host: &str, port: u16) -> Result<ConnectorStream, Error> {
        let start = Instant::now();
        let connected = match self.overridden(host, port) {
            Some(addresses) => self.plan().to_async(&addresses).await,
            None => self.plan().to_host_async(host, port).await,
        };
        self.made((host, port), start, connected).await
    }

    /// The addresses of a host: those that were given for it, else what the resolver says, within the limit.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        if let Some(addresses) = self.overridden(host, port) {
            return Ok(addresses);
        }
        let looked_up = tokio::net::lookup_host((bare(host), port));
        let found = match self.timeout {
            None => looked_up.await,
            Some(after) => tokio::time::timeout(after, looked_up)
                .await
                .map_err(|_| Error::Timeout { phase: crate::Phase::Connect, after })?,
        };
        let failed = |source| Error::Resolve { host: host.to_owned(), source };
        Ok(found.map_err(failed)?.collect())
    }

    /// As [`Connector::connect`], to these addresses, of which the caller says that they are the host's.
    pub(crate) async fn connect_to(
        &self,
        host: &str,
        port: u16,
        addresses: &[SocketAddr],
    ) -> Result<ConnectorStream, Error> {
        let start = Instant::now();
        self.made((host, port), start, self.plan().to_async(addresses).await).await
    }

    async fn made(
        &self,
        (host, port): (&str, u16),
        start: Instant,
        connected: Result<Connected<TcpStream>, mptcp_socket::Error>,
    ) -> Result<ConnectorStream, Error> {
        let connected = connected.map_err(|error| Error::connecting(&format!("{host}:{port}"), error))?;
        for refused in &connected.refused {
            tracing::debug!(%refused, host, port, "a socket option does not apply");
        }
        let remote = connected.stream.peer_addr().ok();
        let mut stream = connected.watched();
        if let Some(header) = &self.announced {
            let broken =
                |source: io::Error| Error::Broken { host: format!("{host}:{port}"), source: source.into() };
            stream.write_all(&header.to_bytes()).await.map_err(broken)?;
        }
        let connection = ConnectionInfo {
            watch: stream.watch(),
            connect_time: start.elapsed(),
            remote,
            activity: Arc::new(Activity::new()),
        };
        let guard = (self.protocol == Protocol::MptcpOnly).then(|| stream.watch());
        Ok(ConnectorStream { stream: TokioIo::new(stream), connection, guard })
    }

    fn overridden(&self, host: &str, port: u16) -> Option<Vec<SocketAddr>> {
        if self.overrides.is_empty() {
            return None;
        }
        let host = bare(host).to_ascii_lowercase();
        let by_port = self.overrides.get(&(host.clone(), Some(port)));
        let mut addresses = by_port.or_else(|| self.overrides.get(&(host, None)))?.clone();
        for address in addresses.iter_mut().filter(|address| address.port() == 0) {
            address.set_port(port);
        }
        Some(addresses)
    }
}

/// A host without the brackets that URLs put around IPv6 addresses.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

/// The host and port that a URI leads to.
pub(crate) fn host_and_port(uri: &Uri) -> Result<(&str, u16), Error> {
    let host = uri.host().filter(|host| !host.is_empty()).ok_or_else(|| Error::BadUrl {
        url: uri.to_string(),
        why: "it names no host; write it like http://example.com/".into(),
    })?;
    let port = uri.port_u16().unwrap_or(if uri.scheme_str() == Some("https") { 443 } else { 80 });
    Ok((host, port))
}

impl Service<Uri> for Connector {
    type Response = ConnectorStream;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<ConnectorStream, Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let (host, port) = host_and_port(&uri)?;
            connector.connect(host, port).await
        })
    }
}

/// What is known of a connection: in the extensions of each response that came over it.
///
/// For a request that went through a proxy, it is the connection to the proxy.
#[derive(Clone, Debug)]
pub struct ConnectionInfo {
    watch: Watch,
    connect_time: Duration,
    remote: Option<SocketAddr>,
    activity: Arc<Activity>,
}

/// What goes on on a connection.
#[derive(Debug)]
struct Activity {
    born: Instant,
    requests: AtomicU64,
    /// When the socket last took bytes, in milliseconds after `born`.
    wrote_at: AtomicU64,
}

impl Activity {
    fn new() -> Self {
        Self { born: Instant::now(), requests: AtomicU64::new(0), wrote_at: AtomicU64::new(0) }
    }

    fn wrote(&self) {
        let now = u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.wrote_at.store(now, Ordering::Relaxed);
    }
}

impl ConnectionInfo {
    /// What the connection speaks, over which paths, now; after it was closed, its last known state.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.watch.transport()
    }

    /// A handle to ask later, from anywhere.
    #[must_use]
    pub fn watch(&self) -> Watch {
        self.watch.clone()
    }

    /// How long resolving and connecting took, without TLS.
    #[must_use]
    pub const fn connect_time(&self) -> Duration {
        self.connect_time
    }

    /// The address that was connected to.
    #[must_use]
    pub const fn remote(&self) -> Option<SocketAddr> {
        self.remote
    }

    /// Counts a request, and says how many went before it.
    pub(crate) fn count_request(&self) -> u64 {
        self.activity.requests.fetch_add(1, Ordering::Relaxed)
    }

    /// Whether both are of one connection.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.activity, &other.activity)
    }

    /// Whether a request was answered over it.
    pub(crate) fn is_used(&self) -> bool {
        self.activity.requests.load(Ordering::Relaxed) > 0
    }

    /// When the socket last took bytes.
    pub(crate) fn last_write(&self) -> Instant {
        self.activity.born + Duration::from_millis(self.activity.wrote_at.load(Ordering::Relaxed))
    }
}

/// A connection of a [`Connector`], for hyper.
///
/// One that was made with [`Protocol::MptcpOnly`] refuses to write once it has fallen back to TCP, so that a kept
/// connection never carries another request as something that was not asked for.
#[derive(Debug)]
pub struct ConnectorStream {
    stream: TokioIo<Watched<TcpStream>>,
    connection: ConnectionInfo,
    guard: Option<Watch>,
}

impl ConnectorStream {
    /// What is known of the connection.
    #[must_use]
    pub const fn info(&self) -> &ConnectionInfo {
        &self.connection
    }

    /// The stream for tokio's own traits.
    #[must_use]
    pub fn into_inner(self) -> Watched<TcpStream> {
        self.stream.into_inner()
    }

    fn still_as_asked(&self) -> io::Result<()> {
        let Some(reason) = self.guard.as_ref().and_then(|watch| watch.spoken().reason()) else {
            return Ok(());
        };
        Err(mptcp_socket::Error::NotMptcp { reason, peer: self.connection.remote }.into())
    }
}

impl Connection for ConnectorStream {
    fn connected(&self) -> HyperConnected {
        HyperConnected::new().extra(self.connection.clone())
    }
}

impl Read for ConnectorStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for ConnectorStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.still_as_asked()?;
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_ready() {
            self.connection.activity.wrote();
        }
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.still_as_asked()?;
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, pieces);
        if written.is_ready() {
            self.connection.activity.wrote();
        }
        written
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
