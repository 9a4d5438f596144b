//! What Python asks for when it connects: addresses as `getaddrinfo` gives them, and how.

use std::{
    net::{IpAddr, SocketAddr, SocketAddrV6},
    time::Duration,
};

use mptcp_socket::Connect;
use pyo3::{
    exceptions::{PyOverflowError, PyValueError},
    prelude::*,
    types::PyTuple,
};

use crate::{known, words};

/// A `sockaddr` of Python's: `(host, port)` or `(host, port, flowinfo, scope_id)`, the host a numeric address.
pub struct Address(pub SocketAddr);

impl<'py> FromPyObject<'_, 'py> for Address {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        let tuple = object.cast::<PyTuple>()?;
        let ip = ip(&tuple.get_item(0)?.extract::<String>()?)?;
        let port = tuple.get_item(1)?.extract()?;
        Ok(Self(match ip {
            IpAddr::V6(ip) if tuple.len() == 4 => {
                let (flow, scope) = (tuple.get_item(2)?.extract()?, tuple.get_item(3)?.extract()?);
                SocketAddrV6::new(ip, port, flow, scope).into()
            }
            ip => SocketAddr::new(ip, port),
        }))
    }
}

fn ip(text: &str) -> PyResult<IpAddr> {
    // The scope of `fe80::1%eth0` comes as a number in the fourth place.
    let bare = text.split('%').next().unwrap_or_default();
    bare.parse().map_err(|_| PyValueError::new_err(format!("not a numeric address: {text:?}")))
}

/// A connect to come.
pub struct Request {
    pub connect: Connect,
    pub addresses: Vec<SocketAddr>,
}

impl Request {
    /// # Errors
    /// `ValueError` for a word, an address or a time that is none.
    pub fn new(
        addresses: Vec<Address>,
        protocol: &str,
        timeout: Option<f64>,
        local: Option<(Vec<String>, u16)>,
        interface: Option<String>,
    ) -> PyResult<Self> {
        let mut connect = Connect::new(words::protocol(protocol)?).memory(known::memory());
        if let Some(seconds) = timeout {
            // Python's own limit: nanoseconds in 63 bits.
            if seconds > i64::MAX as f64 / 1e9 {
                return Err(PyOverflowError::new_err("timeout doesn't fit into C timeval"));
            }
            let limit = Duration::try_from_secs_f64(seconds)
                .map_err(|_| PyValueError::new_err("Timeout value out of range"))?;
            connect = connect.timeout(limit);
        }
        if let Some((hosts, port)) = local {
            connect = connect.local_port(port);
            for host in hosts {
                connect = connect.local_address(ip(&host)?);
            }
        }
        if let Some(name) = interface {
            connect = connect.interface(name);
        }
        Ok(Self { connect, addresses: addresses.into_iter().map(|address| address.0).collect() })
    }
}
