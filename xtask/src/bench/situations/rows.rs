//! The situations: what the two links are like, what happens to them, and what mphttp is to make of it.

use std::time::Duration;

use mphttp::Protocol;
use netlab::{BoxKind, LinkSpec, Rate};

/// One of the two links.
#[derive(Clone, Copy)]
pub struct Line {
    mbit: u64,
    /// One way: a round trip takes twice as long.
    delay: Duration,
    loss: f64,
    middlebox: Option<BoxKind>,
}

/// What is wrong, or goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    Nothing,
    /// The second link's cable is out.
    Unplugged,
    TcpServer,
    /// The client's host has MPTCP switched off.
    HostWithout,
    /// The first link swallows everything once half of the file is there.
    DiesHalfWay,
    /// Both links do, and the client's addresses go; new ones come 10 seconds later.
    AwayHalfWay,
    /// The first link, which has the default route, swallows everything from the beginning.
    DeadRoute,
}

/// What mphttp is to make of a situation.
#[derive(Clone, Copy)]
pub enum Wanted {
    /// The whole file, so many times as fast as plain TCP.
    Ratio(f64),
    /// The whole file, with at most so many seconds in which nothing came.
    Whole(Option<f64>),
    /// The first bytes within so many seconds.
    FirstBytes(f64),
}

/// A situation.
#[derive(Clone, Copy)]
pub struct Situation {
    pub text: &'static str,
    pub links: [Line; 2],
    /// The link on which the server has the address that everybody is told.
    pub address_on: usize,
    /// The link that plain TCP is put on, where one is better than the other.
    pub best: Option<usize>,
    pub trouble: Trouble,
    pub wanted: Wanted,
}

const fn line(mbit: u64) -> Line {
    Line { mbit, delay: Duration::ZERO, loss: 0.0, middlebox: None }
}

const fn far(mbit: u64, delay: u64) -> Line {
    Line { delay: Duration::from_millis(delay), ..line(mbit) }
}

const LOSSY: Line = Line { loss: 0.01, ..far(50, 20) };
const BOXED: Line = Line { middlebox: Some(BoxKind::DropMptcpSyn), ..line(100) };

/// Two links of 100 Mbit/s.
const EVEN: Situation = Situation {
    text: "100 + 100 Mbit/s",
    links: [line(100); 2],
    address_on: 0,
    best: None,
    trouble: Trouble::Nothing,
    wanted: Wanted::Ratio(1.9),
};

/// Links of which the first is the better one.
const fn uneven(text: &'static str, links: [Line; 2], ratio: f64) -> Situation {
    Situation { text, links, best: Some(0), wanted: Wanted::Ratio(ratio), ..EVEN }
}

/// All of them; the first is number 1.
pub const ALL: [Situation; 14] = [
    EVEN,
    uneven("100 + 10 Mbit/s", [line(100), line(10)], 1.04),
    uneven("50 + 5 Mbit/s", [line(50), line(5)], 1.04),
    uneven("200 + 50 Mbit/s", [line(200), line(50)], 1.15),
    uneven("100 Mbit/s at 10 ms + 100 at 80 ms", [far(100, 10), far(100, 80)], 1.7),
    Situation {
        text: "50 Mbit/s with 1 % loss + 50 without, at 20 ms",
        links: [LOSSY, far(50, 20)],
        address_on: 1,
        best: Some(1),
        wanted: Wanted::Ratio(1.0),
        ..EVEN
    },
    Situation { text: "500 + 500 Mbit/s", links: [line(500); 2], wanted: Wanted::Ratio(1.7), ..EVEN },
    Situation {
        text: "100 + 100 Mbit/s, the second unplugged",
        best: Some(0),
        trouble: Trouble::Unplugged,
        wanted: Wanted::Ratio(0.98),
        ..EVEN
    },
    Situation { text: "100 + 100 Mbit/s, a server with TCP only", trouble: Trouble::TcpServer, ..EVEN },
    Situation {
        text: "100 + 100 Mbit/s, MPTCP off on the client's host",
        trouble: Trouble::HostWithout,
        ..EVEN
    },
    Situation {
        text: "the first of 100 + 100 Mbit/s dies silently half-way",
        trouble: Trouble::DiesHalfWay,
        wanted: Wanted::Whole(Some(0.5)),
        ..EVEN
    },
    Situation {
        text: "both of 100 + 100 Mbit/s dead for 10 s half-way, then back with new addresses",
        trouble: Trouble::AwayHalfWay,
        wanted: Wanted::Whole(None),
        ..EVEN
    },
    Situation {
        text: "the default route's link is dead, the second one is not",
        best: Some(1),
        trouble: Trouble::DeadRoute,
        wanted: Wanted::FirstBytes(1.0),
        ..EVEN
    },
    Situation {
        text: "boxes on both links swallow SYNs with MPTCP",
        links: [BOXED; 2],
        wanted: Wanted::FirstBytes(0.3),
        ..EVEN
    },
];

/// The names of the links' interfaces.
pub const NAMES: [&str; 2] = ["first", "second"];

impl Situation {
    /// The two links, in order.
    pub fn specs(&self) -> [LinkSpec; 2] {
        [0, 1].map(|index| {
            let Line { mbit, delay, loss, middlebox } = self.links[index];
            let spec = LinkSpec::new().name(NAMES[index]).rate(Rate::mbit(mbit)).delay(delay).loss(loss);
            middlebox.into_iter().fold(spec, LinkSpec::middlebox)
        })
    }

    /// What the server listens with.
    pub const fn listens(&self) -> Protocol {
        if matches!(self.trouble, Trouble::TcpServer) { Protocol::Tcp } else { Protocol::Mptcp }
    }

    /// How much is fetched, in megabytes.
    pub const fn megabytes(&self, quick: bool) -> u64 {
        match self.wanted {
            Wanted::FirstBytes(_) => 1,
            _ if quick => 20,
            _ => 100,
        }
    }

    /// When a client that has not come to an end is ended.
    pub const fn limit(&self) -> Duration {
        Duration::from_secs(match self.wanted {
            Wanted::Ratio(_) => 120,
            Wanted::Whole(_) => 40,
            Wanted::FirstBytes(_) => 15,
        })
    }
}
