//! Requests that two readers could read differently: refused, or framed anew.

use std::io::{Read, Write};

use super::support::{all, body, mirror, proxy, say, upstream};

#[test]
fn ambiguous_requests_never_reach_the_server() {
    let server = mirror();
    let proxy = proxy(&["--to", &server.url]);
    for (what, request) in [
        ("two lengths", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!"),
        ("a list of lengths", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 5, 6\r\n\r\nhello!"),
        ("a signed length", "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: +5\r\n\r\nhello"),
        (
            "chunked, then something",
            "POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked, x\r\n\r\n0\r\n\r\n",
        ),
        ("obs-fold", "GET / HTTP/1.1\r\nHost: t\r\nX-A: b\r\n c\r\n\r\n"),
        ("a space before the colon", "GET / HTTP/1.1\r\nHost: t\r\nContent-Length : 5\r\n\r\nhello"),
        ("a bare CR", "GET / HTTP/1.1\r\nHost: t\r\nX-A: b\rX-B: c\r\n\r\n"),
        ("NUL", "GET / HTTP/1.1\r\nHost: t\r\nX-A: b\0\r\n\r\n"),
        ("two hosts", "GET / HTTP/1.1\r\nHost: t\r\nHost: u\r\n\r\n"),
        ("no host", "GET / HTTP/1.1\r\nX: t\r\n\r\n"),
        ("a host with a user", "GET / HTTP/1.1\r\nHost: a@t\r\n\r\n"),
    ] {
        let mut client = proxy.connect();
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer);
        assert!(answer.starts_with("HTTP/1.1 400 "), "{what}: {answer}");
        assert_eq!(server.seen(), 0, "{what}");
    }
}

#[test]
fn a_length_beside_chunks_is_not_handed_on() {
    let server = upstream(|head, mut stream| {
        let lower = head.to_lowercase();
        let mut chunk = [0; 8];
        stream.read_exact(&mut chunk).unwrap();
        assert_eq!(&chunk, b"3\r\nabc\r\n");
        say(&stream, &lower);
    });
    let proxy = proxy(&["--to", &server.url]);
    for framing in
        ["Transfer-Encoding: chunked\r\nContent-Length: 3", "Content-Length: 3\r\nTransfer-Encoding: chunked"]
    {
        let mut client = proxy.connect();
        let request = format!("POST / HTTP/1.1\r\nHost: t\r\n{framing}\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        client.write_all(request.as_bytes()).unwrap();
        let (answer, _) = all(&mut client);
        let seen = body(&answer);
        assert!(seen.contains("transfer-encoding: chunked") && !seen.contains("content-length"), "{answer}");
    }
}

#[test]
fn bare_line_feeds_are_read_one_way_and_handed_on_another() {
    let server = mirror();
    let proxy = proxy(&["--to", &server.url]);
    let answer = proxy.ask("GET / HTTP/1.1\nHost: t\nX-A: b\nConnection: close\n\n");
    if answer.starts_with("HTTP/1.1 400 ") {
        return;
    }
    let seen = body(&answer).to_lowercase();
    assert!(seen.contains("\r\nx-a: b\r\n") && !seen.replace("\r\n", "").contains('\n'), "{answer}");
}

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
fn the_target_decides_over_the_host_header() {
    let server = mirror();
    let proxy = proxy(&["--to", &server.url]);
    let request = "GET http://right.test/x HTTP/1.1\r\nHost: wrong.test\r\nConnection: close\r\n\r\n";
    let answer = proxy.ask(request);
    let seen = body(&answer).to_lowercase();
    assert!(seen.starts_with("get /x http/1.1\r\n") && seen.contains("\r\nhost: right.test\r\n"), "{answer}");
    assert!(!seen.contains("wrong.test"), "{answer}");
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
fn no_transfer_coding_but_chunked_goes_through() {
    let server = upstream(|_, mut stream| {
        let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
        let _ = stream.write_all(answer.as_bytes());
    });
    let proxy = proxy(&["--to", &server.url]);
    for coding in ["gzip, chunked", "gzip\r\nTransfer-Encoding: chunked"] {
        let answer = proxy.ask(&format!(
            "POST / HTTP/1.1\r\nHost: t\r\nConnection: close\r\nTransfer-Encoding: {coding}\r\n\r\n1\r\nx\r\n0\r\n\r\n"
        ));
        assert!(answer.starts_with("HTTP/1.1 501 "), "{coding}: {answer}");
    }
    assert_eq!(server.seen(), 0);
    let answer = proxy.get("/");
    assert!(answer.starts_with("HTTP/1.1 502 ") && server.seen() == 1, "{answer}");
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
