//! The tokio driver. Dropping its future closes every socket that is under way.

use std::{io, net::SocketAddr, time::Instant};

use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::net::{TcpSocket, TcpStream};

use super::{Connect, Connected, Failures, Unfinished, bare, resolve_error};
use crate::{
    Error,
    plan::{Id, Kind, Plan, Step, Target, Verdict},
};

/// An attempt that ended: the stream, or why there is none.
struct Ended {
    id: Id,
    target: Target,
    kind: Kind,
    result: io::Result<(TcpStream, Unfinished)>,
}

/// A connection that is kept back while a better one is still possible.
struct Held {
    id: Id,
    target: Target,
    kind: Kind,
    stream: TcpStream,
    unfinished: Unfinished,
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
        let deadline = self.deadline(asked);
        let mut plan = self.plan(addresses)?;
        let start = Instant::now();
        let mut running = FuturesUnordered::new();
        // What is under way, for reports; the futures themselves hold the sockets.
        let mut waiting: Vec<(Id, Target, Kind)> = Vec::new();
        let mut held: Option<Held> = None;
        let mut failures = Failures::default();
        loop {
            match plan.next(start.elapsed()) {
                Step::Start { id, target, kind } => {
                    running.push(self.attempt(id, target, kind));
                    waiting.push((id, target, kind));
                }
                Step::Abandon(id) => {
                    // Its future ends by the same limit; what it says then is no news.
                    if let Some(index) = waiting.iter().position(|(other, ..)| *other == id) {
                        let (_, target, kind) = waiting.swap_remove(index);
                        let what = (target, kind, self.protocol);
                        failures.note(&mut plan, id, what, start.elapsed(), io::ErrorKind::TimedOut.into());
                    }
                }
                Step::Take(_) => {
                    if let Some(held) = held.take() {
                        return Ok(self.take(&plan, held, failures, start));
                    }
                }
                Step::Exhausted => return Err(failures.into_error()),
                Step::Wait(until) => {
                    let until = until.and_then(|until| start.checked_add(until));
                    let wake = [until, deadline].into_iter().flatten().min();
                    let sleep = async {
                        match wake {
                            Some(wake) => tokio::time::sleep_until(wake.into()).await,
                            None => std::future::pending().await,
                        }
                    };
                    let ended = tokio::select! {
                        biased;
                        Some(ended) = running.next() => Some(ended),
                        () = sleep => None,
                    };
                    let Some(Ended { id, target, kind, result }) = ended else {
                        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                            for (id, target, kind) in waiting {
                                let what = (target, kind, self.protocol);
                                let error = io::ErrorKind::TimedOut.into();
                                failures.note(&mut plan, id, what, start.elapsed(), error);
                            }
                            return Err(self.timed_out(failures.0));
                        }
                        continue;
                    };
                    let Some(index) = waiting.iter().position(|(other, ..)| *other == id) else { continue };
                    waiting.swap_remove(index);
                    let checked = result.and_then(|(stream, unfinished)| {
                        self.check(target, &stream)?;
                        Ok(Held { id, target, kind, stream, unfinished })
                    });
                    match checked {
                        Err(error) => {
                            let what = (target, kind, self.protocol);
                            failures.note(&mut plan, id, what, start.elapsed(), error);
                        }
                        Ok(made) => match plan.connected(id, start.elapsed()) {
                            Verdict::Take => return Ok(self.take(&plan, made, failures, start)),
                            Verdict::Hold => held = Some(made),
                            Verdict::Close => {}
                        },
                    }
                }
            }
        }
    }

    async fn attempt(&self, id: Id, target: Target, kind: Kind) -> Ended {
        let connecting = async {
            let (socket, unfinished) = self.socket(target, kind)?;
            let socket = TcpSocket::from_std_stream(socket.into());
            Ok((socket.connect(target.address).await?, unfinished))
        };
        let result = match self.timing.attempt {
            None => connecting.await,
            Some(limit) => match tokio::time::timeout(limit, connecting).await {
                Ok(result) => result,
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            },
        };
        Ended { id, target, kind, result }
    }

    fn take(&self, plan: &Plan, made: Held, failures: Failures, start: Instant) -> Connected<TcpStream> {
        let Held { id, target, kind, stream, unfinished } = made;
        let (origin, refused) = self.conclude(plan, (id, target, kind), unfinished, &stream);
        let (remote, failed, elapsed) = (target.address, failures.0, start.elapsed());
        Connected { stream, origin, remote, refused, failed, elapsed }
    }
}
