//! Ranges: one, several, none that are, and too many.

use super::{File, get};

const INT: &str = "RFC 9110 section 14.1.2 (int-range)";
const SUFFIX: &str = "RFC 9110 section 14.1.2 (suffix-range)";
const PARTS: &str = "RFC 9110 section 15.3.7.2 (several parts)";
const NOT_SATISFIABLE: &str = "RFC 9110 section 15.5.17 (416)";
const IGNORED: &str = "RFC 9110 section 14.2 (invalid: ignored)";

/// The whole file.
const WHOLE: &str = "200 0123456789";

pub(super) const CASES: &[File] = &[
    get("no range", "RFC 9110 section 15.3.1", "", WHOLE),
    File {
        ask: "HEAD /ten.txt",
        carries: &["content-length: 10"],
        ..get("HEAD", "RFC 9110 section 9.3.2", "", "200")
    },
    File {
        carries: &["content-range: bytes 0-0/10"],
        ..get("the first byte", INT, "Range: bytes=0-0\r\n", "206 0")
    },
    File {
        carries: &["content-range: bytes 2-5/10"],
        ..get("some in the middle", INT, "Range: bytes=2-5\r\n", "206 2345")
    },
    File {
        carries: &["content-range: bytes 9-9/10"],
        ..get("the last byte", INT, "Range: bytes=9-9\r\n", "206 9")
    },
    File {
        carries: &["content-range: bytes 0-9/10"],
        ..get("all of it", INT, "Range: bytes=0-9\r\n", "206 0123456789")
    },
    File {
        carries: &["content-range: bytes 7-9/10"],
        ..get("from here on", INT, "Range: bytes=7-\r\n", "206 789")
    },
    File {
        carries: &["content-range: bytes 0-9/10"],
        ..get("from the first on", INT, "Range: bytes=0-\r\n", "206 0123456789")
    },
    File {
        carries: &["content-range: bytes 8-9/10"],
        ..get("beyond the end", INT, "Range: bytes=8-99\r\n", "206 89")
    },
    File {
        carries: &["content-range: bytes 8-9/10"],
        ..get("beyond 2^64", INT, "Range: bytes=8-99999999999999999999\r\n", "206 89")
    },
    File {
        carries: &["content-range: bytes 2-3/10"],
        ..get("leading zeros", INT, "Range: bytes=0002-03\r\n", "206 23")
    },
    File {
        carries: &["content-range: bytes 7-9/10"],
        ..get("the last three", SUFFIX, "Range: bytes=-3\r\n", "206 789")
    },
    File {
        carries: &["content-range: bytes 0-9/10"],
        ..get("the last 99", SUFFIX, "Range: bytes=-99\r\n", "206 0123456789")
    },
    File {
        carries: &["content-range: bytes 0-9/10"],
        ..get("the last 2^64", SUFFIX, "Range: bytes=-18446744073709551616\r\n", "206 0123456789")
    },
    get("the last none", NOT_SATISFIABLE, "Range: bytes=-0\r\n", "416"),
    get("from the end on", NOT_SATISFIABLE, "Range: bytes=10-\r\n", "416"),
    get("beyond the end alone", NOT_SATISFIABLE, "Range: bytes=10-20\r\n", "416"),
    get("several beyond the end", NOT_SATISFIABLE, "Range: bytes=10-20,30-\r\n", "416"),
    get("from 2^64 on", NOT_SATISFIABLE, "Range: bytes=18446744073709551616-\r\n", "416"),
    File {
        carries: &["content-range: bytes 2-3/10"],
        ..get("BYTES", "RFC 9110 section 14.1 (units are case-insensitive)", "Range: BYTES=2-3\r\n", "206 23")
    },
    get("another unit", IGNORED, "Range: lines=2-3\r\n", WHOLE),
    get("no unit", IGNORED, "Range: 2-3\r\n", WHOLE),
    get("the last before the first", IGNORED, "Range: bytes=3-2\r\n", WHOLE),
    get("a single number", IGNORED, "Range: bytes=3\r\n", WHOLE),
    get("a hyphen alone", IGNORED, "Range: bytes=-\r\n", WHOLE),
    get("nothing", IGNORED, "Range: bytes=\r\n", WHOLE),
    get("commas alone", IGNORED, "Range: bytes=,,\r\n", WHOLE),
    get("letters", IGNORED, "Range: bytes=a-b\r\n", WHOLE),
    get("hexadecimal digits", IGNORED, "Range: bytes=0x2-0x3\r\n", WHOLE),
    get("a plus", IGNORED, "Range: bytes=+2-3\r\n", WHOLE),
    get("a minus in a suffix", IGNORED, "Range: bytes=--3\r\n", WHOLE),
    get("three numbers", IGNORED, "Range: bytes=1-2-3\r\n", WHOLE),
    get("spaces within a range", IGNORED, "Range: bytes=2 - 3\r\n", WHOLE),
    get("semicolons between ranges", IGNORED, "Range: bytes=2-3;5-6\r\n", WHOLE),
    get("one good, one that is none", IGNORED, "Range: bytes=2-3,x\r\n", WHOLE),
    get("one good, one the wrong way round", IGNORED, "Range: bytes=2-3,6-5\r\n", WHOLE),
    get("digits beyond ASCII", IGNORED, "Range: bytes={hex:d9a2}-3\r\n", WHOLE),
    get(
        "two fields",
        "RFC 9110 section 14.2; section 5.3 (no list of fields)",
        "Range: bytes=2-3\r\nRange: bytes=5-6\r\n",
        WHOLE,
    ),
    get("two ranges", PARTS, "Range: bytes=0-1,8-9\r\n", "206 0-1/10=01, 8-9/10=89"),
    get(
        "three ranges of each kind",
        PARTS,
        "Range: bytes=0-0,4-5,-1\r\n",
        "206 0-0/10=0, 4-5/10=45, 9-9/10=9",
    ),
    get(
        "two out of order",
        "RFC 9110 section 15.3.7.2 (in the order of the request)",
        "Range: bytes=8-9,0-1\r\n",
        "206 8-9/10=89, 0-1/10=01",
    ),
    get(
        "spaces and empty members",
        "RFC 9110 section 5.6.1.2",
        "Range: bytes= 0-1 , ,\t8-9,\r\n",
        "206 0-1/10=01, 8-9/10=89",
    ),
    File {
        carries: &["content-range: bytes 0-5/10"],
        ..get(
            "two that overlap",
            "RFC 9110 section 15.3.7.2 (coalesced)",
            "Range: bytes=0-3,2-5\r\n",
            "206 012345",
        )
    },
    File {
        carries: &["content-range: bytes 0-5/10"],
        ..get(
            "two that touch",
            "RFC 9110 section 15.3.7.2 (coalesced)",
            "Range: bytes=0-2,3-5\r\n",
            "206 012345",
        )
    },
    File {
        carries: &["content-range: bytes 0-1/10"],
        ..get("one twice", "RFC 9110 section 15.3.7.2 (coalesced)", "Range: bytes=0-1,0-1\r\n", "206 01")
    },
    get(
        "overlapping ones out of order",
        "RFC 9110 section 15.3.7.2 (coalesced)",
        "Range: bytes=8-9,0-1,5-8\r\n",
        "206 5-9/10=56789, 0-1/10=01",
    ),
    File {
        carries: &["content-range: bytes 0-0/10"],
        ..get(
            "one good, one beyond the end",
            "RFC 9110 section 14.1.2 (at least one)",
            "Range: bytes=0-0,99-\r\n",
            "206 0",
        )
    },
    get("40 ranges", "RFC 9110 section 17.15 (too many)", "Range: bytes={0-0,*39}2-2\r\n", WHOLE),
    get(
        "1300 overlapping ranges",
        "RFC 9110 section 17.15; CVE-2011-3192",
        "Range: bytes={0-,*1300}0-\r\n",
        WHOLE,
    ),
    get(
        "a range field of 60 kB",
        "RFC 9110 section 17.15; CVE-2011-3192",
        "Range: bytes={5-7,*15000}0-1\r\n",
        WHOLE,
    ),
    File {
        ask: "HEAD /ten.txt",
        carries: &["content-length: 10"],
        ..get("HEAD with a range", "RFC 9110 section 14.2 (for GET alone)", "Range: bytes=2-3\r\n", "200")
    },
    File {
        ask: "HEAD /ten.txt",
        carries: &["content-length: 10"],
        ..get(
            "HEAD with no such range",
            "RFC 9110 section 14.2 (for GET alone)",
            "Range: bytes=99-\r\n",
            "200",
        )
    },
    File {
        ask: "POST /ten.txt",
        ..get("POST with a range", "RFC 9110 section 14.2 (for GET alone)", "Range: bytes=2-3\r\n", "405")
    },
    File { ask: "GET /empty.txt", ..get("nothing, of an empty file", "RFC 9110 section 15.3.1", "", "200 ") },
    File {
        ask: "GET /empty.txt",
        carries: &["content-range: bytes */0"],
        ..get("the first byte of an empty file", NOT_SATISFIABLE, "Range: bytes=0-0\r\n", "416")
    },
    File {
        ask: "GET /empty.txt",
        carries: &["content-range: bytes */0"],
        ..get("from the first on of an empty file", NOT_SATISFIABLE, "Range: bytes=0-\r\n", "416")
    },
    File {
        ask: "GET /empty.txt",
        ..get(
            "the last three of an empty file",
            "RFC 9110 section 14.1.2 (satisfiable, with no Content-Range for it)",
            "Range: bytes=-3\r\n",
            "200 ",
        )
    },
    File {
        ask: "GET /missing.txt",
        ..get(
            "a range of what is not there",
            "RFC 9110 section 14.2 (after the rest)",
            "Range: bytes=2-3\r\n",
            "404",
        )
    },
];
