//! Header blocks: all representations of RFC 7541, and blocks that can't be decoded.

use super::frame::*;
use super::{Case, Field::*, Outcome, Outcome::*, Step::*, case};

/// h2 says PROTOCOL_ERROR of all that it can't read; the connection ends all the same.
const BROKEN: &[Outcome] = &[GoAway(COMPRESSION_ERROR), GoAway(PROTOCOL_ERROR)];
const FINE: &[Outcome] = &[Answer(1, 200)];

pub(super) const CASES: &[Case] = &[
    case(
        "indexed fields",
        "RFC 7541 section 6.1",
        // GET, http, /; and :authority with its name from the table.
        &[raw(HEADERS, WHOLE, 1, b"\x82\x86\x84\x01\x09site.test")],
        FINE,
    ),
    case(
        "a literal that is indexed, its name from the table",
        "RFC 7541 section 6.2.1",
        &[headers(WHOLE, 1, &[GET, &[Hpack(b"\x7a\x04test")]])],
        FINE,
    ),
    case(
        "a literal that is indexed, its name new",
        "RFC 7541 section 6.2.1",
        &[headers(WHOLE, 1, &[GET, &[Hpack(b"\x40\x06x-test\x04test")]])],
        FINE,
    ),
    case(
        "a literal that is not indexed, its name from the table",
        "RFC 7541 section 6.2.2",
        &[headers(WHOLE, 1, &[GET, &[Hpack(b"\x0f\x2b\x04test")]])],
        FINE,
    ),
    case(
        "a literal that is never indexed, its name from the table",
        "RFC 7541 section 6.2.3",
        &[headers(WHOLE, 1, &[GET, &[Hpack(b"\x1f\x2b\x04test")]])],
        FINE,
    ),
    case(
        "a literal that is never indexed, its name new",
        "RFC 7541 section 6.2.3",
        &[headers(WHOLE, 1, &[GET, &[Hpack(b"\x10\x06x-test\x04test")]])],
        FINE,
    ),
    case(
        "a literal in Huffman's code",
        "RFC 7541 section 5.2",
        &[headers(
            WHOLE,
            1,
            &[&[Hpack(
                // Appendix C.4.1: www.example.com.
                b"\x82\x86\x84\x41\x8c\xf1\xe3\xc2\xe5\xf2\x3a\x6b\xa0\xab\x90\xf4\xff",
            )]],
        )],
        FINE,
    ),
    case(
        "a change of the table's size at the beginning",
        "RFC 7541 section 6.3",
        &[headers(WHOLE, 1, &[&[Hpack(b"\x20\x3f\xe1\x1f")], GET])],
        FINE,
    ),
    case(
        "an entry of the table is used by a later request",
        "RFC 7541 section 2.3.2",
        &[
            headers(WHOLE, 1, &[GET, &[Hpack(b"\x40\x06x-test\x04test")]]),
            Finish(1),
            headers(WHOLE, 3, &[GET, &[Hpack(&[0x80 | 62])]]),
        ],
        &[Answer(3, 200)],
    ),
    case(
        "an entry that a smaller table has evicted",
        "RFC 7541 section 4.3",
        &[
            headers(WHOLE, 1, &[GET, &[Hpack(b"\x40\x06x-test\x04test")]]),
            Finish(1),
            headers(WHOLE, 3, &[&[Hpack(b"\x20")], GET, &[Hpack(&[0x80 | 62])]]),
        ],
        BROKEN,
    ),
    case(
        "an entry larger than the table empties it",
        "RFC 7541 section 4.4",
        &[
            headers(
                WHOLE,
                1,
                // A table of 64 bytes, an entry of 34, and one of 161.
                &[&[Hpack(b"\x3f\x21")], GET, &[Hpack(b"\x40\x01a\x01b\x40\x01c\x7f\x01"), Many(128, b"a")]],
            ),
            Finish(1),
            headers(WHOLE, 3, &[GET, &[Hpack(&[0x80 | 62])]]),
        ],
        BROKEN,
    ),
    case(
        "an index beyond the table",
        "RFC 7541 section 2.3.3",
        &[headers(WHOLE, 1, &[GET, &[Hpack(&[0x80 | 70])]])],
        BROKEN,
    ),
    case(
        "a literal with a name from beyond the table",
        "RFC 7541 section 2.3.3",
        &[headers(WHOLE, 1, &[GET, &[Hpack(b"\x7e\x04test")]])],
        BROKEN,
    ),
    case("the index 0", "RFC 7541 section 6.1", &[headers(WHOLE, 1, &[GET, &[Hpack(&[0x80])]])], BROKEN),
    case(
        "a change of the table's size at the end",
        "RFC 7541 section 4.2",
        &[headers(WHOLE, 1, &[GET, &[Hpack(&[0x20])]])],
        BROKEN,
    ),
    case(
        "a table larger than SETTINGS_HEADER_TABLE_SIZE",
        "RFC 7541 section 6.3",
        &[headers(WHOLE, 1, &[&[Hpack(b"\x3f\xe2\x1f")], GET])],
        BROKEN,
    ),
    case(
        "padding of more than 7 bits",
        "RFC 7541 section 5.2",
        &[headers(WHOLE, 1, &[GET, &[Hpack(b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff")]])],
        BROKEN,
    ),
    case(
        "padding of zeros",
        "RFC 7541 section 5.2",
        &[headers(WHOLE, 1, &[GET, &[Hpack(b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90")]])],
        BROKEN,
    ),
    case(
        "the end of strings in Huffman's code",
        "RFC 7541 section 5.2",
        &[headers(
            WHOLE,
            1,
            &[GET, &[Hpack(b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f")]],
        )],
        BROKEN,
    ),
    case(
        "a string that is longer than the block",
        "RFC 7541 section 5.2",
        &[headers(WHOLE, 1, &[GET, &[Hpack(b"\x00\x06x-test\x7f\xff\xff\x7ftest")]])],
        BROKEN,
    ),
    case(
        "a number that has no end",
        "RFC 7541 section 5.1",
        &[headers(WHOLE, 1, &[GET, &[Hpack(b"\x00\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f")]])],
        BROKEN,
    ),
    case(
        "a block that ends within a field",
        "RFC 7541 section 3.1",
        &[headers(WHOLE, 1, &[GET, &[Hpack(b"\x40\x06x-te")]])],
        BROKEN,
    ),
];
