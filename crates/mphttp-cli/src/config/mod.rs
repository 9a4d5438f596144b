//! Options from the environment and from a file, for all verbs alike: nothing here knows any option by name but those
//! that had variables of their own before.
//!
//! What the command line leaves open becomes arguments as if it had been written there, first from the environment, then
//! from the file; so clap checks it all, and options know nothing of where they came from. What an argument beats, or
//! excludes, is left out.

pub(crate) mod file;
mod show;
mod values;

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use clap::{Arg, ArgMatches, Command, CommandFactory, Parser, error::ErrorKind, parser::ValueSource};

use crate::cli::Cli;
pub use show::{ConfigArgs, run};

/// Variables that hold for a whole process, and are read where they are used: here they only beat the file.
const OF_PROCESS: [(&str, &str); 2] =
    [("protocol", mptcp_socket::Protocol::ENV), ("log", crate::logging::ENV)];

/// Why there is no command line.
pub enum Stop {
    /// Help was asked for, or the arguments are wrong.
    Clap(clap::Error, Option<String>),
    /// The environment or the file is.
    Config(anyhow::Error),
}

/// Where an option's value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Environment(String),
    /// The line, from 1.
    File(usize),
}

/// An option that the environment or the file sets.
#[derive(Clone, Debug)]
pub struct Item {
    /// The verbs that lead to the option, none for those of the program itself.
    pub verbs: Vec<String>,
    pub id: String,
    pub long: String,
    pub values: Vec<String>,
    /// The same as arguments; none for a switch that is off.
    pub arguments: Vec<OsString>,
    pub origin: Origin,
}

impl Item {
    fn is_off(&self) -> bool {
        self.values == ["false"] && self.arguments.is_empty()
    }
}

/// The command line, with what the environment and the file add.
pub fn parse(given: Vec<OsString>) -> Result<Cli, Stop> {
    // Lenient: what is missing may be in the file. All that is wrong comes up again below.
    let first = match Cli::command().ignore_errors(true).try_get_matches_from(&given) {
        Ok(first) => first,
        Err(error) => {
            let help = with_env(Cli::command()).try_get_matches_from(&given).err();
            let help = help.filter(|help| help.kind() == error.kind());
            return Err(Stop::Clap(help.unwrap_or(error), None));
        }
    };
    let (verbs, leaf) = verbs(&first);
    let path = locate(leaf.get_one::<PathBuf>("config").map(PathBuf::as_path));
    let file = path.and_then(|path| path.map(|path| file::read(&path)).transpose()).map_err(Stop::Config)?;
    let here = Here::new(&verbs);
    let written: BTreeSet<String> =
        here.options().filter(|option| is_written(leaf, option)).map(id_of).collect();
    let in_file = file.as_ref().map_or(&[][..], |file| &file.items);
    let environment = environment(&verbs).map_err(Stop::Config)?;
    let (mut taken, left) = here.merge(written, [&environment, in_file]);
    drop_dependents(&given, &mut taken, &left);
    let arguments = complete(&given, taken.iter());
    Cli::try_parse_from(arguments).map_err(|error| {
        let from = taken.iter().map(|item| match &item.origin {
            Origin::Environment(name) => format!("--{} from {name}", item.long),
            Origin::File(line) => {
                let path = file.as_ref().map(|file| file.path.display().to_string()).unwrap_or_default();
                format!("--{} from {path}:{line}", item.long)
            }
        });
        let from = from.collect::<Vec<_>>().join(", ");
        Stop::Clap(error, Some(from).filter(|from| !from.is_empty()))
    })
}

/// The command with the variable of each option, for its help.
pub fn with_env(command: Command) -> Command {
    fn named(command: Command, prefix: &str) -> Command {
        let command = command.mut_args(|option| match option.get_long() {
            Some(long) if is_option(&option) => {
                let name = variable(prefix, long);
                // A value may be a secret, and helps nobody here.
                option.env(name).hide_env_values(true)
            }
            _ => option,
        });
        command.mut_subcommands(|verb| {
            let prefix = variable(prefix, verb.get_name());
            named(verb, &prefix)
        })
    }
    named(command, "MPHTTP")
}

fn variable(prefix: &str, name: &str) -> String {
    format!("{prefix}_{}", name.to_ascii_uppercase().replace('-', "_"))
}

/// Whether the environment and the file may set it. Which file that is can't be in it, but in the environment.
fn is_option(option: &Arg) -> bool {
    !["help", "version"].contains(&option.get_id().as_str()) && option.get_long().is_some()
}

