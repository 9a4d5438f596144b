//! Reads what the host says of itself. Needs no privilege; what can't be seen is said.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use super::facts::{Counters, Facts, Role, Unseen};
use super::lookup::{self, Way};
use super::remedy::sysctl_path;
use crate::auto::programs;
use crate::{Error, Interface, PathManager, Settings, Snapshot};

impl Facts {
    /// Reads the network namespace of the calling thread, blocking. Sockets and transfers are left to the caller.
    #[must_use]
    pub fn gather(role: Role) -> Self {
        let mut unseen = Vec::new();
        let (mut endpoints, mut limits) = (None, None);
        match PathManager::open() {
            Ok(mut manager) => {
                endpoints = keep(manager.endpoints(), "the endpoints", &mut unseen);
                limits = keep(manager.limits(), "the limits", &mut unseen);
            }
            // That there is no MPTCP is for the socket to say.
            Err(Error::Unsupported | Error::NoFamily) => {}
            Err(error) => unseen.push(Unseen { what: "endpoints and limits".into(), why: error.to_string() }),
        }
        let snapshot = match Snapshot::read() {
            Err(Error::Unsupported) => None,
            read => keep(read, "interfaces and routes", &mut unseen),
        };
        let counters = match Counters::read() {
            Ok(counters) => counters,
            Err(error) => {
                if cfg!(target_os = "linux") {
                    unseen.push(Unseen {
                        what: "the kernel's counters".into(),
                        why: format!("/proc/net/netstat: {error}; mount /proc"),
                    });
                }
                Counters::default()
            }
        };
        let mut facts = Facts {
            role,
            settings: Settings::read(),
            sysctls: snapshot.as_ref().map(sysctls).unwrap_or_default(),
            endpoints,
            limits,
            snapshot,
            ipv6_disabled: ipv6_disabled(),
            counters,
            daemons: programs(),
            listeners: listeners(),
            unseen,
            ..Facts::default()
        };
        facts.note_unknown_ways();
        facts
    }

    /// Says in [`unseen`](Facts::unseen), once, if the rules leave open which way a path would take. Those ways are not
    /// judged, which must not look as if nothing were wrong with them. To be asked again when there is a trial: it has a
    /// destination of its own.
    pub fn note_unknown_ways(&mut self) {
        const WHAT: &str = "which way the packets of a path take";
        let is_unknown = self.role == Role::Client
            && self
                .snapshot
                .as_ref()
                .is_some_and(|host| host.interfaces.iter().any(|own| self.is_way_unknown(own)));
        if is_unknown && !self.unseen.iter().any(|unseen| unseen.what == WHAT) {
            self.unseen.push(Unseen {
                what: WHAT.into(),
                why: "a routing rule asks for users, ports, protocols or a VRF (ip rule), which only the kernel knows: \
                      endpoints and routes that it may be for were not judged"
                    .into(),
            });
        }
    }

    /// Whether the rules leave open where packets from an interface's addresses go.
    pub(super) fn is_way_unknown(&self, interface: &Interface) -> bool {
        let Some(host) = self.snapshot.as_ref().filter(|_| !interface.loopback && interface.is_usable())
        else {
            return false;
        };
        interface.usable_addresses().map(|own| own.address).filter(|address| self.concerns(*address)).any(
            |address| {
                let leads = |bound| lookup::way(host, address, self.destination(address.is_ipv4()), bound);
                [None, Some(interface.index)].into_iter().any(|bound| leads(bound) == Way::Unknown)
            },
        )
    }
}

/// What remedies for an interface may write, as it is now.
fn sysctls(host: &Snapshot) -> BTreeMap<String, String> {
    let names = host
        .interfaces
        .iter()
        .flat_map(|interface| [rp_filter(&interface.name), disable_ipv6(&interface.name)]);
    names
        .filter_map(|name| {
            Some((name.clone(), fs::read_to_string(sysctl_path(&name)).ok()?.trim().to_owned()))
        })
        .collect()
}

/// The name, with slashes, of an interface's sysctl.
pub(super) fn rp_filter(interface: &str) -> String {
    format!("net/ipv4/conf/{interface}/rp_filter")
}

/// The name, with slashes, of an interface's sysctl.
pub(super) fn disable_ipv6(interface: &str) -> String {
    format!("net/ipv6/conf/{interface}/disable_ipv6")
}

fn keep<T>(read: Result<T, Error>, what: &str, unseen: &mut Vec<Unseen>) -> Option<T> {
    read.map_err(|error| unseen.push(Unseen { what: what.to_owned(), why: error.to_string() })).ok()
}

