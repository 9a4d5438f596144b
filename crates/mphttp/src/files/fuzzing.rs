//! Any bytes as what clients ask of a server of files.

use std::{path::Component, sync::LazyLock, time::Duration};

use http::{HeaderMap, HeaderValue, header};

use super::{
    CacheRule, cache,
    conditional::{Validators, Verdict},
    encoding, listing,
    negotiate::{wants_json, wants_page},
    path::{Target, encode},
    range::Wanted,
};
use crate::fuzzing::fields;

/// The first eight bytes are a file's size, the rest a `Range`: what is sent lies within the file, none of it twice.
pub fn ranges(bytes: &[u8]) {
    let Some((size, value)) = bytes.split_first_chunk() else { return };
    let size = u64::from_le_bytes(*size);
    let Ok(value) = HeaderValue::from_bytes(value) else { return };
    let mut headers = HeaderMap::new();
    headers.insert(header::RANGE, value);
    if let Wanted::Parts(mut parts) = Wanted::of(&headers, size) {
        assert!((1..=32).contains(&parts.len()), "{parts:?}");
        parts.sort_by_key(|part| part.start);
        assert!(parts.iter().all(|part| part.start < part.end && part.end <= size), "{parts:?} of {size}");
        assert!(parts.iter().zip(parts.iter().skip(1)).all(|(one, next)| one.end < next.start), "{parts:?}");
    }
}

/// The validators of some file, an hour after it was written.
static VALIDATORS: LazyLock<Option<Validators>> = LazyLock::new(|| {
    let meta = std::fs::metadata(std::env::current_exe().ok()?).ok()?;
    Some(Validators::of(&meta, None, meta.modified().ok()? + Duration::from_secs(3600)))
});

/// Conditions: whatever they are, its own validators fit the file.
pub fn conditions(bytes: &[u8]) {
    let Some(validators) = &*VALIDATORS else { return };
    let mut headers = fields(bytes);
    let _ = validators.judge(&headers);
    let _ = validators.range_applies(&headers);
    let mut own = HeaderMap::new();
    validators.write(&mut own);
    let Some(tag) = own.get(header::ETAG) else { return };
    headers.append(header::IF_MATCH, tag.clone());
    assert_ne!(validators.judge(&headers), Verdict::Failed);
    headers.append(header::IF_NONE_MATCH, tag.clone());
    assert_eq!(validators.judge(&headers), Verdict::NotModified);
    headers.insert(header::IF_RANGE, tag.clone());
    assert!(validators.range_applies(&headers));
}

/// The path of a URL: whatever it is, it names something below the root, and reads the same when it is encoded again.
pub fn request_paths(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for hidden in [false, true] {
        let Some(target) = Target::parse(&text, hidden) else { continue };
        assert!(target.path.components().all(|part| matches!(part, Component::Normal(_))));
        assert_eq!(target.path.components().count(), target.names.len());
        assert!(hidden || target.names.iter().all(|name| name[..1] != *b"." || name == b".well-known"));
        let mut again: String = target.names.iter().map(|name| format!("/{}", encode(name))).collect();
        if target.directory {
            again.push('/');
        }
        assert_eq!(Target::parse(&again, hidden), Some(target));
    }
    if let Some(target) = Target::parse(&text, true) {
        assert!(
            target.with_slash(None).starts_with("./")
                && HeaderValue::from_str(&target.with_slash(None)).is_ok()
        );
    }
}

/// What a client would rather have: codings, kinds of page, the order of a listing; and rules for caches.
pub fn negotiation(bytes: &[u8]) {
    let headers = fields(bytes);
    let codings = encoding::preferred(&headers);
    assert!(codings.iter().enumerate().all(|(index, coding)| !codings[..index].contains(coding)));
    let _ = (wants_json(&headers), wants_page(&headers));
    let text = String::from_utf8_lossy(bytes);
    let _ = listing::Order::parse(Some(&text));
    if let Ok(rule) = text.parse::<CacheRule>() {
        let of = |path: &str| cache::Rules::new([rule.clone()])?.of(path.as_ref()).cloned();
        let _ = (of("assets/app.js"), of("index.html"));
    }
}
