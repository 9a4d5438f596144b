//! The listeners of systems that have nothing to listen to: they can't be opened, so nothing else can be called.

use std::convert::Infallible;

use crate::{Error, HostEvent, PathEvent};

/// Listens to MPTCP connections; this operating system has none.
#[derive(Debug)]
pub struct PathEvents(Infallible);

impl PathEvents {
    /// Always [`Error::Unsupported`] here.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub fn open() -> Result<Self, Error> {
        Err(Error::Unsupported)
    }

    /// The next event.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn next_event(&mut self) -> Result<Option<PathEvent>, Error> {
        match self.0 {}
    }
}

/// Listens to the network's changes; this operating system has no rtnetlink.
#[derive(Debug)]
pub struct HostEvents(Infallible);

impl HostEvents {
    /// Always [`Error::Unsupported`] here.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub fn open() -> Result<Self, Error> {
        Err(Error::Unsupported)
    }

    /// The next event.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn next_event(&mut self) -> Result<Option<HostEvent>, Error> {
        match self.0 {}
    }
}
