//! Requests whose framing, head or target two readers could read differently: sent to a server, through a reverse proxy, and through a
//! forward proxy. Behind the proxies a server records what arrives, and judges it by the letter of RFC 9112.

use crate::{Row, Table};

mod chunks;
mod codings;
mod heads;
mod hosts;
mod lengths;
mod lines;
mod series;
mod targets;
mod upgrades;

/// A case: what a client sends, and what it may lead to.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Says what is odd about it.
    pub name: &'static str,
    /// Why this is expected.
    pub source: &'static str,
    /// What the client sends, as a [script](crate::script).
    pub send: &'static str,
    /// Whether it is to arrive in one piece: a server may close where a body that it does not want has not come yet.
    pub together: bool,
    /// To `Server`, with `Files` and, at `/echo`, a handler that answers with what it got.
    pub server: Expect,
    /// Through `mphttp proxy --to`.
    pub proxy: Expect,
    /// Through `mphttp proxy --forward`; `None` where that changes nothing or does not apply.
    pub forward: Option<Expect>,
}

/// What a request leads to.
#[derive(Clone, Copy, Debug)]
pub struct Expect {
    /// The answers in their order: `STATUS`, several that are allowed joined by `|`; then, if it matters, a space and the body.
    /// `HEAD STATUS` for answers to HEAD.
    pub answers: &'static [&'static str],
    /// What becomes of the connection after the last of them.
    pub then: Then,
    /// The requests that reach the server behind a proxy, all of them: `METHOD TARGET`, and ` = BODY` if there is one.
    pub upstream: &'static [&'static str],
}

/// What becomes of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// The server closes it by itself.
    Closed,
    /// It serves a further request.
    Kept,
}

/// Refused: 400, closed, and nothing reaches a server behind.
pub const REFUSED: Expect = closed(&["400"], &[]);

/// Every case.
pub fn cases() -> impl Iterator<Item = &'static Request> {
    let tables = [
        lengths::CASES,
        codings::CASES,
        chunks::CASES,
        lines::CASES,
        heads::CASES,
        series::CASES,
        hosts::CASES,
        targets::CASES,
        upgrades::CASES,
    ];
    tables.into_iter().flatten()
}

/// The beginning of a request for `/echo`.
macro_rules! echo {
    ($method:literal, $($rest:literal),+) => {
        concat!($method, " {site}/echo HTTP/1.1\r\nHost: {host}\r\n", $($rest),+)
    };
}
use echo;

/// The same wherever it runs.
const fn all(name: &'static str, source: &'static str, send: &'static str, expect: Expect) -> Request {
    Request { name, source, send, together: false, server: expect, proxy: expect, forward: Some(expect) }
}

/// Refused everywhere.
const fn refused(name: &'static str, source: &'static str, send: &'static str) -> Request {
    all(name, source, send, REFUSED)
}

/// Answered, and the connection goes on.
const fn kept(answers: &'static [&'static str], upstream: &'static [&'static str]) -> Expect {
    Expect { answers, then: Then::Kept, upstream }
}

/// Answered, and the connection closed.
const fn closed(answers: &'static [&'static str], upstream: &'static [&'static str]) -> Expect {
    Expect { answers, then: Then::Closed, upstream }
}

/// For the list.
#[must_use]
pub fn table() -> Table {
    let rows = cases().map(|case| Row { name: case.name, source: case.source, expected: case.expected() });
    Table {
        title: "Requests",
        about: "Each is sent to a `Server`, through `mphttp proxy --to` and, where it applies, through `mphttp proxy --forward`.\n\
                What reaches the server behind a proxy is read by the letter of RFC 9112: one framing, and no request that is\n\
                not in the list.",
        runs: "cargo test -p mphttp-cli --test http_cases",
        rows: rows.collect(),
    }
}

impl Request {
    fn expected(&self) -> String {
        let (server, proxy) = (self.server.told(false), self.proxy.told(true));
        let same = proxy.strip_prefix(&server).is_some();
        let first = if same { proxy.clone() } else { format!("{server}; through a proxy: {proxy}") };
        match self.forward.map(|forward| forward.told(true)) {
            Some(forward) if forward != proxy => format!("{first}; forward: {forward}"),
            _ => first,
        }
    }
}

impl Expect {
    fn told(&self, upstream: bool) -> String {
        let then = match self.then {
            Then::Closed => ", closed",
            Then::Kept => ", kept",
        };
        let behind = match self.upstream {
            _ if !upstream => String::new(),
            [] => ", nothing behind".into(),
            seen => format!(", behind: {}", seen.join(", ")),
        };
        format!("{}{then}{behind}", self.answers.join(", "))
    }
}
