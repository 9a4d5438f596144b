//! Downloads, on the runtime that asynchronous connects share: Python polls how far they are, and is told when they end.

use std::{
    ffi::OsString,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use mphttp::{
    Client, Error,
    download::{Download, Downloaded, Link, Paths, Progress, leftover as left},
};
use pyo3::{
    exceptions::{PyRuntimeError, PyValueError},
    prelude::*,
    types::{PyBytes, PyDict},
};
use tokio::{sync::mpsc, task::AbortHandle};

use crate::{
    aio::{self, Done},
    errors,
    transport::Transport,
    words,
};

/// Pieces that wait for a file object to take them.
const QUEUE: usize = 16;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A download under way.
#[pyclass(frozen, module = "mphttp._mphttp")]
pub struct Downloading {
    task: AbortHandle,
    outcome: Arc<Mutex<Option<Result<Downloaded, Error>>>>,
    progress: Arc<Mutex<Option<Progress>>>,
    pieces: Mutex<Option<mpsc::Receiver<Bytes>>>,
}

#[pymethods]
impl Downloading {
    /// Gives up. What can be gone on with is kept, and that is done when `done` is called.
    fn cancel(&self) {
        self.task.abort();
    }

    /// How far it is, as keywords of `Progress`; `None` before there is anything to tell.
    fn progress<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let Some(progress) = locked(&self.progress).clone() else { return Ok(None) };
        let told = PyDict::new(py);
        told.set_item("bytes", progress.bytes)?;
        told.set_item("total", progress.total)?;
        told.set_item("strategy", progress.strategy.as_str())?;
        told.set_item("links", links(py, &progress.links)?)?;
        told.set_item("stalled", progress.stalled.map(|time| time.as_secs_f64()))?;
        told.set_item("waiting", progress.waiting.map(|time| time.as_secs_f64()))?;
        Ok(Some(told))
    }

    /// The next bytes for a file object, if there are any; waits for them, without the GIL, no longer than so many seconds.
    fn piece<'py>(&self, py: Python<'py>, wait: f64) -> Option<Bound<'py, PyBytes>> {
        // Put back afterwards: nobody else takes pieces meanwhile but in vain.
        let mut pieces = locked(&self.pieces).take()?;
        let until = std::time::Instant::now() + Duration::try_from_secs_f64(wait).unwrap_or_default();
        let piece = py.detach(|| {
            loop {
                match pieces.try_recv() {
                    Ok(piece) => return Some(piece),
                    Err(mpsc::error::TryRecvError::Disconnected) => return None,
                    Err(mpsc::error::TryRecvError::Empty) if std::time::Instant::now() >= until => {
                        return None;
                    }
                    Err(mpsc::error::TryRecvError::Empty) => std::thread::sleep(Duration::from_millis(1)),
                }
            }
        });
        *locked(&self.pieces) = Some(pieces);
        piece.map(|piece| PyBytes::new(py, &piece))
    }

    /// What came of it, as keywords of `Downloaded`, or its error. To be called once, when it is done.
    fn take<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let outcome = locked(&self.outcome).take();
        let done = outcome
            .ok_or_else(|| PyRuntimeError::new_err("not done, cancelled or taken already"))?
            .map_err(|error| errors::raise_http(py, &error))?;
        let told = PyDict::new(py);
        told.set_item("url", done.url.as_str())?;
        told.set_item("status", done.status.as_u16())?;
        let headers: Vec<(String, String)> = done
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        told.set_item("headers", headers)?;
        told.set_item("bytes", done.bytes)?;
        told.set_item("resumed", done.resumed)?;
        told.set_item("strategy", done.strategy.as_str())?;
        told.set_item("links", links(py, &done.links)?)?;
        told.set_item("requests", done.requests)?;
        told.set_item("failures", done.failures)?;
        told.set_item("seconds", done.elapsed.as_secs_f64())?;
        told.set_item("connect_seconds", done.connect_time.as_secs_f64())?;
        told.set_item("max_gap_seconds", done.max_gap.as_secs_f64())?;
        told.set_item("verified", done.verified)?;
        told.set_item("transport", Transport::of(done.transport))?;
        Ok(told)
    }
}

