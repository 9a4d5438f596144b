//! The body of an answer: nothing, bytes, or parts of a file, read as the client takes them.

use std::collections::VecDeque;
use std::fs::File;
use std::future::Future as _;
use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tokio::task::{JoinHandle, spawn_blocking};

use super::compress::Coded;
#[cfg(target_os = "linux")]
use super::opened::Opened;
use super::platform;

/// What is read from a file at a time, in bytes. With one chunk read ahead, a slow client holds two of them.
const CHUNK: u64 = 128 * 1024;

/// Up to this size, in bytes, a file is read with its answer rather than with the answer's body.
#[cfg(target_os = "linux")]
const SMALL: u64 = 32 * 1024;

/// The body of a response from [`Files`](super::Files).
///
/// It gives exactly as many bytes as it promised. If the file has become shorter in the meantime, or can't be read, it
/// ends with an error, upon which an HTTP server cuts the connection: the client sees that something is missing.
///
/// Must be polled inside a tokio runtime: what a file's disk has to deliver is read on its blocking
/// threads, one chunk ahead of the client; what is in memory, as the client takes it.
#[derive(Debug)]
pub struct Body(Content);

#[derive(Debug)]
enum Content {
    Full(Bytes),
    File(Box<Reader>),
    Coded(Box<Coded>),
}

/// One piece of a body.
#[derive(Debug)]
pub(crate) enum Part {
    Bytes(Bytes),
    File(Range<u64>),
}

#[derive(Debug)]
struct Reader {
    file: Arc<File>,
    parts: VecDeque<Part>,
    /// Bytes that the client has yet to get.
    remaining: u64,
    next: Option<Next>,
    /// See [`Opened::memory`]; not where it was not asked for.
    memory: bool,
}

#[derive(Debug)]
enum Next {
    Ready(Bytes),
    Reading(JoinHandle<io::Result<Bytes>>),
}

impl Body {
    /// A body of no bytes.
    pub fn empty() -> Self {
        Body(Content::Full(Bytes::new()))
    }

    /// Parts of a file, the first chunk of which is read here and now: it blocks.
    pub(crate) fn from_file(file: impl Into<Arc<File>>, parts: Vec<Part>) -> io::Result<Self> {
        let mut reader = Reader::new(file.into(), parts);
        let first = match reader.step() {
            None => return Ok(Body::empty()),
            Some(Step::Bytes(bytes)) => bytes,
            Some(Step::Read(range)) => read(&reader.file, range)?,
        };
        if first.len() as u64 == reader.remaining {
            return Ok(Body(Content::Full(first)));
        }
        reader.next = Some(Next::Ready(first));
        Ok(Body(Content::File(Box::new(reader))))
    }

    /// Parts of a file of which nothing is read yet but what is in memory: it doesn't block.
    #[cfg(target_os = "linux")]
    pub(super) fn from_open(opened: &Opened, parts: Vec<Part>) -> Self {
        if let [Part::File(range)] = &parts[..]
            && range.end.saturating_sub(range.start) <= SMALL
            && let Some(bytes) = platform::read_in_memory(&opened.file, range, opened.memory)
        {
            return Body(Content::Full(bytes));
        }
        let mut reader = Reader::new(Arc::clone(&opened.file), parts);
        reader.memory = opened.memory;
        Body(Content::File(Box::new(reader)))
    }

    /// One that is compressed as it is sent: nobody knows how long it will be.
    pub(super) fn coded(coded: Coded) -> Self {
        Body(Content::Coded(Box::new(coded)))
    }

    /// Bytes that are still to come, if that is known.
    fn remaining(&self) -> Option<u64> {
        match &self.0 {
            Content::Full(bytes) => Some(bytes.len() as u64),
            Content::File(reader) => Some(reader.remaining),
            Content::Coded(_) => None,
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Body(Content::Full(text.into()))
    }
}

/// The number of bytes that some parts make.
pub(super) fn length(parts: &[Part]) -> u64 {
    let lengths = parts.iter().map(|part| match part {
        Part::Bytes(bytes) => bytes.len() as u64,
        Part::File(range) => range.end.saturating_sub(range.start),
    });
    lengths.fold(0, u64::saturating_add)
}

enum Step {
    Bytes(Bytes),
    Read(Range<u64>),
}

impl Reader {
    fn new(file: Arc<File>, parts: Vec<Part>) -> Self {
        let remaining = length(&parts);
        Self { file, parts: parts.into(), remaining, next: None, memory: false }
    }

    /// Takes the next piece, of a chunk at most, off the parts.
    fn step(&mut self) -> Option<Step> {
        loop {
            match self.parts.pop_front()? {
                Part::Bytes(bytes) => return Some(Step::Bytes(bytes)),
                Part::File(range) if range.start >= range.end => {}
                Part::File(Range { start, end }) => {
                    let middle = end.min(start.saturating_add(CHUNK));
                    if middle < end {
                        self.parts.push_front(Part::File(middle..end));
                    }
                    return Some(Step::Read(start..middle));
                }
            }
        }
    }

