//! The doctor: one call, which takes seconds, reacts to signals, and gives its report as JSON.

use std::{ffi::OsString, time::Duration};

use mphttp::{
    Client,
    doctor::{Doctor, Report},
};
use pyo3::{exceptions::PyRuntimeError, prelude::*};

use crate::errors;

/// How often Python gets to run its signal handlers.
const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// Examines this host, and the way to `url` if there is one; gives the object of `mphttp doctor --json`.
#[pyfunction]
#[pyo3(signature = (url, server, cafile, verify))]
pub fn doctor(
    py: Python<'_>,
    url: Option<String>,
    server: bool,
    cafile: Option<OsString>,
    verify: bool,
) -> PyResult<String> {
    let mut client = Client::builder().danger_accept_invalid_certs(!verify);
    if let Some(path) = &cafile {
        let pem = std::fs::read(path).map_err(|error| errors::of_file(&error, path))?;
        client = client.add_root_certificate_pem(pem).map_err(|error| errors::raise_http(py, &error))?;
    }
    let mut doctor = Doctor::new().client(client);
    if server {
        doctor = doctor.server();
    }
    if let Some(url) = url {
        doctor = doctor.url(url);
    }
    let outcome = py.detach(|| -> PyResult<_> {
        // Of this thread: a runtime that is shared would not survive a fork, and may be in another network namespace.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let outcome = runtime.block_on(async {
            let mut work = Box::pin(doctor.examine());
            loop {
                tokio::select! {
                    done = &mut work => return Ok(done),
                    () = tokio::time::sleep(SIGNALS_EVERY) => Python::attach(|py| py.check_signals())?,
                }
            }
        });
        // A resolver that still waits must not keep the caller.
        runtime.shutdown_background();
        outcome
    })?;
    let examination = outcome.map_err(|error| errors::raise_http(py, &error))?;
    serde_json::to_string(&Report::from(&examination))
        .map_err(|error| PyRuntimeError::new_err(error.to_string()))
}
