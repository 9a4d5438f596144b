//! The cases of `http_cases::answer`: a server's bytes, what the client gets, and what the next client gets.

use std::sync::{Mutex, atomic::Ordering};

use http_cases::{answer::Answer, script};

use super::{
    places::{Proxied, connect, lock},
    requests::fits,
};

/// What is of one connection, and goes no further.
const OF_ONE_CONNECTION: [&str; 4] = ["keep-alive", "proxy-connection", "upgrade", "x-odd"];

pub fn proxied(case: &Answer, expected: &str, place: &Mutex<Proxied>) {
    let place = lock(place);
    let (site, host) = (&place.site, &place.host);
    lock(&place.behind.seen).clear();
    *lock(&place.behind.script) = script::steps(case.send, site, host).unwrap();

    let mut wire = connect(place.proxy.address());
    let method = case.method;
    let body = if method == "POST" { "Content-Length: 5\r\n\r\nhello" } else { "\r\n" };
    let request = format!("{method} {site}/case HTTP/1.1\r\nHost: {host}\r\n{body}");
    wire.play(&script::steps(&request, "", "").unwrap(), |_| ());
    let answer = wire.answer(method == "HEAD");
    assert!(fits(expected, &answer), "not {expected:?} but {answer:?}");
    let answer = answer.unwrap();
    for name in OF_ONE_CONNECTION {
        assert_eq!(answer.field(name), None, "{name}");
    }
    drop(wire);

    let on = place.behind.on.load(Ordering::SeqCst);
    let mut next = connect(place.proxy.address());
    let request = format!("GET {site}/next HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    next.play(&script::steps(&request, "", "").unwrap(), |_| ());
    let next = next.answer(false).unwrap();
    let used: usize = next.shown().parse().expect("the answer to another request");
    assert!(!case.spent || used != on, "the connection was used again");

    let seen = lock(&place.behind.seen);
    let (last, before) = seen.split_last().unwrap();
    assert_eq!(last, "GET /next");
    assert!(
        !before.is_empty() && before.iter().all(|line| line.starts_with(&format!("{method} /case"))),
        "{seen:?}"
    );
    assert!(method != "POST" || before.len() == 1, "it was asked twice: {seen:?}");
}
