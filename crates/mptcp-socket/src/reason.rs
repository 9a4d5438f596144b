//! Why a connection speaks TCP although MPTCP exists: stable words for programs, sentences and remedies for people.

use std::{fmt, io};

/// Why a socket speaks plain TCP.
///
/// The word ([`Reason::as_str`]) is stable: logs, JSON and metrics carry it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Reason {
    /// TCP was asked for.
    NotRequested,
    /// The platform has no MPTCP sockets, or none that this library knows.
    Platform,
    /// `socket()` said `EINVAL`: a Linux before 5.6, or something else that passes for Linux (gVisor).
    KernelTooOld,
    /// `socket()` said `EPROTONOSUPPORT`: a kernel built without `CONFIG_MPTCP`.
    NotBuilt,
    /// `socket()` said `ENOPROTOOPT`: the sysctl `net.mptcp.enabled` is 0 in this network namespace.
    Disabled,
    /// `socket()` said `EPERM` or `EACCES`: denied by SELinux, a seccomp filter or an eBPF program.
    Denied,
    /// The peer, or a box on the way, answered the MPTCP handshake without MPTCP (RFC 8684 section 3.7).
    PeerOrPath,
    /// The client connected with plain TCP: seen from the listening side.
    Client,
    /// SYNs that carry MPTCP got no answer while a plain one did.
    SynDropped,
    /// SYNs that carry MPTCP were answered with a reset while a plain one was not.
    SynReset,
    /// The kernel has switched MPTCP off for every connection of this host, because SYNs that carry it got no answer
    /// somewhere (Linux 6.12, `net.mptcp.blackhole_timeout`).
    HostBlackhole,
    /// The connection began as MPTCP and fell back later (RFC 8684 section 3.7: checksum failure, options lost).
    FellBack,
    /// The socket is a TCP socket, and nothing is known of how it came to be.
    TcpSocket,
    /// The kernel has MPTCP but can't say what this socket speaks (perhaps before 5.9).
    Unknown,
}

impl Reason {
    /// Every reason, for tables and metrics.
    pub const ALL: [Self; 14] = [
        Self::NotRequested,
        Self::Platform,
        Self::KernelTooOld,
        Self::NotBuilt,
        Self::Disabled,
        Self::Denied,
        Self::PeerOrPath,
        Self::Client,
        Self::SynDropped,
        Self::SynReset,
        Self::HostBlackhole,
        Self::FellBack,
        Self::TcpSocket,
        Self::Unknown,
    ];

    /// The stable word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotRequested => "not-requested",
            Self::Platform => "platform",
            Self::KernelTooOld => "kernel-too-old",
            Self::NotBuilt => "not-built",
            Self::Disabled => "disabled",
            Self::Denied => "denied",
            Self::PeerOrPath => "peer-or-path",
            Self::Client => "client",
            Self::SynDropped => "syn-dropped",
            Self::SynReset => "syn-reset",
            Self::HostBlackhole => "host-blackhole",
            Self::FellBack => "fell-back",
            Self::TcpSocket => "tcp-socket",
            Self::Unknown => "unknown",
        }
    }

    /// One clause for people, fit to follow "TCP: ".
    #[must_use]
    pub const fn explain(self) -> &'static str {
        match self {
            Self::NotRequested => "plain TCP was asked for",
            Self::Platform => "this system has no Multipath TCP",
            Self::KernelTooOld => {
                "this kernel is older than Linux 5.6, the first with Multipath TCP, or not Linux's own (gVisor)"
            }
            Self::NotBuilt => "this kernel was built without Multipath TCP",
            Self::Disabled => "Multipath TCP is switched off on this host",
            Self::Denied => "a security policy forbids this program Multipath TCP sockets",
            Self::PeerOrPath => "the peer, or a box on the way, answered without Multipath TCP",
            Self::Client => "the client asked for plain TCP",
            Self::SynDropped => "a box on the way swallows connection requests that carry Multipath TCP",
            Self::SynReset => "a box on the way resets connection requests that carry Multipath TCP",
            Self::HostBlackhole => {
                "the kernel has switched Multipath TCP off for this whole host, after connection requests with it \
                 got no answer somewhere"
            }
            Self::FellBack => "the connection began with Multipath TCP and fell back on the way",
            Self::TcpSocket => "the socket is a TCP socket",
            Self::Unknown => "this kernel can't tell what the connection speaks (Linux 5.16 can)",
        }
    }

    /// What to do about it, where there is something to do.
    #[must_use]
    pub const fn remedy(self) -> Option<&'static str> {
        match self {
            Self::NotRequested => Some("ask for --protocol mptcp"),
            Self::Platform | Self::Client | Self::TcpSocket => None,
            Self::KernelTooOld => Some("use Linux 5.6 or newer"),
            Self::NotBuilt => Some("use a kernel built with CONFIG_MPTCP=y"),
            Self::Disabled => Some("switch it on: sysctl -w net.mptcp.enabled=1"),
            Self::Denied => Some(
                "allow socket(…, IPPROTO_MPTCP) in the SELinux policy, seccomp filter or container profile \
                 that applies",
            ),
            Self::PeerOrPath => Some("check that the server listens with MPTCP, and try another network"),
            Self::SynDropped | Self::SynReset => {
                Some("ask whoever runs the network to let TCP option 30 pass, or take another network")
            }
            Self::HostBlackhole => Some(
                "it ends by itself after net.mptcp.blackhole_timeout seconds; end it now by writing that value \
                 again: sysctl -w net.mptcp.blackhole_timeout=3600",
            ),
            Self::FellBack => Some("look for a proxy or firewall on the way that rewrites TCP"),
            Self::Unknown => Some("use Linux 5.16 or newer"),
        }
    }

    /// The reason that a failed `socket(…, IPPROTO_MPTCP)` stands for, if the error means "this host can't".
    ///
    /// Other errors (`EMFILE`, `ENOBUFS`, `EAFNOSUPPORT` …) give `None`: retrying with TCP would hide them.
    #[must_use]
    pub fn from_socket_error(error: &io::Error) -> Option<Self> {
        crate::sys::reason_for_socket_errno(error)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn words_are_distinct_and_plain() {
        let words: HashSet<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        assert_eq!(words.len(), Reason::ALL.len());
        assert!(words.iter().all(|w| w.chars().all(|c| c.is_ascii_lowercase() || c == '-')));
    }
}
