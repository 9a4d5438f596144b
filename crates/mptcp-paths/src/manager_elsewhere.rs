//! The path manager of systems that have none: it can't be opened, so nothing else can be called.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use crate::{Endpoint, Error, FlagChange, Limits, ManagerKind};

/// The MPTCP path manager of a network namespace; this operating system has none.
#[derive(Debug)]
pub struct PathManager(Infallible);

impl PathManager {
    /// Always [`Error::Unsupported`] here.
    ///
    /// # Errors
    /// [`Error::Unsupported`].
    pub fn open() -> Result<Self, Error> {
        Err(Error::Unsupported)
    }

    /// Always `None` here.
    #[must_use]
    pub fn kind() -> Option<ManagerKind> {
        None
    }

    /// The endpoints of the namespace.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn endpoints(&mut self) -> Result<Vec<Endpoint>, Error> {
        match self.0 {}
    }

    /// Adds an endpoint.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn add(&mut self, _endpoint: &Endpoint) -> Result<(), Error> {
        match self.0 {}
    }

    /// The endpoint with this identifier.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn endpoint(&mut self, _id: u8) -> Result<Option<Endpoint>, Error> {
        match self.0 {}
    }

    /// Changes flags of an endpoint.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn change(&mut self, _id: u8, _change: FlagChange) -> Result<(), Error> {
        match self.0 {}
    }

    /// Deletes the endpoint with this address.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn delete_address(&mut self, _address: IpAddr, _port: Option<u16>) -> Result<(), Error> {
        match self.0 {}
    }

    /// Closes first subflows.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn close_first_subflows(&mut self, _address: IpAddr) -> Result<(), Error> {
        match self.0 {}
    }

    /// Deletes an endpoint.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn delete(&mut self, _id: u8) -> Result<(), Error> {
        match self.0 {}
    }

    /// Deletes every endpoint.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn flush(&mut self) -> Result<(), Error> {
        match self.0 {}
    }

    /// The limits of the namespace.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn limits(&mut self) -> Result<Limits, Error> {
        match self.0 {}
    }

    /// Sets the limits.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn set_limits(&mut self, _limits: Limits) -> Result<(), Error> {
        match self.0 {}
    }

    /// Announces an address to the peer of a connection.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn announce(&mut self, _token: u32, _endpoint: &Endpoint) -> Result<(), Error> {
        match self.0 {}
    }

    /// Takes back an announcement.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn withdraw(&mut self, _token: u32, _id: u8) -> Result<(), Error> {
        match self.0 {}
    }

    /// Opens a subflow.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn open_subflow(&mut self, _token: u32, _local: &Endpoint, _remote: SocketAddr) -> Result<(), Error> {
        match self.0 {}
    }

    /// Closes a subflow.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn close_subflow(
        &mut self,
        _token: u32,
        _local: SocketAddr,
        _remote: SocketAddr,
    ) -> Result<(), Error> {
        match self.0 {}
    }

    /// Makes a subflow a backup, or a regular one.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn set_backup(
        &mut self,
        _token: u32,
        _local: SocketAddr,
        _remote: SocketAddr,
        _backup: bool,
    ) -> Result<(), Error> {
        match self.0 {}
    }

    /// The local addresses of a connection.
    ///
    /// # Errors
    /// None can arise: there is no value to call this on.
    pub fn endpoints_of(&mut self, _token: u32) -> Result<Vec<Endpoint>, Error> {
        match self.0 {}
    }
}
