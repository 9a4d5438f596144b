//! Conditional requests: entity tags and dates (RFC 9110 sections 8.8 and 13).

use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

use super::encoding::Coding;
use super::platform;

/// What tells one state of a file from another.
#[derive(Clone, Debug)]
pub(crate) struct Validators {
    /// Strong: another inode, time, size or coding makes another tag. It holds as far as the file system's clock can
    /// tell two writes apart (Linux 6.13: always, once a state has been looked at; before: 4 to 10 ms).
    etag: HeaderValue,
    /// In whole seconds, and not in the future (RFC 9110 section 8.8.2.1). `None` before 1970.
    modified: Option<SystemTime>,
    /// `modified` as the field has it.
    date: Option<HeaderValue>,
    now: SystemTime,
}

/// What the preconditions say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Proceed,
    NotModified,
    Failed,
}

impl Validators {
    pub(crate) fn of(meta: &Metadata, coding: Option<Coding>, now: SystemTime) -> Self {
        let written = meta.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        // The identity goes in hashed: inode numbers are nobody's business.
        let mut hasher = DefaultHasher::new();
        (platform::identity(meta), meta.modified().ok()).hash(&mut hasher);
        let nanos = written.map_or(0, |since| since.as_nanos());
        let suffix = coding.map_or(String::new(), |coding| format!("-{}", coding.token()));
        let etag = format!("\"{nanos:x}-{:x}-{:x}{suffix}\"", meta.len(), hasher.finish());
        // Hexadecimal digits and a coding's name: it is a field's value.
        let etag = HeaderValue::from_str(&etag).unwrap_or(HeaderValue::from_static("\"\""));
        let modified = written
            .map(|since| UNIX_EPOCH + Duration::from_secs(since.as_secs()))
            .map(|time| time.min(whole_seconds(now)));
        let date = modified.and_then(|time| HeaderValue::from_str(&httpdate::fmt_http_date(time)).ok());
        Validators { etag, modified, date, now }
    }

    /// The same state of the file, looked at later. It must not have been in the future before.
    pub(super) fn at(&self, now: SystemTime) -> Self {
        Self { now, ..self.clone() }
    }

    pub(crate) fn write(&self, headers: &mut HeaderMap) {
        headers.insert(header::ETAG, self.etag.clone());
        if let Some(date) = &self.date {
            headers.insert(header::LAST_MODIFIED, date.clone());
        }
    }

    /// The preconditions of a GET or HEAD request, in the order of RFC 9110 section 13.2.2.
    pub(crate) fn judge(&self, headers: &HeaderMap) -> Verdict {
        if headers.contains_key(header::IF_MATCH) {
            if !self.listed(headers, header::IF_MATCH, Comparison::Strong) {
                return Verdict::Failed;
            }
        } else if let (Some(since), Some(modified)) =
            (date(headers, header::IF_UNMODIFIED_SINCE), self.modified)
            && modified > since
        {
            return Verdict::Failed;
        }
        if headers.contains_key(header::IF_NONE_MATCH) {
            if self.listed(headers, header::IF_NONE_MATCH, Comparison::Weak) {
                return Verdict::NotModified;
            }
        } else if let (Some(since), Some(modified)) =
            (date(headers, header::IF_MODIFIED_SINCE), self.modified)
            && modified <= since
        {
            return Verdict::NotModified;
        }
        Verdict::Proceed
    }

    /// Whether `If-Range` lets a range be answered with that range (RFC 9110 section 13.1.5).
    pub(crate) fn range_applies(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(header::IF_RANGE).iter();
        match (values.next(), values.next()) {
            (None, _) => true,
            (Some(value), None) => match date(headers, header::IF_RANGE) {
                // A date is a strong validator only once the second it names is over (section 8.8.2.2).
                Some(date) => {
                    self.modified == Some(date)
                        && self.now.duration_since(date).is_ok_and(|age| age >= Duration::from_secs(1))
                }
                None => value.as_bytes().trim_ascii() == self.etag.as_bytes(),
            },
            _ => false,
        }
    }

    fn listed(&self, headers: &HeaderMap, name: HeaderName, comparison: Comparison) -> bool {
        headers.get_all(name).iter().any(|value| {
            let value = value.as_bytes().trim_ascii();
            value == b"*"
                || tags(value).any(|(weak, tag)| {
                    tag == self.etag.as_bytes() && (!weak || comparison == Comparison::Weak)
                })
        })
    }
}

/// RFC 9110 section 8.8.3.2.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Comparison {
    Strong,
    Weak,
}

fn whole_seconds(time: SystemTime) -> SystemTime {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    UNIX_EPOCH + Duration::from_secs(since.as_secs())
}

