//! `mphttp demo`: the main job, seen. Two hosts, two links between them, and the same file three times: over TCP, over
//! MPTCP, and over MPTCP while a link dies half-way.
//!
//! Everything is real (kernel MPTCP, network namespaces, this program's own server and client) and nothing is left
//! behind: no privilege is needed, no packet leaves the machine.

use std::{io::Write, path::PathBuf};

use anyhow::Context;
use clap::Args;

mod live;
mod record;
mod run;

use crate::picture::{self, Panel};
use record::Run;

/// Options of `mphttp demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Draw the throughput of each link over time into an SVG file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    /// Print the results as one JSON object on stdout.
    #[arg(long)]
    json: bool,
    /// Size of the file, in megabytes (10^6 bytes).
    #[arg(long, value_name = "MB", default_value_t = 80, value_parser = clap::value_parser!(u64).range(5..=2000))]
    size: u64,
    /// Rate of each of the two links, in Mbit/s.
    #[arg(long, value_name = "MBIT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    rate: u64,
    /// No live rows, only the results.
    #[arg(short, long)]
    quiet: bool,
}

/// Runs the verb. The process must still have one thread: a user namespace can't be entered with more.
pub fn demo(args: &DemoArgs) -> anyhow::Result<()> {
    // Refused before the wait, not after it; and the name appears only with the whole picture under it.
    let picture =
        args.svg.as_deref().map(|path| picture::unfinished(path).map(|file| (path, file))).transpose()?;
    netlab::enter().context("the demo can't make its own network")?;
    let runs = run::all(args.size * 1_000_000, args.rate, args.quiet)?;
    if let Some((path, file)) = picture {
        picture::finish(file, path, &picture_of(&runs))?;
    }
    let mut stdout = std::io::stdout().lock();
    if args.json {
        serde_json::to_writer_pretty(&mut stdout, &serde_json::json!({ "runs": runs }))?;
        writeln!(stdout)?;
    } else {
        write!(stdout, "{}", table(&runs))?;
        if let Some(path) = &args.svg {
            writeln!(stdout, "\nThe picture is in {}.", path.display())?;
        }
    }
    anyhow::ensure!(runs.iter().all(|run| run.whole), "a file did not arrive whole");
    Ok(())
}

/// The runs as panels of a picture.
fn picture_of(runs: &[Run]) -> String {
    let panels: Vec<Panel<'_>> = runs
        .iter()
        .map(|run| Panel {
            title: format!("{}: {:.1} s, {:.0} Mbit/s", run.title, run.seconds, run.megabits()),
            seconds: run.seconds,
            looks: &run.looks,
            event: run.cut.as_ref().map(|cut| (cut.at_seconds, format!("{} dies", cut.link))),
        })
        .collect();
    picture::draw(&panels, &run::LINKS)
}

/// The closing table.
fn table(runs: &[Run]) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let width = runs.iter().map(|run| run.title.len()).max().unwrap_or(0);
    let _ = write!(text, "{:width$}  {:>7}  {:>11}", "", "time", "rate");
    for link in run::LINKS {
        let _ = write!(text, "  {link:>5}");
    }
    let _ = writeln!(text, "  {:>11}  file", "longest gap");
    for run in runs {
        let _ = write!(text, "{:width$}  {:>5.1} s  {:>4.0} Mbit/s", run.title, run.seconds, run.megabits());
        for link in run::LINKS {
            let _ = write!(text, "  {:>4.0}%", run.share(link) * 100.0);
        }
        let file = if run.whole { "whole" } else { "BROKEN" };
        let _ = writeln!(text, "  {:>8.0} ms  {file}", run.longest_gap_seconds * 1000.0);
    }
    for run in runs.iter().filter(|run| run.why_tcp.is_some_and(|why| why != "not-requested")) {
        let _ = writeln!(text, "\n{}: MPTCP was not used ({}).", run.title, run.why_tcp.unwrap_or_default());
    }
    text
}
