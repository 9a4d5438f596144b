//! HTTP/2 as raw frames: what h2spec covers and more, attacks that are on record, and requests that must not become something else
//! when a reverse proxy hands them on in HTTP/1.1.

mod attacks;
pub mod frame;
mod frames;
mod hpack;
mod messages;
mod smuggled;
mod starting;
mod streams;

pub use attacks::{Attack, attacks};
pub use frame::{Field, Frame, Payload};
pub use smuggled::{Behind, Request, Smuggled, smuggled};

use crate::{Row, Table};

/// One thing that a server has to stand.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Says what is odd about it.
    pub name: &'static str,
    /// Why this is expected.
    pub source: &'static str,
    /// Whether it begins as every client does: with the preface, SETTINGS, and an acknowledgement of the server's.
    pub usual: bool,
    /// What the client does.
    pub send: &'static [Step],
    /// Any of these will do.
    pub allow: &'static [Outcome],
}

/// What a client does.
#[derive(Clone, Copy, Debug)]
pub enum Step {
    /// Sends bytes.
    Bytes(&'static [u8]),
    /// Sends bytes, so many at a time.
    Pieces(&'static [u8], usize),
    /// Sends a frame.
    Frame(Frame),
    /// Does the same so many times; [`frame::EACH`] is the client's next stream each time.
    Times(u32, &'static [Step]),
    /// Waits until the server has dealt with what was sent, for it answers a PING, or has closed.
    Settle,
    /// Waits until the answer on a stream has ended, or the stream was reset.
    Finish(u32),
    /// Waits until something of an answer's body came.
    Begun(u32),
    /// Asks on further streams, one after the other, until this one was reset.
    Meanwhile(u32),
    /// Ends the sending half of the connection.
    Shut,
}

/// What may come of it. Where the connection stays open it has to be of use: another request is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The connection ends with this error.
    GoAway(u32),
    /// The stream ends with this error.
    Reset(u32, u32),
    /// The connection ends without a word.
    Closed,
    /// An answer with this status, to its end.
    Answer(u32, u16),
    /// A stream is still open, neither answered nor reset.
    Untouched(u32),
    /// The server goes on, and has neither reset nor ended anything.
    Fine,
    /// The beginning of an answer's body comes in DATA frames of these lengths.
    Data(u32, &'static [usize]),
    /// SETTINGS are acknowledged so often.
    Acknowledged(usize),
    /// An answer of HTTP/1.1 that begins so; then the connection ends.
    Text(&'static str),
}

/// A case that begins as every client does.
const fn case(
    name: &'static str,
    source: &'static str,
    send: &'static [Step],
    allow: &'static [Outcome],
) -> Case {
    Case { name, source, usual: true, send, allow }
}

/// A case that says itself how it begins.
const fn bare(
    name: &'static str,
    source: &'static str,
    send: &'static [Step],
    allow: &'static [Outcome],
) -> Case {
    Case { name, source, usual: false, send, allow }
}

/// How many requests of a connection the server of [`cases`] has in flight at most.
pub const MOST_STREAMS: u32 = 16;

/// How long a head may be for the server of [`cases`], in bytes.
pub const LONGEST_HEAD: usize = 16 << 10;

/// Cases for a server that answers as the requests in [`frame`] say.
pub fn cases() -> impl Iterator<Item = &'static Case> {
    [starting::CASES, streams::CASES, frames::CASES, messages::CASES, hpack::CASES].into_iter().flatten()
}

/// Those of [`cases`] that are tried over TLS as well, and the protocol that the client offers by ALPN (RFC 7301).
pub fn over_tls() -> impl Iterator<Item = (&'static Case, &'static str)> {
    starting::OVER_TLS.iter().map(|(case, alpn)| (case, *alpn))
}

/// Cases for one whose limits for heads, for idle connections and for what a client takes nothing of are some seconds.
pub fn impatient() -> impl Iterator<Item = &'static Case> {
    starting::IMPATIENT.iter()
}

/// For the list.
pub(crate) fn tables() -> Vec<Table> {
    let rows = |cases: &mut dyn Iterator<Item = &'static Case>| cases.map(Case::row).collect();
    let runs = "cargo test -p mphttp-cli --test http2";
    let table = |title, about, rows| Table { title, about, runs, rows };
    vec![
        table(
            "HTTP/2",
            "Frames sent to a `Server` in the clear: all that h2spec covers, and what tells HTTP/2 from HTTP/1.1. Where the\n\
             connection stays open it has to be of use afterwards.",
            rows(&mut cases()),
        ),
        table(
            "HTTP/2 over TLS",
            "The same after a handshake, in which HTTP/2 was agreed on, or was not.",
            rows(&mut over_tls().map(|(case, _)| case)),
        ),
        table(
            "HTTP/2, slowly",
            "Frames sent to a `Server` whose limits are some seconds.",
            rows(&mut impatient()),
        ),
        table(
            "Attacks by HTTP/2",
            "Against `mphttp serve` or `mphttp proxy --to`, each a process of its own, whose memory and whose connections to the\n\
             server behind are looked at. Other clients are answered while it lasts, and afterwards.",
            attacks().map(Attack::row).collect(),
        ),
        table(
            "Requests of HTTP/2 that become HTTP/1.1",
            "Through `mphttp proxy --to`. What reaches the server behind is recorded byte by byte and read by the letter of\n\
             RFC 9112. The same through `--to-http2`, where what arrives is what a `Server` makes of it.",
            smuggled().map(Smuggled::row).collect(),
        ),
    ]
}

impl Case {
    fn row(&self) -> Row {
        let expected: Vec<_> = self.allow.iter().map(|outcome| outcome.told()).collect();
        Row { name: self.name, source: self.source, expected: expected.join(" or ") }
    }
}

impl Outcome {
    fn told(self) -> String {
        match self {
            Self::GoAway(code) => format!("GOAWAY {}", frame::code(code)),
            Self::Reset(stream, code) => format!("RST_STREAM {} on {stream}", frame::code(code)),
            Self::Closed => "closed".into(),
            Self::Answer(stream, status) => format!("{status} on {stream}"),
            Self::Untouched(stream) => format!("{stream} is still open"),
            Self::Fine => "goes on".into(),
            Self::Data(_, lengths) => {
                let lengths: Vec<_> = lengths.iter().map(ToString::to_string).collect();
                format!("DATA of {}", lengths.join(", "))
            }
            Self::Acknowledged(count) => format!("{count} acknowledgements"),
            Self::Text(text) => format!("{}, closed", text.trim_end()),
        }
    }
}
