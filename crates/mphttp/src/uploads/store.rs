//! Uploads on disk. All of it blocks.
//!
//! An upload that is not whole yet lives in a hidden folder below the root, as `ID.data`, what has arrived, and
//! `ID.json`, what is to become of it. How far it is, the length of `ID.data` says and nothing else: it is right after
//! `kill -9` too. Whole, the data gets its final name in one step, and `ID.json` stays for a while for a client that
//! missed the answer.

use std::{
    fs::File,
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use cap_std::{
    ambient_authority,
    fs::{Dir, OpenOptions},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};

use super::{id::Id, refusal::Refusal};
use crate::files::path::{Target, UNFINISHED};

/// How long a finished upload can still be asked for.
const REMEMBERED: Duration = Duration::from_secs(24 * 3600);
/// After so long the temporary file of a plain PUT has lost its server.
const ABANDONED: Duration = Duration::from_secs(24 * 3600);

/// The folder, opened once.
#[derive(Clone, Debug)]
pub(super) struct Store {
    dir: Arc<Dir>,
    path: Arc<Path>,
    /// One creation at a time, so that the limit holds.
    creating: Arc<Mutex<()>>,
}

/// What is kept of an upload besides its data.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Info {
    /// In bytes.
    pub(super) length: u64,
    /// The URL's path to the file that it becomes, percent-encoded.
    pub(super) target: String,
    /// `Upload-Metadata`, as it came.
    pub(super) metadata: String,
    /// The file has its name: nothing is left to do.
    pub(super) finished: bool,
}

impl Info {
    pub(super) fn parse(json: &[u8]) -> io::Result<Self> {
        serde_json::from_slice(json).map_err(io::Error::other)
    }
}

/// What is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    File,
    Folder,
    /// A device, a FIFO, a socket: none of an upload's business.
    Other,
}

