//! Where the proxy goes: which ports, and which addresses for whom.
//!
//! A client on another host must not reach through the proxy what only the proxy's host can reach: services on its
//! loopback and own addresses, its links' neighbours by link-local address, the metadata services of clouds, which hand
//! out credentials. Names are resolved first, and only the addresses that were judged are connected to: no second
//! look-up can answer otherwise.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ipnet::IpNet;

use crate::{Connector, Error, connector::ConnectorStream};

/// Services of clouds that hand out credentials and secrets to whoever asks from the host, beside those on link-local
/// addresses (169.254.169.254 and others): Alibaba's, Azure's, and over IPv6 Amazon's and Google's.
const METADATA: [IpAddr; 4] = [
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254)),
];

/// Where a proxy may go.
///
/// By default: ports 80, 443 and from 1024 up; any address for clients on the same host; for others any but the proxy
/// host's own, loopback, link-local, multicast and metadata addresses.
#[derive(Clone, Debug, Default)]
pub struct Targets {
    allow: Vec<IpNet>,
    deny: Vec<IpNet>,
    any_port: bool,
}

impl Targets {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Addresses that may be reached by everybody, whatever the defaults say.
    #[must_use]
    pub fn allow(mut self, ranges: impl IntoIterator<Item = IpNet>) -> Self {
        self.allow.extend(ranges);
        self
    }

    /// Addresses that nobody reaches; beats [`Targets::allow`].
    #[must_use]
    pub fn deny(mut self, ranges: impl IntoIterator<Item = IpNet>) -> Self {
        self.deny.extend(ranges);
        self
    }

    /// Any port: mail servers (25) and SSH (22) too.
    #[must_use]
    pub fn any_port(mut self, yes: bool) -> Self {
        self.any_port = yes;
        self
    }

    /// Whether that port may be connected to.
    pub(super) fn takes_port(&self, port: u16) -> bool {
        matches!(port, 80 | 443 | 1024..) || (self.any_port && port != 0)
    }

    /// Whether that address may be connected to, for a client on this host or another.
    fn takes(&self, address: IpAddr, trusted: bool) -> bool {
        // All that a packet may be delivered to: the address, and the IPv4 address that is wrapped in it.
        let forms = [Some(address), wrapped(address).map(IpAddr::V4)];
        let within = |ranges: &[IpNet]| {
            forms.iter().flatten().any(|form| ranges.iter().any(|range| range.contains(form)))
        };
        if within(&self.deny) {
            return false;
        }
        trusted || within(&self.allow) || !forms.into_iter().flatten().any(|form| special(form) || own(form))
    }

    /// Connects to a host as far as this lets a client.
    ///
    /// # Errors
    /// [`Error::Prohibited`], and those of [`Connector::connect`].
    pub(super) async fn reach(
        &self,
        connector: &Connector,
        (host, port): (&str, u16),
        trusted: bool,
    ) -> Result<ConnectorStream, Error> {
        if !self.takes_port(port) {
            return Err(Error::Prohibited {
                host: format!("{host}:{port}"),
                why: "its port is none of 80, 443 and those from 1024 up (--any-port opens the others)",
            });
        }
        let mut addresses = connector.addresses(host, port).await?;
        let found = !addresses.is_empty();
        addresses.retain(|address: &SocketAddr| self.takes(address.ip().to_canonical(), trusted));
        if addresses.is_empty() && found {
            return Err(Error::Prohibited {
                host: format!("{host}:{port}"),
                why: "its address is the proxy's own, local to the proxy's host, or denied (--allow-target opens it)",
            });
        }
        connector.connect_to(host, port, &addresses).await
    }
}

