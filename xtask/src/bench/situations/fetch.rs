//! One fetch by one client in one situation, on hosts and links of its own: what a kernel remembers of one client
//! would be the next one's surprise.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use netlab::{Host, Lab, Link};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::clients::{Client, Clients};
use super::rows::{NAMES, Situation, Trouble, Wanted};
use super::watch::{Meter, Watch};
use crate::programs::{Place, SharedFile, Who};
use crate::scratch::Scratch;

const PORT: u16 = 8000;
/// How long both links are dead.
const AWAY: Duration = Duration::from_secs(10);
/// So long without a wait for the kernel's lock, and the hosts of the fetch before are gone.
const QUIET: Duration = Duration::from_millis(200);
/// After so long a fetch begins whatever the kernel does.
const PATIENCE: Duration = Duration::from_secs(5);
/// The last number of the client's addresses when it is back.
const NEW_NUMBER: u8 = 77;

/// How a client ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Well, and the file is the one that was served.
    Whole,
    /// Well, but the file is another one.
    Wrong,
    /// With an error.
    Failed,
    /// Not in time.
    Hung,
}

/// What became of a fetch.
#[derive(Serialize)]
pub struct Fetch {
    pub end: End,
    /// From the start of the program to its end.
    pub seconds: f64,
    /// From the start of the program to the first bytes at the client's interfaces.
    pub first_bytes_seconds: Option<f64>,
    /// The longest time in which next to nothing arrived there.
    pub longest_gap_seconds: f64,
    /// What arrived there over each link, all headers included.
    pub link_bytes: Vec<u64>,
    #[serde(flatten)]
    pub told: Told,
    /// The last line of its complaints.
    pub complaint: Option<String>,
}

/// What a client tells of its connection.
#[derive(Default, Serialize, Deserialize)]
pub struct Told {
    pub connect_seconds: Option<f64>,
    protocol: Option<String>,
    strategy: Option<serde_json::Value>,
}

/// A file to fetch, with its checksum.
pub struct Served {
    pub file: SharedFile,
    sum: [u8; 32],
}

impl Served {
    /// Makes a file of so many megabytes.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn new(scratch: &Scratch, name: &'static str, megabytes: u64) -> Result<Self> {
        let file = scratch.file(name, megabytes * 1_000_000)?;
        let sum = sum(&scratch.served().join(name))?;
        Ok(Self { file, sum })
    }
}

pub fn sum(path: &Path) -> Result<[u8; 32]> {
    let mut hash = Sha256::new();
    let mut file = File::open(path).with_context(|| format!("can't open {}", path.display()))?;
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hash.finalize().into()),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// The hosts, their links, and what happens to them.
struct Net {
    /// Kept as long as its hosts are needed.
    _lab: Lab,
    client: Host,
    server: Host,
    links: [Link; 2],
    meter: Meter,
    trouble: Trouble,
    /// When both links died.
    away_since: Option<Instant>,
    half_way: bool,
}

impl Net {
    fn new(situation: &Situation) -> Result<Self> {
        let lab = Lab::new()?;
        let (client, server) = (lab.host("client")?, lab.host("server")?);
        let [first, second] = situation.specs();
        let links = [lab.link(&client, &server, first)?, lab.link(&client, &server, second)?];
        // So that those who leave everything to the kernel have both links too.
        lab.enable_multipath(&client, &server)?;
        let (meter, trouble) = (Meter::new(&client)?, situation.trouble);
        Ok(Self { _lab: lab, client, server, links, meter, trouble, away_since: None, half_way: false })
    }

    /// What is wrong from the beginning.
    fn begin(&self) -> Result<()> {
        match self.trouble {
            Trouble::Unplugged => self.links[1].set_carrier(false)?,
            Trouble::HostWithout => self.client.sysctl("net.mptcp.enabled", "0")?,
            Trouble::DeadRoute => self.links[0].set_black_hole(true)?,
            _ => {}
        }
        Ok(())
    }

    /// What happens while a transfer runs, of which so much is there.
    fn go_on(&mut self, share: f64) -> Result<()> {
        if share >= 0.5 && !self.half_way {
            self.half_way = true;
            match self.trouble {
                Trouble::DiesHalfWay => self.links[0].set_black_hole(true)?,
                Trouble::AwayHalfWay => {
                    for link in &self.links {
                        link.set_black_hole(true)?;
                        link.take_address(&self.client)?;
                    }
                    self.away_since = Some(Instant::now());
                }
                _ => {}
            }
        }
        if self.away_since.is_some_and(|since| since.elapsed() >= AWAY) {
            self.away_since = None;
            for link in &self.links {
                link.renumber(&self.client, NEW_NUMBER)?;
                link.set_black_hole(false)?;
            }
        }
        Ok(())
    }

