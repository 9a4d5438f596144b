//! A host of the lab: a network namespace in which programs, threads and child processes can run.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::{fmt, io};

use mptcp_paths::doctor::Counters;
use mptcp_paths::{Endpoint, Limits, PathManager};

use crate::error::{Doing, Error};
use crate::lock;
use crate::namespace::Namespace;
use crate::rtnl::Rtnl;

/// A host. Cheap to clone; the host lasts as long as its lab, any clone, or any process or socket in it.
#[derive(Clone)]
pub struct Host {
    inner: Arc<Inner>,
}

struct Inner {
    name: String,
    namespace: Namespace,
    rtnl: Mutex<Rtnl>,
    has_ipv6: bool,
    links: AtomicU32,
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Host").field("name", &self.inner.name).finish_non_exhaustive()
    }
}

impl PartialEq for Host {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }
}

impl Eq for Host {}

impl Host {
    pub(crate) fn new(name: &str) -> Result<Self, Error> {
        let (namespace, rtnl) = Namespace::new()?;
        let has_ipv6 = namespace.run(|| -> Result<bool, Error> {
            // Packets of one connection arrive on several interfaces: that is what these hosts are for.
            require("net.ipv4.conf.all.rp_filter", "0")?;
            require("net.ipv4.conf.default.rp_filter", "0")?;
            let has_ipv6 = Path::new("/proc/sys/net/ipv6").exists();
            for (name, value) in [("accept_dad", "0"), ("router_solicitations", "0"), ("accept_ra", "0")] {
                // Only against noise and waiting; a lab without them works too.
                let _ = write_sysctl(&format!("net.ipv6.conf.default.{name}"), value);
            }
            Ok(has_ipv6)
        })??;
        let inner = Inner {
            name: name.to_owned(),
            namespace,
            rtnl: Mutex::new(rtnl),
            has_ipv6,
            links: AtomicU32::new(0),
        };
        Ok(Host { inner: Arc::new(inner) })
    }

    /// The name given to [`Lab::host`](crate::Lab::host).
    #[must_use]
    pub fn name(&self) -> &str {
        &self.inner.name
    }