/// The IPv4 address inside an IPv6 one that a translator or tunnel on the way may unwrap: NAT64 (RFC 6052, and RFC 8215 with
/// prefixes of 96 bits), 6to4 (RFC 3056), and the old "compatible" form (RFC 4291 section 2.5.5.1).
fn wrapped(address: IpAddr) -> Option<Ipv4Addr> {
    let IpAddr::V6(address) = address else { return None };
    match address.segments() {
        [0x64, 0xff9b, 0, 0, 0, 0, ..] | [0x64, 0xff9b, 1, ..] | [0, 0, 0, 0, 0, 0, ..] => {
            let [.., a, b, c, d] = address.octets();
            // The two that are addresses of IPv6 itself: unspecified and loopback.
            (a != 0 || b != 0 || c != 0 || d > 1).then_some(Ipv4Addr::new(a, b, c, d))
        }
        [0x2002, ..] => {
            let [_, _, a, b, c, d, ..] = address.octets();
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    }
}

/// Addresses that mean something else on each host or link.
fn special(address: IpAddr) -> bool {
    METADATA.contains(&address)
        || match address {
            IpAddr::V4(address) => {
                let [first, ..] = address.octets();
                first == 0 || address.is_loopback() || address.is_link_local() || first >= 224
            }
            IpAddr::V6(address) => {
                address.is_loopback()
                    || address.is_unspecified()
                    || address.is_unicast_link_local()
                    || address.is_multicast()
            }
        }
}

/// Whether that is an address of this host. The routes are asked, and nothing is sent: a datagram socket that is
/// connected to one of the host's own addresses has that address itself.
fn own(address: IpAddr) -> bool {
    let any: IpAddr =
        if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    // Port 9, discard; it only has to be one.
    let local = UdpSocket::bind((any, 0)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    local.is_ok_and(|local| local.ip() == address)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::forward::range;

    fn takes(targets: &Targets, address: &str, trusted: bool) -> bool {
        targets.takes(address.parse::<IpAddr>().unwrap().to_canonical(), trusted)
    }

    #[test]
    fn other_hosts_clients_reach_nothing_of_this_hosts() {
        let targets = Targets::new();
        for address in [
            "127.0.0.1",
            "127.8.8.8",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "100.100.100.200",
            "168.63.129.16",
            "224.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::7f00:1",
            "64:ff9b::7f00:1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::a9fe:a9fe",
            "2002:7f00:1::",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
        ] {
            assert!(!takes(&targets, address, false), "{address}");
            assert!(takes(&targets, address, true), "{address}");
        }
        for address in ["192.0.2.1", "10.1.2.3", "2001:db8::1", "64:ff9b::c000:201", "2002:c000:201::1"] {
            assert!(takes(&targets, address, false), "{address}");
        }
    }

    #[test]
    fn the_hosts_own_addresses_are_known_without_a_packet() {
        // Loopback addresses are the only ones that every host has.
        assert!(own("127.0.0.1".parse().unwrap()));
        assert!(!own("192.0.2.1".parse().unwrap()));
    }

    #[tokio::test]
    async fn it_is_the_resolved_address_that_counts() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let connector = Connector::new(crate::Protocol::Tcp).resolve("inside.test", [address]);
        let targets = Targets::new();
        let to = ("inside.test", address.port());
        let refused = targets.reach(&connector, to, false).await.unwrap_err();
        assert!(matches!(refused, Error::Prohibited { .. }), "{refused}");
        // Nothing was sent there either.
        listener.set_nonblocking(true).unwrap();
        assert_eq!(listener.accept().unwrap_err().kind(), std::io::ErrorKind::WouldBlock);
        assert!(targets.reach(&connector, to, true).await.is_ok());
        let opened = Targets::new().allow([range("127.0.0.1").unwrap()]);
        assert!(opened.reach(&connector, to, false).await.is_ok());
    }

    #[test]
    fn denied_beats_allowed_beats_the_defaults() {
        let one = |text| [range(text).unwrap()];
        let targets = Targets::new().allow(one("127.0.0.0/8")).deny(one("127.0.0.2")).deny(one("10.0.0.0/8"));
        assert!(takes(&targets, "127.0.0.1", false));
        for denied in ["127.0.0.2", "10.9.8.7", "64:ff9b::a00:1", "::ffff:10.0.0.1"] {
            assert!(!takes(&targets, denied, true), "{denied}");
        }
    }

    #[test]
    fn ports_of_mail_and_shells_are_closed_unless_opened() {
        let (closed, open) = (Targets::new(), Targets::new().any_port(true));
        for port in [80, 443, 1024, 8080, 65535] {
            assert!(closed.takes_port(port) && open.takes_port(port), "{port}");
        }
        for port in [1, 22, 25, 1023] {
            assert!(!closed.takes_port(port) && open.takes_port(port), "{port}");
        }
        assert!(!closed.takes_port(0) && !open.takes_port(0));
    }
}
