//! Downloads, on the runtime that asynchronous connects share. Python asks how far they are, and is told when there is
//! something to read and when they have ended.

use std::{
    ffi::OsString,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
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
use tokio::{
    sync::{mpsc, oneshot},
    task::spawn_blocking,
};

use crate::{
    aio::{self, Callback, Done},
    errors,
    transport::Transport,
    words,
};

/// Pieces that wait for a file object to take them.
const QUEUE: usize = 16;

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A download under way. It ends with this object.
#[pyclass(frozen, module = "mphttp._mphttp")]
pub struct Downloading {
    /// Dropped, it ends the download.
    keep: Mutex<Option<oneshot::Sender<()>>>,
    outcome: Arc<Mutex<Option<Result<Downloaded, Error>>>>,
    progress: Arc<Mutex<Option<Progress>>>,
    pieces: Mutex<mpsc::Receiver<Bytes>>,
    /// Whether the reader was told of pieces and has not found all of them yet.
    told: Arc<AtomicBool>,
}

#[pymethods]
impl Downloading {
    /// Gives up. What can be gone on with is kept, and that is done when `done` is called.
    fn cancel(&self) {
        locked(&self.keep).take();
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

    /// The next bytes for a file object, if they are there. After `None`, `readable` is called once there are more.
    fn piece<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyBytes>> {
        let mut pieces = locked(&self.pieces);
        loop {
            match pieces.try_recv() {
                Ok(piece) => return Some(PyBytes::new(py, &piece)),
                // One that came after this look, and before the flag fell, was not told of: another look finds it.
                Err(_) if self.told.swap(false, Ordering::SeqCst) => {}
                Err(_) => return None,
            }
        }
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

/// A limit in seconds.
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
        let pem = std::fs::read(path).map_err(|error| errors::of_file(&error, path))?;
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

/// Starts a download to a file, or, where `to` is `None`, for a reader of pieces. Without arguments and from other threads
/// `readable` is called when there are pieces, and `done` when it has ended.
#[pyfunction]
#[pyo3(signature = (url, to, options, done, readable=None))]
pub fn download(
    py: Python<'_>,
    url: &str,
    to: Option<OsString>,
    options: Options,
    done: Bound<'_, PyAny>,
    readable: Option<Bound<'_, PyAny>>,
) -> PyResult<Downloading> {
    let readable = readable.map(Callback::new).transpose()?.map(Arc::new);
    let (done, download) = (Done::new(done)?, prepare(py, url, options)?);
    let progress: Arc<Mutex<Option<Progress>>> = Arc::default();
    let latest = Arc::clone(&progress);
    let download = download.progress(move |progress| *locked(&latest) = Some(progress.clone()));
    let outcome: Arc<Mutex<Option<Result<Downloaded, Error>>>> = Arc::default();
    let slot = Arc::clone(&outcome);
    let (put, pieces) = mpsc::channel(QUEUE);
    let told = Arc::new(AtomicBool::new(false));
    let reader = Reader { put, told: Arc::clone(&told), readable };
    let (keep, mut given_up) = oneshot::channel();
    aio::spawn(done, async move {
        let mut work = Box::pin(async move {
            match to {
                Some(path) => download.to_file(path).await,
                None => reader.take_all(download).await,
            }
        });
        tokio::select! {
            ended = &mut work => *locked(&slot) = Some(ended),
            _ = &mut given_up => {
                // Dropping it waits for the disk, and the runtime's threads are others' too.
                let dropped = spawn_blocking(move || drop(work));
                let _ = dropped.await;
            }
        }
    })?;
    Ok(Downloading { keep: Mutex::new(Some(keep)), outcome, progress, pieces: Mutex::new(pieces), told })
}

/// Whoever reads in Python.
struct Reader {
    put: mpsc::Sender<Bytes>,
    told: Arc<AtomicBool>,
    readable: Option<Arc<Callback>>,
}

impl Reader {
    /// Hands on all pieces, as fast as they are taken.
    async fn take_all(self, download: Download) -> Result<Downloaded, Error> {
        let mut downloading = download.stream().await?;
        while let Some(piece) = downloading.chunk().await? {
            // Who no longer takes them has given up, and this is about to be dropped.
            if self.put.send(piece).await.is_err() {
                break;
            }
            if let Some(readable) = self.readable.clone()
                && !self.told.swap(true, Ordering::SeqCst)
            {
                // The GIL may take its time, which is not to be that of the runtime's threads.
                let telling = spawn_blocking(move || readable.call());
                let _ = telling.await;
            }
        }
        downloading.finish().await
    }
}

/// How many bytes of how many an earlier download to this file has left.
#[pyfunction]
pub fn leftover(path: OsString) -> Option<(u64, u64)> {
    left(path).map(|left| (left.received, left.total))
}
