//! Downloads: a body to a file, or in order to a reader, by the best means there is.
//!
//! ```no_run
//! # async fn run() -> Result<(), mphttp::Error> {
//! let client = mphttp::Client::new()?;
//! let done = client.download("http://server/big.iso").to_file("big.iso").await?;
//! println!("{} bytes, {}: {:?}", done.bytes, done.strategy, done.links);
//! # Ok(())
//! # }
//! ```
//!
//! It starts as any GET does, at once, over one connection. What then happens depends on what is found:
//!
//! - The body is small, the server takes no ranges, or there is one link only: it stays at that connection.
//! - The connection speaks Multipath TCP and its paths are alike: the kernel does the rest.
//! - Otherwise ranges of the body are fetched over further connections, each bound to an interface, and work is taken over
//!   from slow and dead ones. Works with any server that takes ranges, whatever speaks MPTCP.
//!
//! A connection that breaks, stalls or loses its link is replaced by another that goes on where it was, over whatever link
//! there is, until [nothing has come for two minutes](Download::retry_for). Strong validators (RFC 9110 section 8.8) guard
//! every part: versions of a body are never mixed.

mod answer;
mod assembly;
mod checksum;
mod engine;
mod failures;
mod fetch;
#[cfg(any(test, feature = "_fuzzing"))]
pub(crate) mod fuzzing;
mod judge;
mod lanes;
mod meter;
#[cfg(test)]
mod model_tests;
mod outcome;
mod part;
mod plan;
mod platform;
mod ranges;
mod scouts;
mod shared;
mod start;
mod ways;

use std::{
    fmt,
    path::Path,
    str::FromStr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::RANGE};
use mptcp_socket::Protocol;
use tokio::{sync::oneshot, task::JoinHandle};
use url::Url;

pub use checksum::Checksum;
pub use outcome::{Downloaded, Link, Progress, Strategy};
pub use part::{Leftover, leftover};

use crate::{Client, Error, client::Request, report::without_credentials};
use assembly::Assembly;
use engine::Engine;
use outcome::Head;
use part::Part;
use plan::Order;
use shared::Sink;

/// Which links a download may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Paths {
    /// Every interface with a default route and a carrier.
    Auto,
    /// One connection at a time, by the routes.
    Off,
    /// These interfaces.
    Interfaces(Vec<String>),
}

impl FromStr for Paths {
    type Err = Error;

    /// `auto`, `off`, or names of interfaces between commas.
    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "auto" => return Ok(Self::Auto),
            "off" => return Ok(Self::Off),
            _ => {}
        }
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_owned()).collect();
        if names.iter().any(|name| name.is_empty() || name.len() > 15 || name.contains(['/', ' ', '\0'])) {
            let why = "write auto, off, or names of interfaces such as wlan0,wwan0".to_owned();
            return Err(Error::Invalid { what: format!("the paths {text:?}"), why });
        }
        Ok(Self::Interfaces(names))
    }
}

/// A download to be: see [the module](self).
///
/// Dropping its future ends it. A file under way is then kept for [`Download::resume`], if that is possible, else removed.
#[must_use = "nothing is downloaded before to_file(), stream() or discard() is called and awaited"]
pub struct Download {
    client: Client,
    request: Result<Request, Error>,
    options: Options,
}

/// Whom progress is told.
type Look = Box<dyn FnMut(&Progress) + Send>;

pub(crate) struct Options {
    pub(crate) paths: Option<Paths>,
    pub(crate) connections: usize,
    pub(crate) retry_for: Duration,
    pub(crate) resume: bool,
    pub(crate) checksum: Option<Checksum>,
    pub(crate) window: u64,
    pub(crate) any_status: bool,
    pub(crate) progress: Option<Look>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            paths: None,
            connections: 6,
            retry_for: Duration::from_secs(120),
            resume: false,
            checksum: None,
            window: 32 << 20,
            any_status: false,
            progress: None,
        }
    }
}

impl Download {
    pub(crate) fn new(client: Client, request: Result<Request, Error>) -> Self {
        Self { client, request, options: Options::default() }
    }

