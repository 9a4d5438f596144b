//! What Unix and other systems spell differently: names as bytes, file identity, `pread`, non-blocking opens, errno.

#[cfg(not(unix))]
pub(crate) use portable::*;
#[cfg(unix)]
pub(crate) use unix::*;

#[cfg(unix)]
mod unix {
    use std::borrow::Cow;
    use std::ffi::{OsStr, OsString};
    use std::fs::File;
    use std::io;
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};

    use bytes::Bytes;
    use cap_std::fs::OpenOptionsExt as _;
    use http::StatusCode;
    use rustix::fs::OFlags;
    use rustix::io::Errno;

    #[cfg(target_os = "linux")]
    use super::super::buffers::Buffer;

    /// `O_NONBLOCK`: a FIFO that takes the file's place between stat and open must not hang the thread.
    const OPEN_FLAGS: i32 = OFlags::NONBLOCK.union(OFlags::NOCTTY).bits() as i32;

    pub(crate) fn confined_options() -> cap_std::fs::OpenOptions {
        let mut options = cap_std::fs::OpenOptions::new();
        options.read(true).custom_flags(OPEN_FLAGS);
        options
    }

    pub(in super::super) fn ambient_options() -> std::fs::OpenOptions {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).custom_flags(OPEN_FLAGS);
        options
    }

    /// Device and inode number: two files of one size and time still differ.
    pub(in super::super) fn identity(meta: &std::fs::Metadata) -> (u64, u64) {
        (meta.dev(), meta.ino())
    }

    /// A file name of any bytes but `/` and NUL, which the caller has excluded.
    pub(in super::super) fn name_from_bytes(bytes: &[u8]) -> Option<OsString> {
        Some(OsString::from_vec(bytes.to_vec()))
    }

    pub(crate) fn name_bytes(name: &OsStr) -> Cow<'_, [u8]> {
        Cow::Borrowed(name.as_bytes())
    }

    /// Up to `len` bytes from `offset`; fewer only at the end of the file.
    pub(in super::super) fn read_at(file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut buffer = Vec::with_capacity(len);
        while buffer.len() < len {
            let at = offset.saturating_add(buffer.len() as u64);
            match rustix::io::pread(file, rustix::buffer::spare_capacity(&mut buffer), at) {
                Ok(0) => break,
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // The allocator may have given more than was asked for, and `pread` fills what there is.
        buffer.truncate(len);
        Ok(buffer)
    }

    /// A part of a file, if the kernel has it in memory: never waits for a disk. `None` where it would, where the file
    /// system can't say (preadv2(2), `RWF_NOWAIT`), and at an error, which reading in the ordinary way will give again.
    /// tmpfs and ramfs don't know the flag: of their files it is to be said that they are in `memory`.
    #[cfg(target_os = "linux")]
    pub(in super::super) fn read_in_memory(
        file: &File,
        range: &std::ops::Range<u64>,
        memory: bool,
    ) -> Option<Bytes> {
        let len = usize::try_from(range.end.checked_sub(range.start)?).ok()?;
        let mut buffer = Buffer::of(len);
        let read = if memory {
            rustix::io::pread(file, buffer.as_mut(), range.start)
        } else {
            read_now(file, range.start, buffer.as_mut())
        };
        (read == Ok(len)).then(|| buffer.into_bytes())
    }

    #[cfg(target_os = "linux")]
    fn read_now(file: &File, offset: u64, buffer: &mut [u8]) -> rustix::io::Result<usize> {
        let mut into = [io::IoSliceMut::new(buffer)];
        rustix::io::preadv2(file, &mut into, offset, rustix::io::ReadWriteFlags::NOWAIT)
    }

    /// What kind of file system a file is on: the kernel's magic number (statfs(2)).
    #[cfg(target_os = "linux")]
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the numbers have 32 bits")]
    pub(in super::super) fn file_system(file: &File) -> Option<u32> {
        rustix::fs::fstatfs(file).ok().map(|fs| fs.f_type as u32)
    }

    #[cfg(not(target_os = "linux"))]
    pub(in super::super) fn read_in_memory(_: &File, _: &std::ops::Range<u64>, _: bool) -> Option<Bytes> {
        None
    }

    /// The status for an errno that `io::ErrorKind` has no stable name for.
    pub(in super::super) fn status_of_errno(error: &io::Error) -> Option<StatusCode> {
        match Errno::from_io_error(error)? {
            Errno::LOOP | Errno::NXIO | Errno::NODEV | Errno::STALE => Some(StatusCode::NOT_FOUND),
            Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => {
                Some(StatusCode::SERVICE_UNAVAILABLE)
            }
            _ => None,
        }
    }
}

#[cfg(not(unix))]
mod portable {
    use std::borrow::Cow;
    use std::ffi::{OsStr, OsString};
    use std::fs::File;
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    use std::io::{self, Read as _, Seek as _};

    use bytes::Bytes;
    use http::StatusCode;

    pub(crate) fn confined_options() -> cap_std::fs::OpenOptions {
        let mut options = cap_std::fs::OpenOptions::new();
        options.read(true);
        options
    }

    pub(in super::super) fn ambient_options() -> std::fs::OpenOptions {
        let mut options = std::fs::OpenOptions::new();
        options.read(true);
        options
    }

    /// The time of creation stands in for the inode number, which stable Rust gives on Unix only.
    pub(in super::super) fn identity(meta: &std::fs::Metadata) -> (u64, u64) {
        let mut hasher = DefaultHasher::new();
        meta.created().ok().hash(&mut hasher);
        (0, hasher.finish())
    }

    /// UTF-8 names without what Windows gives a meaning: separators, drives and streams, devices, trailing dots.
    pub(in super::super) fn name_from_bytes(bytes: &[u8]) -> Option<OsString> {
        const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];
        let name = std::str::from_utf8(bytes).ok()?;
        let stem = name.split('.').next().unwrap_or(name).trim_end().to_ascii_lowercase();
        let numbered = stem.len() == 4 && (stem.starts_with("com") || stem.starts_with("lpt"));
        let refused = name.contains(['\\', ':', '<', '>', '"', '|', '?', '*'])
            || name.ends_with(['.', ' '])
            || numbered
            || DEVICES.contains(&stem.as_str());
        (!refused).then(|| name.into())
    }

    pub(crate) fn name_bytes(name: &OsStr) -> Cow<'_, [u8]> {
        match name.to_string_lossy() {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        }
    }

    /// Up to `len` bytes from `offset`; fewer only at the end of the file. A body reads one chunk at a time, so that
    /// moving the file's position disturbs nobody.
    pub(in super::super) fn read_at(mut file: &File, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        file.seek(io::SeekFrom::Start(offset))?;
        let mut buffer = Vec::with_capacity(len);
        file.take(len as u64).read_to_end(&mut buffer)?;
        Ok(buffer)
    }

    pub(in super::super) fn read_in_memory(_: &File, _: &std::ops::Range<u64>, _: bool) -> Option<Bytes> {
        None
    }

    pub(in super::super) fn status_of_errno(_: &io::Error) -> Option<StatusCode> {
        None
    }
}
