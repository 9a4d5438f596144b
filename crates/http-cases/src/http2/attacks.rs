//! Attacks that are on record: floods, resets, windows that never open, header blocks that grow when they are decoded.

use super::frame::*;
use super::{Case, Field::*, Outcome, Outcome::*, Step, Step::*, case};
use crate::Row;

/// An attack, and what it may cost.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// What the attacker does, and what may come of it; nothing is said of that if nothing is allowed.
    pub case: Case,
    /// Whether it is made on `mphttp proxy --to`, and not on `mphttp serve`. The server behind answers everything at once but
    /// `/never`.
    pub proxy: bool,
    /// Whether its limit for silence is a second.
    pub hasty: bool,
    /// Whether the attacker reads nothing.
    pub deaf: bool,
    /// By how much the memory of the server may grow at most, in MiB.
    pub memory: u64,
}

/// Every attack.
pub fn attacks() -> impl Iterator<Item = &'static Attack> {
    ATTACKS.iter()
}

impl Attack {
    pub(super) fn row(&self) -> Row {
        let Row { name, source, expected } = self.case.row();
        let target = if self.proxy { "proxy" } else { "serve" };
        let result = if expected.is_empty() { "others are served".into() } else { expected };
        Row { name, source, expected: format!("{target}: {result}; at most {} MiB", self.memory) }
    }
}

const fn serve(
    name: &'static str,
    source: &'static str,
    send: &'static [Step],
    allow: &'static [Outcome],
    memory: u64,
) -> Attack {
    Attack { case: case(name, source, send, allow), proxy: false, hasty: false, deaf: false, memory }
}

const fn proxy(
    name: &'static str,
    source: &'static str,
    send: &'static [Step],
    allow: &'static [Outcome],
    memory: u64,
) -> Attack {
    Attack { proxy: true, ..serve(name, source, send, allow, memory) }
}

const fn deaf(name: &'static str, source: &'static str, send: &'static [Step], memory: u64) -> Attack {
    Attack { deaf: true, ..serve(name, source, send, &[], memory) }
}

const CALM: &[Outcome] = &[GoAway(ENHANCE_YOUR_CALM)];