impl Store {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let path = std::fs::canonicalize(path)?;
        let dir = Dir::open_ambient_dir(&path, ambient_authority())?;
        let store = Self { dir: Arc::new(dir), path: path.into(), creating: Arc::default() };
        // Now, so that a folder that can't be written to is known before the first upload.
        let folder = store.unfinished()?;
        let probe = format!("put-{}", Id::random()?);
        folder.create(&probe)?;
        folder.remove_file(&probe)?;
        store.sweep(&folder, Duration::MAX);
        Ok(store)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The hidden folder; made anew if somebody has cleaned up.
    fn unfinished(&self) -> io::Result<Dir> {
        match self.dir.open_dir(UNFINISHED) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                #[allow(unused_mut, reason = "only Unix has modes")]
                let mut builder = cap_std::fs::DirBuilder::new();
                #[cfg(unix)]
                {
                    use cap_std::fs::DirBuilderExt as _;
                    builder.mode(0o700);
                }
                match self.dir.create_dir_with(UNFINISHED, &builder) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                    _ => {}
                }
                self.dir.open_dir(UNFINISHED)
            }
            result => result,
        }
    }

    /// What is at a place below the root.
    pub(super) fn look(&self, path: &Path) -> io::Result<Found> {
        if path.as_os_str().is_empty() {
            return Ok(Found::Folder);
        }
        match self.dir.metadata(path) {
            Ok(meta) if meta.is_dir() => Ok(Found::Folder),
            Ok(meta) if meta.is_file() => Ok(Found::File),
            Ok(_) => Ok(Found::Other),
            // A link that leads nowhere is something all the same.
            Err(error) if error.kind() == io::ErrorKind::NotFound => match self.dir.symlink_metadata(path) {
                Ok(_) => Ok(Found::Other),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// The file that a PUT would replace, opened to be judged by.
    pub(super) fn existing(&self, path: &Path) -> io::Result<std::fs::Metadata> {
        let file = crate::files::confined_options();
        self.dir.open_with(path, &file)?.into_std().metadata()
    }

    /// Whether a file may get this name; whether there is one already.
    pub(super) fn check_place(&self, path: &Path) -> Result<bool, Refusal> {
        let parent = path.parent().unwrap_or(Path::new(""));
        if self.look(parent)? != Found::Folder {
            // RFC 4918 section 9.7.1 has this status for it.
            return Err(Refusal::new(StatusCode::CONFLICT, "The folder that it is to go to does not exist."));
        }
        match self.look(path)? {
            Found::Nothing => Ok(false),
            Found::File => Ok(true),
            Found::Folder => Err(Refusal::new(StatusCode::CONFLICT, "There is a folder of that name.")),
            Found::Other => Err(Refusal::new(StatusCode::CONFLICT, "What has that name is no file.")),
        }
    }

    /// Whether a file may get this name, in folders that are there or can be made.
    pub(super) fn check_new_place(&self, path: &Path, overwrite: bool) -> Result<(), Refusal> {
        let in_the_way = |text| Err(Refusal::new(StatusCode::CONFLICT, text));
        let parents: Vec<_> = path.ancestors().skip(1).collect();
        for parent in parents.into_iter().rev() {
            match self.look(parent)? {
                Found::Folder => {}
                Found::Nothing => return Ok(()),
                Found::File | Found::Other => return in_the_way("What has the name of its folder is none."),
            }
        }
        match self.look(path)? {
            Found::Nothing => Ok(()),
            Found::File if overwrite => Ok(()),
            Found::File => Err(Refusal::exists()),
            Found::Folder => in_the_way("There is a folder of that name."),
            Found::Other => in_the_way("What has that name is no file."),
        }
    }

    /// Makes the folder that a file is to go to, and those above it.
    pub(super) fn make_folder_of(&self, path: &Path) -> io::Result<()> {
        match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => self.dir.create_dir_all(folder),
            _ => Ok(()),
        }
    }

    /// Begins an upload. Those that nobody went on with for `keep` make room for it.
    pub(super) fn create(&self, info: &Info, most: usize, keep: Duration) -> Result<Id, Refusal> {
        let _one = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = self.unfinished()?;
        if self.sweep(&folder, keep) >= most {
            let text = "As many unfinished uploads as this server allows are under way. Try again later.";
            return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, text));
        }
        let id = Id::random()?;
        folder.create(data(id))?;
        if let Err(error) = write_info(&folder, id, info) {
            let _ = folder.remove_file(data(id));
            return Err(error.into());
        }
        Ok(id)
    }

    /// Removes what has been left behind; counts the uploads that are not.
    fn sweep(&self, folder: &Dir, keep: Duration) -> usize {
        let Ok(entries) = folder.entries() else { return 0 };
        let mut unfinished = 0;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let age = entry.metadata().ok().and_then(|meta| meta.modified().ok());
            let age = age.and_then(|time| SystemTime::now().duration_since(time.into_std()).ok());
            let older = |limit| age.is_some_and(|age| age > limit);
            if name.starts_with("put-") {
                if older(ABANDONED) {
                    let _ = folder.remove_file(name);
                }
            } else if let Some(id) = name.strip_suffix(".data").and_then(Id::parse) {
                if older(keep) {
                    let _ = remove(folder, id);
                } else {
                    unfinished += 1;
                }
            } else if let Some(id) = name.strip_suffix(".json").and_then(Id::parse)
                && older(REMEMBERED)
                && !folder.exists(data(id))
            {
                let _ = remove(folder, id);
            }
        }
        unfinished
    }

    /// An upload and how far it is. `None`: there is none of that name.
    pub(super) fn find(&self, id: Id) -> Result<Option<(Info, u64)>, Refusal> {
        let folder = self.unfinished()?;
        let text = match folder.read(info(id)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let info = Info::parse(&text)?;
        if info.finished {
            let offset = info.length;
            return Ok(Some((info, offset)));
        }
        let offset = match folder.metadata(data(id)) {
            Ok(meta) => meta.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let offset = checked(&folder, id)?.map_or(offset, |sure| offset.min(sure)).min(info.length);
        Ok(Some((info, offset)))
    }

    /// The data, to be appended to from `offset`; what is beyond, and was never vouched for, is dropped. With `verify`,
    /// what is appended does not count before [`Store::vouch`].
    pub(super) fn append(&self, id: Id, offset: u64, verify: bool) -> io::Result<File> {
        let folder = self.unfinished()?;
        let file = folder.open_with(data(id), OpenOptions::new().write(true).append(true))?.into_std();
        if file.metadata()?.len() > offset {
            file.set_len(offset)?;
        }
        if verify {
            folder.write(check(id), offset.to_string())?;
        } else {
            forget(&folder, check(id))?;
        }
        Ok(file)
    }

    /// What was appended is right.
    pub(super) fn vouch(&self, id: Id) -> io::Result<()> {
        forget(&self.unfinished()?, check(id))
    }

    /// What was appended is not: back to `offset`.
    pub(super) fn cut(&self, id: Id, offset: u64) -> io::Result<()> {
        let folder = self.unfinished()?;
        folder.open_with(data(id), OpenOptions::new().write(true))?.set_len(offset)?;
        forget(&folder, check(id))
    }

    /// Gives a whole upload its name.
    pub(super) fn finish(&self, id: Id, mut upload: Info, overwrite: bool) -> Result<(), Refusal> {
        let folder = self.unfinished()?;
        let target = Target::parse(&upload.target, false).ok_or_else(|| Refusal::bad("It has no place."))?;
        place(&folder, &data(id), &self.dir, &target.path, overwrite)?;
        upload.finished = true;
        write_info(&folder, id, &upload)?;
        forget(&folder, data(id))?;
        Ok(())
    }

    /// Removes an upload; a file that it has become stays.
    pub(super) fn remove(&self, id: Id) -> io::Result<()> {
        remove(&self.unfinished()?, id)
    }

    /// A file for the body of a plain PUT.
    pub(super) fn temporary(&self) -> io::Result<(Temporary, File)> {
        let folder = self.unfinished()?;
        let name = format!("put-{}", Id::random()?);
        let file = folder.create(&name)?.into_std();
        Ok((Temporary { folder, name: Some(name), root: Arc::clone(&self.dir) }, file))
    }
}

/// A file that is gone when this is dropped, unless it was [placed](Temporary::place).
#[derive(Debug)]
pub(super) struct Temporary {
    folder: Dir,
    name: Option<String>,
    root: Arc<Dir>,
}

impl Temporary {
    /// Gives it its name, in place of a file that has it.
    pub(super) fn place(mut self, target: &Path, overwrite: bool) -> Result<(), Refusal> {
        let Some(name) = &self.name else { return Ok(()) };
        place(&self.folder, name, &self.root, target, overwrite)?;
        if overwrite {
            self.name = None;
        }
        Ok(())
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Some(name) = &self.name {
            let _ = self.folder.remove_file(name);
        }
    }
}

/// Moves a file to its place, in one step; without `overwrite` it keeps its old name as well, for the caller to remove.
fn place(folder: &Dir, name: &str, root: &Dir, target: &Path, overwrite: bool) -> Result<(), Refusal> {
    if overwrite {
        return Ok(folder.rename(name, root, target)?);
    }
    // A link fails where there is something, however shortly before it got there; a rename would replace it.
    match folder.hard_link(name, root, target) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            // The server may have died between the link and writing down that it is done.
            if same_file(folder, name, root, target) { Ok(()) } else { Err(Refusal::exists()) }
        }
        // FAT, and some network file systems, know no links.
        Err(error) if !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::StorageFull) => {
            if root.symlink_metadata(target).is_ok() {
                return Err(Refusal::exists());
            }
            Ok(folder.rename(name, root, target)?)
        }
        Err(error) => Err(error.into()),
    }
}

