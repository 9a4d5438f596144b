//! Where a proxy listens, as it is said at the command line.

use std::net::{IpAddr, SocketAddr};

use mphttp::Protocol;
use mptcp_socket::{Listen, Listening};

/// Where the proxy listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A port of all addresses.
    Port(u16),
    /// One address.
    Address(SocketAddr),
}

/// Reads `PORT`, `:PORT`, `ADDR` or `ADDR:PORT`.
pub fn place(text: &str) -> Result<Place, String> {
    if let Ok(port) = text.strip_prefix(':').unwrap_or(text).parse() {
        return Ok(Place::Port(port));
    }
    if let Ok(address) = text.parse() {
        return Ok(Place::Address(address));
    }
    match text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
        Ok(ip) => Ok(Place::Address(SocketAddr::new(ip, DEFAULT_PORT))),
        Err(_) => Err("give a port, an address, or both: 8080, 127.0.0.1, [::1]:8080".to_owned()),
    }
}

const DEFAULT_PORT: u16 = 8080;

impl Place {
    /// Whether programs of this host alone can reach it.
    pub fn is_loopback(self) -> bool {
        matches!(self, Self::Address(address) if address.ip().to_canonical().is_loopback())
    }

    pub fn listen(self, protocol: Protocol) -> anyhow::Result<Listening> {
        let listen = Listen::new(protocol);
        Ok(match self {
            Self::Port(port) => listen.bind_all(port)?,
            Self::Address(SocketAddr::V6(all)) if all.ip().is_unspecified() => listen.bind_all(all.port())?,
            Self::Address(address) => listen.bind(address)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ports_addresses_or_both() {
        for text in ["8000", ":8000"] {
            assert_eq!(place(text), Ok(Place::Port(8000)));
        }
        for (text, address) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("127.0.0.1", "127.0.0.1:8080"),
            ("[::1]:80", "[::1]:80"),
            ("::1", "[::1]:8080"),
            ("[::1]", "[::1]:8080"),
        ] {
            assert_eq!(place(text), Ok(Place::Address(address.parse().unwrap())), "{text}");
        }
        assert!(place("example.com").is_err() && place("70000").is_err());
    }
}
