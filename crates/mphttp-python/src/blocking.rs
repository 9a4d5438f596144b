//! Sockets for blocking Python: made, connected and listening, as descriptors that the caller owns.

use std::{
    net::TcpStream,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use mptcp_socket::{Accepts, Connected, Error, Family, Listen, OwnedSocket, RawSocket, stream_socket};
use pyo3::prelude::*;

use crate::{
    errors,
    known::{self, Known},
    request::{Address, Request},
    words,
};

/// How long a connect waits before it first looks for signals: most are done by then, and taking the GIL back for
/// nothing would cost them more than all the rest.
const QUIET: Duration = Duration::from_millis(50);

#[cfg(unix)]
pub fn into_raw(socket: OwnedSocket) -> RawSocket {
    std::os::fd::IntoRawFd::into_raw_fd(socket)
}

#[cfg(windows)]
pub fn into_raw(socket: OwnedSocket) -> RawSocket {
    std::os::windows::io::IntoRawSocket::into_raw_socket(socket)
}

/// An unconnected stream socket of this protocol, IPv6 or IPv4; with the word of the reason why it is a TCP one.
#[pyfunction]
pub fn socket(py: Python<'_>, v6: bool, protocol: &str) -> PyResult<(RawSocket, Option<&'static str>)> {
    let protocol = words::protocol(protocol)?;
    let family = if v6 { Family::V6 } else { Family::V4 };
    let (socket, why_tcp) = stream_socket(family, protocol).map_err(|error| errors::raise(py, &error))?;
    known::remember(&socket, Known::Made(Accepts::made(protocol, why_tcp)));
    Ok((into_raw(socket), why_tcp.map(|reason| reason.as_str())))
}

/// Connects to the first of these addresses that answers; gives a blocking socket, whether it is an
/// IPv6 one, and the word of the reason why it began as TCP, if it did.
///
/// Releases the GIL, and runs signal handlers while it waits: what they raise ends it.
#[pyfunction]
#[pyo3(signature = (addresses, protocol, timeout=None, local=None, interface=None))]
pub fn connect(
    py: Python<'_>,
    addresses: Vec<Address>,
    protocol: &str,
    timeout: Option<f64>,
    local: Option<(Vec<String>, u16)>,
    interface: Option<String>,
) -> PyResult<Kept> {
    let Request { connect, addresses } = Request::new(addresses, protocol, timeout, local, interface)?;
    let raised: Arc<Mutex<Option<PyErr>>> = Arc::default();
    let (begun, stop) = (Instant::now(), Arc::clone(&raised));
    let connect = connect.cancelled_by(move || {
        if begun.elapsed() < QUIET {
            return false;
        }
        let signalled = Python::attach(|py| py.check_signals()).err();
        let stops = signalled.is_some();
        *stop.lock().unwrap_or_else(PoisonError::into_inner) = signalled;
        stops
    });
    match py.detach(|| connect.to(&addresses)) {
        Ok(connected) => Ok(keep(connected)),
        Err(Error::Cancelled) => {
            let raised = raised.lock().unwrap_or_else(PoisonError::into_inner).take();
            Err(raised.unwrap_or_else(|| errors::raise(py, &Error::Cancelled)))
        }
        Err(error) => Err(errors::raise(py, &error)),
    }
}

/// A connected socket, whether it is an IPv6 one, and the word of the reason why it began as TCP.
pub type Kept = (RawSocket, bool, Option<&'static str>);

/// Hands a connection over, its origin remembered.
pub fn keep(connected: Connected<TcpStream>) -> Kept {
    let Connected { stream, origin, remote, .. } = connected;
    let socket = OwnedSocket::from(stream);
    known::remember(&socket, Known::Connection(origin));
    (into_raw(socket), remote.is_ipv6(), origin.began().reason().map(|reason| reason.as_str()))
}

/// Binds an address and listens.
#[pyfunction]
#[pyo3(signature = (address, protocol, backlog=None, reuse_port=false, dual_stack=false))]
pub fn listen(
    py: Python<'_>,
    address: Address,
    protocol: &str,
    backlog: Option<u32>,
    reuse_port: bool,
    dual_stack: bool,
) -> PyResult<RawSocket> {
    let protocol = words::protocol(protocol)?;
    let mut listen = Listen::new(protocol).reuse_port(reuse_port).only_v6(!dual_stack);
    if let Some(backlog) = backlog {
        listen = listen.backlog(backlog);
    }
    let listening = listen.bind(address.0).map_err(|error| errors::raise(py, &error))?;
    let (accepts, port) = (listening.accepts(), listening.local_addr().map_or(0, |address| address.port()));
    let socket = OwnedSocket::from(listening.into_std());
    known::remember_listener(&socket, port, accepts);
    Ok(into_raw(socket))
}
