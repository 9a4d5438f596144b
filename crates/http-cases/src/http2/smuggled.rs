//! Requests that are one in HTTP/2, and that a careless proxy would make two of, or another, in HTTP/1.1.

use super::frame::*;
use super::{Case, Field, Field::*, Outcome, Outcome::*, Step, case};
use crate::Row;

/// A request, and what may come of it behind the proxy.
#[derive(Clone, Copy, Debug)]
pub struct Smuggled {
    /// What the client does, and what becomes of it there.
    pub case: Case,
    /// What reaches the server behind.
    pub behind: Behind,
}

/// What reaches the server behind a proxy.
#[derive(Clone, Copy, Debug)]
pub enum Behind {
    /// Nothing.
    Nothing,
    /// Nothing, or a request that breaks off and so never is one.
    Broken,
    /// Nothing, a request that breaks off, or this one, without a body.
    AtMost(&'static str),
    /// One request.
    One(Request),
}

/// What a request has to look like.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Its method and target.
    pub line: &'static str,
    /// Its body.
    pub body: &'static str,
    /// Fields that it has.
    pub has: &'static [&'static str],
    /// Names of fields that it has not.
    pub lacks: &'static [&'static str],
}

/// Every one.
pub fn smuggled() -> impl Iterator<Item = &'static Smuggled> {
    SMUGGLED.iter()
}

impl Smuggled {
    pub(super) fn row(&self) -> Row {
        let Row { name, source, expected } = self.case.row();
        let behind = match self.behind {
            Behind::Nothing => "nothing behind".into(),
            Behind::Broken => "behind: no whole request".into(),
            Behind::AtMost(line) => format!("behind: at most {line} without a body"),
            Behind::One(request) => {
                let mut told = format!("behind: {}", request.line);
                for field in request.has {
                    told += &format!(", `{field}`");
                }
                for name in request.lacks {
                    told += &format!(", no {name}");
                }
                if !request.body.is_empty() {
                    told += &format!(", body `{}`", request.body.replace("\r\n", " "));
                }
                told
            }
        };
        Row { name, source, expected: format!("{expected}; {behind}") }
    }
}

const MALFORMED: &[Outcome] = &[Reset(1, PROTOCOL_ERROR), GoAway(PROTOCOL_ERROR)];
const REFUSED: &[Outcome] = &[Reset(1, PROTOCOL_ERROR), GoAway(PROTOCOL_ERROR), Answer(1, 400)];
const FINE: &[Outcome] = &[Answer(1, 200)];
const RESEARCH: &str = "J. Kettle, HTTP/2: The Sequel is Always Worse (2021)";
/// What would be a request of its own.
const SECOND: &[u8] = b"GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n";

/// One that goes nowhere.
const fn never(name: &'static str, source: &'static str, send: &'static [Step]) -> Smuggled {
    Smuggled { case: case(name, source, send, REFUSED), behind: Behind::Nothing }
}

const fn broken(name: &'static str, source: &'static str, send: &'static [Step]) -> Smuggled {
    Smuggled { case: case(name, source, send, MALFORMED), behind: Behind::Broken }
}

/// One that is answered.
const fn one(name: &'static str, source: &'static str, send: &'static [Step], request: Request) -> Smuggled {
    Smuggled { case: case(name, source, send, FINE), behind: Behind::One(request) }
}

const fn get(has: &'static [&'static str], lacks: &'static [&'static str]) -> Request {
    Request { line: "GET /", body: "", has, lacks }
}

