//! The judge of the host itself: MPTCP as such, its switches, and who manages the paths.

use super::facts::{Facts, Outcome, Role, SocketAnswer};
use super::finding::{Certainty, Code, Finding, Severity};
use super::remedy::{Action, Place, Remedy};
use crate::auto::Rival;
use crate::{Limits, ManagerKind};

/// The kernel's bound on limits and endpoints (`MPTCP_PM_ADDR_MAX`).
pub(super) const MOST: u32 = 8;

pub(super) fn finding(
    code: Code,
    severity: Severity,
    certainty: Certainty,
    what: impl Into<String>,
    why: impl Into<String>,
    remedy: Remedy,
) -> Finding {
    Finding { code, subject: None, severity, certainty, what: what.into(), why: why.into(), remedy }
}

impl Finding {
    pub(super) fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject = Some(subject.into());
        self
    }
}

impl Facts {
    /// A sysctl of an interface to be written, with the value that it has if that could be read.
    pub(super) fn sysctl(&self, name: String, to: &str) -> Action {
        let from = self.sysctls.get(&name).cloned();
        Action::Sysctl { name, to: to.to_owned(), from }
    }
}

/// A sysctl to be written.
pub(super) fn sysctl(name: &str, to: &str, from: Option<String>) -> Action {
    Action::Sysctl { name: name.to_owned(), to: to.to_owned(), from }
}

/// Whether this host can make MPTCP connections at all. A finding here explains everything else.
pub(super) fn able(facts: &Facts) -> Option<Finding> {
    let broken = |code, what: &str, why: &str, remedy| {
        Some(finding(code, Severity::Broken, Certainty::Proven, what, why, remedy))
    };
    const WHY: &str = "every connection of this host speaks plain TCP, over one path";
    match facts.socket {
        SocketAnswer::Platform => broken(
            Code::NoMptcp,
            "this operating system has no MPTCP",
            WHY,
            Remedy::at(Place::Here, "use Linux 5.6 or newer, 6.1 or newer by preference"),
        ),
        SocketAnswer::TooOld => broken(
            Code::NoMptcp,
            "this kernel is older than Linux 5.6, the first with MPTCP, or not Linux's own (gVisor)",
            WHY,
            Remedy::at(
                Place::Here,
                "use a newer kernel, 6.1 or newer by preference, and no sandbox that plays one",
            ),
        ),
        SocketAnswer::NotBuilt => broken(
            Code::NoMptcp,
            "this kernel was built without MPTCP",
            WHY,
            Remedy::at(
                Place::Here,
                "use a kernel that is built with CONFIG_MPTCP=y, as those of the large distributions are",
            ),
        ),
        SocketAnswer::Disabled => broken(
            Code::Disabled,
            "MPTCP is switched off: the sysctl net.mptcp.enabled is 0",
            WHY,
            Remedy::here([sysctl("net/mptcp/enabled", "1", Some("0".into()))])
                .advice("to keep it beyond a restart, write it to a file in /etc/sysctl.d"),
        ),
        SocketAnswer::Denied => broken(
            Code::Denied,
            "a security policy denies this program MPTCP sockets (EPERM or EACCES)",
            "programs under the same policy speak plain TCP",
            Remedy::at(
                Place::Here,
                "allow socket(AF_INET or AF_INET6, SOCK_STREAM, 262) where it is denied: a seccomp filter of the \
                 container (docker run --security-opt seccomp=…), SystemCallFilter= or RestrictAddressFamilies= of \
                 the systemd unit, SELinux (ausearch -m avc), or an eBPF program; as a trial, run it outside of the sandbox",
            ),
        ),
        SocketAnswer::Made | SocketAnswer::Unasked => None,
    }
}

/// Switches and their history.
pub(super) fn switches(facts: &Facts, found: &mut Vec<Finding>) {
    let at_trial = facts.trial.as_ref().and_then(|trial| trial.outcome.as_ref());
    if [facts.loopback.as_ref(), at_trial].contains(&Some(&Outcome::HostBlackhole)) {
        // 3600 s is the kernel's default.
        let known = facts.settings.blackhole_timeout;
        let timeout = known.unwrap_or(3600);
        found.push(finding(
            Code::HostBlackhole,
            Severity::Broken,
            Certainty::Proven,
            "the kernel has switched MPTCP off for this whole host, since connection requests with it got no answer \
             somewhere",
            format!(
                "every connection speaks plain TCP until net.mptcp.blackhole_timeout ends it (from {timeout} s on, \
                 doubling each time)"
            ),
            Remedy::here([sysctl(
                "net/mptcp/blackhole_timeout",
                &timeout.to_string(),
                known.map(|seconds| seconds.to_string()),
            )])
            .advice(
                "writing the value again ends it now; it comes back if programs go on to connect through the network \
                 that swallows MPTCP",
            ),
        ));
    } else if facts.counters.mptcp("Blackhole") > 0 {
        let times = facts.counters.mptcp("Blackhole");
        found.push(finding(
            Code::SynsSwallowed,
            Severity::Note,
            Certainty::Proven,
            format!("the kernel has switched MPTCP off for this host before ({times} times since it started)"),
            "some network that was used swallows connection requests with MPTCP, and may again",
            Remedy::at(
                Place::Network,
                "let TCP option 30 pass there, or avoid that network; mphttp notices by itself and doesn't let the \
                 kernel get that far",
            ),
        ));
    }
    let counters = &facts.counters;
    // Not `DssFallback`, which counts connections too that are closed in the middle of data.
    let lost = ["DSSCorruptionFallback", "MPCapableDataFallback", "InfiniteMapRx"];
    let lost: u64 = lost.iter().map(|name| counters.mptcp(name)).sum();
    if lost > 0 {
        found.push(finding(
            Code::FellBackUnderWay,
            Severity::Note,
            Certainty::Possible,
            format!("{lost} connections of this host lost MPTCP under way since it started"),
            "a box that rewrites TCP was on the way of some connection, and may be on the next one's",
            Remedy::at(
                Place::Network,
                "look for a proxy, firewall or optimiser that rewrites TCP; name the server's URL \
                 to the doctor to have its paths tried one by one",
            ),
        ));
    }
    if facts.settings.checksum_enabled == Some(true) {
        found.push(finding(
            Code::ChecksumEnabled,
            Severity::Note,
            Certainty::Proven,
            "MPTCP checksums are on: the sysctl net.mptcp.checksum_enabled is 1",
            "every byte is summed once more in software, by both hosts, even if the other one has them off (RFC 8684 \
             section 3.1): it finds boxes that change data, and costs processor time",
            Remedy::here([sysctl("net/mptcp/checksum_enabled", "0", Some("1".into()))]),
        ));
    }
}

