//! The lines of a head: their ends, names, values and what may not be in them; the request line's parts and versions.

use super::{Request, all, closed, kept, refused};

const BARE_CR: &str = "RFC 9112 section 2.2 (bare CR)";
const BARE_LF: &str = "RFC 9112 section 2.2 (a line may end with LF alone)";
const FOLD: &str = "RFC 9112 section 5.2 (obs-fold)";
const FIELD: &str = "RFC 9112 section 5";
const NUL: &str = "RFC 9110 section 5.5 (CTL in a value)";
const REQUEST_LINE: &str = "RFC 9112 section 3";
const VERSION: &str = "RFC 9112 section 2.3";

/// A request for `/echo` with these lines of fields, and a harmless one behind them.
macro_rules! fields {
    ($($lines:literal),+) => {
        concat!("GET {site}/echo HTTP/1.1\r\nHost: {host}\r\n", $($lines),+, "\r\nAccept: */*\r\n\r\n")
    };
}

pub(super) const CASES: &[Request] = &[
    all(
        "every line ends with LF",
        BARE_LF,
        "GET {site}/echo HTTP/1.1\nHost: {host}\nX-Odd: b\n\n",
        kept(&["200"], &["GET /echo [x-odd: b]"]),
    ),
    all(
        "one line ends with LF",
        BARE_LF,
        fields!("X-Odd: b\nX-C: d"),
        kept(&["200"], &["GET /echo [x-odd: b]"]),
    ),
    all(
        "the empty line is LF",
        BARE_LF,
        "GET {site}/echo HTTP/1.1\r\nHost: {host}\r\n\nGET {site}/echo/b HTTP/1.1\r\nHost: {host}\r\n\r\n",
        kept(&["200", "200"], &["GET /echo", "GET /echo/b"]),
    ),
    refused("a bare CR in a value", BARE_CR, fields!("X-Odd: b\rX-C: d")),
    refused("a bare CR at the end of a value", BARE_CR, fields!("X-Odd: b\r")),
    refused("a bare CR before a name", BARE_CR, fields!("\rX-Odd: b")),
    refused("a bare CR in the request line", BARE_CR, "GET {site}/echo\rHTTP/1.1\r\nHost: {host}\r\n\r\n"),
    refused("every line ends with CR", BARE_CR, "GET {site}/echo HTTP/1.1\rHost: {host}\r\r\r\n\r\n"),
    refused("a folded line, by a space", FOLD, fields!("X-Odd: b\r\n c")),
    refused("a folded line, by a tab", FOLD, fields!("X-Odd: b\r\n\tc")),
    refused("a folded line that looks like a length", FOLD, fields!("X-Odd: b\r\n Content-Length: 5")),
    refused(
        "a space before the first field",
        "RFC 9112 section 2.2 (whitespace after the start-line)",
        "GET {site}/echo HTTP/1.1\r\n X-Odd: b\r\nHost: {host}\r\n\r\n",
    ),
    refused("NUL in a value", NUL, fields!("X-Odd: b\0c")),
    refused("NUL in a name", FIELD, fields!("X-\0Odd: b")),
    refused("a control character in a value", NUL, fields!("X-Odd: b\x01c")),
    refused("DEL in a value", NUL, fields!("X-Odd: b\x7f")),
    all(
        "bytes beyond ASCII in a value",
        "RFC 9110 section 5.5 (obs-text)",
        fields!("X-Other: {hex:e9ff}"),
        kept(&["200"], &["GET /echo"]),
    ),
    refused("bytes beyond ASCII in a name", FIELD, fields!("X-{hex:e9}: b")),
    refused("an empty name", FIELD, fields!(": b")),
    refused("a line without a colon", FIELD, fields!("X-Odd")),
    refused("a space in a name", FIELD, fields!("X Odd: b")),
    refused("a space before the colon", "RFC 9112 section 5.1", fields!("X-Odd : b")),
    refused("a name with a bracket", FIELD, fields!("X[Odd]: b")),
    all("an empty value", "RFC 9110 section 5.5", fields!("X-Other:"), kept(&["200"], &["GET /echo"])),
    all(
        "an empty line before the request",
        "RFC 9112 section 2.2 (to be ignored)",
        "\r\nGET {site}/echo HTTP/1.1\r\nHost: {host}\r\n\r\n",
        kept(&["200"], &["GET /echo"]),
    ),
    refused("no version: HTTP/0.9", VERSION, "GET {site}/echo\r\n\r\n"),
    refused("HTTP/0.9 by name", VERSION, "GET {site}/echo HTTP/0.9\r\nHost: {host}\r\n\r\n"),
    refused(
        "HTTP/1.2",
        "RFC 9110 section 2.5 (may be refused)",
        "GET {site}/echo HTTP/1.2\r\nHost: {host}\r\n\r\n",
    ),
    refused("HTTP/2.0 in words", VERSION, "GET {site}/echo HTTP/2.0\r\nHost: {host}\r\n\r\n"),
    refused("http/1.1 in small letters", VERSION, "GET {site}/echo http/1.1\r\nHost: {host}\r\n\r\n"),
    refused("HTTP/01.1", VERSION, "GET {site}/echo HTTP/01.1\r\nHost: {host}\r\n\r\n"),
    refused("HTTP/1.10", VERSION, "GET {site}/echo HTTP/1.10\r\nHost: {host}\r\n\r\n"),
    refused("another protocol's name", VERSION, "GET {site}/echo XTTP/1.1\r\nHost: {host}\r\n\r\n"),
    refused("two spaces after the method", REQUEST_LINE, "GET  {site}/echo HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    refused("two spaces after the target", REQUEST_LINE, "GET {site}/echo  HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    refused("a space after the version", REQUEST_LINE, "GET {site}/echo HTTP/1.1 \r\nHost: {host}\r\n\r\n"),
    refused("a space before the method", REQUEST_LINE, " GET {site}/echo HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    refused("tabs between the parts", REQUEST_LINE, "GET\t{site}/echo\tHTTP/1.1\r\nHost: {host}\r\n\r\n"),
    refused("no method", REQUEST_LINE, "{site}/echo HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    refused(
        "a method with a bracket",
        "RFC 9110 section 9.1 (token)",
        "G(T {site}/echo HTTP/1.1\r\nHost: {host}\r\n\r\n",
    ),
    all(
        "a method in small letters is another method",
        "RFC 9110 section 9.1 (case-sensitive)",
        "get {site}/echo HTTP/1.1\r\nHost: {host}\r\n\r\n",
        kept(&["200 get /echo"], &["get /echo"]),
    ),
    all(
        "a method that nobody knows",
        "RFC 9110 section 9.1",
        "BREW {site}/echo HTTP/1.1\r\nHost: {host}\r\n\r\n",
        kept(&["200 BREW /echo"], &["BREW /echo"]),
    ),
    Request {
        server: kept(&["405"], &[]),
        ..all(
            "a method that files don't know",
            "RFC 9110 section 15.5.6",
            "BREW {site}/ten.txt HTTP/1.1\r\nHost: {host}\r\n\r\n",
            kept(&["200"], &["BREW /ten.txt"]),
        )
    },
    refused("TLS where none is spoken", "RFC 8446 section 5.1", "{hex:16030100a5010000a10303}\r\n\r\n"),
    refused(
        "the preface of HTTP/2, and then something else",
        "RFC 9113 section 3.4",
        "PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n",
    ),
    all(
        "a head without end",
        "RFC 9112 section 8 (incomplete)",
        "GET {site}/echo HTTP/1.1\r\nHost: {host}\r\n{end}",
        closed(&[], &[]),
    ),
    all("nothing at all", "RFC 9112 section 9.6", "{end}", closed(&[], &[])),
];
