//! Answers of a server behind a proxy whose framing or head is odd: what its client gets, and that nothing of them is taken for the
//! answer to the next request.

use crate::{Row, Table};

mod bodies;
mod heads;

/// A case: what the server says, and what the client gets.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// Says what is odd about it.
    pub name: &'static str,
    /// Why this is expected.
    pub source: &'static str,
    /// The method of the request.
    pub method: &'static str,
    /// What the server sends, as a [script](crate::script).
    pub send: &'static str,
    /// What the client gets: `STATUS`, several that are allowed joined by `|`; then, if it matters, a space and the body, which is
    /// `(broken)` if it has no end. Framed without ambiguity, whatever the server's answer was.
    pub client: &'static str,
    /// Whether the connection to the server must not be used again.
    pub spent: bool,
}

/// Every case.
pub fn cases() -> impl Iterator<Item = &'static Answer> {
    [bodies::CASES, heads::CASES].into_iter().flatten()
}

/// The answer to a GET, after which the connection may be used again.
const fn usable(
    name: &'static str,
    source: &'static str,
    send: &'static str,
    client: &'static str,
) -> Answer {
    Answer { name, source, method: "GET", send, client, spent: false }
}

/// The answer to a GET, after which the connection must not be used again.
const fn spent(name: &'static str, source: &'static str, send: &'static str, client: &'static str) -> Answer {
    Answer { spent: true, ..usable(name, source, send, client) }
}

/// For the list.
#[must_use]
pub fn table() -> Table {
    let rows = cases().map(|case| Row { name: case.name, source: case.source, expected: case.expected() });
    Table {
        title: "Answers through a proxy",
        about: "What a server behind `mphttp proxy --to` and `mphttp proxy --forward` says. The client gets one framing, or an error; and\n\
                the next request, of another client, its own answer.",
        runs: "cargo test -p mphttp-cli --test http_cases",
        rows: rows.collect(),
    }
}

impl Answer {
    fn expected(&self) -> String {
        let method = if self.method == "GET" { String::new() } else { format!("to {}: ", self.method) };
        let spent = if self.spent { ", connection not used again" } else { "" };
        format!("{method}{}{spent}", self.client)
    }
}
