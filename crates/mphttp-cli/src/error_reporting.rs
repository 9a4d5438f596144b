//! How failures reach people and scripts: `error: …`, its causes, a `hint: …`, and the exit code.

use std::{fmt, io::Write};

use crate::exit::Exit;

/// A failure whose exit code this program knows better than the error's type tells.
#[derive(Debug)]
pub struct Failure {
    exit: Exit,
    message: String,
    hint: Option<String>,
    silent: bool,
}

impl Failure {
    /// A failure with its message. Use as an error, or as `context` of one.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None, silent: false }
    }

    /// A failure that is no news to the person at the terminal: they ended the program, or closed its output.
    pub fn silent(exit: Exit, message: impl Into<String>) -> Self {
        Self { silent: true, ..Self::new(exit, message) }
    }

    /// What to do about it.
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Writes a line for people to stderr. A closed stderr is no reason to stop.
pub fn say(line: impl fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Tells of a failure; gives the exit code for it.
pub fn report(error: &anyhow::Error) -> Exit {
    if !error.downcast_ref::<Failure>().is_some_and(|failure| failure.silent) {
        say(describe(error));
    }
    exit_code(error)
}

pub(crate) fn describe(error: &anyhow::Error) -> String {
    let mut text = format!("error: {error}");
    let mut told = error.to_string();
    for cause in error.chain().skip(1) {
        let cause = cause.to_string();
        // Many errors already say their cause; saying it twice helps nobody.
        if !told.contains(&cause) {
            text.push_str("\n  caused by: ");
            text.push_str(&cause);
            told.push_str(&cause);
        }
    }
    if let Some(hint) = error.downcast_ref::<Failure>().and_then(|failure| failure.hint.as_deref()) {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    text
}

/// The exit code for a failure.
pub fn exit_code(error: &anyhow::Error) -> Exit {
    // anyhow looks through contexts as well as at the error itself.
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return failure.exit;
    }
    error
        .chain()
        .find_map(|cause| {
            let library = cause.downcast_ref::<mphttp::Error>().map(Exit::from);
            let socket = || cause.downcast_ref::<mptcp_socket::Error>().map(Exit::from);
            let paths = || cause.downcast_ref::<mptcp_paths::Error>().map(Exit::from);
            library.or_else(socket).or_else(paths)
        })
        .unwrap_or(Exit::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[test]
    fn causes_are_told_once_and_the_hint_last() {
        let error = anyhow!("disk full")
            .context("can't write: disk full")
            .context(Failure::new(Exit::Write, "the download failed").hint("make room"));
        assert_eq!(
            describe(&error),
            "error: the download failed\n  caused by: can't write: disk full\nhint: make room"
        );
        assert_eq!(exit_code(&error), Exit::Write);
    }

    #[test]
    fn exit_codes_come_from_the_libraries_errors() {
        let unknown = "tcpp".parse::<mphttp::Protocol>();
        assert_eq!(exit_code(&unknown.context("while starting").unwrap_err()), Exit::Usage);
        let listen = mptcp_socket::Listen::new(mphttp::Protocol::Tcp).bind("192.0.2.1:0".parse().unwrap());
        let error = anyhow::Error::from(mphttp::Error::from(listen.unwrap_err()));
        assert_eq!(exit_code(&error), Exit::Connect);
        assert!(describe(&error).contains("no interface of this host has that address"));
        assert_eq!(exit_code(&anyhow!("something else")), Exit::Other);
    }
}
