//! Any bytes as what clients say of an upload, and as what the server wrote down of one.

use std::path::{Component, Path};

use http::Uri;

use super::{
    form,
    id::Id,
    metadata::{plain_name, value},
    store::Info,
    tus,
};
use crate::{files::path::Target, fuzzing::fields};

/// The fields of tus and of forms: whatever a file is called, it becomes a plain name or a path below the folder.
pub fn upload_fields(bytes: &[u8]) {
    let headers = fields(bytes);
    let _ = tus::check_version(&headers);
    let _ = tus::check_chunk(&headers);
    for name in [tus::OFFSET, tus::LENGTH] {
        let _ = tus::number(&headers, &name);
    }
    let uri = headers.get("x-url").and_then(|url| Uri::try_from(url.as_bytes()).ok()).unwrap_or_default();
    let _ = (form::is(&headers), form::is_from_elsewhere(&headers, &uri));
    let text = String::from_utf8_lossy(bytes);
    for name in ["filename", "name"].iter().filter_map(|key| value(&text, key)) {
        assert!(plain_name(&name).is_none_or(|name| is_plain(&name)));
    }
    assert!(plain_name(bytes).is_none_or(|name| is_plain(&name)));
    if let Ok(path) = form::check(&text) {
        assert!(is_below(&path), "{}", path.display());
    }
    if let Some(id) = Id::parse(&text) {
        assert_eq!(id.to_string(), text);
    }
}

fn is_plain(name: &str) -> bool {
    name.len() <= 240
        && Path::new(name).components().count() == 1
        && is_below(name.as_ref())
        && !name.starts_with('.')
}

fn is_below(path: &Path) -> bool {
    path.components().all(|part| matches!(part, Component::Normal(_)))
}

/// What the server wrote down of an upload: wherever it is to go, that is below the root.
pub fn upload_records(bytes: &[u8]) {
    let Ok(info) = Info::parse(bytes) else { return };
    if let Some(target) = Target::parse(&info.target, false) {
        assert!(is_below(&target.path), "{}", target.path.display());
    }
}
