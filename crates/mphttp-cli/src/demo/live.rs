//! The demo's live display: a bar for the file and a row for each link. Nothing where stderr is no terminal.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::looks::Look;

/// How many looks back the shown rate reaches, so that it can be read.
const WINDOW: usize = 5;

/// The rows of one run.
pub struct Live {
    file: ProgressBar,
    rows: Vec<(String, ProgressBar)>,
    looks: Vec<Look>,
    _all: MultiProgress,
}

impl Live {
    /// Rows for a download of `bytes` over these links, each of at most `rate` Mbit/s.
    pub fn new(title: &str, bytes: u64, links: &[&str], rate: u64, quiet: bool) -> Self {
        let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
        let all = MultiProgress::with_draw_target(target);
        let style = |template: &str| {
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars("━╸─")
        };
        let file = all.add(ProgressBar::new(bytes).with_message(title.to_owned()));
        file.set_style(style("{msg:<30} {bar:30.green/dim} {bytes:>10} {elapsed:>4}"));
        let row = style("  {prefix:<28} {bar:30.cyan/dim} {msg}");
        let rows = links.iter().map(|&link| {
            let bar = all.add(ProgressBar::new(rate.max(1)).with_prefix(link.to_owned()));
            bar.set_style(row.clone());
            (link.to_owned(), bar)
        });
        Self { file, rows: rows.collect(), looks: Vec::new(), _all: all }
    }

    /// Shows a look at the connection; `dead` is the link that was cut.
    pub fn show(&mut self, received: u64, look: &Look, dead: Option<&str>) {
        self.file.set_position(received);
        self.looks.push(look.clone());
        let before = self.looks.len().saturating_sub(WINDOW + 1);
        let all: u64 = look.bytes.values().sum();
        for (link, row) in &self.rows {
            let bytes = |look: &Look| look.bytes.get(link).copied().unwrap_or(0);
            let rate = self.looks.get(before).map_or(0.0, |earlier| {
                let seconds = look.at.saturating_sub(earlier.at).max(Duration::from_millis(1)).as_secs_f64();
                bytes(look).saturating_sub(bytes(earlier)) as f64 * 8.0 / 1e6 / seconds
            });
            row.set_position(rate as u64);
            let share = 100.0 * bytes(look) as f64 / all.max(1) as f64;
            let state = if dead == Some(link) { "  cut" } else { "" };
            row.set_message(format!("{rate:>4.0} Mbit/s {share:>3.0}%{state}"));
        }
    }

    /// Leaves the bar as it is and takes the rows away.
    pub fn finish(self) {
        for (_, row) in &self.rows {
            row.finish_and_clear();
        }
        self.file.abandon();
    }
}
