//! `mphttp demo`: the main job, seen. Two hosts, two links between them, and the same file three times: over TCP, over
//! MPTCP, and over MPTCP while a link dies half-way.
//!
//! Everything is real (kernel MPTCP, network namespaces, this program's own server and client) and nothing is left
//! behind: no privilege is needed, no packet leaves the machine.

use std::{fs, io::Write, path::PathBuf};

use anyhow::Context;
use clap::Args;

mod live;
mod record;
mod run;
mod svg;

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
    // Before the minute of waiting, not after.
    let picture = args.svg.as_deref().map(fs::File::create).transpose();
    let picture =
        picture.with_context(|| format!("can't write {:?}", args.svg.as_deref().unwrap_or("".as_ref())))?;
    netlab::enter().context("the demo can't make its own network")?;
    let runs = run::all(args.size * 1_000_000, args.rate, args.quiet)?;
    if let Some(mut picture) = picture {
        let drawn = svg::draw(&runs, &run::LINKS);
        picture.write_all(drawn.as_bytes()).context("can't write the picture")?;
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
