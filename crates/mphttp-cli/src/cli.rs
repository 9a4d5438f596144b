//! The command line: its verbs, and what they share.

use std::io::Write;

use anyhow::Context;
use clap::{
    Args, CommandFactory, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use clap_complete::Shell;
use mphttp::Protocol;

use crate::{
    bench::BenchArgs,
    doctor::DoctorArgs,
    error_reporting::Failure,
    exit::Exit,
    get::GetArgs,
    logging::{LogArgs, Usual},
    paths::PathsArgs,
    proxy::ProxyArgs,
    serve::ServeArgs,
    top::TopArgs,
};

/// HTTP in which the socket protocol is a choice: TCP, Multipath TCP with fallback, or Multipath TCP or nothing.
#[derive(Debug, Parser)]
#[command(name = "mphttp", version, after_long_help = Exit::HELP, disable_help_subcommand = true)]
pub struct Cli {
    #[command(flatten)]
    pub log: LogArgs,
    /// Take what is not given here, nor in the environment, from this TOML file: a table for each verb, with its long options;
    /// `none` for no file [default: the first that exists of $XDG_CONFIG_HOME/mphttp/config.toml,
    /// ~/.config/mphttp/config.toml if that is not set, and /etc/mphttp/config.toml].
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<std::path::PathBuf>,
    #[command(subcommand)]
    pub verb: Verb,
}

impl Verb {
    /// What is told if nobody asks for more.
    pub const fn usual(&self) -> Usual {
        match self {
            Self::Serve(_) | Self::Proxy(_) => Usual::Warnings,
            _ => Usual::Nothing,
        }
    }

    /// Whether traces may be sent: that takes a thread.
    pub const fn may_send_traces(&self) -> bool {
        matches!(self, Self::Serve(_) | Self::Proxy(_) | Self::Get(_))
    }
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Get a URL, as curl does, and say over which paths it came.
    #[command(after_long_help = Exit::HELP)]
    Get(Box<GetArgs>),
    /// Serve a directory over HTTP.
    Serve(Box<ServeArgs>),
    /// Give others Multipath TCP: a proxy in front of HTTP servers, or one for programs that heed http_proxy and https_proxy.
    Proxy(Box<ProxyArgs>),
    /// Watch every MPTCP connection of this host: processes, paths, rates, round trips, retransmissions.
    ///
    /// Needs no privilege; processes of other users are seen by root alone. Keys: s next order, r reverse, b rates or bytes, arrows
    /// to choose, space to hold, + and - for the interval, q to quit.
    #[command(after_long_help = Exit::HELP)]
    Top(TopArgs),
    /// Compare TCP, Multipath TCP and striped downloads of a URL, in rounds: medians, ratios, a plot.
    ///
    /// It downloads from a real server: choose one that may be loaded, and limits that your links bear.
    #[command(after_long_help = Exit::HELP)]
    Bench(BenchArgs),
    /// Say why MPTCP, or its second path, does not work, and what mends it.
    ///
    /// Looks at this host: the kernel, sysctls, endpoints, limits, routes, interfaces. With a URL also at the way there:
    /// a transfer of up to 16 MB or 5 seconds over all paths, and a request through each interface alone. Needs no
    /// privilege, changes nothing without --fix, and says what it could not see.
    #[command(after_long_help = crate::doctor::HELP)]
    Doctor(DoctorArgs),
    /// See which of this host's addresses Multipath TCP uses, change that, or have it kept right.
    Paths(PathsArgs),
    /// See the main job done: two hosts, two links, one file over TCP, over MPTCP, and while a link dies.
    ///
    /// Needs no privilege and leaves nothing behind: hosts and links are network namespaces of this process.
    #[cfg(target_os = "linux")]
    Demo(crate::demo::DemoArgs),
    /// Show which options the environment and the configuration file set, and check the file.
    Config(crate::config::ConfigArgs),
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  mphttp completions bash > ~/.local/share/bash-completion/completions/mphttp"
    )]
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Print the manual page, or write those of all verbs.
    Man(crate::man::ManArgs),
}

/// The choice of protocol, as every verb takes it.
#[derive(Clone, Copy, Debug, Args)]
pub struct ProtocolArgs {
    /// The socket protocol: plain TCP, Multipath TCP falling back to TCP, or Multipath TCP or nothing [default: what
    /// MPHTTP_PROTOCOL says, else mptcp].
    #[arg(long, value_name = "PROTOCOL", value_parser = protocol_parser())]
    protocol: Option<Protocol>,
}

/// Reads a protocol.
pub fn protocol_parser() -> impl TypedValueParser<Value = Protocol> {
    PossibleValuesParser::new(Protocol::ALL.map(Protocol::as_str)).try_map(|word| word.parse::<Protocol>())
}

impl ProtocolArgs {
    /// The explicit choice, else that of the environment.
    ///
    /// # Errors
    /// The environment names no protocol.
    pub fn choice(self) -> Result<Protocol, mptcp_socket::Error> {
        self.protocol.map_or_else(Protocol::from_env, Ok)
    }
}

/// Prints a shell's completions.
pub fn completions(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "mphttp", &mut script);
    std::io::stdout()
        .write_all(&script)
        .context(Failure::new(Exit::Write, "can't write the completions to stdout"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }
}
