//! Runs a block: as the lines that a reader would type, as a program, or as a file of options, whatever its language is.

use std::fs;

use crate::{
    hosts::Ground,
    note::{How, Note},
    page::{Block, Page},
    session::Session,
};

/// Runs the block of this number, and compares what it says with the blocks of output behind it.
pub fn block(ground: &Ground, page: &Page, index: usize) {
    let block = &page.blocks[index];
    let Note::Run(how) = &block.note else { panic!("it is not to be run") };
    let mut session = Session::new(ground, how.bare);
    for (place, command) in &how.first {
        let stays = how.stays.iter().any(|beginning| command.starts_with(beginning.as_str()));
        session.line(place, command, stays, "", 0);
    }
    let text = with(how, &block.text);
    match block.language.split([' ', ',']).next().unwrap_or_default() {
        "sh" | "console" => shell(&mut session, how, block),
        "toml" => {
            fs::write(session.hosts.client.folder.join("config.toml"), text).unwrap();
            session.line("client", "mphttp config --config config.toml", false, "", 0);
        }
        "ini" => {
            let start = text
                .lines()
                .find_map(|line| line.strip_prefix("ExecStart="))
                .expect("a unit starts something");
            session.line("client", start, false, "", 0);
        }
        "python" => {
            let place = how.on.as_deref().unwrap_or("client");
            fs::write(session.hosts.place(place).folder.join("guide.py"), text).unwrap();
            let line = "python3 guide.py";
            let stays = how.stays.iter().any(|beginning| line.starts_with(beginning.as_str()));
            session.line(place, line, stays, "", 0);
        }
        other => panic!("nobody knows how to run a block of {other:?}"),
    }
    for (place, command) in &how.last {
        session.line(place, command, false, "", 0);
    }
    session.stop_all();
    let said = stable(&session.said);
    for wanted in &how.says {
        assert!(said.contains(&stable(wanted)), "nothing said {wanted:?}");
    }
    for shown in &page.blocks[index + 1..] {
        let Note::Shown(parts) = &shown.note else { break };
        for part in parts.iter().map(|part| stable(part)) {
            assert!(
                stable(&shown.text).contains(&part),
                "line {}: the page doesn't show {part:?}",
                shown.line
            );
            assert!(said.contains(&part), "line {}: nothing said {part:?}", shown.line);
        }
    }
}

fn shell(session: &mut Session, how: &How, block: &Block) {
    let lines = lines(block);
    for beginning in how.beginnings() {
        let mut all = lines.iter().map(|line| &line.text).chain(how.first.iter().map(|(_, command)| command));
        assert!(all.any(|line| line.starts_with(beginning)), "no line begins with {beginning:?}");
    }
    for line in lines {
        let begins = |beginning: &String| line.text.starts_with(beginning.as_str());
        if how.skip.iter().any(|(beginning, _)| begins(beginning)) {
            continue;
        }
        let served = if line.text.starts_with("mphttp serve") { "server" } else { "client" };
        let place = line.place.as_deref().or(how.on.as_deref()).unwrap_or(served);
        // Of several that fit, the one that says most.
        let fitting = how.exits.iter().filter(|(beginning, _)| begins(beginning));
        let code = fitting.max_by_key(|(beginning, _)| beginning.len()).map_or(0, |(_, code)| *code);
        let input: String = how
            .input
            .iter()
            .filter(|(beginning, _)| begins(beginning))
            .map(|(_, text)| format!("{text}\n"))
            .collect();
        let before = session.said.len();
        session.line(place, &with(how, &line.text), how.stays.iter().any(begins), &input, code);
        let said = stable(&session.said[before..]);
        for shown in &line.output {
            assert!(said.contains(&stable(shown)), "{} does not say {shown:?}", line.text);
        }
        for (_, (place, command)) in how.after.iter().filter(|(beginning, _)| begins(beginning)) {
            session.line(place, &with(how, command), false, "", 0);
        }
    }
}

/// A line that is typed, where, and what it is shown to say.
struct Line {
    place: Option<String>,
    text: String,
    output: Vec<String>,
}

fn lines(block: &Block) -> Vec<Line> {
    let mut lines: Vec<Line> = Vec::new();
    let mut raw = block.text.lines();
    while let Some(first) = raw.next() {
        let (place, mut text) = match (block.language.as_str(), first.split_once("$ ")) {
            ("console", Some((place, text))) if place.chars().all(char::is_alphanumeric) => {
                ((!place.is_empty()).then(|| place.to_owned()), text.to_owned())
            }
            ("console", _) => {
                let line = lines.last_mut().expect("output comes after a command");
                line.output.extend((!first.trim().is_empty()).then(|| first.to_owned()));
                continue;
            }
            _ => (None, first.to_owned()),
        };
        if text.trim().is_empty() || text.starts_with('#') {
            continue;
        }
        while text.ends_with('\\') {
            text.push('\n');
            text.push_str(raw.next().unwrap_or_default());
        }
        if let Some((_, word)) = text.split_once("<<") {
            let word =
                word.split_whitespace().next().unwrap_or_default().trim_matches(['\'', '"']).to_owned();
            for line in raw.by_ref() {
                text.push('\n');
                text.push_str(line);
                if line == word {
                    break;
                }
            }
        }
        lines.push(Line { place, text, output: Vec::new() });
    }
    lines
}

fn with(how: &How, text: &str) -> String {
    how.lets.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// What stays the same of what is said: numbers and white space don't.
fn stable(text: &str) -> String {
    let mut stable = String::new();
    let mut number = false;
    for word in text.split_whitespace() {
        if !stable.is_empty() {
            stable.push(' ');
        }
        for c in word.chars() {
            let digit = c.is_ascii_digit() || (number && c == '.');
            if !(digit && number) {
                stable.push(if digit { '#' } else { c });
            }
            number = digit;
        }
        number = false;
    }
    stable
}
