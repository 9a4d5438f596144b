//! A body fetched by the best means: over every link, and through the loss of any.

use std::{
    io::{self, IsTerminal},
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use http::StatusCode;
use mphttp::download::{Download, Downloaded, leftover};

use super::{
    GetArgs, conclude,
    output::{Output, Target, is_special, unchanged},
    progress::{Progress, size},
    report::Head,
    shows,
};
use crate::error_reporting::say;

/// Downloads to where it is to go, and tells what was used.
pub async fn transfer(args: &GetArgs, download: Download, target: Target) -> anyhow::Result<()> {
    let done = match target {
        Target::Path(path) if !is_special(&path) => to_file(args, download, &path).await?,
        Target::Nowhere => {
            let (download, progress) = followed(download, !args.quiet && io::stderr().is_terminal());
            let done = download.discard().await;
            clear(&progress);
            done?
        }
        target => to_output(args, download, target).await?,
    };
    let head = Head::of_download(&done);
    conclude(args, &head, &done.into())
}

async fn to_file(args: &GetArgs, download: Download, path: &Path) -> anyhow::Result<Downloaded> {
    let left = leftover(path);
    if args.resume && !args.quiet && left.is_none() {
        say(format!("nothing of {} is there to go on with: starting anew", path.display()));
    }
    let (download, progress) = followed(download, !args.quiet && io::stderr().is_terminal());
    // Told whichever way this ends, a signal included.
    let _kept = Kept { path, quiet: args.quiet, progress: Arc::clone(&progress) };
    let done = download.to_file(path).await;
    clear(&progress);
    let done = done?;
    if done.status == StatusCode::NOT_MODIFIED && !args.quiet {
        say(unchanged(&path.display().to_string()));
    }
    if args.resume && !args.quiet && left.is_some() && done.resumed == 0 {
        say("it has changed on the server since: started anew");
    }
    Ok(done)
}

/// Says, when a download ends early, what is left of it.
struct Kept<'a> {
    path: &'a Path,
    quiet: bool,
    progress: Arc<Mutex<Progress>>,
}

impl Drop for Kept<'_> {
    fn drop(&mut self) {
        clear(&self.progress);
        if let Some(left) = leftover(self.path).filter(|_| !self.quiet) {
            say(format!("{} of {} are kept: go on with -C", size(left.received), size(left.total)));
        }
    }
}

async fn to_output(args: &GetArgs, download: Download, target: Target) -> anyhow::Result<Downloaded> {
    let mut output = Output::open(target)?;
    let (download, progress) = followed(download, shows(args, &output));
    let outcome = async {
        let mut downloading = download.stream().await?;
        while let Some(piece) = downloading.chunk().await? {
            output.write(piece).await?;
        }
        Ok::<_, anyhow::Error>(downloading.finish().await?)
    }
    .await;
    clear(&progress);
    match outcome {
        Ok(done) => output.finish().await.map(|()| done),
        Err(error) => {
            output.abandon().await;
            Err(error)
        }
    }
}

/// The same download with its progress shown, if it is to be.
fn followed(download: Download, show: bool) -> (Download, Arc<Mutex<Progress>>) {
    let progress = Arc::new(Mutex::new(if show { Progress::start(None) } else { Progress::hidden() }));
    if !show {
        return (download, progress);
    }
    let shown = Arc::clone(&progress);
    let download = download
        .progress(move |progress| shown.lock().unwrap_or_else(PoisonError::into_inner).follow(progress));
    (download, progress)
}

fn clear(progress: &Mutex<Progress>) {
    progress.lock().unwrap_or_else(PoisonError::into_inner).clear();
}
