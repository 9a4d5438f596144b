//! From a request to its response: which file, in which coding, in which state, which part of it. It blocks, but for
//! the way of a file that is open already.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use super::body::{Body, Part, length};
use super::conditional::{Validators, Verdict};
use super::encoding::{self, Coding};
use super::opened::Opened;
use super::path::Target;
use super::range::Wanted;
#[cfg(target_os = "linux")]
use super::root::State;
use super::root::{self, Kind, Stat};
use super::{Files, compress, listing, negotiate, upload_form};

const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// What a GET or HEAD request says.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    pub(super) head: bool,
    /// As in the URL.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    pub(super) headers: &'a HeaderMap,
}

/// Why a request gets no file.
enum Refusal {
    /// The status, and a sentence that names no path.
    Told(StatusCode, &'static str),
    /// It takes what may block.
    #[cfg(target_os = "linux")]
    Later,
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        let status = root::status(&error);
        if status.is_server_error() {
            tracing::warn!(%error, %status, "a file can't be served");
        }
        let text = match status {
            StatusCode::FORBIDDEN => "This may not be read.",
            StatusCode::NOT_FOUND => NOTHING_HERE,
            StatusCode::SERVICE_UNAVAILABLE => "The server has too many files open. Try again in a moment.",
            _ => "The server could not read this.",
        };
        Refusal::Told(status, text)
    }
}

const NOTHING_HERE: &str = "There is nothing here.";

impl Refusal {
    fn not_found() -> Self {
        Refusal::Told(StatusCode::NOT_FOUND, NOTHING_HERE)
    }
}

pub(super) fn answer(files: &Files, ask: &Ask<'_>) -> Response<Body> {
    attempt(&Disk(files), files, ask).unwrap_or_else(failed)
}

/// The answer, if the file is open already: never blocks.
#[cfg(target_os = "linux")]
pub(super) fn answer_at_once(files: &Files, ask: &Ask<'_>) -> Option<Response<Body>> {
    attempt(&Kept(files), files, ask)
}

fn attempt(store: &impl Store, files: &Files, ask: &Ask<'_>) -> Option<Response<Body>> {
    let mut response = match locate(store, files, ask) {
        Ok(response) => response,
        Err(Refusal::Told(status, text)) => plain(status, text),
        #[cfg(target_os = "linux")]
        Err(Refusal::Later) => return None,
    };
    if let Some(page) = files.fallback.as_deref()
        && response.status() == StatusCode::NOT_FOUND
    {
        match fallback(store, files, ask, page) {
            Ok(page) => response = page,
            Err(Refusal::Told(..)) => {}
            #[cfg(target_os = "linux")]
            Err(Refusal::Later) => return None,
        }
        response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept"));
    }
    if ask.head {
        // RFC 9110 section 9.3.2: the same header fields, without the content.
        *response.body_mut() = Body::empty();
    }
    if files.compress {
        response = compress::apply(ask, response);
    }
    Some(response)
}

