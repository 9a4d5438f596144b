//! Restarting a server without refusing a connection: the running process starts its successor, hands over its listeners, and
//! goes on with the requests that it has.
//!
//! The listeners are handed over themselves (`SCM_RIGHTS`, `unix(7)`), so that there is one queue of new connections all the time
//! and nobody falls between two, as happens with two listeners on one port (`SO_REUSEPORT`): the queue of the one that is closed
//! is lost with it. They stay what they are: to change address or protocol, start anew. If the successor does not get as far as to
//! be [ready](Restart::ready), the running process goes on as if nothing had been.
//!
//! ```no_run
//! use std::process::Command;
//! use mphttp::{Protocol, Server, mptcp_socket::Listen, restart::Restart};
//!
//! # async fn example() -> Result<(), mphttp::Error> {
//! let restart = Restart::begin()?;
//! let listening = restart.listening("http", |_| true, || Listen::new(Protocol::Mptcp).bind_all(8000))?;
//! let server = Server::new(listening);
//! restart.ready();
//! // … serve, and, when it is time:
//! restart.successor(Command::new(std::env::current_exe().expect("a path"))).await?;
//! // … stop accepting, finish what is in flight, end.
//! # Ok(())
//! # }
//! ```

use std::{
    env, fs,
    io::{self, IoSlice, IoSliceMut, Write},
    mem::MaybeUninit,
    net::SocketAddr,
    os::{
        fd::{AsFd, OwnedFd},
        unix::{net::UnixStream, process::parent_id},
    },
    process::{Child, Command, ExitStatus},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mptcp_socket::{Accepts, Listening, Protocol, Reason};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::{io::AsyncReadExt, time::timeout};

use crate::Error;

/// Names the process that handed over: who is started by another one, or later, has nothing on its standard input.
const PREDECESSOR: &str = "MPHTTP_PREDECESSOR";

/// Listeners of one process; far less than the kernel's limit for a message (253).
const MOST: usize = 16;
/// What is told of them, a line each.
const NAMES: usize = 1024;

/// How long the successor may take to be ready.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long it waits for what was sent before it was started.
const PROMPT: Duration = Duration::from_secs(5);

const READY: u8 = b'R';

/// A process's part in restarts: what was handed over to it, and what it will hand over.
#[derive(Debug, Default)]
pub struct Restart {
    inherited: Mutex<Vec<(Label, OwnedFd)>>,
    /// Duplicates; none once another process serves, or this one stops.
    kept: Mutex<Vec<(Label, OwnedFd)>>,
    predecessor: Mutex<Option<UnixStream>>,
}

/// What one process tells the next of a listener: its name, and what only its maker knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Label {
    name: String,
    protocol: Protocol,
    why_tcp: Option<Reason>,
}

impl Label {
    pub(crate) fn line(&self) -> String {
        format!("{}\t{}\t{}\n", self.name, self.protocol, self.why_tcp.map_or("", Reason::as_str))
    }

    pub(crate) fn read(line: &str) -> Option<Self> {
        let mut fields = line.split('\t');
        let (name, protocol, why) = (fields.next()?, fields.next()?, fields.next()?);
        let why_tcp = Reason::ALL.into_iter().find(|reason| reason.as_str() == why);
        Some(Self { name: name.to_owned(), protocol: protocol.parse().ok()?, why_tcp })
    }
}

impl Restart {
    /// Takes what a predecessor hands over, if there is one. To be called once, early in `main`: it comes by standard input, which
    /// is `/dev/null` then.
    ///
    /// # Errors
    /// [`Error::Restart`]: there is a predecessor, but nothing came.
    pub fn begin() -> Result<Self, Error> {
        let predecessor = env::var(PREDECESSOR).ok().and_then(|pid| pid.parse::<u32>().ok());
        if predecessor != Some(parent_id()) {
            return Ok(Self::default());
        }
        let (channel, inherited) = receive().map_err(|error| Error::Restart {
            why: format!("nothing came from the process that started this one: {error}"),
        })?;
        tracing::info!(listeners = inherited.len(), "a predecessor handed over its listeners");
        Ok(Self {
            inherited: Mutex::new(inherited),
            predecessor: Mutex::new(Some(channel)),
            ..Self::default()
        })
    }

    /// The listener of that name, if one was handed over whose address `fits`; else the one that `make` makes. It will be handed
    /// over in turn.
    ///
    /// # Errors
    /// Those of `make`.
    pub fn listening(
        &self,
        name: &str,
        fits: impl Fn(SocketAddr) -> bool,
        make: impl FnOnce() -> Result<Listening, mptcp_socket::Error>,
    ) -> Result<Listening, mptcp_socket::Error> {
        let mut inherited = lock(&self.inherited);
        let found = inherited.iter().position(|(label, _)| label.name == name);
        let handed = found
            .map(|at| inherited.swap_remove(at))
            .map(|(label, descriptor)| {
                Listening::of(descriptor.into(), Accepts::made(label.protocol, label.why_tcp))
            })
            .filter(|listening| listening.local_addr().is_ok_and(&fits));
        drop(inherited);
        let listening = match handed {
            Some(listening) => listening,
            None => make()?,
        };
        match listening.as_fd().try_clone_to_owned() {
            Ok(duplicate) => {
                let (protocol, why_tcp) = (listening.protocol(), listening.why_tcp());
                lock(&self.kept).push((Label { name: name.to_owned(), protocol, why_tcp }, duplicate));
            }
            // Without it a restart binds anew, and fails where the port is still taken.
            Err(error) => tracing::warn!(name, %error, "the listener can't be handed over later"),
        }
        Ok(listening)
    }

