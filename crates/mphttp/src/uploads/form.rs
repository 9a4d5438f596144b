//! Files from a browser, with or without script: `multipart/form-data` (RFC 7578), POSTed to the folder that they go to.
//!
//! It is read as it comes, one file after the other, each of which gets its name when it is whole. A form is the one kind
//! of upload that a page of another site could have a visitor's browser send without asking: where that comes from is
//! looked at first.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header, request::Parts};
use multer::{Field, Multipart};
use tokio::time::timeout;

use super::{
    Uploads, blocking,
    pour::{Cut, SILENCE, pour},
    put,
    refusal::Refusal,
    store::Found,
};
use crate::{
    Body, BoxError,
    files::{
        negotiate::wants_page,
        path::{Target, encode},
    },
};

/// Fields in one form, files included.
const MAX_FIELDS: usize = 10_000;
/// What a form may hold in memory, in bytes: fields' headers, and what has come but not been written yet.
const MAX_AHEAD: usize = 2 << 20;
/// Fields that are no files are of no use here; one that is longer than this, in bytes, is a mistake.
const MAX_TEXT: usize = 64 << 10;
/// What file systems take as one name, and as a path, in bytes.
const MAX_NAME: usize = 255;
const MAX_PATH: usize = 4000;

/// Whether this is a form.
pub(super) fn is(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("multipart/form-data"))
}

/// Takes the files of a form. The body is left in its place if nothing of it was read.
pub(super) async fn take(
    uploads: &Uploads,
    head: &Parts,
    body: &mut Option<Body>,
) -> Result<Response<Body>, Refusal> {
    if is_from_elsewhere(&head.headers, &head.uri) {
        return Err(Refusal::new(StatusCode::FORBIDDEN, "Pages of other sites can't upload here."));
    }
    let nothing_here = || Refusal::new(StatusCode::NOT_FOUND, "There can be no folder of that name.");
    let folder = Target::parse(head.uri.path(), false).ok_or_else(nothing_here)?;
    let (store, place) = (uploads.store.clone(), folder.path.clone());
    if blocking(move || Ok(store.look(&place)?)).await? != Found::Folder {
        return Err(Refusal::new(StatusCode::CONFLICT, "The folder that this is to go to does not exist."));
    }
    let kind = head.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let boundary = multer::parse_boundary(kind.unwrap_or_default())
        .map_err(|_| Refusal::bad("The form's Content-Type names no boundary."))?;
    let body = body.take().unwrap_or_default();
    let (uploads, path) = (uploads.clone(), folder.path.clone());
    // A task of its own goes on, and cleans up, when the connection is dropped.
    let task = tokio::spawn(async move {
        let mut taken = Vec::new();
        let end = read(&uploads, path, body, boundary, &mut taken).await;
        (taken, end)
    });
    let (taken, end) = task.await.map_err(io::Error::from)?;
    Ok(answer(&taken, end, head, &folder))
}

/// What became of one file, and what the client calls it.
type Taken = (String, Result<(), Refusal>);

async fn read(
    uploads: &Uploads,
    folder: PathBuf,
    body: Body,
    boundary: String,
    taken: &mut Vec<Taken>,
) -> Result<(), Refusal> {
    let broken = |error: multer::Error| {
        tracing::debug!(%error, "a form can't be read");
        Refusal::bad("The form was cut short, or is malformed.")
    };
    let ahead = Arc::new(AtomicUsize::new(0));
    let mut form = Multipart::new(Pieces { body, ahead: Arc::clone(&ahead), breath: false }, boundary);
    for _ in 0..MAX_FIELDS {
        let next = timeout(SILENCE, form.next_field()).await;
        let next =
            next.map_err(|_| Refusal::new(StatusCode::REQUEST_TIMEOUT, "Nothing came for too long."))?;
        let Some(field) = next.map_err(broken)? else { return Ok(()) };
        ahead.store(0, Ordering::Relaxed);
        // A file that was not chosen has an empty name.
        let name = field.file_name().unwrap_or_default().to_owned();
        if name.is_empty() {
            skip(field, &ahead, MAX_TEXT).await?;
            continue;
        }
        let place = match check(&name) {
            Err(refusal) => Err(refusal),
            Ok(target) => {
                let (store, place) = (uploads.store.clone(), folder.join(target));
                let overwrite = uploads.options.overwrite;
                blocking(move || store.check_new_place(&place, overwrite).map(|()| place)).await
            }
        };
        let place = match place {
            Ok(place) => place,
            Err(refusal) => {
                taken.push((name, Err(refusal)));
                // The others may be fine.
                skip(field, &ahead, usize::MAX).await?;
                continue;
            }
        };
        let stored = store(uploads, place, field, &ahead).await;
        let done = stored.is_ok();
        taken.push((name, stored));
        if !done {
            return Ok(());
        }
    }
    Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, format!("A form may have {MAX_FIELDS} fields, no more.")))
}

