//! What can go wrong with the path manager, each with what to do about it.

use std::io;
use std::net::IpAddr;

/// Why the path manager could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The operating system has no MPTCP path manager.
    #[error("this operating system has no MPTCP path manager; use Linux 5.6 or newer")]
    Unsupported,

    /// The kernel doesn't know the generic netlink family `mptcp_pm`.
    #[error(
        "the kernel has no MPTCP path manager (no generic netlink family \"mptcp_pm\"): it is older than 5.6, \
         built without CONFIG_MPTCP, or not Linux's own (gVisor); use a kernel with MPTCP"
    )]
    NoFamily,

    /// The kernel can't list MPTCP connections over sock_diag.
    #[error(
        "the kernel can't list its MPTCP connections: it is older than 5.9, has no MPTCP, is not Linux's own (gVisor), or lacks \
         the module mptcp_diag (CONFIG_INET_MPTCP_DIAG); try `modprobe mptcp_diag`, or a newer kernel"
    )]
    NoDiag,

    /// The netlink socket could not be opened or used (seccomp, SELinux, no netlink).
    #[error("can't talk to the kernel over netlink: {0}; check the sandbox's rules for AF_NETLINK sockets")]
    Netlink(#[source] io::Error),

    /// `EPERM` or `EACCES`.
    #[error(
        "no permission to {doing}: it needs CAP_NET_ADMIN in this network namespace; run as root or give the program \
         the capability (setcap cap_net_admin+ep)"
    )]
    Permission {
        /// What was attempted.
        doing: &'static str,
    },

    /// `EEXIST`: another endpoint has this address or this identifier.
    #[error("there is already an endpoint with the address {address} or its id{}; delete that one first", detail(.message))]
    Exists {
        /// The address that was to be added.
        address: IpAddr,
        /// The kernel's own words, if it gave any.
        message: Option<String>,
    },

    /// There are as many endpoints as the kernel allows.
    #[error(
        "there are {} endpoints already, and the kernel takes no more; delete one first",
        crate::Limits::MAX
    )]
    Full,

    /// No endpoint has this address.
    #[error("there is no endpoint with the address {0}; `mphttp paths` lists those there are")]
    NoEndpoint(IpAddr),

    /// The kernel is too old for what was asked.
    #[error("this kernel doesn't know {what}; {since} or newer does")]
    Lacks {
        /// What was asked for.
        what: &'static str,
        /// The first version that has it.
        since: &'static str,
    },

    /// Somebody else manages the paths of this host.
    #[error("{0}")]
    Managed(crate::auto::Rival),

    /// Somebody else deletes endpoints or their routing as often as they are made.
    #[error(
        "something keeps deleting the endpoint {0} or its routing; find out what (another path manager?) and stop it"
    )]
    TakenAway(IpAddr),

    /// The kernel refused for another reason.
    #[error("the kernel refused to {doing}: {source}{}", detail(.message))]
    Refused {
        /// What was attempted.
        doing: &'static str,
        /// The kernel's error number.
        source: io::Error,
        /// The kernel's own words (extended ack), if it gave any.
        message: Option<String>,
    },

    /// A sysctl could not be written.
    #[error(
        "can't write the sysctl {name}: {source}; check that /proc/sys is writable (in containers it often isn't)"
    )]
    Sysctl {
        /// Its name, with slashes.
        name: String,
        /// What the kernel said.
        #[source]
        source: io::Error,
    },

    /// The kernel's answer is not what `<linux/mptcp_pm.h>` describes.
    #[error(
        "can't make sense of the kernel's answer ({0}); please report this with the output of `uname -r`"
    )]
    Malformed(String),

    /// Some messages of a table are not what `<linux/rtnetlink.h>` describes; the others were read.
    #[error(
        "{0} of the kernel's interfaces, addresses, routes and rules can't be understood and are left out; please report \
         this with the output of `uname -r` and `ip -details link`"
    )]
    Unreadable(usize),
}

fn detail(message: &Option<String>) -> String {
    message.as_ref().map_or_else(String::new, |message| format!(" (the kernel says: {message})"))
}
