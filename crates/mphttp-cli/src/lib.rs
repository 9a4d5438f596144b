//! The program `mphttp`: HTTP over TCP or Multipath TCP, at the command line.
//!
//! A library of one function, so that the Python package brings the same program without a second copy of all that is
//! in it: [`run`] is everything that `main` does.

mod access_log;
mod addresses;
mod bench;
mod certificates;
mod cli;
mod config;
#[cfg(target_os = "linux")]
mod demo;
mod doctor;
mod error_reporting;
mod exit;
#[cfg(any(test, feature = "_fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod get;
mod limits;
mod listening;
mod logging;
mod looks;
mod man;
#[cfg(feature = "otel")]
mod otel;
mod paths;
mod picture;
mod proxy;
mod restart;
mod runtime;
mod seen;
mod serve;
mod serve_signals;
mod serve_uploads;
mod top;

use std::ffi::OsString;

use cli::{Cli, Verb};

/// Runs the program with `arguments`, the first of which is its own name, and gives its exit code.
///
/// The calling process is the program's: it installs signal handlers, and the verb `demo` takes a process with one
/// thread, which it moves into namespaces of its own. Stdout and stderr are written, nothing is read from stdin.
#[must_use]
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> u8 {
    let cli = match config::parse(arguments.into_iter().map(Into::into).collect()) {
        Ok(cli) => cli,
        Err(config::Stop::Config(error)) => return error_reporting::report(&error) as u8,
        Err(config::Stop::Clap(error, from)) => {
            // `--help` and `--version` come this way too; a closed stdout is no failure of theirs.
            let _ = error.print();
            if let Some(from) = from.filter(|_| error.use_stderr()) {
                error_reporting::say(format_args!("note: taken beside the arguments: {from}"));
            }
            let code = if error.use_stderr() { exit::Exit::Usage } else { exit::Exit::Ok };
            return code as u8;
        }
    };
    let outcome = cli.log.begin(cli.verb.usual(), cli.verb.may_send_traces()).and_then(|telling| {
        let outcome = verb(cli);
        drop(telling);
        outcome
    });
    match outcome {
        Ok(()) => exit::Exit::Ok as u8,
        Err(error) => error_reporting::report(&error) as u8,
    }
}

// No runtime here: each verb makes its own, and `demo` must enter its namespaces before any thread exists.
fn verb(cli: Cli) -> anyhow::Result<()> {
    match cli.verb {
        Verb::Get(args) => get::run(&args),
        Verb::Serve(args) => serve::run(*args),
        Verb::Proxy(args) => proxy::run(*args),
        Verb::Top(args) => top::run(&args),
        Verb::Bench(args) => bench::run(&args),
        Verb::Doctor(args) => doctor::run(&args),
        Verb::Paths(args) => paths::run(args),
        #[cfg(target_os = "linux")]
        Verb::Demo(args) => demo::demo(&args),
        Verb::Completions { shell } => cli::completions(shell),
        Verb::Config(args) => config::run(&args, cli.config.as_ref()),
        Verb::Man(args) => man::run(&args),
    }
}
