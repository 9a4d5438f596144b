//! Servers that lie, break off, never end or lead astray, and what `mphttp get` must make of each: which exit code, which words,
//! which requests, which files.
//!
//! The tables are in the modules below, a topic each. What a server does is a list of [`Act`]s for each request in the order of
//! their arrival; the last list serves all later ones too.

mod codings;
mod ends;
mod files;
mod http2;
mod messages;
mod parts;
mod redirects;
mod state;
mod tls;

use crate::{Row, Table};

/// A server that lies, and what comes of it.
#[derive(Clone, Copy, Debug)]
pub struct Liar {
    /// Says what is odd about it.
    pub name: &'static str,
    /// Why this is expected: section of an RFC, CVE, known practice.
    pub source: &'static str,
    /// What is spoken with the server.
    pub port: Port,
    /// What it does for each request.
    pub answers: &'static [&'static [Act]],
    /// What a second server does, on another port of the same host.
    pub other: &'static [&'static [Act]],
    /// The arguments of `mphttp get`, which runs in an empty directory. `{url}` is the server's URL, `{host}` its name and port, `{ca}`
    /// the file of the root that signed its certificate. Where no argument names the server, `{url}file` comes last.
    pub args: &'static [&'static str],
    /// What is in the directory before.
    pub before: &'static [Before],
    /// The exit code.
    pub code: u8,
    /// What is said on stderr, all of these.
    pub says: &'static [&'static str],
    /// What is on stdout, where it matters.
    pub stdout: Option<&'static str>,
    /// What the servers must, or must not, have been asked.
    pub heard: &'static [Heard],
    /// The files in the directory afterwards: these and no others.
    pub files: &'static [(&'static str, Content)],
}

/// What is spoken on a server's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Port {
    /// HTTP in the clear.
    Plain,
    /// TLS, with a certificate for `localhost` by the root of `{ca}`.
    Tls,
    /// TLS, with such a certificate for another name.
    TlsOtherName,
    /// TLS, with such a certificate whose time is over.
    TlsExpired,
    /// TLS, with such a certificate whose time has not come.
    TlsNotYet,
    /// TLS, with a certificate that nobody else has signed.
    TlsSelfSigned,
    /// TLS, with a certificate that names the root as its issuer, and that the root has not signed.
    TlsForged,
    /// TLS that offers HTTP/2 alone (ALPN).
    TlsHttp2,
}

/// What a server does.
#[derive(Clone, Copy, Debug)]
pub enum Act {
    /// Sends this text, a [script](crate::script) without pauses; `{host}` is its own host and port, `{other}` those of the other server.
    Send(&'static str),
    /// Sends this text again and again, until the client has gone; for ten seconds and a gigabyte at most.
    Forever(&'static str),
    /// Sends this text byte by byte, with so many milliseconds before each.
    Slowly(&'static str, u64),
    /// Sends so many zeros, coded so, the first coding first; and before them the head's end: `Content-Length` and an empty line.
    Coded(&'static [Coding], usize),
    /// As [`Act::Coded`], all but the last so many bytes of it, although the length says otherwise.
    CodedCut(&'static [Coding], usize, usize),
    /// Reads a request of HTTP/2: the rest of the preface, and frames up to one of HEADERS.
    Http2,
    /// Waits until the client closes the connection, for twenty seconds at most.
    Hold,
    /// Resets the connection.
    Reset,
    /// Closes the connection without the end that TLS has for it (`close_notify`).
    Cut,
}

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 1950, which is what HTTP calls deflate.
    Deflate,
    /// RFC 7932.
    Brotli,
    /// RFC 8878.
    Zstd,
}

/// What is there before.
#[derive(Clone, Copy, Debug)]
pub enum Before {
    /// A file with this text, in which `{url}` is the server's.
    File(&'static str, &'static str),
    /// A symbolic link to this path.
    Link(&'static str, &'static str),
    /// A pipe.
    Fifo(&'static str),
    /// A directory.
    Directory(&'static str),
}

/// What is in a file afterwards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// This text.
    Text(&'static str),
    /// So many zeros.
    Zeros(usize),
    /// A symbolic link to this path.
    Link(&'static str),
    /// It does not matter.
    Any,
}

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// The first.
    Server,
    /// The second.
    Other,
}

/// What a server must, or must not, have been asked.
#[derive(Clone, Copy, Debug)]
pub enum Heard {
    /// Its request of this number, counted from 0, holds this text. Field names are in lower case.
    Has(Who, usize, &'static str),
    /// Its request of this number came, and does not hold this text.
    Lacks(Who, usize, &'static str),
    /// None of its requests holds this text.
    Never(Who, &'static str),
    /// So many requests came.
    Times(Who, usize),
}

/// What is the same in most cases: a file is wanted, and there is none afterwards.
const LIAR: Liar = Liar {
    name: "",
    source: "",
    port: Port::Plain,
    answers: &[],
    other: &[],
    args: &["-o", "out"],
    before: &[],
    code: 0,
    says: &[],
    stdout: None,
    heard: &[],
    files: &[],
};

/// Every case, with its topic.
pub fn cases() -> impl Iterator<Item = (&'static str, &'static Liar)> {
    topics().into_iter().flat_map(|(topic, cases)| cases.iter().map(move |case| (topic, case)))
}

fn topics() -> [(&'static str, &'static [Liar]); 9] {
    [
        ("Lying servers: lengths and ends", ends::CASES),
        ("Lying servers: heads and statuses", messages::CASES),
        ("Lying servers: parts and versions", parts::CASES),
        ("Lying servers: what an earlier download left", state::CASES),
        ("Lying servers: redirects", redirects::CASES),
        ("Lying servers: codings", codings::CASES),
        ("Lying servers: files and digests", files::CASES),
        ("Lying servers: TLS", tls::CASES),
        ("Lying servers: HTTP/2", http2::CASES),
    ]
}

/// For the list.
#[must_use]
pub fn tables() -> Vec<Table> {
    let table = |(title, cases): (&'static str, &'static [Liar])| Table {
        title,
        about: "What `mphttp get` makes of servers that lie. None may make it panic, take more than 20 seconds or 64 MiB of memory,\n\
                say a control character, or leave anything under the final name that is not whole; each failure says what to do.",
        runs: "cargo test -p mphttp-cli --test liars",
        rows: cases
            .iter()
            .map(|case| Row { name: case.name, source: case.source, expected: case.expected() })
            .collect(),
    };
    topics().into_iter().map(table).collect()
}

impl Liar {
    fn expected(&self) -> String {
        let mut text = format!("exit {}", self.code);
        if let Some(says) = self.says.first() {
            text.push_str(&format!(": {says}"));
        }
        if self.args.iter().any(|arg| matches!(*arg, "-o" | "-O")) {
            let names: Vec<&str> = self.files.iter().map(|(name, _)| *name).collect();
            text.push_str(&match names.as_slice() {
                [] => "; no file".to_owned(),
                names => format!("; there is {}", names.join(", ")),
            });
        }
        text
    }
}
