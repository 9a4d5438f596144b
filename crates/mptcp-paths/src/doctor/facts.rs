//! The evidence: what a host says of itself, and what a transfer over it showed.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::auto::Rival;
use crate::{Endpoint, Interface, Limits, Settings, Snapshot};

/// Everything that the doctor judges by. [`Facts::gather`](Facts::gather) reads what a host says of itself; what takes
/// sockets is added by whoever has them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Facts {
    /// What the host is for.
    pub role: Role,
    /// What `socket(…, IPPROTO_MPTCP)` said.
    pub socket: SocketAnswer,
    /// What an MPTCP connection from this host to itself came to; `None` if none was tried.
    pub loopback: Option<Outcome>,
    /// The sysctls `net.mptcp.*`.
    pub settings: Settings,
    /// The endpoints; `None` if they could not be read.
    pub endpoints: Option<Vec<Endpoint>>,
    /// The limits; `None` if they could not be read.
    pub limits: Option<Limits>,
    /// Interfaces, routes and rules; `None` if they could not be read.
    pub snapshot: Option<Snapshot>,
    /// The interfaces for which `net.ipv6.conf.*.disable_ipv6` is set.
    pub ipv6_disabled: Vec<String>,
    /// The sysctls of single interfaces that remedies may write, by their names with slashes
    /// (`net/ipv4/conf/eth0/rp_filter`), as they are. One that can't be read is missing.
    pub sysctls: BTreeMap<String, String>,
    /// The kernel's counters since the host started.
    pub counters: Counters,
    /// Programs that manage paths too, as far as they can be seen.
    pub daemons: Vec<Rival>,
    /// The addresses that TCP and MPTCP sockets listen on.
    pub listeners: Vec<SocketAddr>,
    /// A transfer; `None` if none was tried.
    pub trial: Option<Trial>,
    /// What could not be seen.
    pub unseen: Vec<Unseen>,
}

/// What a host is for: the same setting is right on one and wrong on the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Role {
    /// It opens connections, and their further paths.
    #[default]
    Client,
    /// It takes connections.
    Server,
}

/// What `socket(…, IPPROTO_MPTCP)` said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum SocketAnswer {
    /// Nobody asked.
    #[default]
    Unasked,
    /// There it is.
    Made,
    /// The operating system has none.
    Platform,
    /// `EINVAL`: Linux before 5.6.
    TooOld,
    /// `EPROTONOSUPPORT`: built without `CONFIG_MPTCP`.
    NotBuilt,
    /// `ENOPROTOOPT`: `net.mptcp.enabled` is 0.
    Disabled,
    /// `EPERM` or `EACCES`: SELinux, seccomp, eBPF.
    Denied,
}

/// The kernel's counters of a network namespace, named as `nstat(8)` names them: `MPTcpExtMPJoinSynTx`. They count over
/// all connections: evidence, never proof for one of them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counters(pub BTreeMap<String, u64>);

impl Counters {
    /// The MPTCP counter of this name (`net/mptcp/mib.c`); 0 if the kernel has none.
    #[must_use]
    pub fn mptcp(&self, name: &str) -> u64 {
        self.0.get(&format!("MPTcpExt{name}")).copied().unwrap_or(0)
    }

    /// Whether the kernel has an MPTCP counter of this name at all.
    pub(super) fn has_mptcp(&self, name: &str) -> bool {
        self.0.contains_key(&format!("MPTcpExt{name}"))
    }

    /// The TCP counter of this name (`net/ipv4/proc.c`, `TcpExt`); 0 if the kernel has none.
    #[must_use]
    pub fn tcp(&self, name: &str) -> u64 {
        self.0.get(&format!("TcpExt{name}")).copied().unwrap_or(0)
    }

    /// What has been counted since an earlier look.
    #[must_use]
    pub fn since(&self, earlier: &Counters) -> Counters {
        let grown = self.0.iter().filter_map(|(name, now)| {
            let before = earlier.0.get(name).copied().unwrap_or(0);
            (*now > before).then(|| (name.clone(), now - before))
        });
        Counters(grown.collect())
    }
}

/// Something that could not be seen, and so was not judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unseen {
    /// What.
    pub what: String,
    /// Why not, and what it would take.
    pub why: String,
}