impl Counters {
    /// Reads the counters of the calling thread's network namespace.
    ///
    /// # Errors
    /// What reading `/proc/net/netstat` says.
    pub fn read() -> std::io::Result<Self> {
        let text = fs::read_to_string("/proc/thread-self/net/netstat")?;
        Ok(Self::parse(&text))
    }

    /// Those in the text of `/proc/net/netstat` or `/proc/net/snmp`: pairs of lines, "TcpExt: NameOne NameTwo …" and
    /// "TcpExt: 1 2 …". Those below zero (`TcpMaxConn`: no bound) are left out, as is what isn't understood.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut counters = BTreeMap::new();
        let mut lines = text.lines();
        while let (Some(names), Some(values)) = (lines.next(), lines.next()) {
            let (Some((section, names)), Some((_, values))) = (names.split_once(':'), values.split_once(':'))
            else {
                continue;
            };
            for (name, value) in names.split_ascii_whitespace().zip(values.split_ascii_whitespace()) {
                if let Ok(value) = value.parse() {
                    counters.insert(format!("{section}{name}"), value);
                }
            }
        }
        Counters(counters)
    }
}

/// The interfaces on which IPv6 is switched off.
fn ipv6_disabled() -> Vec<String> {
    let Ok(entries) = fs::read_dir("/proc/sys/net/ipv6/conf") else { return Vec::new() };
    let disabled = entries.filter_map(|entry| {
        let entry = entry.ok()?;
        let value = fs::read_to_string(entry.path().join("disable_ipv6")).ok()?;
        (value.trim() != "0").then(|| entry.file_name().to_string_lossy().into_owned())
    });
    disabled.collect()
}

/// Where sockets listen, from `/proc/net/tcp` and `/proc/net/tcp6` (`proc_net_tcp.rst`): MPTCP listeners are there with
/// the TCP socket that they stand on.
fn listeners() -> Vec<SocketAddr> {
    let mut found = Vec::new();
    for file in ["tcp", "tcp6"] {
        let text = fs::read_to_string(Path::new("/proc/thread-self/net").join(file)).unwrap_or_default();
        found.extend(text.lines().skip(1).filter_map(listener));
    }
    found
}

pub(crate) fn listener(line: &str) -> Option<SocketAddr> {
    const LISTEN: &str = "0A";
    let mut words = line.split_ascii_whitespace();
    let (local, state) = (words.nth(1)?, words.nth(1)?);
    if state != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    // Each word of 32 bits is printed as the processor reads it.
    let word = |text: &str| Some(u32::from_str_radix(text, 16).ok()?.to_ne_bytes());
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(address)?)),
        32 => {
            let mut bytes = [0; 16];
            for (index, place) in bytes.chunks_exact_mut(4).enumerate() {
                place.copy_from_slice(&word(address.get(index * 8..index * 8 + 8)?)?);
            }
            IpAddr::V6(Ipv6Addr::from(bytes))
        }
        _ => return None,
    };
    Some(SocketAddr::new(address.to_canonical(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_as_nstat_names_them_and_subtract() {
        let parse = |value| Counters::parse(&format!("MPTcpExt: MPJoinSynTx AddAddr\nMPTcpExt: {value} 4\n"));
        let (before, after) = (parse(3), parse(5));
        assert_eq!(after.mptcp("MPJoinSynTx"), 5);
        let grown = after.since(&before);
        assert_eq!((grown.mptcp("MPJoinSynTx"), grown.mptcp("AddAddr"), grown.tcp("Any")), (2, 0, 0));
        assert_eq!(Counters::parse("nonsense"), Counters::default());
        let text = "Tcp: MaxConn ActiveOpens\nTcp: -1 7\nMPTcpExt: MPCapableSYNRX\nMPTcpExt: 3\n";
        let expected = [("MPTcpExtMPCapableSYNRX".to_owned(), 3), ("TcpActiveOpens".to_owned(), 7)];
        assert_eq!(Counters::parse(text), Counters(BTreeMap::from(expected)));
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn listeners_are_read_as_the_kernel_prints_them() {
        let v4 =
            "   0: 0200010A:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1";
        assert_eq!(listener(v4), Some("10.1.0.2:8000".parse().expect("an address")));
        let v6 = "   0: 000080FE000000000000000001000000:0050 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0";
        assert_eq!(listener(v6), Some("[fe80::1]:80".parse().expect("an address")));
        let established = v4.replace(" 0A ", " 01 ");
        assert_eq!(listener(&established), None);
        for broken in ["", "0: 1", "0: zz:zz 0 0A", "0: é200010A:1F40 0 0A"] {
            assert_eq!(listener(broken), None);
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_listener_of_this_process_is_among_them() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("an address");
        assert!(Facts::gather(Role::Server).listeners.contains(&address));
    }
}
