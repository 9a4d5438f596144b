//! The life of one connection: socket, TLS, HTTP, and the limits that end it.

use std::{
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::service::Service;
use hyper_util::rt::TokioIo;
use ipnet::IpNet;
use mptcp_socket::{Accepts, EagerStream, Protocol, Spoken, Watched, WeakWatch};
use socket2::SockRef;
use tokio::{
    io::AsyncWriteExt,
    select,
    sync::watch,
    time::{Instant, sleep_until, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    Limits,
    accept::{Slot, Slots},
    body::RequestBody,
    gauge::{Gauge, Verdict},
    handshake,
    open::Registry,
    parking::{self, Close, Lively, Parkable, SILENCE},
    protocol::{self, Machine, Protocols},
    refused::{Refused, Told},
    request::{ForConnection, Peer},
    stats::{Cut, Stats},
    tracked::Tracked,
};
use crate::{
    BoxError,
    proxy_protocol::{self, Header},
    report::plain,
};

/// How long a connection that was asked to end may take for its farewell (GOAWAY, close_notify).
const FAREWELL: Duration = Duration::from_secs(5);

/// How often a connection of HTTP/2 is looked at at least: whether others can have its room.
const LOOK: Duration = Duration::from_secs(2);

/// What the connections of a server share.
pub(super) struct Shared<S> {
    pub(super) service: S,
    pub(super) accepts: Accepts,
    /// Where all connections arrive, if it is one address.
    pub(super) local: Option<SocketAddr>,
    pub(super) acceptor: Option<TlsAcceptor>,
    pub(super) protocols: Protocols,
    /// Whether connections have `TCP_NODELAY` from their listener.
    pub(super) nodelay: bool,
    pub(super) limits: Limits,
    pub(super) lively: Lively,
    pub(super) slots: Slots,
    /// Whose connections begin with a PROXY protocol header.
    pub(super) proxies: Vec<IpNet>,
    pub(super) stats: Stats,
    pub(super) told: Told,
    pub(super) stopping: watch::Receiver<bool>,
}

/// What a connection is between two requests: all that it keeps while it is parked.
struct Held<IO, S> {
    io: Tracked<IO>,
    service: ForConnection<S>,
    stopping: watch::Receiver<bool>,
    /// Whether it has begun to speak HTTP/1.1, and so goes on with it.
    http1: bool,
}

/// Serves one connection to its end. The future is small, since it is what a parked connection costs: what is needed only
/// while something happens lies in boxes.
pub(super) async fn serve<S, B>(stream: EagerStream, remote: SocketAddr, shared: Arc<Shared<S>>, slot: Slot)
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut open = shared.stats.connection();
    let tls = shared.acceptor.is_some();
    let Some(begun) = begin(stream, remote, &shared, |spoken| open.began(spoken)) else { return };
    let held = if shared.proxies.iter().any(|range| range.contains(&begun.peer.remote.ip())) {
        let introducing = Box::pin(introduce(Box::new(begun), &shared));
        let Some(begun) = introducing.await else { return };
        hold(*begun, shared, slot)
    } else {
        hold(begun, shared, slot)
    };
    if !tls {
        return rounds(held).await;
    }
    if let Some(held) = Box::pin(greet(held)).await {
        rounds(held).await;
    }
}

/// A connection of which is known what it speaks.
struct Begun {
    stream: Watched<EagerStream>,
    watch: WeakWatch,
    peer: Peer,
    /// Its own ends, whoever it is proxied for.
    ends: (SocketAddr, SocketAddr),
    spoken: Spoken,
    gauge: Arc<Gauge>,
}

/// Learns what an accepted connection is; `None` if it is not to be served.
fn begin<S>(
    stream: EagerStream,
    remote: SocketAddr,
    shared: &Shared<S>,
    note: impl FnOnce(Spoken),
) -> Option<Begun> {
    let local = shared.local.map_or_else(|| stream.local_addr().ok(), Some)?;
    if !shared.nodelay {
        // Best effort: a connection without it works, only with more delay.
        let _ = SockRef::from(&stream).set_tcp_nodelay(true);
    }
    let _ = shared.accepts.set_options(&stream);
    let origin = shared.accepts.origin(&stream);
    let spoken = origin.began();
    note(spoken);
    let ends = (local, remote);
    let stream = Watched::new(stream, origin);
    let remote = plain(remote);
    let why_tcp = spoken.reason().map(|reason| reason.as_str());
    tracing::debug!(%remote, protocol = spoken.as_str(), why_tcp, "accepted");
    if shared.accepts.protocol() == Protocol::MptcpOnly
        && let Some(reason) = stream.watch().spoken().reason()
    {
        shared.stats.refused_tcp();
        tracing::info!(%remote, %reason, "closed a connection that speaks TCP: MPTCP is demanded");
        return None;
    }
    let watch = stream.watch().downgrade();
    let peer = Peer { remote, local: plain(local), tls: shared.acceptor.is_some() };
    Some(Begun { stream, watch, peer, ends, spoken, gauge: Gauge::new() })
}

/// Reads the PROXY protocol header of a proxy that is believed; `None` if there is none that can be understood. What it takes
/// of the time for the first head is gone, but for TLS, whose first head has its time from the handshake.
async fn introduce<S>(mut begun: Box<Begun>, shared: &Shared<S>) -> Option<Box<Begun>> {
    let remote = begun.peer.remote;
    let mut stopping = shared.stopping.clone();
    let header = select! {
        biased;
        _ = stopping.wait_for(|&stop| stop) => return None,
        header = timeout(shared.limits.header_read, proxy_protocol::read(&mut begun.stream)) => header,
    };
    match header {
        Ok(Ok(Header::Proxied { source, destination })) => {
            (begun.peer.remote, begun.peer.local) = (plain(source), plain(destination));
        }
        Ok(Ok(Header::Local | Header::Unknown)) => {}
        Ok(Err(error)) => {
            tracing::info!(%remote, %error, "closed a connection of a proxy");
            return None;
        }
        Err(_) => {
            tracing::info!(%remote, "the PROXY protocol header took too long");
            return None;
        }
    }
    Some(begun)
}

/// What a connection keeps.
fn hold<S>(begun: Begun, shared: Arc<Shared<S>>, slot: Slot) -> Box<Held<Watched<EagerStream>, S>> {
    let Begun { stream, watch, peer, ends, spoken, gauge } = begun;
    let entry = Registry::enter(&shared.stats, peer, ends, spoken, &watch);
    let record = entry.as_ref().map(|entry| Arc::clone(entry.record()));
    let stopping = shared.stopping.clone();
    let tally = slot.tally();
    let io = Tracked::new(stream, Arc::clone(&gauge), slot, entry);
    let service = ForConnection { shared, watch, peer, gauge, record, tally };
    Box::new(Held { io, service, stopping, http1: false })
}

/// Shakes hands.
async fn greet<S>(
    held: Box<Held<Watched<EagerStream>, S>>,
) -> Option<Box<Held<Box<TlsStream<Watched<EagerStream>>>, S>>> {
    let Held { io, service, mut stopping, http1 } = *held;
    let shared = Arc::clone(&service.shared);
    let acceptor = shared.acceptor.as_ref()?;
    let remote = service.peer.remote;
    let shaking = io.replace(|stream| async {
        let limit = shared.limits.tls_handshake;
        select! {
            biased;
            () = parking::asked_to_end(&service.gauge, &mut stopping) => None,
            () = shared.slots.room().make(&service.gauge) => {
                shared.stats.cut(Cut::Room);
                None
            }
            greeted = timeout(limit, handshake::accept(acceptor, stream)) => match greeted {
                Ok(Ok(stream)) => Some(Box::new(stream)),
                Ok(Err(error)) => {
                    shared.stats.tls_failed();
                    tracing::debug!(%remote, %error, "the TLS handshake failed");
                    None
                }
                Err(_) => {
                    shared.stats.tls_failed();
                    tracing::debug!(%remote, "the TLS handshake took too long");
                    None
                }
            },
        }
    });
    let io = shaking.await?;
    let (_, tls) = io.get_ref().get_ref();
    tracing::debug!(%remote, version = ?tls.protocol_version(), alpn = %alpn(tls), "TLS is up");
    // The time of the first head begins now.
    io.gauge().restart();
    Some(Box::new(Held { io, service, stopping, http1 }))
}

/// Parks a connection and serves it, in turns.
async fn rounds<IO, S, B>(mut held: Box<Held<IO, S>>)
where
    IO: Parkable,
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    loop {
        let Held { io, service, stopping, .. } = &mut *held;
        let limits = &service.shared.limits;
        match parking::park(io, &service.gauge, limits, stopping, service.shared.slots.room()).await {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => return,
            Ok(Err(error)) => return broken(&service.peer, &error),
            Err(close) => return Box::pin(end(held, close)).await,
        }
        match Box::pin(drive(held)).await {
            Some(again) => held = again,
            None => return,
        }
    }
}

