//! What ends at the proxy: tunnels, hops, circles, protocols that were not offered. Framing has its cases in the crate `http-cases`.

use std::io::Write;

use super::support::{body, mirror, proxy, upstream};

#[test]
fn tunnels_by_connect_are_refused() {
    let server = mirror();
    let proxy = proxy(&["--to", &server.url]);
    let answer =
        proxy.ask("CONNECT site.test:443 HTTP/1.1\r\nHost: site.test:443\r\nConnection: close\r\n\r\n");
    assert!(
        answer.starts_with("HTTP/1.1 405 ") && answer.to_lowercase().contains("\r\nallow: get"),
        "{answer}"
    );
    assert_eq!(server.seen(), 0);
}

#[test]
fn max_forwards_ends_at_the_proxy() {
    let server = mirror();
    let proxy = proxy(&["--to", &server.url]);
    let ask = |left: u32| {
        proxy.ask(&format!(
            "OPTIONS * HTTP/1.1\r\nHost: t\r\nMax-Forwards: {left}\r\nConnection: close\r\n\r\n"
        ))
    };
    let seen = ask(3);
    assert!(body(&seen).starts_with("OPTIONS * HTTP/1.1\r\n"), "{seen}");
    assert!(body(&seen).to_lowercase().contains("\r\nmax-forwards: 2\r\n"), "{seen}");
    assert!(ask(0).starts_with("HTTP/1.1 200 ") && server.seen() == 1);
}

#[test]
fn what_goes_in_a_circle_is_stopped() {
    let server = mirror();
    let proxy = proxy(&["--to", &server.url]);
    let via = |hops: usize| {
        let via = vec!["1.1 somebody"; hops].join(", ");
        proxy.ask(&format!("GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\nVia: {via}\r\n\r\n"))
    };
    assert!(via(20).starts_with("HTTP/1.1 200 "));
    assert!(via(21).starts_with("HTTP/1.1 508 "));
    assert_eq!(server.seen(), 1);
}

#[test]
fn a_protocol_that_was_not_offered_is_not_switched_to() {
    let server = upstream(|_, mut stream| {
        let answer = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes());
    });
    let proxy = proxy(&["--to", &server.url]);
    let mut client = proxy.connect();
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .unwrap();
    let answer = super::head(&mut client);
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
}
