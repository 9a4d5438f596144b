//! What can keep a lab from being built or changed, each with what to do about it.

use std::io;

/// Why something in the lab failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// This process may make neither network namespaces nor user namespaces.
    #[error("can't make a network namespace: {source}. {remedy}")]
    Forbidden {
        /// What the kernel said.
        source: io::Error,
        /// What to change on this machine.
        remedy: String,
    },

    /// `enter` came too late: only a process with one thread can enter a user namespace.
    #[error(
        "the process already has {threads} threads, and only one with a single thread can enter a user namespace: \
         call netlab::enter() first in main, or run as root"
    )]
    TooLate {
        /// Threads of the process now.
        threads: usize,
    },

    /// The system refused something on the way; usually a limit (file descriptors, threads).
    #[error("can't {doing}: {source}")]
    System {
        /// What was attempted.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },

    /// rtnetlink refused.
    #[error(
        "can't {doing}: {source}; the kernel may lack what it needs (veth, bridge, sch_tbf, policy routing)"
    )]
    Netlink {
        /// What was attempted.
        doing: String,
        /// What the kernel said.
        source: mptcp_paths::netlink::Error,
    },

    /// The path manager refused.
    #[error(transparent)]
    Paths(#[from] mptcp_paths::Error),

    /// A sysctl could not be read or written.
    #[error(
        "can't {doing} the sysctl {name}: {source}; check the name, and in a container that /proc/sys is writable"
    )]
    Sysctl {
        /// "read" or "write".
        doing: &'static str,
        /// The sysctl's name as given.
        name: String,
        /// What the system said.
        source: io::Error,
    },

    /// An interface can't be called that.
    #[error(
        "{0:?} can't name an interface: use 1 to 15 bytes without '/', ':', '%' or spaces, and no dot in front"
    )]
    BadName(String),

    /// A host can't be linked to itself.
    #[error("host {0:?} can't be linked to itself")]
    SelfLink(String),

    /// A host that is no end of this link.
    #[error("host {host:?} is not at an end of link {link:?}")]
    NotAnEnd {
        /// The host.
        host: String,
        /// The link.
        link: String,
    },

    /// A value that no link can have.
    #[error("a link can't have {0}")]
    BadSpec(&'static str),

    /// A lab has room for 250 links (10.1.0.0/24 to 10.250.0.0/24).
    #[error("a lab can't have more than 250 links; make another Lab")]
    TooManyLinks,
}

pub(crate) trait Doing<T> {
    fn doing(self, doing: &'static str) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Doing<T> for Result<T, E> {
    fn doing(self, doing: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::System { doing, source: source.into() })
    }
}
