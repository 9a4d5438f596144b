//! The beginning of a download, and of each new one where it has to start anew: one request, whose answer says what the body
//! is and what can be done to get it.

use std::{
    sync::{Arc, PoisonError},
    time::{Duration, Instant},
};

use http::{
    HeaderValue, StatusCode,
    header::{ACCEPT_ENCODING, ACCEPT_RANGES, IF_MODIFIED_SINCE, IF_NONE_MATCH},
};
use tokio::time::sleep;

use super::{
    answer::{self, Sameness, Version},
    checksum::{Checksum, Tally},
    engine::Engine,
    failures::{LEAST_WAIT, LONGEST},
    fetch,
    outcome::Head,
    part::State,
    plan::Plan,
    ranges::Ranges,
    shared::Sink,
};
use crate::{Error, Response, client::Request, report::without_credentials};

impl Engine {
    /// The request that everything begins with.
    pub(super) fn template(&self) -> Request {
        let mut headers = self.request.headers.clone();
        // Parts count bytes of what is sent, and a file is wanted as it is.
        headers.entry(ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        Request {
            method: self.request.method.clone(),
            url: self.request.url.clone(),
            headers,
            body: crate::Body::empty(),
            timeout: None,
            protocol: self.request.protocol,
            for_download: true,
        }
    }

    /// Sends the first request and takes its answer for the body's beginning, or for the next part of what `state` tells of.
    pub(super) async fn begin(&mut self, mut state: Option<State>) -> Result<(), Error> {
        loop {
            let mut request = self.template();
            let missing = state.as_ref().map(|state| state.received().missing(0..state.total));
            let missing = missing.and_then(|missing| missing.iter().next());
            if let (Some(state), Some(missing)) = (&state, &missing) {
                fetch::demand(&mut request.headers, missing, true, &state.version);
            } else if state.is_some() {
                // All of it is there, but it was never found right and given its name: its last byte is asked for again, for
                // what the answer says of the rest.
                if let Some(left) = state.take() {
                    state = left.without_the_last();
                }
                continue;
            }
            let start = Instant::now();
            let response = self.first_client().execute(request).await?;
            if let Some(after) = wait_asked_for(&response) {
                let after = after.clamp(LEAST_WAIT, LONGEST);
                if self.may_wait(after) {
                    drop(response);
                    self.wait(after).await;
                    continue;
                }
                if !self.takes(response.status()) {
                    let (status, url) = (response.status(), response.url().to_string());
                    return Err(Error::Busy { status, url, after });
                }
            }
            if let Some(left) = state.take() {
                match (response.status(), part_of(&response, &left)) {
                    (StatusCode::PARTIAL_CONTENT, Some(first)) => {
                        return self.adopt(response, start, first, Some(left)).await;
                    }
                    // Another version, or a server that takes no ranges (any more): anew, with this answer.
                    (StatusCode::OK, _) => {}
                    (status, _) if status.is_success() || is_about_ranges(status) => continue,
                    (status, _) => {
                        return Err(Error::Status { status, url: response.url().to_string() });
                    }
                }
            }
            if !self.takes(response.status()) {
                return Err(Error::Status { status: response.status(), url: response.url().to_string() });
            }
            if response.status() == StatusCode::PARTIAL_CONTENT {
                let detail = "it sent a part of the body (206) where all of it was asked for".to_owned();
                let host = response.url().authority().to_owned();
                return Err(Error::Http { host, source: detail.clone().into(), detail });
            }
            self.sink_reset().await?;
            return self.adopt(response, start, 0, None).await;
        }
    }

    /// Whether the body of an answer with this status is wanted. What began as one thing does not end as another.
    fn takes(&self, status: StatusCode) -> bool {
        let as_before = self.head.as_ref().is_none_or(|head| head.status == status);
        let conditions = [IF_NONE_MATCH, IF_MODIFIED_SINCE];
        let asked = || conditions.iter().any(|name| self.request.headers.contains_key(name));
        status.is_success()
            || (self.options.any_status && as_before)
            || (status == StatusCode::NOT_MODIFIED && asked())
    }

    async fn wait(&mut self, after: Duration) {
        let until = Instant::now() + after;
        self.busy_until = Some(until);
        while let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
            self.tell();
            sleep(left.min(super::engine::TELL_EVERY)).await;
        }
        self.busy_until = None;
        self.shared.state().last = Instant::now();
    }

