//! The truth about a socket, for Python: what it speaks, why, and over which paths.

use std::sync::OnceLock;

use mphttp::report::TransportReport;
use mptcp_socket::{OwnedSocket, RawSocket, Reason, Spoken, duplicate};
use pyo3::{
    prelude::*,
    types::{PyDict, PyTuple},
};

use crate::{errors, known, words};

/// What a connected socket speaks, and over which paths: the state at the moment when it was asked.
#[pyclass(frozen, module = "mphttp")]
pub struct Transport {
    seen: mptcp_socket::Transport,
    /// The same with the names of interfaces, which cost more than all the rest: only for those who look at paths.
    named: OnceLock<mptcp_socket::Transport>,
}

impl Transport {
    /// One that was seen elsewhere, with the names of its interfaces.
    pub fn of(seen: mptcp_socket::Transport) -> Self {
        let named = OnceLock::from(seen.clone());
        Self { seen, named }
    }

    fn named(&self) -> &mptcp_socket::Transport {
        self.named.get_or_init(|| {
            let mut transport = self.seen.clone();
            transport.name_interfaces();
            transport
        })
    }
}

#[pymethods]
impl Transport {
    /// `"mptcp"` or `"tcp"`.
    #[getter]
    fn protocol(&self) -> &'static str {
        self.seen.spoken.as_str()
    }

    /// Whether the connection speaks MPTCP on the wire.
    #[getter]
    fn is_mptcp(&self) -> bool {
        self.seen.is_mptcp()
    }

    /// Why it speaks TCP, a `Reason`; `None` for MPTCP.
    #[getter]
    fn reason<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(reason) = self.seen.reason() else { return Ok(None) };
        Ok(Some(py.import("mphttp._words")?.getattr("Reason")?.call1((reason.as_str(),))?))
    }

    /// The same as a clause for people; `None` for MPTCP.
    #[getter]
    fn explanation(&self) -> Option<&'static str> {
        self.seen.reason().map(Reason::explain)
    }

    /// The paths that exist now: subflows of MPTCP, or the one of TCP.
    #[getter]
    fn paths<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        PyTuple::new(py, self.named().paths.iter().cloned().map(Path))
    }

    /// Payload bytes received, over all paths.
    #[getter]
    fn bytes_received(&self) -> u64 {
        self.seen.totals().bytes_received
    }

    /// Payload bytes sent, over all paths, retransmissions included.
    #[getter]
    fn bytes_sent(&self) -> u64 {
        self.seen.totals().bytes_sent
    }

    /// Segments retransmitted, over all paths.
    #[getter]
    fn retransmits(&self) -> u64 {
        self.seen.totals().retransmits
    }

    /// The same as plain data, in the shape that `mphttp get --json` has: ready for `json.dumps`.
    fn as_dict<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let text = serde_json::to_string(&TransportReport::from(self.named()))
            .map_err(|error| pyo3::exceptions::PyRuntimeError::new_err(error.to_string()))?;
        Ok(py.import("json")?.call_method1("loads", (text,))?.cast_into()?)
    }

    fn __str__(&self) -> String {
        self.seen.to_string()
    }

    fn __repr__(&self) -> String {
        format!("<mphttp.Transport: {}>", self.seen)
    }
}

/// One path of a connection. What the kernel doesn't tell is `None`.
#[pyclass(frozen, module = "mphttp")]
pub struct Path(mptcp_socket::Path);

#[pymethods]
impl Path {
    /// Local address and port, as `socket.getsockname` has them.
    #[getter]
    fn local(&self) -> Option<(String, u16)> {
        self.0.local.map(|address| (address.ip().to_canonical().to_string(), address.port()))
    }

    /// Remote address and port.
    #[getter]
    fn remote(&self) -> Option<(String, u16)> {
        self.0.remote.map(|address| (address.ip().to_canonical().to_string(), address.port()))
    }

    /// The interface that holds the local address.
    #[getter]
    fn interface(&self) -> Option<&str> {
        self.0.interface.as_deref()
    }

    /// The state of the path's TCP connection: `"established"`, `"closed"` …
    #[getter]
    fn state(&self) -> &'static str {
        self.0.state.as_str()
    }

    /// Smoothed round-trip time, in seconds.
    #[getter]
    fn rtt(&self) -> Option<f64> {
        self.0.rtt.map(|rtt| rtt.as_secs_f64())
    }

    /// Payload bytes received.
    #[getter]
    fn bytes_received(&self) -> Option<u64> {
        self.0.bytes_received
    }

    /// Payload bytes sent, retransmissions included.
    #[getter]
    fn bytes_sent(&self) -> Option<u64> {
        self.0.bytes_sent
    }

    /// Segments retransmitted.
    #[getter]
    fn retransmits(&self) -> Option<u32> {
        self.0.retransmits
    }

    fn __repr__(&self) -> String {
        let address = |address: Option<std::net::SocketAddr>| {
            address.map_or_else(|| "?".to_owned(), |address| address.to_string())
        };
        let interface = self.0.interface.as_deref().unwrap_or("?");
        let (local, remote) = (address(self.0.local), address(self.0.remote));
        format!("<mphttp.Path: {local} -> {remote} ({interface}), {}>", self.0.state.as_str())
    }
}

fn open(descriptor: RawSocket) -> PyResult<OwnedSocket> {
    duplicate(descriptor).map_err(|error| errors::os_error(&error, None))
}

/// What the socket with this descriptor speaks.
///
/// Raises `OSError` if it is no TCP or MPTCP socket.
#[pyfunction]
pub fn transport(py: Python<'_>, descriptor: RawSocket) -> PyResult<Transport> {
    let socket = open(descriptor)?;
    mptcp_socket::Transport::without_interfaces(&socket, &known::origin(&socket))
        .map(|seen| Transport { seen, named: OnceLock::new() })
        .map_err(|error| errors::raise(py, &error))
}

/// A TCP connection that nobody looked at before it was closed: the reason, by its word, and nothing of its path.
#[pyfunction]
pub fn unseen(why_tcp: &str) -> PyResult<Transport> {
    let seen = mptcp_socket::Transport::unseen(Spoken::Tcp(words::reason(why_tcp)?));
    Ok(Transport { seen, named: OnceLock::new() })
}
