//! `mphttp get`: fetches a URL as curl would, shows each path at work, and says at the end what was used.

pub(crate) mod args;
mod download;
mod output;
pub mod progress;
pub mod report;
mod upload;

use std::{
    io::{self, IsTerminal},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context;
use bytes::Bytes;
use http::header::CONTENT_ENCODING;
use mphttp::Response;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};

pub use args::{GetArgs, seconds};
use output::{Output, Target};
use progress::{Progress, carried};
use report::{Finished, Head};

use crate::{
    error_reporting::{Failure, exit_code, say},
    exit::Exit,
    runtime::block_on_until_signal,
};

/// How often the display looks at the connection.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs the verb.
pub fn run(args: &GetArgs) -> anyhow::Result<()> {
    let outcome = fetch(args);
    if let Err(error) = &outcome
        && args.json
    {
        let line = report::json_error(exit_code(error), &error.to_string());
        // The failure itself is what matters; that nobody reads stdout is no second one.
        let _ = report::print(&line);
    }
    outcome
}

fn fetch(args: &GetArgs) -> anyhow::Result<()> {
    let target = target(args)?;
    let client = args.client()?;
    if let Some(option) = args.only_download().filter(|_| !args.is_download()) {
        let message = format!(
            "{option} is for plain downloads: GET, without --include, --head, --compressed or a Range"
        );
        return Err(Failure::new(Exit::Usage, message).into());
    }
    // Both are made before the runtime, so that what is wrong with them is told first.
    let (request, download) = if args.is_download() {
        (None, Some(args.download(&client)?))
    } else {
        (Some(args.request(&client)?), None)
    };
    block_on_until_signal(async {
        match (download, request) {
            (Some(download), _) => download::transfer(args, download, target).await,
            (None, Some(request)) => transfer(args, request, target).await,
            (None, None) => Ok(()),
        }
    })
}

async fn transfer(
    args: &GetArgs,
    request: mphttp::client::RequestBuilder,
    target: Target,
) -> anyhow::Result<()> {
    let mut output = Output::open(target)?;
    if let Some(file) = upload::resumable(args) {
        return upload::transfer(args, request, output, file).await;
    }
    let start = Instant::now();
    let mut response = request.send().await?;
    if args.fail {
        response = response.error_for_status()?;
    }
    if args.compressed && !args.head {
        refuse_coded(&response)?;
    }
    if let Some(length) = response.content_length() {
        output.expect(length)?;
    }
    let mut progress =
        if shows(args, &output) { Progress::start(response.content_length()) } else { Progress::hidden() };
    if args.include || args.head {
        write_head(&mut output, &response).await?;
    }
    let head = Head::of(&response);
    let watch = response.watch();
    let (bytes, max_gap) = match receive(response, &mut output, &mut progress).await {
        Ok(received) => received,
        Err(error) => {
            output.abandon().await;
            return Err(error);
        }
    };
    let (elapsed, transport) = (start.elapsed(), watch.transport());
    progress.clear();
    if head.is_unchanged() && !args.include && !args.head {
        output.leave(args.quiet);
    } else {
        output.finish().await?;
    }
    conclude(args, &head, &Finished::over(transport, bytes, elapsed, max_gap))
}

/// A body that is still coded is not the one that `--compressed` asks for.
fn refuse_coded(response: &Response) -> anyhow::Result<()> {
    let Some(coding) = response.headers().get(CONTENT_ENCODING) else { return Ok(()) };
    let coding = String::from_utf8_lossy(coding.as_bytes());
    let message = format!("the body is in the coding {coding:?}, which can't be undone here");
    let hint = "ask without --compressed, and save it as it is";
    Err(Failure::new(Exit::Decode, message).hint(hint).into())
}

/// Whether there is somebody to show progress to.
fn shows(args: &GetArgs, output: &Output) -> bool {
    !args.quiet && io::stderr().is_terminal() && !output.is_terminal()
}

/// Tells what was used.
fn conclude(args: &GetArgs, head: &Head, finished: &Finished) -> anyhow::Result<()> {
    if args.json {
        let failed = || Failure::new(Exit::Write, "can't write to stdout");
        report::print(&report::json(head, finished)).with_context(failed)?;
    }
    if !args.quiet {
        // Else the page of an error in a file of one's own looks like what was asked for.
        let error = head.error().map(|status| format!("{status}: ")).unwrap_or_default();
        say(format_args!("{error}{}", report::sentence(finished)));
    }
    Ok(())
}