/// The field's date; `None` if there is none, more than one, or it is malformed, all of which mean to ignore the field.
fn date(headers: &HeaderMap, name: HeaderName) -> Option<SystemTime> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => httpdate::parse_http_date(value.to_str().ok()?.trim()).ok(),
        _ => None,
    }
}

/// The entity tags of a list, each with whether it is weak. It ends at the first thing that is no entity tag.
fn tags(mut rest: &[u8]) -> impl Iterator<Item = (bool, &[u8])> {
    std::iter::from_fn(move || {
        while let [b' ' | b'\t' | b',', tail @ ..] = rest {
            rest = tail;
        }
        let (weak, tag) = match rest.strip_prefix(b"W/") {
            Some(tag) => (true, tag),
            None => (false, rest),
        };
        let end = tag.strip_prefix(b"\"")?.iter().position(|&byte| byte == b'"')? + 2;
        let (tag, tail) = tag.split_at_checked(end)?;
        rest = tail;
        Some((weak, tag))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const LATER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const EARLIER: &str = "Sun, 06 Nov 1994 08:49:36 GMT";

    fn validators(age: Duration) -> Validators {
        let modified = httpdate::parse_http_date(DATE).ok();
        let now = modified.map_or(UNIX_EPOCH, |time| time + age);
        Validators { etag: HeaderValue::from_static("\"a,b\""), modified, date: None, now }
    }

    fn request(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn preconditions_in_the_order_of_rfc_9110_section_13_2_2() {
        use Verdict::{Failed, NotModified, Proceed};
        type Case<'a> = (&'a [(&'static str, &'a str)], Verdict);
        let cases: &[Case<'_>] = &[
            (&[], Proceed),
            // 13.1.1: strong comparison
            (&[("if-match", "*")], Proceed),
            (&[("if-match", "\"a,b\"")], Proceed),
            (&[("if-match", "\"x\", \"a,b\"")], Proceed),
            (&[("if-match", "\"x\""), ("if-match", "\"a,b\"")], Proceed),
            (&[("if-match", "W/\"a,b\"")], Failed),
            (&[("if-match", "\"x\"")], Failed),
            (&[("if-match", "garbage")], Failed),
            (&[("if-match", "\"unterminated")], Failed),
            // 13.1.2: weak comparison
            (&[("if-none-match", "*")], NotModified),
            (&[("if-none-match", "W/\"a,b\"")], NotModified),
            (&[("if-none-match", "\"x\",, \"a,b\" ")], NotModified),
            (&[("if-none-match", "\"a\", \"b\"")], Proceed),
            // 13.1.3: ignored beside If-None-Match, when malformed, when doubled
            (&[("if-modified-since", DATE)], NotModified),
            (&[("if-modified-since", LATER)], NotModified),
            (&[("if-modified-since", EARLIER)], Proceed),
            (&[("if-modified-since", "yesterday")], Proceed),
            (&[("if-modified-since", DATE), ("if-modified-since", DATE)], Proceed),
            (&[("if-modified-since", DATE), ("if-none-match", "\"x\"")], Proceed),
            (&[("if-modified-since", EARLIER), ("if-none-match", "\"a,b\"")], NotModified),
            // 13.1.4: ignored beside If-Match, and when malformed
            (&[("if-unmodified-since", DATE)], Proceed),
            (&[("if-unmodified-since", EARLIER)], Failed),
            (&[("if-unmodified-since", "soon")], Proceed),
            (&[("if-unmodified-since", EARLIER), ("if-match", "\"a,b\"")], Proceed),
            // 13.2.2: If-Match is asked first
            (&[("if-match", "\"x\""), ("if-none-match", "*")], Failed),
            (&[("if-match", "*"), ("if-none-match", "\"a,b\"")], NotModified),
            (&[("if-unmodified-since", EARLIER), ("if-none-match", "*")], Failed),
        ];
        for (fields, expected) in cases {
            assert_eq!(validators(Duration::from_secs(9)).judge(&request(fields)), *expected, "{fields:?}");
        }
    }

    #[test]
    fn if_range_wants_a_strong_validator_rfc_9110_section_13_1_5() {
        for (value, age, expected) in [
            ("\"a,b\"", 0, true),
            ("W/\"a,b\"", 9, false),
            ("\"x\"", 9, false),
            (DATE, 9, true),
            (DATE, 0, false),
            (LATER, 9, false),
            (EARLIER, 9, false),
            ("garbage", 9, false),
        ] {
            let headers = request(&[("if-range", value)]);
            assert_eq!(
                validators(Duration::from_secs(age)).range_applies(&headers),
                expected,
                "{value} {age}"
            );
        }
        assert!(validators(Duration::ZERO).range_applies(&HeaderMap::new()));
    }
}
