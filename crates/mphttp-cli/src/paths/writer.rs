//! Lines for stdout and stderr, written by threads: a reader that stops reading must not keep anybody from being ended.

use std::{
    sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, channel, sync_channel},
    thread,
    time::Duration,
};

use anyhow::Context;

use super::print;
use crate::error_reporting::say;

/// Tells people something in passing, by a thread of its own for the same reason.
pub(super) fn say_apart(line: String) {
    // Without a thread it is not told: to keep the paths is what counts.
    let _ = thread::Builder::new().name("notes".into()).spawn(move || say(line));
}

/// Lines that wait for their reader; more are not kept.
const QUEUE: usize = 1024;
/// How long the last lines may take in the end.
const GRACE: Duration = Duration::from_secs(1);

/// Writes lines.
pub(super) struct Writer {
    lines: SyncSender<String>,
    /// Why writing failed. Closed without an error when all is written.
    failed: Receiver<anyhow::Error>,
}

impl Writer {
    pub(super) fn start() -> anyhow::Result<Self> {
        let (lines, queue) = sync_channel::<String>(QUEUE);
        let (tell, failed) = channel();
        let write = move || {
            if let Err(error) = queue.into_iter().try_for_each(|line| print(&line)) {
                // Without anybody there is nobody to tell.
                let _ = tell.send(error);
            }
        };
        thread::Builder::new().name("output".into()).spawn(write).context("can't start a thread")?;
        Ok(Self { lines, failed })
    }

    /// Writes a line, sooner or later; an error is that of an earlier one.
    pub(super) fn print(&self, line: String) -> anyhow::Result<()> {
        match self.lines.try_send(line) {
            Ok(()) | Err(TrySendError::Full(_)) => Ok(()),
            Err(TrySendError::Disconnected(_)) => Err(self.failed.recv().context("the output has ended")?),
        }
    }

    /// Writes what is left, if somebody reads it.
    pub(super) fn finish(self) -> anyhow::Result<()> {
        drop(self.lines);
        match self.failed.recv_timeout(GRACE) {
            Ok(error) => Err(error),
            Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => Ok(()),
        }
    }
}
