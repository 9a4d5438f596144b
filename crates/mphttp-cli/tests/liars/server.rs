//! A server that does, for each request, what a case says, and remembers what it was asked.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use http_cases::{
    liars::{Act, Port},
    script::{self, Step},
};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use socket2::SockRef;

use super::{CERTIFICATES, bodies};

/// How long, and how much, is sent of what has no end.
const FOREVER: Duration = Duration::from_secs(10);
const MOST: usize = 1 << 30;

/// How long a client may take to go.
const GOING: Duration = Duration::from_secs(20);

/// What the first record of TLS begins with (RFC 8446 section 5.1).
const HANDSHAKE: u8 = 22;

/// A port that is taken, and not yet served.
pub struct Listening {
    listener: TcpListener,
    address: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
}

/// What a server has heard.
pub struct Server(Arc<Mutex<Vec<String>>>);

impl Server {
    pub fn heard(&self) -> Vec<String> {
        self.0.lock().unwrap().clone()
    }
}

impl Listening {
    pub fn new(port: Port) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let tls = (port != Port::Plain).then(|| CERTIFICATES.config(port));
        Self { listener, address, tls }
    }

    /// The host and port, as in a URL.
    pub fn name(&self) -> String {
        if self.tls.is_some() {
            format!("localhost:{}", self.address.port())
        } else {
            self.address.to_string()
        }
    }

    /// Serves until the tests end.
    pub fn serve(self, answers: &'static [&'static [Act]], other: &str) -> Server {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let server = Server(Arc::clone(&heard));
        let names = Names { host: self.name(), other: other.to_owned() };
        thread::spawn(move || {
            for stream in self.listener.incoming().flatten() {
                let (names, heard, tls) = (names.clone(), Arc::clone(&heard), self.tls.clone());
                // Who has gone is no concern of the server's.
                thread::spawn(move || {
                    Connection::new(stream, tls).and_then(|it| it.answer(answers, &names, &heard))
                });
            }
        });
        server
    }
}

#[derive(Clone)]
struct Names {
    host: String,
    other: String,
}

/// A text with its words in braces replaced.
pub fn expand(text: &str, host: &str, other: &str) -> Vec<u8> {
    let steps = script::steps(&text.replace("{other}", other), "", host).unwrap();
    let bytes = steps.into_iter().flat_map(|step| match step {
        Step::Send(bytes) => bytes,
        other => panic!("{other:?} is none of a lying server's: {text}"),
    });
    bytes.collect()
}

/// A connection, in the clear or not.
enum Connection {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Connection {
    fn new(stream: TcpStream, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        stream.set_read_timeout(Some(GOING))?;
        stream.set_write_timeout(Some(GOING))?;
        Ok(match tls {
            None => Self::Plain(stream),
            Some(config) => {
                let session = ServerConnection::new(config).map_err(io::Error::other)?;
                Self::Tls(Box::new(StreamOwned::new(session, stream)))
            }
        })
    }

    fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    fn receive(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.read_exact(bytes),
            Self::Tls(stream) => stream.read_exact(bytes),
        }
    }

    /// Reads a request's head, field names in lower case, lines ended by `\n` alone.
    fn head(&mut self) -> io::Result<String> {
        let (mut head, mut byte) = (Vec::new(), [0]);
        while !head.ends_with(b"\r\n\r\n") {
            self.receive(&mut byte)?;
            if head.is_empty() && byte[0] == HANDSHAKE {
                return Ok("TLS\n".to_owned());
            }
            head.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&head).replace("\r\n", "\n");
        let lines = text.split_inclusive('\n').map(|line| match line.split_once(": ") {
            Some((name, value)) if !name.contains(' ') => format!("{}: {value}", name.to_lowercase()),
            _ => line.to_owned(),
        });
        Ok(lines.collect())
    }

    /// Reads what is left of HTTP/2's preface, and frames up to one of HEADERS.
    fn http2(&mut self) -> io::Result<()> {
        self.receive(&mut [0; 6])?;
        loop {
            let mut head = [0; 9];
            self.receive(&mut head)?;
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
            self.receive(&mut vec![0; length as usize])?;
            if head[3] == 1 {
                return Ok(());
            }
        }
    }

    fn answer(
        mut self,
        answers: &'static [&'static [Act]],
        names: &Names,
        heard: &Mutex<Vec<String>>,
    ) -> io::Result<()> {
        let head = self.head()?;
        let index = {
            let mut heard = heard.lock().unwrap();
            heard.push(head);
            heard.len() - 1
        };
        for act in answers.get(index).or(answers.last()).copied().unwrap_or_default() {
            match *act {
                Act::Send(text) => self.send(&expand(text, &names.host, &names.other))?,
                Act::Forever(text) => {
                    let bytes = expand(text, &names.host, &names.other);
                    // As much at a time as a sender in earnest would.
                    let bytes = bytes.repeat((1 << 16) / bytes.len() + 1);
                    let (start, mut sent) = (Instant::now(), 0);
                    while start.elapsed() < FOREVER && sent < MOST {
                        self.send(&bytes)?;
                        sent += bytes.len();
                    }
                }
                Act::Slowly(text, milliseconds) => {
                    for byte in expand(text, &names.host, &names.other) {
                        thread::sleep(Duration::from_millis(milliseconds));
                        self.send(&[byte])?;
                    }
                }
                Act::Coded(codings, count) => self.coded(codings, count, 0)?,
                Act::CodedCut(codings, count, short) => self.coded(codings, count, short)?,
                Act::Http2 => self.http2()?,
                Act::Hold => {
                    let _ = self.receive(&mut [0; 1 << 16]);
                }
                Act::Reset => {
                    SockRef::from(self.socket()).set_linger(Some(Duration::ZERO))?;
                    return Ok(());
                }
                Act::Cut => return self.leave(false),
            }
        }
        self.leave(true)
    }

    fn coded(&mut self, codings: &[http_cases::liars::Coding], count: usize, short: usize) -> io::Result<()> {
        let bytes = bodies::zeros(codings, count);
        self.send(format!("Content-Length: {}\r\n\r\n", bytes.len()).as_bytes())?;
        self.send(&bytes[..bytes.len() - short])
    }

    /// Ends the sending, and waits for the client to do so too: what a closed socket has not read would reset the connection.
    fn leave(mut self, properly: bool) -> io::Result<()> {
        if let (true, Self::Tls(stream)) = (properly, &mut self) {
            stream.conn.send_close_notify();
            stream.flush()?;
        }
        let mut socket = self.socket();
        socket.shutdown(std::net::Shutdown::Write)?;
        io::copy(&mut socket, &mut io::sink())?;
        Ok(())
    }
}
