//! An open file with what its answers say of it, and the small cache that keeps such files open.
//!
//! What is cached is never a file's content: that is read from the file itself for each answer, so that it can't be
//! stale. What the answer says of the file (length, validators) holds as long as the file's state does, which is asked
//! for each time, by its name: device and inode, size, times of change. Linux alone; elsewhere nothing is kept.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;

use super::conditional::Validators;
use super::encoding::Coding;

/// A regular file, open for reading.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: Arc<File>,
    /// In bytes.
    pub(super) size: u64,
    pub(super) content_type: HeaderValue,
    pub(super) coding: Option<Coding>,
    pub(super) validators: Validators,
    /// Its file system is memory and nothing else.
    #[cfg(target_os = "linux")]
    pub(super) memory: bool,
}

impl Opened {
    /// `path` is the one that was asked for: a precompressed neighbour has the type of its original.
    pub(super) fn new(
        file: File,
        meta: &Metadata,
        path: &Path,
        coding: Option<Coding>,
        now: SystemTime,
    ) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        let memory = matches!(super::platform::file_system(&file), Some(TMPFS | RAMFS));
        Ok(Self {
            #[cfg(target_os = "linux")]
            memory,
            file: Arc::new(file),
            size: meta.len(),
            content_type: content_type(path)?,
            coding,
            validators: Validators::of(meta, coding, now),
        })
    }
}

/// File systems in memory (linux/magic.h).
#[cfg(target_os = "linux")]
const TMPFS: u32 = 0x0102_1994;
#[cfg(target_os = "linux")]
const RAMFS: u32 = 0x8584_58f6;

fn content_type(path: &Path) -> io::Result<HeaderValue> {
    let guess = mime_guess::from_path(path).first_raw().unwrap_or("application/octet-stream");
    if guess.starts_with("text/") {
        HeaderValue::from_str(&format!("{guess}; charset=utf-8")).map_err(io::Error::other)
    } else {
        Ok(HeaderValue::from_static(guess))
    }
}

#[cfg(target_os = "linux")]
pub(super) use kept::Kept;

#[cfg(target_os = "linux")]
mod kept {
    use std::collections::HashMap;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::sync::{PoisonError, RwLock};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::files::platform;
    use crate::files::root::State;

    /// How many files stay open at most.
    const MOST: usize = 64;
    /// A file that nobody has asked for in this time is closed when the next one is opened: one that was deleted would
    /// keep its disk space for as long.
    const UNUSED: Duration = Duration::from_secs(10);

    /// File systems whose every look can wait for another host or process (linux/magic.h, statfs(2)): their files are
    /// opened where waiting does no harm, each time.
    const REMOTE: [u32; 10] = [
        0x6969,      // NFS
        0x517b,      // SMB
        0xfe53_4d42, // SMB2
        0xff53_4d42, // CIFS
        0x6573_5546, // FUSE
        0x0102_1997, // 9P
        0x00c3_6400, // Ceph
        0x5346_414f, // AFS
        0x7375_7245, // Coda
        0x564c,      // NCP
    ];

    /// The files that are kept open, by the path below the root that led to them.
    #[derive(Debug)]
    pub(in super::super) struct Kept {
        files: RwLock<HashMap<PathBuf, Entry>>,
        born: Instant,
    }

    #[derive(Debug)]
    struct Entry {
        opened: Arc<Opened>,
        state: State,
        /// In milliseconds since the cache was made.
        used: AtomicU64,
    }

    impl Default for Kept {
        fn default() -> Self {
            Self { files: RwLock::default(), born: Instant::now() }
        }
    }

    impl Kept {
        /// The file of that path, if it is open and in the state that its name has now.
        pub(in super::super) fn get(
            &self,
            path: &Path,
            coding: Option<Coding>,
            state: &State,
        ) -> Option<Arc<Opened>> {
            let files = self.files.read().unwrap_or_else(PoisonError::into_inner);
            let entry = files.get(path)?;
            if entry.state != *state {
                drop(files);
                self.forget(path);
                return None;
            }
            entry.used.store(self.now(), Relaxed);
            (entry.opened.coding == coding).then(|| Arc::clone(&entry.opened))
        }

        /// Whether a file is open, in whatever state.
        pub(in super::super) fn has(&self, path: &Path) -> bool {
            self.files.read().unwrap_or_else(PoisonError::into_inner).contains_key(path)
        }

        /// Whether there is nothing to find.
        pub(in super::super) fn is_empty(&self) -> bool {
            self.files.read().unwrap_or_else(PoisonError::into_inner).is_empty()
        }

        /// Closes a file, as far as no answer needs it any more.
        pub(in super::super) fn forget(&self, path: &Path) {
            let forgotten = self.files.write().unwrap_or_else(PoisonError::into_inner).remove(path);
            // With the lock free again: closing the last descriptor of a deleted file takes its time.
            drop(forgotten);
        }

        /// Keeps a file open, unless each look at it could wait for somebody else.
        pub(in super::super) fn keep(
            &self,
            path: PathBuf,
            opened: &Arc<Opened>,
            meta: &Metadata,
            now: SystemTime,
        ) {
            let local = platform::file_system(&opened.file).is_some_and(|kind| !REMOTE.contains(&kind));
            // A time in the future is told as the present (RFC 9110 section 8.8.2.1), which passes.
            if !local || meta.modified().is_ok_and(|time| time > now) {
                return;
            }
            let state = State {
                device: meta.dev(),
                inode: meta.ino(),
                size: meta.len(),
                modified: (meta.mtime(), meta.mtime_nsec()),
                changed: (meta.ctime(), meta.ctime_nsec()),
            };
            let entry = Entry { opened: Arc::clone(opened), state, used: AtomicU64::new(self.now()) };
            let mut files = self.files.write().unwrap_or_else(PoisonError::into_inner);
            let old = self.now().saturating_sub(u64::try_from(UNUSED.as_millis()).unwrap_or(u64::MAX));
            let mut closed: Vec<Entry> =
                files.extract_if(|_, entry| entry.used.load(Relaxed) < old).map(|(_, entry)| entry).collect();
            if files.len() >= MOST && !files.contains_key(&path) {
                let oldest = files.iter().min_by_key(|(_, entry)| entry.used.load(Relaxed));
                if let Some(oldest) = oldest.map(|(path, _)| path.clone()) {
                    closed.extend(files.remove(&oldest));
                }
            }
            closed.extend(files.insert(path, entry));
            drop(files);
            drop(closed);
        }

        fn now(&self) -> u64 {
            u64::try_from(self.born.elapsed().as_millis()).unwrap_or(u64::MAX)
        }
    }
}
