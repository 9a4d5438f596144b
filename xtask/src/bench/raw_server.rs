//! The least that answers like a web server: sockets made by hand, two threads with an epoll each, answers from memory,
//! nothing parsed but the name. What MPTCP costs it over TCP is the sockets' own cost.

use std::collections::HashMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;

use anyhow::{Context, Result, bail};
use mphttp::Protocol;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};

use crate::raw;

/// Threads: as many as nginx has workers here.
const THREADS: usize = 2;
/// How much is written at a time, in bytes: over MPTCP one call with all of a large file crawls.
const PIECE: usize = 256 * 1024;
/// The listener's mark among the events; descriptors are the others'.
const LISTENER: u64 = u64::MAX;

/// What to serve.
#[derive(clap::Args)]
pub struct Args {
    #[arg(long)]
    protocol: Protocol,
    #[arg(long)]
    port: u16,
    /// NAME=BYTES: what there is to ask for
    #[arg(long = "file", value_parser = file)]
    files: Vec<(String, usize)>,
}

fn file(text: &str) -> Result<(String, usize), String> {
    let (name, size) = text.split_once('=').ok_or("NAME=BYTES is wanted")?;
    Ok((name.to_owned(), size.parse().map_err(|error| format!("{size}: {error}"))?))
}

/// Serves until the process is ended.
///
/// # Errors
/// When it can't listen, or a thread breaks.
pub fn run(args: &Args) -> Result<()> {
    let listener = raw::listen(args.protocol, args.port)?;
    listener.set_nonblocking(true)?;
    let longest = args.files.iter().map(|(_, size)| *size).max().context("nothing to serve")?;
    let content = vec![b'x'; longest];
    let files = args.files.iter().cloned().collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..THREADS).map(|_| scope.spawn(|| serve(&listener, &files, &content))).collect();
        threads.into_iter().try_for_each(|thread| match thread.join() {
            Ok(outcome) => outcome,
            Err(_) => bail!("a thread panicked"),
        })
    })
}

/// An answer on its way.
struct Connection<'a> {
    stream: TcpStream,
    head: Vec<u8>,
    body: &'a [u8],
    close: bool,
    waits_to_write: bool,
}

fn serve(listener: &TcpListener, files: &HashMap<String, usize>, content: &[u8]) -> Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let exclusive = EventFlags::IN | EventFlags::EXCLUSIVE;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), exclusive)?;
    let mut connections: HashMap<u64, Connection<'_>> = HashMap::new();
    let mut events: Vec<Event> = Vec::with_capacity(512);
    loop {
        events.clear();
        epoll::wait(&epoll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let mark = event.data.u64();
            if mark == LISTENER {
                let Ok((stream, _)) = listener.accept() else { continue };
                stream.set_nonblocking(true)?;
                stream.set_nodelay(true)?;
                let mark = u64::try_from(stream.as_raw_fd())?;
                epoll::add(&epoll, &stream, EventData::new_u64(mark), EventFlags::IN)?;
                let connection =
                    Connection { stream, head: Vec::new(), body: &[], close: false, waits_to_write: false };
                connections.insert(mark, connection);
                continue;
            }
            let Some(connection) = connections.get_mut(&mark) else { continue };
            match connection.go_on(files, content) {
                Ok(true) => {
                    let waits = !connection.head.is_empty() || !connection.body.is_empty();
                    if waits != connection.waits_to_write {
                        connection.waits_to_write = waits;
                        let flags = if waits { EventFlags::OUT } else { EventFlags::IN };
                        epoll::modify(&epoll, &connection.stream, EventData::new_u64(mark), flags)?;
                    }
                }
                Ok(false) | Err(_) => drop(connections.remove(&mark)),
            }
        }
    }
}

impl<'a> Connection<'a> {
    /// Reads a request if none is being answered, and writes what can be written; `false` at the end.
    fn go_on(&mut self, files: &HashMap<String, usize>, content: &'a [u8]) -> io::Result<bool> {
        if self.head.is_empty() && self.body.is_empty() {
            // Requests are short, and come one at a time.
            let mut buffer = [0; 4096];
            let read = match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            };
            let request = String::from_utf8_lossy(buffer.get(..read).unwrap_or_default());
            let name = request.split(' ').nth(1).unwrap_or_default().trim_start_matches('/');
            let size = *files.get(name).ok_or(ErrorKind::InvalidData)?;
            self.close = request.contains("Connection: close");
            let connection = if self.close { "Connection: close\r\n" } else { "" };
            self.head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n{connection}\r\n").into_bytes();
            self.body = content.get(..size).unwrap_or_default();
        }
        loop {
            let body = self.body.get(..PIECE).unwrap_or(self.body);
            let pieces = [io::IoSlice::new(&self.head), io::IoSlice::new(body)];
            match self.stream.write_vectored(&pieces) {
                Ok(written) => {
                    let of_head = written.min(self.head.len());
                    self.head.drain(..of_head);
                    self.body = self.body.get(written - of_head..).unwrap_or_default();
                    if self.head.is_empty() && self.body.is_empty() {
                        return Ok(!self.close);
                    }
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(true),
                Err(error) => return Err(error),
            }
        }
    }
}
