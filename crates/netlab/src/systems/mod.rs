//! Other kernels and systems, as far as they show at the edge of the system calls: which sockets, options and files they
//! refuse with which error, and which structures they cut short.
//!
//! This kernel does the work; a [`System`] stands between it and the program ([`System::run`]) and answers in its place
//! where the other one would have answered differently. What is refused is refused as there: options of MPTCP sockets
//! only, and only while those speak MPTCP, since after a fallback kernels hand all options to the TCP socket.
//!
//! [`ALL`] is the table, each with its sources.

mod supervisor;
mod table;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::mpsc::channel;
use std::thread;

pub use table::ALL;

use crate::sys::notify;

/// Which sockets a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sockets {
    /// Every socket.
    All,
    /// MPTCP sockets that have not fallen back: the kernel's MPTCP code answers for them.
    Mptcp,
    /// TCP sockets, and MPTCP sockets that have fallen back.
    Tcp,
}

/// One difference. Numbers are Linux's: of errors, protocols, levels and options.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum Rule {
    /// `socket(2)` fails, for this domain and protocol if they are given.
    Socket {
        /// The domain: `AF_INET6` …
        domain: Option<i32>,
        /// The protocol: 262 …
        protocol: Option<i32>,
        /// The error.
        errno: i32,
    },
    /// `getsockopt(2)` fails.
    Get {
        /// Of these sockets.
        sockets: Sockets,
        /// Level.
        level: i32,
        /// Option; every one of the level if it is not given.
        option: Option<i32>,
        /// The error.
        errno: i32,
    },
    /// `setsockopt(2)` fails.
    Set {
        /// Of these sockets.
        sockets: Sockets,
        /// Level.
        level: i32,
        /// Option.
        option: i32,
        /// The error.
        errno: i32,
    },
    /// `getsockopt(2)` returns at most so many bytes.
    Short {
        /// Level.
        level: i32,
        /// Option.
        option: i32,
        /// Bytes.
        length: usize,
    },
    /// There is no such system call: `ENOSYS`.
    NoCall(std::ffi::c_long),
    /// What lies below this path is not there.
    NoFile(&'static str),
    /// There is no generic netlink family of this name.
    NoFamily(&'static str),
    /// sock_diag knows no protocol but those of one byte: no attribute `INET_DIAG_REQ_PROTOCOL`.
    NoDiagProtocol,
}

/// What comes of it where a system is as it is.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// Why connections with such a host speak TCP ([the word](https://docs.rs/mptcp-socket)); `None` for MPTCP.
    pub why_tcp: Option<&'static str>,
    /// What a `Transport` lacks: of the connection, of its paths.
    pub unknown: &'static [&'static str],
    /// What `mphttp doctor` finds; `None` for nothing.
    pub doctor: Option<&'static str>,
    /// Whether `mphttp paths` can list endpoints and limits.
    pub lists_paths: bool,
    /// Whether `mphttp top` can list connections.
    pub lists_connections: bool,
}

/// A kernel or system.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// Its name.
    pub name: &'static str,
    /// What is different.
    pub rules: &'static [Rule],
    /// In words.
    pub differs: &'static str,
    /// Who says so.
    pub sources: &'static str,
    /// What comes of it.
    pub expected: Expected,
}

impl System {
    /// Runs `work` on a thread of its own, for which, and for all that it starts, this is the system.
    ///
    /// # Errors
    /// Where seccomp filters, or their listeners (Linux 5.5), can't be had.
    pub fn run<T: Send>(&'static self, work: impl FnOnce() -> T + Send) -> io::Result<T> {
        thread::scope(|scope| {
            let (sender, receiver) = channel::<OwnedFd>();
            let worker = thread::Builder::new().name("system".into()).spawn_scoped(scope, move || {
                let listener = notify::listen(&supervisor::calls(self))?;
                sender.send(listener).map_err(io::Error::other)?;
                Ok(work())
            })?;
            if let Ok(listener) = receiver.recv() {
                // Not scoped: a program that `work` started and left running needs its answers as long as it runs, and the
                // supervisor ends with the last one.
                thread::Builder::new()
                    .name("supervisor".into())
                    .spawn(move || supervisor::supervise(self, &listener))?;
            }
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}
