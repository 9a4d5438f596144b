//! Tunnels: what CONNECT opens (RFC 9110 section 9.3.6), bytes both ways until both ends are done.

use std::{sync::Arc, time::Duration};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{
    io::copy_bidirectional_with_sizes,
    select,
    sync::{OwnedSemaphorePermit, watch},
};

use super::super::traffic::{End, Metered, Stage, Traffic};
use crate::{ConnectionInfo, connector::ConnectorStream};

/// What a tunnel buffers for each direction. Larger ones are hardly faster, and a proxy may have thousands.
const BUFFER: usize = 32 * 1024;

/// A tunnel, seen from outside; in the extensions of the response that opened it.
#[derive(Clone, Debug)]
pub struct Tunnel {
    traffic: Arc<Traffic>,
    connection: ConnectionInfo,
    // Its sender is dropped with the tunnel; nothing is ever sent.
    ended: watch::Receiver<()>,
}

impl Tunnel {
    /// Waits until the tunnel has ended.
    pub async fn ended(&self) {
        let mut ended = self.ended.clone();
        while ended.changed().await.is_ok() {}
    }

    /// Bytes that the client has sent so far.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.traffic.sent()
    }

    /// Bytes that the client was sent so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.traffic.received()
    }

    /// The connection to the target.
    #[must_use]
    pub const fn connection(&self) -> &ConnectionInfo {
        &self.connection
    }
}

/// Opens a tunnel in a task of its own: it begins when the client has the response.
pub(super) fn open(
    upgrade: OnUpgrade,
    target: ConnectorStream,
    idle: Duration,
    stage: watch::Receiver<Stage>,
    slot: OwnedSemaphorePermit,
) -> Tunnel {
    let traffic = Traffic::new();
    let connection = target.info().clone();
    let (end, ended) = watch::channel(());
    let tunnel = Tunnel { traffic: Arc::clone(&traffic), connection, ended };
    tokio::spawn(async move {
        // In this order at the end: who waits for it may count on the slot.
        let _end = end;
        let _slot = slot;
        select! {
            biased;
            () = carry(upgrade, target, &traffic) => {}
            () = traffic.silence(idle, stage) => tracing::debug!("a tunnel ends: silent, or the proxy stops"),
        }
    });
    tunnel
}

async fn carry(upgrade: OnUpgrade, target: ConnectorStream, traffic: &Arc<Traffic>) {
    let client = match upgrade.await {
        Ok(client) => client,
        Err(error) => return tracing::debug!(%error, "the client left before its tunnel was open"),
    };
    let mut client = Metered::new(TokioIo::new(client), End::Client, traffic);
    let mut target = Metered::new(TokioIo::new(target), End::Target, traffic);
    // Each end that is done closes its direction alone: the other may still have much to say.
    if let Err(error) = copy_bidirectional_with_sizes(&mut client, &mut target, BUFFER, BUFFER).await {
        tracing::debug!(%error, "a tunnel broke");
    }
}
