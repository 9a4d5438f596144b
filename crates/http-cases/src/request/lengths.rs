//! `Content-Length`: lengths that contradict each other, or are none.

use super::{Request, all, closed, echo, kept, refused};

const ITEM_5: &str = "RFC 9112 section 6.3 item 5";
const DIGITS: &str = "RFC 9110 section 8.6 (1*DIGIT)";

pub(super) const CASES: &[Request] = &[
    refused(
        "two lengths that differ",
        ITEM_5,
        echo!("POST", "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
    ),
    refused(
        "two lengths that differ, the first 0",
        ITEM_5,
        echo!("POST", "Content-Length: 0\r\nContent-Length: 30\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\nabcd"),
    ),
    all(
        "two lengths alike",
        "RFC 9110 section 8.6 (replaced by one)",
        echo!("POST", "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
        kept(&["200 POST /echo = hello"], &["POST /echo = hello"]),
    ),
    refused("a list of lengths that differ", ITEM_5, echo!("POST", "Content-Length: 5, 6\r\n\r\nhello!")),
    refused(
        "a list of lengths alike",
        "RFC 9110 section 8.6 (may be refused)",
        echo!("POST", "Content-Length: 5, 5\r\n\r\nhello"),
    ),
    refused("a length with a plus", DIGITS, echo!("POST", "Content-Length: +5\r\n\r\nhello")),
    refused("a negative length", DIGITS, echo!("POST", "Content-Length: -5\r\n\r\nhello")),
    refused("a hexadecimal length", DIGITS, echo!("POST", "Content-Length: 0x5\r\n\r\nhello")),
    refused("a length with a fraction", DIGITS, echo!("POST", "Content-Length: 5.0\r\n\r\nhello")),
    refused("a length with an exponent", DIGITS, echo!("POST", "Content-Length: 5e0\r\n\r\nhello")),
    refused("a length with an underscore", DIGITS, echo!("POST", "Content-Length: 0_5\r\n\r\nhello")),
    refused("a length with a space in it", DIGITS, echo!("POST", "Content-Length: 0 5\r\n\r\nhello")),
    refused("a quoted length", DIGITS, echo!("POST", "Content-Length: \"5\"\r\n\r\nhello")),
    refused("an empty length", DIGITS, echo!("POST", "Content-Length:\r\n\r\nhello")),
    refused(
        "a length in other digits (U+0665)",
        DIGITS,
        echo!("POST", "Content-Length: {hex:d9a5}\r\n\r\nhello"),
    ),
    refused("a length with a vertical tab", DIGITS, echo!("POST", "Content-Length: \x0b5\r\n\r\nhello")),
    refused(
        "a length of 2^64 + 5",
        "RFC 9110 section 8.6 (large values)",
        echo!("POST", "Content-Length: 18446744073709551621\r\n\r\nhello"),
    ),
    all(
        "a length of 2^64 - 1",
        "RFC 9110 section 8.6 (large values)",
        echo!("POST", "Content-Length: 18446744073709551615\r\n\r\nhello"),
        closed(&["400|413|431"], &[]),
    ),
    all(
        "a length with leading zeros",
        DIGITS,
        echo!("POST", "Content-Length: 0005\r\n\r\nhello"),
        kept(&["200 POST /echo = hello"], &["POST /echo = hello"]),
    ),
    all(
        "a length between tabs",
        "RFC 9110 section 5.5 (OWS)",
        echo!("POST", "Content-Length:\t5\t\r\n\r\nhello"),
        kept(&["200 POST /echo = hello"], &["POST /echo = hello"]),
    ),
    all(
        "a body that ends before its length",
        "RFC 9112 section 8",
        echo!("POST", "Content-Length: 9\r\n\r\nhello{end}"),
        closed(&["400"], &[]),
    ),
    all(
        "no length and no coding: no body",
        "RFC 9112 section 6.3 item 7",
        echo!("POST", "\r\nGET {site}/echo/b HTTP/1.1\r\nHost: {host}\r\n\r\n"),
        kept(&["200 POST /echo", "200 GET /echo/b"], &["POST /echo", "GET /echo/b"]),
    ),
    all(
        "a body longer than its length is the next request",
        "RFC 9112 section 6.3",
        echo!("POST", "Content-Length: 5\r\n\r\nhello\0\r\n\r\n"),
        closed(&["200 POST /echo = hello", "400"], &["POST /echo = hello"]),
    ),
    all(
        "a request in a body stays a body",
        "RFC 9112 section 6.3 item 6",
        echo!("POST", "Content-Length: 35\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"),
        kept(
            &["200 POST /echo = GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"],
            &["POST /echo = GET /smuggled HTTP/1.1\r\nHost: t\r\n\r\n"],
        ),
    ),
    all(
        "Connection names Content-Length",
        "RFC 9110 section 7.6.1; Davison 2019, abusing hop-by-hop headers",
        echo!("POST", "Connection: Content-Length\r\nContent-Length: 5\r\n\r\nhello"),
        kept(&["200 POST /echo = hello"], &["POST /echo = hello"]),
    ),
    all(
        "Content_Length beside a length",
        "RFC 3875 section 4.1.18 (dashes and underscores meet in CGI)",
        echo!("POST", "Content_Length: 9\r\nContent-Length: 5\r\n\r\nhello"),
        kept(&["200 POST /echo = hello"], &["POST /echo = hello"]),
    ),
];
