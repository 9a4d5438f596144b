//! The bench `situations`: one file, two links and what links get into, fetched by `mphttp get`, by plain TCP on the better
//! link, by Go and by libcurl. What counts is what a user has: the time from the start of a program to its end, and whether
//! the file is the one that was served.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use netlab::Lab;

use crate::programs::Peers;
use crate::report::{self, Environment, said_by};
use crate::scratch::Scratch;

mod clients;
mod fetch;
mod outcome;
mod rows;
mod soak;
mod table;
mod watch;

use clients::{Client, Clients};
use fetch::{Served, fetch};
use outcome::Row;

/// What the bench needs to be told.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    peers: Peers,
    /// A Python with pycurl
    #[arg(long)]
    python: PathBuf,
    /// The program that fetches with libcurl
    #[arg(long)]
    curl_get: PathBuf,
    /// The situations to measure, by number; all of them if none is given
    #[arg(long, value_delimiter = ',', value_parser = clap::value_parser!(u8).range(1..=rows::ALL.len() as i64))]
    rows: Vec<u8>,
    /// The clients to measure; all of them if none is given
    #[arg(long = "client", value_delimiter = ',', value_enum)]
    clients: Vec<Client>,
    /// How many transfers with random failures follow
    #[arg(long, default_value_t = 1000)]
    transfers: u32,
}

/// Measures and writes the table.
///
/// # Errors
/// When a lab, a server, a program or a file can't be made; not when a client fails.
pub fn run(args: &Args, quick: bool, out: &Path) -> Result<()> {
    let rounds = if quick { 1 } else { 3 };
    let all = [Client::Tcp, Client::Mphttp, Client::Go, Client::Curl];
    let chosen: Vec<_> =
        all.into_iter().filter(|client| args.clients.is_empty() || args.clients.contains(client)).collect();
    let clients = Clients { paths: &args.peers.paths, python: &args.python, curl_get: &args.curl_get };
    let scratch = Scratch::new()?;
    let mut served: Vec<(u64, Served)> = Vec::new();
    let mut measured = Vec::new();
    for (number, situation) in (1_u8..).zip(&rows::ALL) {
        if !args.rows.is_empty() && !args.rows.contains(&number) {
            continue;
        }
        let megabytes = situation.megabytes(quick);
        if !served.iter().any(|(size, _)| *size == megabytes) {
            let name = if megabytes == 1 { "small" } else { "large" };
            served.push((megabytes, Served::new(&scratch, name, megabytes)?));
        }
        let (_, file) = served.iter().find(|(size, _)| *size == megabytes).context("no file of that size")?;
        let mut row = Row::new(number, situation, megabytes, &chosen);
        for round in 0..rounds {
            // In turning order, so that whatever else the machine does meets them all alike.
            for turn in 0..chosen.len() {
                let index = (round + turn) % chosen.len();
                let client = chosen[index];
                let fetched = fetch(situation, client, &clients, &scratch, file)
                    .with_context(|| format!("row {number}, {}", client.name()))?;
                let complaint =
                    fetched.complaint.as_ref().map(|text| format!(" ({text})")).unwrap_or_default();
                eprintln!(
                    "row {number}, round {}, {}: {:?} after {:.3} s{complaint}",
                    round + 1,
                    client.name(),
                    fetched.end,
                    fetched.seconds,
                );
                row.columns[index].fetches.push(fetched);
            }
        }
        measured.push(row);
    }
    let here = environment(args)?;
    let mut text = table::markdown(&chosen, &measured, rounds, quick, &here);
    eprintln!("\n{text}");
    let soak =
        soak::run(&args.peers.paths, &scratch, if quick { args.transfers / 20 } else { args.transfers })?;
    eprintln!("{}", soak.text());
    for complaint in &soak.complaints {
        eprintln!("{complaint}");
    }
    text += &soak.text();
    let data =
        serde_json::json!({ "quick": quick, "environment": here, "rows": measured, "random_failures": soak });
    report::write(out, "situations", text, &data)
}

fn environment(args: &Args) -> Result<Environment> {
    let version =
        "import pycurl; print(dict(part.split('/', 1) for part in pycurl.version.split())['libcurl'])";
    // Hosts of the lab have the machine's.
    let congestion_control = Lab::new()?.host("any")?.sysctl_get("net.ipv4.tcp_congestion_control")?;
    Ok(Environment::here(vec![
        ("rustc".into(), said_by("rustc", &["--version"]).replace("rustc ", "")),
        args.peers.go(),
        ("libcurl".into(), said_by(&args.python.to_string_lossy(), &["-c", version])),
        ("tcp_congestion_control".into(), congestion_control),
    ]))
}
