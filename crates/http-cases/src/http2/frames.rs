//! Each type of frame, and how it can be wrong: RFC 9113 section 6.

use super::frame::*;
use super::{Case, Field::*, Outcome, Outcome::*, Payload, Step::*, case};

/// h2 says PROTOCOL_ERROR of all frames that it can't read, whatever is wrong with them; the connection ends all the same.
const SIZE: &[Outcome] = &[GoAway(FRAME_SIZE_ERROR), GoAway(PROTOCOL_ERROR)];

const MOST: u32 = 0x7fff_ffff;

pub(super) const CASES: &[Case] = &[
    // DATA.
    case("DATA on stream 0", "RFC 9113 section 6.1", &[data(END, 0, b"test")], &[GoAway(PROTOCOL_ERROR)]),
    case(
        "DATA with more padding than there is",
        "RFC 9113 section 6.1",
        &[headers(HEAD, 1, &[POST]), data(END | PADDED, 1, b"\x06test")],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "padded DATA without a length of the padding",
        "RFC 9113 section 6.1",
        &[headers(HEAD, 1, &[POST]), data(END | PADDED, 1, b"")],
        &[GoAway(PROTOCOL_ERROR), GoAway(FRAME_SIZE_ERROR)],
    ),
    case(
        "DATA that is nothing but padding",
        "RFC 9113 section 6.1",
        &[headers(HEAD, 1, &[POST]), data(END | PADDED, 1, b"\x03\0\0\0")],
        &[Answer(1, 200)],
    ),
    case(
        "DATA of a byte each, which nobody reads",
        "CVE-2019-9518 (empty frames flood)",
        &[headers(HEAD, 1, &[HANG]), Times(100_000, &[data(NONE, 1, b"a")])],
        &[GoAway(ENHANCE_YOUR_CALM)],
    ),
    // HEADERS.
    case(
        "HEADERS on stream 0",
        "RFC 9113 section 6.2",
        &[headers(WHOLE, 0, &[GET])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "HEADERS with more padding than there is",
        "RFC 9113 section 6.2",
        &[frame(HEADERS, WHOLE | PADDED, 1, Payload::Around(&[255], &[GET], &[]))],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "HEADERS too short for their priority",
        "RFC 9113 section 6.2",
        &[raw(HEADERS, WHOLE | PRIORITIZED, 1, &[0, 0, 0])],
        &[GoAway(FRAME_SIZE_ERROR), GoAway(PROTOCOL_ERROR), GoAway(COMPRESSION_ERROR)],
    ),
    // PRIORITY.
    case(
        "PRIORITY on stream 0",
        "RFC 9113 section 6.3",
        &[raw(PRIORITY, NONE, 0, &[0; 5])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "PRIORITY of another length than 5",
        "RFC 9113 section 6.3",
        &[headers(WHOLE, 1, &[HANG]), raw(PRIORITY, NONE, 1, &[0; 4])],
        SIZE,
    ),
    // RST_STREAM.
    case("RST_STREAM on stream 0", "RFC 9113 section 6.4", &[reset(0, CANCEL)], &[GoAway(PROTOCOL_ERROR)]),
    case(
        "RST_STREAM of an idle stream",
        "RFC 9113 section 6.4",
        &[reset(7, CANCEL)],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "RST_STREAM of another length than 4",
        "RFC 9113 section 6.4",
        &[headers(WHOLE, 1, &[HANG]), raw(RST_STREAM, NONE, 1, &[0; 3])],
        SIZE,
    ),
    // SETTINGS.
    case(
        "SETTINGS with ACK and values",
        "RFC 9113 section 6.5",
        &[raw(SETTINGS, ACK, 0, &[0, 3, 0, 0, 0, 1])],
        SIZE,
    ),
    case(
        "SETTINGS on a stream",
        "RFC 9113 section 6.5",
        &[raw(SETTINGS, NONE, 1, &[0, 3, 0, 0, 0, 1])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "SETTINGS of a length that 6 does not divide",
        "RFC 9113 section 6.5",
        &[raw(SETTINGS, NONE, 0, &[0, 3, 0])],
        SIZE,
    ),
    case(
        "ENABLE_PUSH of 2",
        "RFC 9113 section 6.5.2",
        &[settings(&[(ENABLE_PUSH, 2)])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "INITIAL_WINDOW_SIZE above 2^31 - 1",
        "RFC 9113 section 6.5.2",
        &[settings(&[(INITIAL_WINDOW_SIZE, MOST + 1)])],
        &[GoAway(FLOW_CONTROL_ERROR), GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "MAX_FRAME_SIZE below 2^14",
        "RFC 9113 section 6.5.2",
        &[settings(&[(MAX_FRAME_SIZE, (1 << 14) - 1)])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "MAX_FRAME_SIZE above 2^24 - 1",
        "RFC 9113 section 6.5.2",
        &[settings(&[(MAX_FRAME_SIZE, 1 << 24)])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case("an unknown setting", "RFC 9113 section 6.5.2", &[settings(&[(0xff, 1)])], &[Acknowledged(2)]),
    case(
        "HEADER_TABLE_SIZE of nothing, and of all there is",
        "RFC 9113 section 6.5.2",
        &[
            settings(&[(HEADER_TABLE_SIZE, 0)]),
            headers(WHOLE, 1, &[GET]),
            Finish(1),
            settings(&[(HEADER_TABLE_SIZE, u32::MAX)]),
            headers(WHOLE, 3, &[GET]),
        ],
        &[Answer(3, 200)],
    ),
    case(
        "the last of several values holds",
        "RFC 9113 section 6.5.3",
        &[settings(&[(INITIAL_WINDOW_SIZE, 100), (INITIAL_WINDOW_SIZE, 1)]), headers(WHOLE, 1, &[GET])],
        &[Data(1, &[1])],
    ),
    case(
        "SETTINGS are acknowledged, each",
        "RFC 9113 section 6.5.3",
        &[settings(&[]), settings(&[]), settings(&[])],
        &[Acknowledged(4)],
    ),
    // PUSH_PROMISE.
    case(
        "PUSH_PROMISE by a client",
        "RFC 9113 section 8.4",
        &[
            headers(HEAD, 1, &[POST]),
            frame(PUSH_PROMISE, HEAD, 1, Payload::Around(&[0, 0, 0, 2], &[GET], &[])),
        ],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    // PING.
    case(
        "an unexpected answer to a PING",
        "RFC 9113 section 6.7",
        &[raw(PING, ACK, 0, b"12345678")],
        &[Fine],
    ),
    case(
        "PING on a stream",
        "RFC 9113 section 6.7",
        &[raw(PING, NONE, 1, b"12345678")],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case("PING of another length than 8", "RFC 9113 section 6.7", &[raw(PING, NONE, 0, b"1234567")], SIZE),
    // GOAWAY.
    case(
        "GOAWAY on a stream",
        "RFC 9113 section 6.8",
        &[raw(GOAWAY, NONE, 1, &[0; 8])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case("GOAWAY shorter than 8", "RFC 9113 section 6.8", &[raw(GOAWAY, NONE, 0, &[0; 7])], SIZE),
    case(
        "GOAWAY leaves what is under way",
        "RFC 9113 section 6.8",
        &[headers(HEAD, 1, &[POST]), raw(GOAWAY, NONE, 0, &[0; 8]), data(END, 1, b"test"), Finish(1)],
        &[Closed, GoAway(NO_ERROR)],
    ),
    // WINDOW_UPDATE.
    case(
        "WINDOW_UPDATE of 0 on the connection",
        "RFC 9113 section 6.9",
        &[window(0, 0)],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "WINDOW_UPDATE of 0 on a stream",
        "RFC 9113 section 6.9",
        &[headers(HEAD, 1, &[POST]), window(1, 0)],
        &[Reset(1, PROTOCOL_ERROR), GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "WINDOW_UPDATE of another length than 4",
        "RFC 9113 section 6.9",
        &[raw(WINDOW_UPDATE, NONE, 0, &[0; 3])],
        SIZE,
    ),
    case(
        "a window of one octet",
        "RFC 9113 section 6.9.1",
        &[settings(&[(INITIAL_WINDOW_SIZE, 1)]), headers(WHOLE, 1, &[GET])],
        &[Data(1, &[1])],
    ),
    case(
        "a window of the connection beyond 2^31 - 1",
        "RFC 9113 section 6.9.1",
        &[window(0, MOST), window(0, MOST)],
        &[GoAway(FLOW_CONTROL_ERROR)],
    ),
    case(
        "a window of a stream beyond 2^31 - 1",
        "RFC 9113 section 6.9.1",
        &[headers(HEAD, 1, &[POST]), window(1, MOST), window(1, MOST)],
        &[Reset(1, FLOW_CONTROL_ERROR), GoAway(FLOW_CONTROL_ERROR)],
    ),
    case(
        "more than the connection's window",
        "RFC 9113 section 6.9.1",
        // A mebibyte is what the server grants; the body of a request that is never read stays in it.
        &[headers(HEAD, 1, &[HANG]), Times(130, &[frame(DATA, NONE, 1, Payload::Fill(0, 1 << 14))])],
        &[GoAway(FLOW_CONTROL_ERROR), Reset(1, FLOW_CONTROL_ERROR)],
    ),
    case(
        "a window that is widened by SETTINGS while an answer waits",
        "RFC 9113 section 6.9.2",
        &[
            settings(&[(INITIAL_WINDOW_SIZE, 0)]),
            headers(WHOLE, 1, &[GET]),
            Settle,
            settings(&[(INITIAL_WINDOW_SIZE, 1)]),
        ],
        &[Data(1, &[1])],
    ),
    case(
        "a window that becomes negative",
        "RFC 9113 section 6.9.2",
        &[
            settings(&[(INITIAL_WINDOW_SIZE, 3)]),
            headers(WHOLE, 1, &[GET]),
            Begun(1),
            settings(&[(INITIAL_WINDOW_SIZE, 2)]),
            // Back to nothing, and one.
            window(1, 2),
        ],
        &[Data(1, &[3, 1])],
    ),
    case(
        "SETTINGS that lift a stream's window beyond 2^31 - 1",
        "RFC 9113 section 6.9.2",
        &[headers(HEAD, 1, &[POST]), window(1, MOST - 65_535), settings(&[(INITIAL_WINDOW_SIZE, 65_536)])],
        &[GoAway(FLOW_CONTROL_ERROR), Reset(1, FLOW_CONTROL_ERROR)],
    ),
    // CONTINUATION.
    case(
        "DATA within a header block",
        "RFC 9113 section 6.10",
        &[headers(NONE, 1, &[POST]), data(END, 1, b"test")],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "CONTINUATION on stream 0",
        "RFC 9113 section 6.10",
        &[headers(NONE, 1, &[POST]), more(HEAD, 0, &[])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "CONTINUATION of another stream",
        "RFC 9113 section 6.10",
        &[headers(NONE, 1, &[POST]), more(HEAD, 3, &[])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "CONTINUATION after the end of the header block",
        "RFC 9113 section 6.10",
        &[headers(HEAD, 1, &[POST]), more(HEAD, 1, &[&[Is("x-more", "1")]])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "CONTINUATION after a CONTINUATION that ended the header block",
        "RFC 9113 section 6.10",
        &[headers(NONE, 1, &[POST]), more(HEAD, 1, &[]), more(HEAD, 1, &[&[Is("x-more", "1")]])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "CONTINUATION after DATA",
        "RFC 9113 section 6.10",
        &[headers(HEAD, 1, &[POST]), data(NONE, 1, b"test"), more(HEAD, 1, &[&[Is("x-more", "1")]])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
];
