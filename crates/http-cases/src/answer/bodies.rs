//! Bodies: lengths, chunks, early ends, and bodies where there is none.

use super::{Answer, spent, usable};

const ITEM_1: &str = "RFC 9112 section 6.3 item 1 (no body)";
const ITEM_3: &str = "RFC 9112 section 6.3 item 3";
const ITEM_5: &str = "RFC 9112 section 6.3 item 5 (502)";
const CHUNKS: &str = "RFC 9112 section 7.1";
const INCOMPLETE: &str = "RFC 9112 section 8 (incomplete)";
const NOT_ITS_OWN: &str = "RFC 9112 section 6.3 (not another response)";

/// An answer with these fields and what follows.
macro_rules! ok {
    ($($rest:literal),+) => { concat!("HTTP/1.1 200 OK\r\n", $($rest),+) };
}

/// An answer with these chunks.
macro_rules! chunked {
    ($($chunks:literal),+) => { concat!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", $($chunks),+) };
}

pub(super) const CASES: &[Answer] = &[
    spent(
        "two lengths that differ",
        ITEM_5,
        ok!("Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        "502",
    ),
    spent("a list of lengths that differ", ITEM_5, ok!("Content-Length: 5, 6\r\n\r\nhello!"), "502"),
    usable(
        "two lengths alike",
        "RFC 9110 section 8.6 (one goes on)",
        ok!("Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        "200 hello",
    ),
    usable(
        "a list of lengths alike",
        "RFC 9110 section 8.6 (one goes on)",
        ok!("Content-Length: 5, 5\r\n\r\nhello"),
        "200 hello",
    ),
    spent("a length with a plus", ITEM_5, ok!("Content-Length: +5\r\n\r\nhello"), "502"),
    spent("a negative length", ITEM_5, ok!("Content-Length: -5\r\n\r\nhello"), "502"),
    spent("a hexadecimal length", ITEM_5, ok!("Content-Length: 0x5\r\n\r\nhello"), "502"),
    spent("an empty length", ITEM_5, ok!("Content-Length:\r\n\r\nhello"), "502"),
    spent("a length of 2^64 + 5", ITEM_5, ok!("Content-Length: 18446744073709551621\r\n\r\nhello"), "502"),
    spent("a length of 2^64 - 1", ITEM_5, ok!("Content-Length: 18446744073709551615\r\n\r\nhello"), "502"),
    usable(
        "a length with leading zeros",
        "RFC 9110 section 8.6",
        ok!("Content-Length: 0005\r\n\r\nhello"),
        "200 hello",
    ),
    usable(
        "a length, then chunked",
        ITEM_3,
        ok!("Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        "200 hello",
    ),
    usable(
        "chunked, then a length",
        ITEM_3,
        ok!("Transfer-Encoding: chunked\r\nContent-Length: 50\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        "200 hello",
    ),
    usable(
        "Connection names Content-Length",
        "RFC 9110 section 7.6.1",
        ok!("Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello"),
        "200 hello",
    ),
    spent("more than the length", NOT_ITS_OWN, ok!("Content-Length: 3\r\n\r\nhello"), "200 hel"),
    spent(
        "a second answer behind the first",
        NOT_ITS_OWN,
        ok!("Content-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
        "200 hello",
    ),
    spent(
        "a second answer behind chunks",
        NOT_ITS_OWN,
        chunked!("5\r\nhello\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
        "200 hello",
    ),
    spent(
        "empty lines behind an answer",
        NOT_ITS_OWN,
        ok!("Content-Length: 5\r\n\r\nhello\r\n\r\n"),
        "200 hello",
    ),
    spent("less than the length", INCOMPLETE, ok!("Content-Length: 9\r\n\r\nhello{end}"), "200 (broken)"),
    spent("no framing: until the end", "RFC 9112 section 6.3 item 8", ok!("\r\nhello{end}"), "200 hello"),
    spent(
        "no framing in HTTP/1.0",
        "RFC 9112 section 6.3 item 8",
        "HTTP/1.0 200 OK\r\n\r\nhello{end}",
        "200 hello",
    ),
    spent(
        "Connection: close",
        "RFC 9112 section 9.6",
        ok!("Connection: close\r\nContent-Length: 5\r\n\r\nhello"),
        "200 hello",
    ),
    spent(
        "close among others, and keep-alive behind it",
        "RFC 9112 section 9.3",
        ok!("Connection: x, close\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello"),
        "200 hello",
    ),
    spent(
        "HTTP/1.0 without keep-alive",
        "RFC 9112 section 9.3",
        "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "200 hello",
    ),
    usable("chunks", CHUNKS, chunked!("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n"), "200 hello!"),
    usable(
        "chunk extensions",
        "RFC 9112 section 7.1.1",
        chunked!("5;a=\"b\"\r\nhello\r\n0;c\r\n\r\n"),
        "200 hello",
    ),
    usable("a trailer", "RFC 9112 section 7.1.2", chunked!("5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"), "200 hello"),
    usable(
        "trailers that frame",
        "RFC 9110 section 6.5.1",
        ok!(
            "Trailer: Content-Length\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nContent-Length: 50\r\n\r\n"
        ),
        "200 hello",
    ),
    spent("a chunk size that is no number", CHUNKS, chunked!("5\r\nhello\r\ng\r\n\r\n"), "200 (broken)"),
    spent(
        "a chunk size of 2^64 + 3",
        "RFC 9112 section 7.1 (overflow)",
        chunked!("5\r\nhello\r\n10000000000000003\r\nabc\r\n0\r\n\r\n"),
        "200 (broken)",
    ),
    spent("a negative chunk size", CHUNKS, chunked!("5\r\nhello\r\n-3\r\nabc\r\n0\r\n\r\n"), "200 (broken)"),
    spent("a chunk size with 0x", CHUNKS, chunked!("5\r\nhello\r\n0x3\r\nabc\r\n0\r\n\r\n"), "200 (broken)"),
    spent("a chunk that ends with nothing", CHUNKS, chunked!("5\r\nhello0\r\n\r\n"), "200 (broken)"),
    spent("a chunk that ends with LF", CHUNKS, chunked!("5\r\nhello\n0\r\n\r\n"), "200 (broken)"),
    spent("a chunk size that ends with LF", CHUNKS, chunked!("5\nhello\r\n0\r\n\r\n"), "200 (broken)"),
    spent(
        "a bare LF in a chunk extension",
        CHUNKS,
        chunked!("5\r\nhello\r\n1;a\nb\r\n0\r\n\r\n"),
        "200 (broken)",
    ),
    spent(
        "a chunk extension without end",
        "RFC 9112 section 7.1.1 (limits)",
        chunked!("5\r\nhello\r\n1;{a*300000}"),
        "200 (broken)",
    ),
    spent(
        "a trailer of 20 kB",
        "RFC 9112 section 7.1.2 (limits)",
        chunked!("5\r\nhello\r\n0\r\nX-T: {a*20000}\r\n\r\n"),
        "200 (broken)",
    ),
    spent(
        "a trailer on a folded line",
        "RFC 9112 section 5.2",
        chunked!("5\r\nhello\r\n0\r\nX-T: 1\r\n 2\r\n\r\n"),
        "200 (broken)",
    ),
    spent("a chunk that is cut off", INCOMPLETE, chunked!("9\r\nhello{end}"), "200 (broken)"),
    spent("no last chunk", INCOMPLETE, chunked!("5\r\nhello\r\n{end}"), "200 (broken)"),
    spent("no end after the last chunk", INCOMPLETE, chunked!("5\r\nhello\r\n0\r\n{end}"), "200 (broken)"),
    usable(
        "gzip, chunked",
        "RFC 9112 section 6.1",
        ok!("Transfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        "502",
    ),
    usable(
        "chunked twice",
        "RFC 9112 section 6.1 (not more than once)",
        ok!("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
        "502",
    ),
    spent(
        "xchunked",
        "RFC 9112 section 6.1",
        ok!("Transfer-Encoding: xchunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n{end}"),
        "502",
    ),
    spent(
        "chunked, identity",
        "RFC 9112 section 6.1",
        ok!("Transfer-Encoding: chunked, identity\r\n\r\n5\r\nhello\r\n0\r\n\r\n{end}"),
        "502",
    ),
    spent(
        "chunked in HTTP/1.0",
        "RFC 9112 section 6.1 (faulty framing)",
        "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "502",
    ),
    Answer {
        method: "HEAD",
        ..usable(
            "two lengths that differ, to HEAD",
            "RFC 9110 section 8.6 (none goes on)",
            ok!("Content-Length: 5\r\nContent-Length: 6\r\n\r\n"),
            "200",
        )
    },
    usable(
        "304 with a list of lengths",
        "RFC 9110 section 8.6 (none goes on)",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5, 6\r\n\r\n",
        "304",
    ),
    Answer {
        method: "HEAD",
        ..usable("a length in an answer to HEAD", ITEM_1, ok!("Content-Length: 5\r\n\r\n"), "200")
    },
    Answer {
        method: "HEAD",
        ..usable("chunked in an answer to HEAD", ITEM_1, ok!("Transfer-Encoding: chunked\r\n\r\n"), "200")
    },
    Answer {
        method: "HEAD",
        ..spent("a body in an answer to HEAD", NOT_ITS_OWN, ok!("Content-Length: 5\r\n\r\nhello"), "200")
    },
    Answer {
        method: "HEAD",
        ..spent(
            "an answer in the body of one to HEAD",
            NOT_ITS_OWN,
            ok!("Content-Length: 45\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"),
            "200",
        )
    },
    usable(
        "204 with a length",
        "RFC 9110 section 8.6 (none in a 204)",
        "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        "204",
    ),
    usable(
        "204 with chunked",
        "RFC 9112 section 6.1 (none in a 204)",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n",
        "204",
    ),
    spent("204 with a body", NOT_ITS_OWN, "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello", "204"),
    usable(
        "304 with a length",
        "RFC 9110 section 8.6",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
        "304",
    ),
    spent(
        "304 with a body",
        NOT_ITS_OWN,
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello",
        "304",
    ),
    usable("an empty body", "RFC 9110 section 8.6", ok!("Content-Length: 0\r\n\r\n"), "200 "),
];
