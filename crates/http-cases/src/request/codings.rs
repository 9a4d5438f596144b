//! `Transfer-Encoding`: beside a length, obfuscated, or not final.

use super::{Expect, Request, all, closed, echo, kept, refused};

const BOTH: &str = "RFC 9112 section 6.3 item 3 (CL.TE, TE.CL)";
const ITEM_4: &str = "RFC 9112 section 6.3 item 4";
const UNKNOWN: &str = "RFC 9112 section 6.1 (501)";
const NAME: &str = "RFC 9112 section 5.1 (no space before the colon)";

/// A coding that nobody here knows.
const NOT_KNOWN: Expect = closed(&["501"], &[]);
const READ: Expect = kept(&["200 POST /echo = abc"], &["POST /echo = abc"]);

pub(super) const CASES: &[Request] = &[
    all(
        "chunked, then a length",
        BOTH,
        echo!(
            "POST",
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
            "GET {site}/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ),
        closed(&["200 POST /echo = abc"], &["POST /echo = abc"]),
    ),
    all(
        "a length, then chunked",
        BOTH,
        echo!(
            "POST",
            "Content-Length: 50\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "GET {site}/smuggled HTTP/1.1\r\nHost: {host}\r\n\r\n"
        ),
        closed(&["200 POST /echo"], &["POST /echo"]),
    ),
    all(
        "a length of 0, then chunked",
        BOTH,
        echo!("POST", "Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        closed(&["200 POST /echo = abc"], &["POST /echo = abc"]),
    ),
    all(
        "GET with a length, then chunked",
        BOTH,
        echo!("GET", "Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        closed(&["200 GET /echo = abc"], &["GET /echo = abc"]),
    ),
    refused(
        "no length that is one, then chunked",
        BOTH,
        echo!("POST", "Content-Length: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ),
    all(
        "chunked",
        "RFC 9112 section 7.1",
        echo!("POST", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        READ,
    ),
    all(
        "CHUNKED",
        "RFC 9112 section 7 (names are case-insensitive)",
        echo!("POST", "TRANSFER-ENCODING: CHUNKED\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        READ,
    ),
    all(
        "chunked between tabs",
        "RFC 9110 section 5.5 (OWS)",
        echo!("POST", "Transfer-Encoding:\tchunked\t\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        READ,
    ),
    all(
        "chunked without a space after the colon",
        "RFC 9112 section 5",
        echo!("POST", "Transfer-Encoding:chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        READ,
    ),
    refused(
        "chunked, identity",
        ITEM_4,
        echo!("POST", "Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"),
    ),
    refused("chunked, x", ITEM_4, echo!("POST", "Transfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n")),
    refused(
        "chunked, then identity in a field of its own",
        ITEM_4,
        echo!("POST", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    ),
    refused("xchunked", ITEM_4, echo!("POST", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n")),
    refused(
        "xchunked beside a length",
        ITEM_4,
        echo!("POST", "Content-Length: 5\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    ),
    refused("identity", ITEM_4, echo!("POST", "Transfer-Encoding: identity\r\nContent-Length: 3\r\n\r\nabc")),
    refused("gzip alone", ITEM_4, echo!("POST", "Transfer-Encoding: gzip\r\n\r\nabc")),
    refused("no coding at all", ITEM_4, echo!("POST", "Transfer-Encoding:\r\nContent-Length: 3\r\n\r\nabc")),
    refused("a quoted chunked", ITEM_4, echo!("POST", "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n")),
    refused(
        "chunked with a parameter",
        ITEM_4,
        echo!("POST", "Transfer-Encoding: chunked;a=b\r\n\r\n0\r\n\r\n"),
    ),
    refused(
        "chunked with an odd byte before it",
        ITEM_4,
        echo!("POST", "Transfer-Encoding: {hex:ff}chunked\r\n\r\n0\r\n\r\n"),
    ),
    refused(
        "chunked after a vertical tab",
        "Kettle 2019, HTTP desync attacks",
        echo!("POST", "Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n"),
    ),
    refused(
        "chunked with NUL",
        "RFC 9110 section 5.5",
        echo!("POST", "Transfer-Encoding: chunked\0\r\n\r\n0\r\n\r\n"),
    ),
    all(
        "identity, chunked",
        UNKNOWN,
        echo!("POST", "Transfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n"),
        NOT_KNOWN,
    ),
    all(
        "gzip, chunked",
        UNKNOWN,
        echo!("POST", "Transfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
        NOT_KNOWN,
    ),
    all(
        "gzip, then chunked in a field of its own",
        UNKNOWN,
        echo!("POST", "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"),
        NOT_KNOWN,
    ),
    all(
        "chunked, chunked",
        "RFC 9112 section 6.1 (not more than once)",
        echo!("POST", "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
        NOT_KNOWN,
    ),
    all(
        "chunked twice",
        "RFC 9112 section 6.1 (not more than once)",
        echo!("POST", "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        NOT_KNOWN,
    ),
    all(
        "chunked after an empty member",
        "RFC 9110 section 5.6.1.2",
        echo!("POST", "Transfer-Encoding: , chunked\r\n\r\n0\r\n\r\n"),
        NOT_KNOWN,
    ),
    refused(
        "a space before the colon of a coding",
        NAME,
        echo!("POST", "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
    ),
    refused(
        "a tab before the colon of a coding",
        NAME,
        echo!("POST", "Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n"),
    ),
    refused("a space before the colon of a length", NAME, echo!("POST", "Content-Length : 5\r\n\r\nhello")),
    refused(
        "a coding on a folded line",
        "RFC 9112 section 5.2",
        echo!("POST", "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n"),
    ),
    refused(
        "a coding behind a bare CR",
        "RFC 9112 section 2.2",
        echo!("POST", "Content-Length: 5\r\nX-Odd: x\rTransfer-Encoding: chunked\r\n\r\nhello"),
    ),
    all(
        "a coding behind a bare LF",
        "RFC 9112 section 2.2 (a line ends there)",
        echo!("POST", "X-Odd: x\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        kept(&["200"], &["POST /echo [x-odd: x] = abc"]),
    ),
    all(
        "Transfer_Encoding beside a length",
        "RFC 3875 section 4.1.18 (dashes and underscores meet in CGI)",
        echo!("POST", "Transfer_Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello"),
        kept(&["200 POST /echo = hello"], &["POST /echo = hello"]),
    ),
    all(
        "Connection names Transfer-Encoding",
        "RFC 9110 section 7.6.1; Davison 2019, abusing hop-by-hop headers",
        echo!(
            "POST",
            "Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        ),
        READ,
    ),
    refused(
        "chunked in HTTP/1.0",
        "RFC 9112 section 6.1 (faulty framing)",
        "POST {site}/echo HTTP/1.0\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ),
    refused(
        "chunked beside a length in HTTP/1.0",
        "RFC 9112 section 6.1 (faulty framing)",
        "POST {site}/echo HTTP/1.0\r\nHost: {host}\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    ),
];
