//! What a later process has to know to go on with an upload: a small file, always whole.

use std::{
    io::{self, Write as _},
    path::Path,
    time::UNIX_EPOCH,
};

use serde::{Deserialize, Serialize};
use url::Url;

use super::source::Source;

#[derive(Debug, Serialize, Deserialize)]
struct State {
    /// Where the upload was meant to go.
    target: String,
    /// Its own URL, with which anybody may write to it.
    upload: String,
    /// The file's, in bytes.
    size: u64,
    /// When the file was last written to: nanoseconds since 1970.
    modified: u64,
    /// The server checks SHA-256.
    #[serde(default)]
    digests: bool,
}

fn modified(source: &Source) -> u64 {
    let since = source.modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The upload to go on with, if it is of the same file to the same place, and whether its server checks SHA-256.
pub(super) fn load(path: &Path, target: &Url, source: &Source) -> Option<(Url, bool)> {
    parse(&std::fs::read(path).ok()?, target, source.size, modified(source))
}

/// The same of the file's content.
pub(in super::super) fn parse(json: &[u8], target: &Url, size: u64, modified: u64) -> Option<(Url, bool)> {
    let state: State = serde_json::from_slice(json).ok()?;
    let same = state.target == target.as_str() && state.size == size && state.modified == modified;
    if !same {
        tracing::info!("the upload that was left unfinished was of another file, or to another place");
        return None;
    }
    let url = Url::parse(&state.upload).ok().filter(|url| matches!(url.scheme(), "http" | "https"))?;
    Some((url, state.digests))
}

/// Writes it: under a temporary name, readable for its owner only, then renamed.
pub(super) fn save(
    path: &Path,
    target: &Url,
    upload: &Url,
    source: &Source,
    digests: bool,
) -> io::Result<()> {
    let state = State {
        target: target.to_string(),
        upload: upload.to_string(),
        size: source.size,
        modified: modified(source),
        digests,
    };
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut temporary = tempfile::Builder::new().prefix(".mphttp-upload.").tempfile_in(folder)?;
    temporary.write_all(&serde_json::to_vec(&state)?)?;
    temporary.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_for_the_same_file_and_place_only() {
        let folder = tempfile::tempdir().unwrap();
        let (file, path) = (folder.path().join("file"), folder.path().join("file.json"));
        std::fs::write(&file, "hello").unwrap();
        let source = Source::look(&file).unwrap();
        let (target, upload) = (Url::parse("http://a/").unwrap(), Url::parse("http://a/x").unwrap());
        assert_eq!(load(&path, &target, &source), None);
        save(&path, &target, &upload, &source, true).unwrap();
        assert_eq!(load(&path, &target, &source), Some((upload.clone(), true)));
        assert_eq!(load(&path, &upload, &source), None);
        std::fs::write(&file, "hello, world").unwrap();
        assert_eq!(load(&path, &target, &Source::look(&file).unwrap()), None);
        std::fs::write(&path, "{\"target\":").unwrap();
        assert_eq!(load(&path, &target, &source), None);
    }
}
