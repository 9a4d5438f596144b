//! The same over HTTP/2, byte by byte: frames are RFC 9113 section 4.1's, and `88` is the whole field section `:status: 200`.

use super::{Act::*, Content::*, LIAR, Liar};

/// In the clear, since it is frames that lie.
const FRAMES: Liar = Liar { args: &["-o", "out", "--http2", "--retry-for", "0"], ..LIAR };

/// An empty SETTINGS, then the request.
const BEGIN: super::Act = Send("{hex:000000040000000000}");

pub(super) const CASES: &[Liar] = &[
    Liar {
        name: "a body as it should be",
        source: "RFC 9113 section 8.1",
        answers: &[&[
            BEGIN,
            Http2,
            Send("{hex:000001010400000001}{hex:88}{hex:000005000100000001}hello"),
            Hold,
        ]],
        files: &[("out", Text("hello"))],
        ..FRAMES
    },
    Liar {
        name: "body shorter than its length",
        source: "RFC 9113 section 8.1.1",
        answers: &[&[
            BEGIN,
            Http2,
            // content-length (static table 28) without indexing: 0f0d, "100".
            Send("{hex:000007010400000001}{hex:880f0d03}100{hex:000005000100000001}hello"),
            Hold,
        ]],
        code: 18,
        says: &["cut short after"],
        ..FRAMES
    },
    Liar {
        name: "body longer than its length",
        source: "RFC 9113 section 8.1.1",
        answers: &[&[
            BEGIN,
            Http2,
            Send("{hex:000005010400000001}{hex:880f0d01}3{hex:000005000100000001}hello"),
            Hold,
        ]],
        code: 18,
        says: &["cut short after"],
        ..FRAMES
    },
    Liar {
        name: "stream reset within the body",
        source: "RFC 9113 section 6.4",
        answers: &[&[
            BEGIN,
            Http2,
            Send(
                "{hex:000001010400000001}{hex:88}{hex:000005000000000001}hello{hex:00000403000000000100000002}",
            ),
            Hold,
        ]],
        code: 18,
        says: &["cut short after"],
        ..FRAMES
    },
    Liar {
        name: "connection closed within the body",
        source: "RFC 9113 section 5.4.1",
        answers: &[&[BEGIN, Http2, Send("{hex:000001010400000001}{hex:88}{hex:000005000000000001}hello")]],
        code: 18,
        says: &["cut short after"],
        ..FRAMES
    },
    Liar {
        name: "GOAWAY instead of an answer",
        source: "RFC 9113 section 6.8",
        answers: &[&[BEGIN, Http2, Send("{hex:000008070000000000}{hex:000000000000000b}")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..FRAMES
    },
    Liar {
        name: "GOAWAY with orders for the terminal",
        source: "RFC 9113 section 6.8; CWE-150: control sequences",
        answers: &[&[
            BEGIN,
            Http2,
            Send(
                "{hex:000001010400000001}{hex:88}{hex:00000e070000000000}{hex:0000000000000001}{hex:1b}[2J{hex:c29b}",
            ),
        ]],
        code: 18,
        says: &["cut short after 0 bytes"],
        ..FRAMES
    },
    Liar {
        name: "endless CONTINUATION",
        source: "CVE-2024-27316",
        answers: &[&[
            BEGIN,
            Http2,
            Send("{hex:000001010000000001}{hex:88}"),
            Forever("{hex:00400009000000000100}{x*16383}"),
        ]],
        args: &["-o", "out", "--http2", "--retry-for", "0", "--read-timeout", "5"],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..FRAMES
    },
    Liar {
        name: "endless empty DATA",
        source: "CVE-2019-9518",
        answers: &[&[
            BEGIN,
            Http2,
            Send("{hex:000001010400000001}{hex:88}"),
            Forever("{hex:000000000000000001}"),
        ]],
        args: &["-o", "out", "--http2", "--retry-for", "0", "--max-time", "10"],
        code: 18,
        says: &["cut short after 0 bytes", "too_many_data_frames"],
        ..FRAMES
    },
    Liar {
        name: "endless PING",
        source: "CVE-2019-9512",
        answers: &[&[BEGIN, Http2, Forever("{hex:000008060000000000}pingping")]],
        args: &["-o", "out", "--http2", "--read-timeout", "1"],
        code: 28,
        says: &["within 1.000 s"],
        ..FRAMES
    },
    Liar {
        name: "endless SETTINGS",
        source: "CVE-2019-9515",
        answers: &[&[BEGIN, Http2, Forever("{hex:000000040000000000}")]],
        args: &["-o", "out", "--http2", "--read-timeout", "1"],
        code: 28,
        says: &["within 1.000 s"],
        ..FRAMES
    },
    Liar {
        name: "frame larger than allowed",
        source: "RFC 9113 section 4.2",
        answers: &[&[BEGIN, Http2, Send("{hex:ffffff000000000001}{x*100000}"), Hold]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..FRAMES
    },
    Liar {
        name: "field section that is none",
        source: "RFC 7541 section 6.1",
        answers: &[&[BEGIN, Http2, Send("{hex:000002010500000001}{hex:80ff}"), Hold]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..FRAMES
    },
    Liar {
        name: "HTTP/1.1 in answer to HTTP/2",
        source: "RFC 9113 section 3.4",
        answers: &[&[Send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..FRAMES
    },
];
