//! Uploads into a folder: plain `PUT` of whole files, and the tus protocol 1.0.0, whose uploads go on where they were
//! when a connection broke, the server was restarted, or the client.
//!
//! tus (<https://tus.io>) and not the IETF's draft-ietf-httpbis-resumable-upload: it is stable and deployed (tusd, Uppy
//! and many more), while the draft still changes from one interop version to the next and rests on interim responses
//! (104) that hyper can't send.
//!
//! ```no_run
//! # async fn example(request: http::Request<mphttp::server::RequestBody>) -> std::io::Result<()> {
//! use mphttp::uploads::Uploads;
//!
//! let uploads = Uploads::new("/srv/incoming")?.max_size(10 << 30);
//! if uploads.takes(&request) {
//!     let response = uploads.respond(request).await;
//! }
//! # Ok(())
//! # }
//! ```

mod form;
#[cfg(any(test, feature = "_fuzzing"))]
pub(crate) mod fuzzing;
mod id;
mod locks;
mod metadata;
mod pour;
mod put;
mod refusal;
mod store;
pub(crate) mod tus;

use std::{convert::Infallible, future::Future, io, path::Path, pin::Pin, time::Duration};

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use tokio::task::spawn_blocking;

use crate::{Body, BoxError};
use id::Id;
use locks::Locks;
use refusal::Refusal;
use store::Store;

/// Below which uploads under way have their URLs.
pub const PREFIX: &str = "/.mphttp/uploads/";

/// For clients that can send nothing but GET and POST (tus, section "X-HTTP-Method-Override").
const OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");

const ALLOW_HERE: &str = "GET, HEAD, OPTIONS, PUT, POST";
const ALLOW_UPLOAD: &str = "HEAD, PATCH, DELETE, OPTIONS";

/// A handler that stores what it is sent below a folder, and nowhere else. Clones are cheap and share it.
///
/// **Whoever reaches it can write files there.** It has no accounts: put it where only those can reach it who may.
///
/// - `PUT /folder/name` stores a whole body: 201, or 204 if it replaced a file (see below). The file appears, in one step, when all
///   of it has come; of a body that is cut short nothing stays. `If-Match`, `If-None-Match` and the dates are heeded.
/// - tus: `POST` to a folder's URL, or to that of the file to be, begins an upload. Its own URL is below [`PREFIX`] and
///   holds 128 random bits: who knows it may write to that upload. `HEAD`, `PATCH` and `DELETE` act on it. What has
///   arrived is kept when the connection breaks or the server dies. Extensions: creation, creation-with-upload,
///   termination, checksum (`sha1`, `sha256`).
/// - Forms: `POST` of `multipart/form-data` to a folder's URL stores the files in it, from browsers and `curl -F`: 201 with a
///   line for each, or 303 back to the folder for who prefers a page. A file's name may lead into folders below, which are
///   made. Forms that a page of another
///   site had a browser send (`Sec-Fetch-Site`, `Origin`) are 403. [`Files::upload_form`](crate::files::Files::upload_form)
///   puts such a form on its listings.
/// - **What exists** is replaced by none of them (409), unless that is [allowed](Uploads::overwrite), and then files only.
/// - **Names** are held to what [`Files`](crate::files::Files) serves: no `..`, nothing hidden. Of tus's `filename` only
///   the last component counts. The folder must exist.
/// - **Unfinished** uploads are in the hidden folder `.mphttp-uploads`, which [`Files`](crate::files::Files) neither
///   lists nor serves. It must be on the same file system as the files. One server at a time may use it.
///
/// Must run inside a tokio runtime: all file operations happen on its blocking threads. Nothing is synced to the disk:
/// what was acknowledged survives the death of the server, not that of the host's power.
#[derive(Clone, Debug)]
pub struct Uploads {
    store: Store,
    locks: Locks,
    options: Options,
}

#[derive(Clone, Copy, Debug)]
struct Options {
    max_size: Option<u64>,
    max_incomplete: usize,
    keep: Duration,
    overwrite: bool,
}