/// Moves the body; gives its length and the longest time without any of it.
async fn receive(
    mut response: Response,
    output: &mut Output,
    progress: &mut Progress,
) -> anyhow::Result<(u64, Duration)> {
    let (mut bytes, mut gap, mut latest) = (0, Duration::ZERO, Instant::now());
    let watch = response.watch();
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            // The display first: a body that never pauses would never let it.
            biased;
            _ = ticks.tick(), if progress.is_shown() => progress.look(bytes, &carried(&watch.transport()), None),
            piece = response.chunk() => {
                let Some(piece) = piece? else { break };
                let now = Instant::now();
                gap = gap.max(now - latest);
                latest = now;
                bytes += piece.len() as u64;
                output.write(piece).await?;
            }
        }
    }
    Ok((bytes, gap.max(latest.elapsed())))
}

/// Writes the status line and headers.
async fn write_head(output: &mut Output, response: &Response) -> anyhow::Result<()> {
    let block = header_block(response);
    output.write(if output.is_terminal() { harmless(&block) } else { block }).await
}

/// The status line and headers, as HTTP/1.1 would have them.
fn header_block(response: &Response) -> Bytes {
    let mut block = format!("{:?} {}\r\n", response.version(), response.status()).into_bytes();
    for (name, value) in response.headers() {
        block.extend_from_slice(name.as_str().as_bytes());
        block.extend_from_slice(b": ");
        block.extend_from_slice(value.as_bytes());
        block.extend_from_slice(b"\r\n");
    }
    block.extend_from_slice(b"\r\n");
    block.into()
}

/// Header fields for a terminal, which would take the control characters beyond ASCII that they may hold for orders. A body is shown
/// as it is: it is what was asked for.
fn harmless(block: &[u8]) -> Bytes {
    let text = String::from_utf8_lossy(block);
    let tame = |c: char| if c.is_control() && !c.is_ascii() { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(tame).collect::<String>().into()
}

/// Where the body is to go.
fn target(args: &GetArgs) -> anyhow::Result<Target> {
    let usage = |message: &str| anyhow::Error::from(Failure::new(Exit::Usage, message));
    if args.remote_name {
        return remote_name(&args.full_url()).map(Target::Path).ok_or_else(|| {
            usage("the URL doesn't end in a file name, which -O needs; choose one with -o FILE")
        });
    }
    match &args.output {
        Some(path) if path.as_os_str() == "-" && args.json => {
            Err(usage("--json and the body can't both go to stdout: use -o FILE"))
        }
        Some(path) if path.as_os_str() == "-" => Ok(Target::Stdout { by_name: true }),
        Some(path) if path.as_os_str().is_empty() => Err(usage("-o needs a file name")),
        Some(path) => Ok(Target::Path(path.clone())),
        None if args.json => Ok(Target::Nowhere),
        None => Ok(Target::Stdout { by_name: false }),
    }
}

/// The last part of a URL's path, if it can be a file's name here.
pub(crate) fn remote_name(url: &str) -> Option<PathBuf> {
    let (_, rest) = url.split_once("://")?;
    let path = rest.split(['?', '#']).next()?;
    let (_, name) = path.rsplit_once('/')?;
    // Not decoded: an encoded slash must not become one.
    let usable = !name.is_empty() && name != "." && name != ".." && !name.contains(['\\', '\0']);
    usable.then(|| PathBuf::from(name))
}

/// The signals that end a transfer, with no file left behind, a screen, with the terminal as it was, or what else has to be
/// put back.
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    hangup: tokio::signal::unix::Signal,
}

impl Signals {
    /// Must be called in a runtime.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the first; gives the exit code for it.
    pub async fn any(mut self) -> Exit {
        tokio::select! {
            _ = self.interrupt.recv() => Exit::Interrupted,
            _ = self.terminate.recv() => Exit::Terminated,
            _ = self.hangup.recv() => Exit::HungUp,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remote_name_is_a_plain_name() {
        for (url, name) in [
            ("http://a.example/dir/file.iso?x=/y#z", Some("file.iso")),
            ("http://a.example/a%2fb", Some("a%2fb")),
            ("http://a.example/dir/", None),
            ("http://a.example", None),
            ("http://a.example/..", None),
            ("http://a.example?x=/y", None),
        ] {
            assert_eq!(remote_name(url), name.map(PathBuf::from), "{url}");
        }
    }
}
