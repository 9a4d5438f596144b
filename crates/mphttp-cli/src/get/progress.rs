//! What a terminal shows while the body comes: a bar and, under it, a row per path or link.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mphttp::{Transport, download};
use mptcp_socket::{Path, PathState};

/// Over how long a speed is measured.
const WINDOW: Duration = Duration::from_secs(1);

/// The display; nothing at all unless it was asked for.
pub struct Progress {
    shown: Option<Shown>,
}

struct Shown {
    all: MultiProgress,
    bar: ProgressBar,
    rows: Vec<Row>,
}

/// What a path, or a link, has carried so far.
pub struct Carried {
    /// Its name, which no other has.
    pub label: String,
    pub bytes: u64,
    /// A word for a state that is not the usual one.
    pub state: &'static str,
}

/// A row, and its bytes in the last moments.
struct Row {
    label: String,
    bar: ProgressBar,
    looks: VecDeque<(Instant, u64)>,
}

impl Progress {
    /// Shows nothing.
    pub const fn hidden() -> Self {
        Self { shown: None }
    }

    /// Whether anything is shown.
    pub const fn is_shown(&self) -> bool {
        self.shown.is_some()
    }

    /// Shows the progress of a body of this length, if it is known.
    pub fn start(length: Option<u64>) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let bar = all.add(ProgressBar::no_length());
        let mut shown = Shown { all, bar, rows: Vec::new() };
        shown.expect(length);
        Self { shown: Some(shown) }
    }

    /// Shows how far a download is.
    pub fn follow(&mut self, progress: &download::Progress) {
        let Some(shown) = &mut self.shown else { return };
        if shown.bar.length() != progress.total {
            shown.expect(progress.total);
        }
        let carried: Vec<Carried> = progress
            .links
            .iter()
            .map(|link| Carried { label: link.interface.clone(), bytes: link.bytes, state: "" })
            .collect();
        let note = match (progress.waiting, progress.stalled) {
            (Some(left), _) => Some(format!("the server asks to wait {:.0} s", left.as_secs_f64())),
            (None, Some(quiet)) => Some(format!("nothing for {:.0} s, still trying", quiet.as_secs_f64())),
            (None, None) => None,
        };
        self.look(progress.bytes, &carried, note);
    }

    /// Shows how far it is, and what each path or link has carried; `note` in place of the speed.
    pub fn look(&mut self, received: u64, carried: &[Carried], note: Option<String>) {
        let Some(shown) = &mut self.shown else { return };
        let now = Instant::now();
        let mut speed = 0.0;
        let sum = carried.iter().map(|carried| carried.bytes).sum::<u64>().max(1);
        for Carried { label, bytes, state } in carried {
            let row = match shown.rows.iter_mut().position(|row| row.label == *label) {
                Some(index) => &mut shown.rows[index],
                None => {
                    let bar = shown.all.add(ProgressBar::new_spinner());
                    bar.set_style(
                        ProgressStyle::with_template("  {msg}")
                            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
                    );
                    shown.rows.push(Row { label: label.clone(), bar, looks: VecDeque::new() });
                    let last = shown.rows.len() - 1;
                    &mut shown.rows[last]
                }
            };
            let rate = row.rate(now, *bytes);
            speed += rate;
            row.bar.set_message(format!(
                "{label:<24} {:>9}  {:>3.0}% {state}",
                bits(rate),
                *bytes as f64 * 100.0 / sum as f64
            ));
        }
        shown.bar.set_message(note.unwrap_or_else(|| bits(speed)));
        shown.bar.set_position(received);
    }

    /// Takes everything off the screen.
    pub fn clear(&mut self) {
        if let Some(shown) = self.shown.take() {
            // A terminal that is gone has nothing to clear.
            let _ = shown.all.clear();
        }
    }
}

