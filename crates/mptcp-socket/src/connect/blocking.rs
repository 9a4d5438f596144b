//! The blocking driver: non-blocking sockets and poll(2).

use std::{
    io,
    net::{SocketAddr, TcpStream},
    os::fd::AsFd,
    time::{Duration, Instant},
};

use socket2::Socket;

use super::{Connect, Connected, Failures, Unfinished};
use crate::{
    Error,
    plan::{Id, Kind, Plan, Step},
    sys,
};

/// How often a connect that can be cancelled looks at its flag.
const CANCEL_EVERY: Duration = Duration::from_millis(50);

struct Running {
    id: Id,
    address: SocketAddr,
    kind: Kind,
    socket: Socket,
    unfinished: Unfinished,
}

pub(super) fn drive(
    connect: &Connect,
    addresses: &[SocketAddr],
    asked: Instant,
) -> Result<Connected<TcpStream>, Error> {
    let start = Instant::now();
    let deadline = connect.timeout.map(|limit| asked + limit);
    let mut plan = connect.plan(addresses)?;
    let mut running: Vec<Running> = Vec::new();
    let mut failures = Failures::default();
    loop {
        match plan.next(start.elapsed()) {
            Step::Start { id, address, kind } => match begin(connect, address, kind) {
                Ok((socket, unfinished)) => {
                    running.push(Running { id, address, kind, socket, unfinished });
                }
                Err(error) => {
                    let what = (address, kind, connect.protocol);
                    failures.note(&mut plan, id, what, start.elapsed(), error);
                }
            },
            Step::Abandon(id) => {
                if let Some(index) = running.iter().position(|attempt| attempt.id == id) {
                    let attempt = running.swap_remove(index);
                    let what = (attempt.address, attempt.kind, connect.protocol);
                    let error = io::ErrorKind::TimedOut.into();
                    failures.note(&mut plan, id, what, start.elapsed(), error);
                }
            }
            Step::Exhausted => return Err(failures.into_error()),
            Step::Wait(until) => {
                if connect.cancel.as_ref().is_some_and(super::Cancel::is_cancelled) {
                    return Err(Error::Cancelled);
                }
                let now = Instant::now();
                if deadline.is_some_and(|deadline| now >= deadline) {
                    for attempt in &running {
                        let what = (attempt.address, attempt.kind, connect.protocol);
                        let error = io::ErrorKind::TimedOut.into();
                        failures.note(&mut plan, attempt.id, what, start.elapsed(), error);
                    }
                    return Err(connect.timed_out(failures.0));
                }
                let wait = wait(connect, until.map(|until| start + until), deadline, now);
                let sockets = running.iter().map(|attempt| attempt.socket.as_fd());
                let ready = sys::poll_writable(sockets, wait).map_err(Error::Runtime)?;
                // From the back, so that removal leaves the earlier positions as they are.
                for (index, _) in ready.iter().enumerate().rev().filter(|(_, ready)| **ready) {
                    let attempt = running.remove(index);
                    let (id, what) = (attempt.id, (attempt.address, attempt.kind, connect.protocol));
                    match finish(connect, &plan, attempt) {
                        Ok(mut connected) => {
                            connected.failed = failures.0;
                            connected.elapsed = start.elapsed();
                            return Ok(connected);
                        }
                        Err(error) => failures.note(&mut plan, id, what, start.elapsed(), error),
                    }
                }
            }
        }
    }
}

fn wait(connect: &Connect, until: Option<Instant>, deadline: Option<Instant>, now: Instant) -> Duration {
    let cancel = connect.cancel.as_ref().map(|_| now + CANCEL_EVERY);
    let wake = [until, deadline, cancel].into_iter().flatten().min();
    // Without any limit the kernel's own ends each attempt; an hour merely bounds one call.
    wake.map_or(Duration::from_secs(3600), |wake| wake.saturating_duration_since(now))
}

fn begin(connect: &Connect, address: SocketAddr, kind: Kind) -> io::Result<(Socket, Unfinished)> {
    let prepared = connect.socket(address, kind)?;
    match prepared.socket.connect(&address.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    let unfinished = Unfinished { no_mptcp: prepared.no_mptcp, refused: prepared.refused };
    Ok((prepared.socket, unfinished))
}

fn finish(connect: &Connect, plan: &Plan, attempt: Running) -> io::Result<Connected<TcpStream>> {
    if let Some(error) = attempt.socket.take_error()? {
        return Err(error);
    }
    let (origin, refused) =
        connect.judge(plan, attempt.address, attempt.kind, attempt.unfinished, &attempt.socket)?;
    attempt.socket.set_nonblocking(false)?;
    let (failed, elapsed) = (Vec::new(), Duration::ZERO);
    Ok(Connected { stream: attempt.socket.into(), origin, refused, failed, elapsed })
}
