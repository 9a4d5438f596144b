//! The file that is sent: read in pieces, and watched for changes, since an upload that goes on after a break must go on
//! with the same bytes.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _},
    ops::Range,
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::{Instant, SystemTime},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use sha2::{Digest as _, Sha256};

use crate::{
    Body, BoxError, Error,
    files::body::{Body as FileBody, Part},
};

/// A file, and the state it was in when the upload began.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    /// In bytes.
    pub(super) size: u64,
    pub(super) modified: Option<SystemTime>,
}

impl Source {
    /// Looks at a file. Blocks.
    pub(super) fn look(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::Read { path: path.to_owned(), source };
        // Not by opening it: already that would wait, if it is a FIFO.
        let meta = std::fs::metadata(path).map_err(failed)?;
        if !meta.is_file() {
            let why = "it is no regular file, so that it can't be read from where a transfer broke";
            return Err(failed(io::Error::new(io::ErrorKind::InvalidInput, why)));
        }
        Ok(Self { path: path.to_owned(), size: meta.len(), modified: meta.modified().ok() })
    }

    /// Opens it, if it is still as it was. Blocks.
    pub(super) fn open(&self) -> Result<File, Error> {
        let failed = |source| Error::Read { path: self.path.clone(), source };
        let file = File::open(&self.path).map_err(failed)?;
        if self.is_same(&file).map_err(failed)? {
            return Ok(file);
        }
        Err(Error::FileChanged { path: self.path.clone() })
    }

    fn is_same(&self, file: &File) -> io::Result<bool> {
        let meta = file.metadata()?;
        Ok(meta.len() == self.size && meta.modified().ok() == self.modified)
    }

    /// The SHA-256 of a part. Blocks.
    pub(super) fn digest(&self, range: &Range<u64>) -> Result<Vec<u8>, Error> {
        let failed = |source| Error::Read { path: self.path.clone(), source };
        let mut file = self.open()?;
        file.seek(io::SeekFrom::Start(range.start)).map_err(failed)?;
        let mut part = file.take(range.end - range.start);
        let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 256 << 10]);
        loop {
            match part.read(&mut buffer) {
                Ok(0) => return Ok(hasher.finalize().to_vec()),
                Ok(length) => hasher.update(buffer.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// A part as a body, which tells `sent` of each piece. Its last piece does not leave if the file has changed by then,
    /// so that no server takes a mixture for whole. Blocks.
    pub(super) fn body(&self, range: Range<u64>, sent: Sent) -> Result<Body, Error> {
        let failed = |source| Error::Read { path: self.path.clone(), source };
        let file = self.open()?;
        let guard = file.try_clone().map_err(failed)?;
        let at = range.start;
        let inner = FileBody::from_file(file, vec![Part::File(range)]).map_err(failed)?;
        Ok(Body::new(Counted { inner, guard, source: self.clone(), at, sent }))
    }
}

/// Who is told how far it is: bytes sent, and bytes in all.
pub(super) type Hook = Box<dyn FnMut(u64, u64) + Send>;

/// How far the latest attempt is.
#[derive(Clone, Default)]
pub(super) struct Sent(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    latest: Option<Instant>,
    bytes: u64,
    hook: Option<Hook>,
}

impl Sent {
    pub(super) fn new(hook: Option<Hook>) -> Self {
        Self(Arc::new(Mutex::new(State { latest: None, bytes: 0, hook })))
    }

    /// When the connection last took a piece.
    pub(super) fn latest(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).latest
    }

    /// Pieces that connections took, in bytes: more than the file has if some had to be sent again.
    pub(super) fn bytes(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).bytes
    }

    /// So far it is: at the beginning of an attempt.
    pub(super) fn at(&self, at: u64, size: u64) {
        if let Some(hook) = &mut self.0.lock().unwrap_or_else(PoisonError::into_inner).hook {
            hook(at, size);
        }
    }

    fn more(&self, piece: u64, at: u64, size: u64) {
        {
            let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            state.latest = Some(Instant::now());
            state.bytes += piece;
        }
        self.at(at, size);
    }
}

struct Counted {
    inner: FileBody,
    guard: File,
    source: Source,
    at: u64,
    sent: Sent,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = &mut *self;
        let frame = match ready!(Pin::new(&mut this.inner).poll_frame(context)) {
            Some(Ok(frame)) => frame,
            Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
            None => return Poll::Ready(None),
        };
        let piece = frame.data_ref().map_or(0, |data| data.len() as u64);
        let last = http_body::Body::is_end_stream(&this.inner);
        if last && !this.source.is_same(&this.guard)? {
            let error = Error::FileChanged { path: this.source.path.clone() };
            return Poll::Ready(Some(Err(error.into())));
        }
        this.at += piece;
        this.sent.more(piece, this.at, this.source.size);
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        http_body::Body::is_end_stream(&self.inner)
    }

    fn size_hint(&self) -> SizeHint {
        http_body::Body::size_hint(&self.inner)
    }
}
