//! A forward proxy: programs that know nothing of Multipath TCP get it on the stretch where it matters, by
//! `http_proxy` and `https_proxy` in their environment.
//!
//! It opens tunnels (CONNECT, over HTTP/1.1 and HTTP/2) and passes plain requests on. It is closed to all but clients on
//! the same host until [`Access`] says otherwise, and does not lead other clients to what is local to its own host:
//! [`Targets`].
//!
//! ```
//! use mphttp::{Connector, Protocol, Server, proxy::forward::Forward, server::service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let forward = Forward::new(Connector::new(Protocol::Mptcp));
//! let service = {
//!     let forward = forward.clone();
//!     service_fn(move |request| {
//!         let forward = forward.clone();
//!         async move { Ok::<_, std::convert::Infallible>(forward.respond(request).await) }
//!     })
//! };
//! # let wanted_stop = async {};
//! Server::bind(Protocol::Mptcp, "127.0.0.1:0".parse()?)?.run(service, wanted_stop).await?;
//! forward.stop(std::time::Duration::from_secs(10)).await;
//! # Ok(())
//! # }
//! ```

mod access;
mod answers;
mod headers;
mod plain;
mod targets;
mod tunnel;

use std::{sync::Arc, time::Duration};

use http::{Method, Request, Response, StatusCode};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

pub use access::{Access, Token, range};
pub use ipnet::IpNet;
pub use targets::Targets;
pub use tunnel::Tunnel;

use super::traffic::Stage;
use crate::{
    Body, Connector,
    server::{Peer, RequestBody},
};
use access::Refusal;
use plain::Pools;

/// How long nothing may pass before a tunnel or a request is given up, unless set otherwise.
pub const IDLE: Duration = Duration::from_secs(15 * 60);
/// How many tunnels may be open, unless set otherwise.
pub const TUNNELS: usize = 10_000;
/// The limit for connecting to a target where the [`Connector`] has none: below the patience of most clients.
const CONNECT: Duration = Duration::from_secs(30);

/// A forward proxy. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Forward(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    connector: Connector,
    access: Access,
    targets: Arc<Targets>,
    pools: Pools,
    idle: Duration,
    most: u32,
    slots: Arc<Semaphore>,
    stage: watch::Sender<Stage>,
}

/// How a [`Forward`] is to work.
#[must_use = "a builder does nothing before build() is called"]
#[derive(Clone, Debug)]
pub struct ForwardBuilder {
    connector: Connector,
    access: Access,
    targets: Targets,
    idle: Duration,
    tunnels: usize,
}

impl ForwardBuilder {
    /// Who may use it. Default: clients on the same host.
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// Where it goes. Default: see [`Targets`].
    pub fn targets(mut self, targets: Targets) -> Self {
        self.targets = targets;
        self
    }

    /// How long nothing may pass, in either direction, before a tunnel is closed, or a request given up (504). Default:
    /// [`IDLE`], 15 minutes.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle = limit;
        self
    }

    /// How many tunnels may be open; further ones are refused with 503. Default: [`TUNNELS`].
    pub fn max_tunnels(mut self, tunnels: usize) -> Self {
        self.tunnels = tunnels;
        self
    }

    /// The proxy.
    #[must_use]
    pub fn build(self) -> Forward {
        let Self { connector, access, targets, idle, tunnels } = self;
        let connector =
            if connector.timeout().is_none() { connector.connect_timeout(CONNECT) } else { connector };
        let targets = Arc::new(targets);
        let pools = Pools::new(&connector, &targets);
        let most = u32::try_from(tunnels.clamp(1, Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
        let slots = Arc::new(Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS)));
        let (stage, _) = watch::channel(Stage::Open);
        Forward(Arc::new(Inner { connector, access, targets, pools, idle, most, slots, stage }))
    }
}

impl Forward {
    /// A proxy for clients on the same host, whose connections to targets this connector makes. A connector without a
    /// limit for connecting gets one of 30 s.
    #[must_use]
    pub fn new(connector: Connector) -> Self {
        Self::builder(connector).build()
    }

    /// A proxy of other habits.
    pub fn builder(connector: Connector) -> ForwardBuilder {
        let (access, targets) = (Access::default(), Targets::default());
        ForwardBuilder { connector, access, targets, idle: IDLE, tunnels: TUNNELS }
    }

    /// Answers a request of a [`Server`](crate::Server): opens a tunnel, passes it on, or says why not.
    ///
    /// The response carries in its extensions the [`ConnectionInfo`](crate::ConnectionInfo) of the connection to the
    /// target, and a [`Tunnel`] if it opens one.
    pub async fn respond(&self, mut request: Request<RequestBody>) -> Response<Body> {
        let Some(peer) = request.extensions().get::<Peer>() else {
            return answers::text(StatusCode::INTERNAL_SERVER_ERROR, answers::NO_CLIENT);
        };
        let client = peer.remote.ip().to_canonical();
        match self.0.access.check(client, request.headers()) {
            Ok(()) => {}
            Err(Refusal::Address) => return answers::text(StatusCode::FORBIDDEN, answers::CLOSED),
            Err(Refusal::Token) => {
                return answers::text(StatusCode::PROXY_AUTHENTICATION_REQUIRED, answers::TOKEN);
            }
        }
        let trusted = client.is_loopback();
        if request.method() == Method::CONNECT {
            self.connect(&mut request, trusted).await
        } else {
            self.0.pools.pass_on(request, trusted, self.0.idle, self.0.stage.subscribe()).await
        }
    }

    async fn connect(&self, request: &mut Request<RequestBody>, trusted: bool) -> Response<Body> {
        let inner = &*self.0;
        let (Some(host), Some(port)) = (request.uri().host().map(str::to_owned), request.uri().port_u16())
        else {
            return answers::text(StatusCode::BAD_REQUEST, answers::BAD_CONNECT);
        };
        let Ok(slot) = Arc::clone(&inner.slots).try_acquire_owned() else {
            return answers::text(StatusCode::SERVICE_UNAVAILABLE, answers::FULL);
        };
        let target = match inner.targets.reach(&inner.connector, (&host, port), trusted).await {
            Ok(target) => target,
            Err(error) => {
                tracing::debug!(%error, "no tunnel");
                return answers::failure(&error);
            }
        };
        let upgrade = hyper::upgrade::on(request);
        let tunnel = tunnel::open(upgrade, target, inner.idle, inner.stage.subscribe(), slot);
        let mut response = Response::new(Body::empty());
        response.extensions_mut().insert(tunnel.connection().clone());
        response.extensions_mut().insert(tunnel);
        response
    }

    /// Ends the tunnels: those that are silent for a second at once, all others after `grace`. Ends when they have.
    ///
    /// Beside it the server's own [graceful stop](crate::Server::run) ends requests.
    pub async fn stop(&self, grace: Duration) {
        let inner = &*self.0;
        // With all slots in hand, no tunnel is left, and none can begin.
        let all = || Arc::clone(&inner.slots).acquire_many_owned(inner.most);
        inner.stage.send_replace(Stage::Leaving);
        if timeout(grace, all()).await.is_err() {
            inner.stage.send_replace(Stage::Closed);
            // Each is asked only to drop what it has.
            let _ = all().await;
        }
        inner.slots.close();
    }
}

#[cfg(test)]
mod tests;
