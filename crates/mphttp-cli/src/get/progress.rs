//! What a terminal shows while the body comes: a bar and, under it, a row per path.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use mphttp::{Transport, Watch};
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
    watch: Watch,
}

/// A path's row, and its bytes in the last moments.
struct Row {
    key: (Option<SocketAddr>, Option<SocketAddr>),
    bar: ProgressBar,
    looks: VecDeque<(Instant, u64)>,
}

impl Progress {
    /// Shows nothing.
    pub const fn hidden() -> Self {
        Self { shown: None }
    }

    /// Shows the progress of a body of this length, if it is known.
    pub fn start(length: Option<u64>, watch: Watch) -> Self {
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let bar = all.add(length.map_or_else(ProgressBar::no_length, ProgressBar::new));
        let template = if length.is_some() {
            "{wide_bar} {decimal_bytes}/{decimal_total_bytes}  {msg}  {eta}"
        } else {
            "{spinner} {decimal_bytes}  {msg}  {elapsed}"
        };
        // A template that is wrong shows in every test; the default is no worse than a panic.
        bar.set_style(
            ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar()),
        );
        Self { shown: Some(Shown { all, bar, rows: Vec::new(), watch }) }
    }

    /// Shows how far it is.
    pub fn look(&mut self, received: u64) {
        let Some(shown) = &mut self.shown else { return };
        let (now, transport) = (Instant::now(), shown.watch.transport());
        let mut speed = 0.0;
        let labels = labels(&transport);
        let sum = transport.totals();
        let sum = (sum.bytes_received + sum.bytes_sent).max(1);
        for (path, label) in transport.paths.iter().chain(&transport.gone).zip(labels) {
            let key = (path.local, path.remote);
            let row = match shown.rows.iter_mut().position(|row| row.key == key) {
                Some(index) => &mut shown.rows[index],
                None => {
                    let bar = shown.all.add(ProgressBar::new_spinner());
                    bar.set_style(
                        ProgressStyle::with_template("  {msg}")
                            .unwrap_or_else(|_| ProgressStyle::default_spinner()),
                    );
                    shown.rows.push(Row { key, bar, looks: VecDeque::new() });
                    let last = shown.rows.len() - 1;
                    &mut shown.rows[last]
                }
            };
            let bytes = path.bytes_received.unwrap_or(0) + path.bytes_sent.unwrap_or(0);
            let rate = row.rate(now, bytes);
            speed += rate;
            let state = if path.state == PathState::Established { "" } else { path.state.as_str() };
            row.bar.set_message(format!(
                "{label:<24} {:>9}  {:>3.0}% {state}",
                bits(rate),
                bytes as f64 * 100.0 / sum as f64
            ));
        }
        shown.bar.set_message(bits(speed));
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
        let mut row = Row { key: (None, None), bar, looks: VecDeque::new() };
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