/// A transfer from a server, and what else was tried on the way to it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Trial {
    /// The server, as the URL names it.
    pub server: String,
    /// The proxy that the environment demands, if it demands one. Paths then lead to the proxy.
    pub proxy: Option<String>,
    /// What the answer's `Via` header says.
    pub via: Option<String>,
    /// The address that was connected to.
    pub remote: Option<SocketAddr>,
    /// What the connection came to.
    pub outcome: Option<Outcome>,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// How long it took, connecting left out.
    pub elapsed: Duration,
    /// What each path carried.
    pub paths: Vec<PathShare>,
    /// What the kernel counted meanwhile.
    pub counters: Counters,
    /// A connection through each interface, by name.
    pub probes: Vec<Probe>,
}

/// What a path carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathShare {
    /// The interface that holds the local address.
    pub interface: Option<String>,
    /// The local address.
    pub local: Option<IpAddr>,
    /// The remote address.
    pub remote: Option<SocketAddr>,
    /// Payload bytes received.
    pub received: u64,
    /// Payload bytes sent.
    pub sent: u64,
}

/// A connection through one interface alone, and one request over it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probe {
    /// The interface.
    pub interface: String,
    /// What came of it.
    pub outcome: Outcome,
    /// What the kernel counted meanwhile.
    pub counters: Counters,
}

/// What a connection came to. TCP and MPTCP are tried side by side, which tells a box from a dead link.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// It spoke MPTCP.
    Mptcp,
    /// It spoke TCP: this host made no MPTCP socket.
    NoSocket,
    /// It spoke TCP: the answer came without MPTCP options.
    Stripped,
    /// It spoke TCP: SYNs with MPTCP got no answer while plain ones did.
    SynDropped,
    /// It spoke TCP: SYNs with MPTCP were reset while plain ones were not.
    SynReset,
    /// It began with MPTCP and fell back.
    FellBack,
    /// It spoke TCP: the kernel has switched MPTCP off for the host for a while.
    HostBlackhole,
    /// There was no connection, neither with MPTCP nor with TCP.
    NoConnection(String),
    /// A connection was there, and the request came to nothing: no answer in time, a certificate that is another's. What
    /// it spoke is not known.
    Failed(String),
}

impl Outcome {
    /// The stable word.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Outcome::Mptcp => "mptcp",
            Outcome::NoSocket => "no-socket",
            Outcome::Stripped => "stripped",
            Outcome::SynDropped => "syn-dropped",
            Outcome::SynReset => "syn-reset",
            Outcome::FellBack => "fell-back",
            Outcome::HostBlackhole => "host-blackhole",
            Outcome::NoConnection(_) => "no-connection",
            Outcome::Failed(_) => "failed",
        }
    }

    /// Why nothing came of it, if nothing did.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        match self {
            Outcome::NoConnection(why) | Outcome::Failed(why) => Some(why),
            _ => None,
        }
    }
}

impl Trial {
    /// The names of the interfaces whose paths carried bytes.
    #[must_use]
    pub fn used_interfaces(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self
            .paths
            .iter()
            .filter(|path| path.received > 0)
            .filter_map(|path| path.interface.as_deref())
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// What the connection through an interface came to.
    #[must_use]
    pub fn probe(&self, interface: &str) -> Option<&Probe> {
        self.probes.iter().find(|probe| probe.interface == interface)
    }
}

impl Facts {
    /// Whether IPv6, and IPv4, lead to the server of the trial; both if there was none.
    pub(super) fn families(&self) -> [bool; 2] {
        match self.trial.as_ref().and_then(|trial| trial.remote) {
            Some(remote) => {
                let is_ipv4 = remote.ip().to_canonical().is_ipv4();
                [is_ipv4, !is_ipv4]
            }
            None => [true, true],
        }
    }

    /// Whether a path may begin at this address: it is of a family that leads to the server.
    pub(super) fn concerns(&self, address: IpAddr) -> bool {
        let [ipv4, ipv6] = self.families();
        if address.is_ipv4() { ipv4 } else { ipv6 }
    }

    /// Where packets are to go: the server of the trial, else anywhere in the world.
    pub(super) fn destination(&self, ipv4: bool) -> IpAddr {
        let remote =
            self.trial.as_ref().and_then(|trial| trial.remote).map(|remote| remote.ip().to_canonical());
        match remote {
            Some(remote) if remote.is_ipv4() == ipv4 => remote,
            // Of the documentation's networks (RFC 5737, RFC 3849): nobody has a route to them but the default one.
            _ if ipv4 => IpAddr::from([198, 51, 100, 1]),
            _ => IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, 1]),
        }
    }

    pub(super) fn interface_of(&self, address: IpAddr) -> Option<&Interface> {
        self.snapshot.as_ref()?.interface_with(address)
    }
}
