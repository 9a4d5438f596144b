//! The directory that is served, and nothing above it.
//!
//! The kernel confines each lookup (`openat2` with `RESOLVE_BENEATH`; elsewhere cap-std walks the components itself),
//! so that no symbolic link, and no rename while a request runs, leads out of it.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
#[cfg(target_os = "linux")]
use std::time::{Duration, UNIX_EPOCH};

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use http::StatusCode;

use super::platform;

/// What is found under a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    Directory,
    /// A FIFO, socket or device: never opened, since already that can block or act on it.
    Other,
}

/// What is known of a name without opening it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) kind: Kind,
    /// In bytes.
    pub(crate) size: u64,
    pub(crate) modified: Option<SystemTime>,
}

impl Stat {
    fn confined(meta: &cap_std::fs::Metadata) -> Self {
        let kind = kind(meta.is_file(), meta.is_dir());
        Stat { kind, size: meta.len(), modified: meta.modified().ok().map(|time| time.into_std()) }
    }

    fn ambient(meta: &fs::Metadata) -> Self {
        Stat { kind: kind(meta.is_file(), meta.is_dir()), size: meta.len(), modified: meta.modified().ok() }
    }
}

fn kind(file: bool, directory: bool) -> Kind {
    match (file, directory) {
        (true, _) => Kind::File,
        (_, true) => Kind::Directory,
        _ => Kind::Other,
    }
}

/// What changes when a file does, or when its name leads to another one.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// In bytes.
    pub(super) size: u64,
    /// Seconds and nanoseconds, as for `changed`, which nobody can set.
    pub(super) modified: (i64, i64),
    pub(super) changed: (i64, i64),
}

/// The root, opened once: it stays the same directory when it is renamed.
#[derive(Clone, Debug)]
pub(crate) struct Root {
    dir: Arc<Dir>,
    /// Canonical.
    path: Arc<Path>,
    /// Symbolic links may lead anywhere.
    pub(crate) outside: bool,
}

impl Root {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let path = fs::canonicalize(path)?;
        let dir = Dir::open_ambient_dir(&path, ambient_authority())?;
        Ok(Root { dir: Arc::new(dir), path: path.into(), outside: false })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Follows symbolic links.
    pub(crate) fn stat(&self, path: &Path) -> io::Result<Stat> {
        if self.outside {
            return fs::metadata(self.path.join(path)).map(|meta| Stat::ambient(&meta));
        }
        self.confined(path, |path| self.dir.metadata(path).map(|meta| Stat::confined(&meta)))
    }

    /// What a name leads to, by the same rules as [`Root::stat`], if the kernel has all of the way in memory: never waits
    /// for a disk or another host (openat2(2), `RESOLVE_CACHED`, Linux 5.12; before: always an error).
    #[cfg(target_os = "linux")]
    pub(super) fn state(&self, path: &Path) -> io::Result<(Stat, State)> {
        use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, fstat, openat2};
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let found = if self.outside {
            openat2(CWD, self.path.join(path), flags, Mode::empty(), ResolveFlags::CACHED)?
        } else {
            let confined = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | ResolveFlags::CACHED;
            openat2(&*self.dir, or_dot(path), flags, Mode::empty(), confined)?
        };
        Ok(told(&fstat(&found)?))
    }

    /// As [`Root::state`], for a name whose file is open; for one that lies directly in the root in one system call instead of
    /// three. No way leads out of the root there but a symbolic link, which is not followed, and the open file keeps its name
    /// in memory, so that this waits for a disk at most when the name was given to another file.
    #[cfg(target_os = "linux")]
    pub(super) fn state_of_kept(&self, path: &Path) -> io::Result<(Stat, State)> {
        use std::path::Component;
        let mut components = path.components();
        if let (Some(Component::Normal(name)), None) = (components.next(), components.next()) {
            let stat = rustix::fs::statat(&*self.dir, name, rustix::fs::AtFlags::SYMLINK_NOFOLLOW)?;
            if !rustix::fs::FileType::from_raw_mode(stat.st_mode).is_symlink() {
                return Ok(told(&stat));
            }
        }
        self.state(path)
    }

    /// Opens for reading, without ever blocking.
    pub(crate) fn file(&self, path: &Path) -> io::Result<File> {
        if self.outside {
            return platform::ambient_options().open(self.path.join(path));
        }
        let options = platform::confined_options();
        self.confined(path, |path| self.dir.open_with(path, &options)).map(cap_std::fs::File::into_std)
    }

    /// The names in a directory with what each leads to. Names that lead to nothing that can be served (dangling and
    /// escaping links, FIFOs, devices) are left out.
    pub(crate) fn list(&self, path: &Path) -> io::Result<Vec<(OsString, Stat)>> {
        let mut found = Vec::new();
        let mut take = |name: OsString, stat: io::Result<Option<Stat>>| -> io::Result<()> {
            let stat = match stat {
                Ok(Some(stat)) => Ok(stat),
                Ok(None) => self.stat(&path.join(&name)),
                Err(error) => Err(error),
            };
            match stat {
                Ok(stat) if stat.kind != Kind::Other => found.push((name, stat)),
                // Half a listing for want of descriptors would look like a whole one.
                Err(error) if status(&error) == StatusCode::SERVICE_UNAVAILABLE => return Err(error),
                _ => {}
            }
            Ok(())
        };
        if self.outside {
            for entry in fs::read_dir(self.path.join(path))? {
                take(entry?.file_name(), Ok(None))?;
            }
        } else {
            for entry in self.confined(path, |path| self.dir.read_dir(path))? {
                let entry = entry?;
                // Of a link this is the link's own: what it leads to is asked for from the root, by `stat`.
                let own = entry.metadata().map(|meta| (!meta.is_symlink()).then(|| Stat::confined(&meta)));
                take(entry.file_name(), own)?;
            }
        }
        Ok(found)
    }

    /// Does `act` on a path below the root. `RESOLVE_BENEATH` refuses every absolute link; one that leads back inside is
    /// resolved here, and its outcome confined like any other path.
    fn confined<T>(&self, path: &Path, act: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
        match act(or_dot(path)) {
            Err(error) if is_escape(&error) => match self.real_path(path) {
                Some(inside) => act(or_dot(&inside)),
                None => Err(io::ErrorKind::NotFound.into()),
            },
            result => result,
        }
    }

    fn real_path(&self, path: &Path) -> Option<PathBuf> {
        let real = fs::canonicalize(self.path.join(path)).ok()?;
        real.strip_prefix(&self.path).ok().map(Path::to_owned)
    }
}

