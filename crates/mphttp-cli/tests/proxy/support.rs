//! A running `mphttp proxy`, small servers to stand behind it, and raw clients before it.

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

pub use crate::running::{Running, SOON, mphttp};

/// Any `mphttp` that has a banner.
pub fn start(arguments: &[&str]) -> Running {
    Running::start(mphttp().args(arguments))
}

/// A proxy on a free port of the loopback.
pub fn proxy(arguments: &[&str]) -> Running {
    start(&[&["proxy", "--listen", "127.0.0.1:0"], arguments].concat())
}

impl Running {
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        stream
    }

    /// Sends this and reads until the end, or until the connection breaks.
    pub fn ask(&self, request: &str) -> String {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        all(&mut stream).0
    }

    pub fn get(&self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n"))
    }
}

/// Everything that arrives, and whether the end was an orderly one.
pub fn all(stream: &mut impl Read) -> (String, bool) {
    let (mut got, mut buffer) = (Vec::new(), [0; 65536]);
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return (String::from_utf8_lossy(&got).into_owned(), true),
            Ok(count) => got.extend_from_slice(&buffer[..count]),
            Err(_) => return (String::from_utf8_lossy(&got).into_owned(), false),
        }
    }
}

/// Reads to the end of a head.
pub fn head(stream: &mut impl Read) -> String {
    let (mut got, mut byte) = (Vec::new(), [0]);
    while !got.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            break;
        }
        got.push(byte[0]);
    }
    String::from_utf8_lossy(&got).into_owned()
}

/// A server whose connections are handed to a function with the head of their first request.
pub struct Upstream {
    pub url: String,
    /// How many requests came.
    pub seen: Arc<AtomicUsize>,
}

pub fn upstream(handle: impl Fn(String, TcpStream) + Send + Sync + 'static) -> Upstream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(AtomicUsize::new(0));
    let (counter, handle) = (Arc::clone(&seen), Arc::new(handle));
    thread::spawn(move || {
        for stream in listener.incoming().take(1000) {
            let (counter, handle) = (Arc::clone(&counter), Arc::clone(&handle));
            thread::spawn(move || {
                let mut stream = stream.unwrap();
                stream.set_read_timeout(Some(SOON)).unwrap();
                let head = head(&mut stream);
                if !head.is_empty() {
                    counter.fetch_add(1, Ordering::SeqCst);
                    handle(head, stream);
                }
            });
        }
    });
    Upstream { url, seen }
}

impl Upstream {
    pub fn seen(&self) -> usize {
        self.seen.load(Ordering::SeqCst)
    }
}

/// Answers with this body.
pub fn say(mut stream: &TcpStream, body: &str) {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(body.as_bytes()).unwrap();
}

/// A server that answers with the head that it got.
pub fn mirror() -> Upstream {
    upstream(|head, stream| say(&stream, &head))
}

/// An address where nobody listens.
pub fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

pub fn body(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}
