//! What follows a 101: bytes both ways, until both sides are done.

use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::{io::copy_bidirectional, sync::watch};

use super::{
    traffic::{End, Metered, Stage, Traffic},
    upstream::InFlight,
};

/// Joins both connections, in a task of its own, until both directions have ended or neither moved for `limit`.
pub(super) fn join(client: OnUpgrade, upstream: OnUpgrade, limit: Duration, in_flight: InFlight) {
    tokio::spawn(async move {
        let _in_flight = in_flight;
        let (client, upstream) = match tokio::try_join!(client, upstream) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "an upgrade came to nothing"),
        };
        let traffic = Traffic::new();
        let mut client = Metered::new(TokioIo::new(client), End::Client, &traffic);
        let mut upstream = Metered::new(TokioIo::new(upstream), End::Target, &traffic);
        // It ends with the connections, which the server ends.
        let (_open, stage) = watch::channel(Stage::Open);
        tokio::select! {
            ended = copy_bidirectional(&mut client, &mut upstream) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "an upgraded connection broke");
                }
            }
            () = traffic.silence(limit, stage) => tracing::debug!("an upgraded connection was idle for too long"),
        }
    });
}
