//! A certificate that can be replaced while a server runs: what new handshakes get, and what its files looked like when read.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use rustls::{
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
};

/// What a file looks like from outside. Links are followed: certbot renews by pointing a link elsewhere.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Look {
    changed: Option<SystemTime>,
    length: u64,
    file: u64,
}

impl Look {
    fn at(path: &Path) -> io::Result<Self> {
        let metadata = fs::metadata(path)?;
        #[cfg(unix)]
        let file = std::os::unix::fs::MetadataExt::ino(&metadata);
        #[cfg(not(unix))]
        let file = 0;
        Ok(Self { changed: metadata.modified().ok(), length: metadata.len(), file })
    }
}

/// Both files' looks; `None` for one that isn't there.
type Looks = [Option<Look>; 2];

/// The files of a pair.
pub(super) struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
    looks: Mutex<Seen>,
}

struct Seen {
    /// As the files were when last read, well or not.
    read: Looks,
    /// As they were at the last look.
    last: Looks,
}

impl Files {
    pub fn new(certificate: PathBuf, key: PathBuf) -> Self {
        let looks = looks(&certificate, &key);
        Self { certificate, key, looks: Mutex::new(Seen { read: looks, last: looks }) }
    }

    /// They are about to be read. Before, not after: what changes meanwhile must be seen at the next look.
    pub fn reading(&self) {
        let now = looks(&self.certificate, &self.key);
        *self.looks.lock().unwrap_or_else(PoisonError::into_inner) = Seen { read: now, last: now };
    }

    /// Whether they differ from what was read, and have come to rest: a pair is written one file after the other, and
    /// read in between it would be refused for nothing.
    pub fn changed(&self) -> bool {
        let now = looks(&self.certificate, &self.key);
        let mut seen = self.looks.lock().unwrap_or_else(PoisonError::into_inner);
        let rests = seen.last == now;
        seen.last = now;
        rests && seen.read != now
    }
}

fn looks(certificate: &Path, key: &Path) -> Looks {
    [certificate, key].map(|path| Look::at(path).ok())
}

/// What new handshakes get.
pub(super) struct Swap {
    current: RwLock<Arc<CertifiedKey>>,
    pub files: Option<Files>,
}

impl Swap {
    pub fn new(current: CertifiedKey, files: Option<Files>) -> Self {
        Self { current: RwLock::new(Arc::new(current)), files }
    }

    pub fn current(&self) -> Arc<CertifiedKey> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes another; whether its certificates differ from those before.
    pub fn put(&self, next: CertifiedKey) -> bool {
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let differs = current.cert != next.cert;
        *current = Arc::new(next);
        differs
    }
}

impl ResolvesServerCert for Swap {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl fmt::Debug for Swap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The key is nobody's business.
        f.debug_struct("Swap").finish_non_exhaustive()
    }
}
