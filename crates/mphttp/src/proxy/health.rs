//! Active health checks: each upstream is asked for a page, again and again.

use std::time::Duration;

use futures_util::future::join_all;
use http::uri::PathAndQuery;
use tokio::time::timeout;

use super::{
    body::{Progress, Upload},
    outgoing::Outgoing,
    pool::Want,
    reverse::ReverseProxy,
    settings::{HostHeader, Settings},
    upstream::Upstream,
};
use crate::{BoxError, proxy_protocol::Header};

/// What a check may take.
const LIMIT: Duration = Duration::from_secs(5);

impl ReverseProxy {
    /// Checks all upstreams as often as the builder's `health` says, for ever; returns at once if it says nothing. To
    /// be run beside the server, in a task or a `select!`.
    pub async fn check_health(&self) {
        let settings = &self.inner.settings;
        let Some((path, every)) = &settings.health else { return };
        loop {
            join_all(self.inner.upstreams.all.iter().map(|upstream| check(upstream, path, settings))).await;
            tokio::time::sleep(*every).await;
        }
    }
}

async fn check(upstream: &Upstream, path: &PathAndQuery, settings: &Settings) {
    let outcome = match timeout(LIMIT, ask(upstream, path, settings)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} s", LIMIT.as_secs()).into()),
    };
    if !upstream.set_healthy(outcome.is_ok()) {
        return;
    }
    let name = &*upstream.name;
    match outcome {
        Ok(()) => tracing::warn!(upstream = name, "an upstream is well again"),
        Err(error) => tracing::warn!(upstream = name, %error, "an upstream is not well: it gets no requests"),
    }
}

async fn ask(upstream: &Upstream, path: &PathAndQuery, settings: &Settings) -> Result<(), BoxError> {
    // A connection of its own tells more than a kept one, whether there is room for another, and disturbs nobody.
    let header = settings.announce.then_some(Header::Local);
    let lease = upstream.pool.lease(Want::Own(header), false).await?;
    let outgoing = Outgoing::own(path.clone());
    let body = Upload::none(Progress::new());
    let request = outgoing.to(upstream, lease.is_http2(), HostHeader::Upstream, body)?;
    let response = upstream.pool.send(lease, request).await.map_err(|failed| failed.error.into_error())?;
    let status = response.status();
    if status.is_success() || status.is_redirection() {
        return Ok(());
    }
    Err(format!("it answered {status}").into())
}
