//! The tus protocol 1.0.0 (<https://tus.io/protocols/resumable-upload>): core, creation, creation-with-upload,
//! termination and checksum.

use std::io;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;

use super::{
    PREFIX, Uploads, blocking,
    id::Id,
    locks::Held,
    metadata,
    pour::{Checksum, Cut, discard, pour},
    put,
    refusal::Refusal,
    store::Info,
};
use crate::Body;

/// The version of the protocol.
pub(crate) const VERSION: &str = "1.0.0";
pub(crate) const RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(crate) const VERSIONS: HeaderName = HeaderName::from_static("tus-version");
pub(crate) const EXTENSION: HeaderName = HeaderName::from_static("tus-extension");
pub(crate) const MAX_SIZE: HeaderName = HeaderName::from_static("tus-max-size");
pub(crate) const ALGORITHMS: HeaderName = HeaderName::from_static("tus-checksum-algorithm");
pub(crate) const OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(crate) const LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(crate) const METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub(crate) const CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");
/// The type of a chunk.
pub(crate) const CHUNK_TYPE: HeaderValue = HeaderValue::from_static("application/offset+octet-stream");

const EXTENSIONS: HeaderValue =
    HeaderValue::from_static("creation,creation-with-upload,termination,checksum");

/// What the server can do: the answer to OPTIONS, in which `allow` is what this URL takes.
pub(super) fn abilities(uploads: &Uploads, allow: &'static str) -> Response<Body> {
    let mut response = empty(StatusCode::NO_CONTENT);
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, HeaderValue::from_static(allow));
    headers.insert(VERSIONS, HeaderValue::from_static(VERSION));
    headers.insert(EXTENSION, EXTENSIONS);
    headers.insert(ALGORITHMS, HeaderValue::from_static(Checksum::NAMES));
    if let Some(limit) = uploads.options.max_size {
        headers.insert(MAX_SIZE, limit.into());
    }
    response
}

/// Whether the request speaks this version. All but OPTIONS must say so.
pub(super) fn check_version(headers: &HeaderMap) -> Result<(), Refusal> {
    if headers.get(RESUMABLE).is_some_and(|value| value == VERSION) {
        return Ok(());
    }
    Err(Refusal::new(
        StatusCode::PRECONDITION_FAILED,
        "This server speaks tus 1.0.0: say \"Tus-Resumable: 1.0.0\".",
    ))
}

