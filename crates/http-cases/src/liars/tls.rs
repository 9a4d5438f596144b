//! TLS whose certificate is another's, and TLS that somebody cuts: what ends without `close_notify` has no end.

use super::{Act::*, Content::*, Heard, LIAR, Liar, Port, Who};

const HELLO: &[super::Act] = &[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")];

/// With the root that has signed the certificate.
const TRUSTED: Liar = Liar { port: Port::Tls, args: &["-o", "out", "--http1.1", "--cacert", "{ca}"], ..LIAR };

/// A certificate that is not to be trusted: nothing is asked of its server.
const DISTRUSTED: Liar =
    Liar { code: 60, heard: &[Heard::Times(Who::Server, 0)], answers: &[HELLO], ..TRUSTED };

pub(super) const CASES: &[Liar] = &[
    Liar {
        name: "a certificate for another name",
        source: "RFC 9110 section 4.3.4",
        port: Port::TlsOtherName,
        says: &["the certificate is for other.example; use the name it was made for"],
        ..DISTRUSTED
    },
    Liar {
        name: "a certificate that has expired",
        source: "RFC 5280 section 6.1.3",
        port: Port::TlsExpired,
        says: &["the certificate has expired"],
        ..DISTRUSTED
    },
    Liar {
        name: "a certificate that is not valid yet",
        source: "RFC 5280 section 6.1.3",
        port: Port::TlsNotYet,
        says: &["the certificate is not valid yet"],
        ..DISTRUSTED
    },
    Liar {
        name: "a certificate that nobody else has signed",
        source: "RFC 5280 section 6",
        port: Port::TlsSelfSigned,
        says: &["nobody trusted has signed the certificate"],
        ..DISTRUSTED
    },
    Liar {
        name: "a certificate in the root's name that it has not signed",
        source: "RFC 5280 section 6.1.3",
        port: Port::TlsForged,
        says: &["the certificate can't be used", "tell whoever runs the server"],
        ..DISTRUSTED
    },
    Liar {
        name: "a certificate by an unknown root",
        source: "RFC 5280 section 6",
        args: &["-o", "out", "--http1.1"],
        says: &["nobody trusted has signed the certificate"],
        ..DISTRUSTED
    },
    Liar {
        name: "a server that offers HTTP/2 alone, to HTTP/1.1",
        source: "RFC 7301 section 3.2",
        port: Port::TlsHttp2,
        code: 35,
        says: &["TLS with localhost"],
        ..DISTRUSTED
    },
    Liar {
        name: "plain HTTP where TLS is expected",
        source: "RFC 9110 section 4.2.2",
        port: Port::Plain,
        answers: &[&[Send("HTTP/1.1 400 Bad Request\r\n\r\n")]],
        args: &["-o", "out", "https://{host}/"],
        code: 35,
        says: &["the peer does not speak TLS there"],
        heard: &[],
        ..DISTRUSTED
    },
    Liar {
        name: "silence where a TLS handshake is expected",
        source: "known practice: limits of silence",
        port: Port::Plain,
        answers: &[&[Hold]],
        args: &["-o", "out", "--read-timeout", "0.6", "https://{host}/"],
        code: 28,
        says: &["the handshake with proxy or TLS was not finished within 0.600 s"],
        heard: &[],
        ..DISTRUSTED
    },
    Liar {
        name: "an endless TLS record where a handshake is expected",
        source: "RFC 8446 section 5.1",
        port: Port::Plain,
        answers: &[&[Forever("{hex:1603014000}{hex:02003ffc}{x*16380}")]],
        args: &["-o", "out", "https://{host}/"],
        code: 35,
        says: &["TLS"],
        heard: &[],
        ..DISTRUSTED
    },
    Liar {
        name: "a body with its length, and TLS cut after it",
        source: "RFC 9112 section 9.8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), Cut]],
        files: &[("out", Text("hello"))],
        ..TRUSTED
    },
    Liar {
        name: "a body that ends with the connection, and TLS cut: not believed",
        source: "RFC 9112 section 9.8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\n\r\nhello"), Cut]],
        code: 18,
        says: &["cut short after 5 bytes"],
        ..TRUSTED
    },
    Liar {
        name: "a body that ends with the connection, and TLS ended",
        source: "RFC 9112 section 9.8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\n\r\nhello")]],
        files: &[("out", Text("hello"))],
        ..TRUSTED
    },
    Liar {
        name: "a body that ends with the connection, of HTTP/1.0, and TLS cut",
        source: "RFC 9112 section 9.8",
        answers: &[&[Send("HTTP/1.0 200 OK\r\n\r\nhello"), Cut]],
        code: 18,
        says: &["cut short after 5 bytes"],
        ..TRUSTED
    },
    Liar {
        name: "a body that ends with the connection, and TLS cut, to a reader",
        source: "RFC 9112 section 9.8",
        answers: &[&[Send("HTTP/1.1 200 OK\r\n\r\nhello"), Cut]],
        args: &["--http1.1", "--cacert", "{ca}"],
        code: 18,
        says: &["cut short after 5 bytes"],
        ..TRUSTED
    },
    Liar {
        name: "TLS cut within a coded body",
        source: "RFC 9112 section 9.8",
        answers: &[&[
            Send("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n"),
            CodedCut(&[super::Coding::Gzip], 1 << 20, 100),
            Cut,
        ]],
        args: &["-o", "out", "--http1.1", "--cacert", "{ca}", "--compressed"],
        code: 18,
        says: &["cut short after"],
        ..TRUSTED
    },
    Liar {
        name: "TLS cut before the head",
        source: "RFC 9112 section 9.8",
        answers: &[&[Cut]],
        code: 56,
        says: &["broke"],
        ..TRUSTED
    },
];
