//! `mphttp bench`: TCP, Multipath TCP and striped downloads of one URL side by side, in rounds, with the library's own client.

mod plot;
mod report;
mod transfer;

use std::{
    io::{self, IsTerminal, Write},
    path::PathBuf,
    time::Duration,
};

use anyhow::Context;
use clap::Args;
use mphttp::{Client, Protocol, download::Paths, report::public_url};

use crate::{
    error_reporting::{Failure, exit_code, say},
    exit::Exit,
    get::{progress::size, report::json_error},
    picture,
    runtime::block_on_until_signal,
};
use report::Report;
use transfer::{Kind, Limits, Transfer};

/// What `mphttp bench` takes.
#[derive(Debug, Args)]
pub struct BenchArgs {
    /// What to download, again and again; http:// is meant where no scheme is given. A large file tells most.
    url: String,
    /// How many times each is tried; they take turns.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
    /// How long one transfer may last, in seconds, from the server's answer on.
    #[arg(long, value_name = "SECONDS", default_value = "4", value_parser = seconds)]
    seconds: Duration,
    /// How many bytes one transfer may bring, at least 1; 10M is understood.
    #[arg(long, value_name = "SIZE", default_value = "100M", value_parser = bytes)]
    bytes: u64,
    /// The links of the striped transfers: `auto` (every interface with a default route), or interfaces by name.
    #[arg(long, value_name = "auto|NAME[,NAME]...", default_value = "auto", value_parser = paths)]
    paths: Paths,
    /// Draw the throughput of each link over time, for the median round of each, into an SVG file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the results as one JSON object on stdout.
    #[arg(long)]
    json: bool,
    /// Only the results: no line for each transfer.
    #[arg(short, long, visible_short_alias = 's')]
    quiet: bool,
    /// Accept any certificate. Whoever is on the way can then read and change everything.
    #[arg(short = 'k', long)]
    insecure: bool,
    /// Trust the certificates in this PEM file as well as the system's.
    #[arg(long, value_name = "FILE")]
    cacert: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let wrong = || "give seconds from 0.2 to 600".to_owned();
    let number: f64 = text.parse().map_err(|_| wrong())?;
    if !(0.2..=600.0).contains(&number) {
        return Err(wrong());
    }
    Duration::try_from_secs_f64(number).map_err(|_| wrong())
}

fn bytes(text: &str) -> Result<u64, String> {
    match crate::serve_uploads::size(text)? {
        0 => Err("give one byte or more".to_owned()),
        bytes => Ok(bytes),
    }
}

fn paths(text: &str) -> Result<Paths, String> {
    match text.parse() {
        Ok(Paths::Off) => Err("striping takes links: write auto, or interfaces by name".to_owned()),
        other => other.map_err(|error: mphttp::Error| error.to_string()),
    }
}

/// Runs the verb.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let outcome = bench(args);
    if let Err(error) = &outcome
        && args.json
    {
        // The failure itself is what matters; that nobody reads stdout is no second one.
        let _ = crate::get::report::print(&json_error(exit_code(error), &error.to_string()));
    }
    outcome
}

fn bench(args: &BenchArgs) -> anyhow::Result<()> {
    // Refused before the wait, not after it; and the name appears only with the whole picture under it.
    let picture =
        args.svg.as_deref().map(|path| picture::unfinished(path).map(|file| (path, file))).transpose();
    let picture = picture.context(Failure::new(Exit::Write, "there can be no picture"))?;
    let transfers = block_on_until_signal(rounds(args))?;
    let report = Report::new(&public_url(&args.full_url()), args.rounds, args.limits(), transfers);
    if let Some((path, file)) = picture {
        let drawn = picture::finish(file, path, &report.picture());
        drawn.context(Failure::new(Exit::Write, "there is no picture"))?;
    }
    let text = if args.json {
        serde_json::to_string(&report)? + "\n"
    } else {
        let width = ratatui::crossterm::terminal::size().map_or(80, |(width, _)| width.clamp(60, 120));
        let terminal = io::stdout().is_terminal();
        let plot = plot::draw(&report, if terminal { width } else { 80 }, terminal);
        let picture = args.svg.as_ref().map(|path| format!("\nThe picture is in {}.\n", path.display()));
        format!("{}\n{plot}{}{}", report.table(), report.remarks(), picture.unwrap_or_default())
    };
    io::stdout().lock().write_all(text.as_bytes()).context(Failure::new(Exit::Write, "can't write to stdout"))
}

/// All transfers: in each round one of each kind, beginning with another each time, so that none always comes first after
/// a pause or last before the weather changes.
async fn rounds(args: &BenchArgs) -> anyhow::Result<Vec<Transfer>> {
    let (url, limits) = (args.full_url(), args.limits());
    let count = u64::from(args.rounds) * Kind::ALL.len() as u64;
    if !args.quiet {
        say(format!(
            // What is on its way when a limit is reached comes on top.
            "{count} transfers of at most {} s or {} each: about {} in all",
            limits.time.as_secs_f64(),
            size(limits.bytes),
            size(limits.bytes.saturating_mul(count))
        ));
    }
    let mut transfers = Vec::new();
    for round in 0..args.rounds {
        for turn in 0..Kind::ALL.len() {
            let Some(&kind) = Kind::ALL.get((turn + round as usize) % Kind::ALL.len()) else { continue };
            // A client of its own, and with it a connection of its own.
            let client = args.client(kind.protocol())?;
            let transfer = match transfer::run(kind, &client, &url, &args.paths, limits).await {
                Ok(transfer) => transfer,
                // What the very first can't do, the others can't either: a wrong URL, a server that isn't there.
                Err(error) if transfers.is_empty() => return Err(error),
                Err(error) => Transfer::failed(kind, &error),
            };
            if !args.quiet {
                say(format!("round {} of {}: {}", round + 1, args.rounds, transfer.line()));
            }
            transfers.push(transfer);
            // What was still on its way to the one before must not be in the way of the next.
            tokio::time::sleep(transfer::PAUSE).await;
        }
    }
    Ok(transfers)
}

impl BenchArgs {
    fn full_url(&self) -> String {
        if self.url.contains("://") { self.url.clone() } else { format!("http://{}", self.url) }
    }

    const fn limits(&self) -> Limits {
        Limits { time: self.seconds, bytes: self.bytes }
    }

    fn client(&self, protocol: Protocol) -> anyhow::Result<Client> {
        let mut builder = Client::builder()
            .protocol(protocol)
            .connect_timeout(transfer::PATIENCE)
            .read_timeout(transfer::PATIENCE)
            .decompression(false)
            .danger_accept_invalid_certs(self.insecure);
        if let Some(path) = &self.cacert {
            let failed = || Failure::new(Exit::CaCertificate, format!("can't use {}", path.display()));
            let pem = std::fs::read(path).with_context(failed)?;
            builder = builder.add_root_certificate_pem(pem).with_context(failed)?;
        }
        Ok(builder.build()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_in_bounds() {
        assert_eq!(seconds("0.5"), Ok(Duration::from_millis(500)));
        for text in ["0", "0.1", "601", "inf", "nan", "x"] {
            assert!(seconds(text).is_err(), "{text}");
        }
        assert_eq!(bytes("10M"), Ok(10_000_000));
        assert!(bytes("0").is_err() && bytes("x").is_err());
        assert!(paths("off").is_err() && paths("a,,b").is_err());
        assert_eq!(paths("wlan0,wwan0"), Ok(Paths::Interfaces(vec!["wlan0".into(), "wwan0".into()])));
    }
}
