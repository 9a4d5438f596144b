//! The access log: one line for each request, written when the last byte of its answer has been handed to the
//! connection.

use std::{
    fmt::Write as _,
    io::{self, BufWriter, Write},
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, TryRecvError, TrySendError, sync_channel},
    },
    task::{Context, Poll, ready},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use clap::ValueEnum;
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version, header};
use http_body::{Frame, SizeHint};
use mphttp::{Body, BoxError, Watch, server::Peer};
use serde::Serialize;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};

use crate::error_reporting::say;

/// Lines that may wait for a slow reader of stdout before further ones are dropped, and counted.
const WAITING: usize = 16_384;
/// How long the last lines may take to leave.
const FLUSH: Duration = Duration::from_secs(2);
/// nginx's word for a client that left before it was answered.
const CLIENT_LEFT: u16 = 499;

/// What the lines look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// `TIME CLIENT "REQUEST" STATUS BYTES PROTOCOL REASON PATHS SECONDS`
    Text,
    /// One JSON object a line.
    Json,
    /// The Common Log Format, then protocol, reason, paths and seconds.
    Common,
    /// The Combined Log Format, then protocol, reason, paths and seconds.
    Combined,
    /// No access log.
    Off,
}

/// Where lines go. Clones share it.
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: Format,
    lines: SyncSender<Message>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(String),
    Stop(SyncSender<()>),
}

impl AccessLog {
    /// Writes to stdout, from a thread of its own: a reader that stalls must not stall the server.
    pub fn to_stdout(format: Format) -> Option<Self> {
        if format == Format::Off {
            return None;
        }
        let (lines, arriving) = sync_channel(WAITING);
        thread::spawn(move || write_lines(&arriving, io::stdout()));
        Some(Self { format, lines, dropped: Arc::default() })
    }

    /// Begins the line of a request that came from the library's server.
    pub fn begin<B>(&self, request: &Request<B>) -> Pending {
        let header = |name: header::HeaderName| copy(request.headers(), &name);
        Pending {
            log: self.clone(),
            time: OffsetDateTime::now_utc(),
            begun: Instant::now(),
            client: request.extensions().get::<Peer>().map(|peer| peer.remote),
            watch: request.extensions().get::<Watch>().cloned(),
            method: request.method().clone(),
            uri: request.uri().clone(),
            version: request.version(),
            referer: header(header::REFERER),
            agent: header(header::USER_AGENT),
            status: CLIENT_LEFT,
            bytes: 0,
        }
    }

    /// Waits, not for long, until the lines so far are written.
    pub fn close(&self) {
        let (done, finished) = sync_channel(1);
        if self.lines.try_send(Message::Stop(done)).is_ok() {
            let _ = finished.recv_timeout(FLUSH);
        }
        match self.dropped.load(Ordering::Relaxed) {
            0 => {}
            lines => {
                say(format_args!("warning: {lines} lines of the access log were lost: stdout was too slow"))
            }
        }
    }
}

fn copy(headers: &HeaderMap, name: &header::HeaderName) -> Option<Bytes> {
    headers.get(name).map(|value| Bytes::copy_from_slice(value.as_bytes()))
}

fn write_lines(arriving: &Receiver<Message>, out: impl Write) {
    let mut out = BufWriter::new(out);
    while let Ok(mut message) = arriving.recv() {
        let written = loop {
            let line = match message {
                Message::Line(line) => line,
                Message::Stop(done) => {
                    let _ = out.flush();
                    let _ = done.try_send(());
                    return;
                }
            };
            if let Err(error) = out.write_all(line.as_bytes()) {
                break Err(error);
            }
            match arriving.try_recv() {
                Ok(next) => message = next,
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break out.flush(),
            }
        };
        if let Err(error) = written {
            say(format_args!("warning: the access log ends here: can't write to stdout: {error}"));
            return;
        }
    }
}

/// A request whose line is written when this is dropped.
#[derive(Debug)]
pub struct Pending {
    log: AccessLog,
    time: OffsetDateTime,
    begun: Instant,
    client: Option<SocketAddr>,
    watch: Option<Watch>,
    method: Method,
    uri: Uri,
    version: Version,
    referer: Option<Bytes>,
    agent: Option<Bytes>,
    status: u16,
    bytes: u64,
}

