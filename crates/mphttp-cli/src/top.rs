//! `mphttp top`: every MPTCP connection of the host, live, as htop shows processes.

mod board;
mod layout;
mod live;
mod screen;

use std::{
    io::{self, IsTerminal, Write},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context;
use clap::{Args, ValueEnum};
use mptcp_paths::connections::Reader;

use crate::{
    error_reporting::{Failure, say},
    exit::Exit,
};
use board::{Board, Order, View};
use layout::{Columns, Layout};

/// What `mphttp top` takes.
#[derive(Debug, Args)]
pub struct TopArgs {
    /// Print one table and end. Rates are those of one interval, which this waits for.
    #[arg(long)]
    once: bool,
    /// With --once: one JSON object on stdout, for scripts. Rates are bits a second, times milliseconds.
    #[arg(long, requires = "once")]
    json: bool,
    /// How long rates are measured, and the screen stays, in seconds; 0 with --once: don't wait, and give no rates.
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = interval)]
    interval: Duration,
    /// What comes first.
    #[arg(short, long, value_name = "KEY", value_enum, default_value_t = SortKey::Rate)]
    sort: SortKey,
    /// The other way round.
    #[arg(short, long)]
    reverse: bool,
}

/// By what connections are sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum SortKey {
    /// Both directions together, the fastest first.
    Rate,
    /// What is received, the fastest first.
    Receive,
    /// What is sent, the fastest first.
    Send,
    /// Bytes of both directions so far, the most first.
    Bytes,
    /// The longest round trip first.
    Rtt,
    /// The most retransmissions first.
    Retransmits,
    /// The most paths first.
    Paths,
    /// By process number.
    Pid,
    /// By the program's name.
    Program,
}

fn interval(text: &str) -> Result<Duration, String> {
    let wrong = || "give seconds from 0.1 to 3600, or 0".to_owned();
    let number: f64 = text.parse().map_err(|_| wrong())?;
    let allowed = number == 0.0 || (0.1..=3600.0).contains(&number);
    if allowed { Duration::try_from_secs_f64(number).map_err(|_| wrong()) } else { Err(wrong()) }
}

/// Runs the verb.
pub fn run(args: &TopArgs) -> anyhow::Result<()> {
    let order = Order { key: args.sort, reverse: args.reverse };
    let reader = Reader::open()?;
    if args.once {
        return once(args, reader, order);
    }
    let usage = |message: &str| anyhow::Error::from(Failure::new(Exit::Usage, message.to_owned()));
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(usage("top needs a terminal to draw on and for its keys: use --once, or --once --json"));
    }
    if args.interval.is_zero() {
        return Err(usage("--interval 0 is for --once"));
    }
    live::run(reader, order, args.interval)
}

/// One look, or two with an interval between them.
fn once(args: &TopArgs, mut reader: Reader, order: Order) -> anyhow::Result<()> {
    let mut board = Board::default();
    let mut view = board.update(reader.read()?, Instant::now());
    if !args.interval.is_zero() {
        thread::sleep(args.interval);
        view = board.update(reader.read()?, Instant::now());
    }
    view.sort(order);
    let mut text = if args.json {
        serde_json::to_string(&view)? + "\n"
    } else {
        layout::plain(&view, &layout_for(&view))
    };
    // Told apart from what is there, so that a script's table stays a table.
    if !args.json {
        for note in view.notes() {
            say(note);
        }
        if view.connections.is_empty() {
            text = "no MPTCP connections\n".to_owned();
        }
    }
    let written = io::stdout().lock().write_all(text.as_bytes());
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
            Err(Failure::silent(Exit::Write, "the reader of the output has closed it").into())
        }
        other => other.context(Failure::new(Exit::Write, "can't write to stdout")),
    }
}

/// A terminal's width is kept to; in a pipe, nothing is shortened.
fn layout_for(view: &View) -> Layout {
    let terminal = io::stdout().is_terminal().then(ratatui::crossterm::terminal::size);
    match terminal {
        Some(Ok((width, _))) if width >= 20 => Layout::new(width.into(), Columns::Rates),
        _ => Layout::unlimited(view),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_in_bounds() {
        assert_eq!(interval("0.5"), Ok(Duration::from_millis(500)));
        assert_eq!(interval("0"), Ok(Duration::ZERO));
        for text in ["-1", "0.01", "1e9", "inf", "nan", "x", ""] {
            assert!(interval(text).is_err(), "{text}");
        }
    }
}
