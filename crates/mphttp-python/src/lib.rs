//! The compiled half of the Python package `mphttp`: sockets are chosen, connected and judged here, with the GIL
//! released, and handed over as descriptors, of which the Python half makes ordinary `socket.socket` objects.
//!
//! Nothing here is public: `python/mphttp` is what people import, and `_mphttp.pyi` beside it says what it gets from here.

mod aio;
mod blocking;
mod doctor;
mod download;
mod errors;
mod known;
mod paths;
mod request;
mod transport;
mod words;

use pyo3::pymodule;

/// The compiled half of mphttp; use the modules of `mphttp` instead.
#[pymodule]
mod _mphttp {
    #[pymodule_export]
    use super::{
        aio::{Connecting, connect_async, shutdown},
        blocking::{connect, listen, socket},
        doctor::doctor,
        download::{Downloading, download, leftover},
        known::{accepted, after_fork_in_child},
        paths::paths,
        program::run_program,
        transport::{Path, Transport, transport, unseen},
        words::{default_protocol, explain, host_support, parse_protocol, reasons, remedy, version},
    };
}

mod program {
    use pyo3::prelude::*;

    /// Runs the program `mphttp` with these arguments, the first of which is its name; gives its exit code.
    #[pyfunction]
    #[cfg(unix)]
    pub fn run_program(py: Python<'_>, arguments: Vec<std::ffi::OsString>) -> u8 {
        py.detach(|| mphttp_cli::run(arguments))
    }

    /// There is no program for this platform yet.
    #[pyfunction]
    #[cfg(not(unix))]
    pub fn run_program(_arguments: Vec<std::ffi::OsString>) -> PyResult<u8> {
        Err(pyo3::exceptions::PyNotImplementedError::new_err("the program mphttp needs a Unix system"))
    }
}
