//! How far the server is over links that the first connection does not use (yet).
//!
//! Multipath TCP opens its further paths only after the first data, and shows what they are like only when they carry some.
//! A TCP handshake over each other link says at once whether that one is much farther; it carries no data, and nothing waits
//! for it.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use super::judge::Measured;
use mptcp_socket::{Connect, Protocol};
use tokio::{task::JoinSet, time::sleep_until};

/// How long a handshake may take.
const PATIENCE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Scouts {
    handshakes: JoinSet<(String, Option<Duration>)>,
    /// Interfaces whose handshake is not over, with its beginning.
    out: BTreeMap<String, Instant>,
    /// Round trips of those whose is.
    back: BTreeMap<String, Duration>,
    /// When those who are not back say enough by that.
    overdue: Option<Instant>,
    sent: bool,
}

impl Scouts {
    /// Whether any have been sent.
    pub(super) const fn sent(&self) -> bool {
        self.sent
    }

    /// Begins a handshake over each interface. Those that take longer than `overdue` are far.
    pub(super) fn send(
        &mut self,
        interfaces: impl Iterator<Item = String>,
        remote: SocketAddr,
        overdue: Duration,
    ) {
        self.sent = true;
        let now = Instant::now();
        for name in interfaces {
            let connect = Connect::new(Protocol::Tcp).interface(&name).timeout(PATIENCE);
            self.out.insert(name.clone(), now);
            self.overdue = Some(now + overdue);
            self.handshakes.spawn(async move {
                let connected = connect.to_async(&[remote]).await.ok();
                (name, connected.map(|_| now.elapsed()))
            });
        }
    }

    /// Waits until something new is known.
    pub(super) async fn news(&mut self) {
        if self.out.is_empty() {
            return std::future::pending().await;
        }
        let overdue = self.overdue;
        let late = async {
            match overdue {
                Some(at) => sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(Ok((name, round_trip))) = self.handshakes.join_next() => {
                self.out.remove(&name);
                if let Some(round_trip) = round_trip {
                    self.back.insert(name, round_trip);
                }
            }
            () = late => self.overdue = None,
        }
    }

    /// The round trips by interface, at least: of those who are not back, how long they have been out.
    pub(super) fn round_trips(&self, now: Instant) -> BTreeMap<String, Measured> {
        let out = self.out.iter().map(|(name, &since)| {
            let round_trip = now.saturating_duration_since(since);
            (name.clone(), Measured { rate: None, round_trip, at_least: true })
        });
        let back = self
            .back
            .iter()
            .map(|(name, &round_trip)| (name.clone(), Measured { rate: None, round_trip, at_least: false }));
        back.chain(out).collect()
    }

    /// Calls all back.
    pub(super) fn dismiss(&mut self) {
        self.handshakes.abort_all();
        self.out.clear();
    }
}