fn id_of(option: &Arg) -> String {
    option.get_id().to_string()
}

fn is_written(matches: &ArgMatches, option: &Arg) -> bool {
    let id = option.get_id().as_str();
    matches!(matches.try_contains_id(id), Ok(true))
        && matches.value_source(id) == Some(ValueSource::CommandLine)
}

fn verbs(matches: &ArgMatches) -> (Vec<String>, &ArgMatches) {
    let (mut verbs, mut leaf) = (Vec::new(), matches);
    while let Some((verb, matches)) = leaf.subcommand() {
        verbs.push(verb.to_owned());
        leaf = matches;
    }
    (verbs, leaf)
}

/// The file to read: the named one, or the first that exists of the usual places.
fn locate(named: Option<&Path>) -> anyhow::Result<Option<PathBuf>> {
    let named = named.map(Path::to_owned).or_else(|| set("MPHTTP_CONFIG").map(PathBuf::from));
    if let Some(named) = named {
        return Ok((named != Path::new("none")).then_some(named));
    }
    let home = || set("HOME").map(|home| Path::new(&home).join(".config"));
    // The specification of base directories: relative paths are to be ignored.
    let own = set("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute()).or_else(home);
    let places = own.into_iter().chain(cfg!(unix).then(|| PathBuf::from("/etc")));
    Ok(places.map(|place| place.join("mphttp/config.toml")).find(|path| path.exists()))
}

/// A variable, unless it is empty.
fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// What the environment sets for a verb.
fn environment(verbs: &[String]) -> anyhow::Result<Vec<Item>> {
    let mut items = Vec::new();
    let mut level = Cli::command();
    for depth in 0..=verbs.len() {
        let (above, last) = (&verbs[..depth], depth == verbs.len());
        let prefix = above.iter().fold("MPHTTP".to_owned(), |prefix, verb| variable(&prefix, verb));
        for option in
            level.get_arguments().filter(|option| is_option(option) && (last || option.is_global_set()))
        {
            let Some(long) = option.get_long().filter(|long| *long != "config") else { continue };
            let name = variable(&prefix, long);
            let id = id_of(option);
            let whole = OF_PROCESS.iter().find(|(id, _)| option.get_id() == id).map(|(_, name)| *name);
            let (name, value, arguments) =
                if let Some(value) = set(&name).filter(|_| whole != Some(name.as_str())) {
                    let arguments = values::of_variable(option, &value)
                        .and_then(|arguments| values::check(verbs, &arguments).map(|()| arguments))
                        .map_err(|what| values::wrong(format!("{name}: {what}")))?;
                    (name, value, arguments)
                } else if let Some((whole, value)) = whole.and_then(|whole| Some((whole, set(whole)?))) {
                    (whole.to_owned(), value, Vec::new())
                } else {
                    continue;
                };
            let value = value.to_string_lossy().into_owned();
            let off = arguments.is_empty() && values::can_be_off(option);
            let values = vec![if off { "false".to_owned() } else { value }];
            let origin = Origin::Environment(name);
            items.push(Item { verbs: above.to_vec(), id, long: long.to_owned(), values, arguments, origin });
        }
        let Some(next) = verbs.get(depth).and_then(|verb| level.find_subcommand(verb).cloned()) else {
            break;
        };
        level = next;
    }
    Ok(items)
}

/// The verb that is called, and its options with those that hold for all.
pub struct Here {
    verbs: Vec<String>,
    command: Command,
}

impl Here {
    pub fn new(verbs: &[String]) -> Self {
        let mut command = Cli::command();
        // Brings the options that hold for all verbs to each.
        command.build();
        for verb in verbs {
            if let Some(next) = command.find_subcommand(verb).cloned() {
                command = next;
            }
        }
        Self { verbs: verbs.to_owned(), command }
    }

    pub fn options(&self) -> impl Iterator<Item = &Arg> {
        self.command.get_arguments().filter(|option| is_option(option))
    }

    /// Whether no more than one of the two can be given.
    pub fn conflict(&self, one: &str, other: &str) -> bool {
        let find = |id: &str| self.options().find(|option| option.get_id() == id);
        let (Some(first), Some(second)) = (find(one), find(other)) else { return false };
        let excludes = |first: &Arg, second: &Arg| {
            self.command.get_arg_conflicts_with(first).iter().any(|other| other.get_id() == second.get_id())
        };
        // `--no-backup` takes back `--backup`: the last would win, which is no conflict to clap.
        let takes_back = |first: &str, second: &str| first.strip_prefix("no_") == Some(second);
        excludes(first, second) || excludes(second, first) || takes_back(one, other) || takes_back(other, one)
    }

    /// What is taken of these layers, the stronger first, beside the options that are written; and what is left out
    /// because something stronger excludes it.
    pub fn merge(&self, written: BTreeSet<String>, layers: [&[Item]; 2]) -> (Vec<Item>, Vec<Item>) {
        let (mut held, mut taken, mut left) = (written, Vec::new(), Vec::<Item>::new());
        for layer in layers {
            // The tables nearest to the verb first.
            for depth in (0..=self.verbs.len()).rev() {
                let stronger = held.clone();
                for item in layer.iter().filter(|item| item.verbs == self.verbs[..depth]) {
                    let known = self.options().any(|option| option.get_id() == item.id.as_str());
                    if !known || stronger.contains(&item.id) {
                        continue;
                    }
                    if !item.is_off() && stronger.iter().any(|id| self.conflict(id, &item.id)) {
                        left.push(item.clone());
                        continue;
                    }
                    // A switch that is off excludes nothing.
                    held.insert(item.id.clone());
                    taken.push(item.clone());
                }
            }
        }
        (taken, left)
    }
}

/// Leaves out what makes no sense without an option that was left out: `--allow` takes `--forward`.
fn drop_dependents(given: &[OsString], taken: &mut Vec<Item>, left: &[Item]) {
    if left.is_empty() {
        return;
    }
    taken.retain(|item| {
        let alone = Cli::try_parse_from(complete(given, std::iter::once(item)));
        !alone.is_err_and(|error| {
            error.kind() == ErrorKind::MissingRequiredArgument
                && left.iter().any(|left| values::mentions(&error, &left.long))
        })
    });
}

/// The arguments with more of them, in front of those that are no options.
fn complete<'a>(given: &[OsString], items: impl Iterator<Item = &'a Item>) -> Vec<OsString> {
    let end = given.iter().position(|argument| argument == "--").unwrap_or(given.len());
    let (options, rest) = given.split_at(end);
    let more = items.flat_map(|item| item.arguments.iter());
    options.iter().chain(more).chain(rest).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(id: &str, argument: &str) -> Item {
        Item {
            verbs: vec!["serve".to_owned()],
            id: id.to_owned(),
            long: id.replace('_', "-"),
            values: vec!["x".to_owned()],
            arguments: vec![argument.into()],
            origin: Origin::File(1),
        }
    }

    #[test]
    fn what_is_stronger_beats_and_excludes() {
        let here = Here::new(&["serve".to_owned()]);
        assert!(here.conflict("self_signed", "tls_cert") && here.conflict("tls_key", "self_signed"));
        assert!(here.conflict("verbose", "log") && !here.conflict("port", "bind"));
        let environment = [item("port", "--port=1"), item("self_signed", "--self-signed")];
        let file = [item("port", "--port=2"), item("tls_cert", "--tls-cert=c"), item("bind", "--bind=::1")];
        let (taken, left) = here.merge(BTreeSet::from(["quiet".to_owned()]), [&environment, &file]);
        let ids: Vec<_> = taken.iter().map(|item| item.arguments[0].to_str().unwrap()).collect();
        assert_eq!(ids, ["--port=1", "--self-signed", "--bind=::1"]);
        assert_eq!(left.len(), 1);
        assert_eq!(left[0].id, "tls_cert");
    }

    #[test]
    fn every_option_has_a_variable_of_its_own() {
        let help = with_env(Cli::command()).try_get_matches_from(["mphttp", "serve", "--help"]).unwrap_err();
        let help = help.to_string();
        for name in ["MPHTTP_SERVE_PORT", "MPHTTP_SERVE_TLS_CERT", "MPHTTP_LOG", "MPHTTP_CONFIG"] {
            assert!(help.contains(&format!("[env: {name}]")), "{name}: {help}");
        }
    }

    #[test]
    fn more_arguments_stay_options() {
        let given = ["mphttp", "serve", "--", "-x"].map(OsString::from);
        let whole = complete(&given, [item("port", "--port=1")].iter());
        assert_eq!(whole, ["mphttp", "serve", "--port=1", "--", "-x"]);
    }
}
