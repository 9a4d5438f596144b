//! The life of one connection: socket, TLS, HTTP, and the limits that end it.

use std::{net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, Response};
use hyper::service::Service;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use ipnet::IpNet;
use mptcp_socket::{Accepts, Protocol, Watched, WeakWatch};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    select,
    sync::{OwnedSemaphorePermit, watch},
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::TlsAcceptor;

use super::{
    Limits,
    body::RequestBody,
    gauge::{Gauge, Tracked, Verdict},
    handshake,
    open::{Entry, Registry},
    refused::{Refused, Told},
    request::{ForConnection, Peer},
    stats::Stats,
};
use crate::{
    BoxError,
    proxy_protocol::{self, Header},
    report::plain,
};

/// How long a connection that was asked to end may take for its farewell (GOAWAY, close_notify).
const FAREWELL: Duration = Duration::from_secs(5);

/// What the connections of a server share.
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) accepts: Accepts,
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) http: auto::Builder<TokioExecutor>,
    /// Whether connections have `TCP_NODELAY` from their listener.
    pub(super) nodelay: bool,
    pub(super) limits: Limits,
    /// Whose connections begin with a PROXY protocol header.
    pub(super) proxies: Vec<IpNet>,
    pub(super) stats: Stats,
    pub(super) told: Told,
    pub(super) stopping: watch::Receiver<bool>,
}

/// Serves one connection to its end.
pub(super) async fn serve<S, B>(
    stream: TcpStream,
    remote: SocketAddr,
    shared: Arc<Shared<S>>,
    slot: OwnedSemaphorePermit,
) where
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut open = shared.stats.connection();
    let Ok(local) = stream.local_addr() else { return };
    if !shared.nodelay {
        // Best effort: a connection without it works, only with more delay.
        let _ = stream.set_nodelay(true);
    }
    let _ = shared.accepts.set_options(&stream);
    let origin = shared.accepts.origin(&stream);
    let began = origin.began();
    open.began(began);
    let ends = (local, remote);
    let mut stream = Watched::new(stream, origin);
    let remote = plain(remote);
    let why_tcp = began.reason().map(|reason| reason.as_str());
    tracing::debug!(%remote, protocol = began.as_str(), why_tcp, "accepted");
    if shared.accepts.protocol() == Protocol::MptcpOnly
        && let Some(reason) = stream.watch().spoken().reason()
    {
        shared.stats.refused_tcp();
        tracing::info!(%remote, %reason, "closed a connection that speaks TCP: MPTCP is demanded");
        return;
    }
    let watch = stream.watch().downgrade();
    let mut peer = Peer { remote, local: plain(local), tls: shared.acceptor.is_some() };
    let mut stopping = shared.stopping.clone();
    let mut spent = Duration::ZERO;
    if shared.proxies.iter().any(|range| range.contains(&remote.ip())) {
        let begun = Instant::now();
        let header = select! {
            biased;
            _ = stopping.wait_for(|&stop| stop) => return,
            header = timeout(shared.limits.header_read, proxy_protocol::read(&mut stream)) => header,
        };
        match header {
            Ok(Ok(Header::Proxied { source, destination })) => {
                (peer.remote, peer.local) = (plain(source), plain(destination));
            }
            Ok(Ok(Header::Local | Header::Unknown)) => {}
            Ok(Err(error)) => return tracing::info!(%remote, %error, "closed a connection of a proxy"),
            Err(_) => return tracing::info!(%remote, "the PROXY protocol header took too long"),
        }
        spent = begun.elapsed();
    }
    let Some(acceptor) = &shared.acceptor else {
        let entry = Registry::enter(&shared.stats, peer, ends, began, &watch);
        return drive(stream, slot, &shared, watch, (peer, spent), entry).await;
    };
    let entry = Registry::enter(&shared.stats, peer, ends, began, &watch);
    let greeted = select! {
        biased;
        _ = stopping.wait_for(|&stop| stop) => return,
        greeted = timeout(shared.limits.tls_handshake, handshake::accept(acceptor, stream)) => greeted,
    };
    match greeted {
        Ok(Ok(stream)) => {
            let (_, tls) = stream.get_ref();
            tracing::debug!(%remote, version = ?tls.protocol_version(), alpn = %alpn(tls), "TLS is up");
            drive(stream, slot, &shared, watch, (peer, spent), entry).await;
        }
        Ok(Err(error)) => {
            shared.stats.tls_failed();
            tracing::debug!(%remote, %error, "the TLS handshake failed");
        }
        Err(_) => {
            shared.stats.tls_failed();
            tracing::debug!(%remote, "the TLS handshake took too long");
        }
    }
}

async fn drive<IO, S, B>(
    io: IO,
    slot: OwnedSemaphorePermit,
    shared: &Arc<Shared<S>>,
    watch: WeakWatch,
    (peer, spent): (Peer, Duration),
    entry: Option<Entry>,
) where
    IO: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let (head, idle, stuck) = (shared.limits.header_read, shared.limits.idle, shared.limits.write);
    let remote = peer.remote;
    let gauge = Gauge::new(spent);
    let record = entry.as_ref().map(|entry| Arc::clone(entry.record()));
    let io = TokioIo::new(Tracked::new(io, Arc::clone(&gauge), slot, entry));
    let refused_over = watch.clone();
    let service =
        ForConnection { shared: Arc::clone(shared), watch, peer, gauge: Arc::clone(&gauge), record };
    let mut connection = pin!(shared.http.serve_connection_with_upgrades(io, service));
    let mut stopping = shared.stopping.clone();
    let first_look = head.saturating_sub(spent).min(idle).min(stuck.unwrap_or(idle));
    let mut alarm = pin!(sleep_until(Instant::now() + first_look));
    let (mut told, mut leaving) = (false, false);
    loop {
        select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    if let Some(refused) = Refused::of(&*error, peer, || refused_over.upgrade()) {
                        shared.stats.malformed();
                        shared.told.refused(&refused);
                    }
                    tracing::debug!(%remote, error, "the connection ended with an error");
                }
                return;
            }
            _ = stopping.wait_for(|&stop| stop), if !told => {
                told = true;
                connection.as_mut().graceful_shutdown();
            }
            () = alarm.as_mut() => match gauge.judge(head, idle, stuck) {
                Verdict::Fine(next) => alarm.as_mut().reset(next),
                Verdict::SlowHead => {
                    tracing::debug!(%remote, "the head of a request took too long");
                    return;
                }
                Verdict::Stuck => {
                    tracing::info!(%remote, "closed the connection of a client that does not read");
                    return;
                }
                Verdict::Idle if leaving => return,
                Verdict::Idle => {
                    leaving = true;
                    connection.as_mut().graceful_shutdown();
                    alarm.as_mut().reset(Instant::now() + FAREWELL);
                }
            },
        }
    }
}

/// What HTTP was agreed on in the handshake (RFC 7301).
fn alpn(tls: &rustls::ServerConnection) -> std::borrow::Cow<'_, str> {
    tls.alpn_protocol().map_or("none".into(), String::from_utf8_lossy)
}
