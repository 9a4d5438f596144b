//! A server of one file, with the habits of servers: good ones and bad ones.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use base64::Engine as _;
use sha2::{Digest, Sha256};

/// Bytes among which none that is missing, moved or of another version goes unnoticed.
pub fn body(bytes: usize, version: u8) -> Vec<u8> {
    (0..bytes).map(|n| (n % 251) as u8 ^ (n / 65_536) as u8 ^ version).collect()
}

/// A site and what it has seen; clones are the same.
#[derive(Clone)]
pub struct Site {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    body: Vec<u8>,
    version: u32,
    next: Option<Vec<u8>>,
    requests: Vec<String>,
    chunked: bool,
    slow: bool,
    no_ranges: bool,
    weak: bool,
    dated: bool,
    cut: Option<Cut>,
    busy: Option<(u32, Option<&'static str>)>,
    then_busy: Option<(u32, Option<&'static str>)>,
    digest: Option<(&'static str, Vec<u8>)>,
    /// How many more digests of parts are wrong.
    part_digests_wrong: u32,
    /// Sends parts that nobody asked for.
    parts_unasked: bool,
    status: Option<&'static str>,
    then_status: Option<&'static str>,
    redirect: Option<String>,
    /// Connections that are closed without an answer, after the cut.
    gone: u32,
}

#[derive(Clone, Copy)]
struct Cut {
    after: usize,
    once: bool,
    stall: bool,
}

impl Site {
    pub fn new(body: Vec<u8>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(Mutex::new(State { body, version: 1, ..State::default() }));
        let site = Self { address, state };
        let shared = site.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = shared.clone();
                thread::spawn(move || while shared.answer(&stream).is_some() {});
            }
        });
        site
    }

    fn with(self, change: impl FnOnce(&mut State)) -> Self {
        change(&mut self.state.lock().unwrap());
        self
    }

    pub fn url(&self) -> String {
        format!("http://{}/file", self.address)
    }

    pub fn body(&self) -> Vec<u8> {
        self.state.lock().unwrap().body.clone()
    }

    /// The heads of all requests, in lower case but for their first lines.
    pub fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    pub fn chunked(self) -> Self {
        self.with(|state| state.chunked = true)
    }

    /// A few megabytes a second.
    pub fn slow(self) -> Self {
        self.with(|state| state.slow = true)
    }

    pub fn without_ranges(self) -> Self {
        self.with(|state| state.no_ranges = true)
    }

    /// Only a weak validator.
    pub fn weak(self) -> Self {
        self.with(|state| state.weak = true)
    }

    /// A date instead of a tag.
    pub fn dated(self) -> Self {
        self.with(|state| state.dated = true)
    }

    fn cut(self, after: usize, once: bool, stall: bool) -> Self {
        self.with(|state| state.cut = Some(Cut { after, once, stall }))
    }

    /// Closes each connection after so many bytes of an answer's body.
    pub fn cut_after(self, bytes: usize) -> Self {
        self.cut(bytes, false, false)
    }

    pub fn cut_once_after(self, bytes: usize) -> Self {
        self.cut(bytes, true, false)
    }

    pub fn stall_once_after(self, bytes: usize) -> Self {
        self.cut(bytes, true, true)
    }

    /// After the cut there is another version.
    pub fn then(self, body: Vec<u8>) -> Self {
        self.with(|state| state.next = Some(body))
    }

    pub fn busy(self, times: u32, retry_after: Option<&'static str>) -> Self {
        self.with(|state| state.busy = Some((times, retry_after)))
    }

    pub fn then_busy(self, times: u32, retry_after: Option<&'static str>) -> Self {
        self.with(|state| state.then_busy = Some((times, retry_after)))
    }

    /// A digest of the body, or of something else, in this field.
    pub fn digest(self, field: &'static str, of: Option<&[u8]>) -> Self {
        self.with(|state| {
            let of = of.map_or(state.body.clone(), <[u8]>::to_vec);
            state.digest = Some((field, of));
        })
    }

    /// So many digests of parts are wrong.
    pub fn part_digests_wrong(self, times: u32) -> Self {
        self.with(|state| state.part_digests_wrong = times)
    }

    /// Sends a part where all was asked for.
    pub fn parts_unasked(self) -> Self {
        self.with(|state| state.parts_unasked = true)
    }

    pub fn status(self, status: &'static str) -> Self {
        self.with(|state| state.status = Some(status))
    }

    /// The next answer after the cut has this status.
    pub fn then_status(self, status: &'static str) -> Self {
        self.with(|state| state.then_status = Some(status))
    }

    /// After the cut, a few connections are closed without an answer.
    pub fn then_gone(self) -> Self {
        self.with(|state| state.gone = 2)
    }

