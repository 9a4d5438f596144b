//! The program as people run it: `mphttp proxy` on a free port, with servers behind it that do what they are told.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

#[path = "proxy/announced.rs"]
mod announced;
#[path = "proxy/framing.rs"]
mod framing;
#[path = "support/running.rs"]
mod running;
#[path = "proxy/silence.rs"]
mod silence;
#[path = "proxy/support.rs"]
mod support;
#[path = "proxy/troubles.rs"]
mod troubles;
#[path = "proxy/usage.rs"]
mod usage;
#[path = "proxy/websocket.rs"]
mod websocket;

use std::{
    io::{Read, Write},
    net::Shutdown,
    process::Command,
    sync::mpsc::channel,
};

use support::{SOON, body, head, mirror, proxy, say, start, upstream};

#[test]
fn headers_say_where_a_request_came_from_and_no_more() {
    let server = mirror();
    let proxy = proxy(&["--to", &server.url, "--access-log", "text"]);
    assert!(proxy.banner[0].contains(&server.url), "{:?}", proxy.banner);
    let answer = proxy.ask(
        "GET /a?b=c HTTP/1.1\r\nHost: site.test\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\n\
         Keep-Alive: timeout=9\r\nTE: gzip\r\nProxy-Authorization: Basic x\r\nX-Kept: yes\r\n\
         X-Forwarded-For: 10.9.9.9\r\nForwarded: for=10.9.9.9\r\nX-Real-IP: 10.9.9.9\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nvia: 1.1 mphttp\r\n"), "{answer}");
    let seen = body(&answer).to_lowercase();
    for line in [
        "get /a?b=c http/1.1\r\n",
        "\r\nhost: site.test\r\n",
        "\r\nx-kept: yes\r\n",
        "\r\nvia: 1.1 mphttp\r\n",
        "\r\nforwarded: for=127.0.0.1;host=site.test;proto=http\r\n",
        "\r\nx-forwarded-for: 127.0.0.1\r\n",
        "\r\nx-forwarded-proto: http\r\n",
        "\r\nx-forwarded-host: site.test\r\n",
    ] {
        assert!(seen.contains(line), "{line:?} in {seen}");
    }
    for gone in ["10.9.9.9", "x-mine", "keep-alive", "\r\nte:", "proxy-authorization", "connection:"] {
        assert!(!seen.contains(gone), "{gone:?} in {seen}");
    }
    let line = proxy.log.recv_timeout(SOON).unwrap();
    assert!(line.contains("\"GET /a?b=c HTTP/1.1\" 200 "), "{line}");
}

#[test]
fn a_trusted_peer_is_believed_and_hosts_can_be_the_servers_own() {
    let server = mirror();
    let proxy =
        proxy(&["--to", &server.url, "--trust-forwarded", "127.0.0.0/8", "--host-header", "upstream"]);
    let answer = proxy.ask(
        "GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\nX-Forwarded-For: 192.0.2.7\r\n\
         X-Forwarded-Proto: https\r\nForwarded: for=192.0.2.7\r\n\r\n",
    );
    let seen = body(&answer).to_lowercase();
    let host = server.url.strip_prefix("http://").unwrap();
    for line in [
        format!("\r\nhost: {host}\r\n"),
        "\r\nforwarded: for=192.0.2.7, for=127.0.0.1;host=site.test;proto=http\r\n".into(),
        "\r\nx-forwarded-for: 192.0.2.7, 127.0.0.1\r\n".into(),
        "\r\nx-forwarded-proto: https\r\n".into(),
    ] {
        assert!(seen.contains(&line), "{line:?} in {seen}");
    }
}

