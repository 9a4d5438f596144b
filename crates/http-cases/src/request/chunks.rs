//! The chunks of a body: sizes, extensions, ends of lines, trailers.

use super::{Expect, Request, all, echo, kept, refused};

const SIZE: &str = "RFC 9112 section 7.1 (1*HEXDIG)";
const ENDS: &str = "RFC 9112 section 7.1 (CRLF); Weikop 2025, funky chunks";
const EXTENSION: &str = "RFC 9112 section 7.1.1";
const TRAILERS: &str = "RFC 9112 section 7.1.2";

/// A request for `/echo` with these chunks.
macro_rules! chunked {
    ($($chunks:literal),+) => { echo!("POST", "Transfer-Encoding: chunked\r\n\r\n", $($chunks),+) };
}

const READ: Expect = kept(&["200 POST /echo = abc"], &["POST /echo = abc"]);

pub(super) const CASES: &[Request] = &[
    all(
        "several chunks, sizes in both cases",
        SIZE,
        chunked!("a\r\n0123456789\r\nA\r\nabcdefghij\r\n0\r\n\r\n"),
        kept(&["200 POST /echo = 0123456789abcdefghij"], &["POST /echo = 0123456789abcdefghij"]),
    ),
    all("a chunk size with leading zeros", SIZE, chunked!("0003\r\nabc\r\n0000\r\n\r\n"), READ),
    all("a chunk size with many leading zeros", SIZE, chunked!("{0*60}3\r\nabc\r\n0\r\n\r\n"), READ),
    refused(
        "a chunk size of 2^64 + 3",
        "RFC 9112 section 7.1 (overflow); CVE-2013-2028",
        chunked!("10000000000000003\r\nabc\r\n0\r\n\r\n"),
    ),
    refused(
        "a chunk size of 2^64 - 1",
        "RFC 9112 section 7.1 (overflow)",
        chunked!("ffffffffffffffff\r\nabc\r\n0\r\n\r\n{end}"),
    ),
    refused("a negative chunk size", SIZE, chunked!("-3\r\nabc\r\n0\r\n\r\n")),
    refused("a chunk size with a plus", SIZE, chunked!("+3\r\nabc\r\n0\r\n\r\n")),
    refused("a chunk size with an underscore", SIZE, chunked!("0_3\r\nabc\r\n0\r\n\r\n")),
    refused("a chunk size with 0x", SIZE, chunked!("0x3\r\nabc\r\n0\r\n\r\n")),
    refused("a chunk size with a fraction", SIZE, chunked!("3.0\r\nabc\r\n0\r\n\r\n")),
    refused("a chunk size that is no number", SIZE, chunked!("g\r\nabc\r\n0\r\n\r\n")),
    refused("an empty chunk size", SIZE, chunked!("\r\nabc\r\n0\r\n\r\n")),
    refused("a space before a chunk size", SIZE, chunked!(" 3\r\nabc\r\n0\r\n\r\n")),
    refused("NUL after a chunk size", SIZE, chunked!("3\0\r\nabc\r\n0\r\n\r\n")),
    refused("a chunk size in other digits", SIZE, chunked!("{hex:d9a3}\r\nabc\r\n0\r\n\r\n")),
    all(
        "a space after a chunk size",
        "RFC 9112 section 7.1.1 (BWS)",
        chunked!("3 \r\nabc\r\n0\r\n\r\n"),
        READ,
    ),
    refused("digits after a space", SIZE, chunked!("3 3\r\nabc\r\n0\r\n\r\n")),
    all("a chunk extension", EXTENSION, chunked!("3;a=b;c=\"d\"\r\nabc\r\n0;e\r\n\r\n"), READ),
    all(
        "a chunk extension after spaces",
        "RFC 9112 section 7.1.1 (BWS)",
        chunked!("3 ; a = b\r\nabc\r\n0\r\n\r\n"),
        READ,
    ),
    all("an empty chunk extension", EXTENSION, chunked!("3;\r\nabc\r\n0\r\n\r\n"), READ),
    refused(
        "a chunk extension of 20 kB",
        "RFC 9112 section 7.1.1 (limits)",
        chunked!("3;{a*20000}\r\nabc\r\n0\r\n\r\n"),
    ),
    refused(
        "a chunk extension without end",
        "RFC 9112 section 7.1.1 (limits); CVE-2023-39326",
        chunked!("3;{a*300000}"),
    ),
    refused(
        "chunk extensions of 20 kB in all",
        "RFC 9112 section 7.1.1 (limits); CVE-2023-39326",
        chunked!("{1;aaaaaaaaaaaaaaaaaaa\r\nb\r\n*1100}0\r\n\r\n"),
    ),
    refused("a bare LF in a chunk extension", ENDS, chunked!("3;a\nabc\r\n0\r\n\r\n")),
    refused("a bare CR in a chunk extension", ENDS, chunked!("3;a\rb\r\nabc\r\n0\r\n\r\n")),
    refused("a quoted CRLF in a chunk extension", ENDS, chunked!("3;a=\"\r\n\"\r\nabc\r\n0\r\n\r\n")),
    refused("a chunk size that ends with LF", ENDS, chunked!("3\nabc\r\n0\r\n\r\n")),
    refused("a chunk size that ends with CR", ENDS, chunked!("3\rabc\r\n0\r\n\r\n")),
    refused("a chunk that ends with LF", ENDS, chunked!("3\r\nabc\n0\r\n\r\n")),
    refused("a chunk that ends with CR", ENDS, chunked!("3\r\nabc\r0\r\n\r\n")),
    refused("a chunk that ends with nothing", ENDS, chunked!("3\r\nabc0\r\n\r\n")),
    refused("a chunk that ends with two other bytes", ENDS, chunked!("3\r\nabcXX0\r\n\r\n")),
    refused("a chunk longer than its size", ENDS, chunked!("3\r\nabcd\r\n0\r\n\r\n")),
    refused("a chunk shorter than its size", ENDS, chunked!("4\r\nabc\r\n0\r\n\r\n")),
    refused("a last chunk that ends with LF", ENDS, chunked!("3\r\nabc\r\n0\n\n")),
    refused("an end that is none after the last chunk", ENDS, chunked!("3\r\nabc\r\n0\r\n\rX")),
    refused("no end after the last chunk", "RFC 9112 section 8", chunked!("3\r\nabc\r\n0\r\n{end}")),
    refused("a chunk that is cut off", "RFC 9112 section 8", chunked!("9\r\nabc{end}")),
    refused("no last chunk", "RFC 9112 section 8", chunked!("3\r\nabc\r\n{end}")),
    all(
        "a request after the last chunk",
        "RFC 9112 section 9.3.2",
        chunked!("3\r\nabc\r\n0\r\n\r\nGET {site}/echo/b HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        kept(&["200 POST /echo = abc", "200 GET /echo/b"], &["POST /echo = abc", "GET /echo/b"]),
    ),
    all(
        "what looks like an end within a chunk",
        "RFC 9112 section 7.1",
        chunked!("12\r\n0\r\n\r\nGET /smuggled\r\n0\r\n\r\n"),
        kept(&["200 POST /echo = 0\r\n\r\nGET /smuggled"], &["POST /echo = 0\r\n\r\nGET /smuggled"]),
    ),
    Request {
        server: kept(&["200 POST /echo = abc + x-t: 1"], &[]),
        ..all("a trailer", TRAILERS, chunked!("3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"), READ)
    },
    Request {
        server: kept(&["200 POST /echo = abc + x-t: 1"], &[]),
        proxy: kept(
            &["200 POST /echo [trailer: X-T] = abc + x-t: 1"],
            &["POST /echo [trailer: X-T] = abc + x-t: 1"],
        ),
        ..all(
            "a trailer that was announced",
            "RFC 9110 section 6.6.2",
            echo!(
                "POST",
                "Trailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n"
            ),
            READ,
        )
    },
    Request {
        server: kept(
            &["200 POST /echo = abc + content-length: 50 + transfer-encoding: x + host: evil.test"],
            &[],
        ),
        proxy: kept(
            &["200 POST /echo [trailer: Content-Length, Transfer-Encoding, Host] = abc"],
            &["POST /echo [trailer: Content-Length, Transfer-Encoding, Host] = abc"],
        ),
        ..all(
            "trailers that frame and route",
            "RFC 9110 section 6.5.1",
            echo!(
                "POST",
                "Trailer: Content-Length, Transfer-Encoding, Host\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nContent-Length: 50\r\nTransfer-Encoding: x\r\nHost: evil.test\r\n\r\n"
            ),
            READ,
        )
    },
    refused("a trailer on a folded line", TRAILERS, chunked!("3\r\nabc\r\n0\r\nX-T: 1\r\n 2\r\n\r\n")),
    refused("a trailer without a colon", TRAILERS, chunked!("3\r\nabc\r\n0\r\nX-T\r\n\r\n")),
    refused(
        "a trailer with a space before the colon",
        TRAILERS,
        chunked!("3\r\nabc\r\n0\r\nX-T : 1\r\n\r\n"),
    ),
    refused("a trailer behind a bare CR", TRAILERS, chunked!("3\r\nabc\r\n0\r\nX-T: 1\rX-U: 2\r\n\r\n")),
    refused("a trailer behind a bare LF", TRAILERS, chunked!("3\r\nabc\r\n0\r\nX-T: 1\nX-U: 2\r\n\r\n")),
    refused("a trailer with NUL", TRAILERS, chunked!("3\r\nabc\r\n0\r\nX-T: \0\r\n\r\n")),
    refused(
        "a trailer of 20 kB",
        "RFC 9112 section 7.1.2 (limits)",
        chunked!("3\r\nabc\r\n0\r\nX-T: {a*20000}\r\n\r\n"),
    ),
    refused(
        "200 trailers",
        "RFC 9112 section 7.1.2 (limits)",
        chunked!("3\r\nabc\r\n0\r\n{X-T: 1\r\n*200}\r\n"),
    ),
];