/// What the kernel told of a file.
#[cfg(target_os = "linux")]
#[allow(
    clippy::unnecessary_cast,
    clippy::cast_lossless,
    clippy::cast_possible_wrap,
    reason = "the types differ between architectures, the values fit"
)]
fn told(stat: &rustix::fs::Stat) -> (Stat, State) {
    use rustix::fs::FileType;
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => Kind::File,
        FileType::Directory => Kind::Directory,
        _ => Kind::Other,
    };
    let size = u64::try_from(stat.st_size).unwrap_or_default();
    let modified = (stat.st_mtime as i64, stat.st_mtime_nsec as i64);
    let changed = (stat.st_ctime as i64, stat.st_ctime_nsec as i64);
    let (device, inode) = (stat.st_dev as u64, stat.st_ino as u64);
    let time = u64::try_from(modified.0).ok().map(Duration::from_secs);
    let state = State { device, inode, size, modified, changed };
    (Stat { kind, size, modified: time.map(|time| UNIX_EPOCH + time) }, state)
}

fn or_dot(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// cap-std reports an attempt to leave the root as a permission error that no system call gave.
fn is_escape(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::PermissionDenied && error.raw_os_error().is_none()
}

/// The status that answers a failed file operation.
pub(crate) fn status(error: &io::Error) -> StatusCode {
    if is_escape(error) {
        return StatusCode::NOT_FOUND;
    }
    if let Some(status) = platform::status_of_errno(error) {
        return status;
    }
    match error.kind() {
        io::ErrorKind::NotFound
        | io::ErrorKind::NotADirectory
        | io::ErrorKind::InvalidFilename
        | io::ErrorKind::InvalidInput => StatusCode::NOT_FOUND,
        io::ErrorKind::PermissionDenied => StatusCode::FORBIDDEN,
        io::ErrorKind::OutOfMemory | io::ErrorKind::WouldBlock => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn each_errno_has_its_status() {
        for (errno, expected) in [
            (Errno::NOENT, 404),
            (Errno::NOTDIR, 404),
            (Errno::NAMETOOLONG, 404),
            (Errno::LOOP, 404),
            (Errno::NXIO, 404),
            (Errno::ACCESS, 403),
            (Errno::PERM, 403),
            (Errno::MFILE, 503),
            (Errno::NFILE, 503),
            (Errno::NOMEM, 503),
            (Errno::IO, 500),
        ] {
            assert_eq!(status(&errno.into()), expected, "{errno:?}");
        }
    }

    #[test]
    fn an_escape_is_not_found_rather_than_forbidden() {
        let error = io::Error::new(io::ErrorKind::PermissionDenied, "a path led outside of the filesystem");
        assert_eq!(status(&error), 404);
    }
}