    /// Runs `work` on this host, on a thread of its own, and waits for it. Sockets, threads, tokio runtimes
    /// and child processes that it starts belong to the host, even if they last longer. A panic of `work`
    /// goes on here.
    ///
    /// # Errors
    /// [`Error::System`] if no thread can be started.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> Result<T, Error> {
        self.inner.namespace.run(work)
    }

    /// Starts a thread on this host.
    ///
    /// # Errors
    /// [`Error::System`] if no thread can be started.
    pub fn thread<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<JoinHandle<T>, Error> {
        // The new thread inherits the namespace of the one that starts it.
        let name = self.inner.name.clone();
        self.run(|| std::thread::Builder::new().name(name).spawn(work))?.doing("start a thread")
    }

    /// Starts a program on this host.
    ///
    /// # Errors
    /// What [`Command::spawn`] says, or an error of the kind `Other` if no thread can be started for it.
    pub fn spawn(&self, mut command: Command) -> io::Result<Child> {
        self.run(|| command.spawn()).map_err(io::Error::other)?
    }

    /// Writes a sysctl of this host, such as "net.mptcp.enabled" (or "net/ipv4/conf/eth0.1/rp_filter": a name
    /// with a slash is a path below /proc/sys).
    ///
    /// # Errors
    /// [`Error::Sysctl`] if there is none of that name or the value isn't accepted.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<(), Error> {
        self.run(|| write_sysctl(name, value))?
    }

    /// Reads a sysctl of this host, without the line's end.
    ///
    /// # Errors
    /// [`Error::Sysctl`] if there is none of that name.
    pub fn sysctl_get(&self, name: &str) -> Result<String, Error> {
        self.run(|| read_sysctl(name))?
    }

    /// The host's network counters, those of `/proc/net/netstat` and `/proc/net/snmp`, named as nstat(8)
    /// names them: "MPTcpExtMPCapableSYNTX", "TcpExtTCPTimeouts", "TcpRetransSegs". They count from the
    /// host's beginning, over all of its connections. Values that aren't counts (negative ones) are left out.
    ///
    /// # Errors
    /// [`Error::System`] if /proc isn't there.
    pub fn counters(&self) -> Result<BTreeMap<String, u64>, Error> {
        self.run(|| {
            let mut counters = BTreeMap::new();
            for file in ["/proc/thread-self/net/netstat", "/proc/thread-self/net/snmp"] {
                let text = fs::read_to_string(file).doing("read the network counters")?;
                counters.extend(Counters::parse(&text).0);
            }
            Ok(counters)
        })?
    }

    /// The host's MPTCP path manager.
    ///
    /// # Errors
    /// [`Error::Paths`] on a kernel without MPTCP.
    pub fn path_manager(&self) -> Result<PathManager, Error> {
        Ok(self.run(PathManager::open)??)
    }

    /// Sets how many additional subflows a connection of this host may have, and how many announced addresses
    /// of its peer it uses; at most 8 each. The kernel's defaults are 2 and 0.
    ///
    /// # Errors
    /// [`Error::Paths`] if the kernel refuses.
    pub fn mptcp_limits(&self, subflows: u32, add_addr_accepted: u32) -> Result<(), Error> {
        Ok(self.path_manager()?.set_limits(Limits { subflows, add_addr_accepted })?)
    }

    /// Adds an MPTCP endpoint.
    ///
    /// # Errors
    /// [`Error::Paths`] if the kernel refuses.
    pub fn add_endpoint(&self, endpoint: &Endpoint) -> Result<(), Error> {
        Ok(self.path_manager()?.add(endpoint)?)
    }

    /// Gives the host one more address on an interface of its own, such as a service's address on "lo".
    ///
    /// # Errors
    /// [`Error::Netlink`] if there is no such interface, or the kernel refuses.
    pub fn add_address(&self, interface: &str, address: IpAddr, prefix: u8) -> Result<(), Error> {
        let mut rtnl = self.rtnl();
        let index = rtnl.index(interface)?;
        rtnl.add_address(index, address, prefix)
    }

    /// Routes what goes to a network through these hosts. Several share the flows by the kernel's hash, as routers do
    /// (equal-cost multipath): that of addresses, or with `net.ipv4.fib_multipath_hash_policy=1` that of ports too. To pass on
    /// what others send, the host needs `net.ipv4.ip_forward=1`.
    ///
    /// # Errors
    /// [`Error::Netlink`] if a gateway can't be reached, or the kernel refuses.
    pub fn add_route(&self, destination: IpAddr, prefix: u8, gateways: &[IpAddr]) -> Result<(), Error> {
        self.rtnl().add_route(destination, prefix, gateways)
    }

    pub(crate) fn rtnl(&self) -> MutexGuard<'_, Rtnl> {
        lock(&self.inner.rtnl)
    }

    pub(crate) fn namespace(&self) -> &Namespace {
        &self.inner.namespace
    }

    pub(crate) fn has_ipv6(&self) -> bool {
        self.inner.has_ipv6
    }

    /// The place of a new link among those of this host, from 0.
    pub(crate) fn next_link(&self) -> u32 {
        self.inner.links.fetch_add(1, Ordering::Relaxed)
    }
}

fn sysctl_path(name: &str) -> PathBuf {
    let name = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    Path::new("/proc/sys").join(name)
}

pub(crate) fn read_sysctl(name: &str) -> Result<String, Error> {
    match fs::read_to_string(sysctl_path(name)) {
        Ok(value) => Ok(value.trim_end().to_owned()),
        Err(source) => Err(Error::Sysctl { doing: "read", name: name.to_owned(), source }),
    }
}

pub(crate) fn write_sysctl(name: &str, value: &str) -> Result<(), Error> {
    fs::write(sysctl_path(name), value).map_err(|source| Error::Sysctl {
        doing: "write",
        name: name.to_owned(),
        source,
    })
}

// Containers often have /proc/sys read-only: there, a right value is good enough.
fn require(name: &str, value: &str) -> Result<(), Error> {
    if read_sysctl(name)? == value { Ok(()) } else { write_sysctl(name, value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sysctl_with_slashes_keeps_its_dots() {
        assert_eq!(sysctl_path("net.mptcp.enabled"), Path::new("/proc/sys/net/mptcp/enabled"));
        assert_eq!(
            sysctl_path("net/ipv4/conf/eth0.1/rp_filter"),
            Path::new("/proc/sys/net/ipv4/conf/eth0.1/rp_filter")
        );
    }
}
