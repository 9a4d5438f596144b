//! The judge of a transfer: what each path to the server does to MPTCP, and why one carried nothing.

use super::facts::{Facts, Outcome, Probe, Trial};
use super::finding::{Certainty, Code, Finding, Severity};
use super::host::{accepting, finding, sysctl};
use super::paths::{WayOut, opens, primary, ways};
use super::remedy::{Action, Place, Remedy};
use crate::{Limits, ManagerKind};

const LET_PASS: &str = "ask whoever runs the network to let TCP option 30 pass, or take another one; meanwhile mphttp get \
                        uses each link with plain TCP (--paths auto)";

pub(super) fn judge(facts: &Facts, found: &mut Vec<Finding>) {
    let Some(trial) = &facts.trial else { return };
    proxies(trial, found);
    let Some(outcome) = &trial.outcome else { return };
    if let Outcome::NoConnection(why) = outcome {
        found.push(
            finding(
                Code::Unreachable,
                Severity::Broken,
                Certainty::Proven,
                format!("no answer from {}: {why}", trial.server),
                "neither MPTCP nor TCP gets there, so nothing can be said about its paths",
                Remedy::at(
                    Place::Peer,
                    "check the URL, and that the server runs and listens on all of its addresses",
                ),
            )
            .about(&trial.server),
        );
        // Paths that do lead there are worth knowing.
    }
    if let Outcome::Failed(why) = outcome {
        found.push(
            finding(
                Code::NoAnswer,
                Severity::Warning,
                Certainty::Proven,
                format!("{} is reached, and gives no answer: {why}", trial.server),
                "without an answer nothing can be said about MPTCP on the way there",
                Remedy::at(Place::Peer, "try again, or name a URL that is answered at once, as a file's is"),
            )
            .about(&trial.server),
        );
    }
    paths(facts, trial, outcome, found);
    if *outcome == Outcome::Mptcp {
        one_path(facts, trial, found);
    }
}

fn proxies(trial: &Trial, found: &mut Vec<Finding>) {
    if let Some(proxy) = &trial.proxy {
        found.push(
            finding(
                Code::Proxy,
                Severity::Warning,
                Certainty::Proven,
                format!("requests go through the proxy {proxy}, as the environment demands"),
                "paths lead to the proxy; what it speaks with the server can't be seen from here, and is TCP with most",
                Remedy::here([Action::Export { name: "no_proxy", value: host(&trial.server).to_owned() }])
                    .advice("if the server can be reached without it"),
            )
            .about(proxy),
        );
    }
    if let Some(via) = &trial.via {
        found.push(
            finding(
                Code::Via,
                Severity::Note,
                Certainty::Likely,
                format!("the answer came by way of {via} (its Via header says so)"),
                "MPTCP ends at whatever answers first: a proxy or a content network, which speaks for the server",
                Remedy::at(Place::Peer, "nothing to mend if that one speaks MPTCP"),
            )
            .about(&trial.server),
        );
    }
}

/// Without the port.
fn host(server: &str) -> &str {
    match server.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            host.trim_start_matches('[').trim_end_matches(']')
        }
        _ => server,
    }
}

