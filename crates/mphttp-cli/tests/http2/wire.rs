//! A client that does what a case says, and sees what comes of it.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use http_cases::http2::{
    Case, Outcome, Step,
    frame::{
        ACK, DATA, END, GET, GOAWAY, HEADERS, NONE, PING, PREFACE, RST_STREAM, SETTINGS, SETTINGS_ACK, WHOLE,
        WITHOUT_BODY, headers, settings,
    },
};

use super::running::SOON;

/// How long a server may take nothing of a flood whose answers are not read, until it counts as held back.
const HELD_BACK: Duration = Duration::from_secs(1);

/// Between pieces that are to arrive apart.
const APART: Duration = Duration::from_millis(2);

/// The stream of the last question whether the connection is still of use.
const LAST: u32 = 0x10_0001;

/// What a PING carries that asks whether all is dealt with: this, and a number.
const ASKING: &[u8; 4] = b"ask:";

/// What arrived.
enum Came {
    Frame { kind: u8, flags: u8, stream: u32, payload: Vec<u8> },
    Text(Vec<u8>),
    End,
}

/// All that was seen so far.
#[derive(Debug, Default)]
struct Seen {
    settings: usize,
    acknowledged: usize,
    pongs: usize,
    goaway: Option<u32>,
    resets: BTreeMap<u32, u32>,
    status: BTreeMap<u32, u16>,
    data: BTreeMap<u32, Vec<usize>>,
    ended: Vec<u32>,
    closed: bool,
    text: Vec<u8>,
}

/// A connection.
pub struct Wire {
    writer: Box<dyn Write + Send>,
    socket: TcpStream,
    from: Option<Receiver<Came>>,
    seen: Seen,
    asked: u32,
    next: u32,
    broken: bool,
}

impl Wire {
    /// Connects in the clear.
    pub fn plain(address: SocketAddr) -> Self {
        let socket = connect(address);
        let reader = socket.try_clone().unwrap();
        let writer = socket.try_clone().unwrap();
        Self::new(socket, Box::new(writer), Some(reader))
    }

    /// Connects, and never reads.
    pub fn deaf(address: SocketAddr) -> Self {
        let socket = connect(address);
        socket.set_write_timeout(Some(HELD_BACK)).unwrap();
        let writer = socket.try_clone().unwrap();
        Self::new(socket, Box::new(writer), None::<TcpStream>)
    }