impl Shown {
    /// Gives the bar its length.
    fn expect(&mut self, length: Option<u64>) {
        let template = if length.is_some() {
            "{wide_bar} {decimal_bytes}/{decimal_total_bytes}  {msg}  {eta}"
        } else {
            "{spinner} {decimal_bytes}  {msg}  {elapsed}"
        };
        match length {
            Some(length) => self.bar.set_length(length),
            None => self.bar.unset_length(),
        }
        // A template that is wrong shows in every test; the default is no worse than a panic.
        self.bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

impl Row {
    /// Bytes a second over the last moments.
    fn rate(&mut self, now: Instant, bytes: u64) -> f64 {
        self.looks.push_back((now, bytes));
        while self.looks.len() > 2 && self.looks.front().is_some_and(|(at, _)| now - *at > WINDOW) {
            self.looks.pop_front();
        }
        let Some((at, before)) = self.looks.front() else { return 0.0 };
        let seconds = (now - *at).as_secs_f64();
        if seconds > 0.0 { bytes.saturating_sub(*before) as f64 / seconds } else { 0.0 }
    }
}

/// What each path of a connection has carried.
pub fn carried(transport: &Transport) -> Vec<Carried> {
    let paths = transport.paths.iter().chain(&transport.gone);
    paths
        .zip(labels(transport))
        .map(|(path, label)| Carried {
            label,
            bytes: path.bytes_received.unwrap_or(0) + path.bytes_sent.unwrap_or(0),
            state: if path.state == PathState::Established { "" } else { path.state.as_str() },
        })
        .collect()
}

/// A name for each path, living ones first: its interface where that tells them apart, else its address.
pub fn labels(transport: &Transport) -> Vec<String> {
    let paths: Vec<&Path> = transport.paths.iter().chain(&transport.gone).collect();
    let unique = |name: fn(&Path) -> Option<String>, path: &Path| {
        let mine = name(path)?;
        let others = paths.iter().filter(|other| name(other).as_ref() == Some(&mine)).count();
        (others == 1).then_some(mine)
    };
    let address = |address: Option<SocketAddr>| address.map_or("?".to_owned(), |a| a.ip().to_string());
    paths
        .iter()
        .map(|path| {
            unique(|path| path.interface.clone(), path)
                .or_else(|| unique(|path| path.local.map(|local| local.ip().to_string()), path))
                .unwrap_or_else(|| format!("{} to {}", address(path.local), address(path.remote)))
        })
        .collect()
}

/// A rate for people, from bytes a second.
pub fn bits(bytes_per_second: f64) -> String {
    let bits = bytes_per_second * 8.0;
    for (unit, size) in [("Gbit/s", 1e9), ("Mbit/s", 1e6), ("kbit/s", 1e3)] {
        if bits >= size {
            let value = bits / size;
            return if value < 10.0 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") };
        }
    }
    format!("{bits:.0} bit/s")
}

/// A size for people.
pub fn size(bytes: u64) -> String {
    for (unit, size) in [("GB", 1e9), ("MB", 1e6), ("kB", 1e3)] {
        if bytes as f64 >= size {
            return format!("{:.1} {unit}", bytes as f64 / size);
        }
    }
    format!("{bytes} bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(
            [bits(23.4e6), bits(125.0), bits(1e9 / 8.0), bits(0.0)],
            ["187 Mbit/s", "1.0 kbit/s", "1.0 Gbit/s", "0 bit/s"]
        );
        assert_eq!([size(100_000_000), size(1500), size(0)], ["100.0 MB", "1.5 kB", "0 bytes"]);
    }

    #[test]
    fn a_row_shows_the_speed_of_the_last_second() {
        let start = Instant::now();
        let bar = ProgressBar::hidden();
        let mut row = Row { label: String::new(), bar, looks: VecDeque::new() };
        let rates: Vec<f64> = (0..40u32)
            .map(|tick| {
                // A megabyte every 100 ms for two seconds, then nothing.
                let bytes = u64::from(tick.min(20)) * 1_000_000;
                row.rate(start + Duration::from_millis(100) * tick, bytes)
            })
            .collect();
        assert!((rates[20] - 1e7).abs() < 1e6, "{rates:?}");
        assert_eq!(rates[39], 0.0);
    }
}
