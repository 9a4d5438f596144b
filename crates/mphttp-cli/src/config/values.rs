//! Values as arguments: of a variable, or of a key in the file; and what clap says of them.

use std::ffi::{OsStr, OsString};

use clap::{Arg, ArgAction, Parser, error::ContextValue, error::ErrorKind};
use toml_edit::{Item, Value};

use crate::{cli::Cli, error_reporting::Failure, exit::Exit};

/// An error in the environment or the file.
pub fn wrong(text: String) -> anyhow::Error {
    Failure::new(Exit::Usage, text)
        .hint("mphttp config shows what holds and whence; --config none reads no file")
        .into()
}

/// Whether false means that it isn't given.
pub fn can_be_off(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::SetTrue | ArgAction::SetFalse) || needs_no_value(option)
}

fn needs_no_value(option: &Arg) -> bool {
    option.get_num_args().is_some_and(|range| range.min_values() == 0)
}

fn with_value(option: &Arg, value: &OsStr) -> OsString {
    let mut argument = bare(option);
    argument.push("=");
    argument.push(value);
    argument
}

fn bare(option: &Arg) -> OsString {
    format!("--{}", option.get_long().unwrap_or_default()).into()
}

fn times(option: &Arg, count: i64) -> Result<Vec<OsString>, String> {
    match u8::try_from(count) {
        Ok(count) => Ok(vec![bare(option); count.into()]),
        Err(_) => Err("write a number from 0 to 255".to_owned()),
    }
}

/// A variable's value as arguments.
pub fn of_variable(option: &Arg, value: &OsStr) -> Result<Vec<OsString>, String> {
    let text = value.to_str().unwrap_or_default().to_ascii_lowercase();
    match option.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => match text.as_str() {
            "true" | "yes" | "on" | "1" => Ok(vec![bare(option)]),
            "false" | "no" | "off" | "0" => Ok(Vec::new()),
            _ => Err(format!("it is a switch: write true or false, not {value:?}")),
        },
        ArgAction::Count => times(option, text.parse().unwrap_or(-1)),
        _ if needs_no_value(option) && text == "true" => Ok(vec![bare(option)]),
        _ if needs_no_value(option) && text == "false" => Ok(Vec::new()),
        _ => Ok(vec![with_value(option, value)]),
    }
}

/// A key's value: as texts, and as arguments.
pub fn of_key(option: &Arg, item: &Item) -> Result<(Vec<String>, Vec<OsString>), String> {
    let value = item.as_value().ok_or("it takes a value, not a table")?;
    match option.get_action() {
        ArgAction::SetTrue | ArgAction::SetFalse => match value.as_bool() {
            Some(true) => Ok((vec!["true".to_owned()], vec![bare(option)])),
            Some(false) => Ok((vec!["false".to_owned()], Vec::new())),
            None => Err(format!("it is a switch: write true or false, not {}", kind(value))),
        },
        ArgAction::Count => {
            let count = value.as_integer().or_else(|| value.as_bool().map(i64::from));
            let count = count.ok_or_else(|| format!("write a number, not {}", kind(value)))?;
            Ok((vec![count.to_string()], times(option, count)?))
        }
        // Such as --cors and --cors=ORIGIN.
        _ if value.as_bool().is_some() && needs_no_value(option) => match value.as_bool() {
            Some(true) => Ok((vec!["true".to_owned()], vec![bare(option)])),
            _ => Ok((vec!["false".to_owned()], Vec::new())),
        },
        action => {
            let texts = match value {
                Value::Array(array) if matches!(action, ArgAction::Append) => {
                    array.iter().map(scalar).collect::<Result<Vec<_>, _>>()?
                }
                Value::Array(_) => return Err("it takes one value, not a list".to_owned()),
                value => vec![scalar(value)?],
            };
            let arguments = texts.iter().map(|text| with_value(option, OsStr::new(text))).collect();
            Ok((texts, arguments))
        }
    }
}

fn scalar(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.value().clone()),
        Value::Integer(number) => Ok(number.value().to_string()),
        Value::Float(number) => Ok(number.value().to_string()),
        other => Err(format!("write a text or a number, not {}", kind(other))),
    }
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::InlineTable(_) => "a table",
    }
}

/// Has clap look at arguments of a verb; what it says, in one line. What else the verb needs may be on the command line.
pub fn check(verbs: &[String], arguments: &[OsString]) -> Result<(), String> {
    let program = std::iter::once(OsString::from("mphttp"));
    let line = program.chain(verbs.iter().map(OsString::from)).chain(arguments.iter().cloned());
    match Cli::try_parse_from(line) {
        Err(error) if !is_incomplete(error.kind()) => Err(said(&error)),
        _ => Ok(()),
    }
}

const fn is_incomplete(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

fn said(error: &clap::Error) -> String {
    let text = error.to_string();
    let lines = text.lines().map(str::trim).take_while(|line| !line.is_empty());
    let said = lines.collect::<Vec<_>>().join(" ");
    said.strip_prefix("error: ").unwrap_or(&said).to_owned()
}

/// Whether an error is about this option, among others.
pub fn mentions(error: &clap::Error, long: &str) -> bool {
    let flag = format!("--{long}");
    let is = |text: &String| text.split(' ').next() == Some(flag.as_str());
    error.context().any(|(_, value)| match value {
        ContextValue::String(text) => is(text),
        ContextValue::Strings(texts) => texts.iter().any(is),
        _ => false,
    })
}
