//! Protocols and reasons as the words that the command line and Rust use for them: one list for all three.

use mptcp_socket::{Protocol, Reason};
use pyo3::{exceptions::PyValueError, prelude::*};

/// The word of a protocol, in its usual spelling.
///
/// Raises `ValueError` for any other word.
#[pyfunction]
pub fn parse_protocol(word: &str) -> PyResult<&'static str> {
    protocol(word).map(Protocol::as_str)
}

/// The word of this process's default: `MPHTTP_PROTOCOL`, or `mptcp`.
///
/// Raises `ValueError` if the variable names no protocol.
#[pyfunction]
pub fn default_protocol(py: Python<'_>) -> PyResult<&'static str> {
    // Python's view of the environment, which os.environ may have changed: reading the process's own from another
    // thread than Python's would race with it.
    let variable = py.import("os")?.getattr("environ")?.call_method1("get", (Protocol::ENV,))?;
    match variable.extract::<Option<String>>()? {
        Some(word) if !word.is_empty() => word.parse().map(Protocol::as_str).map_err(|error| {
            PyValueError::new_err(format!("environment variable {}: {error}", Protocol::ENV))
        }),
        _ => Ok(Protocol::default().as_str()),
    }
}

pub fn protocol(word: &str) -> PyResult<Protocol> {
    word.parse().map_err(|error: mptcp_socket::Error| PyValueError::new_err(error.to_string()))
}

pub fn reason(word: &str) -> PyResult<Reason> {
    let found = Reason::ALL.iter().copied().find(|reason| reason.as_str() == word);
    found.ok_or_else(|| PyValueError::new_err(format!("unknown reason {word:?}")))
}

/// The words of all reasons for plain TCP.
#[pyfunction]
pub fn reasons() -> Vec<&'static str> {
    Reason::ALL.iter().map(|reason| reason.as_str()).collect()
}

/// What a reason means, as a clause.
#[pyfunction]
pub fn explain(word: &str) -> PyResult<&'static str> {
    reason(word).map(Reason::explain)
}

/// What to do about a reason, if anything can be done.
#[pyfunction]
pub fn remedy(word: &str) -> PyResult<Option<&'static str>> {
    reason(word).map(Reason::remedy)
}

/// `None` if this host can make MPTCP sockets now, else the word of the reason.
#[pyfunction]
pub fn host_support() -> Option<&'static str> {
    mptcp_socket::host_support().err().map(Reason::as_str)
}

/// The version of this package.
#[pyfunction]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}
