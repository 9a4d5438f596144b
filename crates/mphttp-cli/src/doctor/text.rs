//! What the doctor says to people: the verdict first, each finding with its remedy, and what could not be seen.

use std::io::{self, Write};

use anyhow::Context;
use mphttp::doctor::{Examination, Finding, Outcome, Place, Severity, Trial, Verdict};

use super::fix::Fixed;
use crate::{
    error_reporting::Failure,
    exit::Exit,
    get::progress::{bits, size},
};

/// As wide as the narrowest terminal that people have.
const WIDTH: usize = 80;

/// Prints an examination on stdout.
pub fn print(examination: &Examination) -> anyhow::Result<()> {
    write(&describe(examination))
}

/// Prints what `--fix` did.
pub fn print_fixed(done: &[Fixed]) -> anyhow::Result<()> {
    write(&describe_fixed(done))
}

fn write(text: &str) -> anyhow::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .context(Failure::new(Exit::Write, "can't write to stdout"))
}

fn describe(examination: &Examination) -> String {
    let findings = &examination.findings;
    let mut text = String::new();
    let worth = findings.iter().filter(|finding| finding.severity > Severity::Note).count();
    let count = |number: usize, noun: &str| format!("{number} {noun}{}", if number == 1 { "" } else { "s" });
    let outcome = examination.facts.trial.as_ref().and_then(|trial| trial.outcome.as_ref());
    let unanswered = matches!(outcome, Some(Outcome::Failed(_)));
    text.push_str(&match examination.verdict() {
        Verdict::NoMptcp => format!("MPTCP does not work: {}.\n", count(worth, "finding")),
        // Whether it works on the way to the URL could not be seen.
        Verdict::Findings if unanswered => {
            format!("MPTCP works on this host, with {}.\n", count(worth, "finding"))
        }
        Verdict::Findings => format!("MPTCP works, with {}.\n", count(worth, "finding")),
        _ if findings.is_empty() => "MPTCP works; nothing is wrong.\n".to_owned(),
        _ => format!("MPTCP works; {}.\n", count(findings.len(), "note")),
    });
    for finding in findings {
        text.push('\n');
        text.push_str(&one(finding));
    }
    if let Some(trial) = &examination.facts.trial {
        text.push('\n');
        text.push_str(&transfer(trial));
    }
    if !examination.facts.unseen.is_empty() {
        text.push_str("\nNot seen:\n");
        for unseen in &examination.facts.unseen {
            text.push_str(&wrapped(&format!("{}: {}", unseen.what, unseen.why), "  - ", "    "));
        }
    }
    text
}

fn one(finding: &Finding) -> String {
    let head = format!("{} ({}, {})", finding.code, finding.severity.as_str(), finding.certainty.as_str());
    let mut text = format!("{head}\n");
    text.push_str(&wrapped(&format!("{}.", finding.what), "  ", "  "));
    text.push_str(&wrapped(&format!("Why it matters: {}.", finding.why), "  ", "  "));
    let remedy = &finding.remedy;
    let place = match remedy.place {
        Place::Here => "",
        Place::Peer => ", on the server",
        Place::Network => ", in the network",
        _ => "",
    };
    let commands = remedy.commands();
    if !commands.is_empty() {
        text.push_str(&format!("  What mends it{place}:\n"));
        for command in commands {
            text.push_str(&format!("      {command}\n"));
        }
        if let Some(advice) = &remedy.advice {
            text.push_str(&wrapped(&format!("Note: {advice}."), "  ", "  "));
        }
    } else if let Some(advice) = &remedy.advice {
        text.push_str(&wrapped(&format!("What to do{place}: {advice}."), "  ", "  "));
    }
    text
}

