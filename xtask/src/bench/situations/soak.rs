//! Many transfers, during each of which links fail and come back at random: what counts is that every file is the one that
//! was served.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use mphttp::Protocol;
use netlab::{Lab, Link, LinkSpec, Rate};
use serde::{Deserialize, Serialize};

use super::fetch::sum;
use crate::programs::{Paths, Place, SharedFile, Who};
use crate::scratch::Scratch;

const PORT: u16 = 8000;
/// Pairs of hosts, at work at the same time. Links of 50 Mbit/s leave the machine idle enough that nothing is late.
const PAIRS: u32 = 8;
const RATE: u64 = 50;
/// Megabytes of a file: about a second over both links.
pub const MEGABYTES: u64 = 8;

/// What became of the transfers.
#[derive(Default, Serialize)]
pub struct Soak {
    pub transfers: u32,
    /// Those that brought the file that was served.
    pub whole: u32,
    /// Those that said they brought it, and did not.
    pub wrong: u32,
    /// Those that ended with an error.
    pub failed: u32,
    /// Connections that failed under way and were replaced.
    pub replaced: u64,
    /// The first few complaints.
    pub complaints: Vec<String>,
}

#[derive(Deserialize)]
struct Told {
    failures: u64,
}

/// Runs so many transfers.
///
/// # Errors
/// When a lab, a server or a file can't be made; not when a transfer fails.
pub fn run(paths: &Paths, scratch: &Scratch, transfers: u32) -> Result<Soak> {
    let file = scratch.file("soak", MEGABYTES * 1_000_000)?;
    let wanted = sum(&scratch.served().join(file.name))?;
    let folder = scratch.emptied("soak")?;
    let each = transfers.div_ceil(PAIRS);
    let parts: Vec<Result<Soak>> = thread::scope(|scope| {
        let workers: Vec<_> = (0..PAIRS)
            .map(|number| {
                let (file, wanted, output) = (&file, &wanted, folder.join(number.to_string()));
                scope.spawn(move || pair(paths, scratch, file, wanted, &output, number, each))
            })
            .collect();
        let joined = workers.into_iter().map(|worker| worker.join());
        joined.map(|part| part.unwrap_or_else(|_| Err(anyhow::anyhow!("a worker has panicked")))).collect()
    });
    let mut all = Soak::default();
    for part in parts {
        let part = part?;
        all.transfers += part.transfers;
        all.whole += part.whole;
        all.wrong += part.wrong;
        all.failed += part.failed;
        all.replaced += part.replaced;
        all.complaints.extend(part.complaints);
    }
    all.complaints.truncate(10);
    Ok(all)
}

/// The transfers of one pair of hosts, one after the other.
fn pair(
    paths: &Paths,
    scratch: &Scratch,
    file: &SharedFile,
    wanted: &[u8; 32],
    output: &PathBuf,
    number: u32,
    transfers: u32,
) -> Result<Soak> {
    let lab = Lab::new()?;
    let (phone, server) = (lab.host("client")?, lab.host("server")?);
    let spec = |name: &str| LinkSpec::new().name(name).rate(Rate::mbit(RATE));
    let links = [lab.link(&phone, &server, spec("first"))?, lab.link(&phone, &server, spec("second"))?];
    lab.enable_multipath(&phone, &server)?;
    // Half of them without Multipath TCP at the server.
    let protocol = if number.is_multiple_of(2) { Protocol::Mptcp } else { Protocol::Tcp };
    let _serving = paths.serve(Who::Mphttp, protocol, PORT, &scratch.served(), Place::On(&server))?;
    let url = format!("http://{}:{PORT}/{}", links[0].address(&server)?, file.name);
    let mut random = Random(0x9e37_79b9_7f4a_7c15 ^ (u64::from(number) << 32));
    let mut all = Soak::default();
    for _ in 0..transfers {
        let _ = std::fs::remove_file(output);
        let mut command = Command::new(paths.program(Who::Mphttp));
        command.args(["get", &url, "--json", "-q", "--noproxy", "-o"]).arg(output);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = phone.spawn(command).context("can't start a transfer")?;
        // Troubles go on until it is over: a transfer that meets none is none of these.
        let mut troubles = 0;
        while child.try_wait()?.is_none() && troubles < 50 {
            trouble(&links, &phone, &mut random)?;
            troubles += 1;
        }
        let ended = child.wait_with_output()?;
        all.transfers += 1;
        if !ended.status.success() {
            all.failed += 1;
            all.complaints.push(String::from_utf8_lossy(&ended.stdout).trim().to_owned());
            continue;
        }
        let told: Told = serde_json::from_slice(&ended.stdout)?;
        all.replaced += told.failures;
        if sum(output)? == *wanted { all.whole += 1 } else { all.wrong += 1 }
    }
    ensure!(all.transfers == transfers, "transfers were left out");
    Ok(all)
}

/// One link fails for a while: it swallows everything, loses its cable, or loses the client's address.
fn trouble(links: &[Link; 2], phone: &netlab::Host, random: &mut Random) -> Result<()> {
    thread::sleep(Duration::from_millis(random.below(250)));
    let link = if random.below(2) == 0 { &links[0] } else { &links[1] };
    let long = random.below(4) == 0;
    let time = Duration::from_millis(if long { 3000 } else { random.below(500) });
    match random.below(3) {
        0 => {
            link.set_black_hole(true)?;
            thread::sleep(time);
            link.set_black_hole(false)?;
        }
        1 => {
            link.set_carrier(false)?;
            thread::sleep(time);
            link.set_carrier(true)?;
        }
        _ => {
            link.take_address(phone)?;
            thread::sleep(time);
            link.give_address(phone)?;
        }
    }
    Ok(())
}

/// xorshift64: the same failures in every run, as far as the machine lets them be.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

impl Soak {
    /// The paragraph under the table.
    pub fn text(&self) -> String {
        format!(
            "\nRandom failures: {} transfers of {MEGABYTES} MB by `mphttp get` over 2 x {RATE} Mbit/s, half of them from a server \
             without Multipath TCP,\nwhile links swallowed everything, lost their cable or the client's address again and \
             again: {} whole by their SHA-256,\n{} wrong, {} failed; {} connections were replaced.\n",
            self.transfers, self.whole, self.wrong, self.failed, self.replaced
        )
    }
}
