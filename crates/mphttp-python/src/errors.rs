//! Errors as Python has them: `OSError` and its subclasses by errno, as the standard library raises, and some of our own.

use std::{ffi::OsStr, io};

use mptcp_socket::{AttemptError, Error, Reason};
use pyo3::{
    exceptions::{PyOSError, PyTimeoutError, PyValueError},
    prelude::*,
    types::PyTuple,
};

#[cfg(unix)]
use libc::{EADDRNOTAVAIL, EPROTONOSUPPORT};
#[cfg(windows)]
use windows_sys::Win32::Networking::WinSock::{
    WSAEADDRNOTAVAIL as EADDRNOTAVAIL, WSAEPROTONOSUPPORT as EPROTONOSUPPORT,
};

/// The exception for an error of the socket crate.
pub fn raise(py: Python<'_>, error: &Error) -> PyErr {
    let text = error.to_string();
    match error {
        Error::UnknownProtocol { .. } => PyValueError::new_err(text),
        Error::NoAddress => PyOSError::new_err((EADDRNOTAVAIL, text)),
        Error::TimedOut { attempts, .. } => {
            with_attempts(py, PyTimeoutError::new_err(format!("timed out: {text}")), attempts)
        }
        // All attempts failed alike: that, in the words that every Python program knows.
        Error::Connect { attempts } => {
            let first = attempts.first().map(|attempt| &attempt.source);
            let number = first.and_then(io::Error::raw_os_error);
            let alike = number.is_some() && attempts.iter().all(|a| a.source.raw_os_error() == number);
            let text = if alike { None } else { Some(text) };
            with_attempts(py, first.map_or_else(|| PyOSError::new_err(()), |e| os_error(e, text)), attempts)
        }
        Error::NotMptcp { reason, .. } => not_mptcp(py, *reason, &text),
        Error::Socket { source, .. } | Error::Listen { source, .. } => os_error(source, Some(text)),
        Error::Resolve { source, .. } | Error::State(source) | Error::Runtime(source) => {
            os_error(source, None)
        }
        _ => PyOSError::new_err(text),
    }
}

/// The exception for an error of HTTP.
pub fn raise_http(py: Python<'_>, error: &mphttp::Error) -> PyErr {
    use mphttp::Error as Http;
    let text = error.to_string();
    match error {
        Http::Socket(error) => raise(py, error),
        Http::Connect { source: error @ Error::TimedOut { .. }, .. } => {
            with_attempts(py, of_ours(py, "DownloadTimeout", (text,)), error.attempts())
        }
        Http::Connect { source, .. } => {
            let first = source.attempts().first();
            let made = first.map(|attempt| os_error(&attempt.source, Some(text)));
            made.map_or_else(|| raise(py, source), |made| with_attempts(py, made, source.attempts()))
        }
        Http::FellBack { .. } => of_ours(py, "FellBackError", ()),
        Http::BadUrl { .. } | Http::Invalid { .. } | Http::TlsSetup(_) => PyValueError::new_err(text),
        Http::NotMptcp { reason, .. } => not_mptcp(py, *reason, &text),
        Http::Write { source, .. } | Http::Resolve { source, .. } => os_error(source, Some(text)),
        Http::Timeout { .. } => of_ours(py, "DownloadTimeout", (text,)),
        // What it was that failed to the end says more than that it did.
        Http::GaveUp { source, .. } => {
            let gave_up = of_ours(py, "DownloadTimeout", (text,));
            gave_up.set_cause(py, Some(raise_http(py, source)));
            gave_up
        }
        Http::Status { status, url } | Http::Busy { status, url, .. } => {
            of_ours(py, "StatusError", (text, status.as_u16(), url))
        }
        Http::Checksum { .. } => of_ours(py, "ChecksumError", (text,)),
        _ => of_ours(py, "DownloadError", (text,)),
    }
}

/// An exception that `mphttp._errors` defines.
fn of_ours<'py>(py: Python<'py>, class: &str, arguments: impl pyo3::call::PyCallArgs<'py>) -> PyErr {
    let made = py
        .import("mphttp._errors")
        .and_then(|module| module.getattr(class))
        .and_then(|class| class.call1(arguments));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// An `OSError` of the subclass that belongs to the error's number, with the system's words or others.
pub fn os_error(error: &io::Error, text: Option<String>) -> PyErr {
    match (error.raw_os_error(), error.kind()) {
        (Some(number), _) => {
            let text = text.unwrap_or_else(|| words(error));
            PyOSError::new_err((number, text))
        }
        (None, io::ErrorKind::TimedOut) => {
            PyTimeoutError::new_err(text.unwrap_or_else(|| "timed out".to_owned()))
        }
        (None, _) => PyOSError::new_err(text.unwrap_or_else(|| error.to_string())),
    }
}

/// The system's words for an error, without the tail that Rust adds: Python shows the number itself.
fn words(error: &io::Error) -> String {
    let said = error.to_string();
    said.split(" (os error").next().unwrap_or_default().to_owned()
}

/// The `OSError` for a file that can't be read, which names it.
pub fn of_file(error: &io::Error, path: &OsStr) -> PyErr {
    match error.raw_os_error() {
        Some(number) => PyOSError::new_err((number, words(error), path.to_owned())),
        None => os_error(error, None),
    }
}

fn not_mptcp(py: Python<'_>, reason: Reason, text: &str) -> PyErr {
    let made = py
        .import("mphttp._errors")
        .and_then(|module| module.getattr("NotMptcpError"))
        .and_then(|class| class.call1((EPROTONOSUPPORT, text, reason.as_str())));
    made.map_or_else(|error| error, PyErr::from_value)
}

/// Hangs the failures of all attempts on an exception, for `all_errors` and for whoever wants to know.
fn with_attempts(py: Python<'_>, error: PyErr, attempts: &[AttemptError]) -> PyErr {
    let each = attempts.iter().map(|attempt| os_error(&attempt.source, None).into_value(py));
    // An exception that takes no attributes is still the right one.
    let _ = PyTuple::new(py, each.collect::<Vec<_>>())
        .and_then(|attempts| error.value(py).setattr("attempts", attempts));
    error
}