impl Drop for Pending {
    fn drop(&mut self) {
        let spoken = self.watch.as_ref().map(Watch::spoken);
        let record = Record {
            time: self.time,
            client: self.client,
            method: self.method.as_str(),
            target: &target(&self.uri, self.version),
            version: version(self.version),
            status: self.status,
            bytes: self.bytes,
            referer: self.referer.as_deref(),
            agent: self.agent.as_deref(),
            protocol: spoken.map_or("-", |spoken| spoken.as_str()),
            why_tcp: spoken.and_then(|spoken| spoken.reason()).map(|reason| reason.as_str()),
            paths: self.watch.as_ref().map_or(0, Watch::path_count),
            seconds: self.begun.elapsed().as_secs_f64(),
        };
        let line = Message::Line(record.line(self.log.format));
        if let Err(TrySendError::Full(_)) = self.log.lines.try_send(line) {
            self.log.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// A body that counts what leaves it, for the line of its request.
#[derive(Debug)]
pub struct Logged {
    body: Body,
    pending: Option<Pending>,
}

impl Logged {
    /// The body of an answer; its line is written when the body is done with.
    pub fn new(body: Body, status: StatusCode, mut pending: Option<Pending>) -> Self {
        if let Some(pending) = &mut pending {
            pending.status = status.as_u16();
        }
        Self { body, pending }
    }
}

impl http_body::Body for Logged {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        if let (Some(pending), Some(Ok(frame))) = (&mut self.pending, &frame) {
            pending.bytes += frame.data_ref().map_or(0, Bytes::len) as u64;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What a line tells.
struct Record<'a> {
    time: OffsetDateTime,
    client: Option<SocketAddr>,
    method: &'a str,
    target: &'a str,
    version: &'a str,
    status: u16,
    bytes: u64,
    referer: Option<&'a [u8]>,
    agent: Option<&'a [u8]>,
    protocol: &'a str,
    why_tcp: Option<&'a str>,
    paths: u32,
    seconds: f64,
}

#[derive(Serialize)]
struct Json<'a> {
    time: String,
    client: Option<SocketAddr>,
    method: &'a str,
    target: &'a str,
    version: &'a str,
    status: u16,
    bytes: u64,
    referer: Option<std::borrow::Cow<'a, str>>,
    user_agent: Option<std::borrow::Cow<'a, str>>,
    protocol: &'a str,
    why_tcp: Option<&'a str>,
    paths: u32,
    seconds: f64,
}

/// Times for programs: UTC, to the millisecond.
pub const RFC3339: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
const CLF: &[BorrowedFormatItem<'_>] =
    format_description!("[day]/[month repr:short]/[year]:[hour]:[minute]:[second] +0000");

impl Record<'_> {
    fn line(&self, format: Format) -> String {
        let mut line = String::with_capacity(160);
        match format {
            Format::Off => return line,
            Format::Json => self.json(&mut line),
            Format::Text => {
                let _ = write!(line, "{} {} ", self.stamp(RFC3339), self.host());
                self.request(&mut line);
                self.tail(&mut line);
            }
            Format::Common | Format::Combined => {
                let _ = write!(line, "{} - - [{}] ", self.host(), self.stamp(CLF));
                self.request(&mut line);
                if format == Format::Combined {
                    for value in [self.referer, self.agent] {
                        line.push_str(" \"");
                        escape(value.unwrap_or(b"-"), &mut line);
                        line.push('"');
                    }
                }
                self.tail(&mut line);
            }
        }
        line.push('\n');
        line
    }

    fn host(&self) -> String {
        self.client.map_or_else(|| "-".to_owned(), |client| client.ip().to_string())
    }

    fn stamp(&self, format: &[BorrowedFormatItem<'_>]) -> String {
        self.time.format(&format).unwrap_or_else(|_| "-".to_owned())
    }

    fn request(&self, line: &mut String) {
        line.push('"');
        escape(self.method.as_bytes(), line);
        line.push(' ');
        escape(self.target.as_bytes(), line);
        let _ = write!(line, " {}\" {} {}", self.version, self.status, self.bytes);
    }

    fn tail(&self, line: &mut String) {
        let reason = self.why_tcp.unwrap_or("-");
        let _ = write!(line, " {} {reason} {} {:.3}", self.protocol, self.paths, self.seconds);
    }

    fn json(&self, line: &mut String) {
        let json = Json {
            time: self.stamp(RFC3339),
            client: self.client,
            method: self.method,
            target: self.target,
            version: self.version,
            status: self.status,
            bytes: self.bytes,
            referer: self.referer.map(String::from_utf8_lossy),
            user_agent: self.agent.map(String::from_utf8_lossy),
            protocol: self.protocol,
            why_tcp: self.why_tcp,
            paths: self.paths,
            seconds: (self.seconds * 1e6).round() / 1e6,
        };
        // JSON escapes control characters up to U+001F only; a terminal also obeys DEL and U+0080 to U+009F.
        for character in serde_json::to_string(&json).unwrap_or_default().chars() {
            if character.is_ascii() && character != '\x7f' {
                line.push(character);
            } else {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(line, "\\u{unit:04x}");
                }
            }
        }
    }
}

/// Keeps whatever a client sent within its field: anything but printable ASCII, quotes and backslashes are escaped.
fn escape(bytes: &[u8], line: &mut String) {
    for &byte in bytes {
        match byte {
            b'"' | b'\\' => {
                line.push('\\');
                line.push(char::from(byte));
            }
            b' '..=b'~' => line.push(char::from(byte)),
            _ => {
                let _ = write!(line, "\\x{byte:02x}");
            }
        }
    }
}

/// The target as it stood in the request; HTTP/2 has no request line, and scheme and host in fields of their own.
fn target(uri: &Uri, version: Version) -> String {
    match uri.path_and_query() {
        Some(path) if version == Version::HTTP_2 => path.to_string(),
        _ => uri.to_string(),
    }
}

fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "HTTP/0.9",
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        Version::HTTP_3 => "HTTP/3",
        _ => "HTTP/1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::macros::datetime;

    fn record() -> Record<'static> {
        Record {
            time: datetime!(2026-11-03 04:05:06.789 UTC),
            client: Some("192.0.2.7:4711".parse().unwrap()),
            method: "GET",
            target: "/a?b=c",
            version: "HTTP/1.1",
            status: 200,
            bytes: 1234,
            referer: None,
            agent: Some(b"curl/8 \"x\"\n\xff"),
            protocol: "mptcp",
            why_tcp: None,
            paths: 2,
            seconds: 0.01234,
        }
    }

    #[test]
    fn text_is_a_line_of_fields() {
        assert_eq!(
            record().line(Format::Text),
            "2026-11-03T04:05:06.789Z 192.0.2.7 \"GET /a?b=c HTTP/1.1\" 200 1234 mptcp - 2 0.012\n"
        );
        let tcp = Record { protocol: "tcp", why_tcp: Some("client"), paths: 1, ..record() };
        assert!(tcp.line(Format::Text).ends_with(" 200 1234 tcp client 1 0.012\n"));
    }

    #[test]
    fn common_and_combined_begin_as_everywhere() {
        let common = "192.0.2.7 - - [03/Nov/2026:04:05:06 +0000] \"GET /a?b=c HTTP/1.1\" 200 1234";
        assert_eq!(record().line(Format::Common), format!("{common} mptcp - 2 0.012\n"));
        assert_eq!(
            record().line(Format::Combined),
            format!("{common} \"-\" \"curl/8 \\\"x\\\"\\x0a\\xff\" mptcp - 2 0.012\n")
        );
    }

    #[test]
    fn json_is_one_object_a_line() {
        let line = record().line(Format::Json);
        let json: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(json["client"], "192.0.2.7:4711");
        assert_eq!(json["why_tcp"], serde_json::Value::Null);
        assert_eq!((&json["status"], &json["paths"]), (&200.into(), &2.into()));
    }

    #[test]
    fn a_client_cannot_forge_lines_or_steer_a_terminal() {
        let nasty = Record { target: "/\n\r\x1b[2J\x7f\u{9b}\"", ..record() };
        for format in [Format::Text, Format::Json, Format::Common, Format::Combined] {
            let line = nasty.line(format);
            let body = line.strip_suffix('\n').unwrap();
            assert!(body.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{format:?}: {line:?}");
        }
    }

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_stdout_ends_the_log_only() {
        let (lines, arriving) = sync_channel(4);
        lines.send(Message::Line("x".repeat(100_000))).unwrap();
        thread::spawn(move || write_lines(&arriving, Closed)).join().unwrap();
        let further = lines.try_send(Message::Line(String::new()));
        assert!(matches!(further, Err(TrySendError::Disconnected(_))));
    }
}