/// Each path by itself.
fn paths(facts: &Facts, trial: &Trial, outcome: &Outcome, found: &mut Vec<Finding>) {
    let main_is_mptcp = *outcome == Outcome::Mptcp;
    // Of a way that gave no answer it isn't known that it lacks MPTCP.
    let is_open = matches!(outcome, Outcome::Failed(_));
    let severity = if main_is_mptcp || is_open { Severity::Warning } else { Severity::Broken };
    let someone_speaks = main_is_mptcp || trial.probes.iter().any(|probe| probe.outcome == Outcome::Mptcp);
    let answers = |outcome: &Outcome| outcome.error().is_none();
    let someone_answers = answers(outcome) || trial.probes.iter().any(|probe| answers(&probe.outcome));
    if *outcome == Outcome::Stripped && !someone_speaks {
        found.push(without_mptcp(trial));
    }
    let routes_send = ways(facts).first().map(|way| way.interface.name.clone());
    // The way that the routes choose was tried by the transfer itself, if not by a probe of its own.
    let implied = Probe {
        interface: routes_send.unwrap_or_else(|| "the default route".to_owned()),
        outcome: outcome.clone(),
        counters: trial.counters.clone(),
    };
    let main = trial.probe(&implied.interface).is_none().then_some(&implied);
    for probe in trial.probes.iter().chain(main) {
        let name = &probe.interface;
        let about = |code, what: String, why: &str, remedy| {
            finding(code, severity, Certainty::Proven, what, why, remedy).about(name)
        };
        const NO_PATH: &str =
            "a connection that begins there is plain TCP, and none can be joined from there";
        match &probe.outcome {
            Outcome::Stripped if someone_speaks => found.push(about(
                Code::PathStrips,
                format!("on the way through {name} a box removes MPTCP from connection requests or their answers"),
                NO_PATH,
                Remedy::at(Place::Network, LET_PASS),
            )),
            Outcome::SynDropped => found.push(about(
                Code::PathDropsSyn,
                format!("on the way through {name} a box swallows connection requests with MPTCP; plain TCP is answered"),
                NO_PATH,
                Remedy::at(Place::Network, LET_PASS),
            )),
            Outcome::SynReset => found.push(about(
                Code::PathResetsSyn,
                format!("on the way through {name} a box resets connection requests with MPTCP; plain TCP is answered"),
                NO_PATH,
                Remedy::at(Place::Network, LET_PASS),
            )),
            Outcome::FellBack => found.push(about(
                Code::PathFallsBack,
                format!("on the way through {name} a box lets the handshake with MPTCP pass, and removes it later"),
                "connections fall back to TCP under way, or lose that path",
                Remedy::at(Place::Network, LET_PASS),
            )),
            Outcome::NoConnection(why) if someone_answers => dead(trial, probe, why, found),
            Outcome::Failed(why) if someone_answers => found.push(
                finding(
                    Code::PathFails,
                    Severity::Warning,
                    Certainty::Proven,
                    format!("through {name} alone a request to {} comes to nothing: {why}", trial.server),
                    "something answers there, and it may not be the server: networks that want a login answer for \
                     others, and so do filters",
                    Remedy::at(
                        Place::Network,
                        format!("log in to the network behind {name}, with a browser, or leave it out"),
                    ),
                )
                .about(name),
            ),
            _ => {}
        }
    }
}

fn without_mptcp(trial: &Trial) -> Finding {
    let peer =
        trial.proxy.as_ref().map_or_else(|| trial.server.clone(), |proxy| format!("the proxy {proxy}"));
    finding(
        Code::PeerWithoutMptcp,
        Severity::Broken,
        Certainty::Likely,
        format!("{peer} answers without MPTCP, whichever way it is asked"),
        "the connection is plain TCP over one path",
        Remedy::at(
            Place::Peer,
            "run mphttp doctor --server there; the server program must listen with MPTCP: mphttp serve does, Go does \
             (from 1.24), others by mptcpize run or an option of theirs. A box right before the server that removes \
             MPTCP looks the same from here",
        ),
    )
    .about(peer)
}

fn dead(trial: &Trial, probe: &Probe, why: &str, found: &mut Vec<Finding>) {
    let name = &probe.interface;
    let explains = |finding: &Finding| {
        finding.subject.as_ref() == Some(name)
            && matches!(finding.code, Code::RpFilter | Code::NoRoute | Code::InterfaceDown | Code::NoCarrier)
    };
    if found.iter().any(explains) {
        return;
    }
    found.push(
        finding(
            Code::PathDead,
            Severity::Warning,
            Certainty::Proven,
            format!("through {name} alone {} can't be reached, neither with MPTCP nor with TCP: {why}", trial.server),
            "a firewall drops what comes or goes there, the link is dead, or its router leads nowhere",
            Remedy::at(
                Place::Network,
                format!(
                    "look at the firewalls of both hosts (nft list ruleset) and at what is behind {name}: a plain \
                     download must work there first (mphttp get --interface {name} URL)"
                ),
            ),
        )
        .about(name),
    );
}

