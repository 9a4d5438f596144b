//! Plain `PUT` (RFC 9110 section 9.3.4): a file as a whole, or nothing of it.

use std::{io, path::PathBuf, time::SystemTime};

use http::{HeaderMap, Response, StatusCode, header};
use http_body::Body as _;

use super::{
    Uploads, blocking,
    pour::{Cut, pour},
    refusal::Refusal,
};
use crate::{
    Body,
    files::{
        conditional::{Validators, Verdict},
        path::Target,
    },
};

/// Takes a file. The body is left in its place if nothing of it was read.
pub(super) async fn put(
    uploads: &Uploads,
    path: &str,
    headers: &HeaderMap,
    body: &mut Option<Body>,
) -> Result<Response<Body>, Refusal> {
    if headers.contains_key(header::CONTENT_RANGE) {
        // RFC 9110 section 14.5: a part must not be taken for the whole.
        return Err(Refusal::bad("A part of a file can't be PUT. For uploads that can be resumed, use tus."));
    }
    let target = Target::parse(path, false).ok_or_else(no_such_place)?;
    if target.directory {
        return Err(Refusal::new(
            StatusCode::CONFLICT,
            "That names a folder: add the file's name to the URL.",
        ));
    }
    let limit = uploads.options.max_size.unwrap_or(u64::MAX);
    if body.as_ref().is_some_and(|body| body.size_hint().lower() > limit) {
        return Err(Refusal::too_large(limit));
    }
    let (store, target, conditions) = (uploads.store.clone(), target.path, headers.clone());
    let may_replace = uploads.options.overwrite;
    let place = target.clone();
    let (replaces, temporary, file) = blocking(move || {
        let exists = store.check_place(&place)?;
        let failed = || {
            Refusal::new(StatusCode::PRECONDITION_FAILED, "The file is in another state than was asked for.")
        };
        if exists {
            let judged = Validators::of(&store.existing(&place)?, None, SystemTime::now()).judge(&conditions);
            if judged != Verdict::Proceed {
                return Err(failed());
            }
            if !may_replace {
                return Err(Refusal::exists());
            }
        } else if conditions.contains_key(header::IF_MATCH) {
            return Err(failed());
        }
        let (temporary, file) = store.temporary()?;
        Ok((exists, temporary, file))
    })
    .await?;
    // RFC 9110 section 13.1.2: only if there is none, also if there is one only by the time that this is whole.
    let overwrite = may_replace && headers.get(header::IF_NONE_MATCH).is_none_or(|value| value != "*");
    let body = body.take().unwrap_or_default();
    // A task of its own goes on, and cleans up, when the connection is dropped.
    let task = tokio::spawn(async move {
        let (_, outcome) = pour(body, file, limit, &mut None, || {}, std::future::pending()).await;
        match outcome {
            Ok(()) => blocking(move || temporary.place(&target, overwrite)).await,
            Err(cut) => {
                let _ = blocking(move || {
                    drop(temporary);
                    Ok(())
                })
                .await;
                Err(refusal(cut, limit))
            }
        }
    });
    task.await.map_err(io::Error::from)??;
    let mut response = Response::new(Body::empty());
    *response.status_mut() = if replaces { StatusCode::NO_CONTENT } else { StatusCode::CREATED };
    Ok(response)
}

fn no_such_place() -> Refusal {
    Refusal::new(StatusCode::NOT_FOUND, "There can be no file of that name.")
}

/// What a cut-short body is answered with, where anybody is left to see it.
pub(super) fn refusal(cut: Cut, limit: u64) -> Refusal {
    match cut {
        Cut::Body(error) => {
            tracing::debug!(error, "an upload was cut short");
            // Who still sees this has done nothing wrong: their connection fell back from MPTCP, or stood still. 408 is the status
            // of a request that did not come whole, and says that it may be sent again (RFC 9110 section 15.5.9).
            Refusal::new(StatusCode::REQUEST_TIMEOUT, "The body was cut short. Send it again.")
        }
        Cut::TooLong => Refusal::too_large(limit),
        Cut::Disk(error) => error.into(),
        Cut::Replaced => Refusal::new(StatusCode::CONFLICT, "Another request goes on with this upload."),
    }
}

/// The place for an upload that was sent to this URL: the URL itself, or, if it is a folder's, `name` in it.
pub(super) fn place(uploads: &Uploads, path: &str, name: &str) -> Result<(String, PathBuf), Refusal> {
    let target = Target::parse(path, false).ok_or_else(no_such_place)?;
    let is_folder = target.directory || uploads.store.look(&target.path)? == super::store::Found::Folder;
    let url = if is_folder {
        format!("{}/{}", path.trim_end_matches('/'), crate::files::path::encode(name.as_bytes()))
    } else {
        path.to_owned()
    };
    let target = Target::parse(&url, false).ok_or_else(no_such_place)?;
    Ok((url, target.path))
}