    /// Makes a plan for the body of which this is an answer, and lets its bytes flow. `first`: where they belong.
    async fn adopt(
        &mut self,
        response: Response,
        start: Instant,
        first: u64,
        state: Option<State>,
    ) -> Result<(), Error> {
        let success = response.status().is_success();
        let version = if success { Version::of(response.headers()) } else { None };
        let takes_none = response
            .headers()
            .get(ACCEPT_RANGES)
            .is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"none"));
        self.ranges = version.is_some() && !takes_none;
        self.version = version.map(Arc::new);
        self.url = response.url().clone();
        self.sent = response.sent().clone();
        self.remote = response.connection().remote();
        let (total, received) = match &state {
            Some(state) => {
                self.version = Some(Arc::new(state.version.clone()));
                (Some(state.total), state.received())
            }
            None => (response.content_length(), Ranges::default()),
        };
        self.resumed = received.len();
        self.digests = Checksum::of_field(response.headers(), "repr-digest").into_iter().collect();
        if state.is_none() {
            // Of a whole body that is not coded anew on the way, the content is the representation.
            self.digests.extend(Checksum::of_field(response.headers(), "content-digest"));
        }
        self.digests.extend(self.options.checksum.clone());
        if response.status() == StatusCode::NOT_MODIFIED {
            // They are those of what the caller has, and nothing of that comes.
            self.digests.clear();
        }
        match &self.shared.sink {
            Sink::File(_) => {}
            Sink::Reader(assembly) => assembly.expect(&self.digests),
            Sink::Nowhere(tally) => {
                *tally.lock().unwrap_or_else(PoisonError::into_inner) = Tally::new(&self.digests);
            }
        }
        if let (Some(part), Some(total)) = (&self.part, total) {
            part.expect(total)?;
        }
        if let (Some(version), Some(total), true) = (&self.version, total, self.ranges) {
            let state = State::new(without_credentials(&self.request.url), Version::clone(version), total);
            self.sink_name(state).await?;
        }
        let head = Head {
            status: response.status(),
            url: self.url.clone(),
            version: response.version(),
            headers: response.headers().clone(),
            total,
            connect_time: response.connect_time(),
            watch: response.watch(),
        };
        let now = Instant::now();
        let lease = {
            let mut shared = self.shared.state();
            let again = Plan::new(total.unwrap_or(u64::MAX), self.order, received);
            shared.restart(again, now);
            let lease = shared.plan.lease_all_from(0, first);
            shared.began(lease, start);
            shared.answered(lease, now - start, response.watch(), now);
            lease
        };
        self.requests += 1;
        if let Some(tell) = self.tell_head.take() {
            // Who no longer waits for it has dropped the download, and this task is about to be aborted.
            let _ = tell.send(head.clone());
        }
        self.head.get_or_insert(head);
        self.pump(lease, response);
        Ok(())
    }
}

/// How long the server asks to wait before it is asked again.
fn wait_asked_for(response: &Response) -> Option<Duration> {
    let busy = matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
    crate::client::retry_after(response.headers()).filter(|_| busy)
}

fn is_about_ranges(status: StatusCode) -> bool {
    matches!(status, StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED)
}

/// Where the part begins that an answer brings, if it is one of the version and length that were left.
fn part_of(response: &Response, left: &State) -> Option<u64> {
    let (part, total) = answer::part(response.headers(), response.content_length())?;
    let first = left.received().missing(0..left.total).iter().next()?.start;
    let same = left.version.compare(response.headers()) == Sameness::Same;
    (same && part.start == first && total == Some(left.total)).then_some(first)
}
