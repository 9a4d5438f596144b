//! Connecting for asyncio: on a tokio runtime that downloads share, made when it is first needed. A connect costs its event
//! loop no thread and no polling: it is told by `call_soon_threadsafe`.

use std::{
    net::TcpStream,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use mptcp_socket::{Connected, Error};
use pyo3::{
    exceptions::{PyRuntimeError, PyTypeError},
    prelude::*,
};
use tokio::{
    runtime::{Builder, Runtime},
    task::AbortHandle,
};

use crate::{
    blocking::{Kept, keep},
    errors,
    request::{Address, Request},
};

/// The runtime, through the life of the interpreter.
enum State {
    NotYet,
    Running(Runtime),
    /// The interpreter is about to go.
    Over,
}

/// Touched with the GIL held only: see `known`.
static RUNTIME: Mutex<State> = Mutex::new(State::NotYet);

/// One would do, but for downloads: one that fails puts on disk what can be gone on with, and connects don't wait for that.
const THREADS: usize = 2;

/// How long the end of the interpreter waits for a `done` that is being called.
const LAST_CALL: Duration = Duration::from_secs(10);

fn runtime() -> MutexGuard<'static, State> {
    RUNTIME.lock().unwrap_or_else(PoisonError::into_inner)
}

/// In a forked child: the runtime's threads were left behind, and waiting for it would never end.
pub fn forget() {
    std::mem::forget(std::mem::replace(&mut *runtime(), State::NotYet));
}

/// Ends what is under way, and waits for the threads that tell of it: a thread that wants the GIL back from an
/// interpreter that is going is ended by `pthread_exit`, which no Rust survives. To be called `atexit`; afterwards nothing
/// can be started any more.
#[pyfunction]
pub fn shutdown(py: Python<'_>) {
    let state = std::mem::replace(&mut *runtime(), State::Over);
    if let State::Running(runtime) = state {
        py.detach(|| runtime.shutdown_timeout(LAST_CALL));
    }
}

type Outcome = Result<Connected<TcpStream>, Error>;

/// A connect under way. Cancel it, or take its socket once it is done; what nobody takes is closed.
#[pyclass(frozen, module = "mphttp._mphttp")]
pub struct Connecting {
    task: AbortHandle,
    outcome: Arc<Mutex<Option<Outcome>>>,
}

#[pymethods]
impl Connecting {
    /// Gives up, and closes what is under way.
    fn cancel(&self) {
        self.task.abort();
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
    }

    /// The connected socket, non-blocking, whether it is an IPv6 one, and the word of the reason why it began as TCP, if it
    /// did. To be called once, when it is done.
    fn take(&self, py: Python<'_>) -> PyResult<Kept> {
        let outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner).take();
        let outcome =
            outcome.ok_or_else(|| PyRuntimeError::new_err("not done, cancelled or taken already"))?;
        outcome.map(keep).map_err(|error| errors::raise(py, &error))
    }
}

/// Something of Python's that other threads call.
///
/// They let go of it with the GIL held. Without, a reference is dropped by way of a list of PyO3's with a lock, and a fork at
/// that moment would leave the child a lock that nobody opens.
pub struct Callback(Option<Py<PyAny>>);

impl Callback {
    pub fn new(callable: Bound<'_, PyAny>) -> PyResult<Self> {
        if callable.is_callable() {
            Ok(Self(Some(callable.unbind())))
        } else {
            Err(PyTypeError::new_err("what is to be called must be callable"))
        }
    }

    /// Calls it, unless there is no interpreter any more. What it raises is nobody's.
    pub fn call(&self) {
        if let Some(callable) = &self.0 {
            Python::try_attach(|py| callable.call0(py).is_ok());
        }
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        if let Some(callable) = self.0.take() {
            Python::try_attach(move |_| drop(callable));
        }
    }
}

/// What is called when a connect, or a download, has ended.
pub struct Done(Callback);

impl Done {
    pub fn new(done: Bound<'_, PyAny>) -> PyResult<Self> {
        Callback::new(done).map(Self)
    }
}

impl Drop for Done {
    fn drop(&mut self) {
        // Called and let go at once. No interpreter, or no event loop any more: nobody waits, and the socket goes with the
        // slot.
        let Some(done) = self.0.0.take() else { return };
        Python::try_attach(move |py| done.call0(py).is_ok());
    }
}

/// Starts something on the runtime; `done` is called when it has ended, however it does: nobody must wait for what has
/// panicked. What it holds is gone by then.
pub fn spawn(done: Done, work: impl Future<Output = ()> + Send + 'static) -> PyResult<AbortHandle> {
    let mut runtime = runtime();
    if let State::NotYet = &*runtime {
        let mut builder = Builder::new_multi_thread();
        builder.worker_threads(THREADS).thread_name("mphttp").enable_all();
        *runtime = State::Running(builder.build().map_err(|error| errors::os_error(&error, None))?);
    }
    let State::Running(runtime) = &*runtime else {
        return Err(PyRuntimeError::new_err("can't connect any more: the interpreter is shutting down"));
    };
    let task = runtime.spawn(async move {
        let _done = done;
        work.await;
    });
    Ok(task.abort_handle())
}

/// Starts to connect to the first of these addresses that answers. `done` is called, without arguments and from another
/// thread, when it has succeeded or failed.
#[pyfunction]
#[pyo3(signature = (addresses, protocol, done, timeout=None, local=None, interface=None))]
pub fn connect_async(
    addresses: Vec<Address>,
    protocol: &str,
    done: Bound<'_, PyAny>,
    timeout: Option<f64>,
    local: Option<(Vec<String>, u16)>,
    interface: Option<String>,
) -> PyResult<Connecting> {
    let done = Done::new(done)?;
    let Request { connect, addresses } = Request::new(addresses, protocol, timeout, local, interface)?;
    let outcome: Arc<Mutex<Option<Outcome>>> = Arc::default();
    let slot = Arc::clone(&outcome);
    let task = spawn(done, async move {
        let connected = connect.to_async(&addresses).await;
        let connected = connected
            .and_then(|connected| connected.try_map(|stream| stream.into_std().map_err(Error::Runtime)));
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(connected);
    })?;
    Ok(Connecting { task, outcome })
}