fn transfer(trial: &Trial) -> String {
    let mut text = String::new();
    let spoken = match &trial.outcome {
        Some(Outcome::Mptcp) => "MPTCP",
        Some(outcome) if outcome.error().is_some() => return text,
        Some(_) => "TCP",
        None => "a protocol that this kernel can't tell",
    };
    let seconds = trial.elapsed.as_secs_f64();
    let rate = trial.bytes as f64 / seconds.max(1e-9);
    let what = format!(
        "{} from {} in {seconds:.1} s ({}) over {spoken}:",
        size(trial.bytes),
        trial.server,
        bits(rate)
    );
    text.push_str(&wrapped(&what, "", "  "));
    let sum = trial.paths.iter().map(|path| path.received).sum::<u64>().max(1);
    for path in &trial.paths {
        let share = path.received as f64 * 100.0 / sum as f64;
        let interface = path.interface.as_deref().unwrap_or("?");
        let ends = match (path.local, path.remote) {
            (Some(local), Some(remote)) => format!("{local} -> {remote}"),
            _ => "gone".to_owned(),
        };
        text.push_str(&format!("  {interface:<15} {share:>3.0}%  {ends}\n"));
    }
    for probe in &trial.probes {
        let what = match &probe.outcome {
            Outcome::Mptcp => "MPTCP".to_owned(),
            Outcome::NoConnection(_) => "no connection".to_owned(),
            Outcome::Failed(_) => "no answer".to_owned(),
            other => format!("TCP ({})", other.as_str()),
        };
        text.push_str(&format!("  {:<15} alone: {what}\n", probe.interface));
    }
    text
}

fn describe_fixed(done: &[Fixed]) -> String {
    if done.is_empty() {
        return "\nNothing was changed.\n".to_owned();
    }
    let mut text = "\nDone:\n".to_owned();
    for fixed in done {
        for command in &fixed.commands {
            text.push_str(&format!("      {command}\n"));
        }
        if let Some(error) = &fixed.error {
            text.push_str(&wrapped(&format!("{}: {error}", fixed.code), "  ", "  "));
        }
    }
    let undo: Vec<&String> = done.iter().rev().flat_map(|fixed| &fixed.undo).collect();
    if !undo.is_empty() {
        text.push_str("To take it back:\n");
        for command in undo {
            text.push_str(&format!("      {command}\n"));
        }
    }
    text.push('\n');
    text
}

/// Words put into lines of at most [`WIDTH`] characters, a word that is longer on one of its own.
fn wrapped(text: &str, first: &str, rest: &str) -> String {
    let (mut lines, mut line) = (String::new(), first.to_owned());
    let mut empty = true;
    for word in text.split_ascii_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push_str(&line);
            lines.push('\n');
            line = rest.to_owned();
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push_str(&line);
    lines.push('\n');
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use mphttp::doctor::{Facts, Role};
    use mptcp_paths::{
        Endpoint, EndpointFlags, Limits,
        doctor::{SocketAnswer, judge},
    };

    #[test]
    fn everything_fits_into_80_columns_and_is_there() {
        let flags = EndpointFlags { subflow: true, ..EndpointFlags::default() };
        let mut facts = Facts::gather(Role::Client);
        facts.socket = SocketAnswer::Made;
        facts.settings.path_manager = Some("kernel".into());
        facts.limits = Some(Limits { subflows: 0, add_addr_accepted: 0 });
        facts.endpoints = Some(vec![Endpoint::new([192, 0, 2, 200].into(), flags)]);
        let findings = judge(&facts);
        let text = describe(&Examination::of(facts, findings));
        assert!(text.starts_with("MPTCP works, with "), "{text}");
        assert!(text.contains("limit-subflows (warning, proven)"), "{text}");
        assert!(text.contains("\n      mphttp paths limits --subflows 8"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
    }

    #[test]
    fn long_words_get_a_line_of_their_own() {
        let long = "x".repeat(100);
        assert_eq!(wrapped(&format!("a {long} b"), "- ", "  "), format!("- a\n  {long}\n  b\n"));
    }

    #[test]
    fn what_was_done_is_told_with_the_way_back_in_reverse() {
        let fixed = |code, command: &str, undo: &str| Fixed {
            code,
            commands: vec![command.into()],
            undo: vec![undo.into()],
            error: None,
        };
        let text = describe_fixed(&[fixed("a", "one", "back-one"), fixed("b", "two", "back-two")]);
        assert!(
            text.contains("one\n      two\nTo take it back:\n      back-two\n      back-one\n"),
            "{text}"
        );
    }
}
