//! The file that a download grows in, beside its final name, and the *state* that lets another process go on with it.
//!
//! `NAME.mphttp-part` holds the bytes, each at its place; `NAME.mphttp-part.json` says which of them are there and of which
//! version of the body. A thread writes, so that no system call for the disk holds up the network. The state is written
//! after the bytes that it tells of, at least once a second, so a killed process loses a second at most. A machine that
//! stops may lose bytes that the state tells of: unless the state was written at an orderly end, with the bytes safely on
//! disk, it counts only for the same boot of the same machine.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot};

use super::{answer::Version, platform, ranges::Ranges};
use crate::Error;

/// Pieces on their way to the thread; the network waits when there are more.
const QUEUE: usize = 64;

/// How often the state is written.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// How long an interrupted download may take to put its bytes and its state on disk.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// The largest state that there is, in bytes: there are a few pieces for each connection.
const MOST_STATE: u64 = 16 << 20;

const PART: &str = ".mphttp-part";
const STATE: &str = ".mphttp-part.json";

/// What is known of an unfinished download.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The form of this file.
    form: u32,
    /// The URL that was asked for, without credentials.
    pub(super) url: String,
    pub(super) version: Version,
    pub(super) total: u64,
    /// The parts that are there: first byte and first byte after.
    pieces: Vec<(u64, u64)>,
    /// Whether they were safely on disk before this was written.
    synced: bool,
    /// The boot in which it was written.
    boot: Option<String>,
}

impl State {
    const FORM: u32 = 1;

    pub(super) fn new(url: String, version: Version, total: u64) -> Self {
        Self {
            form: Self::FORM,
            url,
            version,
            total,
            pieces: Vec::new(),
            synced: false,
            boot: platform::boot(),
        }
    }

    pub(super) fn received(&self) -> Ranges {
        self.pieces.iter().map(|&(start, end)| start..end.min(self.total)).collect()
    }

    /// The same with its last byte still to come.
    pub(super) fn without_the_last(mut self) -> Option<Self> {
        let last = self.total.checked_sub(1)?;
        let mut received = self.received();
        received.remove(last..self.total);
        self.pieces = received.iter().map(|range| (range.start, range.end)).collect();
        Some(self)
    }

    fn read(path: &Path) -> Option<Self> {
        // A pipe in its place would be waited for, and what is larger is not one of ours.
        let sound = fs::metadata(path).is_ok_and(|found| found.is_file() && found.len() <= MOST_STATE);
        Self::parse(&sound.then(|| fs::read(path).ok()).flatten()?)
    }

    /// The state in a file's content, if it can be relied on.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let state: Self = serde_json::from_slice(json).ok()?;
        let trusted = state.synced || (state.boot.is_some() && state.boot == platform::boot());
        (state.form == Self::FORM && trusted).then_some(state)
    }

    /// Writes it whole or not at all.
    fn write(&self, path: &Path) -> io::Result<()> {
        let fresh = with_suffix(path, ".new");
        // Nobody else's file, nor one that a link leads to.
        let _ = fs::remove_file(&fresh);
        let mut file = platform::private().write(true).create_new(true).open(&fresh)?;
        file.write_all(&serde_json::to_vec(self).map_err(io::Error::other)?)?;
        if self.synced {
            file.sync_all()?;
        }
        fs::rename(fresh, path)
    }
}

/// An unfinished download that a later one can go on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftover {
    /// Bytes that are there.
    pub received: u64,
    /// Bytes of the whole.
    pub total: u64,
}

/// What an earlier download to `path` has left to be [gone on with](super::Download::resume), if anything.
#[must_use]
pub fn leftover(path: impl AsRef<Path>) -> Option<Leftover> {
    let names = Names::of(path.as_ref()).ok()?;
    let state = State::read(&names.state).filter(|_| names.part.exists())?;
    Some(Leftover { received: state.received().len(), total: state.total })
}

