//! What an error of the HTTP library stands for.

use std::{error::Error as StdError, io};

use http::{HeaderMap, StatusCode};

use crate::{BoxError, Error, client::dial::Carried, server::is_coded, tls::TlsProblem};

/// What an answer is that nobody has asked for, if it is one. `upgrades`: whether another protocol was asked for.
pub(super) fn unasked(status: StatusCode, headers: &HeaderMap, upgrades: bool, host: &str) -> Option<Error> {
    let detail = if status == StatusCode::SWITCHING_PROTOCOLS && !upgrades {
        "it goes on in another protocol (101), which was not asked for"
    } else if is_coded(headers) {
        "the answer is in a transfer coding, which was not asked for"
    } else {
        return None;
    };
    Some(Error::Http { host: host.to_owned(), detail: detail.to_owned(), source: detail.into() })
}

/// Looks for an error of a type in a chain of sources. Unlike [`StdError::source`] alone, it sees what an
/// [`io::Error`] holds.
pub(crate) fn find<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    // Bounded: a chain of sources could, in theory, be endless.
    for _ in 0..32 {
        let error = next?;
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        next = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

/// An error met before the response head was complete.
pub(crate) fn of_request(error: hyper_util::client::legacy::Error, host: &str, limit: usize) -> Error {
    if let Some(ours) = find::<Carried>(&error).and_then(Carried::take) {
        return ours;
    }
    if let Some(ours) = of_stream(&error, host) {
        return ours;
    }
    let host = host.to_owned();
    let Some(http) = find::<hyper::Error>(&error) else {
        return Error::Broken { host, source: error.into() };
    };
    if http.is_parse_too_large() {
        return Error::HeadersTooLarge { host, limit };
    }
    if http.is_user() {
        // The only thing of the caller's that hyper takes as it is, is the body.
        return Error::RequestBody(error.into());
    }
    if http.is_incomplete_message()
        || http.is_canceled()
        || http.is_closed()
        || find(http).is_some_and(left_alone)
    {
        return Error::NoAnswer { host, source: error.into() };
    }
    let from_socket = find::<io::Error>(http).is_some();
    if from_socket {
        let detail = deepest(http);
        return Error::Broken { host, source: detail.into() };
    }
    Error::Http { host, detail: deepest(http), source: error.into() }
}

/// Whether a server of HTTP/2 has ended its connection in peace, or refused a stream, before it did anything for the request
/// (RFC 9113 sections 6.8 and 8.7).
fn left_alone(error: &h2::Error) -> bool {
    let farewell = error.is_go_away() && error.reason() == Some(h2::Reason::NO_ERROR);
    let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (farewell || refused)
}

/// An error met in the body of a response of which `got` bytes have arrived.
pub(super) fn of_body(error: hyper::Error, host: &str, expected: Option<u64>, got: u64) -> Error {
    if let Some(ours) = of_stream(&error, host) {
        return ours;
    }
    let malformed = find::<io::Error>(&error)
        .is_some_and(|io| matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData));
    if malformed {
        let detail = deepest(&error);
        return Error::Http { host: host.to_owned(), detail, source: error.into() };
    }
    Error::Incomplete { expected, got, source: error.into() }
}

/// What the layers below HTTP say: MPTCP was lost, TLS has failed.
fn of_stream(error: &(dyn StdError + 'static), host: &str) -> Option<Error> {
    if let Some(mptcp_socket::Error::NotMptcp { reason, peer }) = find(error) {
        return Some(Error::NotMptcp { reason: *reason, peer: *peer });
    }
    if let Some(mptcp_socket::Error::FellBack) = find(error) {
        return Some(Error::FellBack { host: host.to_owned() });
    }
    let tls = find::<rustls::Error>(error)?;
    let source = io::Error::other(tls.clone());
    Some(Error::Tls { host: host.to_owned(), problem: TlsProblem::of(&source), source })
}

/// The innermost text of a chain: the outer ones repeat themselves.
fn deepest(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    for _ in 0..32 {
        match error.source() {
            Some(source) => error = source,
            None => break,
        }
    }
    error.to_string()
}

/// The error of this crate within a body's error; anything else is what a decoder of `coding` said.
pub(super) fn of_decoder(error: BoxError, coding: &'static str) -> Error {
    match error.downcast::<Error>() {
        Ok(ours) => *ours,
        Err(source) => Error::Decode { what: coding, source },
    }
}