/// MPTCP, and bytes on one path alone, although there is a second way.
fn one_path(facts: &Facts, trial: &Trial, found: &mut Vec<Finding>) {
    if trial.used_interfaces().len() > 1 || trial.proxy.is_some() {
        return;
    }
    let counted = |name| trial.counters.mptcp(name);
    let accepts = facts.limits.is_some_and(|limits| limits.add_addr_accepted > 0);
    if let Some(limits) = facts.limits.filter(|_| counted("AddAddr") > 0 && !accepts) {
        found.push(finding(
            Code::LimitAddAddr,
            Severity::Warning,
            Certainty::Likely,
            "the server announces further addresses, and this host makes no use of any (the limit add_addr_accepted is 0)",
            "no path is opened to them",
            Remedy::here([accepting(facts, limits)]),
        ));
    }
    let explains = |finding: &Finding| {
        finding.severity >= Severity::Warning && !matches!(finding.code, Code::MtuSmall)
            || finding.code == Code::EndpointBackup
    };
    if ways(facts).len() < 2 || found.iter().any(explains) {
        return;
    }
    let warn = |code, certainty, what: &str, why: &str, remedy| {
        finding(code, Severity::Warning, certainty, what, why, remedy).about(&trial.server)
    };
    let (asked, answered, there) = (
        counted("MPJoinSynTx"),
        counted("MPJoinSynAckRx"),
        trial.paths.iter().filter(|path| path.remote.is_some()).count(),
    );
    found.push(if there > 1 {
        finding(
            Code::PathIdle,
            Severity::Note,
            Certainty::Possible,
            format!("{there} paths were there, and one carried everything ({} bytes)", trial.bytes),
            "a second path comes into play when the first one's window is full: little data, or a link that is much \
             slower, leaves it idle",
            Remedy::at(Place::Here, "name a URL with a file of some megabytes"),
        )
        .about(&trial.server)
    } else if asked == 0 && would_ask(facts) {
        warn(
            Code::PeerForbidsJoins,
            Certainty::Likely,
            "the kernel asked for no further path, although endpoints and limits allow it",
            "a server that sets the C-flag (RFC 8684 section 3.1) forbids further paths to the address that was \
             connected to; those behind load balancers do, and announce others",
            Remedy {
                place: Place::Peer,
                actions: vec![sysctl("net/mptcp/allow_join_initial_addr_port", "1", Some("0".into()))],
                advice: Some(
                    "on the server, unless a load balancer is in front of it; then announce an address of its own: \
                     mphttp paths add ADDR --signal --port N"
                        .into(),
                ),
                ..Remedy::default()
            },
        )
    } else if asked == 0 {
        warn(
            Code::JoinsUnanswered,
            Certainty::Possible,
            "no further path came about, and whether this host asked for one can't be seen",
            "the kernel doesn't count it (before Linux 6.12), or it isn't the kernel that asks, or no endpoint is known \
             that it would ask from",
            Remedy::at(
                Place::Network,
                "look at what is behind the second interface, at this host's endpoints (mphttp paths), and on the \
                 server run mphttp doctor --server",
            ),
        )
    } else if answered == 0 {
        warn(
            Code::JoinsUnanswered,
            Certainty::Possible,
            "further paths were asked for, and nobody answered with MPTCP",
            "a firewall or box on that path drops or refuses the requests, or the server is another one there",
            Remedy::at(
                Place::Network,
                "look at what is behind the second interface; on the server run mphttp doctor --server",
            ),
        )
    } else {
        warn(
            Code::PeerRefusesJoins,
            Certainty::Likely,
            "further paths were asked for, and the server refused them in the end",
            "its limit of additional subflows is reached, or is 0",
            Remedy {
                place: Place::Peer,
                actions: vec![Action::SetLimits {
                    to: Limits { subflows: super::host::MOST, add_addr_accepted: 0 },
                    from: None,
                }],
                advice: Some("on the server; mphttp doctor --server says there what it is".into()),
                ..Remedy::default()
            },
        )
    });
}

/// Whether the kernel would have asked for a further path, and counted that it did: that it asked for none is the
/// server's doing then. `MPJoinSynTx` is counted from Linux 6.12 on.
fn would_ask(facts: &Facts) -> bool {
    let first = primary(facts);
    let is_second = |way: &WayOut<'_>| Some(way.interface.index) != first;
    let asks_from = |way: &WayOut<'_>| {
        facts.endpoints.iter().flatten().any(|endpoint| {
            let owner = facts.interface_of(endpoint.address);
            opens(endpoint)
                && facts.concerns(endpoint.address)
                && owner.is_some_and(|owner| owner.index == way.interface.index)
        })
    };
    facts.counters.has_mptcp("MPJoinSynTx")
        && facts.settings.manager() == Some(ManagerKind::Kernel)
        && ways(facts).iter().any(|way| is_second(way) && asks_from(way))
}
