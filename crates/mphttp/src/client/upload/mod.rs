//! Uploads of files: through the tus protocol 1.0.0 (<https://tus.io>) where the server speaks it, so that they survive
//! broken connections and restarts of either side; else by a plain `PUT`, which can be tried once only.
//!
//! ```no_run
//! # async fn run() -> Result<(), mphttp::Error> {
//! let client = mphttp::Client::new()?;
//! let uploaded = client.upload("http://server:8000/incoming/").file("big.iso").send().await?;
//! println!("{} bytes over {}", uploaded.size(), uploaded.response().transport());
//! # Ok(())
//! # }
//! ```

mod answers;
mod patience;
mod run;
mod source;
pub(super) mod state;

use std::{
    fmt, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper_util::client::legacy::connect::CaptureConnection;
use mptcp_socket::Watch;
use tokio::sync::oneshot;
use url::Url;

use super::{Client, RequestBuilder, Response, request::Request};
use crate::{Body, Error, Phase, files};
use source::Hook;

/// The default of [`Upload::retry_for`].
const RETRY_FOR: Duration = Duration::from_secs(120);

/// An upload under construction. What is wrong with it, [`Upload::send`] says.
#[must_use = "nothing is sent before send() is called and awaited"]
pub struct Upload {
    client: Client,
    request: Result<Request, Error>,
    options: Options,
    progress: Option<Hook>,
}

struct Options {
    file: PathBuf,
    retry_for: Duration,
    chunk: Option<u64>,
    state: Option<PathBuf>,
    resume: bool,
    connection: Option<Box<dyn FnMut(Watch) + Send>>,
}

impl Upload {
    pub(super) fn of(request: RequestBuilder) -> Self {
        let (client, request) = request.into_parts();
        let options = Options {
            file: PathBuf::new(),
            retry_for: RETRY_FOR,
            chunk: None,
            state: None,
            resume: false,
            connection: None,
        };
        Self { client, request, options, progress: None }
    }

    /// The file: a regular one, which nobody writes to meanwhile ([`Error::FileChanged`]). Where the URL ends with a
    /// slash, it keeps its name there.
    pub fn file(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.file = path.into();
        self
    }

    /// For how long to go on without anything getting through, by tus, once the server has answered. Default: 2 minutes.
    /// A first connection that can't be made is an error at once.
    pub fn retry_for(mut self, limit: Duration) -> Self {
        self.options.retry_for = limit;
        self
    }

    /// Sends at most so many bytes in one request, each with its SHA-256 where the server checks that. Default: the rest
    /// of the file in one, without one: what has arrived of that counts, while of a chunk with a checksum all or nothing
    /// does. For where something on the way may spoil what it carries, and there is no TLS.
    pub fn chunk(mut self, bytes: u64) -> Self {
        self.options.chunk = Some(bytes.max(1));
        self
    }

    /// Keeps the URL of the upload in this file, readable for its owner only, until the upload is done, so that another
    /// process can [go on](Upload::resume). Best effort: where it can't be written, there is a warning in the log.
    pub fn state(mut self, path: impl Into<PathBuf>) -> Self {
        self.options.state = Some(path.into());
        self
    }

    /// Goes on with the upload of the [state file](Upload::state), if there is one and it is of the same file (by size
    /// and time) to the same URL. Default: no, a new one is begun.
    pub fn resume(mut self, yes: bool) -> Self {
        self.options.resume = yes;
        self
    }

    /// Calls this as the connection takes pieces, with the bytes so far and the file's size. After a break the first
    /// number is smaller than before by what did not arrive.
    pub fn progress(mut self, hook: impl FnMut(u64, u64) + Send + 'static) -> Self {
        self.progress = Some(Box::new(hook));
        self
    }

    /// Calls this with each connection that carries a part of the file.
    pub fn on_connection(mut self, hook: impl FnMut(Watch) + Send + 'static) -> Self {
        self.options.connection = Some(Box::new(hook));
        self
    }

    /// Sends the file; returns once the server has all of it.
    ///
    /// # Errors
    /// [`Error::UploadRefused`] if the server does not take it, [`Error::UploadStuck`] if nothing got through for
    /// [`Upload::retry_for`], [`Error::Read`] and [`Error::FileChanged`] for the file; else as
    /// [`RequestBuilder::send`].
    pub async fn send(self) -> Result<Uploaded, Error> {
        let Self { client, request, options, progress } = self;
        let request = request?;
        let limit = request.timeout.or(client.0.settings.timeout);
        let running = run::Run::start(client, request, options, progress);
        match limit {
            None => running.await,
            Some(after) => tokio::time::timeout(after, running)
                .await
                .map_err(|_| Error::Timeout { phase: Phase::Total, after })?,
        }
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload").field("file", &self.options.file).finish_non_exhaustive()
    }
}

/// A file that the server has as a whole.
#[derive(Debug)]
pub struct Uploaded {
    size: u64,
    started_at: u64,
    sent: u64,
    interruptions: u32,
    resumable: bool,
    url: Url,
    response: Response,
}

impl Uploaded {
    /// The file's size in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Bytes that the server had from an [earlier process](Upload::resume).
    #[must_use]
    pub const fn started_at(&self) -> u64 {
        self.started_at
    }

    /// Bytes that connections took: more than were missing, if some had to be sent again.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// How often it had to be taken up again.
    #[must_use]
    pub const fn interruptions(&self) -> u32 {
        self.interruptions
    }

    /// Whether the server spoke tus; else it was a plain PUT.
    #[must_use]
    pub const fn resumable(&self) -> bool {
        self.resumable
    }

    /// The URL that took the file: with tus that of the upload, which need not be where the file can be had.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The last answer, with its connection.
    #[must_use]
    pub const fn response(&self) -> &Response {
        &self.response
    }

    /// The last answer, to read its body.
    #[must_use]
    pub fn into_response(self) -> Response {
        self.response
    }
}

/// The URL that a file goes to by PUT, as curl has it: this one, or, where it ends with a slash, the file's name in it.
///
/// # Errors
/// [`Error::BadUrl`].
pub fn upload_url(url: &str, file: impl AsRef<Path>) -> Result<String, Error> {
    // Parsed without loss of what credentials it may hold.
    let url = super::request::parse(url)?;
    Ok(with_name(url, file.as_ref()).into())
}

fn with_name(mut url: Url, file: &Path) -> Url {
    if url.path().ends_with('/')
        && let Some(name) = file.file_name()
    {
        let name = files::path::encode(&files::name_bytes(name));
        url.set_path(&format!("{}{name}", url.path()));
    }
    url
}

impl Body {
    /// A file from its beginning, with its length announced, read as it is sent. It must be a regular one. Must be polled
    /// inside a tokio runtime.
    ///
    /// # Errors
    /// The file can't be read: its first piece is read here and now, which blocks.
    pub fn file(path: impl AsRef<Path>) -> io::Result<Self> {
        let unfit = |error: Error| match error {
            Error::Read { source, .. } => source,
            other => io::Error::other(other),
        };
        let source = source::Source::look(path.as_ref()).map_err(unfit)?;
        source.body(0..source.size, source::Sent::default()).map_err(unfit)
    }
}

/// In the extensions of a request: who wants to know of its connection before there is a response.
#[derive(Clone)]
pub(super) struct Tell(Arc<Mutex<Option<oneshot::Sender<CaptureConnection>>>>);

impl Tell {
    fn new() -> (Self, oneshot::Receiver<CaptureConnection>) {
        let (sender, receiver) = oneshot::channel();
        (Self(Arc::new(Mutex::new(Some(sender)))), receiver)
    }

    pub(super) fn found(&self, connection: CaptureConnection) {
        if let Some(sender) = self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            // Who does not want to know any more has gone.
            let _ = sender.send(connection);
        }
    }
}
