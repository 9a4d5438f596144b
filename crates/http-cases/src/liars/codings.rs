//! Bodies in codings that are not what they say, and those that expand a thousand times and more.
//!
//! The bombs are 32 MiB of zeros, which would not fit beside the program into what it may take of memory.

use super::{Act::*, Coding::*, Content::*, Heard, LIAR, Liar, Who};

const BOMB: usize = 32 << 20;

/// With `--compressed`.
const CODED: Liar = Liar { args: &["-o", "out", "--compressed"], ..LIAR };

/// A body that can't be decompressed.
const WRONG: Liar =
    Liar { code: 61, says: &["the body can't be read as", "tell whoever runs the server"], ..CODED };

pub(super) const CASES: &[Liar] = &[
    Liar {
        name: "gzip that expands a thousand times: as a stream, in little memory",
        source: "CWE-409: data amplification",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"), Coded(&[Gzip], BOMB)]],
        files: &[("out", Zeros(BOMB))],
        ..CODED
    },
    Liar {
        name: "deflate that expands a thousand times",
        source: "CWE-409: data amplification",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\n"), Coded(&[Deflate], BOMB)]],
        files: &[("out", Zeros(BOMB))],
        ..CODED
    },
    Liar {
        name: "br that expands a hundred thousand times",
        source: "CWE-409: data amplification",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n"), Coded(&[Brotli], BOMB)]],
        files: &[("out", Zeros(BOMB))],
        ..CODED
    },
    Liar {
        name: "zstd that expands ten thousand times",
        source: "CWE-409: data amplification; RFC 9659",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\n"), Coded(&[Zstd], BOMB)]],
        files: &[("out", Zeros(BOMB))],
        ..CODED
    },
    Liar {
        name: "zstd with a window of 64 MiB",
        source: "RFC 9659 section 3: 8 MiB at most",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 14\r\n\r\n\
             {hex:28b52ffd0080290000}{hex:68656c6c6f}",
        )]],
        ..WRONG
    },
    Liar {
        name: "a bomb without --compressed is saved as it is",
        source: "RFC 9110 section 12.5.3: Accept-Encoding ignored",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello")]],
        heard: &[Heard::Has(Who::Server, 0, "accept-encoding: identity\n")],
        files: &[("out", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "a bomb within a bomb is not undone",
        source: "CVE-2022-32206",
        answers: &[&[
            Send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip, gzip\r\n"),
            Coded(&[Gzip, Gzip], BOMB),
        ]],
        code: 61,
        says: &["the coding \"gzip, gzip\"", "without --compressed"],
        ..CODED
    },
    Liar {
        name: "a bomb within a bomb, in two fields",
        source: "CVE-2023-23916",
        answers: &[&[
            Send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Encoding: gzip\r\n"),
            Coded(&[Gzip, Gzip], BOMB),
        ]],
        code: 61,
        says: &["the coding \"gzip, gzip\"", "without --compressed"],
        ..CODED
    },
    Liar {
        name: "a coding that nobody knows",
        source: "RFC 9110 section 8.4",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Encoding: x-{hex:c29b}\r\nContent-Length: 5\r\n\r\nhello",
        )]],
        code: 61,
        says: &["without --compressed"],
        ..CODED
    },
    Liar {
        name: "identity, which is none",
        source: "RFC 9110 section 8.4.1",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Encoding: identity\r\nContent-Length: 5\r\n\r\nhello",
        )]],
        files: &[("out", Text("hello"))],
        ..CODED
    },
    Liar {
        name: "x-gzip, which is gzip",
        source: "RFC 9110 section 8.4.1.3",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: x-gzip\r\n"), Coded(&[Gzip], 5)]],
        files: &[("out", Zeros(5))],
        ..CODED
    },
    Liar {
        name: "GZIP, since codings have no case",
        source: "RFC 9110 section 8.4.1",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: GZIP\r\n"), Coded(&[Gzip], 5)]],
        files: &[("out", Zeros(5))],
        ..CODED
    },
    Liar {
        name: "gzip that is plain text",
        source: "RFC 9110 section 8.4",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 5\r\n\r\nhello")]],
        ..WRONG
    },
    Liar {
        name: "br that is gzip",
        source: "RFC 9110 section 8.4",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n"), Coded(&[Gzip], 1000)]],
        ..WRONG
    },
    Liar {
        name: "zstd that is plain text",
        source: "RFC 9110 section 8.4",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 5\r\n\r\nhello")]],
        ..WRONG
    },
    Liar {
        name: "gzip without its end, of the length announced",
        source: "RFC 1952 section 2.3.1",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 12\r\n\r\n{hex:1f8b0800000000000003cb48}",
        )]],
        ..WRONG
    },
    Liar {
        name: "gzip with a wrong sum",
        source: "RFC 1952 section 2.3.1",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 25\r\n\r\n\
             {hex:1f8b0800000000000003cb48cdc9c90700deadbeef05000000}",
        )]],
        ..WRONG
    },
    Liar {
        name: "gzip cut by the connection's end",
        source: "RFC 9112 section 8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"), CodedCut(&[Gzip], 1 << 20, 100)]],
        code: 18,
        says: &["cut short after"],
        ..CODED
    },
    Liar {
        name: "br cut by the connection's end",
        source: "RFC 9112 section 8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: br\r\n"), CodedCut(&[Brotli], 1 << 20, 4)]],
        code: 18,
        says: &["cut short after"],
        ..CODED
    },
    Liar {
        name: "zstd without its end, ended by close",
        source: "RFC 8878 section 3.1.1",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\n\r\n{hex:28b52ffd0058280000}{hex:68656c}",
        )]],
        ..WRONG
    },
    Liar {
        name: "garbage after gzip's end",
        source: "RFC 1952 section 2.2",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 32\r\n\r\n\
             {hex:1f8b0800000000000003cb48cdc9c9070086a6103605000000}garbage",
        )]],
        ..WRONG
    },
    Liar {
        name: "garbage after deflate's end",
        source: "RFC 1950 section 2.2",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Encoding: deflate\r\nContent-Length: 20\r\n\r\n\
             {hex:789ccb48cdc9c90700062c0215}garbage",
        )]],
        says: &["the body can't be read as deflate: something follows its end; try again"],
        ..WRONG
    },
    Liar {
        name: "garbage after br's end",
        source: "RFC 7932 section 9.1",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 16\r\n\r\n\
             {hex:0b028068656c6c6f03}garbage",
        )]],
        says: &["the body can't be read as br: something follows its end; try again"],
        ..WRONG
    },
    Liar {
        name: "garbage after zstd's end",
        source: "RFC 8878 section 3.1",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 21\r\n\r\n\
             {hex:28b52ffd0058290000}hellogarbage",
        )]],
        ..WRONG
    },
    Liar {
        name: "zstd of two frames",
        source: "RFC 8878 section 3.1",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 28\r\n\r\n\
             {hex:28b52ffd0058290000}hello{hex:28b52ffd0058290000}hello",
        )]],
        files: &[("out", Text("hellohello"))],
        ..CODED
    },
    Liar {
        name: "gzip of two members",
        source: "RFC 1952 section 2.2",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 50\r\n\r\n\
             {hex:1f8b0800000000000003cb48cdc9c9070086a6103605000000}\
             {hex:1f8b0800000000000003cb48cdc9c9070086a6103605000000}",
        )]],
        files: &[("out", Text("hellohello"))],
        ..CODED
    },
    Liar {
        name: "a coded body that is empty",
        source: "RFC 9110 section 8.4",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n")]],
        files: &[("out", Text(""))],
        ..CODED
    },
    Liar {
        name: "a coding in the head of an answer to HEAD",
        source: "RFC 9110 section 9.3.2",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 100\r\n\r\n")]],
        args: &["-I", "--compressed"],
        ..LIAR
    },
];
