//! What is written: a Markdown table for people with all that is needed to judge it, and beside it the same as JSON with
//! every single sample.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::measure::Row;

/// Rows that belong together.
#[derive(Serialize)]
pub struct Table {
    pub title: String,
    /// What was done, for readers who want to know what the numbers mean.
    pub text: String,
    pub rows: Vec<Row>,
}

/// One bench's result.
#[derive(Serialize)]
pub struct Report {
    pub title: String,
    pub text: String,
    /// Whether this was a quick run, which proves that it works and little else.
    pub quick: bool,
    pub environment: Environment,
    pub tables: Vec<Table>,
}

/// Where and with what it was measured.
#[derive(Clone, Serialize)]
pub struct Environment {
    /// The day (UTC).
    pub date: String,
    pub kernel: String,
    pub cpus: usize,
    pub cpu_model: String,
    /// Names and versions of the programs involved.
    pub versions: Vec<(String, String)>,
}

impl Environment {
    /// Asks the machine. What it doesn't say is `unknown`.
    pub fn here(versions: Vec<(String, String)>) -> Self {
        let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        Self {
            date: said_by("date", &["-u", "+%F"]),
            kernel: said_by("uname", &["-sr"]),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            cpu_model: model.map_or_else(|| "unknown".to_string(), |(_, model)| model.trim().to_string()),
            versions,
        }
    }

    /// The sentence about it.
    pub fn text(&self) -> String {
        let Self { date, kernel, cpus, cpu_model, versions } = self;
        let versions: Vec<_> = versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
        format!("Measured on {date} with {kernel}, {cpus} CPUs ({cpu_model}), {}.", versions.join(", "))
    }
}

/// The first line that a program prints, or `unknown`.
pub fn said_by(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().map_or("unknown", str::trim).to_string()
}

/// Writes `NAME.md` with `text` and `NAME.json` with `data` into `directory`, made if need be.
///
/// # Errors
/// When a file can't be written.
pub fn write(directory: &Path, name: &str, text: String, data: &impl Serialize) -> Result<()> {
    fs::create_dir_all(directory).with_context(|| format!("can't make {}", directory.display()))?;
    let json = serde_json::to_string_pretty(data)? + "\n";
    for (extension, text) in [("md", text), ("json", json)] {
        let file = directory.join(name).with_extension(extension);
        fs::write(&file, text).with_context(|| format!("can't write {}", file.display()))?;
        eprintln!("wrote {}", file.display());
    }
    Ok(())
}

impl Report {
    /// Writes `NAME.md` and `NAME.json` into `directory`, made if need be.
    ///
    /// # Errors
    /// When a file can't be written.
    pub fn write(&self, directory: &Path, name: &str) -> Result<()> {
        write(directory, name, self.markdown(name), self)
    }

    /// The whole document.
    pub fn markdown(&self, name: &str) -> String {
        let mut out = String::new();
        // Writing to a String can't fail.
        let _ = self.write_markdown(&mut out, name);
        out
    }

    fn write_markdown(&self, out: &mut String, name: &str) -> std::fmt::Result {
        writeln!(out, "# {}\n\n{}\n", self.title, self.text)?;
        if self.quick {
            writeln!(out, "**A quick run: it shows that the bench works, not how fast anything is.**\n")?;
        }
        writeln!(out, "{}", self.environment.text())?;
        writeln!(
            out,
            "\nLess is better. *Ratio* is ours divided by the peer's in the same round, the median over the rounds; in \
             brackets\nthe quartiles. Every sample is in [{name}.json]({name}.json).",
        )?;
        for table in &self.tables {
            writeln!(out, "\n## {}\n\n{}\n", table.title, table.text)?;
            writeln!(out, "| what | unit | ours | | peer | | ratio |")?;
            writeln!(out, "|---|---|---|--:|---|--:|--:|")?;
            for row in &table.rows {
                let [low, high] = row.ratio_quartiles;
                let (ours, peer) = (number(row.ours_median), number(row.peer_median));
                writeln!(
                    out,
                    "| {} | {} | {} | {ours} | {} | {peer} | **{:.2}** ({low:.2} to {high:.2}) |",
                    row.what, row.unit, row.ours, row.peer, row.ratio,
                )?;
            }
        }
        Ok(())
    }
}

/// Three digits that mean something.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 1.0 => format!("{value:.2}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::{Variant, alternate};

    fn report() -> Report {
        let variants = vec![Variant::new("mphttp", || Ok(30.0)), Variant::new("Go", || Ok(20.0))];
        let row = alternate(3, variants).unwrap().compare("a request", "µs", "mphttp", "Go").unwrap();
        let table = Table { title: "Requests".into(), text: "Small ones.".into(), rows: vec![row] };
        let environment = Environment::here(vec![("Go".into(), "1.2.3".into())]);
        Report {
            title: "HTTP".into(),
            text: "Against Go.".into(),
            quick: true,
            environment,
            tables: vec![table],
        }
    }

    #[test]
    fn a_row_says_both_costs_the_ratio_and_its_spread() {
        let text = report().markdown("http");
        assert!(
            text.contains("| a request | µs | mphttp | 30.0 | Go | 20.0 | **1.50** (1.50 to 1.50) |"),
            "{text}"
        );
        assert!(
            text.contains("A quick run") && text.contains(", Go 1.2.3.") && text.contains("http.json"),
            "{text}"
        );
    }

    #[test]
    fn both_files_are_written_and_the_json_has_every_sample() {
        let directory = std::env::temp_dir().join(format!("xtask-report-{}", std::process::id()));
        report().write(&directory, "http").unwrap();
        let json = fs::read_to_string(directory.join("http.json")).unwrap();
        let value: serde_json::Value = serde_json::from_str(&json).unwrap();
        assert_eq!(value["tables"][0]["rows"][0]["peer_samples"], serde_json::json!([20.0, 20.0, 20.0]));
        assert!(directory.join("http.md").is_file());
        fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn the_environment_says_when_and_where() {
        let here = Environment::here(Vec::new());
        assert_eq!(here.date.len(), "2026-01-31".len());
        assert!(here.cpus >= 1 && !here.kernel.is_empty());
    }

    #[test]
    fn numbers_keep_three_digits() {
        assert_eq!([1234.5, 12.34, 1.234, 0.1234].map(number), ["1234", "12.3", "1.23", "0.123"]);
    }
}
