//! What is known of sockets beyond what the kernel tells, kept by the kernel's own name for each (`SO_COOKIE`): Python's
//! socket objects are wrapped, detached and duplicated on their way through libraries, and the cookie stays.
//!
//! All of it is touched with the GIL held only, so that a fork never finds a lock taken by a thread that is not there.

use std::{
    collections::{HashMap, VecDeque},
    sync::{LazyLock, Mutex, MutexGuard, PoisonError},
};

use mptcp_socket::{Accepts, Memory, Origin, OwnedSocket, RawSocket, duplicate};
use pyo3::prelude::*;

use crate::errors;

/// The most sockets remembered: the oldest make room, and are then judged as sockets from elsewhere.
const CAPACITY: usize = 16_384;

/// What is known of a socket.
#[derive(Clone)]
pub enum Known {
    /// Made here, to be connected or set to listen by others.
    Made(Accepts),
    /// Connected or accepted.
    Connection(Origin),
}

#[derive(Default)]
struct State {
    sockets: HashMap<u64, Known>,
    order: VecDeque<u64>,
    /// Ports on which this process listens: what is accepted there can be judged although nobody reported it.
    ports: HashMap<u16, Accepts>,
    memory: Memory,
}

static STATE: LazyLock<Mutex<State>> = LazyLock::new(Mutex::default);

fn state() -> MutexGuard<'static, State> {
    STATE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn cookie(socket: &OwnedSocket) -> Option<u64> {
    socket2::SockRef::from(socket).cookie().ok()
}

/// Elsewhere there is no MPTCP, and so nothing to remember.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn cookie(_: &OwnedSocket) -> Option<u64> {
    None
}

/// Remembers a socket.
pub fn remember(socket: &OwnedSocket, known: Known) {
    let Some(cookie) = cookie(socket) else { return };
    let mut state = state();
    if state.sockets.insert(cookie, known).is_some() {
        return;
    }
    state.order.push_back(cookie);
    if state.order.len() > CAPACITY
        && let Some(oldest) = state.order.pop_front()
    {
        state.sockets.remove(&oldest);
    }
}

/// Remembers a listener, by its port too.
pub fn remember_listener(socket: &OwnedSocket, port: u16, accepts: Accepts) {
    remember(socket, Known::Made(accepts.clone()));
    state().ports.insert(port, accepts);
}

fn find(socket: &OwnedSocket) -> Option<Known> {
    let cookie = cookie(socket)?;
    state().sockets.get(&cookie).cloned()
}

/// How a socket came to be, as far as it is known.
pub fn origin(socket: &OwnedSocket) -> Origin {
    match find(socket) {
        Some(Known::Connection(origin)) => origin,
        Some(Known::Made(accepts)) => Origin::made(accepts.why_tcp()),
        None => accepted_here(socket).unwrap_or_else(Origin::unknown),
    }
}

/// The origin of a connection whose local port is one that this process listens on.
fn accepted_here(socket: &OwnedSocket) -> Option<Origin> {
    let port = socket2::SockRef::from(socket).local_addr().ok()?.as_socket()?.port();
    let accepts = state().ports.get(&port).cloned()?;
    Some(accepts.origin(socket))
}

/// The destinations that are known to dislike MPTCP.
pub fn memory() -> Memory {
    state().memory.clone()
}

/// Records that `connection` was accepted from `listener`, both descriptors.
///
/// Raises `OSError` if either is not open.
#[pyfunction]
pub fn accepted(listener: RawSocket, connection: RawSocket) -> PyResult<()> {
    let duplicate = |number| duplicate(number).map_err(|error| errors::os_error(&error, None));
    let (listener, connection) = (duplicate(listener)?, duplicate(connection)?);
    let accepts = match find(&listener) {
        Some(Known::Made(accepts)) => accepts,
        _ => Accepts::of(&listener),
    };
    remember(&connection, Known::Connection(accepts.origin(&connection)));
    Ok(())
}

/// Forgets what a forked child must not share: a memory whose lock another thread held, a runtime whose thread is gone.
#[pyfunction]
pub fn after_fork_in_child() {
    state().memory = Memory::default();
    crate::aio::forget();
}
