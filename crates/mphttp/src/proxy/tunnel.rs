//! What follows a 101: bytes both ways, until both sides are done.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::copy_bidirectional;

use super::{counted::Counted, upstream::InFlight};

/// Joins both connections, in a task of its own, until both directions have ended or neither moved for `limit`.
pub(super) fn join(client: OnUpgrade, upstream: OnUpgrade, limit: Duration, in_flight: InFlight) {
    tokio::spawn(async move {
        let _in_flight = in_flight;
        let (client, upstream) = match tokio::try_join!(client, upstream) {
            Ok(both) => both,
            Err(error) => return tracing::debug!(%error, "an upgrade came to nothing"),
        };
        let moved = Arc::new(AtomicU64::new(0));
        let mut client = Counted::both(TokioIo::new(client), &moved);
        let mut upstream = Counted::both(TokioIo::new(upstream), &moved);
        let silence = async {
            let mut before = moved.load(Ordering::Relaxed);
            loop {
                tokio::time::sleep(limit).await;
                let now = moved.load(Ordering::Relaxed);
                if now == before {
                    return;
                }
                before = now;
            }
        };
        tokio::select! {
            ended = copy_bidirectional(&mut client, &mut upstream) => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "an upgraded connection broke");
                }
            }
            () = silence => tracing::debug!("an upgraded connection was idle for too long"),
        }
    });
}
