//! Where the body goes: a file that appears under its name only when it is whole, a device or pipe, stdout, or
//! nowhere. A thread writes, in large pieces, so that no system call for the disk holds up the network.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File, OpenOptions, Permissions},
    io::{self, IoSlice, IsTerminal, Write},
    os::{
        fd::AsFd,
        unix::fs::{FileTypeExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    thread,
};

use anyhow::Context;
use bytes::Bytes;
use tempfile::TempPath;
use tokio::sync::{mpsc, oneshot};

use crate::{
    error_reporting::{Failure, say},
    exit::Exit,
};

/// Pieces on their way to the thread; the network waits when there are more.
const QUEUE: usize = 64;

/// What was asked for.
#[derive(Debug)]
pub enum Target {
    /// Stdout; a terminal only takes text, unless it was asked for by name.
    Stdout {
        /// `-o -`.
        by_name: bool,
    },
    /// A file, or a device or pipe that has a name.
    Path(PathBuf),
    /// Nowhere.
    Nowhere,
}

/// An output, open.
pub struct Output {
    /// For people: what can't be written to.
    name: String,
    writer: Option<Writer>,
    whole: Option<Whole>,
    /// Whether the next bytes are the first that a terminal gets unasked.
    guards_terminal: bool,
}

/// A file that is still under a temporary name.
struct Whole {
    temporary: TempPath,
    file: File,
    final_path: PathBuf,
}

struct Writer {
    pieces: mpsc::Sender<Bytes>,
    done: oneshot::Receiver<io::Result<()>>,
}

impl Output {
    /// Opens the output: what can't be written to is found out before anything is asked of the network.
    pub fn open(target: Target) -> anyhow::Result<Self> {
        match target {
            Target::Nowhere => {
                Ok(Self { name: String::new(), writer: None, whole: None, guards_terminal: false })
            }
            Target::Stdout { by_name } => {
                let name = "stdout".to_owned();
                // Not through std's own stdout, which looks for line ends.
                let stdout = io::stdout().as_fd().try_clone_to_owned().with_context(|| cant_write(&name))?;
                let guards_terminal = !by_name && io::stdout().is_terminal();
                let writer = Some(Writer::start(stdout.into()));
                Ok(Self { name, writer, whole: None, guards_terminal })
            }
            Target::Path(path) => {
                let name = path.display().to_string();
                let (file, whole) = open_path(&path).with_context(|| cant_write(&name))?;
                Ok(Self { name, writer: Some(Writer::start(file)), whole, guards_terminal: false })
            }
        }
    }

    /// Whether it goes to a terminal, where progress would be in its way.
    pub fn is_terminal(&self) -> bool {
        self.whole.is_none() && self.writer.is_some() && self.name == "stdout" && io::stdout().is_terminal()
    }

    /// Sets aside room for a body of a known length, where the file system can: a disk that is too full says so now.
    pub fn expect(&self, length: u64) -> anyhow::Result<()> {
        #[cfg(target_os = "linux")]
        if let Some(whole) = &self.whole
            && let Ok(length @ 1..) = i64::try_from(length)
        {
            use nix::{
                errno::Errno,
                fcntl::{FallocateFlags, fallocate},
            };
            let keep_size = FallocateFlags::FALLOC_FL_KEEP_SIZE;
            if let Err(error @ (Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG)) =
                fallocate(&whole.file, keep_size, 0, length)
            {
                return Err(io::Error::from(error)).with_context(|| cant_write(&self.name));
            }
        }
        let _ = length;
        Ok(())
    }

    /// Takes a piece; waits while too many are on their way.
    pub async fn write(&mut self, piece: Bytes) -> anyhow::Result<()> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if self.guards_terminal && piece.contains(&0) {
            let hint = "write it to a file with -o FILE, or insist with -o -";
            return Err(Failure::new(Exit::Write, "the body is binary and would garble the terminal")
                .hint(hint)
                .into());
        }
        if writer.pieces.send(piece).await.is_ok() {
            return Ok(());
        }
        // The thread ends early for one reason only.
        let writer = self.writer.take();
        self.join(writer).await
    }

    /// All is written: waits for that, and gives the file its name.
    pub async fn finish(mut self) -> anyhow::Result<()> {
        let writer = self.writer.take();
        self.join(writer).await?;
        if let Some(whole) = self.whole.take() {
            whole.temporary.persist(&whole.final_path).with_context(|| cant_write(&self.name))?;
        }
        Ok(())
    }

    /// The transfer has failed: a reader still gets what was on its way to it, so that what it has does not depend on luck.
    pub async fn abandon(mut self) {
        if self.whole.is_none() {
            let writer = self.writer.take();
            let _ = self.join(writer).await;
        }
    }

    /// The server says that what is there is still right: it stays, and nothing takes its place.
    pub fn leave(self, quiet: bool) {
        if self.whole.is_some() && !quiet {
            say(unchanged(&self.name));
        }
    }

    async fn join(&self, writer: Option<Writer>) -> anyhow::Result<()> {
        let Some(Writer { pieces, done }) = writer else { return Ok(()) };
        drop(pieces);
        match done.await {
            Ok(Ok(())) => Ok(()),
            // Whoever reads stdout has had enough: no news to anybody.
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe && self.whole.is_none() => {
                Err(Failure::silent(Exit::Write, "the reader of the output has closed it").into())
            }
            Ok(Err(error)) => Err(error).with_context(|| cant_write(&self.name)),
            Err(_) => Err(cant_write(&self.name).into()),
        }
    }
}

