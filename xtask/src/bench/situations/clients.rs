//! The clients, each with the command that fetches one URL into a file.

use std::path::Path;
use std::process::{Command, Stdio};

use clap::ValueEnum;
use mphttp::Protocol;

use super::rows::{NAMES, Situation};
use crate::programs::{Paths, Who};

/// A client.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    /// `mphttp get` with plain TCP on the better link
    Tcp,
    /// `mphttp get` as it is
    Mphttp,
    /// Go's net/http, asked for MPTCP
    Go,
    /// libcurl with sockets of MPTCP
    Curl,
}

impl Client {
    /// What it is called in tables.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "plain TCP",
            Self::Mphttp => "mphttp",
            Self::Go => "Go",
            Self::Curl => "libcurl",
        }
    }
}

/// How the clients are started.
pub struct Clients<'a> {
    pub paths: &'a Paths,
    pub python: &'a Path,
    pub curl_get: &'a Path,
}

impl Clients<'_> {
    /// The command with which `client` fetches `url` into the file `output`; it prints an object about it.
    pub fn command(&self, client: Client, situation: &Situation, url: &str, output: &Path) -> Command {
        let mut command = match client {
            Client::Tcp | Client::Mphttp => Command::new(self.paths.program(Who::Mphttp)),
            Client::Go => Command::new(self.paths.program(Who::Go)),
            Client::Curl => Command::new(self.python),
        };
        match client {
            Client::Tcp | Client::Mphttp => {
                command.args(["get", url, "--json", "-q", "--noproxy", "-o"]).arg(output);
            }
            Client::Go => {
                command.args(["get", "-url", url, "-protocol", "mptcp", "-o"]).arg(output);
            }
            Client::Curl => {
                command.arg(self.curl_get).arg(url).arg(output);
            }
        }
        if client == Client::Tcp {
            command.args(["--protocol", "tcp", "--paths", "off"]);
            if let Some(best) = situation.best {
                command.args(["--interface", NAMES[best]]);
            }
        }
        command.env_remove(Protocol::ENV).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }
}