    /// Connects over TLS, offering this by ALPN.
    pub fn tls(address: SocketAddr, alpn: &str, mut config: rustls::ClientConfig) -> Self {
        let mut socket = connect(address);
        config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
        let name = rustls::pki_types::ServerName::from(address.ip());
        let mut tls = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut socket).unwrap();
        }
        assert_eq!(tls.alpn_protocol(), Some(alpn.as_bytes()));
        let tls = Arc::new(Mutex::new(tls));
        let writer = WriteHalf(Arc::clone(&tls), socket.try_clone().unwrap());
        let reader = ReadHalf { tls, socket: socket.try_clone().unwrap(), left: Vec::new() };
        Self::new(socket, Box::new(writer), Some(reader))
    }

    fn new(
        socket: TcpStream,
        writer: Box<dyn Write + Send>,
        reader: Option<impl Read + Send + 'static>,
    ) -> Self {
        let from = reader.map(|reader| {
            let (sender, from) = channel();
            thread::spawn(move || read(reader, &sender));
            from
        });
        Self { writer, socket, from, seen: Seen::default(), asked: 0, next: 1, broken: false }
    }

    /// Whether a new connection is made and answered.
    pub fn others(address: SocketAddr) -> Result<(), String> {
        let mut wire = Self::plain(address);
        wire.open().and_then(|()| wire.usable()).map_err(|error| format!("another client: {error}"))
    }

    /// Does what a case says to its end, and says what came of it if that is not allowed.
    pub fn play(&mut self, case: &Case) -> Result<(), String> {
        if case.usual {
            self.open()?;
        }
        case.send.iter().try_for_each(|step| self.step(step, 0))?;
        if case.allow.is_empty() { Ok(()) } else { self.judge(case.allow) }
    }

    /// Begins as every client does.
    pub fn open(&mut self) -> Result<(), String> {
        self.write(PREFACE);
        self.step(&settings(&[]), 0)?;
        if self.from.is_none() {
            return self.step(&SETTINGS_ACK, 0);
        }
        self.until("the server's SETTINGS", |seen| seen.settings > 0)?;
        self.step(&SETTINGS_ACK, 0)?;
        self.until("the acknowledgement of SETTINGS", |seen| seen.acknowledged > 0)
    }

    fn step(&mut self, step: &Step, each: u32) -> Result<(), String> {
        match step {
            Step::Bytes(_) | Step::Frame(_) => {
                let mut bytes = Vec::new();
                step.encode(each, &mut bytes);
                self.write(&bytes);
            }
            Step::Pieces(bytes, size) => {
                for piece in bytes.chunks(*size) {
                    self.write(piece);
                    thread::sleep(APART);
                }
            }
            Step::Times(count, steps) => self.times(*count, steps)?,
            Step::Settle => self.settle()?,
            Step::Finish(stream) => self.until("the end of an answer", |seen| {
                seen.ended.contains(stream) || seen.resets.contains_key(stream)
            })?,
            Step::Begun(stream) => {
                self.until("the beginning of a body", |seen| seen.data.contains_key(stream))?
            }
            Step::Meanwhile(stream) => self.meanwhile(*stream)?,
            Step::Shut => _ = self.socket.shutdown(Shutdown::Write),
        }
        Ok(())
    }

    /// Asks until a stream is reset.
    fn meanwhile(&mut self, waits: u32) -> Result<(), String> {
        let begun = Instant::now();
        // Above all that a case has used.
        self.next = self.next.max(1001);
        while !self.seen.resets.contains_key(&waits) {
            if begun.elapsed() > SOON {
                return Err(format!("{waits} was not reset: {:?}", self.seen));
            }
            let stream = self.next;
            self.next += 2;
            self.step(&headers(WHOLE, stream, &[GET]), 0)?;
            self.step(&Step::Finish(stream), 0)?;
            thread::sleep(APART);
        }
        Ok(())
    }

    /// Repeats steps, in as few pieces as they allow.
    fn times(&mut self, count: u32, steps: &[Step]) -> Result<(), String> {
        let frames_only = steps.iter().all(|step| matches!(step, Step::Frame(_) | Step::Bytes(_)));
        let mut bytes = Vec::new();
        for _ in 0..count {
            let each = self.next;
            self.next += 2;
            for step in steps {
                if frames_only {
                    step.encode(each, &mut bytes);
                } else {
                    self.step(step, each)?;
                }
            }
            if bytes.len() > 1 << 16 || self.broken {
                self.write(&bytes);
                bytes.clear();
            }
            if self.broken {
                return Ok(());
            }
        }
        self.write(&bytes);
        Ok(())
    }

    /// What can't be sent, since the server has closed, needs not be: what it said before tells why.
    fn write(&mut self, bytes: &[u8]) {
        if !self.broken && self.writer.write_all(bytes).and_then(|()| self.writer.flush()).is_err() {
            self.broken = true;
        }
    }

    fn ask(&mut self) {
        self.asked += 1;
        let mut ping = vec![0, 0, 8, PING, NONE, 0, 0, 0, 0];
        ping.extend_from_slice(ASKING);
        ping.extend_from_slice(&self.asked.to_be_bytes());
        self.write(&ping);
    }

    /// Waits for an answered PING, or for the end of the connection.
    fn settle(&mut self) -> Result<(), String> {
        let pongs = self.seen.pongs;
        self.ask();
        self.until("the answer to a PING", |seen| seen.pongs > pongs || seen.closed)
    }

    fn until(&mut self, what: &str, reached: impl Fn(&Seen) -> bool) -> Result<(), String> {
        let begun = Instant::now();
        while !reached(&self.seen) {
            if self.seen.closed {
                return Err(format!("the connection ended before {what}: {:?}", self.seen));
            }
            self.take(begun + SOON).map_err(|()| format!("{what} did not come: {:?}", self.seen))?;
        }
        Ok(())
    }

    /// Takes one thing that came.
    fn take(&mut self, deadline: Instant) -> Result<(), ()> {
        let Some(from) = &self.from else { return Err(()) };
        match from.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(came) => self.seen.note(came),
            Err(RecvTimeoutError::Disconnected) => self.seen.closed = true,
            Err(RecvTimeoutError::Timeout) => return Err(()),
        }
        Ok(())
    }

    /// Waits for one of the outcomes. One that leaves the connection open must leave it of use.
    fn judge(&mut self, allow: &[Outcome]) -> Result<(), String> {
        let pongs = self.seen.pongs;
        // Where a frame or a head is not over, a PING would be part of it.
        if allow.iter().any(|outcome| matches!(outcome, Outcome::Fine | Outcome::Untouched(_))) {
            self.ask();
        }
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(outcome) = allow.iter().find(|outcome| self.is(**outcome, pongs)) {
                return match self.seen.closed {
                    true => Ok(()),
                    false => self.usable().map_err(|error| format!("after {outcome:?}: {error}")),
                };
            }
            if self.seen.closed {
                return Err(format!("none of {allow:?}: {:?}", self.seen));
            }
            self.take(deadline).map_err(|()| format!("none of {allow:?} in time: {:?}", self.seen))?;
        }
    }

    fn is(&self, outcome: Outcome, pongs: usize) -> bool {
        let seen = &self.seen;
        match outcome {
            Outcome::GoAway(code) => seen.goaway == Some(code) && seen.closed,
            Outcome::Closed => seen.closed && seen.goaway.is_none() && seen.text.is_empty(),
            Outcome::Reset(stream, code) => seen.resets.get(&stream) == Some(&code),
            Outcome::Answer(stream, status) => {
                seen.status.get(&stream) == Some(&status) && seen.ended.contains(&stream)
            }
            Outcome::Fine => seen.pongs > pongs && seen.goaway.is_none() && seen.resets.is_empty(),
            Outcome::Data(stream, lengths) => {
                seen.data.get(&stream).is_some_and(|data| data.starts_with(lengths))
            }
            Outcome::Untouched(stream) => {
                seen.pongs > pongs && !seen.resets.contains_key(&stream) && !seen.ended.contains(&stream)
            }
            Outcome::Acknowledged(count) => seen.acknowledged >= count,
            Outcome::Text(text) => seen.text.starts_with(text.as_bytes()) && seen.closed,
        }
    }

    /// Asks once more.
    fn usable(&mut self) -> Result<(), String> {
        self.step(&headers(WHOLE, LAST, &[WITHOUT_BODY]), 0)?;
        self.until("an answer", |seen| seen.status.contains_key(&LAST) && seen.ended.contains(&LAST))?;
        let fine = self.seen.status.get(&LAST) == Some(&200) && self.seen.goaway.is_none();
        if fine { Ok(()) } else { Err(format!("it is of no use: {:?}", self.seen)) }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // Ends the thread that reads.
        let _ = self.socket.shutdown(Shutdown::Both);
    }
}