    /// Tells the predecessor that this process serves: from now on it accepts no more. Without one, nothing.
    pub fn ready(&self) {
        // What was handed over and not asked for is of no use any more.
        lock(&self.inherited).clear();
        if let Some(mut channel) = lock(&self.predecessor).take()
            && let Err(error) = channel.write_all(&[READY])
        {
            tracing::warn!(%error, "the process that started this one is gone already");
        }
    }

    /// Starts the successor, hands over the listeners, and waits up to 60 s until it is ready. Its standard input is used for that.
    /// Then the caller stops accepting; [`Restart::let_go`] was called already. Returns the successor's process id.
    ///
    /// # Errors
    /// [`Error::Restart`]: it could not be started, ended, or was not ready in time, and has been killed. The caller goes on serving.
    pub async fn successor(&self, mut command: Command) -> Result<u32, Error> {
        let failed = |why: String| Error::Restart { why };
        let (ours, theirs) = UnixStream::pair().map_err(|error| failed(error.to_string()))?;
        self.send(&ours).map_err(|error| failed(format!("the listeners can't be sent: {error}")))?;
        command.stdin(OwnedFd::from(theirs)).env(PREDECESSOR, std::process::id().to_string());
        let child = command.spawn().map_err(|error| {
            failed(format!("{} can't be started: {error}", command.get_program().display()))
        })?;
        let mut child = NotReady(Some(child));
        // It holds the other end: the successor alone must, so that its end is noticed.
        drop(command);
        match timeout(PATIENCE, answered(ours)).await {
            Ok(Ok(())) => {
                self.let_go();
                Ok(child.0.take().map_or(0, |child| child.id()))
            }
            Ok(Err(error)) => {
                let ended = child.end().map_or_else(|| error.to_string(), |status| status.to_string());
                Err(failed(format!("the new process ended before it was ready: {ended}")))
            }
            Err(_) => Err(failed(format!("the new process was not ready within {} s", PATIENCE.as_secs()))),
        }
    }

    /// Closes what is kept for a successor, so that connections are refused once the server has closed its own: for a stop.
    pub fn let_go(&self) {
        lock(&self.kept).clear();
    }

    fn send(&self, channel: &UnixStream) -> io::Result<()> {
        let kept = lock(&self.kept);
        let names: String = kept.iter().map(|(label, _)| label.line()).collect();
        let descriptors: Vec<_> = kept.iter().map(|(_, descriptor)| descriptor.as_fd()).collect();
        if descriptors.len() > MOST || names.len() > NAMES || names.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "there are none, or too many"));
        }
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(channel, &[IoSlice::new(names.as_bytes())], &mut control, SendFlags::NOSIGNAL)?;
        Ok(())
    }
}

fn receive() -> io::Result<(UnixStream, Vec<(Label, OwnedFd)>)> {
    let channel = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    rustix::stdio::dup2_stdin(fs::File::open("/dev/null")?)?;
    channel.set_read_timeout(Some(PROMPT))?;
    let mut names = [0; NAMES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(&channel, &mut [IoSliceMut::new(&mut names)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    let names = String::from_utf8_lossy(names.get(..received.bytes).unwrap_or_default()).into_owned();
    let labels = names.lines().map(Label::read);
    let inherited: Vec<_> =
        labels.zip(descriptors).filter_map(|(label, descriptor)| Some((label?, descriptor))).collect();
    if inherited.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((channel, inherited))
}

async fn answered(channel: UnixStream) -> io::Result<()> {
    channel.set_nonblocking(true)?;
    let mut answer = [0];
    tokio::net::UnixStream::from_std(channel)?.read_exact(&mut answer).await?;
    if answer == [READY] { Ok(()) } else { Err(io::ErrorKind::InvalidData.into()) }
}

/// A process that is to serve and does not yet: ended when nobody waits for it any more, or two would serve.
struct NotReady(Option<Child>);

impl NotReady {
    /// Ends it, unless it has ended by itself, and says how.
    fn end(&mut self) -> Option<ExitStatus> {
        let mut child = self.0.take()?;
        let _ = child.kill();
        child.wait().ok()
    }
}

impl Drop for NotReady {
    fn drop(&mut self) {
        self.end();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_of_a_listener_is_understood() {
        for why_tcp in Reason::ALL.map(Some).into_iter().chain([None]) {
            for protocol in [Protocol::Tcp, Protocol::Mptcp, Protocol::MptcpOnly] {
                let label = Label { name: "status 127.0.0.1:1".to_owned(), protocol, why_tcp };
                assert_eq!(Label::read(label.line().trim_end_matches('\n')), Some(label));
            }
        }
        assert_eq!(Label::read("name only"), None);
    }
}
