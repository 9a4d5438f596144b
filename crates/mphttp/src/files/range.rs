//! Range requests (RFC 9110 section 14).

use std::ops::Range;

use http::header::{self, HeaderMap};

/// More ranges than this in one request are an attack or a mistake (RFC 9110 section 17.15): the whole file is the
/// answer.
const MAX_RANGES: usize = 32;

/// What part of a representation is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// No `Range`, or one to be ignored.
    Whole,
    /// At least one; none empty, none overlapping, in the order of the request.
    Parts(Vec<Range<u64>>),
    /// 416.
    Unsatisfiable,
}

impl Wanted {
    /// Reads the `Range` of a GET request for something of `size` bytes. What is malformed, in another unit or too much
    /// is ignored (section 14.2).
    pub(super) fn of(headers: &HeaderMap, size: u64) -> Self {
        let mut values = headers.get_all(header::RANGE).iter();
        match (values.next(), values.next()) {
            (Some(value), None) => {
                value.to_str().ok().and_then(|text| parse(text, size)).unwrap_or(Wanted::Whole)
            }
            _ => Wanted::Whole,
        }
    }
}

fn parse(text: &str, size: u64) -> Option<Wanted> {
    let (unit, set) = text.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut parts: Vec<Range<u64>> = Vec::new();
    let mut count = 0;
    for spec in set.split(',').map(|spec| spec.trim_matches([' ', '\t'])).filter(|spec| !spec.is_empty()) {
        count += 1;
        if count > MAX_RANGES {
            return None;
        }
        let (first, last) = spec.split_once('-')?;
        let range = if first.is_empty() {
            let suffix = number(last)?;
            if suffix > 0 && size == 0 {
                // Satisfiable, but no Content-Range can say so.
                return None;
            }
            size.saturating_sub(suffix)..size
        } else {
            let first = number(first)?;
            let last = if last.is_empty() { u64::MAX } else { number(last)? };
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        };
        if range.start < range.end {
            add(&mut parts, range);
        }
    }
    match (count, parts.is_empty()) {
        (0, _) => None,
        (_, true) => Some(Wanted::Unsatisfiable),
        (_, false) => Some(Wanted::Parts(parts)),
    }
}

/// Adds a range, made one with those that it overlaps or touches: no byte is sent twice (section 15.3.7.2).
fn add(parts: &mut Vec<Range<u64>>, mut new: Range<u64>) {
    let mut place = parts.len();
    let mut index = 0;
    while let Some(part) = parts.get(index) {
        if part.start <= new.end && new.start <= part.end {
            new = part.start.min(new.start)..part.end.max(new.end);
            parts.remove(index);
            place = place.min(index);
        } else {
            index += 1;
        }
    }
    parts.insert(place.min(parts.len()), new);
}

/// Digits only; what is beyond 64 bits is beyond every file as well.
fn number(digits: &str) -> Option<u64> {
    let valid = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    valid.then(|| digits.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(value: &str, size: u64) -> Wanted {
        let mut headers = HeaderMap::new();
        headers.insert(header::RANGE, value.parse().unwrap());
        Wanted::of(&headers, size)
    }

    #[test]
    fn ranges_of_ten_bytes() {
        let cases: &[(&str, &[(u64, u64)])] = &[
            ("bytes=0-4", &[(0, 5)]),
            ("bytes=0-0", &[(0, 1)]),
            ("bytes=9-9", &[(9, 10)]),
            ("bytes=3-", &[(3, 10)]),
            ("bytes=-3", &[(7, 10)]),
            ("bytes=-99", &[(0, 10)]),
            ("bytes=5-99", &[(5, 10)]),
            ("bytes=0-99999999999999999999999", &[(0, 10)]),
            ("BYTES=0-4", &[(0, 5)]),
            ("bytes= 0-1 ,\t4-5,,", &[(0, 2), (4, 6)]),
            ("bytes=8-9,0-1", &[(8, 10), (0, 2)]),
            ("bytes=0-1,99-", &[(0, 2)]),
            // 15.3.7.2: what overlaps or touches becomes one
            ("bytes=0-4,5-9", &[(0, 10)]),
            ("bytes=0-4,2-3", &[(0, 5)]),
            ("bytes=0-1,8-9,4-5,1-8", &[(0, 10)]),
            ("bytes=-2,0-,3-4", &[(0, 10)]),
            ("bytes=8-9,0-1,5-8", &[(5, 10), (0, 2)]),
        ];
        for (value, expected) in cases {
            let expected = expected.iter().map(|&(start, end)| start..end).collect();
            assert_eq!(wanted(value, 10), Wanted::Parts(expected), "{value}");
        }
    }

    #[test]
    fn what_is_malformed_is_ignored_rfc_9110_section_14_2() {
        for value in [
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=5-4",
            "bytes=a-b",
            "bytes=1",
            "bytes=+1-2",
            "bytes=0x0-1",
            "bytes=0-1;2-3",
            "items=0-1",
            "bytes=0-1,x",
            "bytes 0-1",
            "bytes=--1",
            "bytes=1 -2",
        ] {
            assert_eq!(wanted(value, 10), Wanted::Whole, "{value}");
        }
    }

    #[test]
    fn what_is_beyond_the_end_is_unsatisfiable() {
        for (value, size) in
            [("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=-0", 10), ("bytes=0-", 0), ("bytes=0-0", 0)]
        {
            assert_eq!(wanted(value, size), Wanted::Unsatisfiable, "{value} of {size}");
        }
        assert_eq!(wanted("bytes=-1", 0), Wanted::Whole);
    }

    #[test]
    fn too_many_ranges_are_ignored_rfc_9110_section_17_15() {
        let many = |count: usize| {
            let specs: Vec<String> = (0..count).map(|n| format!("{}-{}", n * 2, n * 2)).collect();
            format!("bytes={}", specs.join(","))
        };
        assert!(matches!(wanted(&many(MAX_RANGES), 1000), Wanted::Parts(parts) if parts.len() == MAX_RANGES));
        assert_eq!(wanted(&many(MAX_RANGES + 1), 1000), Wanted::Whole);
    }
}
