//! What the tests in a lab share: their main function, sockets, connections, and waiting for events.

#![allow(dead_code, reason = "several tests share it, and none of them uses all of it")]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use mptcp_paths::{PathEvent, PathEvents};
use netlab::Host;
use socket2::{Domain, Protocol, Socket, Type};

pub type Failure = Box<dyn std::error::Error + Send + Sync>;
pub type Result<T = ()> = std::result::Result<T, Failure>;
/// A test and its name.
pub type Test = (&'static str, fn() -> Result);

/// Far more than the kernel needs, for machines that are busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// Runs these tests, one at a time, in a lab: a namespace takes a process with one thread.
pub fn main(tests: Vec<Test>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads = Some(1);
    if let Err(error) = netlab::enter() {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    let trials = tests.into_iter().map(|(name, test)| Trial::test(name, move || test().map_err(Into::into)));
    libtest_mimic::run(&arguments, trials.collect()).exit_code()
}

pub fn mptcp() -> Result<Socket> {
    Ok(Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::from(262)))?)
}

/// Listens on port 80 of all addresses of a host.
pub fn listen(host: &Host) -> Result<Socket> {
    host.run(|| {
        let socket = mptcp()?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddr::from((Ipv4Addr::UNSPECIFIED, 80)).into())?;
        socket.listen(8)?;
        Ok(socket)
    })?
}

/// A connection that has carried a byte each way, after which joins may come: its two ends.
pub fn connect(phone: &Host, listener: &Socket, to: SocketAddr) -> Result<(Socket, Socket)> {
    let mut client = phone.run(|| -> Result<Socket> {
        let socket = mptcp()?;
        socket.connect(&to.into())?;
        Ok(socket)
    })??;
    let (mut server, _) = listener.accept()?;
    client.write_all(b"?")?;
    server.read_exact(&mut [0])?;
    server.write_all(b"!")?;
    client.read_exact(&mut [0])?;
    Ok((client, server))
}

/// Waits for an event of which `pick` makes something.
pub fn wait<T>(events: &mut PathEvents, mut pick: impl FnMut(&PathEvent) -> Option<T>) -> Result<T> {
    let start = Instant::now();
    let mut seen = Vec::new();
    while start.elapsed() < PATIENCE {
        while let Some(event) = events.next_event()? {
            if let Some(found) = pick(&event) {
                return Ok(found);
            }
            seen.push(event);
        }
        sleep(Duration::from_millis(5));
    }
    Err(format!("it never came; these did: {seen:?}").into())
}