/// The page that stands for whatever is not there, for people. Names that nothing can have stay without.
fn fallback(
    store: &impl Store,
    files: &Files,
    ask: &Ask<'_>,
    page: &Path,
) -> Result<Response<Body>, Refusal> {
    if !negotiate::wants_page(ask.headers) || Target::parse(ask.path, files.hidden).is_none() {
        return Err(Refusal::not_found());
    }
    let found = store.stat(page)?;
    if found.0.kind != Kind::File {
        return Err(Refusal::not_found());
    }
    let mut response = file(store, files, ask, page, found)?;
    // There may be something of that name tomorrow.
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// Where files come from.
trait Store {
    /// What a look at a name tells of its file's state.
    type State: Copy;

    fn stat(&self, path: &Path) -> Result<(Stat, Self::State), Refusal>;
    /// Whether there is such a file, which need not be so.
    fn neighbour(&self, path: &Path) -> Result<Option<(Stat, Self::State)>, Refusal>;
    fn open(&self, place: &Place<'_, Self::State>) -> Result<Arc<Opened>, Refusal>;
    /// Sends the client to another name.
    fn redirect(&self, to: &str) -> Result<Response<Body>, Refusal>;
    fn list(&self, files: &Files, ask: &Ask<'_>, target: &Target) -> Result<Response<Body>, Refusal>;
    fn body(&self, opened: &Opened, parts: Vec<Part>) -> io::Result<Body>;
}

/// A file that was looked at, and is to be opened.
struct Place<'a, S> {
    path: &'a Path,
    /// The file that was asked for: what the content is, whatever its coding.
    original: &'a Path,
    coding: Option<Coding>,
    state: S,
}

/// The disk: blocks.
struct Disk<'a>(&'a Files);

impl Store for Disk<'_> {
    type State = ();

    fn stat(&self, path: &Path) -> Result<(Stat, ()), Refusal> {
        Ok((self.0.root.stat(path)?, ()))
    }

    fn neighbour(&self, path: &Path) -> Result<Option<(Stat, ())>, Refusal> {
        Ok(self.0.root.stat(path).ok().map(|stat| (stat, ())))
    }

    fn open(&self, place: &Place<'_, ()>) -> Result<Arc<Opened>, Refusal> {
        let file = self.0.root.file(place.path)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(Refusal::not_found());
        }
        let now = SystemTime::now();
        let opened = Arc::new(Opened::new(file, &meta, place.original, place.coding, now)?);
        #[cfg(target_os = "linux")]
        self.0.kept.keep(place.path.to_owned(), &opened, &meta, now);
        Ok(opened)
    }

    fn redirect(&self, to: &str) -> Result<Response<Body>, Refusal> {
        redirect(to)
    }

    fn list(&self, files: &Files, ask: &Ask<'_>, target: &Target) -> Result<Response<Body>, Refusal> {
        list(files, ask, target)
    }

    fn body(&self, opened: &Opened, parts: Vec<Part>) -> io::Result<Body> {
        Body::from_file(Arc::clone(&opened.file), parts)
    }
}

/// The files that are open already: whatever else is needed is for [`Disk`].
#[cfg(target_os = "linux")]
struct Kept<'a>(&'a Files);

#[cfg(target_os = "linux")]
impl Store for Kept<'_> {
    type State = State;

    fn stat(&self, path: &Path) -> Result<(Stat, State), Refusal> {
        if self.0.kept.is_empty() {
            return Err(Refusal::Later);
        }
        let state =
            if self.0.kept.has(path) { self.0.root.state_of_kept(path) } else { self.0.root.state(path) };
        // What isn't there is for the disk to say as well.
        state.map_err(|_| {
            self.0.kept.forget(path);
            Refusal::Later
        })
    }

    fn neighbour(&self, path: &Path) -> Result<Option<(Stat, State)>, Refusal> {
        match self.0.root.state(path) {
            Ok(found) => Ok(Some(found)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(_) => Err(Refusal::Later),
        }
    }

    fn open(&self, place: &Place<'_, State>) -> Result<Arc<Opened>, Refusal> {
        self.0.kept.get(place.path, place.coding, &place.state).ok_or(Refusal::Later)
    }

    fn redirect(&self, _: &str) -> Result<Response<Body>, Refusal> {
        Err(Refusal::Later)
    }

    fn list(&self, _: &Files, _: &Ask<'_>, _: &Target) -> Result<Response<Body>, Refusal> {
        Err(Refusal::Later)
    }

    fn body(&self, opened: &Opened, parts: Vec<Part>) -> io::Result<Body> {
        Ok(Body::from_open(opened, parts))
    }
}

/// The answer to OPTIONS, and to methods that files know nothing of (RFC 9110 sections 9.3.7 and 15.5.6).
pub(super) fn other_method(method: &Method) -> Response<Body> {
    let mut response = if *method == Method::OPTIONS {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    } else {
        plain(StatusCode::METHOD_NOT_ALLOWED, "Files can only be read: use GET or HEAD.")
    };
    response.headers_mut().insert(header::ALLOW, ALLOW);
    response
}