fn broken(peer: &Peer, error: &io::Error) {
    tracing::debug!(remote = %peer.remote, %error, "the connection ended with an error");
}

/// Closes a connection that has nothing under way.
async fn end<IO: Parkable, S>(mut held: Box<Held<IO, S>>, close: Close) {
    let (remote, stats) = (held.service.peer.remote, &held.service.shared.stats);
    match close {
        Close::Room => {
            tracing::debug!(%remote, "closed an idle connection: others want its room");
            stats.cut(Cut::Room);
        }
        Close::AtOnce => {
            tracing::debug!(%remote, "the head of a request took too long");
            stats.cut(Cut::Head);
            return;
        }
        Close::Farewell => {}
    }
    // What comes of it is no matter: the client has nothing to expect.
    _ = timeout(FAREWELL, held.io.shutdown()).await;
}

/// Serves a connection until it ends (`None`), or is silent and can be parked.
async fn drive<IO, S, B>(mut held: Box<Held<IO, S>>) -> Option<Box<Held<IO, S>>>
where
    IO: Parkable,
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let shared = Arc::clone(&held.service.shared);
    let mut http2 = false;
    if !held.http1 {
        let Held { io, service, stopping, .. } = &mut *held;
        let room = shared.slots.room();
        let told =
            parking::within(&service.gauge, &shared.limits, stopping, room, protocol::is_http2(io)).await;
        match told {
            Ok(Ok(preface)) => http2 = preface,
            Ok(Err(error)) => {
                broken(&service.peer, &error);
                return None;
            }
            Err(close) => {
                end(held, close).await;
                return None;
            }
        }
    }
    let Held { io, service, mut stopping, .. } = *held;
    let about = About {
        gauge: Arc::clone(&service.gauge),
        peer: service.peer,
        watch: service.watch.clone(),
        parks: !http2,
    };
    let io = TokioIo::new(io);
    if http2 {
        let machine = shared.protocols.http2.serve_connection(io, service);
        run(pin!(machine), &about, &shared, &mut stopping).await;
        return None;
    }
    let mut machine = shared.protocols.http1.serve_connection(io, service).with_upgrades();
    if !run(Pin::new(&mut machine), &about, &shared, &mut stopping).await {
        return None;
    }
    let parts = machine.into_parts()?;
    let (mut io, service) = (parts.io.into_inner(), parts.service);
    if !parts.read_buf.is_empty() {
        // The next head had begun to arrive with the end of the last body.
        about.gauge.head_begun();
        io.unread(parts.read_buf);
    }
    Some(Box::new(Held { io, service, stopping, http1: true }))
}

