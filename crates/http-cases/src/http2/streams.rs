//! Frames, streams and their states, errors: RFC 9113 sections 4 and 5.

use super::frame::*;
use super::{Case, Field::*, MOST_STREAMS, Outcome, Outcome::*, Payload, Step::*, case};

/// What a stream that is closed, to the client at least, is good for. h2 says PROTOCOL_ERROR of some that RFC 9113 calls
/// STREAM_CLOSED; the connection ends all the same.
const CLOSED: &[Outcome] = &[Reset(1, STREAM_CLOSED), GoAway(STREAM_CLOSED), GoAway(PROTOCOL_ERROR)];

pub(super) const CASES: &[Case] = &[
    // Frames.
    case("a frame of an unknown type", "RFC 9113 section 4.1", &[raw(0x16, NONE, 0, b"test")], &[Fine]),
    case("undefined flags", "RFC 9113 section 4.1", &[raw(PING, 0x16, 0, b"12345678")], &[Fine]),
    case(
        "the reserved bit of the stream's number",
        "RFC 9113 section 4.1",
        &[raw(PING, NONE, 0x8000_0000, &[0; 8])],
        &[Fine],
    ),
    case(
        "DATA of 2^14 octets",
        "RFC 9113 section 4.2",
        &[headers(HEAD, 1, &[POST]), frame(DATA, END, 1, Payload::Fill(b'a', 1 << 14))],
        &[Answer(1, 200)],
    ),
    case(
        "DATA of more than SETTINGS_MAX_FRAME_SIZE",
        "RFC 9113 section 4.2",
        &[headers(HEAD, 1, &[POST]), frame(DATA, END, 1, Payload::Fill(b'a', (1 << 14) + 1))],
        &[GoAway(FRAME_SIZE_ERROR), Reset(1, FRAME_SIZE_ERROR)],
    ),
    case(
        "HEADERS of more than SETTINGS_MAX_FRAME_SIZE",
        "RFC 9113 section 4.2",
        &[headers(WHOLE, 1, &[GET, &[Long("x-long", 1 << 14)]])],
        &[GoAway(FRAME_SIZE_ERROR)],
    ),
    case(
        "a length of 2^24 - 1",
        "RFC 9113 section 4.2",
        &[Bytes(&[0xff, 0xff, 0xff, SETTINGS, 0, 0, 0, 0, 0])],
        &[GoAway(FRAME_SIZE_ERROR)],
    ),
    case(
        "a header block that can't be decoded",
        "RFC 9113 section 4.3",
        &[raw(HEADERS, WHOLE, 1, b"\x82\x86\x84\x41\x8f\xff")],
        &[GoAway(COMPRESSION_ERROR), GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "PRIORITY within a header block",
        "RFC 9113 section 4.3",
        &[headers(END, 1, &[GET]), raw(PRIORITY, NONE, 1, &[0; 5]), more(HEAD, 1, &[&[Is("x-more", "1")]])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "HEADERS of another stream within a header block",
        "RFC 9113 section 4.3",
        &[headers(END, 1, &[GET]), headers(WHOLE, 3, &[GET])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    // Idle streams.
    case("idle: DATA", "RFC 9113 section 5.1", &[data(END, 1, b"test")], &[GoAway(PROTOCOL_ERROR)]),
    case("idle: RST_STREAM", "RFC 9113 section 5.1", &[reset(1, CANCEL)], &[GoAway(PROTOCOL_ERROR)]),
    case("idle: WINDOW_UPDATE", "RFC 9113 section 5.1", &[window(1, 100)], &[GoAway(PROTOCOL_ERROR)]),
    case("idle: CONTINUATION", "RFC 9113 section 5.1", &[more(HEAD, 1, &[GET])], &[GoAway(PROTOCOL_ERROR)]),
    // Half-closed (remote).
    case(
        "half-closed: DATA",
        "RFC 9113 section 5.1",
        &[headers(WHOLE, 1, &[HANG]), data(END, 1, b"test")],
        CLOSED,
    ),
    case(
        "half-closed: HEADERS",
        "RFC 9113 section 5.1",
        &[headers(WHOLE, 1, &[HANG]), headers(WHOLE, 1, &[&[Is("x", "y")]])],
        CLOSED,
    ),
    case(
        "half-closed: CONTINUATION",
        "RFC 9113 section 5.1",
        &[headers(WHOLE, 1, &[HANG]), more(HEAD, 1, &[GET])],
        CLOSED,
    ),
    case(
        "half-closed: WINDOW_UPDATE",
        "RFC 9113 section 5.1",
        &[headers(WHOLE, 1, &[HANG]), window(1, 100)],
        &[Fine],
    ),
    case(
        "half-closed: PRIORITY",
        "RFC 9113 section 5.1",
        &[headers(WHOLE, 1, &[HANG]), raw(PRIORITY, NONE, 1, &[0; 5])],
        &[Fine],
    ),
    case(
        "half-closed: RST_STREAM",
        "RFC 9113 section 5.1",
        &[headers(WHOLE, 1, &[HANG]), reset(1, CANCEL)],
        &[Fine],
    ),
    // Closed.
    case(
        "closed by RST_STREAM: DATA",
        "RFC 9113 section 5.1",
        &[headers(HEAD, 1, &[POST]), reset(1, CANCEL), Settle, data(END, 1, b"test")],
        CLOSED,
    ),
    case(
        "closed by RST_STREAM: HEADERS",
        "RFC 9113 section 5.1",
        &[headers(HEAD, 1, &[POST]), reset(1, CANCEL), Settle, headers(WHOLE, 1, &[GET])],
        CLOSED,
    ),
    case(
        "closed by RST_STREAM: CONTINUATION",
        "RFC 9113 section 5.1",
        &[headers(HEAD, 1, &[POST]), reset(1, CANCEL), Settle, more(HEAD, 1, &[GET])],
        CLOSED,
    ),
    case(
        "closed by END_STREAM: DATA",
        "RFC 9113 section 5.1",
        &[headers(WHOLE, 1, &[GET]), Finish(1), Settle, data(END, 1, b"test")],
        CLOSED,
    ),
    case(
        "closed by END_STREAM: HEADERS",
        "RFC 9113 section 5.1",
        &[headers(WHOLE, 1, &[GET]), Finish(1), Settle, headers(WHOLE, 1, &[GET])],
        CLOSED,
    ),
    case(
        "closed by END_STREAM: CONTINUATION",
        "RFC 9113 section 5.1",
        &[headers(WHOLE, 1, &[GET]), Finish(1), Settle, more(HEAD, 1, &[GET])],
        CLOSED,
    ),
    case(
        "closed: PRIORITY",
        "RFC 9113 section 5.1",
        &[headers(WHOLE, 1, &[GET]), Finish(1), Settle, raw(PRIORITY, NONE, 1, &[0; 5])],
        &[Fine],
    ),
    case(
        "closed: WINDOW_UPDATE and RST_STREAM that were under way",
        "RFC 9113 section 5.1",
        &[headers(WHOLE, 1, &[GET]), Finish(1), window(1, 100), reset(1, CANCEL)],
        &[Fine],
    ),
    // Their numbers and their number.
    case(
        "a stream of an even number",
        "RFC 9113 section 5.1.1",
        &[headers(WHOLE, 2, &[GET])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "a lower number than before",
        "RFC 9113 section 5.1.1",
        &[headers(WHOLE, 5, &[GET]), Finish(5), headers(WHOLE, 3, &[GET])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "the highest number",
        "RFC 9113 section 5.1.1",
        &[headers(WHOLE, 0x7fff_ffff, &[GET]), Finish(0x7fff_ffff), headers(WHOLE, 1, &[GET])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "one stream more than SETTINGS_MAX_CONCURRENT_STREAMS",
        "RFC 9113 section 5.1.2",
        // One makes room for the question afterwards.
        &[Times(MOST_STREAMS + 1, &[headers(WHOLE, EACH, &[HANG])]), Settle, reset(1, CANCEL)],
        &[Reset(2 * MOST_STREAMS + 1, REFUSED_STREAM)],
    ),
    // Priorities are no more, and do no harm (RFC 9113 section 5.3.2); a stream could not depend on itself before.
    case(
        "HEADERS that depend on their own stream",
        "RFC 7540 section 5.3.1",
        &[frame(HEADERS, WHOLE | PRIORITIZED, 1, Payload::Around(&[0, 0, 0, 1, 255], &[GET], &[]))],
        &[Reset(1, PROTOCOL_ERROR), GoAway(PROTOCOL_ERROR), Answer(1, 200)],
    ),
    case(
        "PRIORITY that depends on its own stream",
        "RFC 7540 section 5.3.1",
        &[headers(WHOLE, 1, &[HANG]), raw(PRIORITY, NONE, 1, &[0, 0, 0, 1, 255])],
        &[Reset(1, PROTOCOL_ERROR), GoAway(PROTOCOL_ERROR), Fine],
    ),
    // Errors.
    case(
        "an error of the connection tells the last stream, and closes",
        "RFC 9113 section 5.4.1",
        &[headers(WHOLE, 1, &[GET]), Finish(1), raw(PING, NONE, 3, &[0; 8])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "an error of one stream leaves the others",
        "RFC 9113 section 5.4.2",
        &[
            headers(HEAD, 1, &[POST, &[Is("content-length", "1")]]),
            headers(HEAD, 3, &[POST]),
            data(NONE, 1, b"test"),
            Finish(1),
            data(END, 3, b"test"),
        ],
        &[Answer(3, 200)],
    ),
    // Extensions.
    case(
        "a frame of an unknown type on a stream",
        "RFC 9113 section 5.5",
        &[headers(HEAD, 1, &[POST]), raw(0xfa, 0xff, 1, &[0; 100]), data(END, 1, b"test")],
        &[Answer(1, 200)],
    ),
    case(
        "a frame of an unknown type within a header block",
        "RFC 9113 section 5.5",
        &[headers(END, 1, &[GET]), raw(0x16, NONE, 1, &[0; 8]), more(HEAD, 1, &[&[Is("x-more", "1")]])],
        &[GoAway(PROTOCOL_ERROR)],
    ),
    case(
        "an unknown error code in GOAWAY",
        "RFC 9113 section 7",
        &[raw(GOAWAY, NONE, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff])],
        &[Closed, GoAway(NO_ERROR)],
    ),
    case(
        "an unknown error code in RST_STREAM",
        "RFC 9113 section 7",
        &[headers(WHOLE, 1, &[HANG]), reset(1, 0xff)],
        &[Fine],
    ),
];
