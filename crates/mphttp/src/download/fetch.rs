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
    let (skip, room, ends_it) = match examine(&response, &ask)? {
        Body::Part { length, last } => (0, length, last),
        Body::Whole => (ask.range.start, u64::MAX, true),
    };
    let digest = if skip == 0 { Checksum::of_field(response.headers(), "content-digest") } else { None };
    let now = Instant::now();
    shared.state().answered(ask.lease, now - start, response.watch(), now);
    let digest =
        digest.map(|checksum| Digesting { hasher: checksum.hasher(), checksum, start: ask.range.start });
    if let (None, Some((_, Some(total)))) = (ask.total, part_of(&response)) {
        shared.state().plan.set_total(total);
    }
    pump(&shared, ask.lease, response, Extent { skip, room, ends_it }, digest).await
}

enum Body {
    /// What was asked for, perhaps less of it, of this length; whether it goes to the end of the body.
    Part { length: u64, last: bool },
    /// All of it, from the first byte.
    Whole,
}

/// The part that an answer brings, and the whole's length.
fn part_of(response: &Response) -> Option<(Range<u64>, Option<u64>)> {
    answer::part(response.headers(), response.content_length())
}

/// Whether an answer is what was asked for.
fn examine(response: &Response, ask: &Ask) -> Result<Body, Failed> {
    let (status, headers) = (response.status(), response.headers());
    let error = || Error::Status { status, url: response.url().to_string() };
    match status {
        StatusCode::PARTIAL_CONTENT => {
            let Some((part, total)) = part_of(response) else { return Err(Failed::NoRanges) };
            match ask.version.compare(headers) {
                Sameness::Same => {}
                Sameness::Different => return Err(Failed::Changed),
                // RFC 9110 section 15.3.7 demands the validator; without it nobody knows what this is a part of.
                Sameness::Unknown => return Err(Failed::NoRanges),
            }
            if let (Some(ours), Some(theirs)) = (ask.total, total)
                && ours != theirs
            {
                return Err(Failed::Changed);
            }
            // A shorter part is no error; one from elsewhere is of no use.
            if part.start == ask.range.start {
                Ok(Body::Part { length: part.end - part.start, last: total == Some(part.end) })
            } else {
                Err(Failed::NoRanges)
            }
        }
        StatusCode::OK => match ask.version.compare(headers) {
            Sameness::Same
                if ask.total.zip(response.content_length()).is_some_and(|(ours, theirs)| ours != theirs) =>
            {
                Err(Failed::Changed)
            }
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

/// What of an answer's content is of use.
pub(super) struct Extent {
    /// So many bytes at its beginning are not.
    pub(super) skip: u64,
    /// And no more than so many in all.
    pub(super) room: u64,
    /// Whether the whole body ends where it does.
    pub(super) ends_it: bool,
}

impl Extent {
    /// All of it, from the body's first byte or that of a part to its last.
    pub(super) const ALL: Self = Self { skip: 0, room: u64::MAX, ends_it: true };
}

/// Moves the body of an answer to where it belongs.
pub(super) async fn pump(
    shared: &Shared,
    lease: LeaseId,
    mut response: Response,
    Extent { mut skip, mut room, ends_it }: Extent,
    mut digest: Option<Digesting>,
) -> Result<(), Failed> {
    while room > 0 {
        let Some(mut piece) = response.chunk().await.map_err(Failed::Error)? else { break };
        // Nobody knows where the rest would belong: what is more than was announced.
        piece.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        room -= piece.len() as u64;
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
