//! The reader of systems that have no sock_diag: it can't be opened, so nothing else can be called.

use std::{convert::Infallible, net::SocketAddr};

use super::Connections;
use crate::Error;

/// Reads the MPTCP connections of a network namespace; this operating system has none.
#[derive(Debug)]
pub struct Reader(Infallible);

impl Reader {
    /// Always [`Error::Unsupported`] here.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub fn open() -> Result<Self, Error> {
        Err(Error::Unsupported)
    }

    /// Looks at all connections.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn read(&mut self) -> Result<Connections, Error> {
        match self.0 {}
    }

    /// The addresses of backup subflows.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn backups(&mut self) -> Result<Vec<(SocketAddr, SocketAddr)>, Error> {
        match self.0 {}
    }
}
