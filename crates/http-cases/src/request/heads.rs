//! Heads that are too much: of a field, of many, of the target.

use super::{Expect, Request, all, closed, echo, kept};

const FIELDS: &str = "RFC 9110 section 5.4 (limits); RFC 6585 section 5";

const TOO_LARGE: Expect = closed(&["431"], &[]);

pub(super) const CASES: &[Request] = &[
    all("a field of 60 kB", FIELDS, echo!("GET", "X-Big: {a*60000}\r\n\r\n"), kept(&["200"], &["GET /echo"])),
    all("a field of 200 kB", FIELDS, echo!("GET", "X-Big: {a*200000}\r\n\r\n"), TOO_LARGE),
    all("a field without end", FIELDS, echo!("GET", "X-Big: {a*1000000}"), TOO_LARGE),
    all("a name of 200 kB", FIELDS, echo!("GET", "{X*200000}: b\r\n\r\n"), TOO_LARGE),
    all("90 fields", FIELDS, echo!("GET", "{X-Many: b\r\n*90}\r\n"), kept(&["200"], &["GET /echo"])),
    all("200 fields", FIELDS, echo!("GET", "{X-Many: b\r\n*200}\r\n"), TOO_LARGE),
    all(
        "200 fields, the length the last",
        FIELDS,
        echo!("POST", "{X-Many: b\r\n*200}Content-Length: 5\r\n\r\nhello"),
        TOO_LARGE,
    ),
    all(
        "200 kB in 90 fields",
        FIELDS,
        echo!(
            "GET",
            "{X-Many: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n*90}",
            "X-Big: {a*200000}\r\n\r\n"
        ),
        TOO_LARGE,
    ),
    all("fields without end", FIELDS, echo!("GET", "{X-Many: b\r\n*20000}"), TOO_LARGE),
    all(
        "a target of 8000 bytes",
        "RFC 9112 section 3 (at least 8000 octets)",
        "GET {site}/echo/{a*7994} HTTP/1.1\r\nHost: {host}\r\n\r\n",
        kept(&["200"], &["GET (8000 bytes)"]),
    ),
    all(
        "a target of 70 kB",
        "RFC 9112 section 3 (414)",
        "GET {site}/{a*70000} HTTP/1.1\r\nHost: {host}\r\n\r\n",
        closed(&["414"], &[]),
    ),
    all(
        "a target without end",
        "RFC 9112 section 3 (414)",
        "GET {site}/{a*300000}",
        closed(&["414|431"], &[]),
    ),
    all("a method without end", "RFC 9112 section 3 (501)", "{G*300000}", closed(&["400|431|501"], &[])),
    all("empty lines without end", "RFC 9112 section 2.2", "{\r\n*100000}{end}", closed(&["400|431"], &[])),
];
