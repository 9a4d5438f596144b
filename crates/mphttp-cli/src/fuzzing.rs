//! What fuzzing feeds here: each function takes any bytes, has them read, and panics where a promise is broken. The fuzz
//! targets call these, and `tests/corpus.rs` with what is kept of their inputs.

use std::{ffi::OsString, path::Path};

use clap::Parser as _;
use http::{HeaderMap, HeaderValue, header::AUTHORIZATION};

use crate::{
    cli::{Cli, Verb},
    config::file,
    get::{
        args::{header, resolve_rule},
        remote_name,
    },
    serve::auth::{accounts, credentials},
};

/// A command line, an argument a line. Every option's value is read by it: addresses, ranges, sizes, times, URLs, fields.
pub fn command_lines(bytes: &[u8]) {
    let arguments = bytes.split(|&byte| byte == b'\n').take(12).map(argument);
    let line = std::iter::once(OsString::from("mphttp")).chain(arguments);
    if let Ok(Cli { verb: Verb::Get(args), .. }) = Cli::try_parse_from(line) {
        let url = args.full_url();
        assert!(url.contains("://"));
        let name = remote_name(&url);
        assert!(name.is_none_or(|name| name.components().count() == 1 && name.file_name().is_some()));
    }
}

#[cfg(unix)]
fn argument(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn argument(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// The values that `get` reads after its command line: `-H`, `--resolve`, and the name in a URL. A file's name is one name.
pub fn get_words(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok((name, value)) = header(&text) {
        assert!(!name.as_str().is_empty() && !value.as_bytes().contains(&b'\n'));
    }
    if let Some((host, _, addresses)) = resolve_rule(&text) {
        assert!(!host.is_empty() && !addresses.is_empty());
    }
    if let Some(name) = remote_name(&text) {
        assert!(name.components().count() == 1 && name.file_name() == Some(name.as_os_str()), "{name:?}");
    }
    if let Ok(size) = crate::serve_uploads::size(&text) {
        assert!(size > 0);
    }
}

/// A configuration file. What is wrong has a line.
pub fn config_files(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(error) = file::parse(Path::new("config.toml"), text) {
        let told = error.to_string();
        let line = told.strip_prefix("config.toml:").and_then(|rest| rest.split(':').next()?.parse().ok());
        let lines = text.split('\n').count();
        assert!(line.is_some_and(|line: usize| (1..=lines).contains(&line)), "{told:?} of {lines} lines");
    }
}

/// A file of passwords, and a client's. Whoever is in the file has a name that is one field of a log, and a hash that can be
/// checked in time.
pub fn password_files(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(accounts) = accounts(&text, "passwords") {
        assert!(!accounts.is_empty());
        assert!(accounts.keys().all(|user| !user.contains([' ', ':', '"', '\n'])));
        assert!(accounts.values().all(|hash| hash.starts_with("$2")));
    }
    let basic = HeaderValue::from_bytes(bytes.trim_ascii());
    let headers: HeaderMap = basic.ok().map(|value| (AUTHORIZATION, value)).into_iter().collect();
    let _ = credentials(&headers);
}
