//! Events as they come, from a thread that waits for them.

use mptcp_paths::{Error, HostEvent, HostEvents, PathEvent, PathEvents};
use tokio::sync::mpsc;

/// Events that wait to be printed. When there are more, the thread waits, and the kernel says what it dropped meanwhile.
const QUEUE: usize = 1024;

/// An event.
pub(super) enum Heard {
    /// Of a connection.
    Path(PathEvent),
    /// Of the host's network.
    Host(HostEvent),
}

/// Hands over events until nobody takes them any more, or there is an error.
pub(super) fn listen(
    paths: Option<PathEvents>,
    host: HostEvents,
) -> anyhow::Result<mpsc::Receiver<Result<Heard, Error>>> {
    let (sender, receiver) = mpsc::channel(QUEUE);
    std::thread::Builder::new().name("events".into()).spawn(move || {
        let outcome = forward(paths, host, &sender);
        if let Err(error) = outcome {
            // Without a receiver there is nobody to tell.
            let _ = sender.blocking_send(Err(error));
        }
    })?;
    Ok(receiver)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn forward(
    mut paths: Option<PathEvents>,
    mut host: HostEvents,
    sender: &mpsc::Sender<Result<Heard, Error>>,
) -> Result<(), Error> {
    use nix::{
        errno::Errno,
        poll::{PollFd, PollFlags, PollTimeout, poll},
    };
    use std::os::fd::AsFd;
    loop {
        let mut waits = vec![PollFd::new(host.as_fd(), PollFlags::POLLIN)];
        waits.extend(paths.as_ref().map(|paths| PollFd::new(paths.as_fd(), PollFlags::POLLIN)));
        match poll(&mut waits, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::Netlink(errno.into())),
        }
        while let Some(event) = paths.as_mut().map_or(Ok(None), PathEvents::next_event)? {
            if sender.blocking_send(Ok(Heard::Path(event))).is_err() {
                return Ok(());
            }
        }
        while let Some(event) = host.next_event()? {
            if sender.blocking_send(Ok(Heard::Host(event))).is_err() {
                return Ok(());
            }
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn forward(
    _: Option<PathEvents>,
    mut host: HostEvents,
    sender: &mpsc::Sender<Result<Heard, Error>>,
) -> Result<(), Error> {
    // Nothing gets here: there are no events to open.
    while let Some(event) = host.next_event()? {
        drop(sender.blocking_send(Ok(Heard::Host(event))));
    }
    Err(Error::Unsupported)
}
