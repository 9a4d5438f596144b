//! The thread that writes the access log, and what happens where nobody takes its lines.

use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use crate::error_reporting::say;

/// Lines that may wait for a slow reader or disk before further ones are dropped, and counted.
const WAITING: usize = 16_384;
/// How long the last lines may take to leave.
const FLUSH: Duration = Duration::from_secs(2);
/// How much is written at a time.
const BLOCK: usize = 64 << 10;

/// The way to the thread. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    to: SyncSender<Message>,
    file: bool,
    lost: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(String),
    Reopen,
    Stop(SyncSender<()>),
}

/// Where lines end up.
pub(super) enum Out {
    /// Something that can't be opened again: the log ends when it breaks.
    Stream(Box<dyn Write + Send>),
    /// A file. What it doesn't take is lost, and the next lines are tried again.
    File { path: PathBuf, file: File },
}

impl Out {
    pub(super) fn stdout() -> Self {
        Self::Stream(Box::new(io::stdout()))
    }

    pub(super) fn file(path: PathBuf, file: File) -> Self {
        Self::File { path, file }
    }

    fn write(&mut self, block: &[u8]) -> io::Result<()> {
        match self {
            Self::Stream(stream) => stream.write_all(block).and_then(|()| stream.flush()),
            Self::File { file, .. } => file.write_all(block),
        }
    }

    fn reopen(&mut self) {
        let Self::File { path, file } = self else { return };
        match File::options().append(true).create(true).open(&*path) {
            Ok(opened) => *file = opened,
            Err(error) => say(format_args!(
                "warning: can't open {} again: {error}; the access log stays in the old file",
                path.display()
            )),
        }
    }
}

impl Lines {
    pub(super) fn to(out: Out) -> Self {
        let (to, arriving) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&lost);
        let file = matches!(out, Out::File { .. });
        thread::spawn(move || write_lines(&arriving, out, &count));
        Self { to, file, lost }
    }

    pub(super) const fn are_for_a_file(&self) -> bool {
        self.file
    }

    pub(super) fn send(&self, line: String) {
        if self.to.try_send(Message::Line(line)).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn reopen(&self) {
        // A full queue is emptied into the old file first, by which time there is room.
        if self.to.try_send(Message::Reopen).is_err() {
            let to = self.to.clone();
            thread::spawn(move || to.send(Message::Reopen));
        }
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Waits, not for long, until the lines so far are written, and says how many were lost.
    pub(super) fn close(&self) {
        let (done, finished) = sync_channel(1);
        if self.to.try_send(Message::Stop(done)).is_ok() {
            let _ = finished.recv_timeout(FLUSH);
        }
        match self.lost() {
            0 => {}
            lines => say(format_args!("warning: {lines} lines of the access log were lost")),
        }
    }
}

fn write_lines(arriving: &Receiver<Message>, mut out: Out, lost: &AtomicU64) {
    let mut block = Vec::with_capacity(BLOCK);
    let (mut lines, mut ailing) = (0, false);
    while let Ok(first) = arriving.recv() {
        let mut message = Some(first);
        let mut last = None;
        while let Some(next) = message.take() {
            match next {
                Message::Line(line) => {
                    block.extend_from_slice(line.as_bytes());
                    lines += 1;
                    if block.len() < BLOCK {
                        message = arriving.try_recv().ok();
                    }
                }
                other => last = Some(other),
            }
        }
        if !block.is_empty() {
            match (out.write(&block), &out) {
                (Ok(()), _) => ailing = false,
                (Err(error), Out::Stream(_)) => {
                    lost.fetch_add(lines, Ordering::Relaxed);
                    say(format_args!("warning: the access log ends here: can't write to stdout: {error}"));
                    return;
                }
                (Err(error), Out::File { path, .. }) => {
                    lost.fetch_add(lines, Ordering::Relaxed);
                    // Once: a full disk would have it said for every block.
                    if !ailing {
                        let path = path.display();
                        say(format_args!("warning: lines of the access log are lost: {path}: {error}"));
                    }
                    ailing = true;
                }
            }
            block.clear();
            lines = 0;
        }
        match last {
            Some(Message::Reopen) => out.reopen(),
            Some(Message::Stop(done)) => {
                let _ = done.try_send(());
                return;
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    struct Closed;

    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_closed_stdout_ends_the_log_only() {
        let (lines, arriving) = sync_channel(4);
        lines.send(Message::Line("x".repeat(100_000))).unwrap();
        let lost = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&lost);
        let out = Out::Stream(Box::new(Closed));
        thread::spawn(move || write_lines(&arriving, out, &count)).join().unwrap();
        assert_eq!(lost.load(Ordering::Relaxed), 1);
        assert!(lines.try_send(Message::Line(String::new())).is_err());
    }

    #[test]
    fn a_renamed_file_keeps_the_lines_before_and_the_new_one_gets_those_after() {
        let folder = tempfile::tempdir().unwrap();
        let (path, old) = (folder.path().join("log"), folder.path().join("log.1"));
        let file = File::options().append(true).create(true).open(&path).unwrap();
        let lines = Lines::to(Out::file(path.clone(), file));
        lines.send("one\n".to_owned());
        fs::rename(&path, &old).unwrap();
        lines.send("two\n".to_owned());
        lines.reopen();
        lines.send("three\n".to_owned());
        lines.close();
        let read = |path| fs::read_to_string(path).unwrap();
        assert_eq!((read(&old).as_str(), read(&path).as_str()), ("one\ntwo\n", "three\n"));
        assert_eq!(lines.lost(), 0);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_full_disk_loses_lines_and_counts_them() {
        let path = PathBuf::from("/dev/full");
        let file = File::options().append(true).open(&path).unwrap();
        let lines = Lines::to(Out::file(path, file));
        for _ in 0..10 {
            lines.send("line\n".to_owned());
        }
        lines.close();
        assert_eq!(lines.lost(), 10);
    }
}