#[cfg(unix)]
fn same_file(folder: &Dir, name: &str, root: &Dir, target: &Path) -> bool {
    use cap_std::fs::MetadataExt as _;
    match (folder.symlink_metadata(name), root.symlink_metadata(target)) {
        (Ok(one), Ok(other)) => (one.dev(), one.ino()) == (other.dev(), other.ino()),
        _ => false,
    }
}

#[cfg(not(unix))]
fn same_file(_: &Dir, _: &str, _: &Dir, _: &Path) -> bool {
    false
}

fn data(id: Id) -> String {
    format!("{id}.data")
}

fn info(id: Id) -> String {
    format!("{id}.json")
}

/// Holds the offset from which on the data is not verified yet.
fn check(id: Id) -> String {
    format!("{id}.check")
}

fn checked(folder: &Dir, id: Id) -> io::Result<Option<u64>> {
    match folder.read_to_string(check(id)) {
        // Cut off while it was written: nothing had been appended then.
        Ok(text) => Ok(text.trim().parse().ok()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Under another name first: what is there is always whole.
fn write_info(folder: &Dir, id: Id, upload: &Info) -> io::Result<()> {
    let text = serde_json::to_vec(upload).map_err(io::Error::other)?;
    let temporary = PathBuf::from(format!("{id}.new"));
    folder.write(&temporary, text)?;
    folder.rename(&temporary, folder, info(id))
}

fn remove(folder: &Dir, id: Id) -> io::Result<()> {
    // The data last: should this be interrupted, the rest is found by it.
    for name in [format!("{id}.new"), check(id), info(id), data(id)] {
        forget(folder, name)?;
    }
    Ok(())
}

fn forget(folder: &Dir, name: String) -> io::Result<()> {
    match folder.remove_file(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}
