//! What the verbs run on that wait for something: one thread, and an ear for signals.

use std::future::Future;

use anyhow::Context;

use crate::{error_reporting::Failure, get::Signals};

/// Runs this to its end. On one thread: a transfer keeps one core busy at most, and threads would only hand it around.
pub fn block_on<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?;
    let outcome = runtime.block_on(work);
    // A resolver that still waits must not keep the program.
    runtime.shutdown_background();
    outcome
}

/// The same, until a signal ends it: that is then the failure, which is told by the exit code alone.
pub fn block_on_until_signal<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    block_on(async {
        // Before there is anything to clean up.
        let signals = Signals::new().context("can't listen for signals")?;
        tokio::select! {
            biased;
            exit = signals.any() => Err(Failure::silent(exit, "ended by a signal").into()),
            outcome = work => outcome,
        }
    })
}
