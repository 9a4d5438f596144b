//! The tokio driver. Dropping its future closes every socket that is under way.

use std::{
    io,
    net::SocketAddr,
    time::{Duration, Instant},
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::net::{TcpSocket, TcpStream};

use super::{Connect, Connected, Failures, Unfinished, bare, resolve_error};
use crate::{
    Error,
    plan::{Id, Kind, Plan, Step},
};

/// An attempt that ended: the stream, or why there is none.
struct Ended {
    id: Id,
    address: SocketAddr,
    kind: Kind,
    result: io::Result<(TcpStream, Unfinished)>,
}

impl Connect {
    /// Connects to the first of these addresses that answers.
    ///
    /// # Errors
    /// As [`Connect::to`].
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled, as tokio itself.
    pub async fn to_async(&self, addresses: &[SocketAddr]) -> Result<Connected<TcpStream>, Error> {
        self.drive(addresses, Instant::now()).await
    }

    /// Resolves a name (or takes an address) and connects.
    ///
    /// # Errors
    /// As [`Connect::to_host`].
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O and time enabled, as tokio itself.
    pub async fn to_host_async(&self, host: &str, port: u16) -> Result<Connected<TcpStream>, Error> {
        let start = Instant::now();
        let resolving = tokio::net::lookup_host((bare(host), port));
        let addresses = match self.timeout {
            None => resolving.await,
            Some(limit) => {
                let resolved = tokio::time::timeout(limit, resolving).await;
                resolved.map_err(|_| self.timed_out(Vec::new()))?
            }
        };
        let addresses = addresses.map_err(|error| resolve_error(host, error))?;
        self.drive(&addresses.collect::<Vec<_>>(), start).await
    }

    async fn drive(&self, addresses: &[SocketAddr], asked: Instant) -> Result<Connected<TcpStream>, Error> {
        let start = Instant::now();
        let deadline = self.timeout.map(|limit| asked + limit);
        let mut plan = self.plan(addresses)?;
        let mut running = FuturesUnordered::new();
        // What is under way, for the report of a timeout; the futures themselves hold the sockets.
        let mut waiting: Vec<(Id, SocketAddr, Kind)> = Vec::new();
        let mut failures = Failures::default();
        loop {
            match plan.next(start.elapsed()) {
                Step::Start { id, address, kind } => {
                    running.push(self.attempt(id, address, kind, self.timing.attempt));
                    waiting.push((id, address, kind));
                }
                Step::Abandon(id) => {
                    // Its future ends by the same limit; what it says then is no news.
                    if let Some(index) = waiting.iter().position(|(other, ..)| *other == id) {
                        let (_, address, kind) = waiting.swap_remove(index);
                        let error = io::ErrorKind::TimedOut.into();
                        failures.note(&mut plan, id, (address, kind, self.protocol), start.elapsed(), error);
                    }
                }
                Step::Exhausted => return Err(failures.into_error()),
                Step::Wait(until) => {
                    let until = until.map(|until| start + until);
                    let wake = [until, deadline].into_iter().flatten().min();
                    let sleep = async {
                        match wake {
                            Some(wake) => tokio::time::sleep_until(wake.into()).await,
                            None => std::future::pending().await,
                        }
                    };
                    tokio::select! {
                        biased;
                        Some(ended) = running.next() => {
                            let (id, address, kind) = (ended.id, ended.address, ended.kind);
                            let Some(index) = waiting.iter().position(|(other, ..)| *other == id) else {
                                continue;
                            };
                            waiting.swap_remove(index);
                            match ended.result.and_then(|ok| self.finish(&plan, address, kind, ok)) {
                                Ok(mut connected) => {
                                    connected.failed = failures.0;
                                    connected.elapsed = start.elapsed();
                                    return Ok(connected);
                                }
                                Err(error) => {
                                    let what = (address, kind, self.protocol);
                                    failures.note(&mut plan, id, what, start.elapsed(), error);
                                }
                            }
                        }
                        () = sleep => {
                            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                                for (id, address, kind) in waiting {
                                    let what = (address, kind, self.protocol);
                                    let error = io::ErrorKind::TimedOut.into();
                                    failures.note(&mut plan, id, what, start.elapsed(), error);
                                }
                                return Err(self.timed_out(failures.0));
                            }
                        }
                    }
                }
            }
        }
    }

    async fn attempt(&self, id: Id, address: SocketAddr, kind: Kind, limit: Option<Duration>) -> Ended {
        let connecting = async {
            let prepared = self.socket(address, kind)?;
            let unfinished = Unfinished { no_mptcp: prepared.no_mptcp, refused: prepared.refused };
            let socket = TcpSocket::from_std_stream(prepared.socket.into());
            Ok((socket.connect(address).await?, unfinished))
        };
        let result = match limit {
            None => connecting.await,
            Some(limit) => match tokio::time::timeout(limit, connecting).await {
                Ok(result) => result,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        };
        Ended { id, address, kind, result }
    }

    fn finish(
        &self,
        plan: &Plan,
        address: SocketAddr,
        kind: Kind,
        (stream, unfinished): (TcpStream, Unfinished),
    ) -> io::Result<Connected<TcpStream>> {
        let (origin, refused) = self.judge(plan, address, kind, unfinished, &stream)?;
        Ok(Connected { stream, origin, refused, failed: Vec::new(), elapsed: Duration::ZERO })
    }
}
