//! Who is silent for too long, and who only seems to be.

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::{Mutex, mpsc::channel},
    thread,
    time::{Duration, Instant},
};

use super::support::{SOON, all, head, proxy, upstream};

#[test]
fn a_client_may_be_silent_while_its_answer_flows() {
    let server = upstream(|_, mut stream| {
        stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
        for _ in 0..30 {
            stream.write_all(b"3\r\nxyz\r\n").unwrap();
            thread::sleep(Duration::from_millis(100));
        }
        // The client's body is still open.
        let mut chunk = [0; 8];
        stream.read_exact(&mut chunk).unwrap();
        assert_eq!(&chunk, b"3\r\nabc\r\n");
        stream.write_all(b"0\r\n\r\n").unwrap();
    });
    let proxy = proxy(&["--to", &server.url, "--idle-timeout", "1.5"]);
    let mut client = proxy.connect();
    client.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    assert!(head(&mut client).starts_with("HTTP/1.1 200 "));
    let mut pieces = [0; 30 * 8];
    client.read_exact(&mut pieces).unwrap();
    client.write_all(b"3\r\nabc\r\n0\r\n\r\n").unwrap();
    let mut end = [0; 5];
    client.read_exact(&mut end).unwrap();
    assert_eq!(&end, b"0\r\n\r\n");
}

#[test]
fn a_client_that_does_not_read_is_cut() {
    let (told, ended) = channel();
    let told = Mutex::new(told);
    let server = upstream(move |_, mut stream| {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n");
        let block = vec![0; 1 << 16];
        while stream.write_all(&block).is_ok() {}
        let _ = told.lock().unwrap().send(());
    });
    let proxy = proxy(&["--to", &server.url, "--protocol", "tcp", "--idle-timeout", "0.5"]);
    let mut client = proxy.connect();
    client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    assert!(ended.recv_timeout(SOON).is_ok(), "the server is let go");
    // What is in the kernel's buffers still comes, and then the end.
    let (mut block, mut got) = (vec![0; 1 << 20], 0);
    while let Ok(count @ 1..) = client.read(&mut block) {
        got += count;
    }
    assert!(got < 1_000_000_000, "{got}");
}

#[test]
fn a_client_that_stops_sending_is_told() {
    let (finish, finished) = channel::<()>();
    let finished = Mutex::new(finished);
    let server = upstream(move |_, _stream| {
        let _ = finished.lock().unwrap().recv_timeout(SOON);
    });
    let proxy = proxy(&["--to", &server.url, "--idle-timeout", "0.3"]);
    let mut client = proxy.connect();
    client.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 10\r\n\r\nhello").unwrap();
    let (answer, _) = all(&mut client);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.to_lowercase().contains("\r\nconnection: close\r\n"), "{answer}");
    drop(finish);
}

#[test]
fn requests_that_wait_for_one_connection_wait_once() {
    // It takes connections, and never says a word of TLS.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", silent.local_addr().unwrap());
    let proxy = proxy(&["--to", &url, "--insecure", "--to-http2", "--connect-timeout", "1"]);
    let begun = Instant::now();
    let asking: Vec<_> = (0..12)
        .map(|_| {
            let mut client = proxy.connect();
            thread::spawn(move || {
                client.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
                all(&mut client).0
            })
        })
        .collect();
    for asked in asking {
        let answer = asked.join().unwrap();
        assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
    }
    // One after the other it would be 12 s.
    assert!(begun.elapsed() < Duration::from_secs(7), "{:?}", begun.elapsed());
}
