//! The file: TOML with a table for each verb, whose keys are the verb's long options. All of it is checked whenever it is
//! read, with the line of what is wrong.

use std::{
    fs,
    path::{Path, PathBuf},
};

use clap::{Arg, Command, CommandFactory};
use toml_edit::{Document, TableLike};

use super::{Here, Item, Origin, id_of, is_option, values};
use crate::cli::Cli;

/// More likely meant than not: what clap takes for its own suggestions.
const ALIKE: f64 = 0.7;

/// A file that holds nothing wrong.
pub struct File {
    pub path: PathBuf,
    pub items: Vec<Item>,
}

/// Reads and checks it.
pub fn read(path: &Path) -> anyhow::Result<File> {
    let name = path.display();
    let text =
        fs::read_to_string(path).map_err(|error| values::wrong(format!("can't read {name}: {error}")))?;
    parse(path, &text)
}

/// Checks what is in it.
pub fn parse(path: &Path, text: &str) -> anyhow::Result<File> {
    let name = path.display();
    let at = |offset: usize| text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1;
    let document = Document::parse(text).map_err(|error| {
        let line = at(error.span().map_or(0, |span| span.start));
        values::wrong(format!("{name}:{line}: it is no TOML: {}", error.message().trim()))
    })?;
    let mut reader = Reader { at: &at, items: Vec::new() };
    let command = Cli::command();
    reader
        .table(&[], &[&command], document.as_table())
        .map_err(|Wrong { line, what }| values::wrong(format!("{name}:{line}: {what}")))?;
    Ok(File { path: path.to_owned(), items: reader.items })
}

struct Wrong {
    line: usize,
    what: String,
}

struct Reader<'a> {
    at: &'a dyn Fn(usize) -> usize,
    items: Vec<Item>,
}

impl Reader<'_> {
    /// Reads the table of a verb; the last of these commands is the verb's, before it are those that lead there.
    fn table(&mut self, verbs: &[String], commands: &[&Command], table: &dyn TableLike) -> Result<(), Wrong> {
        let Some((command, above)) = commands.split_last() else { return Ok(()) };
        let globals =
            above.iter().flat_map(|command| command.get_arguments()).filter(|option| option.is_global_set());
        // The program's own are those that hold for all verbs; the choice of the file can't be made in it.
        let options: Vec<&Arg> = command
            .get_arguments()
            .chain(globals)
            .filter(|option| is_option(option) && option.get_long() != Some("config"))
            .collect();
        let mut own: Vec<Item> = Vec::new();
        for (key, item) in table.iter() {
            let span = table.key(key).and_then(|key| key.span()).or_else(|| item.span());
            let line = (self.at)(span.map_or(0, |span| span.start));
            let wrong = |what: String| Wrong { line, what };
            if let Some(verb) = command.find_subcommand(key) {
                let inner = item
                    .as_table_like()
                    .ok_or_else(|| wrong(format!("{key} is a verb: write a table, [{key}]")))?;
                let verbs: Vec<String> = verbs.iter().cloned().chain([key.to_owned()]).collect();
                self.table(&verbs, &[commands, &[verb]].concat(), inner)?;
                continue;
            }
            let Some(option) = options.iter().find(|option| option.get_long() == Some(key)) else {
                return Err(wrong(unknown(verbs, key, command, &options)));
            };
            let (texts, arguments) = values::of_key(option, item)
                .and_then(|(texts, arguments)| values::check(verbs, &arguments).map(|()| (texts, arguments)))
                .map_err(|what| wrong(format!("{key}: {what}")))?;
            own.push(Item {
                verbs: verbs.to_owned(),
                id: id_of(option),
                long: key.to_owned(),
                values: texts,
                arguments,
                origin: Origin::File(line),
            });
        }
        self.no_conflict(verbs, &own)?;
        self.items.append(&mut own);
        Ok(())
    }

    fn no_conflict(&self, verbs: &[String], items: &[Item]) -> Result<(), Wrong> {
        let here = Here::new(verbs);
        for (index, item) in items.iter().enumerate() {
            let other = items[..index].iter().find(|other| {
                !item.arguments.is_empty()
                    && !other.arguments.is_empty()
                    && here.conflict(&item.id, &other.id)
            });
            if let (Some(Item { long, origin: Origin::File(other), .. }), Origin::File(line)) =
                (other, &item.origin)
            {
                let what = format!("{} can't stand beside {long} of line {other}: take one out", item.long);
                return Err(Wrong { line: *line, what });
            }
        }
        Ok(())
    }
}

fn unknown(verbs: &[String], key: &str, command: &Command, options: &[&Arg]) -> String {
    let whose =
        if verbs.is_empty() { "mphttp itself".to_owned() } else { format!("mphttp {}", verbs.join(" ")) };
    let names = options.iter().filter_map(|option| option.get_long());
    let tables = command.get_subcommands().map(Command::get_name);
    // Underscores are what people are used to from other files.
    let meant = key.replace('_', "-");
    let nearest = names
        .chain(tables)
        .map(|name| (strsim::jaro(&meant, name), name))
        .filter(|(alike, _)| *alike > ALIKE)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let hint = match nearest {
        Some((_, name)) => format!("; did you mean {name}?"),
        None => match command.get_subcommands().find(|verb| has(verb, &meant)) {
            Some(verb) => format!("; it goes into a table, such as [{}]", verb.get_name()),
            None => String::new(),
        },
    };
    format!("{key} is no option of {whose}{hint}")
}

fn has(command: &Command, long: &str) -> bool {
    command.get_arguments().any(|option| option.get_long() == Some(long))
}
