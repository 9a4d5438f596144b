//! Preconditions: each alone, together, malformed, and where they don't count.

use super::{File, get};

const MATCH: &str = "RFC 9110 section 13.1.1 (If-Match, strong)";
const NONE_MATCH: &str = "RFC 9110 section 13.1.2 (If-None-Match, weak)";
const MODIFIED: &str = "RFC 9110 section 13.1.3 (If-Modified-Since)";
const UNMODIFIED: &str = "RFC 9110 section 13.1.4 (If-Unmodified-Since)";
const RANGE: &str = "RFC 9110 section 13.1.5 (If-Range, strong)";
const DATES: &str = "RFC 9110 section 5.6.7 (three formats)";
const ORDER: &str = "RFC 9110 section 13.2.2 (precedence)";
const OTHERS: &str = "RFC 9110 section 13.2.1 (when to ignore)";

/// The whole file.
const WHOLE: &str = "200 0123456789";

/// The date at which the file was written, the second before and the second after.
macro_rules! date {
    ($name:literal) => {
        concat!($name, ": Sun, 06 Nov 1994 08:49:37 GMT\r\n")
    };
    ($name:literal before) => {
        concat!($name, ": Sun, 06 Nov 1994 08:49:36 GMT\r\n")
    };
    ($name:literal after) => {
        concat!($name, ": Sun, 06 Nov 1994 08:49:38 GMT\r\n")
    };
}

