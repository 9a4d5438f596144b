//! A request under way, from its head to the end of its answer: for the connection's time limits, the counters and the
//! request's span.

use std::time::Instant;

use http::{Method, StatusCode};
use tracing::Span;

use super::{
    crowd::Asking,
    gauge::InFlight,
    stats::{MethodIndex, Stats},
    streams,
};

/// Counted as over when it is dropped.
#[derive(Debug)]
pub(super) struct UnderWay {
    in_flight: InFlight,
    stats: Stats,
    begun: Instant,
    method: MethodIndex,
    status: Option<StatusCode>,
    span: Span,
    /// Whether the answer has something for a client that has not taken what came before.
    offers: bool,
    asking: Option<Asking>,
}

impl UnderWay {
    /// A request whose head has arrived.
    pub(super) fn new(in_flight: InFlight, stats: &Stats, method: &Method, span: Span) -> Self {
        let method = MethodIndex::from(method);
        Self {
            in_flight,
            stats: stats.clone(),
            begun: Instant::now(),
            method,
            status: None,
            span,
            offers: false,
            asking: None,
        }
    }

    /// The head of the answer is known.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }

    /// Counts among those of its address.
    pub(super) fn holds(&mut self, asking: Asking) {
        self.asking = Some(asking);
    }

    /// There is something of the answer to be sent, and whether the client makes room for it will be seen.
    pub(super) fn offers(&mut self) {
        if self.in_flight.is_multiplexed() && !self.offers {
            self.offers = true;
            self.in_flight.offers();
            streams::wait(true);
        }
    }

    /// More of the answer is asked for: there is room for it.
    pub(super) fn is_asked(&mut self) {
        if self.offers {
            self.offers = false;
            self.in_flight.offers_no_more();
            streams::wait(false);
        }
    }

    /// See [`InFlight::forever`].
    pub(super) fn forever(&self) {
        self.in_flight.forever();
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.is_asked();
        let took = self.begun.elapsed();
        self.stats.finished(self.method, self.status, took);
        let status = self.status.map(|status| status.as_u16());
        tracing::debug!(parent: &self.span, status, seconds = took.as_secs_f64(), "answered");
        if let Some(status) = status
            && !self.span.is_disabled()
        {
            self.span.record("http.response.status_code", status);
        }
    }
}