impl Uploads {
    /// Stores below `root`, which is opened now and stays the same folder even if it is renamed later.
    ///
    /// # Errors
    /// `root` does not exist, is no folder, or can't be written to. The text names it.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self> {
        let path = root.as_ref();
        let store = Store::open(path).map_err(|error| {
            io::Error::new(error.kind(), format!("can't take uploads into {}: {error}", path.display()))
        })?;
        let keep = Duration::from_secs(7 * 24 * 3600);
        let options = Options { max_size: None, max_incomplete: 100, keep, overwrite: false };
        Ok(Self { store, locks: Locks::default(), options })
    }

    /// The longest file that is taken, in bytes; longer ones are 413. Default: whatever the disk has room for.
    #[must_use]
    pub fn max_size(mut self, bytes: u64) -> Self {
        self.options.max_size = Some(bytes);
        self
    }

    /// How many tus uploads may be unfinished at once; a further one is 503. Default: 100.
    #[must_use]
    pub fn max_incomplete(mut self, uploads: usize) -> Self {
        self.options.max_incomplete = uploads;
        self
    }

    /// After how long without a byte an unfinished upload makes room for a new one. Default: 7 days.
    #[must_use]
    pub fn keep_incomplete(mut self, time: Duration) -> Self {
        self.options.keep = time;
        self
    }

    /// Whether uploads of any kind replace files of their name. Default: no, they are 409.
    #[must_use]
    pub fn overwrite(mut self, yes: bool) -> Self {
        self.options.overwrite = yes;
        self
    }

    /// The folder, as a canonical path.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.store.path()
    }

    /// Whether this request is one for [`Uploads::respond`]: all but reading files.
    #[must_use]
    pub fn takes<B>(&self, request: &Request<B>) -> bool {
        let reads = matches!(*request.method(), Method::GET | Method::HEAD);
        !reads || request.uri().path().starts_with(PREFIX)
    }

    /// Answers a request.
    pub async fn respond<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let (head, body) = request.map(Body::new).into_parts();
        let mut body = Some(body);
        let tus = head.headers.contains_key(tus::RESUMABLE) || head.method == Method::OPTIONS;
        let answered = self.answer(&head, &mut body).await;
        let mut response = answered.unwrap_or_else(Refusal::response);
        // A client that waits for "100 Continue" sends nothing if it is told no.
        if let Some(mut body) = body
            && !response.status().is_success()
            && !head.headers.contains_key(header::EXPECT)
        {
            pour::discard(&mut body).await;
        }
        let status = response.status();
        if tus {
            response.headers_mut().insert(tus::RESUMABLE, HeaderValue::from_static(tus::VERSION));
            if status == StatusCode::PRECONDITION_FAILED {
                response.headers_mut().insert(tus::VERSIONS, HeaderValue::from_static(tus::VERSION));
            }
        }
        if head.method == Method::HEAD {
            *response.body_mut() = Body::empty();
        }
        response
    }

    async fn answer(
        &self,
        head: &http::request::Parts,
        body: &mut Option<Body>,
    ) -> Result<Response<Body>, Refusal> {
        let (path, headers) = (head.uri.path(), &head.headers);
        let method = match headers.get(OVERRIDE) {
            Some(other) if head.method == Method::POST => Method::from_bytes(other.as_bytes())
                .map_err(|_| Refusal::bad("X-HTTP-Method-Override holds no method."))?,
            _ => head.method.clone(),
        };
        if let Some(id) = path.strip_prefix(PREFIX) {
            if method == Method::OPTIONS {
                return Ok(tus::abilities(self, ALLOW_UPLOAD));
            }
            tus::check_version(headers)?;
            let no_upload = || Refusal::new(StatusCode::NOT_FOUND, "There is no such upload.");
            let id = Id::parse(id).ok_or_else(no_upload)?;
            return match method {
                Method::HEAD => tus::offset(self, id).await,
                Method::PATCH => tus::append(self, id, headers, body).await,
                Method::DELETE => tus::terminate(self, id).await,
                _ => Ok(not_allowed(ALLOW_UPLOAD, "This is an upload: use HEAD, PATCH or DELETE.")),
            };
        }
        match method {
            Method::OPTIONS => Ok(tus::abilities(self, ALLOW_HERE)),
            Method::PUT => put::put(self, path, headers, body).await,
            Method::POST if headers.contains_key(tus::RESUMABLE) => {
                tus::check_version(headers)?;
                tus::create(self, path, headers, body).await
            }
            Method::POST if form::is(headers) => form::take(self, head, body).await,
            _ => Ok(not_allowed(
                ALLOW_HERE,
                "Files are uploaded with PUT, or with POST as tus or a form has it.",
            )),
        }
    }
}

fn not_allowed(allow: &'static str, text: &'static str) -> Response<Body> {
    let mut response = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, text).response();
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

/// Does what blocks elsewhere. It is done to its end even if nobody waits for it any more.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    spawn_blocking(work).await.map_err(io::Error::from)?
}

/// What [`Server::run`](crate::Server::run) takes.
impl<B> hyper::service::Service<Request<B>> for Uploads
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<B>) -> Self::Future {
        let uploads = self.clone();
        Box::pin(async move { Ok(uploads.respond(request).await) })
    }
}
