//! `cargo xtask test` and `lint`: runs the chosen steps in order, each under a heading, and says at the end how long
//! each took and which failed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::prerequisites::{self, Program};
use crate::steps::{Options, STEPS, Step, find};

/// What `cargo xtask test` can be told.
#[derive(clap::Args)]
pub struct Args {
    /// Run this step only (repeat for several)
    #[arg(long, value_name = "STEP")]
    only: Vec<String>,
    /// Leave this step out (repeat for several)
    #[arg(long, value_name = "STEP")]
    skip: Vec<String>,
    /// Go on after a failed step, and after a failed test binary
    #[arg(long)]
    keep_going: bool,
    /// List the steps and end
    #[arg(long)]
    list: bool,
}

impl Args {
    /// The quick steps, all of them even if the first fails: they are about different things.
    pub fn lint() -> Self {
        Self { only: vec!["fmt".into(), "clippy".into()], skip: Vec::new(), keep_going: true, list: false }
    }

    fn chosen(&self) -> Result<Vec<&'static Step>> {
        for name in self.only.iter().chain(&self.skip) {
            find(name)?;
        }
        let named = |names: &[String], step: &Step| names.iter().any(|name| name == step.name);
        let wanted =
            |step: &&Step| (self.only.is_empty() || named(&self.only, step)) && !named(&self.skip, step);
        Ok(STEPS.iter().filter(wanted).collect())
    }
}

enum Outcome {
    Passed(Option<String>),
    Failed(String),
    NotRun,
}

struct Row {
    step: &'static Step,
    outcome: Outcome,
    took: Duration,
}

/// Runs the steps that `args` chooses; the code is a failure if any step failed.
///
/// # Errors
/// When a step is named that doesn't exist, or a chosen step needs a program that is not installed.
pub fn run(args: &Args) -> Result<ExitCode> {
    if args.list {
        for step in STEPS {
            println!("{:<12} {}", step.name, step.about);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let steps = args.chosen()?;
    let mut needs: Vec<&Program> = Vec::new();
    for need in steps.iter().flat_map(|step| step.needs) {
        if !needs.contains(need) {
            needs.push(need);
        }
    }
    prerequisites::check(&needs)?;

    let options = Options { keep_going: args.keep_going };
    let mut rows: Vec<Row> = Vec::new();
    let mut stopped = false;
    for step in steps {
        if stopped {
            rows.push(Row { step, outcome: Outcome::NotRun, took: Duration::ZERO });
            continue;
        }
        println!("\n==> {}: {}", step.name, step.about);
        let begun = Instant::now();
        let outcome = match (step.run)(options) {
            Ok(note) => Outcome::Passed(note),
            Err(error) => {
                eprintln!("error: {error:#}");
                Outcome::Failed(format!("{error:#}"))
            }
        };
        stopped = matches!(outcome, Outcome::Failed(_)) && !args.keep_going;
        rows.push(Row { step, outcome, took: begun.elapsed() });
    }
    let (text, failed) = summary(&rows);
    println!("\n{text}");
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The closing table with its count, and whether anything failed.
fn summary(rows: &[Row]) -> (String, bool) {
    let (mut passed, mut failed) = (0, 0);
    let mut lines = vec!["==> summary".to_string()];
    for Row { step, outcome, took } in rows {
        let (word, note) = match outcome {
            Outcome::Passed(note) => {
                passed += 1;
                ("passed", note.as_deref())
            }
            Outcome::Failed(why) => {
                failed += 1;
                ("FAILED", why.lines().next())
            }
            Outcome::NotRun => ("not run", None),
        };
        let line =
            format!("{:<12} {word:<8} {:>7.1} s  {}", step.name, took.as_secs_f64(), note.unwrap_or(""));
        lines.push(line.trim_end().to_string());
    }
    lines.push(format!("{passed} passed, {failed} failed"));
    (lines.join("\n"), failed > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(args: &Args) -> Vec<&'static str> {
        args.chosen().unwrap().iter().map(|step| step.name).collect()
    }

    #[test]
    fn steps_run_in_their_own_order_whatever_order_they_are_named_in() {
        let args =
            Args { only: vec!["docs".into(), "fmt".into()], skip: vec![], keep_going: false, list: false };
        assert_eq!(names(&args), ["fmt", "docs"]);
        let args = Args { only: vec![], skip: vec!["test".into()], keep_going: false, list: false };
        assert_eq!(names(&args), ["fmt", "clippy", "portability", "package", "python", "docs", "supply"]);
        assert_eq!(names(&Args::lint()), ["fmt", "clippy"]);
    }

    #[test]
    fn an_unknown_step_is_an_error_that_lists_the_known_ones() {
        let args = Args { only: vec!["lint".into()], skip: vec![], keep_going: false, list: false };
        let error = args.chosen().err().unwrap().to_string();
        assert!(error.contains("`lint`") && error.contains("fmt, clippy"), "{error}");
    }

    #[test]
    fn the_summary_counts_steps_and_ends_with_the_count() {
        let row = |index: usize, outcome| Row {
            step: &STEPS[index],
            outcome,
            took: Duration::from_secs(index as u64),
        };
        let rows = [
            row(0, Outcome::Passed(None)),
            row(1, Outcome::Passed(Some("half of it".into()))),
            row(2, Outcome::Failed("no luck\nat all".into())),
            row(3, Outcome::NotRun),
        ];
        let (text, failed) = summary(&rows);
        assert!(failed);
        assert_eq!(text.lines().last(), Some("2 passed, 1 failed"), "what was not run counts as neither");
        assert!(text.contains("clippy       passed       1.0 s  half of it\n"), "{text}");
        assert!(text.contains("portability  FAILED       2.0 s  no luck\n"), "{text}");
        assert!(text.contains("test         not run"), "{text}");
    }

    #[test]
    fn a_run_without_failures_succeeds() {
        let rows = [Row { step: &STEPS[0], outcome: Outcome::Passed(None), took: Duration::ZERO }];
        let (text, failed) = summary(&rows);
        assert!(!failed);
        assert!(text.ends_with("1 passed, 0 failed"), "{text}");
    }
}
