//! How connections begin and what has to work at all: prefaces of all kinds, and one of each frame.

use super::frame::*;
use super::{Case, Field::*, Outcome, Outcome::*, Payload, Step::*, bare, case};

pub(super) const CASES: &[Case] = &[
    // Which HTTP it is, is told by the first bytes.
    case("the server begins with SETTINGS", "RFC 9113 section 3.4", &[], &[Fine]),
    bare(
        "a preface byte by byte",
        "RFC 9113 section 3.4",
        &[Pieces(PREFACE, 1), settings(&[]), headers(WHOLE, 1, &[GET])],
        &[Answer(1, 200)],
    ),
    bare(
        "a preface and all that follows in one piece",
        "RFC 9113 section 3.4",
        &[Bytes(
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\
              \0\0\0\x04\0\0\0\0\0\
              \0\0\x03\x01\x05\0\0\0\x01\x82\x86\x84",
        )],
        &[Answer(1, 200)],
    ),
    bare(
        "a preface and SETTINGS in pieces that end in the middle of things",
        "RFC 9113 section 3.4",
        &[
            Pieces(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64", 7),
            headers(WHOLE, 1, &[GET]),
        ],
        &[Answer(1, 200)],
    ),
    bare(
        "half a preface, then the end",
        "RFC 9113 section 3.4",
        &[Bytes(b"PRI * HTTP/2.0\r\n"), Shut],
        &[Closed, Text("HTTP/1.1 400 ")],
    ),
    bare("nothing, then the end", "RFC 9113 section 3.4", &[Shut], &[Closed]),
    bare(
        "a preface that goes wrong at its end",
        "RFC 9113 section 3.4",
        &[Bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\r")],
        &[Closed, Text("HTTP/1.1 400 "), GoAway(PROTOCOL_ERROR)],
    ),
    bare(
        "a preface that goes wrong at its end, byte by byte",
        "RFC 9113 section 3.4",
        &[Pieces(b"PRI * HTTP/2.0\r\n\r\nSX\r\n\r\n", 1)],
        &[Closed, Text("HTTP/1.1 400 "), GoAway(PROTOCOL_ERROR)],
    ),
    bare(
        "a preface of another version",
        "RFC 9113 section 3.4",
        &[Bytes(b"PRI * HTTP/3.0\r\n\r\nSM\r\n\r\n")],
        &[Closed, Text("HTTP/1.1 400 ")],
    ),
    bare(
        "PRI as a method of HTTP/1.1",
        "RFC 9113 section 3.4",
        &[Bytes(b"PRI * HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")],
        &[Text("HTTP/1.1 400 ")],
    ),
    bare(
        "no preface, but frames",
        "RFC 9113 section 3.4",
        &[settings(&[]), headers(WHOLE, 1, &[GET])],
        &[Closed, Text("HTTP/1.1 400 ")],
    ),
    bare(
        "a preface, then HTTP/1.1",
        "RFC 9113 section 3.4",
        &[Bytes(PREFACE), Bytes(b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n")],
        &[GoAway(FRAME_SIZE_ERROR), GoAway(PROTOCOL_ERROR)],
    ),
    bare(
        "a preface, then a request before SETTINGS",
        "RFC 9113 section 3.4",
        &[Bytes(PREFACE), headers(WHOLE, 1, &[GET])],
        // SETTINGS may come late, h2 says.
        &[GoAway(PROTOCOL_ERROR), Answer(1, 200)],
    ),
    bare(
        "two prefaces",
        "RFC 9113 section 3.4",
        &[Bytes(PREFACE), Bytes(PREFACE)],
        &[GoAway(FRAME_SIZE_ERROR), GoAway(PROTOCOL_ERROR)],
    ),
    bare(
        "HTTP/1.1, then a preface on the same connection",
        "RFC 9113 section 3.3",
        &[Bytes(b"GET / HTTP/1.1\r\nHost: site.test\r\n\r\n"), Bytes(PREFACE)],
        &[Text("HTTP/1.1 200 ")],
    ),
    bare(
        "an upgrade to h2c is not heeded",
        "RFC 9113 section 3.1",
        &[Bytes(
            b"GET / HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
              Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
        )],
        &[Text("HTTP/1.1 200 OK\r\n")],
    ),
    bare(
        "an upgrade to h2c and a preface right behind it",
        "RFC 9113 section 3.1",
        &[
            Bytes(
                b"GET / HTTP/1.1\r\nHost: site.test\r\nConnection: Upgrade, HTTP2-Settings\r\n\
                  Upgrade: h2c\r\n\
                  HTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
            ),
            Bytes(PREFACE),
        ],
        &[Text("HTTP/1.1 200 OK\r\n")],
    ),
    // One of each.
    case("GET", "RFC 9113 section 8.1", &[headers(WHOLE, 1, &[GET])], &[Answer(1, 200)]),
    case(
        "GET on ten streams",
        "RFC 9113 section 5.1.2",
        &[Times(10, &[headers(WHOLE, EACH, &[GET])]), Finish(19)],
        &[Answer(1, 200)],
    ),
    case(
        "POST with one DATA frame",
        "RFC 9113 section 8.1",
        &[headers(HEAD, 1, &[POST]), data(END, 1, b"test")],
        &[Answer(1, 200)],
    ),
    case(
        "POST with several DATA frames",
        "RFC 9113 section 8.1",
        &[headers(HEAD, 1, &[POST]), data(NONE, 1, b"test"), data(END, 1, b"test")],
        &[Answer(1, 200)],
    ),
    case(
        "POST with padded DATA",
        "RFC 9113 section 6.1",
        &[headers(HEAD, 1, &[POST]), data(END | PADDED, 1, b"\x06test\0\0\0\0\0\0")],
        &[Answer(1, 200)],
    ),
    case(
        "POST with trailers",
        "RFC 9113 section 8.1",
        &[headers(HEAD, 1, &[POST]), data(NONE, 1, b"test"), headers(WHOLE, 1, &[&[Is("x-check", "ok")]])],
        &[Answer(1, 200)],
    ),
    case(
        "POST with no body but its end",
        "RFC 9113 section 6.1",
        &[headers(HEAD, 1, &[POST]), data(END, 1, b"")],
        &[Answer(1, 200)],
    ),
    case(
        "padded HEADERS",
        "RFC 9113 section 6.2",
        &[frame(HEADERS, WHOLE | PADDED, 1, Payload::Around(&[5], &[GET], &[0; 5]))],
        &[Answer(1, 200)],
    ),
    case(
        "HEADERS with a priority",
        "RFC 9113 section 6.2",
        &[frame(HEADERS, WHOLE | PRIORITIZED, 1, Payload::Around(&[0, 0, 0, 0, 255], &[GET], &[]))],
        &[Answer(1, 200)],
    ),
    case(
        "HEADERS with padding and a priority",
        "RFC 9113 section 6.2",
        &[frame(
            HEADERS,
            WHOLE | PADDED | PRIORITIZED,
            1,
            Payload::Around(&[3, 0x80, 0, 0, 0, 15], &[GET], &[0; 3]),
        )],
        &[Answer(1, 200)],
    ),
    case(
        "HEADERS in one CONTINUATION",
        "RFC 9113 section 6.10",
        &[headers(END, 1, &[GET]), more(HEAD, 1, &[&[Is("x-more", "1")]])],
        &[Answer(1, 200)],
    ),
    case(
        "HEADERS in many pieces, some of them empty",
        "RFC 9113 section 6.10",
        &[
            headers(END, 1, &[]),
            more(NONE, 1, &[GET]),
            more(NONE, 1, &[]),
            more(NONE, 1, &[&[Is("x-more", "1")]]),
            more(HEAD, 1, &[]),
        ],
        &[Answer(1, 200)],
    ),
    case(
        "PRIORITY of weight 1",
        "RFC 9113 section 6.3",
        &[raw(PRIORITY, NONE, 1, &[0, 0, 0, 0, 0])],
        &[Fine],
    ),
    case(
        "PRIORITY of weight 256",
        "RFC 9113 section 6.3",
        &[raw(PRIORITY, NONE, 1, &[0, 0, 0, 0, 255])],
        &[Fine],
    ),
    case(
        "PRIORITY with a dependency",
        "RFC 9113 section 6.3",
        &[raw(PRIORITY, NONE, 1, &[0, 0, 0, 0, 255]), raw(PRIORITY, NONE, 3, &[0, 0, 0, 1, 255])],
        &[Fine],
    ),
    case(
        "PRIORITY with an exclusive dependency",
        "RFC 9113 section 6.3",
        &[raw(PRIORITY, NONE, 3, &[0x80, 0, 0, 1, 255])],
        &[Fine],
    ),
    case(
        "PRIORITY of an idle stream, then HEADERS of a lower one",
        "RFC 9113 section 5.1",
        &[raw(PRIORITY, NONE, 5, &[0, 0, 0, 0, 255]), headers(WHOLE, 3, &[GET])],
        &[Answer(3, 200)],
    ),
    case(
        "RST_STREAM of a request under way",
        "RFC 9113 section 6.4",
        &[headers(WHOLE, 1, &[HANG]), reset(1, CANCEL)],
        &[Fine],
    ),
    case(
        "SETTINGS with values",
        "RFC 9113 section 6.5",
        &[settings(&[(3, 100), (INITIAL_WINDOW_SIZE, 65_535)])],
        &[Acknowledged(2)],
    ),
    case("PING", "RFC 9113 section 6.7", &[raw(PING, NONE, 0, b"12345678")], &[Fine]),
    case(
        "GOAWAY without an error",
        "RFC 9113 section 6.8",
        &[raw(GOAWAY, NONE, 0, &[0; 8])],
        &[Closed, GoAway(NO_ERROR)],
    ),
    case("WINDOW_UPDATE of the connection", "RFC 9113 section 6.9", &[window(0, 1)], &[Fine]),
    case(
        "WINDOW_UPDATE of a stream",
        "RFC 9113 section 6.9",
        &[headers(HEAD, 1, &[POST]), window(1, 1), data(END, 1, b"x")],
        &[Answer(1, 200)],
    ),
    case(
        "HEAD is answered without a body",
        "RFC 9110 section 9.3.2",
        &[headers(
            WHOLE,
            1,
            &[&[
                Is(":method", "HEAD"),
                Is(":scheme", "http"),
                Is(":path", "/large"),
                Is(":authority", "site.test"),
            ]],
        )],
        &[Answer(1, 200)],
    ),
    case(
        "OPTIONS *",
        "RFC 9113 section 8.3.1",
        &[headers(
            WHOLE,
            1,
            &[&[
                Is(":method", "OPTIONS"),
                Is(":scheme", "http"),
                Is(":path", "*"),
                Is(":authority", "site.test"),
            ]],
        )],
        &[Answer(1, 200)],
    ),
];

/// What is tried after a handshake, and what the client offered in it.
pub(super) const OVER_TLS: &[(Case, &str)] = &[
    (
        case(
            "HTTP/2 that was agreed on",
            "RFC 9113 section 3.2",
            &[headers(WHOLE, 1, &[GET])],
            &[Answer(1, 200)],
        ),
        "h2",
    ),
    (
        bare(
            "HTTP/2 that was agreed on, its preface byte by byte",
            "RFC 9113 section 3.4",
            &[Pieces(PREFACE, 1), settings(&[]), headers(WHOLE, 1, &[GET])],
            &[Answer(1, 200)],
        ),
        "h2",
    ),
    (
        case(
            "a mebibyte and room for it, over TLS",
            "RFC 9113 section 6.9",
            &[window(0, 1 << 21), settings(&[(INITIAL_WINDOW_SIZE, 1 << 21)]), headers(WHOLE, 1, &[LARGE])],
            &[Answer(1, 200)],
        ),
        "h2",
    ),
    (
        case(
            "an error of HTTP/2 over TLS",
            "RFC 9113 section 5.4.1",
            &[raw(PING, NONE, 3, &[0; 8])],
            &[GoAway(PROTOCOL_ERROR)],
        ),
        "h2",
    ),
    (
        bare(
            "HTTP/1.1 where HTTP/2 was agreed on",
            "RFC 9113 section 3.4",
            &[Bytes(b"GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")],
            &[Text("HTTP/1.1 200 "), Closed, GoAway(PROTOCOL_ERROR)],
        ),
        "h2",
    ),
    (
        bare(
            "HTTP/1.1 that was agreed on",
            "RFC 9112 section 9.7",
            &[Bytes(b"GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n")],
            &[Text("HTTP/1.1 200 ")],
        ),
        "http/1.1",
    ),
];

const SILENT: &[Outcome] = &[Closed, GoAway(NO_ERROR)];

/// What a server with little patience ends.
pub(super) const IMPATIENT: &[Case] = &[
    bare("half a preface, then silence", "RFC 9113 section 9.1", &[Bytes(b"PRI * HTTP/2.0\r\n")], &[Closed]),
    bare("a preface, then silence", "RFC 9113 section 9.1", &[Bytes(PREFACE)], SILENT),
    case("SETTINGS, then silence", "RFC 9113 section 9.1", &[], SILENT),
    case(
        "a head that stops before its CONTINUATION",
        "RFC 9113 section 10.5",
        &[headers(END, 1, &[GET])],
        SILENT,
    ),
    case(
        "a second head that stops before its CONTINUATION",
        "RFC 9113 section 10.5",
        &[headers(WHOLE, 1, &[GET]), Finish(1), headers(END, 3, &[GET])],
        SILENT,
    ),
    case(
        "half of a frame's head",
        "RFC 9113 section 10.5",
        &[headers(WHOLE, 1, &[GET]), Finish(1), Bytes(&[0, 0])],
        SILENT,
    ),
    case(
        "an idle connection after a request",
        "RFC 9113 section 9.1",
        &[headers(WHOLE, 1, &[GET]), Finish(1)],
        SILENT,
    ),
    case(
        "an answer for which there is never any room",
        "CVE-2019-9517 (internal data buffering)",
        &[settings(&[(INITIAL_WINDOW_SIZE, 0)]), headers(WHOLE, 1, &[GET])],
        SILENT,
    ),
    case(
        "an answer that is not read on, on a connection with room",
        "RFC 9113 section 10.5",
        &[window(0, 1 << 30), headers(WHOLE, 1, &[LARGE]), Begun(1)],
        SILENT,
    ),
    case(
        "an answer that is not read on, on a connection without room",
        "RFC 9113 section 10.5",
        &[settings(&[(INITIAL_WINDOW_SIZE, 1 << 30)]), headers(WHOLE, 1, &[LARGE]), Begun(1)],
        SILENT,
    ),
    case(
        "one answer is not read on, others are",
        "RFC 9113 section 5.2.2",
        &[window(0, 1 << 30), headers(WHOLE, 1, &[LARGE]), Begun(1), Meanwhile(1)],
        &[Reset(1, CANCEL)],
    ),
    case(
        "an answer that waits for the server is not one that is not read",
        "RFC 9113 section 5.2.2",
        // The second is given up for want of room; the first is older, and has room.
        &[
            window(0, 1 << 30),
            headers(WHOLE, 1, &[HANG]),
            headers(WHOLE, 3, &[LARGE]),
            Begun(3),
            Meanwhile(3),
        ],
        &[Untouched(1)],
    ),
];
