//! Redirects in circles, into other schemes, and away with credentials.

use super::{Act::*, Content::*, Heard, LIAR, Liar, Port, Who};

const END: &[super::Act] = &[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")];
const TO_OTHER: &[super::Act] =
    &[Send("HTTP/1.1 302 Found\r\nLocation: http://{other}/end\r\nContent-Length: 0\r\n\r\n")];
const GOT: &[(&str, super::Content)] = &[("out", Text("hello"))];

/// A redirect that is not followed.
const REFUSED: Liar =
    Liar { code: 47, says: &["was not followed"], heard: &[Heard::Times(Who::Server, 1)], ..LIAR };

/// A redirect that is followed on the same server.
const FOLLOWED: Liar =
    Liar { files: GOT, heard: &[Heard::Has(Who::Server, 1, "GET /end HTTP/1.1\n")], ..LIAR };

pub(super) const CASES: &[Liar] = &[
    Liar {
        name: "a circle",
        source: "RFC 9110 section 15.4",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: /file\r\nContent-Length: 0\r\n\r\n")]],
        code: 47,
        says: &["more than 10 redirects"],
        heard: &[Heard::Times(Who::Server, 11)],
        ..LIAR
    },
    Liar {
        name: "a circle over two servers",
        source: "RFC 9110 section 15.4",
        answers: &[TO_OTHER],
        other: &[&[Send("HTTP/1.1 307 Temporary Redirect\r\nLocation: http://{other}/file\r\n\r\n")]],
        code: 47,
        says: &["more than 10 redirects"],
        ..LIAR
    },
    Liar {
        name: "an empty Location, which is the same URL",
        source: "RFC 3986 section 5.2.2",
        answers: &[&[Send("HTTP/1.1 301 Moved\r\nLocation: \r\nContent-Length: 0\r\n\r\n")]],
        code: 47,
        says: &["more than 10 redirects"],
        ..LIAR
    },
    Liar {
        name: "a chain longer than --max-redirs",
        source: "known practice: --max-redirs",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: n/\r\nContent-Length: 0\r\n\r\n")]],
        args: &["-o", "out", "--max-redirs", "3"],
        code: 47,
        says: &["more than 3 redirects"],
        heard: &[Heard::Times(Who::Server, 4)],
        ..LIAR
    },
    Liar {
        name: "into file:",
        source: "RFC 9110 section 15.4; CVE-2009-0037",
        answers: &[&[Send(
            "HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
        )]],
        says: &["\"file:///etc/passwd\" was not followed: only http and https are followed"],
        ..REFUSED
    },
    Liar {
        name: "into ftp:",
        source: "RFC 9110 section 15.4; CVE-2009-0037",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: ftp://localhost/x\r\nContent-Length: 0\r\n\r\n")]],
        ..REFUSED
    },
    Liar {
        name: "into javascript:",
        source: "known practice: only http and https",
        answers: &[&[Send(
            "HTTP/1.1 302 Found\r\nLocation: javascript:alert(1)\r\nContent-Length: 0\r\n\r\n",
        )]],
        ..REFUSED
    },
    Liar {
        name: "into data:",
        source: "known practice: only http and https",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: data:,hello\r\nContent-Length: 0\r\n\r\n")]],
        ..REFUSED
    },
    Liar {
        name: "without a host",
        source: "RFC 9110 section 4.2.1",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: http://\r\nContent-Length: 0\r\n\r\n")]],
        ..REFUSED
    },
    Liar {
        name: "to a port that is none",
        source: "RFC 3986 section 3.2.3",
        answers: &[&[Send(
            "HTTP/1.1 302 Found\r\nLocation: http://localhost:99999/\r\nContent-Length: 0\r\n\r\n",
        )]],
        ..REFUSED
    },
    Liar {
        name: "to a host name with a space",
        source: "RFC 3986 section 3.2.2",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: http://a b/\r\nContent-Length: 0\r\n\r\n")]],
        ..REFUSED
    },
    Liar {
        name: "control characters of a terminal, as UTF-8",
        source: "CWE-150: control sequences",
        answers: &[&[Send(
            "HTTP/1.1 302 Found\r\nLocation: x{hex:c29b}2J://{hex:e280ae}/\r\nContent-Length: 0\r\n\r\n",
        )]],
        code: 47,
        says: &[],
        heard: &[],
        ..REFUSED
    },
    Liar {
        name: "a NUL in Location",
        source: "RFC 9110 section 5.5",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: /en{hex:00}d\r\nContent-Length: 0\r\n\r\n")], END],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..REFUSED
    },
    Liar {
        name: "a bare CR in Location",
        source: "RFC 9110 section 5.5",
        answers: &[
            &[Send("HTTP/1.1 302 Found\r\nLocation: /en\rX-Evil: 1\r\nContent-Length: 0\r\n\r\n")],
            END,
        ],
        code: 8,
        says: &["did not answer in valid HTTP"],
        ..REFUSED
    },
    Liar {
        name: "CR and LF in Location, encoded: they stay so",
        source: "CWE-113: CRLF injection",
        answers: &[
            &[Send("HTTP/1.1 302 Found\r\nLocation: /end%0d%0aX-Evil:%201\r\nContent-Length: 0\r\n\r\n")],
            END,
        ],
        heard: &[
            Heard::Has(Who::Server, 1, "GET /end%0d%0aX-Evil:%201 HTTP/1.1\n"),
            Heard::Never(Who::Server, "\nx-evil"),
        ],
        ..FOLLOWED
    },
    Liar {
        name: "a tab in Location, which URLs lose",
        source: "WHATWG URL section 4.4",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: /e\tnd\r\nContent-Length: 0\r\n\r\n")], END],
        ..FOLLOWED
    },
    Liar {
        name: "raw UTF-8 in Location",
        source: "WHATWG URL section 4.4",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: /\u{e9}\r\nContent-Length: 0\r\n\r\n")], END],
        heard: &[Heard::Has(Who::Server, 1, "GET /%C3%A9 HTTP/1.1\n")],
        ..FOLLOWED
    },
    Liar {
        name: "a relative Location",
        source: "RFC 9110 section 10.2.2",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: ../a/../end\r\nContent-Length: 0\r\n\r\n")], END],
        ..FOLLOWED
    },
    Liar {
        name: "a Location that climbs above the root",
        source: "RFC 3986 section 5.2.4",
        answers: &[
            &[Send("HTTP/1.1 302 Found\r\nLocation: /../../../end\r\nContent-Length: 0\r\n\r\n")],
            END,
        ],
        ..FOLLOWED
    },
    Liar {
        name: "a Location without a scheme",
        source: "RFC 3986 section 4.2",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: //{host}/end\r\nContent-Length: 0\r\n\r\n")], END],
        ..FOLLOWED
    },
    Liar {
        name: "a Location with backslashes, which URLs turn",
        source: "WHATWG URL section 4.4",
        answers: &[
            &[Send("HTTP/1.1 302 Found\r\nLocation: \\\\{host}\\end\r\nContent-Length: 0\r\n\r\n")],
            END,
        ],
        ..FOLLOWED
    },
    Liar {
        name: "a redirect without a Location is an answer",
        source: "RFC 9110 section 15.4",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nContent-Length: 5\r\n\r\nhello")]],
        heard: &[Heard::Times(Who::Server, 1)],
        ..FOLLOWED
    },
    Liar {
        name: "a redirect with an endless body, which nobody reads",
        source: "CWE-400: resource consumption",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: /end\r\n\r\n"), Forever("{x*4096}")], END],
        ..FOLLOWED
    },
    Liar {
        name: "the same origin keeps credentials",
        source: "RFC 9110 section 15.4",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: /end\r\nContent-Length: 0\r\n\r\n")], END],
        args: &["-o", "out", "-u", "al:secret", "-H", "Cookie: a=b"],
        heard: &[
            Heard::Has(Who::Server, 1, "authorization: Basic YWw6c2VjcmV0\n"),
            Heard::Has(Who::Server, 1, "cookie: a=b\n"),
        ],
        ..FOLLOWED
    },
    Liar {
        name: "another port gets no Authorization",
        source: "RFC 9110 section 15.4; CVE-2022-27774",
        answers: &[TO_OTHER],
        other: &[END],
        args: &["-o", "out", "-u", "al:secret"],
        heard: &[
            Heard::Has(Who::Server, 0, "authorization: Basic YWw6c2VjcmV0\n"),
            Heard::Times(Who::Other, 1),
            Heard::Never(Who::Other, "authorization"),
        ],
        ..FOLLOWED
    },
    Liar {
        name: "another port gets no Authorization that was given as a header",
        source: "RFC 9110 section 15.4; CVE-2018-1000007",
        answers: &[TO_OTHER],
        other: &[END],
        args: &["-o", "out", "-H", "Authorization: Bearer secret"],
        heard: &[Heard::Times(Who::Other, 1), Heard::Never(Who::Other, "secret")],
        ..FOLLOWED
    },
    Liar {
        name: "another port gets no Cookie",
        source: "RFC 9110 section 15.4; CVE-2022-27776",
        answers: &[TO_OTHER],
        other: &[END],
        args: &["-o", "out", "-H", "Cookie: session=secret", "-H", "Proxy-Authorization: Basic secret"],
        heard: &[Heard::Times(Who::Other, 1), Heard::Never(Who::Other, "secret")],
        ..FOLLOWED
    },
    Liar {
        name: "another port gets no Host that was given",
        source: "RFC 9110 section 7.2",
        answers: &[TO_OTHER],
        other: &[END],
        args: &["-o", "out", "-H", "Host: inner.example"],
        heard: &[
            Heard::Has(Who::Server, 0, "host: inner.example\n"),
            Heard::Times(Who::Other, 1),
            Heard::Never(Who::Other, "inner.example"),
        ],
        ..FOLLOWED
    },
    Liar {
        name: "another port gets nothing of the URL's user and password",
        source: "RFC 9110 section 4.2.4; CVE-2022-27774",
        answers: &[TO_OTHER],
        other: &[END],
        args: &["-o", "out", "http://al:secret@{host}/file"],
        heard: &[
            Heard::Has(Who::Server, 0, "authorization: Basic YWw6c2VjcmV0\n"),
            Heard::Never(Who::Server, "al:secret"),
            Heard::Times(Who::Other, 1),
            Heard::Never(Who::Other, "authorization"),
            Heard::Never(Who::Other, "secret"),
        ],
        ..FOLLOWED
    },
    Liar {
        name: "another port and back: what was dropped stays so",
        source: "RFC 9110 section 15.4",
        answers: &[TO_OTHER, END],
        other: &[TO_OTHER],
        args: &["-o", "out", "-u", "al:secret"],
        heard: &[
            Heard::Never(Who::Other, "authorization"),
            Heard::Has(Who::Server, 1, "GET /end HTTP/1.1\n"),
            Heard::Lacks(Who::Server, 1, "authorization"),
        ],
        ..FOLLOWED
    },
    Liar {
        name: "no Referer tells where one came from",
        source: "RFC 9110 section 10.1.3; CVE-2021-22876",
        answers: &[TO_OTHER],
        other: &[END],
        args: &["-o", "out", "http://al:secret@{host}/file?token=hush"],
        heard: &[
            Heard::Times(Who::Other, 1),
            Heard::Never(Who::Other, "referer"),
            Heard::Never(Who::Other, "hush"),
        ],
        ..FOLLOWED
    },
    Liar {
        name: "a Location with a user sends that one, and its password is not said",
        source: "RFC 9110 section 4.2.4",
        answers: &[&[Send(
            "HTTP/1.1 302 Found\r\nLocation: http://eve:hush@{other}/end\r\nContent-Length: 0\r\n\r\n",
        )]],
        other: &[&[]],
        args: &["-o", "out", "-u", "al:secret"],
        code: 52,
        says: &["closed the connection without an answer"],
        heard: &[
            Heard::Has(Who::Other, 0, "authorization: Basic ZXZlOmh1c2g=\n"),
            Heard::Never(Who::Other, "c2VjcmV0"),
        ],
        files: &[],
        ..LIAR
    },
    Liar {
        name: "from https to http",
        source: "RFC 9110 section 15.4; CWE-319: sent in the clear",
        port: Port::Tls,
        answers: &[TO_OTHER],
        other: &[END],
        args: &["-o", "out", "--http1.1", "--cacert", "{ca}"],
        code: 47,
        says: &["it gives up TLS"],
        heard: &[Heard::Times(Who::Other, 0)],
        ..LIAR
    },
    Liar {
        name: "from https to http, where that is allowed: without credentials",
        source: "RFC 9110 section 15.4",
        port: Port::Tls,
        answers: &[TO_OTHER],
        other: &[END],
        args: &["-o", "out", "--http1.1", "--cacert", "{ca}", "--insecure-redirects", "-u", "al:secret"],
        heard: &[Heard::Times(Who::Other, 1), Heard::Never(Who::Other, "authorization")],
        files: GOT,
        ..LIAR
    },
    Liar {
        name: "the rest of a body redirects elsewhere: without credentials",
        source: "RFC 9110 section 15.4",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: \"v\"\r\n\r\nhel")], TO_OTHER],
        other: &[&[Send(
            "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3-4/5\r\nETag: \"v\"\r\nContent-Length: 2\r\n\r\nlo",
        )]],
        args: &["-o", "out", "-u", "al:secret"],
        heard: &[Heard::Times(Who::Other, 1), Heard::Never(Who::Other, "authorization")],
        ..FOLLOWED
    },
    Liar {
        name: "-O keeps the name that was asked for",
        source: "CVE-2016-4971",
        answers: &[&[Send("HTTP/1.1 302 Found\r\nLocation: /.bashrc\r\nContent-Length: 0\r\n\r\n")], END],
        args: &["-O"],
        heard: &[Heard::Has(Who::Server, 1, "GET /.bashrc HTTP/1.1\n")],
        files: &[("file", Text("hello"))],
        ..LIAR
    },
];
