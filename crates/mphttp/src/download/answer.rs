//! What an answer says of the body: which version of it this is and which part. Pure.

use std::ops::Range;

use std::time::Duration;

use http::{
    HeaderMap, HeaderValue,
    header::{CONTENT_RANGE, CONTENT_TYPE, DATE, ETAG, IF_RANGE, LAST_MODIFIED},
};
use serde::{Deserialize, Serialize};

/// What tells one version of a body from another, byte for byte: a strong validator (RFC 9110 section 8.8.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Version {
    #[serde(skip_serializing_if = "Option::is_none")]
    etag: Option<String>,
    /// Only where it is a strong validator.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_modified: Option<String>,
}

/// How an answer's version compares to an earlier one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sameness {
    Same,
    Different,
    /// The answer has no validator to compare.
    Unknown,
}

impl Version {
    /// The version that an answer names; `None` if it has no strong validator.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let etag = text(headers, ETAG).filter(|etag| is_strong(etag)).map(str::to_owned);
        let last_modified = text(headers, LAST_MODIFIED).filter(|_| is_dated(headers)).map(str::to_owned);
        (etag.is_some() || last_modified.is_some()).then_some(Self { etag, last_modified })
    }

    /// Adds `If-Range` (RFC 9110 section 13.1.5): a part of this version, or the whole of another.
    pub(super) fn demand(&self, headers: &mut HeaderMap) {
        let value = self.etag.as_ref().or(self.last_modified.as_ref());
        if let Some(value) = value.and_then(|value| HeaderValue::from_str(value).ok()) {
            headers.insert(IF_RANGE, value);
        }
    }

    /// Whether an answer is about this version.
    pub(super) fn compare(&self, headers: &HeaderMap) -> Sameness {
        let same = |same| if same { Sameness::Same } else { Sameness::Different };
        // A tag that went away is no proof of anything; the date may be.
        if let (Some(ours), Some(theirs)) = (&self.etag, text(headers, ETAG)) {
            return same(ours == theirs);
        }
        match (&self.last_modified, text(headers, LAST_MODIFIED)) {
            (Some(ours), Some(theirs)) => same(ours == theirs),
            _ => Sameness::Unknown,
        }
    }
}

/// `"x"` is strong, `W/"x"` is not.
fn is_strong(etag: &str) -> bool {
    etag.len() >= 2 && etag.starts_with('"') && etag.ends_with('"')
}

/// Whether the answer was made at least a second after the body was last modified: only then did no other version have
/// the same date (RFC 9110 section 8.8.2.2).
fn is_dated(headers: &HeaderMap) -> bool {
    let date = |name| text(headers, name).and_then(|value| httpdate::parse_http_date(value).ok());
    match (date(LAST_MODIFIED), date(DATE)) {
        (Some(modified), Some(made)) => {
            made.duration_since(modified).is_ok_and(|age| age >= Duration::from_secs(1))
        }
        _ => false,
    }
}

fn text(headers: &HeaderMap, name: http::HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The part that a 206 brings, and the whole's length if it is known: `bytes 0-9/100` (RFC 9110 section 14.4). `length`: the
/// content's, where it is known; of another length than the part it is not that part.
pub(super) fn part(headers: &HeaderMap, length: Option<u64>) -> Option<(Range<u64>, Option<u64>)> {
    // Several parts have their ranges within the content (section 15.3.7.2), whatever is said outside.
    let several = text(headers, CONTENT_TYPE)
        .and_then(|value| value.get(.."multipart/byteranges".len()))
        .is_some_and(|value| value.eq_ignore_ascii_case("multipart/byteranges"));
    let (part, total) = content_range(headers).filter(|_| !several)?;
    length.is_none_or(|length| length == part.end - part.start).then_some((part, total))
}

pub(super) fn content_range(headers: &HeaderMap) -> Option<(Range<u64>, Option<u64>)> {
    // Of two that differ nobody knows which one is meant.
    let mut values = headers.get_all(CONTENT_RANGE).iter();
    let value = values.next().filter(|_| values.next().is_none())?.to_str().ok()?.trim();
    let (unit, rest) = value.split_once(' ')?;
    let (range, total) = rest.trim().split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let (first, last): (u64, u64) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    let end = last.checked_add(1)?;
    let total = match total.trim() {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    let sound = unit.eq_ignore_ascii_case("bytes") && first < end && total.is_none_or(|total| end <= total);
    sound.then_some((first..end, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    const MODIFIED: (&str, &str) = ("last-modified", "Tue, 01 Sep 2026 10:00:00 GMT");

    #[test]
    fn only_strong_validators_name_a_version() {
        for (pairs, strong) in [
            (&[("etag", "\"a\"")][..], true),
            (&[("etag", "W/\"a\"")], false),
            (&[("etag", "a")], false),
            (&[MODIFIED], false),
            (&[MODIFIED, ("date", "Tue, 01 Sep 2026 10:00:00 GMT")], false),
            (&[MODIFIED, ("date", "Tue, 01 Sep 2026 10:00:01 GMT")], true),
            (&[MODIFIED, ("date", "Tue, 01 Sep 2026 09:00:00 GMT")], false),
            (&[], false),
        ] {
            assert_eq!(Version::of(&headers(pairs)).is_some(), strong, "{pairs:?}");
        }
    }

    #[test]
    fn versions_are_told_apart() {
        let date = ("date", "Tue, 01 Sep 2026 11:00:00 GMT");
        let version = Version::of(&headers(&[("etag", "\"a\""), MODIFIED, date])).unwrap();
        for (pairs, sameness) in [
            (&[("etag", "\"a\"")][..], Sameness::Same),
            (&[("etag", "\"b\""), MODIFIED], Sameness::Different),
            (&[("etag", "W/\"a\"")], Sameness::Different),
            (&[MODIFIED], Sameness::Same),
            (&[("last-modified", "Tue, 01 Sep 2026 10:00:02 GMT")], Sameness::Different),
            (&[], Sameness::Unknown),
        ] {
            assert_eq!(version.compare(&headers(pairs)), sameness, "{pairs:?}");
        }
        let mut demand = HeaderMap::new();
        version.demand(&mut demand);
        assert_eq!(demand[IF_RANGE], "\"a\"");
    }

    #[test]
    fn a_part_is_as_long_as_its_content_and_one_alone() {
        let range = ("content-range", "bytes 0-9/100");
        let several = ("content-type", "Multipart/ByteRanges; boundary=x");
        for (pairs, length, is) in [
            (&[range][..], Some(10), true),
            (&[range], None, true),
            (&[range], Some(11), false),
            (&[range, range], Some(10), false),
            (&[range, several], None, false),
            (&[range, ("content-type", "a/b")], None, true),
        ] {
            let mut all = HeaderMap::new();
            for &(name, value) in pairs {
                all.append(name, value.parse().unwrap());
            }
            assert_eq!(part(&all, length).is_some(), is, "{pairs:?} {length:?}");
        }
    }

    #[test]
    fn parts_are_read_and_nonsense_is_not() {
        for (value, part) in [
            ("bytes 0-9/100", Some((0..10, Some(100)))),
            ("BYTES 5-5/*", Some((5..6, None))),
            ("bytes 9-5/100", None),
            ("bytes 0-100/100", None),
            ("bytes */100", None),
            ("lines 0-9/100", None),
            ("bytes 0-18446744073709551615/*", None),
            ("", None),
        ] {
            assert_eq!(content_range(&headers(&[("content-range", value)])), part, "{value}");
        }
    }
}
