//! The doctor: says why MPTCP, or its second path, doesn't work, and what mends it.
//!
//! Evidence first, opinion second: [`Facts`] hold what a host says of itself ([`Facts::gather`]) and, if somebody with
//! sockets adds it, what a transfer showed ([`Trial`]). [`judge`] is a pure function of them. Each [`Finding`] has a
//! stable [`Code`], says how sure it is ([`Certainty`]), and carries its [`Remedy`]: changes as data, which are commands
//! as text. `docs/doctor.md` describes every code.
//!
//! Reading needs no privilege. What could not be seen is in [`Facts::unseen`].
//!
//! ```no_run
//! use mptcp_paths::doctor::{Facts, Role, judge};
//!
//! for finding in judge(&Facts::gather(Role::Client)) {
//!     println!("{}: {}", finding.code, finding.what);
//!     for command in finding.remedy.commands() {
//!         println!("    {command}");
//!     }
//! }
//! ```

mod facts;
mod finding;
mod gather;
mod host;
mod links;
pub(crate) mod lookup;
mod paths;
mod remedy;
mod server;
#[cfg(test)]
mod tests;
mod trial;
#[cfg(test)]
mod trial_tests;

pub use facts::{Counters, Facts, Outcome, PathShare, Probe, Role, SocketAnswer, Trial, Unseen};
pub use finding::{Certainty, Code, Finding, Severity};
#[cfg(any(test, feature = "_fuzzing"))]
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(crate) use gather::listener;
pub use remedy::{Action, Halfway, Place, Remedy};

/// Whether MPTCP works, all findings together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Nothing is wrong; there may be notes.
    Well,
    /// MPTCP works, and something keeps it from being what it could be.
    Findings,
    /// MPTCP doesn't work.
    NoMptcp,
}

impl Verdict {
    /// The stable word: `well`, `findings` or `no-mptcp`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Well => "well",
            Verdict::Findings => "findings",
            Verdict::NoMptcp => "no-mptcp",
        }
    }

    /// The verdict of these findings.
    #[must_use]
    pub fn of(findings: &[Finding]) -> Self {
        match findings.iter().map(|finding| finding.severity).max() {
            Some(Severity::Broken) => Verdict::NoMptcp,
            Some(Severity::Warning) => Verdict::Findings,
            Some(Severity::Note) | None => Verdict::Well,
        }
    }
}

/// Judges the evidence: the worst finding first, and of equally bad ones the surest.
#[must_use]
pub fn judge(facts: &Facts) -> Vec<Finding> {
    if let Some(finding) = host::able(facts) {
        // Whatever else there is can't be told from its consequences.
        return vec![finding];
    }
    let mut found = Vec::new();
    host::switches(facts, &mut found);
    host::manager(facts, &mut found);
    paths::judge(facts, &mut found);
    server::judge(facts, &mut found);
    trial::judge(facts, &mut found);
    host::daemons(facts, &mut found);
    found.sort_by_key(|finding| std::cmp::Reverse((finding.severity, finding.certainty)));
    found
}

impl Facts {
    /// The interfaces to try one by one: those that lead to the destination, and those whose address an endpoint has.
    #[must_use]
    pub fn interfaces_to_probe(&self) -> Vec<String> {
        let ways = paths::ways(self).into_iter().map(|way| way.interface.name.clone());
        let endpoints = self.endpoints.iter().flatten();
        let owners = endpoints
            .filter(|endpoint| self.concerns(endpoint.address))
            .filter_map(|endpoint| self.interface_of(endpoint.address))
            .filter(|interface| interface.is_usable())
            .map(|interface| interface.name.clone());
        let mut names: Vec<String> = Vec::new();
        for name in ways.chain(owners) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }
}
