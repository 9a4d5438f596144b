//! `-C`, and files beside the final name that are not what a download left there.

use super::{Act::*, Before, Content::*, Heard, LIAR, Liar, Who};

const WHOLE: &[super::Act] =
    &[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"v\"\r\n\r\n0123456789abcdefghij")];
const REST: &[super::Act] = &[Send(
    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\nETag: \"v\"\r\n\r\n\
     abcdefghij",
)];
const GOT: &[(&str, super::Content)] = &[("out", Text("0123456789abcdefghij"))];
const HALF: Before = Before::File("out.mphttp-part", "0123456789");

/// A case of `-C` in which everything is asked for anew, in vain what was left.
const ANEW: Liar = Liar {
    answers: &[WHOLE],
    args: &["-C", "-o", "out"],
    files: GOT,
    heard: &[Heard::Times(Who::Server, 1), Heard::Never(Who::Server, "\nrange:")],
    ..LIAR
};

pub(super) const CASES: &[Liar] = &[
    Liar {
        name: "what was left, and the rest",
        source: "docs/downloads.md: Nothing lost",
        answers: &[REST],
        before: &[
            HALF,
            Before::File(
                "out.mphttp-part.json",
                r#"{"form":1,"url":"{url}file","version":{"etag":"\"v\""},"total":20,"pieces":[[0,10]],"synced":true,"boot":null}"#,
            ),
        ],
        heard: &[Heard::Times(Who::Server, 1), Heard::Has(Who::Server, 0, "range: bytes=10-\n")],
        ..ANEW
    },
    Liar {
        name: "what was left of another URL",
        source: "docs/downloads.md: Nothing mixed",
        before: &[
            HALF,
            Before::File(
                "out.mphttp-part.json",
                r#"{"form":1,"url":"http://elsewhere/file","version":{"etag":"\"v\""},"total":20,"pieces":[[0,10]],"synced":true,"boot":null}"#,
            ),
        ],
        ..ANEW
    },
    Liar {
        name: "state that is no JSON",
        source: "docs/downloads.md: Nothing lost",
        before: &[HALF, Before::File("out.mphttp-part.json", "{\"form\":1,")],
        ..ANEW
    },
    Liar {
        name: "state of another form",
        source: "docs/downloads.md: Nothing lost",
        before: &[
            HALF,
            Before::File(
                "out.mphttp-part.json",
                r#"{"form":9,"url":"{url}file","version":{"etag":"\"v\""},"total":20,"pieces":[[0,10]],"synced":true,"boot":null}"#,
            ),
        ],
        ..ANEW
    },
    Liar {
        name: "state of another boot, and not on disk",
        source: "docs/downloads.md: Nothing lost",
        before: &[
            HALF,
            Before::File(
                "out.mphttp-part.json",
                r#"{"form":1,"url":"{url}file","version":{"etag":"\"v\""},"total":20,"pieces":[[0,10]],"synced":false,"boot":"another"}"#,
            ),
        ],
        ..ANEW
    },
    Liar {
        name: "state that tells of more than the part holds",
        source: "docs/downloads.md: Nothing mixed",
        before: &[
            HALF,
            Before::File(
                "out.mphttp-part.json",
                r#"{"form":1,"url":"{url}file","version":{"etag":"\"v\""},"total":20,"pieces":[[0,15]],"synced":true,"boot":null}"#,
            ),
        ],
        ..ANEW
    },
    Liar {
        name: "state with pieces that end before they begin, overlap, and lie beyond the whole",
        source: "docs/downloads.md: Nothing mixed",
        answers: &[REST],
        before: &[
            HALF,
            Before::File(
                "out.mphttp-part.json",
                r#"{"form":1,"url":"{url}file","version":{"etag":"\"v\""},"total":20,"pieces":[[5,10],[0,7],[9,3],[90,99],[18446744073709551615,0]],"synced":true,"boot":null}"#,
            ),
        ],
        heard: &[Heard::Has(Who::Server, 0, "range: bytes=10-\n")],
        ..ANEW
    },
    Liar {
        name: "state of a whole of another length",
        source: "RFC 9110 section 14.4",
        answers: &[REST, WHOLE],
        before: &[
            HALF,
            Before::File(
                "out.mphttp-part.json",
                r#"{"form":1,"url":"{url}file","version":{"etag":"\"v\""},"total":18446744073709551615,"pieces":[[0,10]],"synced":true,"boot":null}"#,
            ),
        ],
        heard: &[Heard::Times(Who::Server, 2)],
        ..ANEW
    },
    Liar {
        name: "state whose version can't be sent",
        source: "RFC 9110 section 13.1.5",
        answers: &[
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\r\n\
                 KLMNOPQRST",
            )],
            WHOLE,
        ],
        before: &[
            HALF,
            Before::File(
                "out.mphttp-part.json",
                r#"{"form":1,"url":"{url}file","version":{"etag":"\"v\r\nX-Evil: 1\""},"total":20,"pieces":[[0,10]],"synced":true,"boot":null}"#,
            ),
        ],
        heard: &[Heard::Never(Who::Server, "x-evil"), Heard::Never(Who::Server, "X-Evil")],
        ..ANEW
    },
    Liar {
        name: "state without a version",
        source: "RFC 9110 section 13.1.5",
        answers: &[
            &[Send(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 10-19/20\r\nContent-Length: 10\r\n\
                 ETag: \"w\"\r\n\r\nKLMNOPQRST",
            )],
            WHOLE,
        ],
        before: &[
            HALF,
            Before::File(
                "out.mphttp-part.json",
                r#"{"form":1,"url":"{url}file","version":{},"total":20,"pieces":[[0,10]],"synced":true,"boot":null}"#,
            ),
        ],
        heard: &[],
        ..ANEW
    },
    Liar {
        name: "state that says all is there: it is looked at again",
        source: "docs/downloads.md: Nothing lost",
        answers: &[&[Send(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 19-19/20\r\nContent-Length: 1\r\nETag: \"v\"\r\n\r\nj",
        )]],
        before: &[
            Before::File("out.mphttp-part", "0123456789abcdefghij"),
            Before::File(
                "out.mphttp-part.json",
                r#"{"form":1,"url":"{url}file","version":{"etag":"\"v\""},"total":20,"pieces":[[0,20]],"synced":true,"boot":null}"#,
            ),
        ],
        heard: &[Heard::Has(Who::Server, 0, "range: bytes=19-\n")],
        ..ANEW
    },
    Liar {
        name: "part whose bytes are others: the checksum tells",
        source: "docs/downloads.md: Nothing mixed",
        answers: &[REST],
        args: &[
            "-C",
            "-o",
            "out",
            "--checksum",
            "sha256=6bc14bdc4517a7a682c6910de2e2946eb8e1ecd04090728fef6d092a7ceb62c5",
        ],
        before: &[
            Before::File("out.mphttp-part", "XXXXXXXXXX"),
            Before::File(
                "out.mphttp-part.json",
                r#"{"form":1,"url":"{url}file","version":{"etag":"\"v\""},"total":20,"pieces":[[0,10]],"synced":true,"boot":null}"#,
            ),
        ],
        code: 102,
        says: &["the body is not what it should be"],
        heard: &[],
        files: &[],
        ..ANEW
    },
    Liar {
        name: "state without a part",
        source: "docs/downloads.md: Nothing lost",
        before: &[Before::File(
            "out.mphttp-part.json",
            r#"{"form":1,"url":"{url}file","version":{"etag":"\"v\""},"total":20,"pieces":[[0,10]],"synced":true,"boot":null}"#,
        )],
        ..ANEW
    },
    Liar {
        name: "a pipe in the state's place",
        source: "CWE-379: files where others may write; CWE-400: resource consumption",
        before: &[HALF, Before::Fifo("out.mphttp-part.json")],
        ..ANEW
    },
    Liar {
        name: "a link in the part's place is not followed",
        source: "CWE-59: link following",
        before: &[Before::File("victim", "precious"), Before::Link("out.mphttp-part", "victim")],
        args: &["-o", "out"],
        code: 23,
        says: &["can't write to out", "out.mphttp-part"],
        heard: &[Heard::Times(Who::Server, 0)],
        files: &[("out.mphttp-part", Link("victim")), ("victim", Text("precious"))],
        ..ANEW
    },
    Liar {
        name: "a link in the state's place is not written through",
        source: "CWE-59: link following",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 20\r\nETag: \"v\"\r\n\r\n0123456789")]],
        before: &[Before::File("victim", "precious"), Before::Link("out.mphttp-part.json", "victim")],
        args: &["-o", "out", "--retry-for", "0"],
        code: 18,
        says: &["cut short", "go on with -C"],
        heard: &[],
        files: &[
            ("out.mphttp-part", Text("0123456789")),
            ("out.mphttp-part.json", Any),
            ("victim", Text("precious")),
        ],
        ..ANEW
    },
    Liar {
        name: "a pipe in the part's place",
        source: "CWE-379: files where others may write",
        before: &[Before::Fifo("out.mphttp-part")],
        args: &["-o", "out"],
        code: 23,
        says: &["can't write to out", "out.mphttp-part"],
        heard: &[Heard::Times(Who::Server, 0)],
        files: &[("out.mphttp-part", Any)],
        ..ANEW
    },
];
