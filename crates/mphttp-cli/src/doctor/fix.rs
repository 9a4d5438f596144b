//! `--fix`: mends what is safe to mend, after asking.

use std::io::{self, BufRead, IsTerminal, Write};

use anyhow::Context;
use mphttp::doctor::{Action, Finding, Halfway, Severity};
use serde::Serialize;

use crate::{
    error_reporting::{Failure, say},
    exit::Exit,
};

/// What was done about a finding.
#[derive(Debug, Serialize)]
pub struct Fixed {
    pub code: &'static str,
    /// What was done, as commands; it was done without running them.
    pub commands: Vec<String>,
    /// What takes it back, in its order.
    pub undo: Vec<String>,
    /// Why one could not be done, after which those before it were taken back; null if all were.
    pub error: Option<String>,
}

/// Refuses early where nobody could be asked.
pub fn check(yes: bool, json: bool) -> anyhow::Result<()> {
    if yes || (io::stdin().is_terminal() && !json) {
        return Ok(());
    }
    let failure =
        Failure::new(Exit::Usage, "--fix asks before it changes anything, and nobody can be asked here");
    Err(failure.hint("add --yes to have it done without").into())
}

/// Mends all that is safe and wanted.
pub fn all(findings: &[Finding], yes: bool, quiet: bool) -> anyhow::Result<Vec<Fixed>> {
    let mut done: Vec<Fixed> = Vec::new();
    let mut made: Vec<Action> = Vec::new();
    let worth =
        findings.iter().filter(|finding| finding.severity >= Severity::Warning && finding.remedy.is_safe());
    for finding in worth {
        // Two findings may have one remedy.
        let wanted: Vec<Action> =
            finding.remedy.actions.iter().filter(|action| !made.contains(action)).cloned().collect();
        if wanted.is_empty() || !(yes || agreed(finding, &wanted)?) {
            continue;
        }
        let fixed = one(finding, wanted, &mut made);
        if let (Some(error), false) = (&fixed.error, quiet) {
            say(format_args!("error: {error}"));
        }
        done.push(fixed);
    }
    Ok(done)
}

fn agreed(finding: &Finding, wanted: &[Action]) -> anyhow::Result<bool> {
    let mut stderr = io::stderr();
    let _ = writeln!(stderr, "{}:", finding.what);
    for action in wanted {
        let _ = writeln!(stderr, "    {action}");
    }
    if wanted.iter().any(|action| matches!(action, Action::DeleteEndpoint(..))) {
        let _ = writeln!(stderr, "Connections lose the paths that they have from a deleted endpoint now.");
    }
    let _ = write!(stderr, "Do this? [y/N] ");
    let _ = stderr.flush();
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("can't read the answer")?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn one(finding: &Finding, wanted: Vec<Action>, made: &mut Vec<Action>) -> Fixed {
    let (done, error) = match Action::apply_all(&wanted) {
        Ok(()) => (wanted, None),
        Err(Halfway { error, done, .. }) => (done, Some(error.to_string())),
    };
    let fixed = Fixed {
        code: finding.code.as_str(),
        commands: done.iter().map(ToString::to_string).collect(),
        undo: done.iter().rev().filter_map(Action::undo).map(|back| back.to_string()).collect(),
        error,
    };
    made.extend(done);
    fixed
}
