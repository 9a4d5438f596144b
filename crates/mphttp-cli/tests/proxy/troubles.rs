//! Servers that are dead, break, hang or fall ill, and clients that leave.

use std::{
    io::{Read, Write},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread,
    time::Instant,
};

use super::support::{SOON, all, body, head, mirror, nowhere, proxy, say, upstream};

const POST: &str = "POST / HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello";

#[test]
fn a_dead_server_costs_no_request_while_there_is_another() {
    let server = mirror();
    let proxy = proxy(&["--to", &nowhere(), "--to", &server.url]);
    for _ in 0..4 {
        assert!(proxy.get("/").starts_with("HTTP/1.1 200 "));
        // Nothing was sent to the dead one: even this may go elsewhere.
        assert!(proxy.ask(POST).starts_with("HTTP/1.1 200 "));
    }
    assert_eq!(server.seen(), 8);
}

#[test]
fn a_dead_server_alone_is_a_bad_gateway() {
    let proxy = proxy(&["--to", &nowhere()]);
    let answer = proxy.get("/");
    assert!(answer.starts_with("HTTP/1.1 502 ") && body(&answer).contains("can't be reached"), "{answer}");
    let warning = proxy.errors.recv_timeout(SOON).unwrap();
    assert!(warning.contains("can't reach an upstream"), "{warning}");
}

#[test]
fn only_idempotent_requests_are_tried_again_once_they_were_sent() {
    let breaks = upstream(|_, stream| drop(stream));
    let works = mirror();
    let proxy = proxy(&["--to", &breaks.url, "--to", &works.url]);
    for _ in 0..4 {
        assert!(proxy.get("/").starts_with("HTTP/1.1 200 "));
    }
    assert!(breaks.seen() >= 1, "it was tried");
    let (before, mut failed) = (works.seen(), 0);
    for _ in 0..4 {
        let answer = proxy.ask(POST);
        failed += usize::from(answer.starts_with("HTTP/1.1 502 "));
    }
    assert!(failed >= 1, "a POST that may have been acted upon is not repeated");
    assert_eq!(works.seen() - before, 4 - failed);
}

#[test]
fn nothing_is_tried_again_once_a_byte_of_an_answer_came() {
    for half in ["HTTP/1.1 200 OK\r\nX-Half", "SSH-2.0-no-http\r\n"] {
        let breaks = upstream(move |_, mut stream| stream.write_all(half.as_bytes()).unwrap());
        let works = mirror();
        let proxy = proxy(&["--to", &breaks.url, "--to", &works.url]);
        let answers: Vec<_> = (0..6).map(|_| proxy.get("/")).collect();
        let failed = answers.iter().filter(|answer| answer.starts_with("HTTP/1.1 502 ")).count();
        assert!(failed >= 1, "{answers:?}");
        assert_eq!((breaks.seen(), works.seen()), (failed, 6 - failed));
    }
}

#[test]
fn a_kept_connection_that_was_closed_is_replaced() {
    let server = upstream(|_, mut stream| {
        // Says that it keeps the connection, and does not.
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
    });
    let proxy = proxy(&["--to", &server.url]);
    for _ in 0..20 {
        let answer = proxy.get("/");
        assert!(answer.starts_with("HTTP/1.1 200 ") && body(&answer) == "ok", "{answer}");
    }
}

#[test]
fn connections_to_a_server_are_kept() {
    let server = upstream(|_, mut stream| {
        for _ in 0..5 {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").unwrap();
            if head(&mut stream).is_empty() {
                break;
            }
        }
    });
    let proxy = proxy(&["--to", &server.url]);
    let mut client = proxy.connect();
    for _ in 0..5 {
        client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
        let mut two = [0; 2];
        client.read_exact(&mut two).unwrap();
    }
    // The server counts connections, by their first request.
    assert!(server.seen() < 5, "{}", server.seen());
}

#[test]
fn a_server_that_hangs_is_a_gateway_timeout() {
    let (finish, finished) = channel::<()>();
    let finished = Mutex::new(finished);
    let server = upstream(move |_, _stream| {
        let _ = finished.lock().unwrap().recv_timeout(SOON);
    });
    let proxy = proxy(&["--to", &server.url, "--timeout", "0.3"]);
    let answer = proxy.get("/");
    assert!(answer.starts_with("HTTP/1.1 504 ") && body(&answer).contains("in time"), "{answer}");
    drop(finish);
}

#[test]
fn a_body_that_breaks_is_broken_for_the_client_too() {
    for framing in ["Content-Length: 100", "Transfer-Encoding: chunked"] {
        let server = upstream(move |_, mut stream| {
            let answer = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n5\r\nhello\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let proxy = proxy(&["--to", &server.url]);
        let answer = proxy.get("/");
        assert!(body(&answer).contains("hello"), "{answer}");
        assert!(!answer.ends_with("0\r\n\r\n") && body(&answer).len() < 100, "{framing}: {answer}");
    }
}

#[test]
fn a_body_that_falls_silent_is_given_up() {
    let (finish, finished) = channel::<()>();
    let finished = Mutex::new(finished);
    let server = upstream(move |_, mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello").unwrap();
        let _ = finished.lock().unwrap().recv_timeout(SOON);
    });
    let proxy = proxy(&["--to", &server.url, "--idle-timeout", "0.3"]);
    let begun = Instant::now();
    let answer = proxy.get("/");
    assert!(body(&answer) == "hello" && begun.elapsed() < SOON, "{answer}");
    drop(finish);
}

#[test]
fn a_client_that_leaves_takes_its_request_along() {
    let (told, ended) = channel();
    let told = Mutex::new(told);
    let server = upstream(move |_, mut stream| {
        // Ends when the proxy closes the connection.
        let orderly = all(&mut stream).1;
        let _ = told.lock().unwrap().send(orderly);
    });
    let proxy = proxy(&["--to", &server.url]);
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    while server.seen() == 0 {
        thread::yield_now();
    }
    drop(client);
    assert!(ended.recv_timeout(SOON / 2).is_ok(), "the upstream's connection ends");
}

#[test]
fn a_server_that_fails_its_check_gets_nothing_until_it_is_well() {
    let well = Arc::new(AtomicBool::new(false));
    let state = Arc::clone(&well);
    let server = upstream(move |head, mut stream| {
        if head.starts_with("GET /health ") && !state.load(Ordering::SeqCst) {
            let _ = stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        } else {
            say(&stream, "fine");
        }
    });
    let proxy = proxy(&["--to", &server.url, "--health", "/health", "--health-interval", "0.1"]);
    let warning = proxy.errors.recv_timeout(SOON).unwrap();
    assert!(warning.contains("not well"), "{warning}");
    let answer = proxy.get("/");
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nretry-after: 1\r\n"), "{answer}");
    well.store(true, Ordering::SeqCst);
    let news = proxy.errors.recv_timeout(SOON).unwrap();
    assert!(news.contains("well again"), "{news}");
    assert_eq!(body(&proxy.get("/")), "fine");
}