impl Seen {
    fn note(&mut self, came: Came) {
        let (kind, flags, stream, payload) = match came {
            Came::Frame { kind, flags, stream, payload } => (kind, flags, stream, payload),
            Came::Text(text) => return self.text.extend_from_slice(&text),
            Came::End => return self.closed = true,
        };
        let number = |at: usize| {
            payload.get(at..at + 4).map_or(0, |bytes| u32::from_be_bytes(bytes.try_into().unwrap()))
        };
        match kind {
            SETTINGS if flags & ACK == 0 => self.settings += 1,
            SETTINGS => self.acknowledged += 1,
            PING if flags & ACK != 0 && payload.starts_with(ASKING) => self.pongs += 1,
            GOAWAY => self.goaway = Some(number(4)),
            RST_STREAM => _ = self.resets.insert(stream, number(0)),
            HEADERS => {
                if let Some(status) = status(&payload) {
                    self.status.entry(stream).or_insert(status);
                }
            }
            DATA => self.data.entry(stream).or_default().push(payload.len()),
            _ => {}
        }
        if matches!(kind, HEADERS | DATA) && flags & END != 0 {
            self.ended.push(stream);
        }
    }
}

/// The status that a header block begins with: one of the static table's, or three digits, in Huffman's code or not (RFC 7541
/// appendices A and B).
fn status(block: &[u8]) -> Option<u16> {
    let mut block = block;
    // Changes of the table's size come first.
    while let [first, after @ ..] = block
        && first & 0b1110_0000 == 0b0010_0000
    {
        let more = if first & 0b1_1111 == 0b1_1111 {
            after.iter().position(|byte| byte & 0x80 == 0)? + 1
        } else {
            0
        };
        block = after.get(more..)?;
    }
    match block {
        [indexed @ 0x88..=0x8e, ..] => {
            [200, 204, 206, 304, 400, 404, 500].get(usize::from(indexed - 0x88)).copied()
        }
        [0x08 | 0x18 | 0x48, 3, digits @ ..] => std::str::from_utf8(digits.get(..3)?).ok()?.parse().ok(),
        [0x08 | 0x18 | 0x48, length @ 0x82..=0x83, code @ ..] => {
            let code = code.get(..usize::from(length & 0x7f))?;
            let bits: String = code.iter().map(|byte| format!("{byte:08b}")).collect();
            let (mut rest, mut status) = (bits.as_str(), 0);
            for _ in 0..3 {
                let short = u16::from_str_radix(rest.get(..5)?, 2).ok()?;
                let (digit, used) = if short < 3 {
                    (short, 5)
                } else {
                    (u16::from_str_radix(rest.get(..6)?, 2).ok()?.checked_sub(0b01_1001)? + 3, 6)
                };
                status = status * 10 + digit;
                rest = rest.get(used..)?;
            }
            Some(status)
        }
        _ => None,
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap();
    socket.set_nodelay(true).unwrap();
    socket.set_write_timeout(Some(SOON)).unwrap();
    socket
}

/// Tells of what arrives. An answer that does not begin with a SETTINGS frame is text.
fn read(mut reader: impl Read, to: &Sender<Came>) {
    let mut head = [0; 9];
    let mut first = true;
    loop {
        if reader.read_exact(&mut head).is_err() {
            break;
        }
        if first && head.starts_with(b"HTTP/1.") {
            let mut text = head.to_vec();
            let _ = reader.read_to_end(&mut text);
            let _ = to.send(Came::Text(text));
            break;
        }
        first = false;
        let [a, b, c, kind, flags, d, e, f, g] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        if reader.read_exact(&mut payload).is_err() {
            break;
        }
        let stream = u32::from_be_bytes([d & 0x7f, e, f, g]);
        if to.send(Came::Frame { kind, flags, stream, payload }).is_err() {
            return;
        }
    }
    let _ = to.send(Came::End);
}

/// What two threads do with one TLS connection: one writes while the other reads.
type Shared = Arc<Mutex<rustls::ClientConnection>>;

struct WriteHalf(Shared, TcpStream);

struct ReadHalf {
    tls: Shared,
    socket: TcpStream,
    /// What came and is not decrypted yet.
    left: Vec<u8>,
}

impl Write for WriteHalf {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut tls = self.0.lock().unwrap();
        let written = tls.writer().write(bytes)?;
        while tls.wants_write() {
            tls.write_tls(&mut self.1)?;
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for ReadHalf {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.tls.lock().unwrap().reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.left.is_empty() {
                let mut arrived = [0; 4096];
                // Waits without the lock, so that the other half can write.
                let count = self.socket.read(&mut arrived)?;
                self.left.extend_from_slice(&arrived[..count]);
            }
            let mut rest = &self.left[..];
            let mut tls = self.tls.lock().unwrap();
            let taken = tls.read_tls(&mut rest)?;
            tls.process_new_packets().map_err(io::Error::other)?;
            self.left.drain(..taken);
        }
    }
}
