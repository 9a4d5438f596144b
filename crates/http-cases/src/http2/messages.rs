//! Requests that are malformed, and such as only look it: RFC 9113 section 8.

use super::frame::*;
use super::{Case, Field::*, Outcome, Outcome::*, Payload, Step::*, case};

/// An error of the stream; the connection may be given up as well.
const MALFORMED: &[Outcome] = &[Reset(1, PROTOCOL_ERROR), GoAway(PROTOCOL_ERROR)];

/// Or an answer that says so (RFC 9113 section 8.1.1).
const REFUSED: &[Outcome] = &[Reset(1, PROTOCOL_ERROR), GoAway(PROTOCOL_ERROR), Answer(1, 400)];

pub(super) const CASES: &[Case] = &[
    // The order of frames.
    case(
        "a second HEADERS that does not end the stream",
        "RFC 9113 section 8.1",
        &[
            headers(HEAD, 1, &[POST]),
            data(NONE, 1, b"test"),
            headers(HEAD, 1, &[&[Is("x-check", "ok")]]),
            data(END, 1, b""),
        ],
        MALFORMED,
    ),
    case(
        "trailers after trailers",
        "RFC 9113 section 8.1",
        &[
            headers(HEAD, 1, &[HANG]),
            headers(WHOLE, 1, &[&[Is("x", "1")]]),
            headers(WHOLE, 1, &[&[Is("x", "2")]]),
        ],
        &[Reset(1, STREAM_CLOSED), GoAway(STREAM_CLOSED), Reset(1, PROTOCOL_ERROR), GoAway(PROTOCOL_ERROR)],
    ),
    // Names and values.
    case(
        "a name in capitals",
        "RFC 9113 section 8.2.1",
        &[headers(WHOLE, 1, &[GET, &[Is("X-Test", "ok")]])],
        MALFORMED,
    ),
    case("an empty name", "RFC 9113 section 8.2.1", &[headers(WHOLE, 1, &[GET, &[Is("", "ok")]])], MALFORMED),
    case(
        "a name with a space",
        "RFC 9113 section 8.2.1",
        &[headers(WHOLE, 1, &[GET, &[Is("x test", "ok")]])],
        MALFORMED,
    ),
    case(
        "a name with a line end",
        "RFC 9113 section 8.2.1",
        &[headers(WHOLE, 1, &[GET, &[Is("x-a\r\nx-b", "ok")]])],
        MALFORMED,
    ),
    case(
        "a name with a colon",
        "RFC 9113 section 8.2.1",
        &[headers(WHOLE, 1, &[GET, &[Is("x-a: b", "ok")]])],
        MALFORMED,
    ),
    case(
        "a name that is not ASCII",
        "RFC 9113 section 8.2.1",
        &[headers(WHOLE, 1, &[GET, &[Is("x-\u{e4}", "ok")]])],
        MALFORMED,
    ),
    case(
        "a value with CR and LF",
        "RFC 9113 section 8.2.1",
        &[headers(WHOLE, 1, &[GET, &[Is("x-test", "a\r\nb: c")]])],
        MALFORMED,
    ),
    case(
        "a value with LF",
        "RFC 9113 section 8.2.1",
        &[headers(WHOLE, 1, &[GET, &[Is("x-test", "a\nb")]])],
        MALFORMED,
    ),
    case(
        "a value with CR",
        "RFC 9113 section 8.2.1",
        &[headers(WHOLE, 1, &[GET, &[Is("x-test", "a\rb")]])],
        MALFORMED,
    ),
    case(
        "a value with NUL",
        "RFC 9113 section 8.2.1",
        &[headers(WHOLE, 1, &[GET, &[Raw("x-test", b"a\0b")]])],
        MALFORMED,
    ),
    case(
        "a value of bytes above 0x7f",
        "RFC 9110 section 5.5",
        &[headers(WHOLE, 1, &[GET, &[Raw("x-test", b"\xc3\xa4\xff")]])],
        &[Answer(1, 200)],
    ),
    case(
        "an empty value",
        "RFC 9110 section 5.5",
        &[headers(WHOLE, 1, &[GET, &[Is("x-test", "")]])],
        &[Answer(1, 200)],
    ),
    // Fields that are a connection's.
    case(
        "Connection",
        "RFC 9113 section 8.2.2",
        &[headers(WHOLE, 1, &[GET, &[Is("connection", "keep-alive")]])],
        MALFORMED,
    ),
    case(
        "Keep-Alive",
        "RFC 9113 section 8.2.2",
        &[headers(WHOLE, 1, &[GET, &[Is("keep-alive", "timeout=5")]])],
        MALFORMED,
    ),
    case(
        "Proxy-Connection",
        "RFC 9113 section 8.2.2",
        &[headers(WHOLE, 1, &[GET, &[Is("proxy-connection", "keep-alive")]])],
        MALFORMED,
    ),
    case(
        "Transfer-Encoding",
        "RFC 9113 section 8.2.2",
        &[headers(HEAD, 1, &[POST, &[Is("transfer-encoding", "chunked")]]), data(END, 1, b"0\r\n\r\n")],
        MALFORMED,
    ),
    case(
        "Upgrade",
        "RFC 9113 section 8.2.2",
        &[headers(WHOLE, 1, &[GET, &[Is("upgrade", "h2c")]])],
        MALFORMED,
    ),
    case(
        "TE with trailers",
        "RFC 9113 section 8.2.2",
        &[headers(WHOLE, 1, &[GET, &[Is("te", "trailers")]])],
        &[Answer(1, 200)],
    ),
    case(
        "TE with more than trailers",
        "RFC 9113 section 8.2.2",
        &[headers(WHOLE, 1, &[GET, &[Is("te", "trailers, deflate")]])],
        MALFORMED,
    ),
    case(
        "Cookie in several fields",
        "RFC 9113 section 8.2.3",
        &[headers(WHOLE, 1, &[GET, &[Is("cookie", "a=b"), Is("cookie", "c=d")]])],
        &[Answer(1, 200)],
    ),
    // Pseudo-fields.
    case(
        "an unknown pseudo-field",
        "RFC 9113 section 8.3",
        &[headers(WHOLE, 1, &[GET, &[Is(":test", "ok")]])],
        MALFORMED,
    ),
    case(
        "a pseudo-field of answers",
        "RFC 9113 section 8.3",
        &[headers(WHOLE, 1, &[GET, &[Is(":status", "200")]])],
        MALFORMED,
    ),
    case(
        "a pseudo-field in trailers",
        "RFC 9113 section 8.3",
        &[headers(HEAD, 1, &[POST]), data(NONE, 1, b"test"), headers(WHOLE, 1, &[&[Is(":method", "POST")]])],
        // h2 leaves it out, and goes on.
        &[Reset(1, PROTOCOL_ERROR), GoAway(PROTOCOL_ERROR), Answer(1, 200)],
    ),
    case(
        "a pseudo-field after others",
        "RFC 9113 section 8.3",
        &[headers(
            WHOLE,
            1,
            &[&[
                Is(":method", "GET"),
                Is(":scheme", "http"),
                Is(":authority", "site.test"),
                Is("x-test", "ok"),
                Is(":path", "/"),
            ]],
        )],
        MALFORMED,
    ),
    case(
        "an empty :path",
        "RFC 9113 section 8.3.1",
        &[headers(
            WHOLE,
            1,
            &[&[Is(":method", "GET"), Is(":scheme", "http"), Is(":path", ""), Is(":authority", "site.test")]],
        )],
        REFUSED,
    ),
    case(
        "no :method",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[&[Is(":scheme", "http"), Is(":path", "/"), Is(":authority", "site.test")]])],
        MALFORMED,
    ),
    case(
        "no :scheme",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[&[Is(":method", "GET"), Is(":path", "/"), Is(":authority", "site.test")]])],
        MALFORMED,
    ),
    case(
        "no :path",
        "RFC 9113 section 8.3.1",
        &[headers(
            WHOLE,
            1,
            &[&[Is(":method", "GET"), Is(":scheme", "http"), Is(":authority", "site.test")]],
        )],
        MALFORMED,
    ),
    case(
        "no :authority, but Host",
        "RFC 9113 section 8.3.1",
        &[headers(
            WHOLE,
            1,
            &[&[Is(":method", "GET"), Is(":scheme", "http"), Is(":path", "/"), Is("host", "site.test")]],
        )],
        &[Answer(1, 200)],
    ),
    case(
        "two :method",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[&[Is(":method", "POST")], GET])],
        MALFORMED,
    ),
    case(
        "two :scheme",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[&[Is(":scheme", "http")], GET])],
        MALFORMED,
    ),
    case(
        "two :path",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[&[Is(":path", "/x")], GET])],
        MALFORMED,
    ),
    case(
        "two :authority",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[&[Is(":authority", "other.test")], GET])],
        MALFORMED,
    ),
    case(
        "a :method that is none",
        "RFC 9113 section 8.3.1",
        &[headers(
            WHOLE,
            1,
            &[&[
                Is(":method", "GET /x HTTP/1.1"),
                Is(":scheme", "http"),
                Is(":path", "/"),
                Is(":authority", "site.test"),
            ]],
        )],
        MALFORMED,
    ),
    case(
        "a :path with a space",
        "RFC 9113 section 8.3.1",
        &[headers(
            WHOLE,
            1,
            &[&[
                Is(":method", "GET"),
                Is(":scheme", "http"),
                Is(":path", "/a b"),
                Is(":authority", "site.test"),
            ]],
        )],
        REFUSED,
    ),
    case(
        "a :path that does not begin with a slash",
        "RFC 9113 section 8.3.1",
        &[headers(
            WHOLE,
            1,
            &[&[
                Is(":method", "GET"),
                Is(":scheme", "http"),
                Is(":path", "a"),
                Is(":authority", "site.test"),
            ]],
        )],
        REFUSED,
    ),
    case(
        "an :authority that is none",
        "RFC 9113 section 8.3.1",
        &[headers(
            WHOLE,
            1,
            &[&[
                Is(":method", "GET"),
                Is(":scheme", "http"),
                Is(":path", "/"),
                Is(":authority", "site.test/ x"),
            ]],
        )],
        REFUSED,
    ),
    case(
        "CONNECT with a :path",
        "RFC 9113 section 8.5",
        &[headers(
            HEAD,
            1,
            &[&[
                Is(":method", "CONNECT"),
                Is(":scheme", "http"),
                Is(":path", "/"),
                Is(":authority", "site.test:443"),
            ]],
        )],
        &[Reset(1, PROTOCOL_ERROR), Answer(1, 400), Answer(1, 405), Answer(1, 404)],
    ),
    case(
        "CONNECT without an :authority",
        "RFC 9113 section 8.5",
        &[headers(HEAD, 1, &[&[Is(":method", "CONNECT")]])],
        &[Reset(1, PROTOCOL_ERROR), Answer(1, 400), Answer(1, 405)],
    ),
    case(
        "an extended CONNECT that was not offered",
        "RFC 8441 section 3",
        &[headers(
            HEAD,
            1,
            &[&[
                Is(":method", "CONNECT"),
                Is(":protocol", "websocket"),
                Is(":scheme", "http"),
                Is(":path", "/"),
                Is(":authority", "site.test"),
            ]],
        )],
        MALFORMED,
    ),
    // Lengths.
    case(
        "a body that is longer than Content-Length",
        "RFC 9113 section 8.1.1",
        &[headers(HEAD, 1, &[POST, &[Is("content-length", "1")]]), data(END, 1, b"test")],
        MALFORMED,
    ),
    case(
        "a body that is longer than Content-Length, in several frames",
        "RFC 9113 section 8.1.1",
        &[
            headers(HEAD, 1, &[POST, &[Is("content-length", "5")]]),
            data(NONE, 1, b"test"),
            data(END, 1, b"test"),
        ],
        MALFORMED,
    ),
    case(
        "a body that is shorter than Content-Length",
        "RFC 9113 section 8.1.1",
        &[headers(HEAD, 1, &[POST, &[Is("content-length", "5")]]), data(END, 1, b"test")],
        MALFORMED,
    ),
    case(
        "a Content-Length, and no body",
        "RFC 9113 section 8.1.1",
        &[headers(WHOLE, 1, &[POST, &[Is("content-length", "5")]])],
        MALFORMED,
    ),
    case(
        "a body that trailers end before its Content-Length",
        "RFC 9113 section 8.1.1",
        &[
            headers(HEAD, 1, &[POST, &[Is("content-length", "5")]]),
            data(NONE, 1, b"test"),
            headers(WHOLE, 1, &[&[Is("x-check", "ok")]]),
        ],
        MALFORMED,
    ),
    case(
        "two Content-Length that differ",
        "RFC 9110 section 8.6",
        &[
            headers(HEAD, 1, &[POST, &[Is("content-length", "4"), Is("content-length", "5")]]),
            data(END, 1, b"test"),
        ],
        REFUSED,
    ),
    case(
        "a Content-Length that is no number",
        "RFC 9110 section 8.6",
        &[headers(HEAD, 1, &[POST, &[Is("content-length", "+4")]]), data(END, 1, b"test")],
        REFUSED,
    ),
    case(
        "a Content-Length beyond all numbers",
        "RFC 9110 section 8.6",
        &[headers(HEAD, 1, &[POST, &[Is("content-length", "18446744073709551620")]]), data(END, 1, b"test")],
        REFUSED,
    ),
    case(
        "a Content-Length that holds, without the padding",
        "RFC 9113 section 8.1.1",
        &[headers(HEAD, 1, &[POST, &[Is("content-length", "4")]]), data(END | PADDED, 1, b"\x02test\0\0")],
        &[Answer(1, 200)],
    ),
    // Lengths of heads.
    case(
        "a head that is longer than the server takes",
        "RFC 9113 section 10.5.1",
        &[
            headers(END, 1, &[GET, &[Long("x-a", 8000), Long("x-b", 8000)]]),
            more(HEAD, 1, &[&[Long("x-c", 8000)]]),
        ],
        &[Answer(1, 431), Reset(1, PROTOCOL_ERROR)],
    ),
    case(
        "a head that is much longer than the server takes",
        "RFC 9113 section 10.5.1",
        &[headers(END, 1, &[GET]), Times(9, &[more(NONE, 1, &[&[Long("x-a", 16_000)]])]), more(HEAD, 1, &[])],
        &[Answer(1, 431), Reset(1, PROTOCOL_ERROR), GoAway(ENHANCE_YOUR_CALM), GoAway(COMPRESSION_ERROR)],
    ),
    case(
        "trailers that are longer than the server takes",
        "RFC 9113 section 10.5.1",
        &[
            headers(HEAD, 1, &[POST]),
            data(NONE, 1, b"test"),
            headers(END, 1, &[&[Long("x-a", 16_000)]]),
            more(HEAD, 1, &[&[Long("x-b", 8000)]]),
        ],
        // h2 leaves out what is too much.
        &[Reset(1, PROTOCOL_ERROR), GoAway(ENHANCE_YOUR_CALM), Answer(1, 200)],
    ),
    case(
        "a frame of a head with a flag that says padding, and none",
        "RFC 9113 section 6.2",
        &[frame(HEADERS, WHOLE | PADDED, 1, Payload::Around(&[0], &[GET], &[]))],
        &[Answer(1, 200)],
    ),
];
