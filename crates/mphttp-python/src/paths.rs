//! The host's paths: endpoints, limits, interfaces, as `mphttp paths --json` tells them.

use mptcp_paths::{Error, Overview};
use pyo3::{
    exceptions::{PyOSError, PyPermissionError, PyRuntimeError},
    prelude::*,
};

use crate::errors;

/// Everything, as a JSON object.
#[pyfunction]
pub fn paths(py: Python<'_>) -> PyResult<String> {
    let overview = py.detach(Overview::read).map_err(|error| raise(&error))?;
    serde_json::to_string(&overview).map_err(|error| PyRuntimeError::new_err(error.to_string()))
}

fn raise(error: &Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::Netlink(source) | Error::Refused { source, .. } => errors::os_error(source, Some(text)),
        Error::Permission { .. } => PyPermissionError::new_err(text),
        _ => PyOSError::new_err(text),
    }
}