pub(super) const CASES: &[File] = &[
    get("If-Match: the tag", MATCH, "If-Match: {tag}\r\n", WHOLE),
    get("If-Match: another tag", MATCH, "If-Match: \"x\"\r\n", "412"),
    get("If-Match: the tag, weak", MATCH, "If-Match: W/{tag}\r\n", "412"),
    get("If-Match: *", MATCH, "If-Match: *\r\n", WHOLE),
    get("If-Match: a list with the tag", MATCH, "If-Match: \"x\", {tag}, \"y\"\r\n", WHOLE),
    get("If-Match: a list without the tag", MATCH, "If-Match: \"x\", \"y\"\r\n", "412"),
    get(
        "If-Match: in two fields",
        "RFC 9110 section 5.3 (one list)",
        "If-Match: \"x\"\r\nIf-Match: {tag}\r\n",
        WHOLE,
    ),
    get(
        "If-Match: a list with empty members",
        "RFC 9110 section 5.6.1.2",
        "If-Match: , ,\"x\",,{tag},\r\n",
        WHOLE,
    ),
    get(
        "If-Match: a tag with a comma in it",
        "RFC 9110 section 8.8.3",
        "If-Match: \"a,b\", {tag}\r\n",
        WHOLE,
    ),
    get("If-Match: no tag", MATCH, "If-Match: x\r\n", "412"),
    get("If-Match: a tag without its end", MATCH, "If-Match: \"x\r\n", "412"),
    get("If-Match: empty", MATCH, "If-Match:\r\n", "412"),
    get(
        "If-Match: the tag in small w/",
        "RFC 9110 section 8.8.3 (W is case-sensitive)",
        "If-Match: w/{tag}\r\n",
        "412",
    ),
    get("If-None-Match: the tag", NONE_MATCH, "If-None-Match: {tag}\r\n", "304"),
    get("If-None-Match: the tag, weak", NONE_MATCH, "If-None-Match: W/{tag}\r\n", "304"),
    get("If-None-Match: another tag", NONE_MATCH, "If-None-Match: \"x\"\r\n", WHOLE),
    get("If-None-Match: *", NONE_MATCH, "If-None-Match: *\r\n", "304"),
    get("If-None-Match: a list with the tag", NONE_MATCH, "If-None-Match: \"x\", W/\"y\", {tag}\r\n", "304"),
    get("If-None-Match: a list without the tag", NONE_MATCH, "If-None-Match: \"x\", W/\"y\"\r\n", WHOLE),
    get(
        "If-None-Match: in two fields",
        "RFC 9110 section 5.3 (one list)",
        "If-None-Match: \"x\"\r\nIf-None-Match: {tag}\r\n",
        "304",
    ),
    get("If-None-Match: no tag", NONE_MATCH, "If-None-Match: x\r\n", WHOLE),
    get("If-None-Match: the tag without its quotes", NONE_MATCH, "If-None-Match: bare\r\n", WHOLE),
    get(
        "If-None-Match: 500 tags",
        "RFC 9110 section 5.4 (limits)",
        "If-None-Match: {\"x\",*500}{tag}\r\n",
        "304",
    ),
    File {
        ask: "HEAD /ten.txt",
        ..get("HEAD, If-None-Match: the tag", NONE_MATCH, "If-None-Match: {tag}\r\n", "304")
    },
    File { ask: "HEAD /ten.txt", ..get("HEAD, If-Match: another tag", MATCH, "If-Match: \"x\"\r\n", "412") },
    get("If-Modified-Since: the date", MODIFIED, date!("If-Modified-Since"), "304"),
    get("If-Modified-Since: a second later", MODIFIED, date!("If-Modified-Since" after), "304"),
    get("If-Modified-Since: a second before", MODIFIED, date!("If-Modified-Since" before), WHOLE),
    get(
        "If-Modified-Since: in the future",
        MODIFIED,
        "If-Modified-Since: Wed, 06 Nov 2193 08:49:37 GMT\r\n",
        "304",
    ),
    get(
        "If-Modified-Since: as of RFC 850",
        DATES,
        "If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT\r\n",
        "304",
    ),
    get(
        "If-Modified-Since: as of RFC 850, before",
        DATES,
        "If-Modified-Since: Sunday, 06-Nov-94 08:49:36 GMT\r\n",
        WHOLE,
    ),
    get("If-Modified-Since: as of asctime", DATES, "If-Modified-Since: Sun Nov  6 08:49:37 1994\r\n", "304"),
    get(
        "If-Modified-Since: as of asctime, before",
        DATES,
        "If-Modified-Since: Sun Nov  6 08:49:36 1994\r\n",
        WHOLE,
    ),
    get("If-Modified-Since: no date", MODIFIED, "If-Modified-Since: yesterday\r\n", WHOLE),
    get("If-Modified-Since: a number", MODIFIED, "If-Modified-Since: 9999999999\r\n", WHOLE),
    get(
        "If-Modified-Since: another zone",
        "RFC 9110 section 5.6.7 (GMT)",
        "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 CET\r\n",
        WHOLE,
    ),
    get(
        "If-Modified-Since: a day that isn't",
        "RFC 9110 section 5.6.7",
        "If-Modified-Since: Sun, 32 Nov 1994 08:49:37 GMT\r\n",
        WHOLE,
    ),
    get("If-Modified-Since: empty", MODIFIED, "If-Modified-Since:\r\n", WHOLE),
    get(
        "If-Modified-Since: twice",
        "RFC 9110 section 13.1.3 (more than one member)",
        concat!(date!("If-Modified-Since"), date!("If-Modified-Since")),
        WHOLE,
    ),
    File {
        ask: "HEAD /ten.txt",
        ..get("HEAD, If-Modified-Since: the date", MODIFIED, date!("If-Modified-Since"), "304")
    },
    get("If-Unmodified-Since: the date", UNMODIFIED, date!("If-Unmodified-Since"), WHOLE),
    get("If-Unmodified-Since: a second later", UNMODIFIED, date!("If-Unmodified-Since" after), WHOLE),
    get("If-Unmodified-Since: a second before", UNMODIFIED, date!("If-Unmodified-Since" before), "412"),
    get(
        "If-Unmodified-Since: as of RFC 850, before",
        DATES,
        "If-Unmodified-Since: Sunday, 06-Nov-94 08:49:36 GMT\r\n",
        "412",
    ),
    get(
        "If-Unmodified-Since: as of asctime, before",
        DATES,
        "If-Unmodified-Since: Sun Nov  6 08:49:36 1994\r\n",
        "412",
    ),
    get("If-Unmodified-Since: no date", UNMODIFIED, "If-Unmodified-Since: soon\r\n", WHOLE),
    get(
        "If-Unmodified-Since: twice",
        "RFC 9110 section 13.1.4 (more than one member)",
        concat!(date!("If-Unmodified-Since" before), date!("If-Unmodified-Since" before)),
        WHOLE,
    ),
    get(
        "If-Match beside If-Unmodified-Since",
        "RFC 9110 section 13.1.4 (ignored beside If-Match)",
        concat!("If-Match: {tag}\r\n", date!("If-Unmodified-Since" before)),
        WHOLE,
    ),
    get(
        "If-Match that fails beside If-Unmodified-Since",
        ORDER,
        concat!("If-Match: \"x\"\r\n", date!("If-Unmodified-Since")),
        "412",
    ),
    get(
        "If-None-Match beside If-Modified-Since",
        "RFC 9110 section 13.1.3 (ignored beside If-None-Match)",
        concat!("If-None-Match: \"x\"\r\n", date!("If-Modified-Since")),
        WHOLE,
    ),
    get(
        "If-None-Match that fails beside If-Modified-Since",
        ORDER,
        concat!("If-None-Match: {tag}\r\n", date!("If-Modified-Since" before)),
        "304",
    ),
    get(
        "no tag in If-None-Match beside If-Modified-Since",
        "RFC 9110 section 13.1.3 (ignored beside If-None-Match)",
        concat!("If-None-Match: x\r\n", date!("If-Modified-Since")),
        WHOLE,
    ),
    get(
        "If-Match before If-None-Match, both fail",
        ORDER,
        "If-None-Match: {tag}\r\nIf-Match: \"x\"\r\n",
        "412",
    ),
    get("If-Match holds, If-None-Match fails", ORDER, "If-Match: {tag}\r\nIf-None-Match: {tag}\r\n", "304"),
    get(
        "If-Unmodified-Since before If-None-Match, both fail",
        ORDER,
        concat!("If-None-Match: *\r\n", date!("If-Unmodified-Since" before)),
        "412",
    ),
    get(
        "If-Unmodified-Since before If-Modified-Since, both fail",
        ORDER,
        concat!(date!("If-Modified-Since"), date!("If-Unmodified-Since" before)),
        "412",
    ),
    File {
        ask: "GET /missing.txt",
        ..get("what is not there, If-None-Match: *", OTHERS, "If-None-Match: *\r\n", "404")
    },
    File {
        ask: "GET /missing.txt",
        ..get("what is not there, If-Match: *", OTHERS, "If-Match: *\r\n", "404|412")
    },
    File {
        ask: "POST /ten.txt",
        carries: &["allow: GET, HEAD, OPTIONS"],
        ..get("POST, If-Match: another tag", OTHERS, "If-Match: \"x\"\r\n", "405")
    },
    File {
        ask: "OPTIONS /ten.txt",
        ..get("OPTIONS, If-None-Match: *", OTHERS, "If-None-Match: *\r\n", "204")
    },
    get("If-Range: the tag", RANGE, "Range: bytes=2-3\r\nIf-Range: {tag}\r\n", "206 23"),
    get("If-Range: the tag, weak", RANGE, "Range: bytes=2-3\r\nIf-Range: W/{tag}\r\n", WHOLE),
    get("If-Range: another tag", RANGE, "Range: bytes=2-3\r\nIf-Range: \"x\"\r\n", WHOLE),
    get(
        "If-Range: a list with the tag",
        "RFC 9110 section 13.1.5 (one tag)",
        "Range: bytes=2-3\r\nIf-Range: \"x\", {tag}\r\n",
        WHOLE,
    ),
    get("If-Range: *", "RFC 9110 section 13.1.5 (no asterisk)", "Range: bytes=2-3\r\nIf-Range: *\r\n", WHOLE),
    get("If-Range: the date", RANGE, concat!("Range: bytes=2-3\r\n", date!("If-Range")), "206 23"),
    get(
        "If-Range: a second later",
        "RFC 9110 section 13.1.5 (an exact match)",
        concat!("Range: bytes=2-3\r\n", date!("If-Range" after)),
        WHOLE,
    ),
    get("If-Range: a second before", RANGE, concat!("Range: bytes=2-3\r\n", date!("If-Range" before)), WHOLE),
    get(
        "If-Range: as of RFC 850",
        DATES,
        "Range: bytes=2-3\r\nIf-Range: Sunday, 06-Nov-94 08:49:37 GMT\r\n",
        "206 23",
    ),
    get(
        "If-Range: as of asctime",
        DATES,
        "Range: bytes=2-3\r\nIf-Range: Sun Nov  6 08:49:37 1994\r\n",
        "206 23",
    ),
    get("If-Range: nothing of both", RANGE, "Range: bytes=2-3\r\nIf-Range: x\r\n", WHOLE),
    get("If-Range: twice", RANGE, "Range: bytes=2-3\r\nIf-Range: {tag}\r\nIf-Range: {tag}\r\n", WHOLE),
    get("If-Range without Range", "RFC 9110 section 13.1.5 (ignored)", "If-Range: \"x\"\r\n", WHOLE),
    get(
        "If-Range: another tag, and no such range",
        "RFC 9110 section 14.2 (no 416 for another state)",
        "Range: bytes=99-\r\nIf-Range: \"x\"\r\n",
        WHOLE,
    ),
    get(
        "If-Range: the tag, and no such range",
        "RFC 9110 section 15.5.17",
        "Range: bytes=99-\r\nIf-Range: {tag}\r\n",
        "416",
    ),
    get("If-None-Match before Range", ORDER, "Range: bytes=2-3\r\nIf-None-Match: {tag}\r\n", "304"),
    get(
        "If-None-Match before a range that is none",
        ORDER,
        "Range: bytes=99-\r\nIf-None-Match: {tag}\r\n",
        "304",
    ),
    get("If-Match before Range", ORDER, "Range: bytes=2-3\r\nIf-Match: \"x\"\r\n", "412"),
    get("If-Match holds, with a range", ORDER, "Range: bytes=2-3\r\nIf-Match: {tag}\r\n", "206 23"),
    get(
        "If-None-Match before If-Range",
        ORDER,
        "Range: bytes=2-3\r\nIf-Range: {tag}\r\nIf-None-Match: {tag}\r\n",
        "304",
    ),
    get(
        "If-Unmodified-Since before Range",
        ORDER,
        concat!("Range: bytes=2-3\r\n", date!("If-Unmodified-Since" before)),
        "412",
    ),
];
