//! The access log: one line for each request, written when the last byte of its answer has been handed to the
//! connection.

mod record;
mod writer;

use std::{
    fs::File,
    io,
    net::SocketAddr,
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::Bytes;
use clap::ValueEnum;
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version, header};
use http_body::{Frame, SizeHint};
use mphttp::{
    Body, BoxError, Watch,
    server::{Peer, Refused},
};
use time::OffsetDateTime;

pub use record::RFC3339;
use record::Record;
use writer::{Lines, Out};

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
///
/// Nobody waits for a slow disk or reader: lines are written by a thread of their own, and where too many wait for it,
/// further ones are dropped, and counted.
#[derive(Clone, Debug)]
pub struct AccessLog {
    format: Format,
    lines: Lines,
}

impl AccessLog {
    /// Writes to stdout.
    pub fn to_stdout(format: Format) -> Option<Self> {
        (format != Format::Off).then(|| Self { format, lines: Lines::to(Out::stdout()) })
    }

    /// Appends to a file, which is made if it isn't there.
    ///
    /// # Errors
    /// If it can't be opened.
    pub fn to_file(format: Format, path: PathBuf) -> io::Result<Option<Self>> {
        if format == Format::Off {
            return Ok(None);
        }
        let file = File::options().append(true).create(true).open(&path)?;
        Ok(Some(Self { format, lines: Lines::to(Out::file(path, file)) }))
    }

    /// Opens the file anew, after the lines so far are in the old one: for who has renamed it. Stdout stays as it is.
    pub fn reopen(&self) {
        self.lines.reopen();
    }

    /// Whether it goes to a file.
    pub fn is_file(&self) -> bool {
        self.lines.are_for_a_file()
    }

    /// How many lines were lost, since the reader or the disk was too slow or would not take them.
    pub fn lost(&self) -> u64 {
        self.lines.lost()
    }

    /// Writes the line of a request that no handler has seen.
    pub fn refused(&self, refused: &Refused) {
        drop(Pending {
            log: self.clone(),
            time: OffsetDateTime::now_utc(),
            begun: None,
            client: Some(refused.peer.remote),
            watch: refused.watch.clone(),
            request: None,
            user: None,
            referer: None,
            agent: None,
            status: refused.status,
            bytes: 0,
        });
    }

    /// Begins the line of a request that came from the library's server.
    pub fn begin<B>(&self, request: &Request<B>) -> Pending {
        let header = |name: header::HeaderName| copy(request.headers(), &name);
        Pending {
            log: self.clone(),
            time: OffsetDateTime::now_utc(),
            begun: Some(Instant::now()),
            client: request.extensions().get::<Peer>().map(|peer| peer.remote),
            watch: request.extensions().get::<Watch>().cloned(),
            request: Some((request.method().clone(), request.uri().clone(), request.version())),
            user: None,
            referer: header(header::REFERER),
            agent: header(header::USER_AGENT),
            status: CLIENT_LEFT,
            bytes: 0,
        }
    }

    /// Waits, not for long, until the lines so far are written.
    pub fn close(&self) {
        self.lines.close();
    }
}

fn copy(headers: &HeaderMap, name: &header::HeaderName) -> Option<Bytes> {
    headers.get(name).map(|value| Bytes::copy_from_slice(value.as_bytes()))
}

/// A request whose line is written when this is dropped.
#[derive(Debug)]
pub struct Pending {
    log: AccessLog,
    time: OffsetDateTime,
    begun: Option<Instant>,
    client: Option<SocketAddr>,
    watch: Option<Watch>,
    /// What was asked for, if that could be read.
    request: Option<(Method, Uri, Version)>,
    /// Who has proved who they are.
    user: Option<Arc<str>>,
    referer: Option<Bytes>,
    agent: Option<Bytes>,
    status: u16,
    bytes: u64,
}

impl Pending {
    /// Tells of this connection in place of the client's: for a proxy whose client is on the same host.
    pub fn over(&mut self, watch: Watch) {
        self.watch = Some(watch);
    }

    /// Writes the line of a tunnel that has ended, after so many bytes for the client.
    pub fn tunnelled(mut self, status: StatusCode, bytes: u64) {
        (self.status, self.bytes) = (status.as_u16(), bytes);
    }

    /// It is this user's.
    pub fn user(&mut self, user: Arc<str>) {
        self.user = Some(user);
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        let json = self.log.format == Format::Json;
        // Of each path only where there is room for it: one look instead of two, with all figures.
        let transport =
            self.watch.as_ref().filter(|_| json).map(|watch| watch.transport_without_interfaces());
        let spoken = match &transport {
            Some(transport) => Some(transport.spoken),
            None => self.watch.as_ref().map(Watch::spoken),
        };
        let target = self.request.as_ref().map(|(_, uri, version)| target(uri, *version));
        let record = Record {
            time: self.time,
            client: self.client,
            method: self.request.as_ref().map(|(method, ..)| method.as_str()),
            target: target.as_deref(),
            version: self.request.as_ref().map(|(.., named)| version(*named)),
            status: self.status,
            bytes: self.bytes,
            user: self.user.as_deref(),
            referer: self.referer.as_deref(),
            agent: self.agent.as_deref(),
            protocol: spoken.map_or("-", |spoken| spoken.as_str()),
            why_tcp: spoken.and_then(|spoken| spoken.reason()).map(|reason| reason.as_str()),
            paths: match &transport {
                Some(transport) => u32::try_from(transport.paths.len()).unwrap_or(u32::MAX),
                None => self.watch.as_ref().map_or(0, Watch::path_count),
            },
            transport: transport.as_ref(),
            seconds: self.begun.map_or(0.0, |begun| begun.elapsed().as_secs_f64()),
        };
        self.log.lines.send(record.line(self.log.format));
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
