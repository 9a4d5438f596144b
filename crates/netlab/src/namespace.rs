//! A network namespace, held by a file descriptor: it vanishes with the last descriptor, process and socket
//! in it.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::thread;

use nix::sched::{CloneFlags, setns, unshare};

use crate::error::{Doing, Error};
use crate::rtnl::Rtnl;

/// Shared by all who need the namespace to live on.
#[derive(Debug, Clone)]
pub(crate) struct Namespace {
    file: Arc<OwnedFd>,
}

impl Namespace {
    /// A new namespace with its loopback device up, and an rtnetlink socket in it.
    pub(crate) fn new() -> Result<(Self, Rtnl), Error> {
        // On a thread of its own: a thread can't be trusted to come back, and its namespaces die with it.
        let made = thread::scope(|scope| {
            let maker = thread::Builder::new().name("netlab-new".into()).spawn_scoped(scope, || {
                unshare(CloneFlags::CLONE_NEWNET)
                    .doing("make a network namespace (call netlab::enter() first)")?;
                let file = File::open("/proc/thread-self/ns/net").doing("open a network namespace")?;
                let mut rtnl = Rtnl::open()?;
                let loopback = rtnl.index("lo")?;
                rtnl.set_up(loopback, true)?;
                Ok((Namespace { file: Arc::new(file.into()) }, rtnl))
            });
            maker.map(|maker| maker.join())
        });
        finish(made.doing("start a thread")?)
    }

    /// Moves the calling thread into the namespace, for the rest of its life.
    pub(crate) fn join(&self) -> io::Result<()> {
        setns(&*self.file, CloneFlags::CLONE_NEWNET).map_err(io::Error::from)
    }

    /// The descriptor's number, as rtnetlink takes it; valid while `self` lives.
    pub(crate) fn raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }

    /// Runs `work` on a thread inside the namespace and waits for it; a panic of `work` goes on here.
    pub(crate) fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        let done = thread::scope(|scope| {
            let name = thread::current().name().map_or_else(|| "netlab-run".to_owned(), str::to_owned);
            let worker = thread::Builder::new().name(name).spawn_scoped(scope, || {
                self.join().doing("enter a network namespace")?;
                Ok(work())
            });
            worker.map(|worker| worker.join())
        });
        finish(done.doing("start a thread")?)
    }
}

fn finish<T>(joined: thread::Result<Result<T, Error>>) -> Result<T, Error> {
    joined.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
