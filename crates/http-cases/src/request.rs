//! Requests whose framing, head or target two readers could read differently: sent to a server, through a reverse proxy, and through a
//! forward proxy. Behind the proxies a server records what arrives, and judges it by the letter of RFC 9112.

use crate::{Row, Table};

/// A case: what a client sends, and what it may lead to.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Says what is odd about it.
    pub name: &'static str,
    /// Why this is expected.
    pub source: &'static str,
    /// What the client sends, as a [script](crate::script).
    pub send: &'static str,
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
    /// Not said: the client ends it.
    Any,
}

/// Refused: 400, closed, and nothing reaches a server behind.
pub const REFUSED: Expect = Expect { answers: &["400"], then: Then::Closed, upstream: &[] };

/// Every case.
pub fn cases() -> impl Iterator<Item = &'static Request> {
    [LENGTHS].into_iter().flatten()
}

const LENGTHS: &[Request] = &[Request {
    name: "two lengths that differ",
    source: "RFC 9112 section 6.3 item 5",
    send: "POST {site}/echo HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    server: REFUSED,
    proxy: REFUSED,
    forward: Some(REFUSED),
}];

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
        let server = format!("server: {}", self.server.told(false));
        let proxy = format!("proxy: {}", self.proxy.told(true));
        match self.forward {
            Some(forward) => format!("{server}; {proxy}; forward: {}", forward.told(true)),
            None => format!("{server}; {proxy}"),
        }
    }
}

impl Expect {
    fn told(&self, upstream: bool) -> String {
        let then = match self.then {
            Then::Closed => ", closed",
            Then::Kept => ", kept",
            Then::Any => "",
        };
        let behind = match self.upstream {
            _ if !upstream => String::new(),
            [] => ", nothing behind".into(),
            seen => format!(", behind: {}", seen.join(", ")),
        };
        format!("{}{then}{behind}", self.answers.join(", "))
    }
}