const fn post(body: &'static str, has: &'static [&'static str], lacks: &'static [&'static str]) -> Request {
    Request { line: "POST /", body, has, lacks }
}

const METHOD: &[Field] = &[Is(":method", "GET")];
const SCHEME: &[Field] = &[Is(":scheme", "http")];
const PATH: &[Field] = &[Is(":path", "/")];
const AUTHORITY: &[Field] = &[Is(":authority", "site.test")];

const SMUGGLED: &[Smuggled] = &[
    // Lengths.
    Smuggled {
        case: case(
            "a Content-Length of 0, and a body that is a request",
            "J. Kettle, HTTP/2: The Sequel is Always Worse (2021), H2.CL",
            &[headers(HEAD, 1, &[POST, &[Is("content-length", "0")]]), data(END, 1, SECOND)],
            MALFORMED,
        ),
        behind: Behind::AtMost("POST /"),
    },
    broken(
        "a Content-Length that ends within the body",
        "J. Kettle, HTTP/2: The Sequel is Always Worse (2021), H2.CL",
        &[
            headers(HEAD, 1, &[POST, &[Is("content-length", "4")]]),
            data(NONE, 1, b"tes"),
            data(END, 1, SECOND),
        ],
    ),
    broken(
        "a Content-Length that reaches into the next request",
        "RFC 9113 section 8.1.1",
        &[headers(HEAD, 1, &[POST, &[Is("content-length", "100")]]), data(END, 1, b"test")],
    ),
    never(
        "a Content-Length, and no body at all",
        "RFC 9113 section 8.1.1",
        &[headers(WHOLE, 1, &[POST, &[Is("content-length", "100")]])],
    ),
    never(
        "two Content-Length that differ",
        "RFC 9110 section 8.6",
        &[
            headers(HEAD, 1, &[POST, &[Is("content-length", "4"), Is("content-length", "0")]]),
            data(END, 1, b"test"),
        ],
    ),
    never(
        "a list of lengths",
        "RFC 9110 section 8.6",
        &[headers(HEAD, 1, &[POST, &[Is("content-length", "4, 0")]]), data(END, 1, b"test")],
    ),
    never(
        "a length with a sign",
        "RFC 9110 section 8.6",
        &[headers(HEAD, 1, &[POST, &[Is("content-length", "+4")]]), data(END, 1, b"test")],
    ),
    never(
        "a length with a space",
        "RFC 9110 section 8.6",
        &[headers(HEAD, 1, &[POST, &[Is("content-length", "4 ")]]), data(END, 1, b"test")],
    ),
    one(
        "a length that holds",
        "RFC 9113 section 8.1.1",
        &[headers(HEAD, 1, &[POST, &[Is("content-length", "4")]]), data(END, 1, b"test")],
        post("test", &["content-length: 4"], &["transfer-encoding"]),
    ),
    one(
        "a body without a length",
        "RFC 9112 section 6.1",
        &[headers(HEAD, 1, &[POST]), data(END, 1, SECOND)],
        post("GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n", &[], &["content-length"]),
    ),
    one(
        "a GET with a body",
        "RFC 9110 section 9.3.1",
        &[headers(HEAD, 1, &[GET]), data(END, 1, SECOND)],
        Request {
            body: "GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\n",
            ..get(&[], &["content-length"])
        },
    ),
    // Transfer codings.
    never(
        "Transfer-Encoding",
        "J. Kettle, HTTP/2: The Sequel is Always Worse (2021), H2.TE",
        &[
            headers(HEAD, 1, &[POST, &[Is("transfer-encoding", "chunked")]]),
            data(END, 1, b"0\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"),
        ],
    ),
    never(
        "Transfer-Encoding and Content-Length",
        "J. Kettle, HTTP/2: The Sequel is Always Worse (2021), H2.TE",
        &[
            headers(HEAD, 1, &[POST, &[Is("content-length", "4"), Is("transfer-encoding", "chunked")]]),
            data(END, 1, b"test"),
        ],
    ),
    never(
        "Transfer-Encoding with a coding that nobody knows",
        "RFC 9113 section 8.2.2",
        &[headers(HEAD, 1, &[POST, &[Is("transfer-encoding", "xchunked")]]), data(END, 1, b"test")],
    ),
    never(
        "Transfer-Encoding with a space after its name",
        "RFC 9113 section 8.2.1",
        &[headers(HEAD, 1, &[POST, &[Is("transfer-encoding ", "chunked")]]), data(END, 1, b"test")],
    ),
    never(
        "Transfer-Encoding in trailers' place, as a name with a colon",
        RESEARCH,
        &[
            headers(HEAD, 1, &[POST, &[Is("transfer-encoding: chunked\r\nx", "y")]]),
            data(END, 1, b"0\r\n\r\n"),
        ],
    ),
    // Names and values that would be more than one line.
    never(
        "a value with CR, LF and a field",
        RESEARCH,
        &[headers(WHOLE, 1, &[GET, &[Is("x-a", "b\r\ntransfer-encoding: chunked")]])],
    ),
    never(
        "a value with CR, LF and a request",
        RESEARCH,
        &[headers(WHOLE, 1, &[GET, &[Is("x-a", "b\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: site.test")]])],
    ),
    never("a value with LF alone", RESEARCH, &[headers(WHOLE, 1, &[GET, &[Is("x-a", "b\nx-b: c")]])]),
    never("a value with CR alone", RESEARCH, &[headers(WHOLE, 1, &[GET, &[Is("x-a", "b\rx-b: c")]])]),
    never("a value with NUL", "RFC 9113 section 8.2.1", &[headers(WHOLE, 1, &[GET, &[Raw("x-a", b"b\0c")]])]),
    never("a value with DEL", "RFC 9110 section 5.5", &[headers(WHOLE, 1, &[GET, &[Raw("x-a", b"b\x7fc")]])]),
    never(
        "a name with CR, LF and a field",
        RESEARCH,
        &[headers(WHOLE, 1, &[GET, &[Is("x-a: b\r\nx-b", "c")]])],
    ),
    never("a name with a colon", RESEARCH, &[headers(WHOLE, 1, &[GET, &[Is("x-a: b", "c")]])]),
    never("a name with NUL", "RFC 9113 section 8.2.1", &[headers(WHOLE, 1, &[GET, &[Is("x-a\0", "c")]])]),
    never("a name with a tab", "RFC 9113 section 8.2.1", &[headers(WHOLE, 1, &[GET, &[Is("x\ta", "c")]])]),
    never("an empty name", "RFC 9113 section 8.2.1", &[headers(WHOLE, 1, &[GET, &[Is("", "c")]])]),
    one(
        "a value that is quoted and has all that may be in one",
        "RFC 9110 section 5.5",
        &[headers(WHOLE, 1, &[GET, &[Is("x-a", "\"b: c, d\"; e=f")]])],
        get(&["x-a: \"b: c, d\"; e=f"], &[]),
    ),
    // Pseudo-fields that would be more than a request line.
    never(
        ":method with a request line",
        RESEARCH,
        &[headers(
            WHOLE,
            1,
            &[
                &[Is(":method", "GET /smuggled HTTP/1.1\r\nHost: site.test\r\n\r\nGET")],
                SCHEME,
                PATH,
                AUTHORITY,
            ],
        )],
    ),
    never(
        ":method with a space",
        RESEARCH,
        &[headers(WHOLE, 1, &[&[Is(":method", "GET /smuggled")], SCHEME, PATH, AUTHORITY])],
    ),
    never(
        ":path with a request line",
        RESEARCH,
        &[headers(
            WHOLE,
            1,
            &[
                METHOD,
                SCHEME,
                &[Is(":path", "/ HTTP/1.1\r\nHost: site.test\r\n\r\nGET /smuggled")],
                AUTHORITY,
            ],
        )],
    ),
    never(
        ":path with a space",
        RESEARCH,
        &[headers(WHOLE, 1, &[METHOD, SCHEME, &[Is(":path", "/ HTTP/1.1")], AUTHORITY])],
    ),
    never(
        ":path with a tab",
        RESEARCH,
        &[headers(WHOLE, 1, &[METHOD, SCHEME, &[Is(":path", "/\tx")], AUTHORITY])],
    ),
    never(
        ":path with LF",
        RESEARCH,
        &[headers(WHOLE, 1, &[METHOD, SCHEME, &[Is(":path", "/\nx: y")], AUTHORITY])],
    ),
    never(
        ":path with NUL",
        RESEARCH,
        &[headers(WHOLE, 1, &[METHOD, SCHEME, &[Is(":path", "/\0")], AUTHORITY])],
    ),
    never(
        ":path without a slash",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, SCHEME, &[Is(":path", "x")], AUTHORITY])],
    ),
    never(
        ":path that is empty",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, SCHEME, &[Is(":path", "")], AUTHORITY])],
    ),
    never(
        ":path that names a host",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, SCHEME, &[Is(":path", "@other.test/")], AUTHORITY])],
    ),
    never(
        ":path that is a URL",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, SCHEME, &[Is(":path", "http://other.test/")], AUTHORITY])],
    ),
    never(
        ":authority with a line end",
        RESEARCH,
        &[headers(WHOLE, 1, &[METHOD, SCHEME, PATH, &[Is(":authority", "site.test\r\nx: y")]])],
    ),
    never(
        ":authority with a path",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, SCHEME, PATH, &[Is(":authority", "site.test/x")]])],
    ),
    never(
        ":authority with a user",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, SCHEME, PATH, &[Is(":authority", "other.test@site.test")]])],
    ),
    never(
        ":scheme with a host and a path",
        RESEARCH,
        &[headers(WHOLE, 1, &[METHOD, &[Is(":scheme", "http://other.test/?")], PATH, AUTHORITY])],
    ),
    never(
        "two :path",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, SCHEME, PATH, &[Is(":path", "/smuggled")], AUTHORITY])],
    ),
    never(
        "two :method",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, &[Is(":method", "POST")], SCHEME, PATH, AUTHORITY])],
    ),
    never(
        "two :authority",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, SCHEME, PATH, AUTHORITY, &[Is(":authority", "other.test")]])],
    ),
    never(
        "an unknown pseudo-field",
        "RFC 9113 section 8.3",
        &[headers(WHOLE, 1, &[METHOD, &[Is(":x", "y")], SCHEME, PATH, AUTHORITY])],
    ),
    never(
        "a pseudo-field after others",
        "RFC 9113 section 8.3",
        &[headers(WHOLE, 1, &[METHOD, SCHEME, AUTHORITY, &[Is("x-a", "b")], PATH])],
    ),
    never(
        "a pseudo-field of answers",
        "RFC 9113 section 8.3",
        &[headers(WHOLE, 1, &[GET, &[Is(":status", "200")]])],
    ),
    // Hosts.
    never(
        ":authority and another Host",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[GET, &[Is("host", "other.test")]])],
    ),
    never(
        "two Host",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, SCHEME, PATH, &[Is("host", "site.test"), Is("host", "other.test")]])],
    ),
    never(
        "a Host that is none",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, SCHEME, PATH, &[Is("host", "site.test/x")]])],
    ),
    one(
        ":authority and the same Host",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[GET, &[Is("host", "site.test")]])],
        get(&["host: site.test"], &[]),
    ),
    one(
        "Host and no :authority",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, SCHEME, PATH, &[Is("host", "site.test")]])],
        get(&["host: site.test"], &[]),
    ),
    one(
        ":scheme of a connection that this is not",
        "RFC 9113 section 8.3.1",
        &[headers(WHOLE, 1, &[METHOD, &[Is(":scheme", "https")], PATH, AUTHORITY])],
        get(&["x-forwarded-proto: http"], &[]),
    ),
    // A connection's own fields.
    never(
        "Connection",
        "RFC 9113 section 8.2.2",
        &[headers(WHOLE, 1, &[GET, &[Is("connection", "x-forwarded-for"), Is("x-a", "b")]])],
    ),
    never("Keep-Alive", "RFC 9113 section 8.2.2", &[headers(WHOLE, 1, &[GET, &[Is("keep-alive", "max=1")]])]),
    never(
        "Proxy-Connection",
        "RFC 9113 section 8.2.2",
        &[headers(WHOLE, 1, &[GET, &[Is("proxy-connection", "close")]])],
    ),
    never("Upgrade", "RFC 9113 section 8.2.2", &[headers(WHOLE, 1, &[GET, &[Is("upgrade", "websocket")]])]),
    never(
        "TE with more than trailers",
        "RFC 9113 section 8.2.2",
        &[headers(WHOLE, 1, &[GET, &[Is("te", "gzip")]])],
    ),
    one(
        "fields that are a proxy's",
        "RFC 9110 section 7.6.1",
        &[headers(WHOLE, 1, &[GET, &[Is("proxy-authorization", "Basic eA=="), Is("proxy", "http://x")]])],
        get(&[], &["proxy-authorization", "proxy", "connection"]),
    ),
    one(
        "Expect",
        "RFC 9110 section 10.1.1",
        &[
            headers(HEAD, 1, &[POST, &[Is("expect", "100-continue"), Is("content-length", "4")]]),
            data(END, 1, b"test"),
        ],
        post("test", &["content-length: 4"], &["expect"]),
    ),
    one(
        "a cookie in crumbs is put together",
        "RFC 9113 section 8.2.3",
        &[headers(WHOLE, 1, &[GET, &[Is("cookie", "a=b"), Is("x-a", "b"), Is("cookie", "c=d")]])],
        get(&["cookie: a=b; c=d"], &[]),
    ),
    Smuggled {
        case: case(
            "CONNECT",
            "RFC 9113 section 8.5",
            &[headers(HEAD, 1, &[&[Is(":method", "CONNECT"), Is(":authority", "other.test:80")]])],
            &[Answer(1, 405)],
        ),
        behind: Behind::Nothing,
    },
    // Trailers.
    one(
        "trailers that frame",
        "RFC 9110 section 6.5.1",
        &[
            headers(HEAD, 1, &[POST, &[Is("trailer", "content-length, host, x-check")]]),
            data(NONE, 1, b"test"),
            headers(WHOLE, 1, &[&[Is("content-length", "0"), Is("host", "other.test"), Is("x-check", "ok")]]),
        ],
        post("test", &["host: site.test"], &["content-length"]),
    ),
    one(
        "trailers with a pseudo-field, which is left out",
        "RFC 9113 section 8.1",
        &[
            headers(HEAD, 1, &[POST]),
            data(NONE, 1, b"test"),
            headers(WHOLE, 1, &[&[Is(":path", "/smuggled")]]),
        ],
        post("test", &[], &[":path", "path"]),
    ),
    broken(
        "trailers with Transfer-Encoding",
        "RFC 9113 section 8.2.2",
        &[
            headers(HEAD, 1, &[POST]),
            data(NONE, 1, b"test"),
            headers(WHOLE, 1, &[&[Is("transfer-encoding", "chunked")]]),
        ],
    ),
    broken(
        "trailers with a line end",
        RESEARCH,
        &[
            headers(HEAD, 1, &[POST]),
            data(NONE, 1, b"test"),
            headers(WHOLE, 1, &[&[Is("x-a", "b\r\n\r\nGET /smuggled")]]),
        ],
    ),
];