/// The path manager and its limits.
pub(super) fn manager(facts: &Facts, found: &mut Vec<Finding>) {
    match facts.settings.manager() {
        Some(ManagerKind::Userspace) if !runs_mptcpd(facts) => {
            let action = if facts.settings.path_manager.is_some() {
                sysctl("net/mptcp/path_manager", "kernel", Some("userspace".into()))
            } else {
                sysctl("net/mptcp/pm_type", "0", Some("1".into()))
            };
            found.push(finding(
                Code::NoUserspaceDaemon,
                Severity::Warning,
                Certainty::Likely,
                "the path manager is set to be a program's, and none that is known (mptcpd) runs",
                "nobody opens further paths: endpoints and limits are of no use to it",
                Remedy::here([action]).advice("or start the program: systemctl start mptcp"),
            ));
        }
        Some(ManagerKind::Kernel) => limits(facts, found),
        _ => {}
    }
}

fn runs_mptcpd(facts: &Facts) -> bool {
    facts.daemons.iter().any(|daemon| matches!(daemon, Rival::Mptcpd { .. }))
}

fn limits(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(limits) = facts.limits else { return };
    let needed = subflows_needed(facts);
    if limits.subflows < needed {
        let why = match facts.role {
            Role::Server => "further paths that clients ask for are refused",
            Role::Client => {
                "the kernel opens no further paths beyond that number, whatever endpoints there are"
            }
        };
        found.push(finding(
            Code::LimitSubflows,
            Severity::Warning,
            Certainty::Proven,
            format!(
                "the limit of additional subflows is {}, and {needed} or more are needed",
                limits.subflows
            ),
            why,
            Remedy::here([Action::SetLimits { to: Limits { subflows: MOST, ..limits }, from: Some(limits) }]),
        ));
    }
}

/// How many subflows beside the first one this host should allow.
fn subflows_needed(facts: &Facts) -> u32 {
    match facts.role {
        Role::Server => 1,
        Role::Client => {
            let ways = u32::try_from(super::paths::ways(facts).len()).unwrap_or(MOST);
            ways.saturating_sub(1).clamp(1, MOST)
        }
    }
}

/// Limits that have announced addresses made use of. Of subflows there are to be enough as well: both limits are set at
/// once, and this must not take back what the finding about too few of them, if there is one, has set before.
pub(super) fn accepting(facts: &Facts, from: Limits) -> Action {
    let enough = from.subflows >= subflows_needed(facts);
    let subflows = if enough { from.subflows } else { MOST };
    Action::SetLimits { to: Limits { subflows, add_addr_accepted: MOST }, from: Some(from) }
}

/// Who else sets endpoints: told once there is something to say about them.
pub(super) fn daemons(facts: &Facts, found: &mut Vec<Finding>) {
    let about_endpoints = |finding: &Finding| {
        matches!(
            finding.code,
            Code::NoEndpoints
                | Code::NoEndpointForInterface
                | Code::EndpointAddressGone
                | Code::EndpointSignalOnly
                | Code::EndpointBackup
                | Code::EndpointWrongInterface
                | Code::RouteWrongInterface
                | Code::LimitSubflows
        )
    };
    if !found.iter().any(about_endpoints) {
        return;
    }
    if facts.daemons.iter().any(|daemon| matches!(daemon, Rival::NetworkManager { .. })) {
        found.push(finding(
            Code::NetworkManager,
            Severity::Note,
            Certainty::Likely,
            "NetworkManager runs, and may set the endpoints of its connections itself",
            "it adds and deletes endpoints as its connections come and go: what is changed by hand may not last",
            Remedy::at(
                Place::Here,
                "to let it do it: nmcli connection modify NAME connection.mptcp-flags enabled,subflow",
            ),
        ));
    }
    if runs_mptcpd(facts) {
        found.push(finding(
            Code::Mptcpd,
            Severity::Note,
            Certainty::Likely,
            "mptcpd runs, and may set endpoints itself",
            "it adds and deletes endpoints as addresses come and go: what is changed by hand may not last",
            Remedy::at(Place::Here, "see mptcpd(8) for its plugins and flags"),
        ));
    }
}
