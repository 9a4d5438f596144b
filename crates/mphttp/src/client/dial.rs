//! Making connections ready for HTTP: the socket, the proxy's handshake where there is a proxy, TLS where the URL
//! says so, all within one limit.

use std::{
    fmt,
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{Uri, uri::Scheme};
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::MaybeHttpsStream;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use rustls::{ClientConfig, pki_types::ServerName};
use tokio_rustls::TlsConnector;
use tower_service::Service;

use super::proxy::{Proxies, Route};
use crate::{
    Connector, Error, Phase,
    connector::{ConnectorStream, host_and_port},
    tls::{ClientTls, TlsProblem},
};

/// A connection to the peer or to the proxy, which may itself be one with TLS.
pub(crate) type Hop = MaybeHttpsStream<ConnectorStream>;

/// Makes connections for hyper-util's client.
#[derive(Clone)]
pub(crate) struct Dialer {
    pub(crate) connector: Connector,
    pub(crate) proxies: Arc<Proxies>,
    pub(crate) tls: Arc<LazyTls>,
    /// How long a peer that took the connection may be silent.
    pub(crate) silence: Option<Duration>,
}

/// TLS configurations, made at the first `https://`: the system's roots take milliseconds to read.
pub(crate) struct LazyTls {
    settings: ClientTls,
    alpn: &'static [&'static [u8]],
    for_peer: OnceLock<Arc<ClientConfig>>,
    for_proxy: OnceLock<Arc<ClientConfig>>,
}

impl LazyTls {
    pub(crate) const fn new(settings: ClientTls, alpn: &'static [&'static [u8]]) -> Self {
        Self { settings, alpn, for_peer: OnceLock::new(), for_proxy: OnceLock::new() }
    }

    fn for_peer(&self) -> Result<Arc<ClientConfig>, Error> {
        self.get(&self.for_peer, self.alpn)
    }

    /// CONNECT is spoken in HTTP/1.1.
    fn for_proxy(&self) -> Result<Arc<ClientConfig>, Error> {
        self.get(&self.for_proxy, &[b"http/1.1"])
    }

    fn get(&self, slot: &OnceLock<Arc<ClientConfig>>, alpn: &[&[u8]]) -> Result<Arc<ClientConfig>, Error> {
        if let Some(config) = slot.get() {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.settings.config(alpn)?);
        Ok(Arc::clone(slot.get_or_init(|| config)))
    }
}

impl Dialer {
    pub(crate) async fn dial(self, uri: Uri) -> Result<Dialed, Error> {
        let start = Instant::now();
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        let route = self.proxies.route(&uri)?;
        let target = host_and_port(&uri)?;
        let (host, port) = route.as_ref().map_or(target, Route::address);
        if route.is_some() {
            tracing::debug!(proxy = host, port, target_host = target.0, "through a proxy");
        }
        let stream = self.connector.connect(host, port).await?;
        let handshakes = async {
            let mut stream = match &route {
                Some(route) if route.is_secure() => {
                    handshake(self.tls.for_proxy()?, host, port, stream).await?
                }
                _ => Hop::Http(stream),
            };
            if let Some(route) = &route {
                stream = route.handshake(stream, target).await?;
            }
            let stream = if secure {
                handshake(self.tls.for_peer()?, target.0, target.1, stream).await?
            } else {
                MaybeHttpsStream::Http(stream)
            };
            Ok(Dialed { stream, absolute_form: route.as_ref().is_some_and(Route::forwards) })
        };
        // What connecting has left over; and without a limit for that, there is still one for silence.
        let left = self.connector.timeout().map(|limit| (limit.saturating_sub(start.elapsed()), limit));
        let silence = self.silence.map(|limit| (limit, limit));
        match left.into_iter().chain(silence).min() {
            None => handshakes.await,
            Some((left, after)) => tokio::time::timeout(left, handshakes)
                .await
                .map_err(|_| Error::Timeout { phase: Phase::Handshake, after })?,
        }
    }
}

/// The TLS handshake with `host`, whose name goes into SNI (RFC 6066 section 3) unless it is an address.
async fn handshake<S>(
    config: Arc<ClientConfig>,
    host: &str,
    port: u16,
    stream: S,
) -> Result<MaybeHttpsStream<S>, Error>
where
    S: Read + Write + Unpin + Send,
{
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let name = ServerName::try_from(bare.to_owned()).map_err(|_| Error::BadUrl {
        url: format!("https://{host}:{port}"),
        why: "a certificate can't be made for this host name".into(),
    })?;
    let connecting = TlsConnector::from(config).connect(name, TokioIo::new(stream));
    let stream = connecting.await.map_err(|source| Error::Tls {
        host: format!("{host}:{port}"),
        problem: TlsProblem::of(&source),
        source,
    })?;
    let (_, session) = stream.get_ref();
    let alpn = session.alpn_protocol().map_or("none".into(), String::from_utf8_lossy);
    tracing::debug!(host, port, version = ?session.protocol_version(), %alpn, "TLS is up");
    Ok(MaybeHttpsStream::Https(TokioIo::new(stream)))
}

impl Service<Uri> for Dialer {
    type Response = Dialed;
    type Error = Carried;
    type Future = Pin<Box<dyn Future<Output = Result<Dialed, Carried>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Carried>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dialing = self.clone().dial(uri);
        Box::pin(async move { dialing.await.map_err(|error| Carried(Mutex::new(Some(error)))) })
    }
}

/// Our error on its way through hyper-util, which only lends what it wraps: to be taken out at the other end.
#[derive(Debug)]
pub(crate) struct Carried(Mutex<Option<Error>>);

impl Carried {
    pub(crate) fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Display for Carried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => error.fmt(f),
            None => f.write_str("can't connect"),
        }
    }
}

impl std::error::Error for Carried {}

/// A connection ready for HTTP.
pub(crate) struct Dialed {
    stream: MaybeHttpsStream<Hop>,
    /// Whether requests name their whole URL, as forwarding proxies want it (RFC 9112 section 3.2.2).
    absolute_form: bool,
}

impl Connection for Dialed {
    fn connected(&self) -> Connected {
        self.stream.connected().proxy(self.absolute_form)
    }
}

impl Read for Dialed {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Dialed {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
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
