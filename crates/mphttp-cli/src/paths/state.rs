//! What `mphttp paths auto` has to undo, in a file, so that a crash loses none of it; and a lock, so that there is one `auto`
//! in a network namespace.

use std::{
    env,
    fs::{self, File, TryLockError},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

use mptcp_paths::auto::Owned;
use serde::{Deserialize, Serialize};

/// Where it is kept unless the service manager names a place: gone after a boot, as all that it tells of.
const DIRECTORY: &str = "/run/mphttp-paths";
const BOOT: &str = "/proc/sys/kernel/random/boot_id";
/// A lock that its owner has just removed is looked for again, this often.
const ATTEMPTS: usize = 10;

/// The state of this network namespace, which belongs to this process until it is dropped.
#[derive(Debug)]
pub(super) struct State {
    file: PathBuf,
    lock_file: PathBuf,
    _lock: File,
}

/// The file's content.
#[derive(Serialize, Deserialize)]
struct Record {
    /// Of an earlier boot nothing is left.
    boot: String,
    owned: Owned,
}

/// Why there is no state.
#[derive(Debug)]
pub(super) enum Unavailable {
    /// Another process has it.
    Taken,
    /// There is no place to keep it in.
    Unwritable(PathBuf, io::Error),
}

impl State {
    /// Takes the state of the calling thread's network namespace.
    pub(super) fn open() -> Result<Self, Unavailable> {
        let mut outcome = None;
        for directory in directories() {
            match Self::open_in(&directory) {
                // The next place may be better.
                Err(error @ Unavailable::Unwritable(..)) => {
                    outcome.get_or_insert(Err(error));
                }
                other => return other,
            }
        }
        outcome.unwrap_or_else(|| {
            Err(Unavailable::Unwritable(DIRECTORY.into(), io::ErrorKind::Unsupported.into()))
        })
    }

    fn open_in(directory: &Path) -> Result<Self, Unavailable> {
        let unwritable = |error| Unavailable::Unwritable(directory.to_owned(), error);
        fs::create_dir_all(directory).map_err(unwritable)?;
        let file = file_in(directory).map_err(unwritable)?;
        let lock_file = file.with_extension("lock");
        for _ in 0..ATTEMPTS {
            let lock = File::options()
                .write(true)
                .create(true)
                .truncate(false)
                .open(&lock_file)
                .map_err(unwritable)?;
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(Unavailable::Taken),
                Err(TryLockError::Error(error)) => return Err(unwritable(error)),
            }
            // Its owner removes it in the end: then this one locks nothing.
            if lock.metadata().map_err(unwritable)?.nlink() > 0 {
                return Ok(Self { file, lock_file, _lock: lock });
            }
        }
        Err(Unavailable::Taken)
    }

    /// What an earlier process of this boot left to undo.
    pub(super) fn load(&self) -> Option<Owned> {
        read(&self.file)
    }

    /// What there is to undo, whoever it belongs to.
    pub(super) fn peek() -> Option<Owned> {
        directories().iter().find_map(|directory| read(&file_in(directory).ok()?))
    }

    /// Keeps what there is to undo, in one step: the old state or the new one.
    pub(super) fn save(&self, owned: &Owned) -> io::Result<()> {
        if owned.is_empty() {
            return match fs::remove_file(&self.file) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            };
        }
        let directory = self.file.parent().unwrap_or(Path::new("."));
        let mut new = tempfile::NamedTempFile::new_in(directory)?;
        serde_json::to_writer(&mut new, &Record { boot: boot(), owned: owned.clone() })?;
        new.flush()?;
        new.persist(&self.file)?;
        Ok(())
    }
}

impl Drop for State {
    fn drop(&mut self) {
        if !self.file.exists() {
            // Whoever has opened it meanwhile sees that it has gone.
            let _ = fs::remove_file(&self.lock_file);
        }
    }
}

/// Where it may be kept, best first: in the directory of the service (`RuntimeDirectory=` in `systemd.exec(5)`), else in
/// /run, else in the user's own (`XDG_RUNTIME_DIR`).
fn directories() -> Vec<PathBuf> {
    if let Some(directories) = env::var_os("RUNTIME_DIRECTORY") {
        return env::split_paths(&directories).take(1).collect();
    }
    let own = env::var_os("XDG_RUNTIME_DIR").map(|own| Path::new(&own).join("mphttp-paths"));
    [PathBuf::from(DIRECTORY)].into_iter().chain(own).collect()
}

fn read(file: &Path) -> Option<Owned> {
    let record: Record = serde_json::from_slice(&fs::read(file).ok()?).ok()?;
    (record.boot == boot()).then_some(record.owned)
}

fn file_in(directory: &Path) -> io::Result<PathBuf> {
    Ok(directory.join(namespace()? + ".json"))
}

/// A name for the network namespace: the kernel's number that is never given again, or, before Linux 5.14, that of its file.
fn namespace() -> io::Result<String> {
    if let Ok(cookie) = mptcp_socket::network_namespace() {
        return Ok(format!("namespace-{cookie}"));
    }
    Ok(format!("namespace-file-{}", fs::metadata("/proc/thread-self/ns/net")?.ino()))
}

fn boot() -> String {
    fs::read_to_string(BOOT).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[test]
    fn one_process_has_it_and_what_it_leaves_is_found_until_the_next_boot() {
        let directory = tempfile::tempdir().unwrap();
        let mut owned = Owned::default();
        let limits = |subflows| mptcp_paths::Limits { subflows, add_addr_accepted: 0 };
        owned.limits = Some((limits(2), limits(4)));
        let state = State::open_in(directory.path()).unwrap();
        assert_eq!(state.load(), None);
        assert!(matches!(State::open_in(directory.path()), Err(Unavailable::Taken)));
        state.save(&owned).unwrap();
        drop(state);
        let state = State::open_in(directory.path()).unwrap();
        assert_eq!(state.load(), Some(owned.clone()));
        let text = fs::read_to_string(&state.file).unwrap();
        fs::write(&state.file, text.replace(&boot(), "another")).unwrap();
        assert_eq!(state.load(), None);
        fs::write(&state.file, "{").unwrap();
        assert_eq!(state.load(), None);
        state.save(&Owned::default()).unwrap();
        drop(state);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
        let missing = State::open_in(Path::new("/proc/mphttp")).unwrap_err();
        assert!(matches!(missing, Unavailable::Unwritable(..)), "{missing:?}");
    }
}
