//! What people call endpoints and addresses on the command line: an identifier, an address, an interface.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use mptcp_paths::{Endpoint, Interface, Snapshot};

use crate::{error_reporting::Failure, exit::Exit};

/// An endpoint that there is: `2`, `192.0.2.7` or `192.0.2.7:8443`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Named {
    Id(u8),
    Address(IpAddr),
    /// An address and the port that is announced with it.
    Port(SocketAddr),
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        if let Ok(address) = text.parse() {
            return Ok(Self::Port(address));
        }
        match text.parse() {
            Ok(id @ 1..) => Ok(Self::Id(id)),
            _ => Err("give an endpoint's number (1 to 255), its address, or ADDR:PORT".to_owned()),
        }
    }
}

impl Named {
    /// The endpoint that is meant.
    pub(super) fn find(self, endpoints: &[Endpoint]) -> anyhow::Result<&Endpoint> {
        let is_it = |endpoint: &&Endpoint| match self {
            Self::Id(id) => endpoint.id == Some(id),
            Self::Address(address) => endpoint.address == address,
            Self::Port(address) => endpoint.address == address.ip() && endpoint.port == Some(address.port()),
        };
        let mut found: Vec<_> = endpoints.iter().filter(is_it).collect();
        // The address alone is the whole name of one of them at most.
        if found.len() > 1
            && let Some(alone) = found.iter().position(|endpoint| endpoint.port.is_none())
        {
            found = vec![found.swap_remove(alone)];
        }
        let name = match self {
            Self::Id(id) => id.to_string(),
            Self::Address(address) => address.to_string(),
            Self::Port(address) => address.to_string(),
        };
        match found[..] {
            [endpoint] => Ok(endpoint),
            [] => Err(Failure::new(Exit::Usage, format!("there is no endpoint {name}"))
                .hint("mphttp paths lists those there are")
                .into()),
            _ => {
                let ids: Vec<_> =
                    found.iter().filter_map(|endpoint| endpoint.id).map(|id| id.to_string()).collect();
                let message = format!("several endpoints have the address {name}");
                Err(Failure::new(Exit::Usage, message)
                    .hint(format!("name one by its number: {}", ids.join(", ")))
                    .into())
            }
        }
    }
}

/// The index of an interface of this host.
pub(super) fn index_of(host: &Snapshot, name: &str) -> anyhow::Result<u32> {
    Ok(interface(host, name)?.index)
}

/// The addresses that are meant by one, or by an interface: of each family the one that its connections show.
pub(super) fn addresses(host: &Snapshot, text: &str) -> anyhow::Result<(Vec<IpAddr>, Option<u32>)> {
    if let Ok(address) = text.parse() {
        return Ok((vec![address], None));
    }
    let interface = interface(host, text)?;
    let found: Vec<_> =
        [false, true].into_iter().filter_map(|ipv6| host.source_of(interface, ipv6)).collect();
    if found.is_empty() {
        let message = format!("{text} has no address that reaches further than its link");
        return Err(Failure::new(Exit::Usage, message).hint("mphttp paths shows its addresses").into());
    }
    Ok((found, Some(interface.index)))
}

fn interface<'a>(host: &'a Snapshot, name: &str) -> anyhow::Result<&'a Interface> {
    host.interface_named(name).ok_or_else(|| {
        let names: Vec<_> = host.interfaces.iter().map(|interface| interface.name.as_str()).collect();
        let hint = format!("give an address, or one of: {}", names.join(", "));
        Failure::new(Exit::Usage, format!("{name} is no address and no interface of this host"))
            .hint(hint)
            .into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mptcp_paths::EndpointFlags;

    #[test]
    fn endpoints_are_named_by_number_or_address() {
        let address = IpAddr::from([192, 0, 2, 7]);
        assert_eq!("2".parse(), Ok(Named::Id(2)));
        assert_eq!("192.0.2.7".parse(), Ok(Named::Address(address)));
        assert!("::1".parse::<Named>().is_ok());
        for wrong in ["0", "256", "-1", "lte0", ""] {
            assert!(wrong.parse::<Named>().is_err(), "{wrong}");
        }
        let endpoint =
            |id, port| Endpoint { id: Some(id), port, ..Endpoint::new(address, EndpointFlags::default()) };
        let endpoints = [endpoint(1, Some(1)), endpoint(2, Some(2))];
        assert_eq!(Named::Id(2).find(&endpoints).unwrap(), &endpoints[1]);
        assert!(Named::Id(3).find(&endpoints).is_err());
        assert!(Named::Address(address).find(&endpoints).unwrap_err().to_string().contains("several"));
        assert_eq!(Named::Address(address).find(&endpoints[..1]).unwrap(), &endpoints[0]);
        let named = |text: &str| text.parse::<Named>().unwrap();
        assert_eq!(named("192.0.2.7:2").find(&endpoints).unwrap(), &endpoints[1]);
        assert!(named("192.0.2.7:3").find(&endpoints).is_err());
        assert!(matches!(named("[fd00::1]:443"), Named::Port(_)));
        // Without a port it is the one without a port, where there is one.
        let endpoints = [endpoint(1, Some(1)), endpoint(2, None)];
        assert_eq!(Named::Address(address).find(&endpoints).unwrap(), &endpoints[1]);
    }
}