fn links<'py>(py: Python<'py>, links: &[Link]) -> PyResult<Bound<'py, PyDict>> {
    let told = PyDict::new(py);
    for link in links {
        told.set_item(&link.interface, link.bytes)?;
    }
    Ok(told)
}

/// Options of a download.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub struct Options {
    protocol: String,
    paths: Option<String>,
    connections: usize,
    retry_for: f64,
    resume: bool,
    checksum: Option<String>,
    headers: Vec<(String, String)>,
    timeout: Option<f64>,
    connect_timeout: Option<f64>,
    read_timeout: Option<f64>,
    cafile: Option<OsString>,
    verify: bool,
}

fn seconds(name: &str, value: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(value)
        .map_err(|_| PyValueError::new_err(format!("{name} must be a number of seconds, not {value}")))
}

/// The download that these options describe.
fn prepare(py: Python<'_>, url: &str, options: Options) -> PyResult<Download> {
    let failed = |error: Error| errors::raise_http(py, &error);
    let mut client = Client::builder()
        .protocol(words::protocol(&options.protocol)?)
        .danger_accept_invalid_certs(!options.verify);
    if let Some(limit) = options.connect_timeout {
        client = client.connect_timeout(seconds("connect_timeout", limit)?);
    }
    if let Some(limit) = options.read_timeout {
        client = client.read_timeout(seconds("read_timeout", limit)?);
    }
    if let Some(path) = &options.cafile {
        let pem = std::fs::read(path).map_err(|error| errors::os_error(&error, None))?;
        client = client.add_root_certificate_pem(pem).map_err(failed)?;
    }
    let client = client.build().map_err(failed)?;
    let mut request = client.get(url);
    for (name, value) in &options.headers {
        request = request.header(name.as_str(), value.as_str());
    }
    if let Some(limit) = options.timeout {
        request = request.timeout(seconds("timeout", limit)?);
    }
    let mut download = request
        .download()
        .connections(options.connections)
        .retry_for(seconds("retry_for", options.retry_for)?)
        .resume(options.resume);
    if let Some(paths) = &options.paths {
        download = download.paths(paths.parse::<Paths>().map_err(failed)?);
    }
    if let Some(checksum) = &options.checksum {
        download = download.checksum(checksum.parse().map_err(failed)?);
    }
    Ok(download)
}

/// Starts a download to a file, or, where `to` is `None`, for a reader of pieces. `done` is called, without arguments and
/// from another thread, when it has ended, and with each piece.
#[pyfunction]
pub fn download(
    py: Python<'_>,
    url: &str,
    to: Option<OsString>,
    options: Options,
    done: Bound<'_, PyAny>,
) -> PyResult<Downloading> {
    let (done, download) = (Done::new(done)?, prepare(py, url, options)?);
    let progress: Arc<Mutex<Option<Progress>>> = Arc::default();
    let told = Arc::clone(&progress);
    let download = download.progress(move |progress| *locked(&told) = Some(progress.clone()));
    let outcome: Arc<Mutex<Option<Result<Downloaded, Error>>>> = Arc::default();
    let slot = Arc::clone(&outcome);
    let (put, pieces) = mpsc::channel(QUEUE);
    let task = aio::spawn(done, async move {
        let ended = match to {
            Some(path) => download.to_file(path).await,
            None => read(download, put).await,
        };
        *locked(&slot) = Some(ended);
    })?;
    Ok(Downloading { task, outcome, progress, pieces: Mutex::new(Some(pieces)) })
}

/// Hands on all pieces, as fast as they are taken.
async fn read(download: Download, put: mpsc::Sender<Bytes>) -> Result<Downloaded, Error> {
    let mut downloading = download.stream().await?;
    while let Some(piece) = downloading.chunk().await? {
        // Who no longer takes them has cancelled, and this is about to be aborted.
        if put.send(piece).await.is_err() {
            break;
        }
    }
    downloading.finish().await
}

/// How many bytes of how many an earlier download to this file has left.
#[pyfunction]
pub fn leftover(path: OsString) -> Option<(u64, u64)> {
    left(path).map(|left| (left.received, left.total))
}