/// What a 304 means for a file.
pub fn unchanged(name: &str) -> String {
    format!("it has not changed on the server (304): {name} stays as it is")
}

fn cant_write(name: &str) -> Failure {
    Failure::new(Exit::Write, format!("can't write to {name}"))
        .hint("check the path, its permissions and the room on the disk, or choose another with -o")
}

/// Opens a path for writing: under a temporary name if it is, or will be, a regular file.
fn open_path(path: &Path) -> io::Result<(File, Option<Whole>)> {
    if is_special(path) {
        return Ok((OpenOptions::new().write(true).open(path)?, None));
    }
    // The file that a symbolic link leads to is replaced, not the link.
    let final_path = match fs::canonicalize(path) {
        Ok(existing) => existing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(error) => return Err(error),
    };
    let mode = match OpenOptions::new().append(true).open(&final_path) {
        Ok(existing) => Some(existing.metadata()?.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        // It could be replaced all the same, but who made it read-only meant that.
        Err(error) => return Err(error),
    };
    let name = final_path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let directory = match final_path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let temporary = tempfile::Builder::new()
        .prefix(&hidden(name))
        .suffix(".part")
        .rand_bytes(4)
        // What the umask leaves of it, as for any new file; by default it would be private.
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)?;
    if let Some(mode) = mode {
        temporary.as_file().set_permissions(mode)?;
    }
    let (file, temporary) = temporary.into_parts();
    let whole = Whole { temporary, file: file.try_clone()?, final_path };
    Ok((file, Some(whole)))
}

/// Whether a path leads to something that is not to be replaced by a file: a device, a pipe, an open descriptor.
pub fn is_special(path: &Path) -> bool {
    let named = ["/dev", "/proc"].iter().any(|root| path.starts_with(root));
    let kind = fs::metadata(path).map(|metadata| metadata.file_type());
    kind.is_ok_and(|kind| {
        named || kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket()
    })
}

/// `.NAME.`, cut so that the temporary name fits where NAME does.
fn hidden(name: &OsStr) -> OsString {
    let mut hidden = OsString::from(".");
    match name.to_str() {
        Some(text) => {
            let end = (0..=text.len().min(200)).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
            hidden.push(text.get(..end).unwrap_or_default());
        }
        None => hidden.push("download"),
    }
    hidden.push(".");
    hidden
}

impl Writer {
    fn start(file: File) -> Self {
        let (pieces, queue) = mpsc::channel(QUEUE);
        let (tell, done) = oneshot::channel();
        // Never joined: at a signal, a thread stuck in a full pipe must not keep the program.
        thread::spawn(move || {
            let _ = tell.send(drain(queue, file));
        });
        Self { pieces, done }
    }
}

/// Writes what comes, all that has come at a time.
fn drain(mut queue: mpsc::Receiver<Bytes>, mut file: File) -> io::Result<()> {
    let mut batch = Vec::with_capacity(QUEUE);
    while queue.blocking_recv_many(&mut batch, QUEUE) > 0 {
        write_all(&mut file, &batch)?;
        batch.clear();
    }
    Ok(())
}

fn write_all(file: &mut File, pieces: &[Bytes]) -> io::Result<()> {
    let mut slices: Vec<IoSlice<'_>> = pieces.iter().map(|piece| IoSlice::new(piece)).collect();
    let mut slices = slices.as_mut_slice();
    IoSlice::advance_slices(&mut slices, 0);
    while !slices.is_empty() {
        match file.write_vectored(slices) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => IoSlice::advance_slices(&mut slices, written),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[tokio::test]
    async fn a_file_appears_only_when_it_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut output = Output::open(Target::Path(path.clone())).unwrap();
        output.write(Bytes::from_static(b"half")).await.unwrap();
        let during = names(directory.path());
        assert!(
            during.len() == 1 && during[0].starts_with(".file.") && during[0].ends_with(".part"),
            "{during:?}"
        );
        output.write(Bytes::from_static(b" whole")).await.unwrap();
        output.finish().await.unwrap();
        assert_eq!(names(directory.path()), ["file"]);
        assert_eq!(fs::read(&path).unwrap(), b"half whole");
    }

    #[tokio::test]
    async fn a_file_that_was_there_stays_until_then_and_keeps_its_mode() {
        let directory = tempfile::tempdir().unwrap();
        let (path, link) = (directory.path().join("file"), directory.path().join("link"));
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut output = Output::open(Target::Path(link.clone())).unwrap();
        output.write(Bytes::from_static(b"new")).await.unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        drop(output);
        assert_eq!(names(directory.path()), ["file", "link"]);
        let output = Output::open(Target::Path(link.clone())).unwrap();
        output.finish().await.unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read(&path).unwrap(), b"");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn long_names_still_leave_room_for_the_temporary_one() {
        let name = "ä".repeat(127);
        let hidden = hidden(OsStr::new(&name));
        assert!(hidden.len() + "XXXX.part".len() <= 255 && hidden.to_str().unwrap().ends_with("ä."));
    }
}