    /// What has arrived at the client's interfaces.
    fn arrived(&self) -> Result<[u64; 2]> {
        self.meter.received(NAMES)
    }

    /// Waits until the kernel has cleared away the hosts of the fetch before: meanwhile it holds a lock that every
    /// question about interfaces and routes waits for, such as those of a client that starts.
    fn settle(&self) -> Result<()> {
        let begun = Instant::now();
        let mut quiet_since = begun;
        while quiet_since.elapsed() < QUIET && begun.elapsed() < PATIENCE {
            let asked = Instant::now();
            self.links[0].has_carrier(&self.client)?;
            if asked.elapsed() > Duration::from_millis(2) {
                quiet_since = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }
}

/// Lets `client` fetch a file in `situation`.
///
/// # Errors
/// When hosts, links, the server or the program can't be made or started; not when the fetch fails.
pub fn fetch(
    situation: &Situation,
    client: Client,
    clients: &Clients<'_>,
    scratch: &Scratch,
    served: &Served,
) -> Result<Fetch> {
    let mut net = Net::new(situation)?;
    let place = Place::On(&net.server);
    let server = clients.paths.serve(Who::Mphttp, situation.listens(), PORT, &scratch.served(), place)?;
    net.begin()?;
    let address = net.links[situation.address_on].address(&net.server)?;
    let url = format!("http://{address}:{PORT}/{}", served.file.name);
    let output = scratch.emptied("received")?.join("got");
    let command = clients.command(client, situation, &url, &output);

    net.settle()?;
    let before = net.arrived()?;
    let begun = Instant::now();
    let mut child = net.client.spawn(command).with_context(|| format!("can't start {}", client.name()))?;
    let run = watched(&mut child, begun, situation, &mut net, before, served.file.size);
    if run.is_err() {
        let _ = child.kill();
        let _ = child.wait();
    }
    let Run { well, seconds, watch } = run?;
    let arrived = net.arrived()?;
    drop(server);

    let (mut told, mut complaints) = (String::new(), String::new());
    if let (Some(mut stdout), Some(mut stderr)) = (child.stdout.take(), child.stderr.take()) {
        stdout.read_to_string(&mut told)?;
        stderr.read_to_string(&mut complaints)?;
    }
    let end = match well {
        None => End::Hung,
        Some(false) => End::Failed,
        Some(true) if output.is_file() && sum(&output)? == served.sum => End::Whole,
        Some(true) => End::Wrong,
    };
    Ok(Fetch {
        end,
        seconds: seconds.as_secs_f64(),
        first_bytes_seconds: watch.first().map(|first| first.as_secs_f64()),
        longest_gap_seconds: watch.longest_gap(seconds).as_secs_f64(),
        link_bytes: arrived.iter().zip(before).map(|(arrived, before)| arrived - before).collect(),
        // Whoever fails tells other things, or nothing.
        told: serde_json::from_str(&told).unwrap_or_default(),
        complaint: complaints.lines().last().map(str::to_owned),
    })
}

struct Run {
    /// Whether it ended well; nothing if it had to be ended.
    well: Option<bool>,
    seconds: Duration,
    watch: Watch,
}

/// Follows a program to its end, or to the limit, and lets happen what is to happen meanwhile.
fn watched(
    child: &mut Child,
    begun: Instant,
    situation: &Situation,
    net: &mut Net,
    before: [u64; 2],
    size: u64,
) -> Result<Run> {
    let every = Duration::from_millis(if matches!(situation.wanted, Wanted::FirstBytes(_)) { 1 } else { 5 });
    let mut watch = Watch::default();
    let mut next = begun;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Run { well: Some(status.success()), seconds: begun.elapsed(), watch });
        }
        let now = begun.elapsed();
        if now >= situation.limit() {
            child.kill()?;
            child.wait()?;
            return Ok(Run { well: None, seconds: now, watch });
        }
        if Instant::now() >= next {
            next = Instant::now() + every;
            let bytes = net.arrived()?.iter().sum::<u64>() - before.iter().sum::<u64>();
            watch.note(begun.elapsed(), bytes);
            net.go_on(bytes as f64 / size as f64)?;
        }
        std::thread::sleep(Duration::from_micros(500));
    }
}
