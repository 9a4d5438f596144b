//! Static files over HTTP, as RFC 9110 has it: ranges, validators, precompressed neighbours, directory listings, and no
//! way out of the root.
//!
//! Written here because no kept, stable library does it: tower-http 0.7's `ServeDir` has no `If-Range`, no
//! `multipart/byteranges`, no listings, follows symbolic links anywhere, opens FIFOs and wants UTF-8 names; http-serve for
//! http 1 is a release candidate. Downloads striped over several connections stand on what is missing there: strong
//! validators that `If-Range` obeys.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! use mphttp::files::Files;
//!
//! let files = Files::new("/srv/www")?.listing(false);
//! let request = http::Request::get("/index.html").body(()).map_err(std::io::Error::other)?;
//! let response = files.respond(&request).await;
//! assert_eq!(response.status(), 200);
//! # Ok(())
//! # }
//! ```

mod answer;
pub(crate) mod body;
#[cfg(target_os = "linux")]
mod buffers;
mod cache;
mod compress;
pub(crate) mod conditional;
mod encoding;
#[cfg(any(test, feature = "_fuzzing"))]
pub(crate) mod fuzzing;
mod listing;
pub(crate) mod negotiate;
mod opened;
pub(crate) mod path;
mod platform;
mod range;
pub(crate) mod root;
mod upload_form;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http::{Method, Request, Response};
use tokio::task::{JoinHandle, spawn_blocking};

pub use body::Body;
pub use cache::CacheRule;

use answer::Ask;
pub(crate) use platform::{confined_options, name_bytes};
use root::Root;

/// A directory tree, served: a handler for GET, HEAD and OPTIONS. Clones are cheap and share the root.
///
/// - **Names** are bytes, percent-decoded once. `.` and `..` (also encoded), encoded slashes and NUL are 404.
/// - **Files** carry a strong `ETag`, `Last-Modified`, a `Content-Type` by their extension and `nosniff`; `Range` (one or
///   several), `If-Range` and the four preconditions act on them. FIFOs, sockets and devices are 404 and never opened.
/// - **Directories** are redirected (301) to their trailing slash, then answered by their index file, else by a
///   listing: HTML, or JSON for who prefers `application/json` (an array of `{name, href, type, size, modified}`; `type`
///   is `"file"` or `"directory"`, `size` is in bytes and `null` for directories, `modified` is RFC 3339 or `null`).
///   `?sort=name|size|modified&order=asc|desc` orders both.
/// - **Errors** are short plain text that names no path: 403 if permission is denied, 404 if there is no such thing
///   or it is outside the root, 503 with `Retry-After` if the process is out of file descriptors, 500 otherwise.
///
/// It is also a [`tower::Service`], so that `axum::Router::fallback_service(files)` serves it. Must run inside a tokio
/// runtime: whatever may wait for a disk happens on its blocking threads. On Linux the files asked for last, 64 at most, stay
/// open for the next request (not those of network file systems): their content is read anew each time, and their state
/// looked at by name, confined as ever, so that no answer is older than its request.
#[derive(Clone, Debug)]
pub struct Files {
    root: Root,
    index: Arc<str>,
    listing: bool,
    precompressed: bool,
    hidden: bool,
    compress: bool,
    upload_form: bool,
    cache: Option<Arc<cache::Rules>>,
    fallback: Option<Arc<Path>>,
    #[cfg(target_os = "linux")]
    kept: Arc<opened::Kept>,
}

impl Files {
    /// Serves what is below `root`, which is opened now and stays the same directory even if it is renamed later.
    ///
    /// With listings, precompressed neighbours and `index.html`; without hidden files and symbolic links that lead
    /// outside.
    ///
    /// # Errors
    ///
    /// `root` does not exist, is no directory or may not be read. The text names it.
    pub fn new(root: impl AsRef<Path>) -> io::Result<Self> {
        let path = root.as_ref();
        let root = Root::open(path).map_err(|error| {
            io::Error::new(error.kind(), format!("can't serve {}: {error}", path.display()))
        })?;
        Ok(Files {
            root,
            index: "index.html".into(),
            listing: true,
            precompressed: true,
            hidden: false,
            compress: false,
            upload_form: false,
            cache: None,
            fallback: None,
            #[cfg(target_os = "linux")]
            kept: Arc::default(),
        })
    }

    /// Whether a directory without index file is listed (default) or 403.
    pub fn listing(mut self, listing: bool) -> Self {
        self.listing = listing;
        self
    }

    /// Whether symbolic links may lead outside the root. Default: no, such a link is 404. With this, whoever can make a
    /// link below the root can publish whatever this process can read.
    pub fn follow_symlinks_outside(mut self, follow: bool) -> Self {
        self.root.outside = follow;
        // What a clone with another rule has opened is none of this one's.
        #[cfg(target_os = "linux")]
        {
            self.kept = Arc::default();
        }
        self
    }

