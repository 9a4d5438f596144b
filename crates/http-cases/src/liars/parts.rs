//! Parts that are not what was asked for, and versions that change under way: nothing may be mixed.
//!
//! The first answer is cut; what comes then is the lie. The whole is `0123456789abcdefghij`, of version `"v"`.

use super::{Act::*, Content::*, Heard, LIAR, Liar, Who};

/// The first ten bytes, and a cut.
const HALF: &[super::Act] = &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"v\"\r\n\r\n0123456789")];

/// The whole of another version.
const OTHER: &[super::Act] =
    &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"w\"\r\n\r\nABCDEFGHIJKLMNOPQRST")];

/// The whole of the first.
const WHOLE: &[super::Act] =
    &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"v\"\r\n\r\n0123456789abcdefghij")];

const GOT_OTHER: &[(&str, super::Content)] = &[("out", Text("ABCDEFGHIJKLMNOPQRST"))];
const GOT: &[(&str, super::Content)] = &[("out", Text("0123456789abcdefghij"))];

pub(super) const CASES: &[Liar] = &[
    Liar {
        name: "the rest, as it was asked for",
        source: "RFC 9110 section 14",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\
                 ETag: \"v\"\r\n\r\nabcdefghij",
            )],
        ],
        files: GOT,
        heard: &[
            Heard::Has(Who::Server, 1, "range: bytes=10-\n"),
            Heard::Has(Who::Server, 1, "if-range: \"v\"\n"),
        ],
        ..LIAR
    },
    Liar {
        name: "the rest of another version, as a part",
        source: "RFC 9110 section 13.1.5: If-Range ignored",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\
                 ETag: \"w\"\r\n\r\nKLMNOPQRST",
            )],
            OTHER,
        ],
        files: GOT_OTHER,
        ..LIAR
    },
    Liar {
        name: "the rest under the same tag, weak now",
        source: "RFC 9110 section 8.8.3.2",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\
                 ETag: W/\"v\"\r\n\r\nKLMNOPQRST",
            )],
            OTHER,
        ],
        files: GOT_OTHER,
        ..LIAR
    },
    Liar {
        name: "the rest without a word about its version",
        source: "RFC 9110 section 15.3.7",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\r\n\
                 KLMNOPQRST",
            )],
            OTHER,
        ],
        files: GOT_OTHER,
        ..LIAR
    },
    Liar {
        name: "part without Content-Range",
        source: "RFC 9110 section 15.3.7.1",
        answers: &[
            HALF,
            &[Send("HTTP/1.1 206 Partial Content\r\nContent-Length: 10\r\nETag: \"v\"\r\n\r\nKLMNOPQRST")],
            OTHER,
        ],
        files: GOT_OTHER,
        ..LIAR
    },
    Liar {
        name: "part from elsewhere",
        source: "RFC 9110 section 14.4",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 5-14/20\r\nContent-Length: 10\r\n\
                 ETag: \"v\"\r\n\r\nKLMNOPQRST",
            )],
            OTHER,
        ],
        files: GOT_OTHER,
        ..LIAR
    },
    Liar {
        name: "part of a whole of another length",
        source: "RFC 9110 section 14.4",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/21\r\nContent-Length: 10\r\n\
                 ETag: \"v\"\r\n\r\nKLMNOPQRST",
            )],
            OTHER,
        ],
        files: GOT_OTHER,
        ..LIAR
    },
    Liar {
        name: "part of a whole of unknown length",
        source: "RFC 9110 section 14.4",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/*\r\nContent-Length: 10\r\n\
                 ETag: \"v\"\r\n\r\nabcdefghij",
            )],
        ],
        files: GOT,
        ..LIAR
    },
    Liar {
        name: "part that is longer than its Content-Range: the whole from its beginning",
        source: "RFC 9110 section 14.4",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 20\r\n\
                 ETag: \"v\"\r\n\r\n0123456789abcdefghij",
            )],
            WHOLE,
        ],
        files: GOT,
        ..LIAR
    },
    Liar {
        name: "part in chunks that is longer than its Content-Range",
        source: "RFC 9110 section 14.4",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-14/20\r\nTransfer-Encoding: chunked\r\n\
                 ETag: \"v\"\r\n\r\na\r\nabcdeVWXYZ\r\n0\r\n\r\n",
            )],
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 15-19/20\r\nContent-Length: 5\r\n\
                 ETag: \"v\"\r\n\r\nfghij",
            )],
        ],
        files: GOT,
        ..LIAR
    },
    Liar {
        name: "part that is shorter than its Content-Range",
        source: "RFC 9110 section 14.4",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 5\r\n\
                 ETag: \"v\"\r\n\r\n01234",
            )],
            WHOLE,
        ],
        files: GOT,
        ..LIAR
    },
    Liar {
        name: "part that ends before it was asked to",
        source: "RFC 9110 section 15.3.7",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-14/20\r\nContent-Length: 5\r\n\
                 ETag: \"v\"\r\n\r\nabcde",
            )],
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 15-19/20\r\nContent-Length: 5\r\n\
                 ETag: \"v\"\r\n\r\nfghij",
            )],
        ],
        files: GOT,
        ..LIAR
    },
    Liar {
        name: "several parts where one was asked for",
        source: "RFC 9110 section 15.3.7.2",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=B\r\n\
                 ETag: \"v\"\r\n\r\n--B\r\nContent-Range: bytes 10-19/20\r\n\r\nabcdefghij\r\n--B--\r\n",
            )],
            WHOLE,
        ],
        files: GOT,
        ..LIAR
    },
    Liar {
        name: "several parts under a Content-Range",
        source: "RFC 9110 section 15.3.7.2",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Type: multipart/byteranges; boundary=B\r\n\
                 Content-Range: bytes 10-19/20\r\nETag: \"v\"\r\n\r\n--B\r\n\r\nabcdefghij\r\n--B--\r\n",
            )],
            WHOLE,
        ],
        files: GOT,
        ..LIAR
    },
    Liar {
        name: "two Content-Range fields that differ",
        source: "RFC 9110 section 14.4",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Range: bytes 0-9/20\r\n\
                 Content-Length: 10\r\nETag: \"v\"\r\n\r\n0123456789",
            )],
            WHOLE,
        ],
        files: GOT,
        ..LIAR
    },
    Liar {
        name: "Content-Range that ends before it begins",
        source: "RFC 9110 section 14.4",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 19-10/20\r\nContent-Length: 10\r\n\
                 ETag: \"v\"\r\n\r\nKLMNOPQRST",
            )],
            OTHER,
        ],
        files: GOT_OTHER,
        ..LIAR
    },
    Liar {
        name: "Content-Range up to 2^64 - 1",
        source: "RFC 9110 section 14.4",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-18446744073709551615/*\r\n\
                 ETag: \"v\"\r\n\r\nKLMNOPQRST",
            )],
            OTHER,
        ],
        files: GOT_OTHER,
        ..LIAR
    },
    Liar {
        name: "the whole again, of the same version",
        source: "RFC 9110 section 14.2: ranges may be ignored",
        answers: &[HALF, WHOLE],
        files: GOT,
        ..LIAR
    },
    Liar {
        name: "the whole again, of another version",
        source: "RFC 9110 section 13.1.5",
        answers: &[HALF, OTHER, OTHER],
        files: GOT_OTHER,
        ..LIAR
    },
    Liar {
        name: "the whole again, shorter than what there was",
        source: "RFC 9110 section 8.8.1",
        answers: &[HALF, &[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"v\"\r\n\r\nABCDE")], OTHER],
        files: GOT_OTHER,
        ..LIAR
    },
    Liar {
        name: "the whole again, of the same tag and another length",
        source: "RFC 9110 section 8.8.1",
        answers: &[
            HALF,
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 15\r\nETag: \"v\"\r\n\r\nABCDEFGHIJKLMNO")],
            OTHER,
        ],
        files: GOT_OTHER,
        ..LIAR
    },
    Liar {
        name: "another version at each request",
        source: "RFC 9110 section 8.8",
        answers: &[
            HALF,
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"1\"\r\n\r\nABC")],
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"2\"\r\n\r\nABC")],
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"3\"\r\n\r\nABC")],
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"4\"\r\n\r\nABC")],
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"5\"\r\n\r\nABC")],
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"6\"\r\n\r\nABC")],
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"7\"\r\n\r\nABC")],
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"8\"\r\n\r\nABC")],
        ],
        code: 18,
        says: &["changed while it was downloaded; try again"],
        files: &[("out.mphttp-part", Any), ("out.mphttp-part.json", Any)],
        ..LIAR
    },
    Liar {
        name: "another length at each request, without a version",
        source: "RFC 9110 section 8.8",
        answers: &[
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n0123456789")],
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nABCDE")],
        ],
        files: &[("out", Text("ABCDE"))],
        heard: &[Heard::Never(Who::Server, "\nrange:")],
        ..LIAR
    },
    Liar {
        name: "a weak tag is no version",
        source: "RFC 9110 section 13.1.5",
        answers: &[
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: W/\"v\"\r\n\r\n0123456789")],
            OTHER,
        ],
        files: GOT_OTHER,
        heard: &[Heard::Never(Who::Server, "\nrange:")],
        ..LIAR
    },
    Liar {
        name: "Accept-Ranges: none, and a server that means it",
        source: "RFC 9110 section 14.3",
        answers: &[
            &[Send(
                "HTTP/1.1 200 OK\r\nAccept-Ranges: none\r\nContent-Length: 20\r\nETag: \"v\"\r\n\r\n0123456789",
            )],
            WHOLE,
        ],
        files: GOT,
        ..LIAR
    },
    Liar {
        name: "Accept-Ranges: bytes, and a server that takes none",
        source: "RFC 9110 section 14.3",
        answers: &[
            &[Send(
                "HTTP/1.1 200 OK\r\nAccept-Ranges: bytes\r\nContent-Length: 20\r\nETag: \"v\"\r\n\r\n0123456789",
            )],
            &[Send("HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n")],
        ],
        args: &["-o", "out", "--retry-for", "2"],
        code: 22,
        says: &["answered 501 Not Implemented"],
        files: &[("out.mphttp-part", Any), ("out.mphttp-part.json", Any)],
        ..LIAR
    },
    Liar {
        name: "416 for what it has announced",
        source: "RFC 9110 section 15.5.17",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 416 Range Not Satisfiable\r\nContent-Range: bytes */20\r\nContent-Length: 0\r\n\r\n",
            )],
            OTHER,
        ],
        files: GOT_OTHER,
        ..LIAR
    },
    Liar {
        name: "part where everything was asked for",
        source: "RFC 9110 section 15.3.7",
        answers: &[&[Send(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-4/20\r\nContent-Length: 5\r\n\
             ETag: \"v\"\r\n\r\n01234",
        )]],
        code: 8,
        says: &["it sent a part of the body (206) where all of it was asked for"],
        ..LIAR
    },
    Liar {
        name: "an error page in place of the rest",
        source: "RFC 9110 section 15.5",
        answers: &[HALF, &[Send("HTTP/1.1 403 Forbidden\r\nContent-Length: 10\r\n\r\nKLMNOPQRST")]],
        args: &["-o", "out", "--retry-for", "2"],
        code: 22,
        says: &["answered 403 Forbidden"],
        files: &[("out.mphttp-part", Text("0123456789")), ("out.mphttp-part.json", Any)],
        ..LIAR
    },
    Liar {
        name: "503 in place of the rest, for ever",
        source: "RFC 9110 section 10.2.3",
        answers: &[
            HALF,
            &[Send("HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")],
        ],
        args: &["-o", "out", "--retry-for", "1"],
        code: 22,
        says: &["answered 503 Service Unavailable", "go on with -C"],
        files: &[("out.mphttp-part", Text("0123456789")), ("out.mphttp-part.json", Any)],
        ..LIAR
    },
    Liar {
        name: "500 in place of the rest, for ever",
        source: "RFC 9110 section 15.6.1",
        answers: &[HALF, &[Send("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nXXX")]],
        args: &["-o", "out", "--retry-for", "1"],
        code: 22,
        says: &["nothing has come for 1 s", "answered 500 Internal Server Error", "go on with -C"],
        files: &[("out.mphttp-part", Text("0123456789")), ("out.mphttp-part.json", Any)],
        ..LIAR
    },
    Liar {
        name: "the same part again and again",
        source: "RFC 9110 section 15.3.7",
        answers: &[
            HALF,
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\
                 ETag: \"v\"\r\n\r\n",
            )],
        ],
        args: &["-o", "out", "--retry-for", "1"],
        code: 18,
        says: &["nothing has come for 1 s", "go on with -C"],
        files: &[("out.mphttp-part", Text("0123456789")), ("out.mphttp-part.json", Any)],
        ..LIAR
    },
    Liar {
        name: "to a reader, another version under way: what was given can't be taken back",
        source: "RFC 9110 section 13.1.5",
        answers: &[HALF, OTHER],
        args: &[],
        code: 18,
        says: &["changed while it was downloaded"],
        stdout: Some("0123456789"),
        ..LIAR
    },
];
