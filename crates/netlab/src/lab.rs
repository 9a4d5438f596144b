//! The lab: makes hosts and links and keeps them.

use std::sync::{Arc, Mutex};

use mptcp_paths::{Endpoint, EndpointFlags, Limits};

use crate::error::Error;
use crate::host::{Host, write_sysctl};
use crate::link::Link;
use crate::lock;
use crate::namespace::Namespace;
use crate::rtnl::Rtnl;
use crate::spec::LinkSpec;

const MAX_LINKS: u8 = 250;
// The kernel's bound on subflows, on accepted announcements and on endpoints (MPTCP_PM_ADDR_MAX).
const MPTCP_MAX: u32 = 8;

/// Where the middles of all links are: a namespace that belongs to no host.
#[derive(Debug)]
pub(crate) struct Backstage {
    pub(crate) namespace: Namespace,
    pub(crate) rtnl: Mutex<Rtnl>,
}

/// Hosts and the links between them. All of it vanishes when the lab, its hosts and its links are dropped and
/// the processes on its hosts have ended.
#[derive(Debug)]
pub struct Lab {
    backstage: Arc<Backstage>,
    links: Mutex<Vec<Link>>,
}

impl Lab {
    /// An empty lab. The process must have called [`enter`](crate::enter), unless it is root's.
    ///
    /// # Errors
    /// [`Error::System`] if namespaces can't be made.
    pub fn new() -> Result<Self, Error> {
        let (namespace, rtnl) = Namespace::new()?;
        namespace.run(|| {
            // The middle of a link must not speak. Without IPv6 or br_netfilter there is nothing to silence.
            for name in ["net.ipv6.conf.all.disable_ipv6", "net.ipv6.conf.default.disable_ipv6"] {
                let _ = write_sysctl(name, "1");
            }
            for name in ["bridge-nf-call-iptables", "bridge-nf-call-ip6tables", "bridge-nf-call-arptables"] {
                let _ = write_sysctl(&format!("net/bridge/{name}"), "0");
            }
        })?;
        let backstage = Arc::new(Backstage { namespace, rtnl: Mutex::new(rtnl) });
        Ok(Lab { backstage, links: Mutex::default() })
    }

    /// A new host, without links.
    ///
    /// # Errors
    /// [`Error::System`] if namespaces can't be made, [`Error::Sysctl`] where /proc/sys is read-only and the
    /// machine filters reverse paths.
    pub fn host(&self, name: &str) -> Result<Host, Error> {
        Host::new(name)
    }

    /// Links two hosts. The link number N (from 1, in the order of making) has the subnets 10.N.0.0/24 and
    /// fd00:N::/64 (if the machine has IPv6), in which `a` is 1 and `b` is 2.
    ///
    /// The first link of each host gets the best default route, later ones worse ones. `a` is the side that
    /// is connected several times, the phone; its address decides which link a packet takes, in both
    /// directions: what comes from `a`'s address on this link leaves through this link, wherever it goes, and
    /// so does what `b` sends there. A subflow from the second link's address to `b`'s address on the first
    /// link uses the second link.
    ///
    /// The lab keeps the link; the result may be ignored.
    ///
    /// # Errors
    /// [`Error::BadName`], [`Error::BadSpec`], [`Error::SelfLink`], [`Error::TooManyLinks`], or
    /// [`Error::Netlink`] if the kernel refuses.
    pub fn link(&self, a: &Host, b: &Host, spec: LinkSpec) -> Result<Link, Error> {
        if a == b {
            return Err(Error::SelfLink(a.name().to_owned()));
        }
        let mut links = lock(&self.links);
        let number = u8::try_from(links.len() + 1).ok().filter(|&number| number <= MAX_LINKS);
        let link = Link::new(&self.backstage, number.ok_or(Error::TooManyLinks)?, a, b, &spec)?;
        links.push(link.clone());
        Ok(link)
    }

    /// Lets MPTCP connections from `client` to `server` use every link between the two: the client gets an
    /// endpoint (subflow) for its address on each link, in place of all endpoints it had, and both hosts the
    /// highest limits.
    ///
    /// # Errors
    /// [`Error::Paths`] on a kernel without MPTCP.
    pub fn enable_multipath(&self, client: &Host, server: &Host) -> Result<(), Error> {
        let limits = Limits { subflows: MPTCP_MAX, add_addr_accepted: MPTCP_MAX };
        server.path_manager()?.set_limits(limits)?;
        let mut manager = client.path_manager()?;
        manager.set_limits(limits)?;
        manager.flush()?;
        let links = lock(&self.links);
        let between = links.iter().filter(|link| link.connects(client, server));
        let addresses = between.flat_map(|link| link.addresses(client));
        // IPv4 first, so that with more than four links it is IPv6 that goes without.
        let (v4, v6): (Vec<_>, Vec<_>) = addresses.partition(|address| address.is_ipv4());
        for address in v4.into_iter().chain(v6).take(MPTCP_MAX as usize) {
            let flags = EndpointFlags::SUBFLOW;
            manager.add(&Endpoint::new(address, flags))?;
        }
        Ok(())
    }
}
