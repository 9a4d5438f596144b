//! The cases of `http_cases::request`: a client's bytes, the answers, what becomes of the connection, and what came through.

use std::{net::SocketAddr, sync::Mutex};

use http_cases::{
    request::{Expect, Request, Then},
    script::{self, Step},
};

use super::{
    places::{Proxied, SITE, connect, lock},
    wire::{Message, Trouble, Wire},
};

/// How a script's bytes go out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Pieces {
    /// In as few pieces as may be.
    Large,
    /// Byte by byte: what a request means is not for its segments to say.
    Bytes,
}

/// More bytes than this are not sent one by one.
const MOST_BYTES: usize = 600;

/// Whether a case can be sent so.
pub fn goes_in(case: &Request, pieces: Pieces) -> bool {
    let length = |step: &Step| if let Step::Send(bytes) = step { bytes.len() } else { 0 };
    let steps = script::steps(case.send, "", "").unwrap();
    pieces == Pieces::Large || !case.together && steps.iter().map(length).sum::<usize>() <= MOST_BYTES
}

/// To a server.
pub fn direct(case: &Request, server: SocketAddr, pieces: Pieces) {
    let mut wire = connect(server);
    wire.bytewise = pieces == Pieces::Bytes;
    exchange(case, &case.server, &mut wire, "", SITE);
}

/// Through a proxy, whose other connections must not suffer from it.
pub fn proxied(case: &Request, expect: &Expect, place: &Mutex<Proxied>, pieces: Pieces) {
    let place = lock(place);
    lock(&place.behind.seen).clear();
    let mut wire = connect(place.proxy.address());
    wire.bytewise = pieces == Pieces::Bytes;
    exchange(case, expect, &mut wire, &place.site, &place.host);
    drop(wire);
    // What was left in a connection to the server behind would come before the next request on it.
    let mut next = connect(place.proxy.address());
    let (site, host) = (&place.site, &place.host);
    let request = format!("GET {site}/echo/last HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    next.play(&script::steps(&request, "", "").unwrap(), |_| ());
    let last = next.answer(false).unwrap();
    assert_eq!(last.shown(), "GET /echo/last", "the answer to another request");
    let mut expected: Vec<String> =
        expect.upstream.iter().map(|line| line.replace("{address}", &place.address)).collect();
    if expect.then == Then::Kept {
        expected.push("GET /echo/after".into());
    }
    expected.push("GET /echo/last".into());
    assert_eq!(*lock(&place.behind.seen), expected, "what the server behind was asked");
}

fn exchange(case: &Request, expect: &Expect, wire: &mut Wire, site: &str, host: &str) {
    let steps = script::steps(case.send, site, host).unwrap();
    let mut got = Vec::new();
    wire.play(&steps, |wire| read(&mut got, expect, wire));
    while got.len() < expect.answers.len() {
        read(&mut got, expect, wire);
    }
    match expect.then {
        Then::Closed => {}
        Then::Kept => {
            let request = format!("GET {site}/echo/after HTTP/1.1\r\nHost: {host}\r\n\r\n");
            wire.play(&script::steps(&request, "", "").unwrap(), |_| ());
            match wire.answer(false) {
                Ok(answer) => assert_eq!(answer.shown(), "GET /echo/after", "the answer to another request"),
                Err(trouble) => panic!("the connection serves no further request: {trouble:?}"),
            }
            return;
        }
        Then::Any => wire.play(&[Step::End], |_| ()),
    }
    match wire.rest() {
        Ok(rest) => assert_eq!(rest, "", "more came than was expected"),
        Err(trouble) => panic!("the connection is not closed: {trouble:?}"),
    }
}

/// Reads the next answer and holds it against what is expected.
fn read(got: &mut Vec<String>, expect: &Expect, wire: &mut Wire) {
    let expected = expect.answers.get(got.len()).copied().unwrap_or("no further answer");
    let (head, pattern) = match expected.strip_prefix("HEAD ") {
        Some(pattern) => (true, pattern),
        None => (false, expected),
    };
    let answer = wire.answer(head);
    assert!(fits(pattern, &answer), "after {got:?}: not {expected:?} but {answer:?}");
    got.push(expected.to_owned());
}

/// Whether an answer is one of `STATUS|STATUS [BODY]`; the body `(broken)` stands for one that has no end.
pub fn fits(pattern: &str, answer: &Result<Message, Trouble>) -> bool {
    let Ok(answer) = answer else { return false };
    let (statuses, body) = match pattern.split_once(' ') {
        Some((statuses, body)) => (statuses, Some(body)),
        None => (pattern, None),
    };
    let status = answer.status().to_string();
    statuses.split('|').any(|allowed| allowed == status)
        && match body {
            Some("(broken)") => !answer.whole,
            Some(body) => answer.whole && answer.shown() == body,
            None => answer.whole,
        }
}
