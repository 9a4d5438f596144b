//! A server's end comes with the bench's, whatever ends that: between the two stands a process of this program, which the
//! bench holds by its stdin. When nobody holds that any more, it ends the server.

use std::ffi::OsString;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{io::AsyncReadExt, process::Child, time::timeout};

/// How long a server may take to end when it is asked to.
const PATIENCE: Duration = Duration::from_millis(500);

/// What to guard.
#[derive(clap::Args)]
pub struct Args {
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// The same command under guard. It ends when the stdin of its process is closed, and with an error if it does so before.
///
/// # Errors
/// When this program can't be found.
pub fn guarded(command: &Command) -> Result<Command> {
    let mut guard = Command::new(std::env::current_exe().context("this program is not to be found")?);
    guard.arg("guard").arg("--").arg(command.get_program()).args(command.get_args());
    guard.stdin(Stdio::piped()).stdout(Stdio::null());
    Ok(guard)
}

/// Runs a program until stdin ends.
///
/// # Errors
/// When it can't be started, or ends by itself.
pub fn run(args: &Args) -> Result<()> {
    let (program, arguments) = args.command.split_first().context("nothing to guard")?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
    let outcome = runtime.block_on(async {
        let mut command = tokio::process::Command::new(program);
        let mut child = command
            .args(arguments)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("can't start {}", program.display()))?;
        let mut orders = Vec::new();
        let mut stdin = tokio::io::stdin();
        tokio::select! {
            ended = child.wait() => bail!("{} ended by itself: {}", program.display(), ended?),
            // An end is an end, in good order or not.
            _ = stdin.read_to_end(&mut orders) => end(&mut child).await,
        }
    });
    // The reading of stdin may go on.
    runtime.shutdown_background();
    outcome
}

/// Asks a server to end, which some need for their own children, and ends it if it takes its time.
async fn end(child: &mut Child) -> Result<()> {
    let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(id) = id {
        // It may have ended by itself.
        let _ = kill_process(id, Signal::TERM);
        if timeout(PATIENCE, child.wait()).await.is_ok() {
            return Ok(());
        }
    }
    Ok(child.kill().await?)
}