/// The answer when there is none.
pub(super) fn failed() -> Response<Body> {
    plain(StatusCode::INTERNAL_SERVER_ERROR, "The server could not answer this.")
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    let mut response = whole(format!("{} {text}\n", status.as_u16()), "text/plain; charset=utf-8");
    *response.status_mut() = status;
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn whole(text: String, content_type: &'static str) -> Response<Body> {
    let length = text.len();
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn locate(store: &impl Store, files: &Files, ask: &Ask<'_>) -> Result<Response<Body>, Refusal> {
    let target = Target::parse(ask.path, files.hidden).ok_or_else(Refusal::not_found)?;
    let found = store.stat(&target.path)?;
    match found.0.kind {
        Kind::File if !target.directory => file(store, files, ask, &target.path, found),
        Kind::Directory if !target.directory => store.redirect(&target.with_slash(ask.query)),
        Kind::Directory => directory(store, files, ask, &target),
        Kind::File | Kind::Other => Err(Refusal::not_found()),
    }
}

fn redirect(to: &str) -> Result<Response<Body>, Refusal> {
    let mut response = plain(StatusCode::MOVED_PERMANENTLY, "This directory's address ends with a slash.");
    let location = HeaderValue::from_str(to).map_err(|_| Refusal::not_found())?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

fn directory(
    store: &impl Store,
    files: &Files,
    ask: &Ask<'_>,
    target: &Target,
) -> Result<Response<Body>, Refusal> {
    if !files.index.is_empty() {
        let index = target.path.join(&*files.index);
        match store.stat(&index) {
            Ok(found) if found.0.kind == Kind::File => return file(store, files, ask, &index, found),
            Err(Refusal::Told(StatusCode::NOT_FOUND, _)) | Ok(_) => {}
            Err(refusal) => return Err(refusal),
        }
    }
    store.list(files, ask, target)
}

fn list(files: &Files, ask: &Ask<'_>, target: &Target) -> Result<Response<Body>, Refusal> {
    if !files.listing {
        return Err(Refusal::Told(StatusCode::FORBIDDEN, "This directory is not listed."));
    }
    let order = listing::Order::parse(ask.query);
    let entries = listing::entries(files.root.list(&target.path)?, files.hidden, order);
    let json = negotiate::wants_json(ask.headers);
    let mut response = if json {
        let text = serde_json::to_string(&entries).map_err(io::Error::other)?;
        whole(text, "application/json")
    } else {
        whole(listing::html(&target.names, &entries, order, files.upload_form), "text/html; charset=utf-8")
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if !json {
        let policy = match files.upload_form {
            true => upload_form::POLICY.clone(),
            false => HeaderValue::from_static(listing::POLICY),
        };
        headers.insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    Ok(response)
}

fn file<S: Store>(
    store: &S,
    files: &Files,
    ask: &Ask<'_>,
    path: &Path,
    (stat, state): (Stat, S::State),
) -> Result<Response<Body>, Refusal> {
    let variant = if files.precompressed { neighbour(store, ask, path, stat)? } else { None };
    let opened = match variant {
        Some(opened) => opened,
        None => store.open(&Place { path, original: path, coding: None, state })?,
    };
    let validators = opened.validators.at(SystemTime::now());
    let mut response = match validators.judge(ask.headers) {
        Verdict::Proceed => content(store, ask, &opened, &validators)?,
        Verdict::NotModified => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        Verdict::Failed => {
            plain(StatusCode::PRECONDITION_FAILED, "This file is in another state than was asked for.")
        }
    };
    let status = response.status();
    let headers = response.headers_mut();
    if status.is_success() || status == StatusCode::NOT_MODIFIED {
        validators.write(headers);
        if let Some(value) = files.cache.as_ref().and_then(|rules| rules.of(path)) {
            headers.insert(header::CACHE_CONTROL, value.clone());
        }
    }
    if let Some(coding) = opened.coding.filter(|_| status.is_success()) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
    }
    if files.precompressed {
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    Ok(response)
}

/// The compressed neighbour that the client prefers, if there is one that is no older than the file. Compressors set its
/// time to the file's, some of them in whole seconds.
fn neighbour(
    store: &impl Store,
    ask: &Ask<'_>,
    original: &Path,
    stat: Stat,
) -> Result<Option<Arc<Opened>>, Refusal> {
    let seconds = |stat: Stat| Some(stat.modified?.duration_since(UNIX_EPOCH).ok()?.as_secs());
    for coding in encoding::preferred(ask.headers) {
        let path = coding.beside(original);
        let Some((found, state)) = store.neighbour(&path)? else { continue };
        if found.kind != Kind::File || seconds(found) < seconds(stat) {
            continue;
        }
        match store.open(&Place { path: &path, original, coding: Some(coding), state }) {
            Ok(opened) => return Ok(Some(opened)),
            // It has gone in the meantime, or may not be read: the file itself will do.
            Err(Refusal::Told(..)) => {}
            #[cfg(target_os = "linux")]
            Err(later @ Refusal::Later) => return Err(later),
        }
    }
    Ok(None)
}

/// 200, 206 or 416.
fn content(
    store: &impl Store,
    ask: &Ask<'_>,
    opened: &Opened,
    validators: &Validators,
) -> io::Result<Response<Body>> {
    let size = opened.size;
    // Range is defined for GET alone (RFC 9110 section 14.2).
    let wanted = if !ask.head && validators.range_applies(ask.headers) {
        Wanted::of(ask.headers, size)
    } else {
        Wanted::Whole
    };
    let mut headers = HeaderMap::with_capacity(8);
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let mut status = StatusCode::PARTIAL_CONTENT;
    let mut kind = opened.content_type.clone();
    let parts = match wanted {
        Wanted::Whole => {
            status = StatusCode::OK;
            vec![Part::File(0..size)]
        }
        Wanted::Parts(mut ranges) if ranges.len() == 1 => {
            let range = ranges.pop().unwrap_or_default();
            headers.insert(header::CONTENT_RANGE, value(&content_range(&range, size))?);
            vec![Part::File(range)]
        }
        Wanted::Parts(ranges) => {
            let boundary = boundary();
            let parts = multipart(ranges, size, kind.to_str().unwrap_or_default(), &boundary);
            kind = value(&format!("multipart/byteranges; boundary={boundary}"))?;
            parts
        }
        Wanted::Unsatisfiable => {
            let mut response = plain(StatusCode::RANGE_NOT_SATISFIABLE, "The file is shorter than that.");
            response.headers_mut().insert(header::CONTENT_RANGE, value(&format!("bytes */{size}"))?);
            return Ok(response);
        }
    };
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CONTENT_LENGTH, length(&parts).into());
    let body = if ask.head { Body::empty() } else { store.body(opened, parts)? };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

fn value(text: &str) -> io::Result<HeaderValue> {
    HeaderValue::from_str(text).map_err(io::Error::other)
}

fn content_range(range: &Range<u64>, size: u64) -> String {
    format!("bytes {}-{}/{size}", range.start, range.end.saturating_sub(1))
}

/// RFC 9110 section 14.6.
fn multipart(ranges: Vec<Range<u64>>, size: u64, kind: &str, boundary: &str) -> Vec<Part> {
    let mut parts = Vec::with_capacity(ranges.len() * 2 + 1);
    for range in ranges {
        let line_end = if parts.is_empty() { "" } else { "\r\n" };
        let place = content_range(&range, size);
        let head =
            format!("{line_end}--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {place}\r\n\r\n");
        parts.push(Part::Bytes(head.into()));
        parts.push(Part::File(range));
    }
    parts.push(Part::Bytes(format!("\r\n--{boundary}--\r\n").into()));
    parts
}

/// New each time, so that no file can contain it but by chance.
fn boundary() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
