//! What a download makes of fetches that end: of those that bring all that they were to bring, and of those that fail.

use std::{
    mem,
    time::{Duration, Instant},
};

use tokio::time::sleep;

use super::{
    engine::{Engine, Trial},
    fetch::Failed,
    judge::Judge,
    plan::{LaneId, LeaseId},
    shared::Sink,
};
use crate::{Error, Phase, tls::TlsProblem};

/// How long a lane that has failed may be left alone, at most: while others bring something, and if none does.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
pub(super) const PATIENCE_ALONE: Duration = Duration::from_secs(1);

/// How often a download may start anew.
const RESTARTS: u32 = 3;

/// The least that a server is left alone that asks for it, and the longest time that anything here can be.
pub(super) const LEAST_WAIT: Duration = Duration::from_secs(1);
pub(super) const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

impl Engine {
    pub(super) async fn ended(
        &mut self,
        lease: LeaseId,
        lane: LaneId,
        result: Result<(), Failed>,
    ) -> Result<(), Error> {
        if self.aborts.remove(&lease).is_none() {
            // Aborted while it was ending by itself.
            return Ok(());
        }
        let (left, in_vain) = {
            let mut state = self.shared.state();
            let (left, in_vain) = state
                .plan
                .lease(lease)
                .map_or((0, false), |lease| (lease.left(), lease.left() > 0 && lease.is_fresh()));
            state.release(lease);
            (left, in_vain)
        };
        tracing::debug!(lane, lease, left, "a part has ended");
        let alone = self.aborts.is_empty();
        match result {
            // An answer without anything new: asking again at once would bring the same.
            Ok(()) if in_vain => {
                let source = "the answer has brought nothing".into();
                self.failed(lane, Error::Incomplete { expected: Some(left), got: 0, source }, alone).await
            }
            Ok(()) => Ok(()),
            Err(Failed::Error(error)) => self.failed(lane, error, alone).await,
            Err(Failed::Refused(error)) if !alone || self.url != self.request.url && !self.back_to_origin => {
                // Others still get it; or the original URL, where redirects have led away from it, leads elsewhere now.
                self.back_to_origin |= alone;
                self.failed(lane, error, alone).await
            }
            Err(Failed::Refused(error)) => Err(error),
            Err(Failed::Busy(after, error)) => self.busy(lane, after, error, alone),
            // Nor does it send the whole of what was begun.
            Err(Failed::NoRanges) if alone && !self.striped && self.trial != Trial::Running => {
                let url = self.url.to_string();
                self.restart(Error::Changed { url }).await
            }
            Err(Failed::NoRanges) => {
                self.no_more_stripes();
                Ok(())
            }
            // One server of several may have it in another form: whoever still gets the first one is to go on.
            Err(Failed::Changed) if !alone => {
                self.no_more_stripes();
                Ok(())
            }
            Err(Failed::Changed) => {
                let url = self.url.to_string();
                self.restart(Error::Changed { url }).await
            }
            Err(Failed::Spoilt(range, error)) => {
                self.spoilt += 1;
                if matches!(self.shared.sink, Sink::Reader(_)) || self.spoilt > RESTARTS {
                    return Err(error);
                }
                if let Sink::File(pen) = &self.shared.sink
                    && pen.forget(range).await.is_err()
                {
                    return Err(self.sink_failure().await);
                }
                self.failed(lane, error, alone).await
            }
            Err(Failed::Sink) => Err(self.sink_failure().await),
        }
    }

    /// Only one connection at a time from now on.
    fn no_more_stripes(&mut self) {
        self.ranges = false;
        self.striped = false;
        self.trial = Trial::Over;
        // What others have leased is for the first connection again, whose answer may be the only one that reaches so far.
        let others: Vec<LeaseId> = {
            let state = self.shared.state();
            state.plan.leases().iter().filter(|lease| lease.lane != 0).map(|lease| lease.id).collect()
        };
        for lease in others {
            self.abort(lease);
        }
        let mut state = self.shared.state();
        for (index, lane) in state.lanes.iter_mut().enumerate() {
            lane.retired = index != 0;
        }
    }

    /// A connection has failed. Whatever it was, another may do.
    async fn failed(&mut self, lane: LaneId, error: Error, alone: bool) -> Result<(), Error> {
        self.failures += 1;
        tracing::info!(lane, %error, "a connection of a download has failed");
        if alone && (self.options.retry_for.is_zero() || is_final(&error)) {
            return Err(error);
        }
        if self.version.is_none() {
            return self.restart(error).await;
        }
        // A connection that is kept, and shared (HTTP/2), may be as dead as the one that failed.
        self.renew(lane);
        let mut state = self.shared.state();
        let alive = state.lanes_alive(lane, Instant::now());
        if let Some(lane) = state.lanes.get_mut(lane) {
            lane.failed(Instant::now(), if alive { PATIENCE } else { PATIENCE_ALONE });
            // Beside bound lanes, the routes are of use only while they lead to the interface that they led to.
            lane.retired |= self.striped && lane.interface.is_none();
        }
        drop(state);
        if !matches!(error, Error::GaveUp { .. }) {
            self.latest_failure = Some(error);
        }
        Ok(())
    }