async fn store(
    uploads: &Uploads,
    place: PathBuf,
    field: Field<'static>,
    ahead: &Arc<AtomicUsize>,
) -> Result<(), Refusal> {
    let limit = uploads.options.max_size.unwrap_or(u64::MAX);
    let (store, overwrite) = (uploads.store.clone(), uploads.options.overwrite);
    let files = store.clone();
    let (temporary, file) = blocking(move || Ok(files.temporary()?)).await?;
    let ahead = Arc::clone(ahead);
    let content = Body::stream(field.inspect(move |_| ahead.store(0, Ordering::Relaxed)));
    let (_, outcome) = pour(content, file, limit, &mut None, || {}, std::future::pending()).await;
    blocking(move || match outcome {
        Ok(()) => {
            store.make_folder_of(&place)?;
            temporary.place(&place, overwrite)
        }
        // The request may have come whole: then it is the form that ends too early.
        Err(Cut::Body(_)) => Err(Refusal::bad("The form was cut short, or is malformed.")),
        Err(cut) => Err(put::refusal(cut, limit)),
    })
    .await
}

/// Reads a field that nobody wants.
async fn skip(mut field: Field<'static>, ahead: &AtomicUsize, most: usize) -> Result<(), Refusal> {
    let mut seen: usize = 0;
    loop {
        match timeout(SILENCE, field.chunk()).await {
            Ok(Ok(None)) => return Ok(()),
            Ok(Ok(Some(piece))) => {
                ahead.store(0, Ordering::Relaxed);
                seen = seen.saturating_add(piece.len());
                if seen > most {
                    let text = "A field that is no file is longer than makes sense.";
                    return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, text));
                }
            }
            Ok(Err(_)) | Err(_) => return Err(Refusal::bad("The form was cut short, or is malformed.")),
        }
    }
}

/// Where a file goes, below the form's folder. Browsers give a folder's files with their way into it, `folder/name`.
/// Nothing is bent into shape: what was sent under one name must not appear under another.
pub(super) fn check(name: &str) -> Result<PathBuf, Refusal> {
    let wrong = |text| Err(Refusal::bad(text));
    if name.contains(|c: char| c.is_control() || c == '\\') {
        return wrong("A name may hold no control characters and no backslashes.");
    }
    let names: Vec<&str> = name.split('/').collect();
    if names.iter().any(|name| name.is_empty() || *name == "." || *name == "..") {
        return wrong("A name may not lead elsewhere.");
    }
    if name.len() > MAX_PATH || names.iter().any(|name| name.len() > MAX_NAME) {
        return wrong("That name is too long.");
    }
    let url: String = names.iter().map(|name| format!("/{}", encode(name.as_bytes()))).collect();
    match Target::parse(&url, false) {
        Some(target) => Ok(target.path),
        None => wrong("There can be no file of that name: names that begin with a dot are hidden."),
    }
}

/// Whether another site's page had a browser send this: by `Sec-Fetch-Site`, which no page can forge, or, where browsers
/// leave that away (plain HTTP to other hosts than this one), by `Origin` (RFC 6454 section 7; the Fetch standard has it
/// with every POST). What has neither comes from no browser.
pub(super) fn is_from_elsewhere(headers: &HeaderMap, uri: &Uri) -> bool {
    if let Some(site) = headers.get("sec-fetch-site") {
        return site != "same-origin" && site != "none";
    }
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_ascii_lowercase();
    let origin = text(origin);
    // The port that a scheme has anyway is left away by some, and by others not.
    let (origin, port) = match origin.split_once("://") {
        Some(("http", rest)) => (rest, ":80"),
        Some(("https", rest)) => (rest, ":443"),
        _ => return true,
    };
    let here = match uri.authority() {
        Some(authority) => authority.as_str().to_ascii_lowercase(),
        None => headers.get(header::HOST).map(text).unwrap_or_default(),
    };
    let bare = |host: &str| host.strip_suffix(port).unwrap_or(host).to_owned();
    here.is_empty() || bare(origin) != bare(&here)
}

