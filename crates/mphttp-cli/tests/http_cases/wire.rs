//! HTTP/1.1 by the letter of RFC 9112, independent of the library that the product stands on: a reader of answers, and one of
//! requests that lets nothing pass which two readers could read differently.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpStream},
};

use http_cases::script::Step;

/// No head or chunk line of ours is longer than this.
const MOST: usize = 4 << 20;

/// A connection with what came on it and was not read yet.
pub struct Wire {
    stream: TcpStream,
    buffer: Vec<u8>,
    /// Whether what is sent goes out byte by byte.
    pub bytewise: bool,
}

/// Why there is no message.
#[derive(Debug)]
#[allow(dead_code, reason = "a failing test shows it")]
pub enum Trouble {
    /// The connection ended, orderly or not, before a message began.
    Ended,
    /// It ended within one.
    Broken,
    /// Nothing came in time.
    Silence,
    /// It is against the letter.
    Wrong(String),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Trouble::Silence,
            _ => Trouble::Broken,
        }
    }
}

type Fields = Vec<(String, String)>;

/// A message as it was read.
#[derive(Debug, Default)]
pub struct Message {
    /// Its first line.
    pub start: String,
    pub fields: Fields,
    pub body: Vec<u8>,
    pub trailers: Fields,
    /// Whether the body came to its end.
    pub whole: bool,
}

impl Message {
    /// The values of a field, joined.
    pub fn field(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self
            .fields
            .iter()
            .filter(|(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_str())
            .collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    pub fn status(&self) -> u16 {
        self.start.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0)
    }

    /// The body if it is short text, else its length.
    pub fn shown(&self) -> String {
        match std::str::from_utf8(&self.body) {
            Ok(text) if text.len() <= 200 => text.to_owned(),
            _ => format!("({} bytes)", self.body.len()),
        }
    }
}

enum Framing {
    None,
    Length(usize),
    Chunked,
    UntilClose,
}

fn wrong<T>(what: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble::Wrong(what.into()))
}