    pub fn redirect(self, to: String) -> Self {
        self.with(|state| state.redirect = Some(to))
    }

    /// Answers a request; nothing once the connection is over.
    fn answer(&self, mut stream: &TcpStream) -> Option<()> {
        let head = read_head(stream)?;
        let mut state = self.state.lock().unwrap();
        state.requests.push(head.clone());
        if state.gone > 0 && state.requests.len() > 1 {
            state.gone -= 1;
            return None;
        }
        if let Some((left, retry_after)) = state.busy.filter(|(left, _)| *left > 0) {
            state.busy = Some((left - 1, retry_after));
            let wait = retry_after.map_or(String::new(), |value| format!("Retry-After: {value}\r\n"));
            let text = format!("HTTP/1.1 503 Service Unavailable\r\n{wait}Content-Length: 0\r\n\r\n");
            return stream.write_all(text.as_bytes()).ok();
        }
        if let Some(to) = &state.redirect {
            let text = format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n");
            return stream.write_all(text.as_bytes()).ok();
        }
        let status = state.status;
        let validator = match (state.weak, state.dated, state.version) {
            (true, _, version) => format!("ETag: W/\"{version}\"\r\n"),
            (_, true, _) => {
                "Last-Modified: Tue, 01 Sep 2026 10:00:00 GMT\r\nDate: Tue, 01 Sep 2026 11:00:00 GMT\r\n"
                    .to_owned()
            }
            (_, _, version) => format!("ETag: \"{version}\"\r\n"),
        };
        let asked = head.lines().find_map(|line| line.strip_prefix("range: bytes="));
        let same = head
            .lines()
            .find_map(|line| line.strip_prefix("if-range: "))
            .is_none_or(|value| validator.contains(&format!(": {value}\r\n")));
        let range = asked.filter(|_| same && !state.no_ranges).map(|text| {
            let (first, last) = text.split_once('-').unwrap();
            let last = last.parse().unwrap_or(state.body.len() - 1).min(state.body.len() - 1);
            first.parse::<usize>().unwrap()..last + 1
        });
        let total = state.body.len();
        let range = range.or(state.parts_unasked.then_some(total / 2..total));
        let part = range.clone().unwrap_or(0..total);
        let content = state.body[part.clone()].to_vec();
        let mut text = match (&range, status) {
            (Some(_), _) => {
                format!(
                    "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {}-{}/{total}\r\n",
                    part.start,
                    part.end - 1
                )
            }
            (None, Some(status)) => format!("HTTP/1.1 {status}\r\n"),
            (None, None) => "HTTP/1.1 200 OK\r\n".to_owned(),
        };
        text += &validator;
        let digest = |of: &[u8]| base64::engine::general_purpose::STANDARD.encode(Sha256::digest(of));
        if let Some((field, of)) = &state.digest {
            text += &format!("{field}: sha-256=:{}:\r\n", digest(of));
        }
        if range.is_some() && state.part_digests_wrong > 0 {
            state.part_digests_wrong -= 1;
            text += &format!("Content-Digest: sha-256=:{}:\r\n", digest(b"other"));
        }
        let chunked = state.chunked;
        text += &if chunked {
            "Transfer-Encoding: chunked\r\n\r\n".to_owned()
        } else {
            format!("Content-Length: {}\r\n\r\n", content.len())
        };
        let cut = state.cut.filter(|cut| cut.after < content.len());
        if cut.is_some_and(|cut| cut.once) {
            state.cut = None;
            if let Some(next) = state.next.take() {
                (state.body, state.version) = (next, state.version + 1);
            }
            state.busy = state.then_busy.take();
        }
        if cut.is_none()
            && let Some(status) = state.then_status.take()
        {
            let text = format!("HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nsorry");
            return stream.write_all(text.as_bytes()).ok();
        }
        let slow = state.slow;
        drop(state);
        stream.write_all(text.as_bytes()).ok()?;
        let sent = cut.map_or(content.as_slice(), |cut| &content[..cut.after]);
        for piece in sent.chunks(50_000) {
            if chunked {
                stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).ok()?;
            }
            stream.write_all(piece).ok()?;
            if chunked {
                stream.write_all(b"\r\n").ok()?;
            }
            if slow {
                thread::sleep(Duration::from_millis(10));
            }
        }
        if chunked {
            stream.write_all(b"0\r\n\r\n").ok()?;
        }
        match cut {
            Some(Cut { stall: true, .. }) => {
                thread::sleep(Duration::from_secs(30));
                None
            }
            Some(_) => None,
            None => Some(()),
        }
    }
}

/// A request's head, in lower case but for values that are not.
fn read_head(mut stream: &TcpStream) -> Option<String> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return None;
        }
        head.push(byte[0]);
    }
    Some(String::from_utf8_lossy(&head).replace("\r\n", "\n"))
}
