//! Files for the benches to serve and to fetch into.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::programs::SharedFile;

/// Files to serve and to fetch into, in memory if possible: disks are not what is measured.
pub struct Scratch {
    directory: PathBuf,
}

impl Scratch {
    pub fn new() -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let directory = parent.join(format!("mphttp-bench-{}", std::process::id()));
        fs::create_dir_all(directory.join("served"))?;
        Ok(Self { directory })
    }

    pub fn served(&self) -> PathBuf {
        self.directory.join("served")
    }

    /// A directory of this name, with nothing in it.
    pub fn emptied(&self, name: &str) -> Result<PathBuf> {
        let path = self.directory.join(name);
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).with_context(|| format!("can't make {}", path.display()))?;
        Ok(path)
    }

    /// Makes a file of bytes that don't compress.
    pub fn file(&self, name: &'static str, size: u64) -> Result<SharedFile> {
        let path = self.served().join(name);
        let mut out =
            BufWriter::new(File::create(&path).with_context(|| format!("can't make {}", path.display()))?);
        let (mut state, mut left) = (0x9e37_79b9_7f4a_7c15_u64, size);
        while left > 0 {
            // xorshift64
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let bytes = state.to_le_bytes();
            let part = usize::try_from(left.min(bytes.len() as u64))?;
            out.write_all(&bytes[..part])?;
            left -= part as u64;
        }
        out.flush()?;
        Ok(SharedFile { name, size, output: self.directory.join("fetched") })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}
