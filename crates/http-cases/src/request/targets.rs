//! Targets: the four forms, and paths that two readers take for different ones. A proxy hands a path on as it came.

use super::{Expect, Request, all, kept, refused};

const ASTERISK: &str = "RFC 9112 section 3.2.4 (for OPTIONS)";
const AUTHORITY: &str = "RFC 9112 section 3.2.3 (for CONNECT)";
const TARGET: &str = "RFC 9112 section 3.2";
const AS_IT_CAME: &str = "RFC 9110 section 7.6 (the path as it came)";

const NOT_FOUND: Expect = kept(&["404"], &[]);

/// A path that leads nowhere, and goes on as it came.
macro_rules! path {
    ($name:literal, $source:expr, $path:literal) => {
        Request {
            server: NOT_FOUND,
            ..all(
                $name,
                $source,
                concat!("GET {site}", $path, " HTTP/1.1\r\nHost: {host}\r\n\r\n"),
                kept(&["200"], &[concat!("GET ", $path)]),
            )
        }
    };
}

/// A target that is none.
macro_rules! none {
    ($name:literal, $source:expr, $target:literal) => {
        refused($name, $source, concat!("GET ", $target, " HTTP/1.1\r\nHost: {host}\r\n\r\n"))
    };
}

pub(super) const CASES: &[Request] = &[
    Request {
        server: kept(&["204"], &[]),
        forward: None,
        ..all(
            "OPTIONS *",
            ASTERISK,
            "OPTIONS * HTTP/1.1\r\nHost: {host}\r\n\r\n",
            kept(&["200 OPTIONS *"], &["OPTIONS *"]),
        )
    },
    none!("GET *", ASTERISK, "*"),
    none!("GET of a host and port", AUTHORITY, "site.test:80"),
    none!("GET of a name", TARGET, "echo"),
    none!("GET of a query", TARGET, "?echo"),
    none!("GET of a user and host", "Kettle 2017, cracking the lens", "@other.test/echo"),
    Request {
        server: kept(&["405"], &[]),
        forward: None,
        ..all(
            "CONNECT",
            "RFC 9110 section 9.3.6",
            "CONNECT site.test:443 HTTP/1.1\r\nHost: site.test:443\r\n\r\n",
            kept(&["405"], &[]),
        )
    },
    refused("CONNECT of a path", AUTHORITY, "CONNECT /echo HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    refused("CONNECT of a URL", AUTHORITY, "CONNECT http://{host}/echo HTTP/1.1\r\nHost: {host}\r\n\r\n"),
    none!("a URL without a host", "RFC 9110 section 4.2.1", "http:///echo"),
    none!("a URL with one slash", TARGET, "http:/echo"),
    Request {
        server: kept(&["200"], &[]),
        forward: Some(kept(&["501"], &[])),
        ..none!("a URL of another scheme", "RFC 9110 section 4.2", "ftp://site.test/echo")
    },
    path!("dot segments", AS_IT_CAME, "/a/../../b"),
    path!("encoded dot segments", AS_IT_CAME, "/%2e%2e/%2E%2E/b"),
    path!("an encoded slash", AS_IT_CAME, "/a%2f..%2fb"),
    path!("an encoded NUL", AS_IT_CAME, "/ten.txt%00"),
    path!("an encoded CRLF", AS_IT_CAME, "/a%0d%0aX-B:%20c"),
    path!("a percent sign that encodes nothing", AS_IT_CAME, "/a%zz"),
    path!("two slashes at the beginning", AS_IT_CAME, "//other.test/a"),
    path!("a backslash", AS_IT_CAME, "/..\\b"),
    path!("a semicolon segment", "RFC 3986 section 3.3; Tsai 2018, breaking parser logic", "/a/..;/b"),
    path!("a URL in a path", AS_IT_CAME, "/http://other.test/"),
    all(
        "an encoded letter",
        "RFC 3986 section 6.2.2.2 (the same resource, handed on as it came)",
        "GET {site}/%65cho HTTP/1.1\r\nHost: {host}\r\n\r\n",
        Expect { answers: &["200|404"], ..kept(&[], &["GET /%65cho"]) },
    ),
    all(
        "a query with everything",
        AS_IT_CAME,
        "GET {site}/echo?a=b&c=/../?d HTTP/1.1\r\nHost: {host}\r\n\r\n",
        kept(&["200"], &["GET /echo?a=b&c=/../?d"]),
    ),
    all(
        "a fragment goes no further",
        "RFC 9110 section 4.1 (none in targets)",
        "GET {site}/echo#x HTTP/1.1\r\nHost: {host}\r\n\r\n",
        kept(&["200 GET /echo"], &["GET /echo"]),
    ),
    none!("NUL in a target", TARGET, "{site}/echo\0"),
    none!("DEL in a target", TARGET, "{site}/echo\x7f"),
    none!("a control character in a target", TARGET, "{site}/echo\x01"),
    none!(
        "bytes beyond ASCII in a target",
        "RFC 9112 section 3.2; RFC 3986 section 2",
        "{site}/echo/{hex:c3a9}"
    ),
];