    /// Whether `page.html.br`, `.zst` or `.gz` is sent for `page.html` to who prefers it (default). A neighbour that is
    /// older than the file itself is stale and stays unused.
    pub fn precompressed(mut self, precompressed: bool) -> Self {
        self.precompressed = precompressed;
        self
    }

    /// The file that answers for its directory. Default: `index.html`; an empty name: none.
    pub fn index(mut self, name: impl AsRef<str>) -> Self {
        self.index = name.as_ref().into();
        self
    }

    /// Whether names that begin with a dot are served and listed. Default: no, but for `.well-known` (RFC 8615).
    pub fn hidden(mut self, hidden: bool) -> Self {
        self.hidden = hidden;
        self
    }

    /// Whether text and the like is compressed on the fly (zstd, gzip), from 1 KiB on, if the client takes it and there is no
    /// compressed neighbour. Default: no. Each answer costs the time and 1 to 2 MB of memory; it has a weak entity tag,
    /// no length and no ranges. Requests with `Range` get a range of the file as it is, under its strong tag, so that
    /// downloads in pieces and ones that go on still work.
    pub fn compress(mut self, compress: bool) -> Self {
        self.compress = compress;
        self
    }

    /// How long caches may keep files without asking: `Cache-Control`, on 200, 206 and 304. The first pattern that fits
    /// decides, else the rule without a pattern. Default: no rule and no such field, so that caches guess by
    /// `Last-Modified` (RFC 9111 section 4.2.2). Listings are `no-cache` in any case.
    pub fn cache(mut self, rules: impl IntoIterator<Item = CacheRule>) -> Self {
        self.cache = cache::Rules::new(rules).map(Arc::new);
        self
    }

    /// A file, by its path below the root, that answers with 200 where there is nothing, for single-page applications
    /// that have routes of their own. Only for GET and HEAD requests whose `Accept` names HTML: a script that is missing
    /// is 404 as ever, and what may not be read is 403. It is `no-cache` unless a [rule](Files::cache) says otherwise.
    /// Default: none.
    pub fn fallback(mut self, page: impl AsRef<Path>) -> Self {
        self.fallback = Some(page.as_ref().into());
        self
    }

    /// Whether listings have a form by which files and folders are uploaded, for a server that hands its requests to
    /// [`Uploads`](crate::uploads::Uploads) as well. Default: no.
    pub fn upload_form(mut self, form: bool) -> Self {
        self.upload_form = form;
        self
    }

    /// The root, as a canonical path.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// Answers a request. Its body is not looked at.
    pub fn respond<B>(&self, request: &Request<B>) -> Responding {
        let head = *request.method() == Method::HEAD;
        if !head && *request.method() != Method::GET {
            return Responding(State::Ready(Some(answer::other_method(request.method()))));
        }
        #[cfg(target_os = "linux")]
        {
            let (uri, headers) = (request.uri(), request.headers());
            let ask = Ask { head, path: uri.path(), query: uri.query(), headers };
            if let Some(response) = answer::answer_at_once(self, &ask) {
                return Responding(State::Ready(Some(response)));
            }
        }
        let (uri, headers) = (request.uri().clone(), request.headers().clone());
        let files = self.clone();
        Responding(State::Working(spawn_blocking(move || {
            let ask = Ask { head, path: uri.path(), query: uri.query(), headers: &headers };
            answer::answer(&files, &ask)
        })))
    }
}

/// The response on its way: what [`Files::respond`] gives to await.
#[derive(Debug)]
#[must_use = "nothing is sent unless it is awaited"]
pub struct Responding(State);

#[derive(Debug)]
enum State {
    Ready(Option<Response<Body>>),
    Working(JoinHandle<Response<Body>>),
}

impl Future for Responding {
    type Output = Response<Body>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let response = match &mut self.0 {
            State::Ready(response) => response.take(),
            State::Working(task) => ready!(Pin::new(task).poll(cx)).ok(),
        };
        // None when the runtime is shutting down.
        Poll::Ready(response.unwrap_or_else(answer::failed))
    }
}

/// A [`Responding`] as [`tower::Service`] wants it.
#[derive(Debug)]
#[must_use = "nothing is sent unless it is awaited"]
pub struct Call(Responding);

impl Future for Call {
    type Output = Result<Response<Body>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(Ok)
    }
}

impl<B> tower::Service<Request<B>> for Files {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Call;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Call {
        Call(self.respond(&request))
    }
}

/// What [`Server::run`](crate::Server::run) takes.
impl<B> hyper::service::Service<Request<B>> for Files {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Call;

    fn call(&self, request: Request<B>) -> Call {
        Call(self.respond(&request))
    }
}
