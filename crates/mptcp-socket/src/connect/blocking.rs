//! The blocking driver: non-blocking sockets and poll(2).

use std::{
    io,
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use socket2::Socket;
#[cfg(windows)]
use windows_sys::Win32::Networking::WinSock;

use super::{Connect, Connected, Failures, Unfinished};
use crate::{
    Error,
    plan::{Id, Kind, Plan, Step, Target, Verdict},
    sys,
};

/// How often a connect that can be cancelled looks at its flag.
const CANCEL_EVERY: Duration = Duration::from_millis(50);

struct Attempt {
    id: Id,
    target: Target,
    kind: Kind,
    socket: Socket,
    unfinished: Unfinished,
}

struct Driver<'a> {
    connect: &'a Connect,
    start: Instant,
    plan: Plan,
    running: Vec<Attempt>,
    held: Option<Attempt>,
    failures: Failures,
}

pub(super) fn drive(
    connect: &Connect,
    addresses: &[SocketAddr],
    asked: Instant,
) -> Result<Connected<TcpStream>, Error> {
    let deadline = connect.deadline(asked);
    let plan = connect.plan(addresses)?;
    let start = Instant::now();
    let (running, held, failures) = (Vec::new(), None, Failures::default());
    let mut driver = Driver { connect, start, plan, running, held, failures };
    loop {
        match driver.plan.next(start.elapsed()) {
            Step::Start { id, target, kind } => {
                if let Some(attempt) = driver.begin(id, target, kind) {
                    return driver.take(attempt);
                }
            }
            Step::Abandon(id) => {
                if let Some(index) = driver.running.iter().position(|attempt| attempt.id == id) {
                    let attempt = driver.running.swap_remove(index);
                    driver.note(attempt.id, attempt.target, attempt.kind, io::ErrorKind::TimedOut.into());
                }
            }
            Step::Take(_) => {
                if let Some(held) = driver.held.take() {
                    return driver.take(held);
                }
            }
            Step::Exhausted => return Err(driver.failures.into_error()),
            Step::Wait(until) => {
                if connect.cancelled.as_ref().is_some_and(|cancelled| (cancelled.0)()) {
                    return Err(Error::Cancelled);
                }
                let now = Instant::now();
                if deadline.is_some_and(|deadline| now >= deadline) {
                    for attempt in std::mem::take(&mut driver.running) {
                        driver.note(attempt.id, attempt.target, attempt.kind, io::ErrorKind::TimedOut.into());
                    }
                    return Err(connect.timed_out(driver.failures.0));
                }
                let wait = wait(connect, until.and_then(|until| start.checked_add(until)), deadline, now);
                let sockets = driver.running.iter().map(|attempt| &attempt.socket);
                let ready = sys::poll_writable(sockets, wait).map_err(Error::Runtime)?;
                if let Some(attempt) = driver.finish(&ready) {
                    return driver.take(attempt);
                }
            }
        }
    }
}

fn wait(connect: &Connect, until: Option<Instant>, deadline: Option<Instant>, now: Instant) -> Duration {
    let cancel = connect.cancelled.as_ref().map(|_| now + CANCEL_EVERY);
    let wake = [until, deadline, cancel].into_iter().flatten().min();
    // Without any limit the kernel's own ends each attempt; an hour merely bounds one call.
    wake.map_or(Duration::from_secs(3600), |wake| wake.saturating_duration_since(now))
}

/// Whether a non-blocking connect is under way.
fn in_progress(error: &io::Error) -> bool {
    #[cfg(unix)]
    return matches!(error.raw_os_error(), Some(libc::EINPROGRESS | libc::EALREADY));
    #[cfg(windows)]
    return matches!(
        error.raw_os_error(),
        Some(WinSock::WSAEWOULDBLOCK | WinSock::WSAEALREADY | WinSock::WSAEINVAL)
    );
}

/// Whether a repeated connect says that the first one succeeded.
fn is_connected(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(libc::EISCONN);
    #[cfg(windows)]
    return error.raw_os_error() == Some(WinSock::WSAEISCONN);
}

impl Driver<'_> {
    fn note(&mut self, id: Id, target: Target, kind: Kind, error: io::Error) {
        let what = (target, kind, self.connect.protocol);
        self.failures.note(&mut self.plan, id, what, self.start.elapsed(), error);
    }

    /// Starts an attempt. Returns it if it is done already, and to be taken: on loopback the handshake ends within the call.
    fn begin(&mut self, id: Id, target: Target, kind: Kind) -> Option<Attempt> {
        let begun = self.connect.socket(target, kind).and_then(|(socket, unfinished)| {
            let address = target.address.into();
            let done = match socket.connect(&address) {
                Ok(()) => true,
                // Asked again, the kernel says how far it is: one call where poll(2) and SO_ERROR would be two.
                Err(error) if in_progress(&error) => match socket.connect(&address) {
                    Ok(()) => true,
                    Err(error) if is_connected(&error) => true,
                    Err(error) if in_progress(&error) => false,
                    Err(error) => return Err(error),
                },
                Err(error) => return Err(error),
            };
            Ok((Attempt { id, target, kind, socket, unfinished }, done))
        });
        match begun {
            Ok((attempt, true)) => return self.settle(attempt, Ok(())),
            Ok((attempt, false)) => self.running.push(attempt),
            Err(error) => self.note(id, target, kind, error),
        }
        None
    }

    /// What becomes of an attempt that has ended: returned if it is to be taken.
    fn settle(&mut self, attempt: Attempt, result: io::Result<()>) -> Option<Attempt> {
        match result.and_then(|()| self.connect.check(attempt.target, &attempt.socket)) {
            Err(error) => self.note(attempt.id, attempt.target, attempt.kind, error),
            Ok(()) => match self.plan.connected(attempt.id, self.start.elapsed()) {
                Verdict::Take => return Some(attempt),
                Verdict::Hold => self.held = Some(attempt),
                Verdict::Close => {}
            },
        }
        None
    }

    /// Ends the attempts that are ready. Returns the one to take, if there is one.
    fn finish(&mut self, ready: &[bool]) -> Option<Attempt> {
        let mut ended = Vec::new();
        // From the back, so that removal leaves the earlier positions as they are.
        for (index, _) in ready.iter().enumerate().rev().filter(|(_, ready)| **ready) {
            ended.push(self.running.remove(index));
        }
        // Of those that are ready at once, the wanted protocol is preferred.
        ended.sort_by_key(|attempt| (attempt.kind == Kind::PlainTcp, attempt.id));
        for attempt in ended {
            let result = match attempt.socket.take_error() {
                Ok(Some(error)) | Err(error) => Err(error),
                Ok(None) => Ok(()),
            };
            if let Some(attempt) = self.settle(attempt, result) {
                return Some(attempt);
            }
        }
        None
    }

    fn take(self, attempt: Attempt) -> Result<Connected<TcpStream>, Error> {
        let Attempt { id, target, kind, socket, unfinished } = attempt;
        let (origin, refused) = self.connect.conclude(&self.plan, (id, target, kind), unfinished, &socket);
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(false).map_err(Error::Runtime)?;
        let (failed, elapsed) = (self.failures.0, self.start.elapsed());
        Ok(Connected { stream, origin, remote: target.address, refused, failed, elapsed })
    }
}