impl Wire {
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, buffer: Vec::new(), bytewise: false }
    }

    /// More bytes; false at the end.
    fn more(&mut self) -> Result<bool, Trouble> {
        let mut piece = [0; 65536];
        match self.stream.read(&mut piece) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.buffer.extend_from_slice(&piece[..count]);
                if self.buffer.len() > MOST { wrong("it has no end") } else { Ok(true) }
            }
            Err(error) => Err(error.into()),
        }
    }

    fn take(&mut self, count: usize) -> Result<Vec<u8>, Trouble> {
        while self.buffer.len() < count {
            if !self.more()? {
                return Err(Trouble::Broken);
            }
        }
        Ok(self.buffer.drain(..count).collect())
    }

    /// A line without its CRLF, in which neither stands alone.
    fn line(&mut self) -> Result<String, Trouble> {
        let end = loop {
            match self.buffer.iter().position(|&byte| byte == b'\n') {
                Some(end) => break end,
                None if self.more()? => {}
                None => return Err(Trouble::Broken),
            }
        };
        let line: Vec<u8> = self.buffer.drain(..=end).collect();
        let Some(line) = line.strip_suffix(b"\r\n") else { return wrong("a line that ends with LF alone") };
        match line.iter().find(|&&byte| byte != b'\t' && byte < b' ' || byte == 0x7f) {
            Some(byte) => wrong(format!("{byte:#x} in a line: {}", String::from_utf8_lossy(line))),
            None => Ok(String::from_utf8_lossy(line).into_owned()),
        }
    }

    fn fields(&mut self) -> Result<Fields, Trouble> {
        let mut fields = Vec::new();
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(fields);
            }
            match line.split_once(':') {
                Some((name, value)) if is_token(name) => {
                    fields.push((name.to_ascii_lowercase(), value.trim_matches([' ', '\t']).to_owned()));
                }
                _ => return wrong(format!("no field line: {line:?}")),
            }
        }
    }

    /// A message that begins with a line for which `start` vouches.
    fn message(
        &mut self,
        start: impl FnOnce(&str) -> Result<(), String>,
        framing: impl FnOnce(&Message) -> Result<Framing, Trouble>,
    ) -> Result<Message, Trouble> {
        if self.buffer.is_empty() {
            match self.more() {
                Ok(true) => {}
                Ok(false) | Err(Trouble::Broken) => return Err(Trouble::Ended),
                Err(trouble) => return Err(trouble),
            }
        }
        let mut message = Message { start: self.line()?, whole: true, ..Message::default() };
        start(&message.start).map_err(Trouble::Wrong)?;
        message.fields = self.fields()?;
        let framing = framing(&message)?;
        match self.body(&framing, &mut message) {
            Ok(()) => {}
            Err(Trouble::Broken) => message.whole = false,
            Err(trouble) => return Err(trouble),
        }
        Ok(message)
    }

    fn body(&mut self, framing: &Framing, message: &mut Message) -> Result<(), Trouble> {
        match *framing {
            Framing::None => Ok(()),
            Framing::UntilClose => {
                while self.more()? {}
                message.body.append(&mut self.buffer);
                Ok(())
            }
            Framing::Length(length) => match self.take(length) {
                Ok(body) => {
                    message.body = body;
                    Ok(())
                }
                Err(trouble) => {
                    message.body.append(&mut self.buffer);
                    Err(trouble)
                }
            },
            Framing::Chunked => loop {
                let line = self.line()?;
                let digits = !line.is_empty() && line.bytes().all(|byte| byte.is_ascii_hexdigit());
                let size = if digits { usize::from_str_radix(&line, 16).ok() } else { None };
                let Some(size) = size else { return wrong(format!("no chunk size: {line:?}")) };
                if size == 0 {
                    message.trailers = self.fields()?;
                    return Ok(());
                }
                message.body.extend(self.take(size)?);
                if self.take(2)? != b"\r\n" {
                    return wrong("a chunk without its CRLF");
                }
            },
        }
    }

    /// An answer; to HEAD it has no body, whatever it says.
    pub fn answer(&mut self, head: bool) -> Result<Message, Trouble> {
        let start = |line: &str| {
            let code = line.strip_prefix("HTTP/1.1 ").or_else(|| line.strip_prefix("HTTP/1.0 "));
            let code = code.and_then(|rest| rest.split_once(' ')).map(|(code, _)| code);
            match code {
                Some(code) if code.len() == 3 && code.bytes().all(|byte| byte.is_ascii_digit()) => Ok(()),
                _ => Err(format!("no status line: {line:?}")),
            }
        };
        self.message(start, |message| {
            let framing = lengths(message)?;
            let status = message.status();
            if status < 200 || status == 204 {
                // RFC 9110 section 8.6, RFC 9112 section 6.1.
                return match framing {
                    Some(_) => wrong(format!("framing in a {status}: {:?}", message.fields)),
                    None => Ok(Framing::None),
                };
            }
            if head || status == 304 {
                return Ok(Framing::None);
            }
            Ok(framing.unwrap_or(Framing::UntilClose))
        })
    }

    /// A request.
    pub fn request(&mut self) -> Result<Message, Trouble> {
        let start = |line: &str| match line.split(' ').collect::<Vec<_>>()[..] {
            [method, target, "HTTP/1.1"] if is_token(method) && !target.is_empty() => Ok(()),
            _ => Err(format!("no request line: {line:?}")),
        };
        let message = self.message(start, |message| {
            let hosts = message.fields.iter().filter(|(name, _)| name == "host").count();
            if hosts != 1 {
                return wrong(format!("{hosts} Host fields"));
            }
            Ok(lengths(message)?.unwrap_or(Framing::None))
        })?;
        // RFC 9110 section 6.5.1: what frames, routes or authenticates is no trailer.
        for (name, _) in &message.trailers {
            if ["content-length", "transfer-encoding", "host", "authorization", "connection", "cookie"]
                .contains(&&**name)
            {
                return wrong(format!("{name} among the trailers"));
            }
        }
        if message.whole { Ok(message) } else { Err(Trouble::Broken) }
    }

    /// Carries out a script; `read` does what is to be done at a word that says to read.
    pub fn play(&mut self, steps: &[Step], mut read: impl FnMut(&mut Self)) {
        for step in steps {
            match step {
                // The other side may have had enough: what it says then is read, and judged.
                Step::Send(bytes) if self.bytewise => {
                    drop(bytes.iter().try_for_each(|&byte| self.stream.write_all(&[byte])));
                }
                Step::Send(bytes) => drop(self.stream.write_all(bytes)),
                Step::Read => read(self),
                Step::End => drop(self.stream.shutdown(Shutdown::Write)),
            }
        }
    }

    /// What is left until the other side closes; a fault if it does not.
    pub fn rest(&mut self) -> Result<String, Trouble> {
        loop {
            match self.more() {
                Ok(true) => {}
                Ok(false) | Err(Trouble::Broken) => {
                    let rest: Vec<u8> = self.buffer.drain(..).take(200).collect();
                    return Ok(String::from_utf8_lossy(&rest).into_owned());
                }
                Err(trouble) => return Err(trouble),
            }
        }
    }
}

/// The framing that a head names: one of both, once.
fn lengths(message: &Message) -> Result<Option<Framing>, Trouble> {
    let of = |wanted: &str| -> Vec<&str> {
        message.fields.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect()
    };
    match (&of("content-length")[..], &of("transfer-encoding")[..]) {
        ([], []) => Ok(None),
        ([], ["chunked"]) => Ok(Some(Framing::Chunked)),
        ([length], []) if length.bytes().all(|byte| byte.is_ascii_digit()) => match length.parse() {
            Ok(length) => Ok(Some(Framing::Length(length))),
            Err(_) => wrong(format!("Content-Length: {length}")),
        },
        (length, coding) => {
            wrong(format!("ambiguous: Content-Length {length:?}, Transfer-Encoding {coding:?}"))
        }
    }
}

fn is_token(text: &str) -> bool {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(token)
}
