//! Several requests on a connection, bodies where none are usual, and answers that come before a body.

use super::{Request, all, closed, echo, kept, refused};

const PIPELINE: &str = "RFC 9112 section 9.3.2";
const CLOSE: &str = "RFC 9112 section 9.6 (nothing after close)";
const NO_MEANING: &str = "RFC 9110 section 9.3.1 (a body without meaning)";

/// A request without a body.
macro_rules! get {
    ($path:literal) => {
        concat!("GET {site}", $path, " HTTP/1.1\r\nHost: {host}\r\n\r\n")
    };
}

pub(super) const CASES: &[Request] = &[
    all(
        "three requests at once",
        PIPELINE,
        concat!(get!("/echo/1"), get!("/echo/2"), get!("/echo/3")),
        kept(
            &["200 GET /echo/1", "200 GET /echo/2", "200 GET /echo/3"],
            &["GET /echo/1", "GET /echo/2", "GET /echo/3"],
        ),
    ),
    all(
        "a body, and a request behind it",
        PIPELINE,
        concat!(echo!("POST", "Content-Length: 5\r\n\r\nhello"), get!("/echo/2")),
        kept(&["200 POST /echo = hello", "200 GET /echo/2"], &["POST /echo = hello", "GET /echo/2"]),
    ),
    all(
        "a request, and no request behind it",
        PIPELINE,
        concat!(get!("/echo/1"), "nonsense\r\n\r\n", get!("/echo/3")),
        closed(&["200 GET /echo/1", "400"], &["GET /echo/1"]),
    ),
    refused(
        "a request behind one that is refused",
        "RFC 9112 section 9.3.2; section 9.6",
        concat!(echo!("POST", "Content-Length: x\r\n\r\n"), get!("/echo/2")),
    ),
    all(
        "a request behind one that says close",
        CLOSE,
        concat!(echo!("GET", "Connection: close\r\n\r\n"), get!("/echo/2")),
        closed(&["200 GET /echo"], &["GET /echo"]),
    ),
    all(
        "close among others, and keep-alive behind it",
        "RFC 9112 section 9.3",
        concat!(echo!("GET", "Connection: x-mine, Close\r\nConnection: keep-alive\r\n\r\n"), get!("/echo/2")),
        closed(&["200 GET /echo"], &["GET /echo"]),
    ),
    all(
        "a request behind one of HTTP/1.0",
        "RFC 9112 section 9.3",
        concat!("GET {site}/echo HTTP/1.0\r\nHost: {host}\r\n\r\n", get!("/echo/2")),
        closed(&["200 GET /echo"], &["GET /echo"]),
    ),
    all(
        "HTTP/1.0 with keep-alive",
        "RFC 9112 appendix C.2.2",
        "GET {site}/echo HTTP/1.0\r\nHost: {host}\r\nConnection: keep-alive\r\n\r\n",
        kept(&["200 GET /echo"], &["GET /echo"]),
    ),
    all(
        "HTTP/1.0 with a body",
        "RFC 1945 section 7.2",
        "POST {site}/echo HTTP/1.0\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello",
        closed(&["200 POST /echo = hello"], &["POST /echo = hello"]),
    ),
    all(
        "GET with a body",
        NO_MEANING,
        echo!("GET", "Content-Length: 5\r\n\r\nhello"),
        kept(&["200 GET /echo = hello"], &["GET /echo = hello"]),
    ),
    all(
        "GET with chunks",
        NO_MEANING,
        echo!("GET", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        kept(&["200 GET /echo = abc"], &["GET /echo = abc"]),
    ),
    all(
        "HEAD with a body",
        "RFC 9110 section 9.3.2",
        concat!(echo!("HEAD", "Content-Length: 5\r\n\r\nhello"), get!("/echo/2")),
        kept(&["HEAD 200", "200 GET /echo/2"], &["HEAD /echo = hello", "GET /echo/2"]),
    ),
    all(
        "HEAD with chunks",
        "RFC 9110 section 9.3.2",
        concat!(echo!("HEAD", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), get!("/echo/2")),
        kept(&["HEAD 200", "200 GET /echo/2"], &["HEAD /echo = abc", "GET /echo/2"]),
    ),
    all(
        "204, for which a handler has a body",
        "RFC 9110 section 15.3.5",
        concat!(get!("/echo/204"), get!("/echo/2")),
        kept(&["204", "200 GET /echo/2"], &["GET /echo/204", "GET /echo/2"]),
    ),
    all(
        "304, for which a handler has a body",
        "RFC 9110 section 15.4.5",
        concat!(get!("/echo/304"), get!("/echo/2")),
        kept(&["304", "200 GET /echo/2"], &["GET /echo/304", "GET /echo/2"]),
    ),
    all(
        "DELETE with a body",
        "RFC 9110 section 9.3.5",
        echo!("DELETE", "Content-Length: 5\r\n\r\nhello"),
        kept(&["200 DELETE /echo = hello"], &["DELETE /echo = hello"]),
    ),
    all(
        "OPTIONS with a body",
        "RFC 9110 section 9.3.7",
        echo!("OPTIONS", "Content-Length: 5\r\n\r\nhello"),
        kept(&["200 OPTIONS /echo = hello"], &["OPTIONS /echo = hello"]),
    ),
    Request {
        together: true,
        server: kept(&["200 0123456789", "200 0123456789"], &[]),
        ..all(
            "a body that files don't read, and a request behind it",
            "RFC 9112 section 9.3 (read or close)",
            concat!(
                "GET {site}/ten.txt HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\n\r\nhello",
                get!("/ten.txt")
            ),
            kept(&["200", "200"], &["GET /ten.txt = hello", "GET /ten.txt"]),
        )
    },
    Request {
        together: true,
        server: kept(&["405", "200 GET /echo/2"], &[]),
        ..all(
            "a body that is refused, and a request behind it",
            "RFC 9112 section 9.3 (read or close)",
            concat!(
                "POST {site}/ten.txt HTTP/1.1\r\nHost: {host}\r\nContent-Length: 38\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: abcd\r\n\r\n",
                get!("/echo/2")
            ),
            kept(
                &["200", "200 GET /echo/2"],
                &["POST /ten.txt = GET /smuggled HTTP/1.1\r\nHost: abcd\r\n\r\n", "GET /echo/2"],
            ),
        )
    },
    Request {
        together: true,
        server: closed(&["405"], &[]),
        proxy: closed(&["400"], &[]),
        forward: Some(closed(&["400"], &[])),
        ..all(
            "a body that is refused and never comes",
            "RFC 9110 section 9.3 and RFC 9112 section 9.6",
            "POST {site}/ten.txt HTTP/1.1\r\nHost: {host}\r\nContent-Length: 1000000\r\n\r\nhello{end}",
            closed(&[], &[]),
        )
    },
    Request {
        // The expectation goes on (section 10.1.1); the client is asked for its body meanwhile.
        forward: Some(kept(&["100", "200"], &["POST /echo [expect: 100-continue] = hello"])),
        ..all(
            "Expect: 100-continue",
            "RFC 9110 section 10.1.1",
            echo!("POST", "Expect: 100-continue\r\nContent-Length: 5\r\n\r\n{answer}hello"),
            kept(&["100", "200 POST /echo = hello"], &["POST /echo = hello"]),
        )
    },
    Request {
        forward: Some(kept(&["100", "200"], &["POST /echo [expect: 100-Continue] = abc"])),
        ..all(
            "Expect: 100-Continue, with chunks",
            "RFC 9110 section 10.1.1 (case-insensitive)",
            echo!(
                "POST",
                "Expect: 100-Continue\r\nTransfer-Encoding: chunked\r\n\r\n{answer}3\r\nabc\r\n0\r\n\r\n"
            ),
            kept(&["100", "200 POST /echo = abc"], &["POST /echo = abc"]),
        )
    },
    Request {
        forward: Some(kept(&["200"], &["GET /echo [expect: 100-continue]"])),
        ..all(
            "Expect without a body",
            "RFC 9110 section 10.1.1 (to be ignored)",
            echo!("GET", "Expect: 100-continue\r\n\r\n"),
            kept(&["200 GET /echo"], &["GET /echo"]),
        )
    },
    Request {
        forward: Some(closed(&["200"], &["POST /echo [expect: 100-continue] = hello"])),
        ..all(
            "Expect in HTTP/1.0",
            "RFC 9110 section 10.1.1 (to be ignored)",
            "POST {site}/echo HTTP/1.0\r\nHost: {host}\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\nhello",
            closed(&["200 POST /echo = hello"], &["POST /echo = hello"]),
        )
    },
    Request {
        forward: Some(kept(&["200"], &["POST /echo [expect: 200-ok] = hello"])),
        ..all(
            "another expectation",
            "RFC 9110 section 10.1.1 (may be 417)",
            echo!("POST", "Expect: 200-ok\r\nContent-Length: 5\r\n\r\nhello"),
            kept(&["200 POST /echo = hello"], &["POST /echo = hello"]),
        )
    },
];