    /// The server asks for a pause.
    fn busy(
        &mut self,
        lane: LaneId,
        after: Option<Duration>,
        error: Error,
        alone: bool,
    ) -> Result<(), Error> {
        let wait = after.unwrap_or(Duration::from_secs(1)).clamp(LEAST_WAIT, LONGEST);
        let allowed = self.options.retry_for;
        let now = Instant::now();
        let mut state = self.shared.state();
        if !alone {
            // Those who are being served are enough.
            self.allowed = self.aborts.len().max(1);
            if let Some(lane) = state.lanes.get_mut(lane) {
                lane.ready_at = now + wait.min(allowed);
            }
            return Ok(());
        }
        drop(state);
        if !self.may_wait(wait) {
            return Err(match error {
                Error::Status { status, url } if after.is_some() => Error::Busy { status, url, after: wait },
                error => error,
            });
        }
        for lane in &mut self.shared.state().lanes {
            lane.ready_at = lane.ready_at.max(now + wait);
        }
        self.busy_until = Some(now + wait);
        self.latest_failure = Some(error);
        Ok(())
    }

    /// Whether the server may have its pause: all of those that it had since a byte came are together no longer than a download
    /// may be without one.
    pub(super) fn may_wait(&mut self, wait: Duration) -> bool {
        let (received, quiet) = {
            let state = self.shared.state();
            (state.plan.received().len(), state.last.elapsed())
        };
        if received != self.waited.1 {
            self.waited = (Duration::ZERO, received);
        }
        let total = self.waited.0.saturating_add(quiet).saturating_add(wait);
        let may = total <= self.options.retry_for.saturating_add(LEAST_WAIT);
        if may {
            self.waited.0 += wait;
        }
        may
    }

    /// Begins again with the first byte, if that can be.
    async fn restart(&mut self, error: Error) -> Result<(), Error> {
        self.restarts += 1;
        if self.restarts > RESTARTS || self.options.retry_for.is_zero() {
            return Err(error);
        }
        // All of them must be over before the first byte of another version comes.
        self.tasks.shutdown().await;
        if let Sink::Reader(assembly) = &self.shared.sink
            && !assembly.restart()
        {
            return Err(error);
        }
        for lease in mem::take(&mut self.aborts).into_keys() {
            self.shared.state().release(lease);
        }
        self.striped = false;
        self.trial = Trial::Before;
        self.back_to_origin = false;
        self.judge = Judge::default();
        self.clients.clear();
        loop {
            let limit = self.options.retry_for;
            let beginning = tokio::time::timeout(limit, self.begin(None)).await;
            let Err(error) = beginning.unwrap_or(Err(Error::Timeout { phase: Phase::Read, after: limit }))
            else {
                return Ok(());
            };
            let passing = match &error {
                Error::Connect { .. }
                | Error::Resolve { .. }
                | Error::Timeout { .. }
                | Error::NoAnswer { .. }
                | Error::Broken { .. } => true,
                Error::Status { status, .. } => {
                    status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429)
                }
                _ => false,
            };
            if !passing || self.shared.state().last.elapsed() > limit {
                return Err(error);
            }
            sleep(PATIENCE_ALONE).await;
            self.tell();
        }
    }

    /// Whether nothing has come for too long.
    pub(super) fn give_up(&mut self, now: Instant) -> Result<(), Error> {
        let last = {
            let mut state = self.shared.state();
            // Nor has it where bytes wait for a reader or a disk, or where this program itself did not run.
            if state.any_held() || now.duration_since(self.looked) > Duration::from_secs(1) {
                state.last = now;
            }
            state.last
        };
        self.looked = now;
        let last = self.busy_until.map_or(last, |until| until.max(last));
        let after = self.options.retry_for;
        // Without retries, the client's own limits are the only ones.
        if after.is_zero() || self.version.is_none() || now.saturating_duration_since(last) <= after {
            return Ok(());
        }
        let source = self.latest_failure.take().unwrap_or(Error::Timeout { phase: Phase::Read, after });
        Err(Error::GaveUp { after, source: Box::new(source) })
    }
}

/// Whether trying again can't help.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Tls { problem, .. } => TlsProblem::is_certificate(problem),
        Error::BadUrl { .. }
        | Error::Invalid { .. }
        | Error::TooManyRedirects { .. }
        | Error::Redirect { .. }
        | Error::HeadersTooLarge { .. }
        | Error::TlsFile { .. }
        | Error::TlsSetup(_)
        | Error::RequestBody(_)
        | Error::Write { .. } => true,
        _ => false,
    }
}
