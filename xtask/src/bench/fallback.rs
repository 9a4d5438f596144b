//! The bench `fallback`: what a fetch costs, and whether it works at all, where MPTCP can't be had. Each client meets each
//! situation on hosts of its own, since the kernel's memory of one would be another's surprise.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use mphttp::Protocol;
use netlab::{After, BoxKind, Host, Lab, LinkSpec, Rate, Segments};
use serde::Serialize;

use crate::programs::{Paths, Peers, Place, Who};
use crate::report::{self, Environment, said_by};

const DELAY: Duration = Duration::from_millis(10);
const PORT: u16 = 8000;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Situation {
    Passes,
    TcpServer,
    HostWithout,
    Stripped,
    Dropped,
    Reset,
    DeadRoute,
    StrippedUnderWay,
}

impl Situation {
    const ALL: [Self; 8] = [
        Self::Passes,
        Self::TcpServer,
        Self::HostWithout,
        Self::Stripped,
        Self::Dropped,
        Self::Reset,
        Self::DeadRoute,
        Self::StrippedUnderWay,
    ];

    const fn text(self) -> &'static str {
        match self {
            Self::Passes => "MPTCP passes",
            Self::TcpServer => "the server listens with TCP",
            Self::HostWithout => "the client's host has MPTCP off",
            Self::Stripped => "a box strips MPTCP options",
            Self::Dropped => "a box swallows SYNs with MPTCP",
            Self::Reset => "a box resets SYNs with MPTCP",
            Self::DeadRoute => "the default route's link is dead, a second one is not",
            Self::StrippedUnderWay => "a box strips MPTCP options from the first half of 5 MB on",
        }
    }

    const fn file(self) -> &'static str {
        if matches!(self, Self::StrippedUnderWay) { "big" } else { "small" }
    }

    /// Longer than any kernel or client here needs to come to an end by itself, where it does.
    const fn limit(self) -> Duration {
        Duration::from_secs(if matches!(self, Self::StrippedUnderWay) { 60 } else { 15 })
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    Tcp,
    Mphttp,
    Go,
    Curl,
}

impl Client {
    const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "plain TCP (mphttp)",
            Self::Mphttp => "mphttp",
            Self::Go => "Go",
            Self::Curl => "curl by mptcpize",
        }
    }

    fn command(self, paths: &Paths, url: &str, output: &Path) -> Command {
        let mut command = match self {
            Self::Tcp | Self::Mphttp => Command::new(paths.program(Who::Mphttp)),
            Self::Go => Command::new(paths.program(Who::Go)),
            Self::Curl => Command::new("mptcpize"),
        };
        match self {
            Self::Tcp => command.args(["get", url, "-q", "--noproxy", "--protocol", "tcp"]),
            Self::Mphttp => command.args(["get", url, "-q", "--noproxy"]),
            Self::Go => command.args(["get", "-url", url, "-protocol", "mptcp"]),
            Self::Curl => command.args(["run", "curl", "-s", "--noproxy", "*", url]),
        };
        command.arg("-o").arg(output);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }
}

/// What became of a client in a situation.
#[derive(Serialize)]
struct Outcome {
    situation: &'static str,
    client: &'static str,
    /// Seconds from the start of the program to its end, in each round; nothing where it did not end in time.
    seconds: Vec<f64>,
    /// Whether it said that it brought the file, in every round.
    works: bool,
    /// Whether it said so of a file that is not the one that was served, in any round.
    wrong: bool,
    #[serde(skip)]
    limit: Duration,
    /// Whether the kernel then switched MPTCP off for the whole host.
    black_holed: bool,
}

impl Outcome {
    fn text(&self, rounds: usize) -> String {
        let mut seconds = self.seconds.clone();
        seconds.sort_by(f64::total_cmp);
        let time = seconds.get(seconds.len() / 2).map(|median| format!("{median:.3} s"));
        match time {
            _ if self.seconds.len() < rounds => format!("**hangs** (more than {} s)", self.limit.as_secs()),
            Some(time) if self.wrong => format!("**brings wrong bytes as if all were well**, {time}"),
            Some(time) if self.works && self.black_holed => {
                format!("{time}, *then MPTCP is off for the host*")
            }
            Some(time) if self.works => time,
            Some(time) => format!("**fails** after {time}"),
            None => "not run".into(),
        }
    }
}