/// The three names of a download.
#[derive(Clone, Debug)]
struct Names {
    whole: PathBuf,
    part: PathBuf,
    state: PathBuf,
}

impl Names {
    fn of(path: &Path) -> io::Result<Self> {
        // The file that a symbolic link leads to is replaced, not the link.
        let whole = match fs::canonicalize(path) {
            Ok(existing) => existing,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(error),
        };
        let name = whole.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
        let name = shortened(name);
        let beside = |suffix: &str| {
            let mut full = name.clone();
            full.push(suffix);
            whole.with_file_name(full)
        };
        let (part, state) = (beside(PART), beside(STATE));
        Ok(Self { whole, part, state })
    }
}

/// A name to which the suffixes can be added where file names have 255 bytes at most.
fn shortened(name: &OsStr) -> OsString {
    match name.to_str() {
        Some(text) if text.len() > 220 => {
            let end = (0..=220).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
            text.get(..end).unwrap_or_default().into()
        }
        _ => name.to_owned(),
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// An open part file. Dropped unfinished, it is kept if somebody can go on with it, and removed if not.
pub(super) struct Part {
    names: Names,
    /// Kept for the lock on it: nobody else writes to this download.
    file: Arc<File>,
    writer: Option<Writer>,
}

struct Writer {
    jobs: mpsc::Sender<Job>,
    /// How it is to end, once it is to.
    end: Ending,
    done: oneshot::Receiver<io::Result<()>>,
}

type Ending = Arc<Mutex<Option<End>>>;

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// All is there.
    Finished,
    /// Keep what there is, if it can be gone on with.
    Interrupted,
    /// Keep nothing.
    Spoilt,
}

enum Job {
    Write(u64, Bytes),
    /// These bytes are not right.
    Forget(Range<u64>),
    /// From now on this can be gone on with.
    Name(Box<State>),
    /// All anew.
    Reset,
    /// Nothing: look whether it is time to end.
    Wake,
}

/// Where bytes are put; cheap to clone.
#[derive(Clone)]
pub(super) struct Pen(mpsc::Sender<Job>);

/// The thread has ended: [`Part::failure`] knows why.
#[derive(Debug)]
pub(super) struct Stopped;

impl Pen {
    pub(super) async fn put(&self, offset: u64, bytes: Bytes) -> Result<(), Stopped> {
        self.0.send(Job::Write(offset, bytes)).await.map_err(|_| Stopped)
    }

    pub(super) async fn forget(&self, range: Range<u64>) -> Result<(), Stopped> {
        self.0.send(Job::Forget(range)).await.map_err(|_| Stopped)
    }

    pub(super) async fn name(&self, state: State) -> Result<(), Stopped> {
        self.0.send(Job::Name(Box::new(state))).await.map_err(|_| Stopped)
    }

    pub(super) async fn reset(&self) -> Result<(), Stopped> {
        self.0.send(Job::Reset).await.map_err(|_| Stopped)
    }
}

impl Part {
    /// Opens the part file for `path`, and reads what is known of it if it is to be gone on with.
    ///
    /// What can't be written to is found out here, before anything is asked of the network.
    pub(super) fn open(path: &Path, resume: bool) -> Result<(Self, Option<State>), Error> {
        let failed = |source| Error::Write { path: path.to_owned(), source };
        let names = Names::of(path).map_err(failed)?;
        let permissions = match OpenOptions::new().append(true).open(&names.whole) {
            Ok(existing) => {
                let metadata = existing.metadata().map_err(failed)?;
                if !metadata.is_file() {
                    let why =
                        "it is no regular file; read the body as a stream and write it there".to_owned();
                    return Err(Error::Invalid { what: format!("{} as a download", path.display()), why });
                }
                Some(metadata.permissions())
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            // It could be replaced all the same, but who made it read-only meant that.
            Err(error) => return Err(failed(error)),
        };
        let file = locked(&names.part).map_err(failed)?;
        if let Some(permissions) = permissions {
            file.set_permissions(permissions).map_err(failed)?;
        }
        let state = if resume { State::read(&names.state) } else { None };
        let kept = state.as_ref().map(State::received).unwrap_or_default();
        // A part shorter than its state says was tampered with.
        let long = kept.iter().last().map_or(0, |range| range.end);
        let state = state.filter(|_| file.metadata().is_ok_and(|metadata| metadata.len() >= long));
        if state.is_none() {
            let _ = fs::remove_file(&names.state);
            file.set_len(0).map_err(failed)?;
        }
        let file = Arc::new(file);
        let writer = Writer::start(Arc::clone(&file), names.clone(), state.clone());
        Ok((Self { names, file, writer: Some(writer) }, state))
    }

    /// Where bytes are put, while the part is open.
    pub(super) fn pen(&self) -> Option<Pen> {
        self.writer.as_ref().map(|writer| Pen(writer.jobs.clone()))
    }

    /// Sets aside room for a body of a known length, where the file system can: a disk that is too full says so now.
    pub(super) fn expect(&self, length: u64) -> Result<(), Error> {
        platform::set_aside(&self.file, length).map_err(|source| self.failed(source))
    }

    fn failed(&self, source: io::Error) -> Error {
        Error::Write { path: self.names.whole.clone(), source }
    }

    /// Why the thread has ended.
    pub(super) async fn failure(&mut self) -> Error {
        let outcome = self.end(End::Interrupted).await;
        outcome.err().unwrap_or_else(|| self.failed(io::Error::other("the writer has ended")))
    }

    async fn end(&mut self, end: End) -> Result<(), Error> {
        let Some(writer) = self.writer.take() else { return Ok(()) };
        writer.stop(end);
        match writer.done.await {
            Ok(outcome) => outcome.map_err(|source| self.failed(source)),
            Err(_) => Err(self.failed(io::Error::other("the writer has ended"))),
        }
    }

    /// All is put: waits until it is written, lets `check` look at it, and gives the file its name.
    pub(super) async fn finish(
        mut self,
        length: u64,
        check: impl FnOnce(&File) -> io::Result<Result<(), Error>> + Send + 'static,
    ) -> Result<(), Error> {
        self.end(End::Finished).await?;
        let (file, names) = (Arc::clone(&self.file), self.names.clone());
        let finishing = tokio::task::spawn_blocking(move || {
            let failed = |source| Error::Write { path: names.whole.clone(), source };
            let checked = file.set_len(length).and_then(|()| check(&file)).map_err(failed).flatten();
            if let Err(error) = checked {
                let _ = fs::remove_file(&names.part);
                let _ = fs::remove_file(&names.state);
                return Err(error);
            }
            fs::rename(&names.part, &names.whole).map_err(failed)?;
            let _ = fs::remove_file(&names.state);
            Ok(())
        });
        finishing.await.map_err(|_| self.failed(io::Error::other("the last check has failed")))?
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        let Some(mut writer) = self.writer.take() else { return };
        writer.stop(End::Interrupted);
        // Whoever ends the process next must not cut off the last writes; nor can a dead disk be waited for.
        let due = Instant::now() + LAST_WRITES;
        while matches!(writer.done.try_recv(), Err(oneshot::error::TryRecvError::Empty))
            && Instant::now() < due
        {
            thread::sleep(Duration::from_millis(2));
        }
    }
}

/// What is there under the part file's name is no file: it may be somebody's trap.
fn in_the_way(part: &Path) -> io::Error {
    let why =
        format!("{} is no regular file, and in the way; remove it, or choose another name", part.display());
    io::Error::new(io::ErrorKind::AlreadyExists, why)
}

/// Opens a part file that nobody else writes to.
fn locked(part: &Path) -> io::Result<File> {
    for _ in 0..10 {
        let file = match platform::no_link().read(true).write(true).create(true).truncate(false).open(part) {
            Err(_) if part.is_symlink() => return Err(in_the_way(part)),
            opened => opened?,
        };
        if !file.metadata()?.is_file() {
            return Err(in_the_way(part));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => {
                return Err(io::Error::new(
                    io::ErrorKind::ResourceBusy,
                    format!("another download is writing to {}", part.display()),
                ));
            }
            // A file system without locks.
            Err(fs::TryLockError::Error(_)) => return Ok(file),
        }
        // The one who held the lock may have finished, and given the file its other name.
        if platform::is_at(&file, part) {
            return Ok(file);
        }
    }
    Err(io::ErrorKind::ResourceBusy.into())
}

impl Writer {
    fn start(file: Arc<File>, names: Names, state: Option<State>) -> Self {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let (tell, done) = oneshot::channel();
        let end = Ending::default();
        let ending = Arc::clone(&end);
        thread::spawn(move || {
            let written = state.as_ref().map(State::received).unwrap_or_default();
            let mut drain = Drain { file, names, written, state, saved: Instant::now() };
            let outcome = drain.run(queue, &ending).and_then(|end| drain.end(end));
            if outcome.is_err() && drain.end(End::Interrupted).is_err() {
                // Not even what there is can be kept.
                drain.end(End::Spoilt).unwrap_or_default();
            }
            let _ = tell.send(outcome);
        });
        Self { jobs, end, done }
    }

    /// Lets the thread end, once all that was put is written.
    fn stop(&self, end: End) {
        *self.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(end);
        // If the queue is full, the thread is awake.
        let _ = self.jobs.try_send(Job::Wake);
    }
}

/// The thread's own.
struct Drain {
    file: Arc<File>,
    names: Names,
    written: Ranges,
    state: Option<State>,
    saved: Instant,
}

impl Drain {
    /// Writes what comes until it is time to end.
    fn run(&mut self, mut queue: mpsc::Receiver<Job>, ending: &Ending) -> io::Result<End> {
        let mut batch = Vec::with_capacity(QUEUE);
        loop {
            let ended = queue.blocking_recv_many(&mut batch, QUEUE) == 0;
            batch.drain(..).try_for_each(|job| self.act(job))?;
            let end = *ending.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(end) = end.or(ended.then_some(End::Interrupted)) {
                // Nobody puts anything after this.
                queue.close();
                while let Ok(job) = queue.try_recv() {
                    self.act(job)?;
                }
                return Ok(end);
            }
            if self.saved.elapsed() >= SAVE_EVERY {
                self.save(false)?;
            }
        }
    }

    fn act(&mut self, job: Job) -> io::Result<()> {
        match job {
            Job::Write(offset, bytes) => {
                platform::write_at(&self.file, &bytes, offset)?;
                self.written.insert(offset..offset + bytes.len() as u64);
            }
            Job::Forget(range) => self.written.remove(range),
            Job::Name(state) => self.state = Some(*state),
            Job::Reset => {
                self.file.set_len(0)?;
                self.written = Ranges::default();
                if self.state.take().is_some() {
                    let _ = fs::remove_file(&self.names.state);
                }
            }
            Job::Wake => {}
        }
        Ok(())
    }

    fn save(&mut self, synced: bool) -> io::Result<()> {
        self.saved = Instant::now();
        let Some(state) = &mut self.state else { return Ok(()) };
        state.pieces = self.written.iter().map(|range| (range.start, range.end)).collect();
        state.synced = synced;
        state.write(&self.names.state)
    }

    fn end(&mut self, end: End) -> io::Result<()> {
        match end {
            End::Interrupted if self.state.is_some() && !self.written.is_empty() => {
                self.file.sync_data()?;
                self.save(true)
            }
            // The last check may take long, and be interrupted: until it is over the state says what is there.
            End::Finished => self.save(false),
            End::Interrupted | End::Spoilt => {
                let _ = fs::remove_file(&self.names.part);
                let _ = fs::remove_file(&self.names.state);
                Ok(())
            }
        }
    }
}
