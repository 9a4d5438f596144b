//! Names that servers give, files that are in the way, and digests that do not fit: what gets its final name, and what does not.

use super::{Act::*, Before, Content::*, LIAR, Liar};

const HELLO: &[super::Act] = &[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")];
const GOT: &[(&str, super::Content)] = &[("file", Text("hello"))];

/// A name of the server's choice, which is none of its business.
const NAMED: Liar = Liar { args: &["-O"], files: GOT, ..LIAR };

/// A body that is not what a digest says.
const SPOILT: Liar = Liar { code: 102, says: &["the body is not what it should be", "try again"], ..LIAR };

pub(super) const CASES: &[Liar] = &[
    Liar {
        name: "Content-Disposition with a path upwards",
        source: "RFC 6266 section 4.3; CWE-22: path traversal",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=\"../../evil\"\r\nContent-Length: 5\r\n\r\nhello",
        )]],
        ..NAMED
    },
    Liar {
        name: "Content-Disposition with an absolute path",
        source: "RFC 6266 section 4.3; CWE-22: path traversal",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=/tmp/evil\r\nContent-Length: 5\r\n\r\nhello",
        )]],
        ..NAMED
    },
    Liar {
        name: "Content-Disposition with an encoded NUL and a hidden name",
        source: "RFC 8187; CVE-2020-8177",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename*=UTF-8''.bashrc%00.txt\r\n\
             Content-Length: 5\r\n\r\nhello",
        )]],
        ..NAMED
    },
    Liar {
        name: "Content-Disposition with a very long name",
        source: "RFC 6266 section 4.3",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename={a*5000}\r\nContent-Length: 5\r\n\r\nhello",
        )]],
        ..NAMED
    },
    Liar {
        name: "Content-Disposition with a reserved name",
        source: "RFC 6266 section 4.3",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Disposition: attachment; filename=CON\r\nContent-Length: 5\r\n\r\nhello",
        )]],
        ..NAMED
    },
    Liar {
        name: "a URL with an encoded path upwards as its last part, with -O",
        source: "CWE-22: path traversal",
        answers: &[HELLO],
        args: &["-O", "{url}..%2f..%2fevil"],
        files: &[("..%2f..%2fevil", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "a URL whose last part leads upwards, with -O",
        source: "CWE-22: path traversal",
        answers: &[HELLO],
        args: &["-O", "{url}a/.."],
        code: 2,
        says: &["doesn't end in a file name, which -O needs"],
        ..LIAR
    },
    Liar {
        name: "a name longer than file names may be",
        source: "NAME_MAX: limits.h(0P)",
        answers: &[HELLO],
        args: &["-O", "{url}{a*300}"],
        code: 23,
        says: &["can't write to"],
        ..LIAR
    },
    Liar {
        name: "the longest name that files may have",
        source: "NAME_MAX: limits.h(0P)",
        answers: &[HELLO],
        args: &["-O", "{url}{n*255}"],
        files: &[("{n*255}", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "a file that is there stays until the new one is whole",
        source: "docs/downloads.md",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello")]],
        before: &[Before::File("out", "old")],
        code: 18,
        says: &["cut short after 5 bytes of 100"],
        files: &[("out", Text("old"))],
        ..LIAR
    },
    Liar {
        name: "a link in the file's place: what it leads to is replaced",
        source: "docs/downloads.md",
        answers: &[HELLO],
        before: &[Before::File("there", "old"), Before::Link("out", "there")],
        files: &[("out", Link("there")), ("there", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "a link that leads nowhere: it is replaced, and nothing made elsewhere",
        source: "CWE-59: link following",
        answers: &[HELLO],
        before: &[Before::Link("out", "nowhere")],
        files: &[("out", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "a directory in the file's place",
        source: "open(2): EISDIR",
        answers: &[HELLO],
        before: &[Before::Directory("out")],
        code: 23,
        says: &["Is a directory"],
        files: &[("out", Any)],
        ..LIAR
    },
    Liar {
        name: "a wrong --checksum",
        source: "docs/downloads.md: Nothing mixed",
        answers: &[HELLO],
        args: &[
            "-o",
            "out",
            "--checksum",
            "sha256=0000000000000000000000000000000000000000000000000000000000000000",
        ],
        ..SPOILT
    },
    Liar {
        name: "a wrong --checksum, and a file that is there",
        source: "docs/downloads.md: Nothing mixed",
        answers: &[HELLO],
        args: &[
            "-o",
            "out",
            "--checksum",
            "sha256=0000000000000000000000000000000000000000000000000000000000000000",
        ],
        before: &[Before::File("out", "old")],
        files: &[("out", Text("old"))],
        ..SPOILT
    },
    Liar {
        name: "Repr-Digest of another body",
        source: "RFC 9530 section 3",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nRepr-Digest: sha-256=:2SmKENGwc1g33EvYXaxkGw887yekfl1TpU8vP1svz/o=:\r\n\
             Content-Length: 5\r\n\r\nhello",
        )]],
        ..SPOILT
    },
    Liar {
        name: "Content-Digest of another body",
        source: "RFC 9530 section 2",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nContent-Digest: sha-256=:2SmKENGwc1g33EvYXaxkGw887yekfl1TpU8vP1svz/o=:\r\n\
             Content-Length: 5\r\n\r\nhello",
        )]],
        ..SPOILT
    },
    Liar {
        name: "Repr-Digest of another body, to a reader: told at the end",
        source: "RFC 9530 section 3",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nRepr-Digest: sha-256=:2SmKENGwc1g33EvYXaxkGw887yekfl1TpU8vP1svz/o=:\r\n\
             Content-Length: 5\r\n\r\nhello",
        )]],
        args: &[],
        stdout: Some("hello"),
        ..SPOILT
    },
    Liar {
        name: "a right digest beside a wrong one of a stronger kind",
        source: "RFC 9530 section 3",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nRepr-Digest: sha-256=:LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=:, \
             sha-512=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==:\r\n\
             Content-Length: 5\r\n\r\nhello",
        )]],
        ..SPOILT
    },
    Liar {
        name: "digests that are none are passed over",
        source: "RFC 9530 section 2; RFC 9651 section 3.2",
        answers: &[&[Send(
            "HTTP/1.1 200 OK\r\nRepr-Digest: sha-256=:AAAA:, sha-256=LPJNul, md5=:AAAA:, {hex:ff}=:::,,\r\n\
             Content-Digest: sha-512=:!:\r\nContent-Length: 5\r\n\r\nhello",
        )]],
        files: &[("out", Text("hello"))],
        ..LIAR
    },
    Liar {
        name: "a part with a wrong digest, each time",
        source: "RFC 9530 section 2",
        answers: &[
            &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"v\"\r\n\r\n0123456789")],
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\nETag: \"v\"\r\n\
                 Content-Digest: sha-256=:2SmKENGwc1g33EvYXaxkGw887yekfl1TpU8vP1svz/o=:\r\n\r\nabcdefghij",
            )],
        ],
        args: &["-o", "out", "--retry-for", "10"],
        says: &["the body is not what it should be", "go on with -C"],
        files: &[("out.mphttp-part", Any), ("out.mphttp-part.json", Any)],
        ..SPOILT
    },
];
