//! Heads: lines, status lines, interim answers, sizes, and no answer at all.

use super::{Answer, spent, usable};

const BARE_CR: &str = "RFC 9112 section 2.2 (bare CR)";
const FIELD: &str = "RFC 9112 section 5";
const STATUS_LINE: &str = "RFC 9112 section 4";
const INTERIM: &str = "RFC 9110 section 15.2 (1xx)";
const LIMITS: &str = "RFC 9110 section 5.4 (limits)";

/// An answer with these lines of fields, and a length and body behind them.
macro_rules! fields {
    ($($lines:literal),+) => { concat!("HTTP/1.1 200 OK\r\n", $($lines),+, "\r\nContent-Length: 5\r\n\r\nhello") };
}

/// An answer with this status line.
macro_rules! status {
    ($line:literal) => {
        concat!($line, "\r\nContent-Length: 5\r\n\r\nhello")
    };
}

pub(super) const CASES: &[Answer] = &[
    usable(
        "every line ends with LF",
        "RFC 9112 section 2.2",
        "HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
        "200 hello",
    ),
    usable(
        "a length behind a bare LF",
        "RFC 9112 section 2.2 (a line ends there)",
        "HTTP/1.1 200 OK\r\nX-A: b\nContent-Length: 5\r\n\r\nhello",
        "200 hello",
    ),
    spent("a bare CR in a value", BARE_CR, fields!("X-A: b\rX-C: d"), "502"),
    spent(
        "a length behind a bare CR",
        BARE_CR,
        "HTTP/1.1 200 OK\r\nX-A: b\rContent-Length: 5\r\n\r\nhello",
        "502",
    ),
    spent("NUL in a value", "RFC 9110 section 5.5", fields!("X-A: b\0"), "502"),
    spent("NUL in a name", FIELD, fields!("X-\0A: b"), "502"),
    spent("a folded line", "RFC 9112 section 5.2 (502)", fields!("X-A: b\r\n c"), "502"),
    spent("a space before the colon", "RFC 9112 section 5.1", fields!("X-A : b"), "502"),
    spent(
        "a space before the colon of a length",
        "RFC 9112 section 5.1",
        "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello",
        "502",
    ),
    spent("a line without a colon", FIELD, fields!("X-A"), "502"),
    spent("an empty name", FIELD, fields!(": b"), "502"),
    usable(
        "bytes beyond ASCII in a value",
        "RFC 9110 section 5.5 (obs-text)",
        fields!("X-A: {hex:e9ff}"),
        "200 hello",
    ),
    usable(
        "fields of one connection",
        "RFC 9110 section 7.6.1",
        fields!(
            "Connection: X-Odd\r\nX-Odd: 1\r\nKeep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\nUpgrade: h2c"
        ),
        "200 hello",
    ),
    usable("no reason", STATUS_LINE, status!("HTTP/1.1 200 "), "200 hello"),
    usable("no space for a reason", STATUS_LINE, status!("HTTP/1.1 200"), "200 hello"),
    usable("a status that nobody knows", "RFC 9110 section 15", status!("HTTP/1.1 299 Odd"), "299 hello"),
    spent("a status of two digits", STATUS_LINE, status!("HTTP/1.1 20 OK"), "502"),
    spent("a status of four digits", STATUS_LINE, status!("HTTP/1.1 2000 OK"), "502"),
    spent("a status that is no number", STATUS_LINE, status!("HTTP/1.1 2x0 OK"), "502"),
    spent("the status 000", "RFC 9110 section 15 (100 to 599)", status!("HTTP/1.1 000 OK"), "502"),
    spent("NUL in the reason", STATUS_LINE, status!("HTTP/1.1 200 O\0K"), "502"),
    spent("HTTP/1.2", "RFC 9110 section 2.5", status!("HTTP/1.2 200 OK"), "502"),
    spent("HTTP/2.0 in words", "RFC 9112 section 2.3", status!("HTTP/2.0 200 OK"), "502"),
    spent("HTTP/0.9: a body alone", "RFC 9112 section 2.3", "hello{end}", "502"),
    spent("another protocol", "RFC 9112 section 4", "SSH-2.0-OpenSSH_9.9\r\n", "502"),
    spent("TLS where none is spoken", "RFC 8446 section 6", "{hex:15030100020246}{end}", "502"),
    usable(
        "an empty line before the answer",
        "RFC 9112 section 2.2 (for requests)",
        status!("\r\nHTTP/1.1 200 OK"),
        "200|502",
    ),
    usable(
        "100, then the answer",
        INTERIM,
        status!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"),
        "200 hello",
    ),
    usable(
        "103 with fields, then the answer",
        "RFC 8297",
        status!("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK"),
        "200 hello",
    ),
    usable(
        "1000 interim answers",
        INTERIM,
        status!("{HTTP/1.1 102 Processing\r\n\r\n*1000}HTTP/1.1 200 OK"),
        "200 hello",
    ),
    spent(
        "50,000 interim answers, then the end",
        INTERIM,
        "{HTTP/1.1 102 Processing\r\n\r\n*50000}{end}",
        "502",
    ),
    usable(
        "an interim answer with a length",
        "RFC 9110 section 8.6 (none in a 1xx)",
        status!("HTTP/1.1 100 Continue\r\nContent-Length: 5\r\n\r\nHTTP/1.1 200 OK"),
        "200 hello",
    ),
    spent("an interim answer, then the end", INTERIM, "HTTP/1.1 100 Continue\r\n\r\n{end}", "502"),
    spent(
        "101 that nobody asked for",
        "RFC 9110 section 15.2.2",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\nhello",
        "502",
    ),
    usable("a field of 60 kB", LIMITS, fields!("X-Big: {a*60000}"), "200 hello"),
    spent("a field of 1 MB", LIMITS, fields!("X-Big: {a*1000000}"), "502"),
    spent("a field without end", LIMITS, "HTTP/1.1 200 OK\r\nX-Big: {a*1000000}", "502"),
    spent("200 fields", LIMITS, fields!("{X-Many: b\r\n*200}X-Last: c"), "502"),
    spent("a status line without end", LIMITS, "HTTP/1.1 200 {a*1000000}", "502"),
    spent("no answer", "RFC 9112 section 9.5 (closed)", "{end}", "502"),
    spent("half a status line", "RFC 9112 section 8 (incomplete)", "HTTP/1.1 20{end}", "502"),
    spent("half a head", "RFC 9112 section 8 (incomplete)", "HTTP/1.1 200 OK\r\nContent-Le{end}", "502"),
    Answer {
        method: "POST",
        ..usable(
            "100 to a body that is there already",
            "RFC 9110 section 15.2.1",
            status!("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"),
            "200 hello",
        )
    },
    Answer {
        method: "POST",
        ..spent("no answer to what can't be asked twice", "RFC 9110 section 9.2.2", "{end}", "502")
    },
];
