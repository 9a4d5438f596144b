//! What the doctor has to say: findings, and how bad and how sure they are.

use std::fmt;

use super::Remedy;

/// One thing that keeps MPTCP, or its second path, from working, or may.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Finding {
    /// What kind of thing it is; stable.
    pub code: Code,
    /// Which interface, address or server it is about, where it is about one.
    pub subject: Option<String>,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is.
    pub certainty: Certainty,
    /// What was found, as a sentence without its full stop.
    pub what: String,
    /// Why that matters, as a sentence without its full stop.
    pub why: String,
    /// What mends it.
    pub remedy: Remedy,
}

/// How bad a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Severity {
    /// Good to know; nothing is broken by it.
    Note,
    /// MPTCP works, but a path is missing, idle or at risk.
    Warning,
    /// MPTCP doesn't work.
    Broken,
}

impl Severity {
    /// The stable word: `note`, `warning` or `broken`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Broken => "broken",
        }
    }
}

/// How sure a [`Finding`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Certainty {
    /// Other causes fit what was seen as well.
    Possible,
    /// What was seen is hard to explain otherwise, but was not tried by itself.
    Likely,
    /// The kernel says so, or it was tried.
    Proven,
}

impl Certainty {
    /// The stable word: `possible`, `likely` or `proven`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Certainty::Possible => "possible",
            Certainty::Likely => "likely",
            Certainty::Proven => "proven",
        }
    }
}

macro_rules! codes {
    ($($(#[doc = $doc:literal])+ $name:ident = $word:literal,)+) => {
        /// The kinds of findings. The words are stable; `docs/doctor.md` describes each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[doc = $doc])+ $name,)+ }

        impl Code {
            /// Every kind there is.
            pub const ALL: &'static [Code] = &[$(Code::$name,)+];

            /// The stable word.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $word,)+ }
            }
        }
    };
}

codes! {
    /// The operating system, or the kernel, has no MPTCP.
    NoMptcp = "no-mptcp",
    /// The sysctl `net.mptcp.enabled` is 0.
    Disabled = "disabled",
    /// A security policy denies MPTCP sockets.
    Denied = "denied",
    /// The kernel has switched MPTCP off for the whole host for a while.
    HostBlackhole = "host-blackhole",
    /// Some network swallowed SYNs with MPTCP since the host started.
    SynsSwallowed = "syns-swallowed",
    /// Connections lost MPTCP under way since the host started.
    FellBackUnderWay = "fell-back-under-way",
    /// The path manager is the one in user space, and none runs.
    NoUserspaceDaemon = "no-userspace-daemon",
    /// NetworkManager sets the endpoints.
    NetworkManager = "network-manager",
    /// mptcpd sets the endpoints.
    Mptcpd = "mptcpd",
    /// The limit of additional subflows is too low.
    LimitSubflows = "limit-subflows",
    /// Announced addresses are not used, and the peer announces some.
    LimitAddAddr = "limit-add-addr",
    /// The host has no second way out.
    OneInterface = "one-interface",
    /// What is sent to the destination goes into a tunnel.
    Tunnel = "tunnel",
    /// No endpoint is set at all.
    NoEndpoints = "no-endpoints",
    /// A way out has no endpoint.
    NoEndpointForInterface = "no-endpoint-for-interface",
    /// An endpoint's address is not on this host.
    EndpointAddressGone = "endpoint-address-gone",
    /// An endpoint is only announced, which opens no path from a client.
    EndpointSignalOnly = "endpoint-signal-only",
    /// An endpoint is a backup: it carries nothing while another path lives.
    EndpointBackup = "endpoint-backup",
    /// An endpoint is bound to an interface that doesn't have its address.
    EndpointWrongInterface = "endpoint-wrong-interface",
    /// Packets from an endpoint's address leave through another interface.
    RouteWrongInterface = "route-wrong-interface",
    /// An endpoint's interface has no route to the peer.
    NoRoute = "no-route",
    /// Strict reverse path filtering drops what arrives on the second path.
    RpFilter = "rp-filter",
    /// An interface with an endpoint is down.
    InterfaceDown = "interface-down",
    /// An interface with an endpoint has no carrier.
    NoCarrier = "no-carrier",
    /// An interface's MTU is too small.
    MtuSmall = "mtu-small",
    /// IPv6 is switched off on an interface that has it elsewhere.
    Ipv6Disabled = "ipv6-disabled",
    /// An interface lacks a global address of the family that the server is reached by.
    FamilyMissing = "family-missing",
    /// A program listens on one address while another one is announced.
    ListenerOneAddress = "listener-one-address",
    /// The C-flag is set and nothing is announced: clients can't add paths.
    CflagWithoutSignal = "cflag-without-signal",
    /// The C-flag is set, and an address is announced without a port of its own.
    CflagWithoutPort = "cflag-without-port",
    /// DSS checksums are on: they cost processor time.
    ChecksumEnabled = "checksum-enabled",
    /// No path leads to the server at all.
    Unreachable = "unreachable",
    /// The server is reached and doesn't answer a request.
    NoAnswer = "no-answer",
    /// A path reaches something that doesn't answer a request as the server does.
    PathFails = "path-fails",
    /// A path doesn't reach the server, neither with TCP nor with MPTCP.
    PathDead = "path-dead",
    /// A box on a path removes MPTCP options.
    PathStrips = "path-strips",
    /// A box on a path swallows SYNs with MPTCP.
    PathDropsSyn = "path-drops-syn",
    /// A box on a path resets SYNs with MPTCP.
    PathResetsSyn = "path-resets-syn",
    /// A box on a path removes MPTCP options under way.
    PathFallsBack = "path-falls-back",
    /// The server answers without MPTCP on every path.
    PeerWithoutMptcp = "peer-without-mptcp",
    /// The server, or its host, refuses additional paths.
    PeerRefusesJoins = "peer-refuses-joins",
    /// The server doesn't allow paths to the address that was connected to (C-flag).
    PeerForbidsJoins = "peer-forbids-joins",
    /// Requests for additional paths got no answer.
    JoinsUnanswered = "joins-unanswered",
    /// A path is there and carried nothing.
    PathIdle = "path-idle",
    /// The request goes through a proxy.
    Proxy = "proxy",
    /// The server is itself behind a proxy.
    Via = "via",
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn words_are_distinct_plain_and_described() {
        let described = include_str!("../../../../docs/doctor.md");
        let words: HashSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for word in words {
            let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
            assert!(word.chars().all(plain), "{word}");
            assert!(described.contains(&format!("| `{word}` |")), "docs/doctor.md says nothing of {word}");
        }
    }

    #[test]
    fn worse_and_surer_are_more() {
        assert!(Severity::Broken > Severity::Warning && Severity::Warning > Severity::Note);
        assert!(Certainty::Proven > Certainty::Likely && Certainty::Likely > Certainty::Possible);
    }
}
