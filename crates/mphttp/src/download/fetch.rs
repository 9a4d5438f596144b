//! One request for a part of the body, and its answer, moved to where it belongs.

use std::{
    ops::Range,
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderMap, HeaderValue, StatusCode, header::RANGE};

use super::{
    answer::{self, Sameness, Version},
    checksum::{Checksum, Hasher},
    plan::LeaseId,
    shared::Shared,
};
use crate::{Client, Error, Response, client::Request};

/// Why a fetch did not bring all that it was to bring.
#[derive(Debug)]
pub(super) enum Failed {
    /// The connection, or the answer, failed.
    Error(Error),
    /// The server asks to wait, perhaps for so long.
    Busy(Option<Duration>, Error),
    /// The answer has a status that will stay.
    Refused(Error),
    /// The server has another version of the body now.
    Changed,
    /// The server sends the whole body whatever part is asked for.
    NoRanges,
    /// What came is not what its digest says.
    Spoilt(Range<u64>, Error),
    /// Nobody takes the bytes any more.
    Sink,
}

/// What is asked for.
pub(super) struct Ask {
    pub(super) lease: LeaseId,
    pub(super) range: Range<u64>,
    /// `None`: up to the end, wherever that is.
    pub(super) total: Option<u64>,
    pub(super) version: Arc<Version>,
    /// Whether a server that sends the whole body again will do: what is there already is passed over.
    pub(super) whole_will_do: bool,
}

/// Adds what asks for a part of a version.
pub(super) fn demand(headers: &mut HeaderMap, range: &Range<u64>, open: bool, version: &Version) {
    let text = if open {
        format!("bytes={}-", range.start)
    } else {
        format!("bytes={}-{}", range.start, range.end - 1)
    };
    if let Ok(value) = HeaderValue::try_from(text) {
        headers.insert(RANGE, value);
    }
    version.demand(headers);
}

/// Asks, and moves what comes.
pub(super) async fn fetch(
    shared: Arc<Shared>,
    client: Client,
    mut request: Request,
    ask: Ask,
) -> Result<(), Failed> {
    let open = ask.total.is_none_or(|total| ask.range.end >= total);
    demand(&mut request.headers, &ask.range, open, &ask.version);
    let start = Instant::now();
    shared.state().began(ask.lease, start);
    let response = client.execute(request).await.map_err(Failed::Error)?;
    let (skip, ends_it) = match examine(&response, &ask)? {
        Body::Part { last } => (0, last),
        Body::Whole => (ask.range.start, true),
    };
    let digest = if skip == 0 { Checksum::of_field(response.headers(), "content-digest") } else { None };
    let now = Instant::now();
    shared.state().answered(ask.lease, now - start, response.watch(), now);
    let digest =
        digest.map(|checksum| Digesting { hasher: checksum.hasher(), checksum, start: ask.range.start });
    if let (None, Some((_, Some(total)))) = (ask.total, answer::content_range(response.headers())) {
        shared.state().plan.set_total(total);
    }
    pump(&shared, ask.lease, response, skip, digest, ends_it).await
}

enum Body {
    /// What was asked for, perhaps less of it; whether it goes to the end of the body.
    Part { last: bool },
    /// All of it, from the first byte.
    Whole,
}