const ATTACKS: &[Attack] = &[
    // Resets.
    serve(
        "requests and their resets in one go",
        "CVE-2023-44487 (rapid reset)",
        &[Times(5000, &[headers(WHOLE, EACH, &[LARGE]), reset(EACH, CANCEL)])],
        &[GoAway(ENHANCE_YOUR_CALM), Fine],
        16,
    ),
    serve(
        "requests that are reset once they are under way",
        "CVE-2023-44487 (rapid reset)",
        &[Times(500, &[headers(WHOLE, EACH, &[LARGE]), Settle, reset(EACH, CANCEL)])],
        &[GoAway(ENHANCE_YOUR_CALM), Fine],
        16,
    ),
    proxy(
        "requests that are reset while the server behind works on them",
        "CVE-2023-44487 (rapid reset)",
        &[Times(300, &[headers(WHOLE, EACH, &[HANG]), Settle, reset(EACH, CANCEL)])],
        &[GoAway(ENHANCE_YOUR_CALM), Fine],
        16,
    ),
    serve(
        "windows that make the server reset",
        "CVE-2025-8671 (MadeYouReset)",
        &[Times(5000, &[headers(WHOLE, EACH, &[LARGE]), window(EACH, 0)])],
        &[GoAway(ENHANCE_YOUR_CALM), GoAway(PROTOCOL_ERROR)],
        16,
    ),
    serve(
        "overflowing windows that make the server reset",
        "CVE-2025-8671 (MadeYouReset)",
        &[Times(5000, &[headers(WHOLE, EACH, &[LARGE]), window(EACH, 0x7fff_ffff)])],
        CALM,
        16,
    ),
    serve(
        "bodies that make the server reset",
        "CVE-2025-8671 (MadeYouReset)",
        &[Times(
            5000,
            &[headers(HEAD, EACH, &[POST, &[Is("content-length", "1")]]), data(NONE, EACH, b"test")],
        )],
        CALM,
        16,
    ),
    serve(
        "malformed requests without end",
        "CVE-2019-9514 (reset flood)",
        &[Times(5000, &[headers(WHOLE, EACH, &[GET, &[Is("connection", "close")]])])],
        CALM,
        16,
    ),
    proxy(
        "more streams than are allowed, without end",
        "RFC 9113 section 5.1.2",
        &[Times(5000, &[headers(WHOLE, EACH, &[HANG])])],
        CALM,
        32,
    ),
    // Heads.
    serve(
        "a head without end",
        "CVE-2024-27316 (CONTINUATION flood)",
        &[headers(END, 1, &[GET]), Times(20_000, &[more(NONE, 1, &[&[Long("x-a", 1000)]])])],
        &[GoAway(ENHANCE_YOUR_CALM), GoAway(COMPRESSION_ERROR), Closed],
        16,
    ),
    serve(
        "a head of empty pieces without end",
        "CVE-2024-27316 (CONTINUATION flood)",
        &[headers(END, 1, &[GET]), Times(100_000, &[more(NONE, 1, &[])])],
        CALM,
        16,
    ),
    serve(
        "a head of empty names and values",
        "CVE-2019-9516 (0-length headers leak)",
        &[headers(WHOLE, 1, &[GET, &[Many(5000, &[0, 0, 0])]])],
        &[Reset(1, PROTOCOL_ERROR), GoAway(PROTOCOL_ERROR), GoAway(COMPRESSION_ERROR)],
        16,
    ),
    serve(
        "a head that grows a thousandfold when it is decoded",
        "CVE-2016-6581 (HPACK bomb)",
        &[
            headers(WHOLE, 1, &[GET, &[Hpack(b"\x40\x01a\x7f\xa1\x1e"), Many(4000, b"a")]]),
            Finish(1),
            headers(END, 3, &[GET]),
            Times(4, &[more(NONE, 3, &[&[Many(16_000, &[0x80 | 62])]])]),
            more(HEAD, 3, &[]),
        ],
        &[Answer(3, 431), Reset(3, PROTOCOL_ERROR), GoAway(ENHANCE_YOUR_CALM), GoAway(COMPRESSION_ERROR)],
        16,
    ),
    serve(
        "a cookie in very many crumbs",
        "RFC 9113 section 10.5.1",
        &[
            headers(END, 1, &[GET]),
            // The name is the table's; a crumb takes three bytes here, and 39 by RFC 9113's count.
            Times(2, &[more(NONE, 1, &[&[Many(5000, b"\x0f\x11\0")]])]),
            more(HEAD, 1, &[]),
        ],
        &[Answer(1, 431), Reset(1, PROTOCOL_ERROR), GoAway(ENHANCE_YOUR_CALM)],
        16,
    ),
    serve(
        "the table's size changed again and again",
        "RFC 7541 section 4.2",
        &[Times(2000, &[headers(WHOLE, EACH, &[&[Hpack(b"\x20\x3f\xe1\x1f")], WITHOUT_BODY]), Settle])],
        &[Fine],
        16,
    ),
    // Floods of what has to be answered.
    deaf(
        "PING without end, answers unread",
        "CVE-2019-9512 (ping flood)",
        &[Times(400_000, &[raw(PING, NONE, 0, &[0; 8])])],
        16,
    ),
    deaf(
        "SETTINGS without end, answers unread",
        "CVE-2019-9515 (settings flood)",
        &[Times(400_000, &[settings(&[])])],
        16,
    ),
    deaf(
        "SETTINGS that change all windows, without end",
        "CVE-2019-9515 (settings flood)",
        &[
            Times(100, &[headers(WHOLE, EACH, &[LARGE])]),
            Times(20_000, &[settings(&[(INITIAL_WINDOW_SIZE, 0)]), settings(&[(INITIAL_WINDOW_SIZE, 100)])]),
        ],
        48,
    ),
    deaf(
        "requests without end, answers unread",
        "CVE-2019-9517 (internal data buffering)",
        &[
            window(0, 0x7000_0000),
            settings(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]),
            Times(5000, &[headers(WHOLE, EACH, &[LARGE])]),
        ],
        128,
    ),
    // Floods of what costs nothing to send.
    proxy(
        "empty DATA without end",
        "CVE-2019-9518 (empty frames flood)",
        &[headers(HEAD, 1, &[HANG]), Times(200_000, &[data(NONE, 1, b"")])],
        &[Fine, GoAway(ENHANCE_YOUR_CALM)],
        16,
    ),
    serve(
        "PRIORITY without end",
        "CVE-2019-9513 (resource loop)",
        &[Times(100_000, &[raw(PRIORITY, NONE, EACH, &[0, 0, 0, 0, 255])])],
        &[Fine, GoAway(ENHANCE_YOUR_CALM)],
        16,
    ),
    serve(
        "WINDOW_UPDATE without end",
        "RFC 9113 section 10.5",
        &[Times(100_000, &[window(0, 1)])],
        &[Fine, GoAway(ENHANCE_YOUR_CALM)],
        16,
    ),
    serve(
        "frames of unknown types without end",
        "RFC 9113 section 10.5",
        &[Times(100_000, &[raw(0xee, 0xff, 0, &[0; 8])])],
        &[Fine, GoAway(ENHANCE_YOUR_CALM)],
        16,
    ),
    // Windows.
    serve(
        "answers for which there is no room, on all streams",
        "CVE-2019-9517 (internal data buffering)",
        &[settings(&[(INITIAL_WINDOW_SIZE, 0)]), Times(100, &[headers(WHOLE, EACH, &[LARGE])])],
        &[Fine],
        48,
    ),
    serve(
        "an answer a byte at a time",
        "CVE-2019-9511 (data dribble)",
        &[
            settings(&[(INITIAL_WINDOW_SIZE, 1)]),
            headers(WHOLE, 1, &[LARGE]),
            Begun(1),
            Times(2000, &[window(1, 1), Settle]),
        ],
        &[Fine],
        16,
    ),
    Attack {
        hasty: true,
        ..proxy(
            "answers through a proxy for which there is no room are given up",
            "CVE-2019-9517 (internal data buffering)",
            &[settings(&[(INITIAL_WINDOW_SIZE, 0)]), Times(50, &[headers(WHOLE, EACH, &[GET])])],
            &[Closed, Reset(99, CANCEL), Reset(99, INTERNAL_ERROR)],
            16,
        )
    },
];