/// POST: begins an upload, and takes its first bytes if they come along.
pub(super) async fn create(
    uploads: &Uploads,
    path: &str,
    headers: &HeaderMap,
    body: &mut Option<Body>,
) -> Result<Response<Body>, Refusal> {
    let length = number(headers, &LENGTH)?.ok_or_else(|| {
        Refusal::bad("Upload-Length is missing: uploads whose length is not known yet are not taken.")
    })?;
    if let Some(limit) = uploads.options.max_size.filter(|&limit| length > limit) {
        return Err(Refusal::too_large(limit));
    }
    let along = body.as_ref().is_some_and(|body| !body.is_end_stream());
    let checksum = if along { check_chunk(headers)? } else { None };
    let raw = headers.get(METADATA).map(|value| value.to_str().map(str::to_owned)).transpose();
    let raw = raw.map_err(|_| Refusal::bad("Upload-Metadata is not in ASCII."))?.unwrap_or_default();
    let name = ["filename", "name"].iter().find_map(|key| metadata::value(&raw, key));
    let (of, path) = (uploads.clone(), path.to_owned());
    let (id, info) = blocking(move || {
        let name = match name.and_then(|name| metadata::plain_name(&name)) {
            Some(name) => name,
            None => format!("upload-{}", Id::random()?),
        };
        let (target, place) = put::place(&of, &path, &name)?;
        if of.store.check_place(&place)? && !of.options.overwrite {
            return Err(Refusal::exists());
        }
        let info = Info { length, target, metadata: raw, finished: false };
        let id = of.store.create(&info, of.options.max_incomplete, of.options.keep)?;
        if length == 0 {
            of.store.finish(id, info.clone(), of.options.overwrite)?;
        }
        Ok((id, info))
    })
    .await?;
    // Its name is not told: who knows that may write to it.
    tracing::debug!(length, "an upload has begun");
    let mut response = empty(StatusCode::CREATED);
    if along && length > 0 {
        let held = uploads.locks.take(id).await.ok_or_else(locked)?;
        let chunk = Chunk { id, info, offset: 0, checksum, anew: true };
        let offset = chunk.take(uploads, held, body.take().unwrap_or_default()).await?;
        response.headers_mut().insert(OFFSET, offset.into());
    }
    let location = HeaderValue::from_str(&format!("{PREFIX}{id}")).map_err(io::Error::other)?;
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// HEAD: how far it is.
pub(super) async fn offset(uploads: &Uploads, id: Id) -> Result<Response<Body>, Refusal> {
    let (mut info, mut offset) = find(uploads, id).await?;
    if offset == info.length && !info.finished {
        // The server died, or the disk was full, when all was there but the name. Or that is being done right now.
        if let Some(held) = uploads.locks.take(id).await {
            (info, offset) = find(uploads, id).await?;
            if offset == info.length && !info.finished {
                finish(uploads, held, id, info.clone()).await?;
            }
        }
    }
    let mut response = empty(StatusCode::OK);
    let headers = response.headers_mut();
    headers.insert(OFFSET, offset.into());
    headers.insert(LENGTH, info.length.into());
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::from_str(&info.metadata)
        && !info.metadata.is_empty()
    {
        headers.insert(METADATA, value);
    }
    Ok(response)
}

/// PATCH: takes what comes next.
pub(super) async fn append(
    uploads: &Uploads,
    id: Id,
    headers: &HeaderMap,
    body: &mut Option<Body>,
) -> Result<Response<Body>, Refusal> {
    let checksum = check_chunk(headers)?;
    let at = number(headers, &OFFSET)?.ok_or_else(|| Refusal::bad("Upload-Offset is missing."))?;
    find(uploads, id).await?;
    let held = uploads.locks.take(id).await.ok_or_else(locked)?;
    // Only now does nobody else move it.
    let (info, offset) = find(uploads, id).await?;
    if at != offset {
        return Err(Refusal::new(StatusCode::CONFLICT, format!("The upload is at {offset}, not at {at}.")));
    }
    tracing::debug!(offset, length = info.length, "an upload goes on");
    let chunk = Chunk { id, info, offset, checksum, anew: false };
    let offset = chunk.take(uploads, held, body.take().unwrap_or_default()).await?;
    let mut response = empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(OFFSET, offset.into());
    Ok(response)
}

/// DELETE: gives an upload up.
pub(super) async fn terminate(uploads: &Uploads, id: Id) -> Result<Response<Body>, Refusal> {
    find(uploads, id).await?;
    let held = uploads.locks.take(id).await.ok_or_else(locked)?;
    let store = uploads.store.clone();
    blocking(move || {
        let _held = held;
        Ok(store.remove(id)?)
    })
    .await?;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// A chunk that may be taken.
struct Chunk {
    id: Id,
    info: Info,
    /// Where it begins.
    offset: u64,
    /// What it has to come to, and the algorithm for it.
    checksum: Option<(Checksum, Vec<u8>)>,
    /// The upload has just been created: if this fails, nobody learns of it.
    anew: bool,
}

impl Chunk {
    /// Takes it; gives the offset after it. If that completes the upload, it gets its name.
    async fn take(self, uploads: &Uploads, held: Held, body: Body) -> Result<u64, Refusal> {
        let uploads = uploads.clone();
        // A task of its own: when the connection is dropped, it still writes what has come, and only then lets go of
        // the upload.
        let task = tokio::spawn(async move {
            let (id, anew) = (self.id, self.anew);
            let taken = self.store(&uploads, held, body).await;
            if anew && taken.is_err() {
                let store = uploads.store.clone();
                // Else it would only wait to be swept out.
                let _ = blocking(move || Ok(store.remove(id)?)).await;
            }
            taken
        });
        task.await.map_err(io::Error::from)?
    }

    async fn store(self, uploads: &Uploads, held: Held, mut body: Body) -> Result<u64, Refusal> {
        let Self { id, info, offset, checksum, .. } = self;
        let room = info.length - offset;
        if body.size_hint().lower() > room || (info.finished && !body.is_end_stream()) {
            discard(&mut body).await;
            return Err(beyond(info.length));
        }
        if info.finished {
            return Ok(offset);
        }
        let verify = checksum.is_some();
        let store = uploads.store.clone();
        let file = blocking(move || Ok(store.append(id, offset, verify)?)).await?;
        let (mut checksum, wanted) = checksum.unzip();
        let (written, outcome) =
            pour(body, file, room, &mut checksum, || held.beat(), held.asked_to_leave()).await;
        let wrong = outcome.is_ok() && checksum.map(Checksum::finish) != wanted;
        let store = uploads.store.clone();
        // Part of a chunk can't be verified, and where there is too much all of it is in doubt.
        if wrong || (verify && outcome.is_err()) || matches!(outcome, Err(Cut::TooLong)) {
            blocking(move || Ok(store.cut(id, offset)?)).await?;
        } else if verify {
            blocking(move || Ok(store.vouch(id)?)).await?;
        }
        match outcome {
            Ok(()) if wrong => return Err(Refusal::mismatch()),
            Ok(()) => {}
            Err(Cut::TooLong) => return Err(beyond(info.length)),
            Err(cut) => return Err(put::refusal(cut, info.length)),
        }
        let offset = offset + written;
        if offset == info.length {
            finish(uploads, held, id, info).await?;
        }
        Ok(offset)
    }
}

async fn finish(uploads: &Uploads, held: Held, id: Id, info: Info) -> Result<(), Refusal> {
    let (store, overwrite) = (uploads.store.clone(), uploads.options.overwrite);
    let length = info.length;
    blocking(move || {
        let _held = held;
        store.finish(id, info, overwrite)
    })
    .await?;
    tracing::info!(length, "an upload is whole");
    Ok(())
}

async fn find(uploads: &Uploads, id: Id) -> Result<(Info, u64), Refusal> {
    let store = uploads.store.clone();
    let found = blocking(move || store.find(id)).await?;
    found.ok_or_else(|| Refusal::new(StatusCode::NOT_FOUND, "There is no such upload, or no more."))
}

/// The checks of a chunk's head.
pub(super) fn check_chunk(headers: &HeaderMap) -> Result<Option<(Checksum, Vec<u8>)>, Refusal> {
    if headers.get(header::CONTENT_TYPE).is_none_or(|value| value != CHUNK_TYPE) {
        let text = "The content type of a chunk is application/offset+octet-stream.";
        return Err(Refusal::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let Some(value) = headers.get(CHECKSUM) else { return Ok(None) };
    let (name, digest) = value.to_str().ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    match (Checksum::of(name), STANDARD.decode(digest.trim())) {
        (Some(checksum), Ok(digest)) => Ok(Some((checksum, digest))),
        (None, _) => Err(Refusal::bad("Checksums are sha1 or sha256.")),
        (_, Err(_)) => Err(Refusal::bad("Upload-Checksum is an algorithm, a space, and Base64.")),
    }
}

/// A header of decimal digits.
pub(super) fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<u64>, Refusal> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value.to_str().ok().filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match text.and_then(|text| text.parse().ok()) {
        Some(number) => Ok(Some(number)),
        None => Err(Refusal::bad(format!("{name} is no number of bytes."))),
    }
}

fn locked() -> Refusal {
    Refusal::new(StatusCode::LOCKED, "Another request is busy with this upload.")
}

fn beyond(length: u64) -> Refusal {
    Refusal::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("The upload was announced with {length} bytes; that is more."),
    )
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
