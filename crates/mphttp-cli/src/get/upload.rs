//! `--upload-file`: a file goes by tus, or by one request; stdin, and all that can't be read twice, by one request.

use std::{
    io::{self, IsTerminal, Read},
    path::{Path, PathBuf},
    pin::{Pin, pin},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use http::Method;
use http_body::Frame;
use mphttp::{
    Body, Client, Error, Watch,
    client::{RequestBuilder, upload_url},
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};

use super::{
    GetArgs, LOOK_EVERY, conclude,
    output::Output,
    progress::{Progress, carried},
    receive,
    report::{Finished, Head},
    write_head,
};
use crate::{
    error_reporting::{Failure, say},
    exit::Exit,
};

/// What is read from stdin at a time, and how many such pieces may wait for the network.
const PIECE: usize = 128 << 10;
const QUEUE: usize = 8;

/// The file, if it may go by tus.
pub fn resumable(args: &GetArgs) -> Option<&Path> {
    let path = args.upload_file.as_deref()?;
    (args.method.is_none() && !is_stream(path)).then_some(path)
}

/// Whether a file can be read once only, and has no length.
fn is_stream(path: &Path) -> bool {
    path.as_os_str() == "-" || path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir())
}

/// A request for these options, with the file in it if it goes by one request.
pub fn begin(args: &GetArgs, client: &Client, method: Method) -> anyhow::Result<RequestBuilder> {
    let url = args.full_url();
    let Some(path) = args.upload_file.as_deref() else { return Ok(client.request(method, url)) };
    let failed = || {
        Failure::new(Exit::Read, format!("can't read {}", path.display()))
            .hint("check the name of the file to upload, and that you may read it")
    };
    if args.resume && resumable(args).is_none() {
        let message =
            "-C can't go on with an upload from stdin or with -X: those are sent at once or not at all";
        return Err(Failure::new(Exit::Usage, message).into());
    }
    if is_stream(path) {
        let body = piped(path).with_context(failed)?;
        return Ok(client.request(method, url).body(body));
    }
    // Now, before anything is asked of the network.
    let file = std::fs::File::open(path).with_context(failed)?;
    if file.metadata().with_context(failed)?.is_dir() {
        return Err(io::Error::from(io::ErrorKind::IsADirectory)).with_context(failed);
    }
    if resumable(args).is_some() {
        return Ok(client.request(method, url));
    }
    let body = Body::file(path).with_context(failed)?;
    Ok(client.request(method, upload_url(&url, path)?).body(body))
}

/// The file in which the URL of an upload under way is kept.
fn sidecar(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".mphttp-upload.json");
    name.into()
}

/// Uploads a file, shows how, and says so.
pub async fn transfer(
    args: &GetArgs,
    request: RequestBuilder,
    mut output: Output,
    file: &Path,
) -> anyhow::Result<()> {
    let start = Instant::now();
    let far = Arc::new((AtomicU64::new(0), AtomicU64::new(0)));
    let found = Arc::new(Mutex::new(None::<Watch>));
    let (tell_far, tell_found) = (Arc::clone(&far), Arc::clone(&found));
    let mut upload = request
        .upload(file)
        .retry_for(args.retry_for)
        .state(sidecar(file))
        .resume(args.resume)
        .progress(move |sent, size| {
            tell_far.0.store(sent, Ordering::Relaxed);
            tell_far.1.store(size, Ordering::Relaxed);
        })
        .on_connection(move |watch| {
            *tell_found.lock().unwrap_or_else(PoisonError::into_inner) = Some(watch);
        });
    if let Some(bytes) = args.upload_chunk {
        upload = upload.chunk(bytes);
    }
    let show = !args.quiet && io::stderr().is_terminal();
    let mut progress = Progress::hidden();
    let mut gaps = Gaps::new();
    let mut watched: Option<Watch> = None;
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut sending = pin!(upload.send());
    let uploaded = loop {
        tokio::select! {
            biased;
            _ = ticks.tick() => {
                let (sent, size) = (far.0.load(Ordering::Relaxed), far.1.load(Ordering::Relaxed));
                let connection = found.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(watch) = connection.filter(|_| show) {
                    progress.clear();
                    progress = Progress::start(Some(size));
                    watched = Some(watch);
                }
                if let Some(watch) = watched.as_ref().filter(|_| progress.is_shown()) {
                    progress.look(sent, &carried(&watch.transport()), None);
                }
                gaps.look(sent);
            }
            outcome = &mut sending => break outcome,
        }
    };
    progress.clear();
    let uploaded = uploaded.map_err(|error| explain(error, &sidecar(file)))?;
    if args.resume && uploaded.started_at() == 0 && uploaded.resumable() && !args.quiet && uploaded.size() > 0
    {
        say("There was nothing to go on with: the whole file was sent.");
    }
    let bytes = uploaded.size() - uploaded.started_at().min(uploaded.size());
    let response = uploaded.into_response();
    if args.include {
        write_head(&mut output, &response).await?;
    }
    let head = Head::of(&response);
    let watch = response.watch();
    receive(response, &mut output, &mut Progress::hidden()).await?;
    let (elapsed, transport) = (start.elapsed(), watch.transport());
    output.finish().await?;
    conclude(args, &head, &Finished::over(transport, bytes, elapsed, gaps.longest()))
}

/// The failure, with what to do about it.
fn explain(error: Error, sidecar: &Path) -> anyhow::Error {
    let goes_on = matches!(error, Error::UploadStuck { .. } | Error::Timeout { .. });
    if goes_on && sidecar.exists() {
        let exit = Exit::from(&error);
        let failure = Failure::new(exit, error.to_string());
        return anyhow::Error::from(error)
            .context(failure.hint("what has arrived is kept: go on with the same command and -C"));
    }
    error.into()
}

/// The longest time without a byte taken, to a tenth of a second.
struct Gaps {
    sent: u64,
    since: Instant,
    longest: Duration,
}

impl Gaps {
    fn new() -> Self {
        Self { sent: 0, since: Instant::now(), longest: Duration::ZERO }
    }

    fn look(&mut self, sent: u64) {
        if sent != self.sent {
            self.longest = self.longest();
            (self.sent, self.since) = (sent, Instant::now());
        }
    }

    fn longest(&self) -> Duration {
        self.longest.max(self.since.elapsed())
    }
}

/// A body of unknown length, from stdin or a FIFO.
fn piped(path: &Path) -> io::Result<Body> {
    let mut input: Box<dyn Read + Send> =
        if path.as_os_str() == "-" { Box::new(io::stdin()) } else { Box::new(std::fs::File::open(path)?) };
    let (pieces, queue) = mpsc::channel(QUEUE);
    // Never joined: a read that waits for a person must not keep the program.
    thread::spawn(move || {
        loop {
            let mut piece = vec![0; PIECE];
            let read = match input.read(&mut piece) {
                Ok(0) => return,
                Ok(length) => {
                    piece.truncate(length);
                    Ok(Bytes::from(piece))
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => Err(error),
            };
            let failed = read.is_err();
            if pieces.blocking_send(read).is_err() || failed {
                return;
            }
        }
    });
    Ok(Body::new(Piped(queue)))
}

struct Piped(mpsc::Receiver<io::Result<Bytes>>);

impl http_body::Body for Piped {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        self.0.poll_recv(context).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