    /// The links to use. Default: [`Paths::Auto`] with [`Protocol::Mptcp`], else [`Paths::Off`]: who asks for plain TCP, or
    /// for MPTCP only, gets a connection of that.
    ///
    /// Connections besides the first are plain TCP ones, unless MPTCP alone will do: each is to use its one link.
    pub fn paths(mut self, paths: Paths) -> Self {
        self.options.paths = Some(paths);
        self
    }

    /// How many connections there may be at a time, at least 1. Default: 6, as browsers have for a host. There are rarely
    /// more than one for each link, and a second one for a moment, when a part is about to end.
    pub fn connections(mut self, most: usize) -> Self {
        self.options.connections = most.max(1);
        self
    }

    /// For how long nothing may come before it is given up; 0: the first failure is final. Default: 2 minutes.
    ///
    /// A server's `Retry-After` (429, 503) is kept to if it asks for no more than this.
    pub fn retry_for(mut self, limit: Duration) -> Self {
        self.options.retry_for = limit.min(failures::LONGEST);
        self
    }

    /// Goes on with what an earlier download to the same file has left, in this process or another, if the body on the
    /// server is still the same; see [`leftover`]. Default: no, it starts anew.
    pub fn resume(mut self, yes: bool) -> Self {
        self.options.resume = yes;
        self
    }

    /// The checksum that the body must have; else it is an error, and there is no file. Digests that the server sends
    /// (`Repr-Digest`, `Content-Digest`, RFC 9530) are checked in any case.
    ///
    /// With [`Download::stream`] the check comes when all has been read.
    pub fn checksum(mut self, checksum: Checksum) -> Self {
        self.options.checksum = Some(checksum);
        self
    }

    /// How many bytes a stream may be ahead of its reader, in memory. Default: 32 MiB.
    pub fn window(mut self, bytes: u64) -> Self {
        self.options.window = bytes.max(1 << 16);
        self
    }

    /// Takes the body of any status for the body, as a browser would show it. Default: no, a status other than success is
    /// [`Error::Status`].
    pub fn any_status(mut self, yes: bool) -> Self {
        self.options.any_status = yes;
        self
    }

    /// Is called with how far it is, ten times a second and at the end, from the task that downloads.
    pub fn progress(mut self, look: impl FnMut(&Progress) + Send + 'static) -> Self {
        self.options.progress = Some(Box::new(look));
        self
    }

    fn prepared(self) -> Result<(Client, Request, Options), Error> {
        let mut request = self.request?;
        if request.method != http::Method::GET || !request.body.as_bytes().is_some_and(<[u8]>::is_empty) {
            let why = "only GET requests without a body can be repeated at will; use send()".to_owned();
            return Err(Error::Invalid { what: format!("{} for a download", request.method), why });
        }
        if request.headers.contains_key(RANGE) {
            let why = "a download chooses its ranges itself; use send()".to_owned();
            return Err(Error::Invalid { what: "the header Range".to_owned(), why });
        }
        request.for_download = true;
        let mut options = self.options;
        if options.paths.is_none() {
            let protocol = request.protocol.unwrap_or_else(|| self.client.protocol());
            options.paths = Some(if protocol == Protocol::Mptcp { Paths::Auto } else { Paths::Off });
        }
        Ok((self.client, request, options))
    }

    /// Downloads into a file, which appears under its name when it is whole and right. An existing one is replaced then.
    ///
    /// # Errors
    /// [`Error::Write`] if it can't be written; [`Error::Status`], [`Error::Busy`]; [`Error::Checksum`];
    /// [`Error::GaveUp`]; and those of [`RequestBuilder::send`](crate::client::RequestBuilder::send).
    pub async fn to_file(self, path: impl AsRef<Path>) -> Result<Downloaded, Error> {
        let (client, request, options) = self.prepared()?;
        let (part, state) = Part::open(path.as_ref(), options.resume)?;
        let pen = part.pen().ok_or_else(aborted)?;
        let state = state.filter(|state| state.url == without_credentials(&request.url));
        let engine = Engine::new(client, request, options, Sink::File(pen), Order::Any);
        engine.run(Some(part), state, None).await
    }