    fn start_next(&mut self) {
        self.next = self.step().map(|step| match step {
            Step::Bytes(bytes) => Next::Ready(bytes),
            // What is in memory is read here, without the way to another thread and back.
            Step::Read(range) => match platform::read_in_memory(&self.file, &range, self.memory) {
                Some(bytes) => Next::Ready(bytes),
                None => {
                    let file = Arc::clone(&self.file);
                    Next::Reading(spawn_blocking(move || read(&file, range)))
                }
            },
        });
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.next.is_none() {
            self.start_next();
        }
        let (chunk, slow) = match &mut self.next {
            None => return Poll::Ready(None),
            Some(Next::Ready(bytes)) => (Ok(std::mem::take(bytes)), false),
            Some(Next::Reading(task)) => {
                (ready!(Pin::new(task).poll(cx)).unwrap_or_else(|error| Err(error.into())), true)
            }
        };
        match &chunk {
            Ok(bytes) => {
                self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
                self.next = None;
                // A disk is asked for the next chunk while this one is on its way.
                if slow {
                    self.start_next();
                }
            }
            Err(_) => {
                self.next = None;
                self.parts.clear();
            }
        }
        Poll::Ready(Some(chunk))
    }
}

fn read(file: &File, range: Range<u64>) -> io::Result<Bytes> {
    let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(io::Error::other)?;
    let chunk = platform::read_at(file, range.start, len)?;
    if chunk.len() < len {
        let text = "the file became shorter while it was being sent; download it again";
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    }
    Ok(chunk.into())
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let chunk = match &mut self.get_mut().0 {
            Content::Full(bytes) if bytes.is_empty() => None,
            Content::Full(bytes) => Some(Ok(std::mem::take(bytes))),
            Content::File(reader) => ready!(reader.poll_chunk(cx)),
            Content::Coded(coded) => ready!(coded.poll_next(cx)),
        };
        Poll::Ready(chunk.map(|chunk| chunk.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.remaining() == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.remaining().map_or_else(SizeHint::new, SizeHint::with_exact)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;
    use http_body_util::BodyExt as _;
    use std::io::Write as _;

    fn file_of(content: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        file
    }

    #[cfg(target_os = "linux")]
    fn opened(file: File) -> Opened {
        let meta = file.metadata().unwrap();
        Opened::new(file, &meta, std::path::Path::new("file"), None, std::time::SystemTime::now()).unwrap()
    }

    #[tokio::test]
    async fn parts_come_in_order_and_in_chunks() {
        let content: Vec<u8> = (0..3 * CHUNK + 5).map(|n| (n % 251) as u8).collect();
        let size = content.len() as u64;
        let parts = vec![
            Part::Bytes("head".into()),
            Part::File(1..size),
            Part::File(7..7),
            Part::Bytes("middle".into()),
            Part::File(0..2),
            Part::Bytes("tail".into()),
        ];
        let expected = [b"head", &content[1..], b"middle", &content[..2], b"tail"].concat();
        assert_eq!(length(&parts), expected.len() as u64);
        let mut body = Body::from_file(file_of(&content), parts).unwrap();
        let mut got = Vec::new();
        while !http_body::Body::is_end_stream(&body) {
            assert_eq!(http_body::Body::size_hint(&body).exact(), Some((expected.len() - got.len()) as u64));
            let chunk = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(chunk.len() as u64 <= CHUNK);
            got.extend_from_slice(&chunk);
        }
        assert!(got == expected);
        assert!(body.frame().await.is_none());
    }

    /// Evicted from the page cache, where the file system lets go of it.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_is_not_in_memory_comes_from_the_disk() {
        let content: Vec<u8> = (0..3 * CHUNK + 5).map(|n| (n % 251) as u8).collect();
        let size = content.len() as u64;
        let file = opened(file_of(&content));
        file.file.sync_all().unwrap();
        let evict = || rustix::fs::fadvise(&*file.file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
        for range in [0..size, 5..SMALL, 0..size - 1] {
            evict();
            let body = Body::from_open(&file, vec![Part::File(range.clone())]);
            let expected = &content[range.start as usize..range.end as usize];
            assert!(body.collect().await.unwrap().to_bytes() == expected, "{range:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_is_in_memory_comes_at_once() {
        let file = opened(file_of(&vec![7; CHUNK as usize * 2]));
        let small = Body::from_open(&file, vec![Part::File(1..SMALL)]);
        assert!(matches!(small.0, Content::Full(bytes) if bytes.len() as u64 == SMALL - 1));
        let mut large = Body::from_open(&file, vec![Part::File(0..CHUNK * 2)]);
        for _ in 0..2 {
            let chunk = large.frame().now_or_never().expect("no waiting").unwrap().unwrap();
            assert_eq!(chunk.into_data().unwrap().len() as u64, CHUNK);
        }
    }

    #[test]
    fn a_small_file_is_read_at_once() {
        let body = Body::from_file(file_of(b"small"), vec![Part::File(0..5)]).unwrap();
        assert!(matches!(body.0, Content::Full(bytes) if &bytes[..] == b"small"));
        let empty = Body::from_file(file_of(b""), vec![Part::File(0..0)]).unwrap();
        assert_eq!(empty.remaining(), Some(0));
    }

    #[tokio::test]
    async fn growth_is_not_sent() {
        let file = file_of(&vec![1; CHUNK as usize * 2]);
        let mut writer = file.try_clone().unwrap();
        let body = Body::from_file(file, vec![Part::File(0..CHUNK + 1)]).unwrap();
        writer.write_all(&[2; 1000]).unwrap();
        assert_eq!(body.collect().await.unwrap().to_bytes().len() as u64, CHUNK + 1);
    }

    #[tokio::test]
    async fn a_file_that_shrinks_ends_the_body_with_an_error() {
        let file = file_of(&vec![1; CHUNK as usize * 3]);
        let writer = file.try_clone().unwrap();
        let mut body = Body::from_file(file, vec![Part::File(0..CHUNK * 3)]).unwrap();
        writer.set_len(CHUNK + 10).unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len() as u64, CHUNK);
        let error = body.frame().await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert!(body.frame().await.is_none(), "nothing after the error");
        assert!(!http_body::Body::is_end_stream(&body), "what was promised was not delivered");
    }
}
