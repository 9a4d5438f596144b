//! What the program tells of its doings, on stderr: how much of it, and who else is told.

use std::io::{self, IsTerminal};

use clap::Args;
use tracing_subscriber::{EnvFilter, Layer, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::{error_reporting::Failure, exit::Exit};

/// The environment variable that stands for `--log`.
pub const ENV: &str = "MPHTTP_LOG";

/// How much is told.
#[derive(Args, Debug)]
pub struct LogArgs {
    /// Say on stderr what is tried, over which links, and what became of it; -vv says more, -vvv everything.
    #[arg(long, short, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Say on stderr what this filter lets pass, in place of --verbose: a level (error, warn, info, debug, trace), or
    /// some for parts of the program, such as mptcp_socket=debug,mphttp::server=info [default: what MPHTTP_LOG says].
    #[arg(long, value_name = "FILTER", global = true, conflicts_with = "verbose")]
    log: Option<String>,
}

/// What is told if nobody asks for more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usual {
    /// Nothing: the verb tells by itself what people want to know.
    Nothing,
    /// What the operator of a server must know: a lack of descriptors, handlers that failed.
    Warnings,
}

/// Ends what was begun for those who are told.
#[must_use = "dropped, it sends what is not sent yet"]
pub struct Telling {
    #[cfg(feature = "otel")]
    _exporter: Option<crate::otel::Exporter>,
}

impl LogArgs {
    /// Tells from now on. `traces`: also sends traces, if the environment says where to.
    ///
    /// # Errors
    /// The filter is none.
    pub fn begin(&self, usual: Usual, traces: bool) -> anyhow::Result<Telling> {
        let filter = self.filter(usual)?;
        let terminal = io::stderr().is_terminal();
        let lines = fmt::layer().with_writer(io::stderr).with_ansi(terminal);
        // A server's lines are put beside others, those of a transfer are read on the spot.
        let lines = match usual {
            Usual::Warnings => lines.boxed(),
            Usual::Nothing => lines.with_timer(fmt::time::uptime()).with_target(false).boxed(),
        };
        let registry = tracing_subscriber::registry().with(lines.with_filter(filter));
        #[cfg(feature = "otel")]
        {
            let exporter = if traces { crate::otel::Exporter::from_env()? } else { None };
            // Only a program that embeds this one could have a subscriber already.
            let _ = registry.with(exporter.as_ref().map(crate::otel::Exporter::layer)).try_init();
            Ok(Telling { _exporter: exporter })
        }
        #[cfg(not(feature = "otel"))]
        {
            let _ = (traces, registry.try_init());
            Ok(Telling {})
        }
    }

    fn filter(&self, usual: Usual) -> anyhow::Result<EnvFilter> {
        let (text, from) = match (&self.log, self.verbose) {
            (Some(text), _) => (text.clone(), "--log"),
            (None, 0) => match std::env::var(ENV) {
                Ok(text) if !text.is_empty() => (text, ENV),
                _ => (usual.filter().to_owned(), ""),
            },
            (None, verbose) => (verbosity(verbose).to_owned(), "--verbose"),
        };
        EnvFilter::builder().parse(&text).map_err(|error| {
            Failure::new(Exit::Usage, format!("{from}: {text:?} is no filter: {error}"))
                .hint("write a level, such as debug, or one for a part, such as mptcp_socket=debug")
                .into()
        })
    }
}

impl Usual {
    const fn filter(self) -> &'static str {
        match self {
            Self::Nothing => "off",
            Self::Warnings => "warn",
        }
    }
}

/// The filter for so many `-v`. `mphttp` stands for every part whose name begins so.
const fn verbosity(verbose: u8) -> &'static str {
    match verbose {
        0 | 1 => "warn,mphttp=info,mptcp_socket=info,mptcp_paths=info",
        2 => "warn,mphttp=debug,mptcp_socket=debug,mptcp_paths=debug",
        _ => "debug,mphttp=trace,mptcp_socket=trace,mptcp_paths=trace",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_verbosity_is_a_filter() {
        for verbose in 0..=4 {
            let args = LogArgs { verbose, log: None };
            assert!(args.filter(Usual::Warnings).is_ok(), "{verbose}");
        }
        let wrong = LogArgs { verbose: 0, log: Some("mphttp=loud".to_owned()) };
        assert!(wrong.filter(Usual::Nothing).unwrap_err().to_string().contains("--log"));
    }
}
