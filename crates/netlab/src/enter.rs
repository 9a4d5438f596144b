//! The way in: gives the process the right to make network namespaces, as root or as anyone.

use std::{fs, io};

use nix::errno::Errno;
use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Gid, Uid, getegid, geteuid};

use crate::error::{Doing, Error};
use crate::rtnl::Rtnl;

/// Moves the calling thread, and with it every thread started from it later, into an empty network namespace
/// of its own, in which labs can be built. Call it first in `main`.
///
/// A process that may make network namespaces (root) needs nothing else. Any other process is moved into a
/// user namespace in which it is root; outside, its rights stay what they were. Either way the machine's own
/// network is out of reach afterwards: only the loopback device of the new namespace (up) and the labs are
/// there.
///
/// # Errors
/// [`Error::TooLate`] in an unprivileged process with several threads, [`Error::Forbidden`] (with the remedy)
/// where the machine forbids namespaces.
pub fn enter() -> Result<(), Error> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Ok(()) => {}
        Err(Errno::EPERM) => enter_user_namespace()?,
        Err(errno) => return Err(forbidden(errno)),
    }
    let mut rtnl = Rtnl::open()?;
    let loopback = rtnl.index("lo")?;
    rtnl.set_up(loopback, true)
}

fn enter_user_namespace() -> Result<(), Error> {
    let threads = fs::read_dir("/proc/self/task").doing("count the threads of this process")?.count();
    if threads > 1 {
        return Err(Error::TooLate { threads });
    }
    let (user, group) = (geteuid(), getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET).map_err(forbidden)?;
    map_to_root(user, group).map_err(|source| Error::Forbidden {
        source,
        remedy: "The user namespace exists but its user could not be mapped; check that /proc is writable"
            .into(),
    })
}

// user_namespaces(7): without privileges a process may map its own ids only, and its group only once
// setgroups(2) is off for good.
fn map_to_root(user: Uid, group: Gid) -> io::Result<()> {
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {user} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {group} 1"))
}

fn forbidden(errno: Errno) -> Error {
    let sysctl =
        |name: &str| fs::read_to_string(format!("/proc/sys/{name}")).unwrap_or_default().trim().to_owned();
    let remedy = if errno == Errno::EINVAL {
        "The kernel is built without network namespaces (CONFIG_NET_NS, CONFIG_USER_NS); use another kernel"
    } else if sysctl("user/max_user_namespaces") == "0" {
        "User namespaces are turned off: sysctl user.max_user_namespaces=10000, or run as root"
    } else if sysctl("kernel/unprivileged_userns_clone") == "0" {
        "User namespaces are for root only: sysctl kernel.unprivileged_userns_clone=1, or run as root"
    } else if sysctl("kernel/apparmor_restrict_unprivileged_userns") == "1" {
        "AppArmor restricts user namespaces: sysctl kernel.apparmor_restrict_unprivileged_userns=0, or run as root"
    } else if errno == Errno::ENOSPC {
        "There are too many namespaces: raise the sysctls user.max_user_namespaces and user.max_net_namespaces"
    } else {
        "A sandbox forbids it, often a container's seccomp profile: docker run --privileged, or \
         --cap-add=SYS_ADMIN --cap-add=NET_ADMIN --security-opt seccomp=unconfined"
    };
    Error::Forbidden { source: errno.into(), remedy: remedy.into() }
}
