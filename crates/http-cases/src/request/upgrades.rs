//! `Upgrade`: to HTTP/2 past a proxy (h2c smuggling), and to what is not spoken.

use super::{Request, all, closed, echo, kept};

const H2C: &str = "RFC 9113 section 3.1; Miller 2020, h2c smuggling";
const UPGRADE: &str = "RFC 9110 section 7.8";

pub(super) const CASES: &[Request] = &[
    all(
        "an upgrade to h2c",
        H2C,
        echo!(
            "GET",
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n\r\n"
        ),
        kept(&["200 GET /echo"], &["GET /echo"]),
    ),
    all(
        "an upgrade to h2c that does not name the settings",
        H2C,
        echo!("GET", "Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAA\r\n\r\n"),
        kept(&["200 GET /echo"], &["GET /echo"]),
    ),
    all(
        "an upgrade to H2C",
        H2C,
        echo!("GET", "Connection: upgrade\r\nUpgrade: H2C\r\n\r\n"),
        kept(&["200 GET /echo"], &["GET /echo"]),
    ),
    all(
        "an upgrade to websocket or h2c",
        H2C,
        echo!("GET", "Connection: upgrade\r\nUpgrade: websocket, h2c\r\n\r\n"),
        kept(&["200 GET /echo"], &["GET /echo"]),
    ),
    all(
        "h2c in a second field",
        H2C,
        echo!("GET", "Connection: upgrade\r\nUpgrade: websocket\r\nUpgrade: h2c\r\n\r\n"),
        kept(&["200 GET /echo"], &["GET /echo"]),
    ),
    all(
        "an upgrade that Connection does not name",
        UPGRADE,
        echo!("GET", "Upgrade: websocket\r\n\r\n"),
        kept(&["200 GET /echo"], &["GET /echo"]),
    ),
    all(
        "an upgrade in HTTP/1.0",
        UPGRADE,
        "GET {site}/echo HTTP/1.0\r\nHost: {host}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        closed(&["200 GET /echo"], &["GET /echo"]),
    ),
    Request {
        server: kept(&["200 GET /echo", "200 GET /echo/b"], &[]),
        proxy: kept(
            &["200 GET /echo [connection: upgrade] [upgrade: websocket]", "200 GET /echo/b"],
            &["GET /echo [connection: upgrade] [upgrade: websocket]", "GET /echo/b"],
        ),
        ..all(
            "an upgrade that is not taken up, and a request behind it",
            "RFC 9110 section 7.8 (may be ignored); Mikhail Egorov 2019, websocket smuggling",
            echo!(
                "GET",
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 777\r\n\r\n",
                "GET {site}/echo/b HTTP/1.1\r\nHost: {host}\r\n\r\n"
            ),
            kept(&["200 GET /echo", "200 GET /echo/b"], &["GET /echo", "GET /echo/b"]),
        )
    },
    all(
        "an upgrade with a body",
        UPGRADE,
        echo!("POST", "Connection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhello"),
        kept(&["200 POST /echo = hello"], &["POST /echo = hello"]),
    ),
    all(
        "fields of one connection",
        "RFC 9110 section 7.6.1",
        echo!(
            "GET",
            "Connection: X-Odd\r\nX-Odd: 1\r\nKeep-Alive: timeout=9\r\nProxy-Connection: keep-alive\r\nTE: gzip\r\n\r\n"
        ),
        kept(&["200 GET /echo"], &["GET /echo"]),
    ),
    Request {
        // Where requests come from only a reverse proxy says.
        forward: None,
        ..all(
            "X_Forwarded_For",
            "RFC 3875 section 4.1.18 (dashes and underscores meet in CGI)",
            echo!("GET", "X_Forwarded_For: 10.0.0.1\r\n\r\n"),
            kept(&["200 GET /echo"], &["GET /echo"]),
        )
    },
    Request {
        // What the far server makes of it is its affair.
        forward: Some(kept(&["200"], &["GET /echo [proxy: http://evil.test/]"])),
        ..all(
            "Proxy, which CGI takes for HTTP_PROXY",
            "CVE-2016-5385 (httpoxy)",
            echo!("GET", "Proxy: http://evil.test/\r\n\r\n"),
            kept(&["200 GET /echo"], &["GET /echo"]),
        )
    },
];