#[test]
fn bodies_are_streamed_both_ways() {
    // Each side gets a piece only after the other's answer to the piece before: nothing that collects could do it.
    let server = upstream(|head, mut stream| {
        assert!(head.to_lowercase().contains("\r\ntransfer-encoding: chunked\r\n"), "{head}");
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        let mut piece = [0; 8];
        for _ in 0..3 {
            stream.read_exact(&mut piece).unwrap();
            assert_eq!(&piece, b"3\r\nabc\r\n");
            stream.write_all(b"3\r\nxyz\r\n").unwrap();
        }
        stream.read_exact(&mut piece[..5]).unwrap();
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let proxy = proxy(&["--to", &server.url]);
    let mut client = proxy.connect();
    client.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    let mut piece = [0; 8];
    for round in 0..3 {
        client.write_all(b"3\r\nabc\r\n").unwrap();
        if round == 0 {
            let answer = head(&mut client);
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
        client.read_exact(&mut piece).unwrap();
        assert_eq!(&piece, b"3\r\nxyz\r\n");
    }
    client.write_all(b"0\r\n\r\n").unwrap();
    client.read_exact(&mut piece[..5]).unwrap();
    assert_eq!(&piece[..5], b"0\r\n\r\n");
}

#[test]
fn a_server_that_does_not_read_holds_the_client_back() {
    let (finish, finished) = channel::<()>();
    let finished = std::sync::Mutex::new(finished);
    let server = upstream(move |_, stream| {
        let _ = finished.lock().unwrap().recv_timeout(SOON);
        drop(stream);
    });
    let proxy = proxy(&["--to", &server.url, "--protocol", "tcp", "--to-protocol", "tcp"]);
    let mut client = proxy.connect();
    client.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
    client.set_write_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
    let (block, mut sent) = (vec![0; 1 << 20], 0_u64);
    while sent < 500_000_000 {
        match client.write(&block) {
            Ok(count) => sent += count as u64,
            Err(_) => break,
        }
    }
    // What the kernel's buffers of two connections hold, and some.
    assert!(sent < 100_000_000, "{sent} bytes went somewhere");
    drop(finish);
}

#[test]
fn upgrades_become_tunnels_that_end_one_way_at_a_time() {
    let server = upstream(|head, mut stream| {
        let lower = head.to_lowercase();
        assert!(
            lower.contains("\r\nupgrade: websocket\r\n") && lower.contains("\r\nconnection: upgrade\r\n")
        );
        assert!(lower.contains("\r\nsec-websocket-key: k\r\n"), "{head}");
        stream
            .write_all(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhi",
            )
            .unwrap();
        let mut got = String::new();
        stream.read_to_string(&mut got).unwrap();
        // The client has ended its half; this one still works.
        stream.write_all(format!("got {got}").as_bytes()).unwrap();
    });
    let proxy = proxy(&["--to", &server.url]);
    let mut client = proxy.connect();
    client
        .write_all(
            b"GET /ws HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n",
        )
        .unwrap();
    let answer = head(&mut client).to_lowercase();
    assert!(answer.starts_with("http/1.1 101 ") && answer.contains("\r\nupgrade: websocket\r\n"), "{answer}");
    let mut two = [0; 2];
    client.read_exact(&mut two).unwrap();
    assert_eq!(&two, b"hi");
    client.write_all(b"hello").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut rest = String::new();
    client.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "got hello");
}

#[test]
fn several_servers_share_the_work() {
    let (one, two) = (mirror(), mirror());
    let proxy = proxy(&["--to", &one.url, "--to", &two.url]);
    for _ in 0..10 {
        assert!(proxy.get("/").starts_with("HTTP/1.1 200 "));
    }
    assert_eq!((one.seen(), two.seen()), (5, 5));
}

#[test]
fn a_path_of_the_server_goes_before_the_requests() {
    let server = mirror();
    let proxy = proxy(&["--to", &format!("{}/app/", server.url)]);
    let answer = proxy.get("/page?x=1");
    assert!(body(&answer).starts_with("GET /app/page?x=1 HTTP/1.1\r\n"), "{answer}");
}

#[test]
fn tls_and_http2_on_either_side() {
    let site = tempfile::tempdir().unwrap();
    std::fs::write(site.path().join("hello.txt"), "hello, world\n").unwrap();
    let folder = site.path().to_str().unwrap();
    let secure = start(&["serve", folder, "--bind", "127.0.0.1", "--port", "0", "--self-signed"]);
    let plain = start(&["serve", folder, "--bind", "127.0.0.1", "--port", "0"]);
    let to_secure = format!("https://127.0.0.1:{}", secure.port);
    let curl = |arguments: &[&str]| {
        let output = Command::new("curl")
            .args(["-sS", "-w", " %{http_version} %{http_code}"])
            .args(arguments)
            .output();
        output.ok().map(|output| String::from_utf8(output.stdout).unwrap())
    };

    let front = proxy(&["--to", &to_secure, "--insecure", "--self-signed"]);
    let url = front.url("/hello.txt").replace("http:", "https:");
    let Some(got) = curl(&["-k", &url]) else { return eprintln!("skipped: no curl") };
    assert_eq!(got, "hello, world\n 2 200");
    assert!(secure.log.recv_timeout(SOON).unwrap().contains("\"GET /hello.txt HTTP/2\" 200 13 "));
    assert_eq!(curl(&["-k", "--http1.1", &url]).unwrap(), "hello, world\n 1.1 200");

    let front = proxy(&["--to", &plain.url(""), "--to-http2"]);
    assert_eq!(curl(&[&front.url("/hello.txt")]).unwrap(), "hello, world\n 1.1 200");
    assert!(plain.log.recv_timeout(SOON).unwrap().contains("\"GET /hello.txt HTTP/2\" 200 13 "));
    let http2 = curl(&["--http2-prior-knowledge", &front.url("/hello.txt")]).unwrap();
    assert_eq!(http2, "hello, world\n 2 200");

    // A certificate that nobody vouches for.
    let front = proxy(&["--to", &to_secure]);
    let answer = front.get("/hello.txt");
    assert!(answer.starts_with("HTTP/1.1 502 "), "{answer}");
    let warning = front.errors.recv_timeout(SOON).unwrap();
    assert!(warning.contains("can't reach an upstream"), "{warning}");
}

#[test]
fn a_signal_lets_a_request_finish() {
    let (go, gone) = channel::<()>();
    let gone = std::sync::Mutex::new(gone);
    let server = upstream(move |_, stream| {
        gone.lock().unwrap().recv_timeout(SOON).unwrap();
        say(&stream, "done");
    });
    let mut proxy = proxy(&["--to", &server.url]);
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    while server.seen() == 0 {
        std::thread::yield_now();
    }
    let killed = Command::new("kill").args(["-INT", &proxy.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(proxy.errors.recv_timeout(SOON).unwrap().starts_with("Stopping"));
    go.send(()).unwrap();
    let (answer, _) = support::all(&mut client);
    assert_eq!(body(&answer), "done");
    assert_eq!(proxy.child.wait().unwrap().code(), Some(0));
}
