//! `mphttp config`: what the environment and the file set, and whence each value comes; and a check of the file.

use std::{collections::BTreeSet, fmt::Write as _, io::Write as _, path::PathBuf};

use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use serde_json::{Value, json};

use super::{Here, Item, Origin, environment, file, id_of, locate, values};
use crate::{cli::Cli, error_reporting::Failure, exit::Exit};

/// Options of `mphttp config`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  mphttp config                          is the file right, and what is set?\n  \
                        mphttp config serve                    every option of serve, with where its value comes from\n  \
                        mphttp config --config new.toml        another file, before it is put in place"
)]
pub struct ConfigArgs {
    /// The verb whose options are shown, also those that nothing sets, such as `serve` or `paths auto` [default: of all
    /// verbs those that are set].
    #[arg(value_name = "VERB")]
    verbs: Vec<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Options whose values are secrets, or contain one: what is printed may be pasted into a report.
const SECRETS: [&str; 3] = ["token", "user", "auth"];
const NOT_SHOWN: &str = "(not shown)";

struct Row {
    verbs: String,
    long: String,
    values: Vec<String>,
    origin: Option<Origin>,
}

/// Shows it; the file was checked when the program began, as it always is.
pub fn run(args: &ConfigArgs, named: Option<&PathBuf>) -> anyhow::Result<()> {
    let path = locate(named.map(PathBuf::as_path))?;
    let file = path.map(|path| file::read(&path)).transpose()?;
    let in_file = file.as_ref().map_or(&[][..], |file| &file.items);
    let mut rows = Vec::new();
    if args.verbs.is_empty() {
        let mut all = vec![Vec::new()];
        walk(&Cli::command(), &mut Vec::new(), &mut all);
        for verbs in all {
            rows.extend(set(&verbs, in_file)?.into_iter().filter(|item| item.verbs == verbs).map(row));
        }
    } else {
        known(&args.verbs)?;
        let set = set(&args.verbs, in_file)?;
        for option in Here::new(&args.verbs).options().filter(|option| option.get_long() != Some("config")) {
            let id = id_of(option);
            rows.push(set.iter().find(|item| item.id == id).cloned().map_or_else(
                || {
                    Row {
                        verbs: args.verbs.join(" "),
                        long: option.get_long().unwrap_or_default().to_owned(),
                        values: option
                            .get_default_values()
                            .iter()
                            .map(|value| value.to_string_lossy().into_owned())
                            .collect(),
                        origin: None,
                    }
                },
                row,
            ));
        }
    }
    let path = file.map(|file| file.path.display().to_string());
    let text = if args.json { as_json(&rows, path.as_deref()) } else { as_text(&rows, path.as_deref()) };
    std::io::stdout()
        .write_all(text.as_bytes())
        .context(Failure::new(Exit::Write, "can't write the configuration to stdout"))
}

/// What a verb gets from the environment and the file.
fn set(verbs: &[String], in_file: &[Item]) -> anyhow::Result<Vec<Item>> {
    let environment = environment(verbs)?;
    Ok(Here::new(verbs).merge(BTreeSet::new(), [&environment, in_file]).0)
}

fn row(mut item: Item) -> Row {
    if SECRETS.contains(&item.long.as_str()) {
        item.values.fill_with(|| NOT_SHOWN.to_owned());
    }
    Row { verbs: item.verbs.join(" "), long: item.long, values: item.values, origin: Some(item.origin) }
}

fn known(verbs: &[String]) -> anyhow::Result<()> {
    let mut command = Cli::command();
    for verb in verbs {
        let Some(next) = command.find_subcommand(verb) else {
            return Err(values::wrong(format!("{verb} is no verb of {}", command.get_name())));
        };
        command = next.clone();
    }
    Ok(())
}

fn walk(command: &Command, verbs: &mut Vec<String>, all: &mut Vec<Vec<String>>) {
    for verb in command.get_subcommands() {
        verbs.push(verb.get_name().to_owned());
        all.push(verbs.clone());
        walk(verb, verbs, all);
        verbs.pop();
    }
}

fn as_text(rows: &[Row], path: Option<&str>) -> String {
    let mut text = match path {
        Some(path) => format!("File: {path}\n"),
        None => "No file.\n".to_owned(),
    };
    let mut verbs = "";
    for row in rows {
        if row.verbs != verbs {
            verbs = &row.verbs;
            let _ = writeln!(text, "\n[{}]", verbs.replace(' ', "."));
        }
        let from = match &row.origin {
            Some(Origin::Environment(name)) => name.clone(),
            Some(Origin::File(line)) => format!("line {line}"),
            None => "default".to_owned(),
        };
        let pair = format!("{} = {}", row.long, row.values.join(", "));
        let _ = writeln!(text, "{:<40}  {from}", pair.trim_end_matches("= ").trim_end());
    }
    text
}

fn as_json(rows: &[Row], path: Option<&str>) -> String {
    let rows: Vec<Value> = rows
        .iter()
        .map(|row| {
            let (from, variable, line) = match &row.origin {
                Some(Origin::Environment(name)) => ("environment", Some(name), None),
                Some(Origin::File(line)) => ("file", None, Some(line)),
                None => ("default", None, None),
            };
            json!({ "verb": row.verbs, "option": row.long, "values": row.values, "from": from, "variable": variable,
                "line": line })
        })
        .collect();
    format!("{}\n", json!({ "file": path, "options": rows }))
}