/// Whether an answer is what was asked for.
fn examine(response: &Response, ask: &Ask) -> Result<Body, Failed> {
    let (status, headers) = (response.status(), response.headers());
    let error = || Error::Status { status, url: response.url().to_string() };
    match status {
        StatusCode::PARTIAL_CONTENT => {
            let Some((part, total)) = answer::content_range(headers) else { return Err(Failed::NoRanges) };
            if ask.version.compare(headers) == Sameness::Different {
                return Err(Failed::Changed);
            }
            if let (Some(ours), Some(theirs)) = (ask.total, total)
                && ours != theirs
            {
                return Err(Failed::Changed);
            }
            // A shorter part is no error; one from elsewhere is of no use.
            if part.start == ask.range.start {
                Ok(Body::Part { last: total == Some(part.end) })
            } else {
                Err(Failed::NoRanges)
            }
        }
        StatusCode::OK => match ask.version.compare(headers) {
            Sameness::Same if ask.whole_will_do => Ok(Body::Whole),
            Sameness::Same => Err(Failed::NoRanges),
            Sameness::Different => Err(Failed::Changed),
            Sameness::Unknown => Err(Failed::NoRanges),
        },
        StatusCode::RANGE_NOT_SATISFIABLE | StatusCode::PRECONDITION_FAILED => Err(Failed::Changed),
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {
            Err(Failed::Busy(crate::client::retry_after(headers), error()))
        }
        StatusCode::REQUEST_TIMEOUT
        | StatusCode::TOO_EARLY
        | StatusCode::INTERNAL_SERVER_ERROR
        | StatusCode::BAD_GATEWAY
        | StatusCode::GATEWAY_TIMEOUT => Err(Failed::Error(error())),
        _ => Err(Failed::Refused(error())),
    }
}

/// The digest of one answer's content, in the making.
pub(super) struct Digesting {
    pub(super) hasher: Hasher,
    pub(super) checksum: Checksum,
    pub(super) start: u64,
}

/// Moves the body of an answer to where it belongs, but for its first `skip` bytes. `ends_it`: whether the body ends where the
/// answer does.
pub(super) async fn pump(
    shared: &Shared,
    lease: LeaseId,
    mut response: Response,
    mut skip: u64,
    mut digest: Option<Digesting>,
    ends_it: bool,
) -> Result<(), Failed> {
    loop {
        let Some(mut piece) = response.chunk().await.map_err(Failed::Error)? else { break };
        if skip > 0 {
            let passed = skip.min(piece.len() as u64);
            skip -= passed;
            let _ = piece.split_to(usize::try_from(passed).unwrap_or(piece.len()));
            shared.state().held(lease, false, Instant::now());
        }
        if let Some(digest) = &mut digest {
            digest.hasher.update(&piece);
        }
        while !piece.is_empty() {
            let arrived = {
                let (mut state, now) = (shared.state(), Instant::now());
                let arrived = state.arrived(lease, piece.len(), now);
                state.held(lease, true, now);
                arrived
            };
            let wanted = piece.split_to(arrived.len);
            if !wanted.is_empty() {
                shared.sink.put(arrived.offset, wanted).await.map_err(|_| Failed::Sink)?;
                // Not before: this fetch may be ended from outside while it waits.
                let mut state = shared.state();
                state.plan.stored(lease);
                state.held(lease, false, Instant::now());
            }
            if arrived.over {
                if piece.is_empty() && response.is_over() {
                    break;
                }
                // The rest is not wanted: dropping the response ends its connection. A digest of all can't be checked.
                return Ok(());
            }
        }
        if response.is_over() && piece.is_empty() {
            break;
        }
    }
    if skip > 0 {
        // The whole body is shorter than what there was of it.
        return Err(Failed::Changed);
    }
    finish(shared, lease, digest, ends_it)
}

/// The answer has ended by itself.
fn finish(shared: &Shared, lease: LeaseId, digest: Option<Digesting>, ends_it: bool) -> Result<(), Failed> {
    let mut state = shared.state();
    let Some(pos) = state.plan.lease(lease).map(|lease| lease.pos) else { return Ok(()) };
    if ends_it && state.plan.total() == u64::MAX {
        // Only now is it known how long the body is.
        state.plan.set_total(pos);
    }
    let Some(digest) = digest else { return Ok(()) };
    let Err(error) = digest.checksum.check(digest.hasher) else { return Ok(()) };
    let range = digest.start..pos;
    state.plan.spoilt(range.clone());
    Err(Failed::Spoilt(range, error))
}