/// Back to the folder for a browser without script, if all went well; else a line for each file.
fn answer(taken: &[Taken], end: Result<(), Refusal>, head: &Parts, folder: &Target) -> Response<Body> {
    let mut status = StatusCode::CREATED;
    let mut text = String::new();
    for (name, stored) in taken {
        let name: String = name.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect();
        match stored {
            Ok(()) => text += &format!("Stored: {name}\n"),
            Err(refusal) => {
                text += &format!("Not stored: {name}: {}\n", refusal.text());
                status = if status.is_success() { refusal.status } else { status };
            }
        }
    }
    let end = end.err().or_else(|| taken.is_empty().then(|| Refusal::bad("There is no file in this form.")));
    if let Some(refusal) = end {
        text += &format!("{}\n", refusal.text());
        status = if status.is_success() { refusal.status } else { status };
    }
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if status.is_success() && wants_page(&head.headers) {
        let back = if folder.directory { "./".to_owned() } else { folder.with_slash(None) };
        if let Ok(back) = HeaderValue::from_str(&back) {
            headers.insert(header::LOCATION, back);
            // RFC 9110 section 15.4.4: what comes next is a GET, and loading it again uploads nothing.
            status = StatusCode::SEE_OTHER;
        }
    }
    *response.status_mut() = status;
    response
}

/// A body's frames, one at a time: the parser takes all that it can get, and keeps what it can't use yet.
struct Pieces {
    body: Body,
    /// Bytes given since something came out.
    ahead: Arc<AtomicUsize>,
    breath: bool,
}

impl Stream for Pieces {
    type Item = Result<Bytes, BoxError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if std::mem::take(&mut self.breath) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let frame = ready!(http_body::Body::poll_frame(Pin::new(&mut self.body), context));
        self.breath = true;
        Poll::Ready(frame.map(|frame| {
            let data = frame?.into_data().unwrap_or_default();
            let before = self.ahead.fetch_add(data.len(), Ordering::Relaxed);
            if before.saturating_add(data.len()) > MAX_AHEAD {
                return Err("a field's header does not end".into());
            }
            Ok(data)
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_into_the_folder_or_nowhere() {
        for (name, place) in [
            ("a b.txt", Some("a b.txt")),
            ("folder/sub/ü.txt", Some("folder/sub/ü.txt")),
            ("100%2f..", Some("100%2f..")),
            (".well-known/x", Some(".well-known/x")),
            ("../x", None),
            ("a/../x", None),
            ("a/./x", None),
            ("/etc/passwd", None),
            ("a//b", None),
            ("a/", None),
            ("..", None),
            ("C:\\x.txt", None),
            ("a\nb", None),
            ("a\0b", None),
            ("a\u{85}b", None),
            (".bashrc", None),
            ("a/.git/config", None),
            (".mphttp-uploads/x", None),
        ] {
            let found = check(name).ok();
            assert_eq!(found.as_deref(), place.map(std::path::Path::new), "{name:?}");
        }
        assert!(check(&"x".repeat(MAX_NAME)).is_ok());
        assert!(check(&"x".repeat(MAX_NAME + 1)).is_err());
        assert!(check(&"x/".repeat(MAX_PATH)).is_err());
    }

    #[test]
    fn other_sites_are_told_apart_from_this_one() {
        for (fields, elsewhere) in [
            (&[][..], false),
            (&[("sec-fetch-site", "same-origin"), ("origin", "http://a:8000")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "same-site")], true),
            (&[("sec-fetch-site", "cross-site"), ("origin", "http://here:8000")], true),
            (&[("origin", "http://here:8000")], false),
            (&[("origin", "HTTP://Here:8000")], false),
            (&[("origin", "https://here:8000")], false),
            (&[("origin", "http://here")], true),
            (&[("origin", "http://here:8001")], true),
            (&[("origin", "http://evil.example")], true),
            (&[("origin", "http://here:8000.evil.example")], true),
            (&[("origin", "null")], true),
            (&[("origin", "file://here:8000")], true),
            (&[("origin", "")], true),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, HeaderValue::from_static("here:8000"));
            for (name, value) in fields {
                headers.insert(*name, HeaderValue::from_static(value));
            }
            assert_eq!(is_from_elsewhere(&headers, &Uri::from_static("/")), elsewhere, "{fields:?}");
            headers.remove(header::HOST);
            let uri = Uri::from_static("http://here:8000/");
            assert_eq!(is_from_elsewhere(&headers, &uri), elsewhere, "HTTP/2: {fields:?}");
        }
        let headers: HeaderMap = [
            (header::HOST, HeaderValue::from_static("here")),
            (header::ORIGIN, HeaderValue::from_static("https://here:443")),
        ]
        .into_iter()
        .collect();
        assert!(!is_from_elsewhere(&headers, &Uri::from_static("/")));
    }
}