/// What is to be known of a connection while its state machine has the rest.
struct About {
    gauge: Arc<Gauge>,
    peer: Peer,
    watch: WeakWatch,
    parks: bool,
}

/// Runs a state machine until the connection has ended (`false`), or is silent and can be parked.
async fn run<M: Machine, S>(
    mut machine: Pin<&mut M>,
    about: &About,
    shared: &Shared<S>,
    stopping: &mut watch::Receiver<bool>,
) -> bool {
    let (head, idle, stuck) = (shared.limits.header_read, shared.limits.idle, shared.limits.write);
    let About { gauge, peer, watch, parks } = about;
    let remote = peer.remote;
    let _lively = shared.lively.one();
    let patience = || if *parks { shared.lively.patience() } else { LOOK };
    let mut alarm = pin!(sleep_until(Instant::now() + head.min(idle).min(stuck).min(patience())));
    let (mut told, mut leaving) = (false, false);
    // Whether it could make room for others, as of the last look.
    let mut could_go = false;
    let mut room = pin!(shared.slots.room().make(gauge));
    let mut asked = pin!(parking::asked_to_end(gauge, stopping));
    loop {
        select! {
            // First the machine: asked to leave before it has seen what has arrived, it would close.
            biased;
            result = machine.as_mut() => {
                if let Err(error) = result {
                    if let Some(refused) = Refused::of(&error, *peer, || watch.upgrade()) {
                        shared.stats.malformed();
                        shared.told.refused(&refused);
                    }
                    tracing::debug!(%remote, error = &error as &dyn std::error::Error, "the connection ended with an error");
                }
                return false;
            }
            () = asked.as_mut(), if !told => {
                told = true;
                machine.as_mut().leave();
            }
            () = room.as_mut(), if could_go && !leaving => {
                tracing::debug!(%remote, "closed a connection: others want its room");
                shared.stats.cut(Cut::Room);
                if *parks || gauge.is_busy() {
                    return false;
                }
                // HTTP/2 says farewell.
                (told, leaving) = (true, true);
                machine.as_mut().leave();
                alarm.as_mut().reset(Instant::now() + FAREWELL);
            }
            () = alarm.as_mut() => match gauge.judge(head, idle, stuck) {
                Verdict::Fine(next) if *parks && !told => {
                    could_go = gauge.could_go();
                    let (now, patience) = (Instant::now(), patience());
                    let silent = gauge.silent_since();
                    if silent.is_some_and(|since| since + patience <= now) {
                        return true;
                    }
                    // Who is busy is not looked at often: thousands may be.
                    alarm.as_mut().reset(next.min(silent.map_or(now + SILENCE, |since| since + patience)));
                }
                Verdict::Fine(next) => {
                    could_go = gauge.could_go();
                    alarm.as_mut().reset(next.min(Instant::now() + LOOK));
                }
                Verdict::SlowHead => {
                    tracing::debug!(%remote, "the head of a request took too long");
                    shared.stats.cut(Cut::Head);
                    return false;
                }
                Verdict::Stuck => {
                    tracing::info!(%remote, "closed the connection of a client that does not read");
                    shared.stats.cut(Cut::Write);
                    return false;
                }
                Verdict::Idle if leaving => return false,
                Verdict::Idle => {
                    leaving = true;
                    // No more parking: the state machine says farewell.
                    told = true;
                    machine.as_mut().leave();
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