    /// Downloads and throws away: to measure, or to check a digest.
    ///
    /// # Errors
    /// As [`Download::to_file`], without those of files.
    pub async fn discard(self) -> Result<Downloaded, Error> {
        let (client, request, options) = self.prepared()?;
        Engine::new(client, request, options, Sink::Nowhere(Mutex::default()), Order::Any)
            .run(None, None, None)
            .await
    }

    /// Starts to download for a reader, who gets the bytes in order; returns once the server has answered.
    ///
    /// # Errors
    /// As [`Download::to_file`], without those of files. A failure under way is the reader's.
    pub async fn stream(self) -> Result<Downloading, Error> {
        let (client, request, options) = self.prepared()?;
        let assembly = Arc::new(Assembly::new(options.window));
        let order = Order::Sequential { window: options.window };
        let engine = Engine::new(client, request, options, Sink::Reader(Arc::clone(&assembly)), order);
        let (tell, head) = oneshot::channel();
        let ending = Ending(Arc::clone(&assembly));
        let task = tokio::spawn(async move {
            // Whichever way it ends: nobody must wait for what has panicked.
            let _ending = ending;
            engine.run(None, None, Some(tell)).await
        });
        // Aborts the task if this future is dropped.
        let mut downloading = Downloading { head: None, assembly, task: Task(task), outcome: None };
        match head.await {
            Ok(head) => downloading.head = Some(head),
            // It ended before there was an answer.
            Err(_) => return Err(downloading.finish().await.err().unwrap_or_else(aborted)),
        }
        Ok(downloading)
    }
}

fn aborted() -> Error {
    Error::Broken { host: "the download".to_owned(), source: "its task has ended".into() }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("request", &self.request).finish_non_exhaustive()
    }
}

/// A download under way, read in order. Dropping it ends it.
#[derive(Debug)]
pub struct Downloading {
    head: Option<Head>,
    assembly: Arc<Assembly>,
    task: Task,
    outcome: Option<Result<Downloaded, Error>>,
}

/// Tells the reader that no more will come.
struct Ending(Arc<Assembly>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// Ends with whoever holds it.
#[derive(Debug)]
struct Task(JoinHandle<Result<Downloaded, Error>>);

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Downloading {
    /// The status of the first answer.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.head.as_ref().map(|head| head.status).unwrap_or_default()
    }

    /// The headers of the first answer.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        self.head.as_ref().map(|head| &head.headers)
    }

    /// The URL that answered, after redirects.
    #[must_use]
    pub fn url(&self) -> Option<&Url> {
        self.head.as_ref().map(|head| &head.url)
    }

    /// How many bytes there will be, if that was announced.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.head.as_ref().and_then(|head| head.total)
    }

    /// The next bytes; `None` at the end.
    ///
    /// # Errors
    /// Whatever ended the download early.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(bytes) = self.assembly.take().await {
            return Ok(Some(bytes));
        }
        match &mut self.outcome {
            Some(Ok(_)) => return Ok(None),
            Some(Err(_)) => {}
            none => {
                let outcome = join(&mut self.task).await;
                *none = Some(outcome.and_then(|done| self.assembly.check().map(|()| done)));
            }
        }
        match self.outcome.take() {
            Some(Err(error)) => Err(error),
            outcome => {
                self.outcome = outcome;
                Ok(None)
            }
        }
    }

    /// What came of it, once all has been read. What has not been read yet is waited for and thrown away.
    ///
    /// # Errors
    /// Whatever ended the download early.
    pub async fn finish(mut self) -> Result<Downloaded, Error> {
        while self.chunk().await?.is_some() {}
        self.outcome.take().unwrap_or_else(|| Err(aborted()))
    }
}

async fn join(task: &mut Task) -> Result<Downloaded, Error> {
    (&mut task.0).await.unwrap_or_else(|_| Err(aborted()))
}
