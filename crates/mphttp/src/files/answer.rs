//! From a request to its response: which file, in which coding, in which state, which part of it. All of it blocks.

use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::ops::Range;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, Response, StatusCode};

use super::body::{Body, Part, length};
use super::conditional::{Validators, Verdict};
use super::encoding::{self, Coding};
use super::path::Target;
use super::range::Wanted;
use super::root::{self, Kind, Stat};
use super::{Files, listing, negotiate};

const ALLOW: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");

/// What a GET or HEAD request says.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) head: bool,
    /// As in the URL.
    pub(super) path: String,
    pub(super) query: Option<String>,
    pub(super) headers: HeaderMap,
}

/// A request that gets no file: the status, and a sentence that names no path.
struct Refusal(StatusCode, &'static str);

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
        Refusal(status, text)
    }
}

const NOTHING_HERE: &str = "There is nothing here.";

impl Refusal {
    fn not_found() -> Self {
        Refusal(StatusCode::NOT_FOUND, NOTHING_HERE)
    }
}

pub(super) fn answer(files: &Files, ask: &Ask) -> Response<Body> {
    let mut response = locate(files, ask).unwrap_or_else(|Refusal(status, text)| plain(status, text));
    if ask.head {
        // RFC 9110 section 9.3.2: the same header fields, without the content.
        *response.body_mut() = Body::empty();
    }
    response
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
    let mut response = Response::new(Body::from(text));
    let length = response.body().remaining();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_LENGTH, length.into());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn locate(files: &Files, ask: &Ask) -> Result<Response<Body>, Refusal> {
    let target = Target::parse(&ask.path, files.hidden).ok_or_else(Refusal::not_found)?;
    let stat = files.root.stat(&target.path)?;
    match stat.kind {
        Kind::File if !target.directory => file(files, ask, &target.path, stat),
        Kind::Directory if !target.directory => redirect(&target.with_slash(ask.query.as_deref())),
        Kind::Directory => directory(files, ask, &target),
        Kind::File | Kind::Other => Err(Refusal::not_found()),
    }
}

fn redirect(to: &str) -> Result<Response<Body>, Refusal> {
    let mut response = plain(StatusCode::MOVED_PERMANENTLY, "This directory's address ends with a slash.");
    let location = HeaderValue::from_str(to).map_err(|_| Refusal::not_found())?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

fn directory(files: &Files, ask: &Ask, target: &Target) -> Result<Response<Body>, Refusal> {
    if !files.index.is_empty() {
        let index = target.path.join(&*files.index);
        match files.root.stat(&index) {
            Ok(stat) if stat.kind == Kind::File => return file(files, ask, &index, stat),
            Err(error) if root::status(&error) != StatusCode::NOT_FOUND => return Err(error.into()),
            _ => {}
        }
    }
    if !files.listing {
        return Err(Refusal(StatusCode::FORBIDDEN, "This directory is not listed."));
    }
    let order = listing::Order::parse(ask.query.as_deref());
    let entries = listing::entries(files.root.list(&target.path)?, files.hidden, order);
    let json = negotiate::wants_json(&ask.headers);
    let mut response = if json {
        let text = serde_json::to_string(&entries).map_err(io::Error::other)?;
        whole(text, "application/json")
    } else {
        whole(listing::html(&target.names, &entries, order), "text/html; charset=utf-8")
    };
    let headers = response.headers_mut();
    headers.insert(header::VARY, HeaderValue::from_static("Accept"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if !json {
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(listing::POLICY));
    }
    Ok(response)
}

fn file(files: &Files, ask: &Ask, path: &Path, stat: Stat) -> Result<Response<Body>, Refusal> {
    let variant = if files.precompressed { neighbour(files, ask, path, stat) } else { None };
    let (file, coding) = match variant {
        Some((file, coding)) => (file, Some(coding)),
        None => (files.root.file(path)?, None),
    };
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(Refusal::not_found());
    }
    let validators = Validators::of(&meta, coding, SystemTime::now());
    let mut response = match validators.judge(&ask.headers) {
        Verdict::Proceed => content(ask, file, meta.len(), &content_type(path), &validators)?,
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
    }
    if let Some(coding) = coding.filter(|_| status.is_success()) {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.token()));
    }
    if files.precompressed {
        headers.insert(header::VARY, HeaderValue::from_static("Accept-Encoding"));
    }
    Ok(response)
}

/// The compressed neighbour that the client prefers, if there is one that is no older than the file. Compressors set its
/// time to the file's, some of them in whole seconds.
fn neighbour(files: &Files, ask: &Ask, path: &Path, original: Stat) -> Option<(File, Coding)> {
    let seconds = |stat: Stat| Some(stat.modified?.duration_since(UNIX_EPOCH).ok()?.as_secs());
    encoding::preferred(&ask.headers).into_iter().find_map(|coding| {
        let path = coding.beside(path);
        let stat = files.root.stat(&path).ok()?;
        let usable = stat.kind == Kind::File && seconds(stat) >= seconds(original);
        let file = usable.then(|| files.root.file(&path))?.ok()?;
        file.metadata().is_ok_and(|meta| meta.is_file()).then_some((file, coding))
    })
}

/// 200, 206 or 416.
fn content(
    ask: &Ask,
    file: File,
    size: u64,
    kind: &str,
    validators: &Validators,
) -> io::Result<Response<Body>> {
    // Range is defined for GET alone (RFC 9110 section 14.2).
    let wanted = if !ask.head && validators.range_applies(&ask.headers) {
        Wanted::of(&ask.headers, size)
    } else {
        Wanted::Whole
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let mut status = StatusCode::PARTIAL_CONTENT;
    let mut kind = value(kind)?;
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
    let body = if ask.head { Body::empty() } else { Body::from_file(file, parts)? };
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

fn content_type(path: &Path) -> String {
    let guess = mime_guess::from_path(path).first_raw().unwrap_or("application/octet-stream");
    if guess.starts_with("text/") { format!("{guess}; charset=utf-8") } else { guess.to_owned() }
}
