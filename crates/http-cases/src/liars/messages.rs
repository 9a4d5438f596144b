//! Heads that are none, never end or say what makes no sense; statuses; servers that ask to wait.

use super::{Act::*, Before, Content::*, Heard, LIAR, Liar, Who};

pub(super) const CASES: &[Liar] = &[
    Liar {
        name: "endless head: many fields",
        source: "CVE-2023-38039",
        answers: &[&[Send("HTTP/1.1 200 OK\r\n"), Forever("X-A: b\r\n")]],
        code: 100,
        says: &["the response headers of", "too many"],
        ..LIAR
    },
    Liar {
        name: "endless head: one field",
        source: "CVE-2023-38039",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nX-A: "), Forever("{b*4096}")]],
        code: 100,
        says: &["larger than 262144 bytes"],
        ..LIAR
    },
    Liar {
        name: "endless status line",
        source: "RFC 9112 section 4",
        answers: &[&[Send("HTTP/1.1 200 "), Forever("{b*4096}")]],
        code: 100,
        says: &["larger than 262144 bytes"],
        ..LIAR
    },
    Liar {
        name: "endless 1xx",
        source: "RFC 9110 section 15.2",
        answers: &[&[Forever("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n")]],
        args: &["-o", "out", "--read-timeout", "1"],
        code: 28,
        says: &["within 1.000 s"],
        ..LIAR
    },
    Liar {
        name: "a few 1xx, then the answer",
        source: "RFC 9110 section 15.2",
        answers: &[&[Send(
            "HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
             HTTP/1.1 199 Odd\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        )]],
        files: &[("out", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "101 that nobody asked for",
        source: "RFC 9110 section 15.2.2",
        answers: &[&[Send(
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nhello",
        )]],
        code: 8,
        says: &["did not answer in valid HTTP", "101"],
        ..LIAR
    },
    Liar {
        name: "HTTP/0.9: a body without a head",
        source: "RFC 9112 appendix C.1",
        answers: &[&[Send("<html>hello</html>\r\n")]],
        code: 8,
        says: &["check that an HTTP server listens on that port"],
        ..LIAR
    },
    Liar {
        name: "greeting of a mail server",
        source: "known practice: cross-protocol",
        answers: &[&[Send("220 mail.example ESMTP\r\n")]],
        code: 8,
        says: &["check that an HTTP server listens on that port"],
        ..LIAR
    },
    Liar {
        name: "HTTP/2 frames to a request of HTTP/1.1",
        source: "RFC 9113 section 3.4",
        answers: &[&[Send("{hex:000000040000000000}{hex:0000080700000000000000000000000001}")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "version of another age",
        source: "RFC 9110 section 2.5",
        answers: &[&[Send("HTTP/3.7 200 OK\r\nContent-Length: 5\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "status 000",
        source: "RFC 9110 section 15",
        answers: &[&[Send("HTTP/1.1 000 No\r\nContent-Length: 5\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "status of letters",
        source: "RFC 9112 section 4",
        answers: &[&[Send("HTTP/1.1 ABC No\r\nContent-Length: 5\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "status of four digits",
        source: "RFC 9112 section 4",
        answers: &[&[Send("HTTP/1.1 2000 OK\r\nContent-Length: 5\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "status 999, with --fail",
        source: "RFC 9110 section 15: like a 5xx",
        answers: &[&[Send("HTTP/1.1 999 Go away\r\nContent-Length: 5\r\n\r\nhello")]],
        args: &["-o", "out", "--fail"],
        code: 22,
        says: &["answered 999"],
        ..LIAR
    },
    Liar {
        name: "status 999, with --fail and --include",
        source: "RFC 9110 section 15: like a 5xx",
        answers: &[&[Send("HTTP/1.1 999 Go away\r\nContent-Length: 5\r\n\r\nhello")]],
        args: &["-o", "out", "--fail", "--include"],
        code: 22,
        says: &["answered 999"],
        ..LIAR
    },
    Liar {
        name: "404, with --fail",
        source: "known practice: --fail",
        answers: &[&[Send("HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\ngone")]],
        args: &["-o", "out", "--fail"],
        before: &[Before::File("out", "old")],
        code: 22,
        says: &["answered 404 Not Found; check the URL"],
        files: &[("out", Text("old"))],
        ..LIAR
    },
    Liar {
        name: "304 to a request with a condition: the file stays",
        source: "RFC 9110 section 15.4.5",
        answers: &[&[Send("HTTP/1.1 304 Not Modified\r\nETag: \"v\"\r\n\r\n")]],
        args: &["-o", "out", "-H", "If-None-Match: \"v\""],
        before: &[Before::File("out", "old")],
        files: &[("out", Text("old"))],
        ..LIAR
    },
    Liar {
        name: "304 to a request with a condition and --compressed: the file stays",
        source: "RFC 9110 section 15.4.5",
        answers: &[&[Send("HTTP/1.1 304 Not Modified\r\nETag: \"v\"\r\nContent-Encoding: gzip\r\n\r\n")]],
        args: &["-o", "out", "--compressed", "-H", "If-None-Match: \"v\""],
        before: &[Before::File("out", "old")],
        files: &[("out", Text("old"))],
        ..LIAR
    },
    Liar {
        name: "304 that nobody asked for: no empty file",
        source: "RFC 9110 section 15.4.5",
        answers: &[&[Send("HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n")]],
        files: &[],
        ..LIAR
    },
    Liar {
        name: "204 with a body",
        source: "RFC 9110 section 15.3.5",
        answers: &[&[Send("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello")]],
        files: &[("out", Text(""))],
        ..LIAR
    },
    Liar {
        name: "folded field",
        source: "RFC 9112 section 5.2",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nX-A: b\r\n c\r\nContent-Length: 5\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "space before the colon",
        source: "RFC 9112 section 5.1",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "NUL in a field",
        source: "RFC 9110 section 5.5",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nX-A: b{hex:00}c\r\nContent-Length: 5\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "terminal's escape sequence in a field",
        source: "RFC 9110 section 5.5; CWE-150: control sequences",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nX-A: {hex:1b}[2J{hex:1b}]0;owned{hex:07}\r\nContent-Length: 5\r\n\r\nhello",
        )]],
        args: &["-i"],
        code: 8,
        says: &["did not answer in valid HTTP"],
        stdout: Some(""),
        ..LIAR
    },
    Liar {
        name: "terminal's escape sequence in the reason",
        source: "RFC 9112 section 4; CWE-150: control sequences",
        answers: &[&[Send("HTTP/1.1 404 {hex:1b}[2Jgone\r\nContent-Length: 5\r\n\r\nhello")]],
        args: &["--fail"],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "lie in the reason",
        source: "RFC 9112 section 4: the reason is no protocol",
        answers: &[&[Send("HTTP/1.1 500 200 OK\r\nContent-Length: 5\r\n\r\nhello")]],
        args: &["-o", "out", "--fail"],
        code: 22,
        says: &["answered 500 Internal Server Error"],
        ..LIAR
    },
    Liar {
        name: "control characters of ISO 8859-1 in the content type, as JSON",
        source: "RFC 9110 section 5.5; CWE-150: control sequences",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Type: text/{hex:c29b}2J\r\nContent-Length: 5\r\n\r\nhello",
        )]],
        args: &["--json"],
        ..LIAR
    },
    Liar {
        name: "transfer coding that nobody asked for",
        source: "RFC 9112 section 6.1",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        )]],
        code: 8,
        says: &["did not answer in valid HTTP", "transfer coding"],
        ..LIAR
    },
    Liar {
        name: "transfer coding without chunks",
        source: "RFC 9112 section 6.3 item 4.2",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello")]],
        code: 8,
        says: &["did not answer in valid HTTP", "transfer coding"],
        ..LIAR
    },
    Liar {
        name: "chunks in HTTP/1.0",
        source: "RFC 9112 section 6.1",
        answers: &[&[Send("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")]],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..LIAR
    },
    Liar {
        name: "two answers to one request",
        source: "RFC 9112 section 9.2",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nworld",
        )]],
        files: &[("out", Text("hello"))],
        heard: &[Heard::Times(Who::Server, 1)],
        ..LIAR
    },
    Liar {
        name: "503 for ever, each time for a second",
        source: "RFC 9110 section 10.2.3",
        answers: &[&[Send(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n",
        )]],
        args: &["-o", "out", "--retry-for", "2", "--fail"],
        code: 22,
        says: &["answered 503 Service Unavailable", "try again"],
        ..LIAR
    },
    Liar {
        name: "429 for ever, without a word about when",
        source: "RFC 6585 section 4",
        answers: &[&[Send("HTTP/1.1 429 Too Many Requests\r\nContent-Length: 0\r\n\r\n")]],
        args: &["-o", "out", "--fail"],
        code: 22,
        says: &["answered 429 Too Many Requests", "try again"],
        ..LIAR
    },
    Liar {
        name: "Retry-After of a million years",
        source: "RFC 9110 section 10.2.3",
        answers: &[&[Send(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 31536000000000\r\nContent-Length: 0\r\n\r\n",
        )]],
        args: &["-o", "out", "--fail"],
        code: 22,
        says: &["asks to wait"],
        ..LIAR
    },
    Liar {
        name: "Retry-After beyond 2^64",
        source: "RFC 9110 section 10.2.3",
        answers: &[&[Send(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: {9*40}\r\nContent-Length: 0\r\n\r\n",
        )]],
        args: &["-o", "out", "--fail"],
        code: 22,
        says: &["answered 503 Service Unavailable"],
        ..LIAR
    },
    Liar {
        name: "negative Retry-After",
        source: "RFC 9110 section 10.2.3",
        answers: &[&[Send(
            "HTTP/1.1 503 Service Unavailable\r\nRetry-After: -5\r\nContent-Length: 0\r\n\r\n",
        )]],
        args: &["-o", "out", "--fail"],
        code: 22,
        says: &["answered 503 Service Unavailable"],
        ..LIAR
    },
    Liar {
        name: "Retry-After of a date long past, then the body",
        source: "RFC 9110 section 10.2.3",
        answers: &[
            &[Send(
                "HTTP/1.1 503 Service Unavailable\r\nRetry-After: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
                 Content-Length: 0\r\n\r\n",
            )],
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")],
        ],
        files: &[("out", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "Retry-After of a date in the year 9999",
        source: "RFC 9110 section 10.2.3",
        answers: &[&[Send(
            "HTTP/1.1 429 Too Many Requests\r\nRetry-After: Fri, 31 Dec 9999 23:59:59 GMT\r\n\
             Content-Length: 0\r\n\r\n",
        )]],
        args: &["-o", "out", "--fail"],
        code: 22,
        says: &["asks to wait"],
        ..LIAR
    },
];
