//! Bodies that are shorter, longer or slower than they say, and those that never end.

use super::{Act::*, Content::*, LIAR, Liar};

pub(super) const CASES: &[Liar] = &[
    Liar {
        name: "body shorter than its length",
        source: "RFC 9112 section 8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")]],
        code: 18,
        says: &["cut short after 5 bytes of 100"],
        ..LIAR
    },
    Liar {
        name: "body longer than its length",
        source: "RFC 9112 section 6.3 item 6",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world")]],
        files: &[("out", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "body longer than its length, and reset",
        source: "RFC 9112 section 6.3 item 6",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello{x*100000}"), Reset]],
        files: &[("out", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "body without a length, ended by close",
        source: "RFC 9112 section 6.3 item 8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\n\r\nhello")]],
        files: &[("out", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "body without a length, ended by reset",
        source: "RFC 9112 section 8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\n\r\nhello"), Reset]],
        code: 18,
        says: &["cut short after"],
        ..LIAR
    },
    Liar {
        name: "length 0 and a body",
        source: "RFC 9112 section 6.3 item 6",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nhello")]],
        files: &[("out", Text(""))],
        ..LIAR
    },
    Liar {
        name: "negative length",
        source: "RFC 9110 section 8.6",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "length of 2^64 - 1",
        source: "RFC 9110 section 8.6",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nhello")]],
        code: 100,
        says: &["larger than"],
        ..LIAR
    },
    Liar {
        name: "length beyond 2^64",
        source: "RFC 9110 section 8.6",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 100000000000000000000\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "length that no disk has room for",
        source: "RFC 9110 section 8.6",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 1000000000000000000\r\n\r\nhello")]],
        code: 23,
        says: &["can't write to out"],
        ..LIAR
    },
    Liar {
        name: "length in hexadecimal",
        source: "RFC 9110 section 8.6",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "length with a sign",
        source: "RFC 9110 section 8.6",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "two lengths that differ",
        source: "RFC 9112 section 6.3 item 5",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "length and chunks, and the length lies",
        source: "RFC 9112 section 6.3 item 3",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        )]],
        files: &[("out", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "chunks without the last",
        source: "RFC 9112 section 8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")]],
        code: 18,
        says: &["cut short after 5 bytes"],
        ..LIAR
    },
    Liar {
        name: "chunks that end within a chunk",
        source: "RFC 9112 section 8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n64\r\nhello")]],
        code: 18,
        says: &["cut short after 5 bytes"],
        ..LIAR
    },
    Liar {
        name: "chunks that end before the empty line",
        source: "RFC 9112 section 7.1",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n")]],
        code: 18,
        says: &["cut short after 5 bytes"],
        ..LIAR
    },
    Liar {
        name: "chunk longer than its size",
        source: "RFC 9112 section 7.1",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "chunk size that is no number",
        source: "RFC 9112 section 7.1",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nhello\r\n0\r\n\r\n")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "negative chunk size",
        source: "RFC 9112 section 7.1; CVE-2017-13089",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "chunk size beyond 2^64",
        source: "RFC 9112 section 7.1",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{f*20}\r\nhello\r\n0\r\n\r\n",
        )]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "chunk size of 2^63",
        source: "RFC 9112 section 7.1",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8{0*15}\r\nhello")]],
        code: 18,
        says: &["cut short after 5 bytes"],
        ..LIAR
    },
    Liar {
        name: "endless zeros in a chunk size",
        source: "RFC 9112 section 7.1; CVE-2021-38512",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Forever("{0*4096}")]],
        args: &["-o", "out", "--max-time", "1.5"],
        code: 28,
        says: &["the transfer was not finished within 1.500 s"],
        ..LIAR
    },
    Liar {
        name: "endless chunk extensions",
        source: "RFC 9112 section 7.1.1; CVE-2023-39326",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a="), Forever("{x*4096}")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "a small extension on each of endless chunks",
        source: "RFC 9112 section 7.1.1; CVE-2023-39326",
        answers: &[&[
            Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
            Forever("1;{x*1000}\r\nx\r\n"),
        ]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "endless trailers",
        source: "RFC 9112 section 7.1.2",
        answers: &[&[
            Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"),
            Forever("X-Trailer: {x*1000}\r\n"),
        ]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "trailers that claim to be another head",
        source: "RFC 9110 section 6.5.1",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Content-Length, ETag\r\n\r\n\
             5\r\nhello\r\n0\r\nContent-Length: 9\r\nETag: \"x\"\r\nLocation: /elsewhere\r\n\r\n",
        )]],
        files: &[("out", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "endless body, and a limit of time",
        source: "known practice: --max-time",
        answers: &[&[Send("HTTP/1.1 200 OK\r\n\r\n"), Slowly("{x*10000}", 20)]],
        args: &["-o", "out", "--max-time", "0.7"],
        code: 28,
        says: &["the transfer was not finished within 0.700 s; try again, or allow more time"],
        ..LIAR
    },
    Liar {
        name: "body that stalls",
        source: "known practice: limits of silence",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"), Hold]],
        args: &["-o", "out", "--read-timeout", "0.4", "--retry-for", "0"],
        code: 28,
        says: &["nothing was received within 0.400 s"],
        ..LIAR
    },
    Liar {
        name: "body that stalls each time",
        source: "known practice: limits of silence",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\nETag: \"v\"\r\n\r\nhello"), Hold]],
        args: &["-o", "out", "--read-timeout", "0.4", "--retry-for", "1"],
        code: 28,
        says: &["nothing has come for 1 s", "go on with -C"],
        files: &[("out.mphttp-part", Any), ("out.mphttp-part.json", Any)],
        ..LIAR
    },
    Liar {
        name: "slow body that comes all the same",
        source: "known practice: limits of silence",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), Slowly("hello", 150)]],
        args: &["-o", "out", "--read-timeout", "1"],
        files: &[("out", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "slow head",
        source: "known practice: Slowloris, by a server",
        answers: &[&[Slowly("HTTP/1.1 200 OK\r\nX: {x*1000}\r\n\r\n", 20)]],
        args: &["-o", "out", "--read-timeout", "0.6"],
        code: 28,
        says: &["nothing was received within 0.600 s"],
        ..LIAR
    },
    Liar {
        name: "silence instead of a head",
        source: "known practice: limits of silence",
        answers: &[&[Hold]],
        args: &["-o", "out", "--read-timeout", "0.4"],
        code: 28,
        says: &["nothing was received within 0.400 s"],
        ..LIAR
    },
    Liar {
        name: "close without a byte",
        source: "RFC 9112 section 9.6",
        answers: &[&[]],
        code: 52,
        says: &["closed the connection without an answer; try again"],
        ..LIAR
    },
    Liar {
        name: "close within the status line",
        source: "RFC 9112 section 8",
        answers: &[&[Send("HTTP/1.1 20")]],
        code: 52,
        says: &["closed the connection without an answer"],
        ..LIAR
    },
    Liar {
        name: "close within the head",
        source: "RFC 9112 section 8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b")]],
        code: 52,
        says: &["closed the connection without an answer"],
        ..LIAR
    },
    Liar {
        name: "close after the head",
        source: "RFC 9112 section 8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")]],
        code: 18,
        says: &["cut short after 0 bytes of 5"],
        ..LIAR
    },
    Liar {
        name: "close one byte before the end",
        source: "RFC 9112 section 8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell")]],
        code: 18,
        says: &["cut short after 4 bytes of 5"],
        ..LIAR
    },
    Liar {
        name: "reset without a byte",
        source: "RFC 9293 section 3.10.7",
        answers: &[&[Reset]],
        code: 56,
        says: &["broke", "try again"],
        ..LIAR
    },
    Liar {
        name: "reset within the head",
        source: "RFC 9293 section 3.10.7",
        answers: &[&[Send("HTTP/1.1 200 OK\r\n"), Reset]],
        code: 56,
        says: &["broke", "try again"],
        ..LIAR
    },
    Liar {
        name: "reset within the body, each time",
        source: "RFC 9293 section 3.10.7",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"), Reset]],
        code: 18,
        says: &["cut short after"],
        ..LIAR
    },
];
