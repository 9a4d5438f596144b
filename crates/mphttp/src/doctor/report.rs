//! An [`Examination`] for programs: one shape for `mphttp doctor --json` and `mphttp.doctor()` in Python.

use std::net::{IpAddr, SocketAddr};

use mptcp_paths::doctor::{Finding, Outcome, Trial};
use serde::Serialize;

use super::Examination;

/// What the doctor has to say, for programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// `"well"`, `"findings"` (MPTCP works, but not as well as it could) or `"no-mptcp"`.
    pub verdict: &'static str,
    /// What is wrong, the worst first.
    pub findings: Vec<FindingReport>,
    /// The transfer from the URL; null without one.
    pub transfer: Option<TransferReport>,
    /// A request through each interface alone; empty without a URL, or with one interface.
    pub probes: Vec<ProbeReport>,
    /// What could not be seen.
    pub unseen: Vec<UnseenReport>,
}

/// One finding, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct FindingReport {
    /// A stable word: `docs/doctor.md` lists them.
    pub code: &'static str,
    /// Which interface, address or server it is about; null if none.
    pub subject: Option<String>,
    /// `"note"`, `"warning"` or `"broken"`.
    pub severity: &'static str,
    /// `"possible"`, `"likely"` or `"proven"`.
    pub certainty: &'static str,
    /// What was found.
    pub what: String,
    /// Why it matters.
    pub why: String,
    /// Where it is to be mended: `"here"`, `"peer"` or `"network"`.
    pub place: &'static str,
    /// The commands that mend it, for a shell there.
    pub commands: Vec<String>,
    /// The commands that take that back.
    pub undo: Vec<String>,
    /// Whether `mphttp doctor --fix` does it.
    pub safe: bool,
    /// What else to know or to do; null if nothing.
    pub advice: Option<String>,
}

/// The transfer, for programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TransferReport {
    /// Host and port, redirects followed.
    pub server: String,
    /// The address that answered; null if none did.
    pub remote: Option<SocketAddr>,
    /// The proxy of the environment; null if none is used.
    pub proxy: Option<String>,
    /// The answer's `Via` header; null without.
    pub via: Option<String>,
    /// What the connection came to: `"mptcp"`, else why not; null if the kernel can't say.
    pub outcome: Option<&'static str>,
    /// Bytes of bodies received.
    pub bytes: u64,
    /// How long that took, connecting left out.
    pub seconds: f64,
    /// What each path carried.
    pub paths: Vec<PathShareReport>,
}

/// What a path carried, for programs.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct PathShareReport {
    /// The interface that holds the local address.
    pub interface: Option<String>,
    /// The local address.
    pub local: Option<IpAddr>,
    /// The remote address and port.
    pub remote: Option<SocketAddr>,
    /// Payload bytes received.
    pub bytes_received: u64,
    /// Payload bytes sent.
    pub bytes_sent: u64,
    /// The share of what all paths received, 0 to 1.
    pub share: f64,
}

/// A request through one interface, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ProbeReport {
    /// The interface.
    pub interface: String,
    /// What it came to, as for the transfer.
    pub outcome: &'static str,
    /// Why nothing came of it; null if something did.
    pub error: Option<String>,
}

/// What could not be seen, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct UnseenReport {
    /// What.
    pub what: String,
    /// Why not.
    pub why: String,
}

impl From<&Examination> for Report {
    fn from(examination: &Examination) -> Self {
        let facts = &examination.facts;
        let probes = facts.trial.iter().flat_map(|trial| &trial.probes);
        Self {
            verdict: examination.verdict().as_str(),
            findings: examination.findings.iter().map(FindingReport::from).collect(),
            transfer: facts.trial.as_ref().map(TransferReport::from),
            probes: probes
                .map(|probe| ProbeReport {
                    interface: probe.interface.clone(),
                    outcome: probe.outcome.as_str(),
                    error: probe.outcome.error().map(str::to_owned),
                })
                .collect(),
            unseen: facts
                .unseen
                .iter()
                .map(|unseen| UnseenReport { what: unseen.what.clone(), why: unseen.why.clone() })
                .collect(),
        }
    }
}

impl From<&Finding> for FindingReport {
    fn from(finding: &Finding) -> Self {
        let remedy = &finding.remedy;
        Self {
            code: finding.code.as_str(),
            subject: finding.subject.clone(),
            severity: finding.severity.as_str(),
            certainty: finding.certainty.as_str(),
            what: finding.what.clone(),
            why: finding.why.clone(),
            place: remedy.place.as_str(),
            commands: remedy.commands(),
            undo: remedy.undo(),
            safe: remedy.is_safe(),
            advice: remedy.advice.clone(),
        }
    }
}

impl From<&Trial> for TransferReport {
    fn from(trial: &Trial) -> Self {
        let sum = trial.paths.iter().map(|path| path.received).sum::<u64>().max(1);
        Self {
            server: trial.server.clone(),
            remote: trial.remote,
            proxy: trial.proxy.clone(),
            via: trial.via.clone(),
            outcome: trial.outcome.as_ref().map(Outcome::as_str),
            bytes: trial.bytes,
            seconds: (trial.elapsed.as_secs_f64() * 1e6).round() / 1e6,
            paths: trial
                .paths
                .iter()
                .map(|path| PathShareReport {
                    interface: path.interface.clone(),
                    local: path.local,
                    remote: path.remote,
                    bytes_received: path.received,
                    bytes_sent: path.sent,
                    share: (path.received as f64 * 1e4 / sum as f64).round() / 1e4,
                })
                .collect(),
        }
    }
}
