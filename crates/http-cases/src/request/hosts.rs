//! `Host`: none, several, none that is one, and beside a target that names another.

use super::{Request, all, closed, kept, refused};

const HOST: &str = "RFC 9112 section 3.2 (Host)";
const ABSOLUTE: &str = "RFC 9112 section 3.2.2 (the target decides)";

pub(super) const CASES: &[Request] = &[
    refused("no Host", HOST, "GET {site}/echo HTTP/1.1\r\nAccept: */*\r\n\r\n"),
    refused("two Hosts", HOST, "GET {site}/echo HTTP/1.1\r\nHost: {host}\r\nHost: other.test\r\n\r\n"),
    refused("two Hosts alike", HOST, "GET {site}/echo HTTP/1.1\r\nHost: {host}\r\nHost: {host}\r\n\r\n"),
    refused(
        "two Hosts in HTTP/1.0",
        HOST,
        "GET {site}/echo HTTP/1.0\r\nHost: {host}\r\nHost: other.test\r\n\r\n",
    ),
    refused(
        "a Host on a folded line",
        "RFC 9112 section 5.2",
        "GET {site}/echo HTTP/1.1\r\nHost:\r\n {host}\r\n\r\n",
    ),
    refused(
        "a space before the colon of Host",
        "RFC 9112 section 5.1",
        "GET {site}/echo HTTP/1.1\r\nHost : {host}\r\n\r\n",
    ),
    refused("a Host with a user", HOST, "GET {site}/echo HTTP/1.1\r\nHost: a@site.test\r\n\r\n"),
    refused("a Host with a path", HOST, "GET {site}/echo HTTP/1.1\r\nHost: site.test/x\r\n\r\n"),
    refused("a Host with a query", HOST, "GET {site}/echo HTTP/1.1\r\nHost: site.test?x\r\n\r\n"),
    refused("a Host with a space in it", HOST, "GET {site}/echo HTTP/1.1\r\nHost: site.test other\r\n\r\n"),
    refused("a list of Hosts", HOST, "GET {site}/echo HTTP/1.1\r\nHost: site.test, other.test\r\n\r\n"),
    refused(
        "a Host whose port is no number",
        HOST,
        "GET {site}/echo HTTP/1.1\r\nHost: site.test:http\r\n\r\n",
    ),
    refused("a Host with a backslash", HOST, "GET {site}/echo HTTP/1.1\r\nHost: site.test\\x\r\n\r\n"),
    refused("a Host with an open bracket", HOST, "GET {site}/echo HTTP/1.1\r\nHost: [::1\r\n\r\n"),
    refused(
        "a Host with bytes beyond ASCII",
        HOST,
        "GET {site}/echo HTTP/1.1\r\nHost: s{hex:c3ae}te.test\r\n\r\n",
    ),
    Request {
        server: kept(&["200"], &[]),
        forward: Some(kept(&["200"], &["GET /echo"])),
        ..refused(
            "an empty Host",
            "RFC 9112 section 3.2 (where the target names none)",
            "GET {site}/echo HTTP/1.1\r\nHost:\r\n\r\n",
        )
    },
    Request {
        forward: None,
        ..all(
            "no Host in HTTP/1.0",
            "RFC 1945",
            "GET {site}/echo HTTP/1.0\r\n\r\n",
            // The server behind is asked by its address.
            closed(&["200"], &["GET /echo host={address}"]),
        )
    },
    Request {
        forward: None,
        ..all(
            "another Host than the target's",
            ABSOLUTE,
            "GET http://right.test/echo HTTP/1.1\r\nHost: wrong.test\r\n\r\n",
            kept(&["200"], &["GET /echo host=right.test"]),
        )
    },
    Request {
        proxy: kept(&["200"], &["GET /echo"]),
        ..all(
            "a Host beside a target with the right name",
            ABSOLUTE,
            "GET http://{host}/echo HTTP/1.1\r\nHost: other.test\r\n\r\n",
            kept(&["200"], &["GET /echo"]),
        )
    },
    refused(
        "no Host beside a target with a name",
        HOST,
        "GET http://{host}/echo HTTP/1.1\r\nAccept: */*\r\n\r\n",
    ),
    Request {
        // The user is for nobody but a forward proxy, which takes him away.
        server: kept(&["200"], &[]),
        forward: Some(kept(&["200"], &["GET /echo"])),
        ..refused(
            "a target with a user",
            "RFC 9110 section 4.2.4",
            "GET http://a:b@{host}/echo HTTP/1.1\r\nHost: {host}\r\n\r\n",
        )
    },
    all(
        "Connection names Host",
        "Davison 2019, abusing hop-by-hop headers",
        "GET {site}/echo HTTP/1.1\r\nHost: {host}\r\nConnection: Host, X-Forwarded-For\r\n\r\n",
        kept(&["200"], &["GET /echo"]),
    ),
];
