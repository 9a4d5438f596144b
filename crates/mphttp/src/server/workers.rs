//! Where connections are served: on the caller's runtime, or on threads that have a runtime each and share the listener.
//!
//! With threads of their own, a connection stays on the thread that accepted it, with its timers, its socket's readiness
//! and its requests: nothing is woken across threads, and nothing is stolen. Small requests cost a good part of their time
//! less (docs/benchmarks/serve.md); in return a handler that blocks holds up the other connections of its thread.

use std::{
    future::Future,
    io,
    num::NonZeroUsize,
    pin::{Pin, pin},
    sync::Arc,
    thread,
};

use bytes::Bytes;
use http::{Request, Response};
use hyper::service::Service;
use mptcp_socket::{EagerListener, Listening};
use tokio::{
    runtime::{Builder, Runtime},
    select,
    sync::{mpsc, watch},
    task::JoinSet,
    time::timeout,
};

use super::{
    RequestBody,
    accept::{self, Slots},
    connection::{self, Shared},
};
use crate::{BoxError, Error};

/// How many threads wait for disks at most, over all workers.
const BLOCKING: usize = 512;

/// Serves on the runtime of the caller until `shutdown` completes and the connections have ended.
pub(super) async fn here<S, B>(
    listening: Listening,
    slots: Slots,
    shared: Arc<Shared<S>>,
    stop: watch::Sender<bool>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    work(listening.into_eager()?, &slots, &shared, || _ = stop.send_replace(true), pin!(shutdown)).await
}

/// Serves on threads until `shutdown` completes, or a thread's listener breaks, and the connections have ended. If the
/// future is dropped, they end at once, as soon as each thread has seen it.
pub(super) async fn on_threads<S, B>(
    threads: NonZeroUsize,
    listening: Listening,
    slots: Slots,
    shared: Arc<Shared<S>>,
    stop: watch::Sender<bool>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), Error>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let accepts = listening.accepts();
    let listener = listening.into_std();
    let (alive, abandoned) = watch::channel(());
    let (ended, mut endings) = mpsc::channel(threads.get());
    // All that takes descriptors is made before the first connection is accepted: afterwards there may be none left.
    let mut workers = Vec::with_capacity(threads.get());
    for number in 0..threads.get() {
        let runtime = Builder::new_current_thread()
            .enable_all()
            .thread_name(format!("mphttp-disk-{number}"))
            .max_blocking_threads((BLOCKING / threads).max(16))
            .build()
            .map_err(Error::Accept)?;
        let listener = {
            let _context = runtime.enter();
            Listening::of(listener.try_clone().map_err(Error::Accept)?, accepts.clone()).into_eager()?
        };
        workers.push((Own(Some(runtime)), listener));
    }
    // Now, not when they run: a descriptor that becomes free while they lack some lets one more client in.
    drop(listener);
    for (number, (runtime, listener)) in workers.into_iter().enumerate() {
        let (slots, shared) = (slots.clone(), Arc::clone(&shared));
        let (ended, mut abandoned) = (ended.clone(), abandoned.clone());
        let work = move || {
            let Some(own) = &runtime.0 else { return Ok(()) };
            own.block_on(async {
                let mut stopping = shared.stopping.clone();
                let shutdown = pin!(async { drop(stopping.wait_for(|&stop| stop).await) });
                select! {
                    biased;
                    // Nothing is ever sent: its sender is gone.
                    _ = abandoned.changed() => Ok(()),
                    outcome = work(listener, &slots, &shared, || {}, shutdown) => outcome,
                }
            })
        };
        thread::Builder::new()
            .name(format!("mphttp-{number}"))
            .spawn(move || {
                // Whether anybody still listens is no matter here.
                let _ = ended.blocking_send(work());
            })
            .map_err(Error::Accept)?;
    }
    drop((ended, abandoned));
    let mut outcome = select! {
        biased;
        () = shutdown => Ok(()),
        first = endings.recv() => first.unwrap_or(Ok(())),
    };
    stop.send_replace(true);
    while let Some(next) = endings.recv().await {
        outcome = outcome.and(next);
    }
    drop(alive);
    outcome
}

/// A runtime that is let go without waiting: a read from a disk or network drive that hangs must not keep its thread, and
/// where it can't be handed to a thread it is dropped within another runtime, which may not wait for it.
struct Own(Option<Runtime>);

impl Drop for Own {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Accepts until `shutdown` completes, then calls `stop`, and waits for the connections to end.
async fn work<S, B>(
    listener: EagerListener,
    slots: &Slots,
    shared: &Arc<Shared<S>>,
    stop: impl FnOnce(),
    shutdown: Pin<&mut impl Future<Output = ()>>,
) -> Result<(), Error>
where
    S: Service<Request<RequestBody>, Response = Response<B>> + Send + Sync + 'static,
    S::Future: Send + 'static,
    S::Error: Into<BoxError> + Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    let mut connections = JoinSet::new();
    let accepting = accept::run(&listener, slots, &shared.stats, shutdown, |stream, remote, slot| {
        // Reaped here, where the set grows: it never holds more than were open at once.
        while connections.try_join_next().is_some() {}
        connections.spawn(connection::serve(stream, remote, Arc::clone(shared), slot));
    });
    let outcome: io::Result<()> = accepting.await;
    drop(listener);
    stop();
    let ended = async { while connections.join_next().await.is_some() {} };
    if timeout(shared.limits.grace, ended).await.is_err() {
        tracing::info!(connections = connections.len(), "the grace period is over: closing connections");
        connections.shutdown().await;
    }
    outcome.map_err(Error::Accept)
}