/// Measures and writes the table.
///
/// # Errors
/// When a lab, a server or a file can't be made.
pub fn run(args: &Peers, quick: bool, out: &Path) -> Result<()> {
    let rounds = if quick { 1 } else { 3 };
    let mut clients = vec![Client::Tcp, Client::Mphttp, Client::Go];
    let curl = Command::new("mptcpize").arg("--help").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if curl.is_ok() {
        clients.push(Client::Curl);
    } else {
        eprintln!("without curl: there is no mptcpize (Debian's package mptcpize)");
    }
    let folder = Folder::new()?;
    let mut outcomes = Vec::new();
    for situation in Situation::ALL {
        for &client in &clients {
            let mut outcome = Outcome {
                situation: situation.text(),
                client: client.name(),
                seconds: Vec::new(),
                works: true,
                wrong: false,
                limit: situation.limit(),
                black_holed: false,
            };
            for _ in 0..rounds {
                fetch(situation, client, &args.paths, &folder.0, &mut outcome)?;
            }
            eprintln!("{}: {}: {}", outcome.situation, outcome.client, outcome.text(rounds));
            outcomes.push(outcome);
        }
    }
    let versions = vec![
        ("rustc".into(), said_by("rustc", &["--version"]).replace("rustc ", "")),
        args.go(),
        ("curl".into(), said_by("curl", &["--version"]).split(' ').nth(1).unwrap_or("unknown").into()),
    ];
    write(out, &clients, &outcomes, rounds, &Environment::here(versions))
}

/// One fetch on fresh hosts.
fn fetch(
    situation: Situation,
    client: Client,
    paths: &Paths,
    folder: &Path,
    outcome: &mut Outcome,
) -> Result<()> {
    let lab = Lab::new()?;
    let (phone, server) = (lab.host("client")?, lab.host("server")?);
    let link = |name: &str| LinkSpec::new().name(name).rate(Rate::mbit(100)).delay(DELAY);
    let kind = match situation {
        Situation::Stripped => Some(BoxKind::StripMptcp { segments: Segments::All, direction: None }),
        Situation::Dropped => Some(BoxKind::DropMptcpSyn),
        Situation::Reset => Some(BoxKind::ResetMptcpSyn),
        Situation::StrippedUnderWay => Some(BoxKind::StripAfter(After::Bytes(2_500_000))),
        _ => None,
    };
    let first = lab.link(&phone, &server, kind.into_iter().fold(link("first"), LinkSpec::middlebox))?;
    lab.link(&phone, &server, link("second"))?;
    let protocol = if situation == Situation::TcpServer { Protocol::Tcp } else { Protocol::Mptcp };
    let serving = paths.serve(Who::Mphttp, protocol, PORT, folder, Place::On(&server))?;
    match situation {
        Situation::HostWithout => phone.sysctl("net.mptcp.enabled", "0")?,
        Situation::DeadRoute => first.set_black_hole(true)?,
        _ => {}
    }
    let name = situation.file();
    let url = format!("http://{}:{PORT}/{name}", first.address(&server)?);
    let output = folder.join("got");
    let _ = fs::remove_file(&output);
    let (seconds, works) = timed(&phone, client.command(paths, &url, &output), outcome.limit)?;
    outcome.seconds.extend(seconds);
    outcome.works &= works;
    outcome.wrong |= works && fs::read(&output)? != fs::read(folder.join(name))?;
    outcome.black_holed |= phone.counters()?.get("MPTcpExtBlackhole").is_some_and(|&count| count > 0);
    drop(serving);
    Ok(())
}

/// Runs a program to its end, or to the limit; says how long it took and whether it ended well.
fn timed(host: &Host, command: Command, limit: Duration) -> Result<(Option<f64>, bool)> {
    let begun = Instant::now();
    let mut child = host.spawn(command).context("can't start a client")?;
    while begun.elapsed() < limit {
        if let Some(status) = child.try_wait()? {
            return Ok((Some(begun.elapsed().as_secs_f64()), status.success()));
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    child.kill()?;
    child.wait()?;
    Ok((None, false))
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("mphttp-bench-{}", std::process::id()));
        fs::create_dir_all(&path).with_context(|| format!("can't make {}", path.display()))?;
        fs::write(path.join("small"), "Hello, world!")?;
        // Bytes among which a piece that is missing, moved or repeated shows.
        let big: Vec<u8> = (0..5_000_000u32).map(|n| (n % 251 + n / 65_536) as u8).collect();
        fs::write(path.join("big"), big)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn write(
    out: &Path,
    clients: &[Client],
    outcomes: &[Outcome],
    rounds: usize,
    here: &Environment,
) -> Result<()> {
    let mut text = String::from("# Falling back\n\n");
    write!(
        text,
        "The time from the start of a program to its end, for a file of 13 bytes (but in the last row) over links with a round trip of \
         {} ms (so plain\nTCP needs two of them and its own start), median of {rounds}. Every client asks for MPTCP but \
         the first.\n\n{} Every sample is in [fallback.json](fallback.json).\n\n",
        2 * DELAY.as_millis(),
        here.text()
    )?;
    let row = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let heads = clients.iter().map(|client| client.name().to_owned());
    text += &row([String::new()].into_iter().chain(heads).collect());
    text += &format!("|---|{}\n", "---|".repeat(clients.len()));
    for situation in Situation::ALL {
        let cells = outcomes.iter().filter(|outcome| outcome.situation == situation.text());
        let cells: Vec<_> = cells.map(|outcome| outcome.text(rounds)).collect();
        ensure!(cells.len() == clients.len(), "a situation lacks a client");
        text += &row([situation.text().to_owned()].into_iter().chain(cells).collect());
    }
    let data = serde_json::json!({ "environment": here, "outcomes": outcomes });
    report::write(out, "fallback", text, &data)
}
