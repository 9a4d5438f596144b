//! What goes wrong, drawn from a seed: each kind as often as the others, in an order of its own each time.

use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use netlab::{After, BoxKind, Segments};

use super::{
    ledger::Ledger,
    traffic,
    world::{Random, World},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A link swallows everything.
    BlackHole,
    /// A link loses its carrier on both hosts.
    Carrier,
    /// The client loses its address on a link, and gets it back.
    Address,
    /// The client gets another address on a link.
    Renumber,
    /// A box takes MPTCP's options out of every segment.
    Strip,
    /// A box does so after a while, in the middle of connections.
    StripLate,
    /// A box swallows SYNs with MPTCP.
    DropSyns,
    /// A box answers them with a reset.
    ResetSyns,
    /// A link loses one frame in twenty.
    Loss,
    /// The disk for uploads is full.
    UploadsFull,
    /// The disk for downloads is full.
    DownloadsFull,
    /// A server is replaced by another process (SIGUSR2).
    Replace,
    /// A server or the proxy is killed, and started anew.
    Kill,
    /// Clients take all descriptors of a server that has few.
    Crowd,
    /// Clients reset their connections, or stop reading and vanish, in the middle of an answer.
    Vanish,
}

impl Kind {
    pub const ALL: [Self; 15] = [
        Self::BlackHole,
        Self::Carrier,
        Self::Address,
        Self::Renumber,
        Self::Strip,
        Self::StripLate,
        Self::DropSyns,
        Self::ResetSyns,
        Self::Loss,
        Self::UploadsFull,
        Self::DownloadsFull,
        Self::Replace,
        Self::Kill,
        Self::Crowd,
        Self::Vanish,
    ];

    /// The box of it.
    fn middlebox(self) -> Option<BoxKind> {
        match self {
            Self::Strip => Some(BoxKind::StripMptcp { segments: Segments::All, direction: None }),
            Self::StripLate => Some(BoxKind::StripAfter(After::Bytes(200_000))),
            Self::DropSyns => Some(BoxKind::DropMptcpSyn),
            Self::ResetSyns => Some(BoxKind::ResetMptcpSyn),
            _ => None,
        }
    }

    fn is_of_link(self) -> bool {
        self.middlebox().is_some()
            || matches!(self, Self::BlackHole | Self::Carrier | Self::Address | Self::Loss)
    }
}

/// A trouble that lasts.
struct Lasting {
    kind: Kind,
    link: usize,
    ends: Instant,
    file: Option<PathBuf>,
}

pub struct Troubles {
    random: Random,
    came: BTreeMap<Kind, u64>,
    deck: Vec<Kind>,
    /// The client's number on each link.
    numbers: [u8; 2],
}

impl Troubles {
    pub fn new(random: Random) -> Self {
        Self { random, came: BTreeMap::new(), deck: Vec::new(), numbers: [1, 1] }
    }

    pub fn came(&self, kind: Kind) -> u64 {
        self.came.get(&kind).copied().unwrap_or(0)
    }

    pub fn table(&self) -> String {
        let came: Vec<_> = self.came.iter().map(|(kind, count)| format!("{kind:?} {count}")).collect();
        format!("troubles: {}", came.join(", "))
    }

    fn draw(&mut self) -> Kind {
        if self.deck.is_empty() {
            self.deck = Kind::ALL.to_vec();
            for index in (1..self.deck.len()).rev() {
                let other = self.random.below(index as u64 + 1) as usize;
                self.deck.swap(index, other);
            }
        }
        self.deck.pop().unwrap()
    }

    /// Lets troubles come for so long; when it returns, all of them are over.
    pub fn come(&mut self, world: &mut World, ledger: &Ledger, time: Duration) {
        let end = Instant::now() + time;
        let mut lasting: Vec<Lasting> = Vec::new();
        while Instant::now() < end {
            let kind = self.draw();
            let link = self.random.below(2) as usize;
            let lasts = Duration::from_millis(300 + self.random.below(1700));
            let pause = Duration::from_millis(200 + self.random.below(700));
            // A link has one trouble at a time, and so has a disk.
            while let Some(index) = lasting.iter().position(|other| {
                other.kind == kind
                    || (other.link == link
                        && other.kind.is_of_link()
                        && (kind.is_of_link() || kind == Kind::Renumber))
            }) {
                let other = lasting.swap_remove(index);
                std::thread::sleep(other.ends.saturating_duration_since(Instant::now()));
                over(world, &other);
            }
            let file = self.begin(world, ledger, kind, link);
            *self.came.entry(kind).or_default() += 1;
            lasting.push(Lasting { kind, link, ends: Instant::now() + lasts, file });
            std::thread::sleep(pause);
            let now = Instant::now();
            lasting.retain(|trouble| {
                let goes_on = trouble.ends > now;
                if !goes_on {
                    over(world, trouble);
                }
                goes_on
            });
        }
        lasting.iter().for_each(|trouble| over(world, trouble));
    }

    fn begin(&mut self, world: &mut World, ledger: &Ledger, kind: Kind, at: usize) -> Option<PathBuf> {
        let link = &world.links[at];
        match kind {
            Kind::BlackHole => link.set_black_hole(true).unwrap(),
            Kind::Carrier => link.set_carrier(false).unwrap(),
            Kind::Address => link.take_address(&world.client).unwrap(),
            Kind::Loss => link.set_loss(0.05).unwrap(),
            Kind::Renumber => {
                self.numbers[at] = if self.numbers[at] >= 200 { 3 } else { self.numbers[at].max(2) + 1 };
                link.renumber(&world.client, self.numbers[at]).unwrap();
                world.lab.enable_multipath(&world.client, &world.server).unwrap();
            }
            Kind::Strip | Kind::StripLate | Kind::DropSyns | Kind::ResetSyns => {
                link.set_box(kind.middlebox()).unwrap();
            }
            Kind::UploadsFull => return Some(fill(world.path("uploads").join("filler"))),
            Kind::DownloadsFull => return Some(fill(world.path("downloads").join("filler"))),
            Kind::Replace => {
                // The proxy has no such signal.
                let which = self.random.below(world.processes.len() as u64 - 1) as usize;
                world.processes[which].replace();
            }
            Kind::Kill => {
                let which = self.random.below(world.processes.len() as u64) as usize;
                world.processes[which].kill_and_start();
            }
            Kind::Crowd => traffic::crowd(world),
            Kind::Vanish => traffic::vanish(world, ledger, self.random.below(u64::MAX)),
        }
        None
    }
}

fn over(world: &World, trouble: &Lasting) {
    let link = &world.links[trouble.link];
    match trouble.kind {
        Kind::BlackHole => link.set_black_hole(false).unwrap(),
        Kind::Carrier => link.set_carrier(true).unwrap(),
        Kind::Address => link.give_address(&world.client).unwrap(),
        Kind::Loss => link.set_loss(0.0).unwrap(),
        kind if kind.middlebox().is_some() => link.set_box(None).unwrap(),
        _ => {}
    }
    if let Some(file) = &trouble.file {
        fs::remove_file(file).unwrap();
    }
}

/// Writes a file until there is no room.
fn fill(path: PathBuf) -> PathBuf {
    let mut file = fs::File::create(&path).unwrap();
    let block = vec![0; 1 << 16];
    while file.write_all(&block).is_ok() {}
    path
}
