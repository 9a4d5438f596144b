//! CPython's own suites for what the package derives from, with the standard classes and with ours in their place: as many
//! pass, over MPTCP that is really on the wire, with MPTCP switched off, and with `MPHTTP_PROTOCOL=tcp`, when who makes
//! an MPTCP socket is killed.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
    thread,
};

use netlab::{Host, Lab};
use serde_json::Value;

use crate::{
    Test,
    environments::{Environments, Python, command, folder, output},
};

/// How many run at once: they mostly sleep.
const AT_ONCE: usize = 6;

/// In what way a suite is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Way {
    /// The standard library as it is.
    Stock,
    /// Our classes, with MPTCP.
    Mptcp,
    /// Our classes on a host without MPTCP.
    Off,
    /// Our classes with plain TCP asked for by the environment.
    Tcp,
}

const WAYS: [Way; 4] = [Way::Stock, Way::Mptcp, Way::Off, Way::Tcp];

/// What came of the suites: for each, the tests by outcome.
struct Outcome {
    suites: BTreeMap<String, Tests>,
    /// MPTCP SYNs that the host received.
    mptcp_syns: u64,
}

struct Tests {
    passed: BTreeSet<String>,
    failed: BTreeMap<String, String>,
    skipped: usize,
}

/// One trial for all, which run side by side.
pub fn trials(environments: &Environments) -> Vec<Test> {
    let pythons: Vec<Python> = environments.pythons.iter().filter(|python| python.suites).cloned().collect();
    let name = format!("CPython's own suites, of {} versions", pythons.len());
    vec![(name, Box::new(move || all(&pythons)))]
}

fn all(pythons: &[Python]) {
    assert!(
        !pythons.is_empty(),
        "no Python has its test suites (Debian: apt-get install libpython3.X-testsuite)"
    );
    let jobs = pythons.iter().flat_map(|python| WAYS.map(|way| (python, way)));
    let (jobs, outcomes) = (Mutex::new(jobs), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let Some((python, way)) = jobs.lock().unwrap().next() else { break };
                    let outcome = run(python, way);
                    outcomes.lock().unwrap().push(((python.version.clone(), way), outcome));
                }
            });
        }
    });
    let outcomes: BTreeMap<_, _> = outcomes.into_inner().unwrap().into_iter().collect();
    let mut wrong = Vec::new();
    for python in pythons {
        let of = |way| &outcomes[&(python.version.clone(), way)];
        let stock = of(Way::Stock);
        for way in WAYS {
            let outcome = of(way);
            let counts: Vec<String> = outcome
                .suites
                .iter()
                .map(|(name, tests)| format!("{name} {}+{}", tests.passed.len(), tests.skipped))
                .collect();
            println!(
                "CPython {}, {way:?}: {} MPTCP SYNs; passed+skipped {}",
                python.version,
                outcome.mptcp_syns,
                counts.join(", ")
            );
            for (name, tests) in &outcome.suites {
                let expected = &stock.suites[name];
                for lost in expected.passed.difference(&tests.passed) {
                    let why = tests.failed.get(lost).map_or("it did not run", String::as_str);
                    wrong.push(format!(
                        "CPython {}, {way:?}: {lost} passes with the standard classes\n{why}",
                        python.version
                    ));
                }
                if expected.passed.is_empty() {
                    wrong.push(format!(
                        "CPython {}: {name} has no test that passes: {:?}",
                        python.version, expected.failed
                    ));
                }
            }
            // Each of the suites makes dozens of connections, and every one of them is MPTCP or none is.
            let enough = match way {
                Way::Mptcp => outcome.mptcp_syns >= 100,
                Way::Stock | Way::Off | Way::Tcp => outcome.mptcp_syns == 0,
            };
            if !enough {
                wrong.push(format!("CPython {}, {way:?}: {} MPTCP SYNs", python.version, outcome.mptcp_syns));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn run(python: &Python, way: Way) -> Outcome {
    let lab = Lab::new().unwrap();
    let host = lab.host("suites").unwrap();
    let mut command = command(&python.program);
    command.arg(folder().join("standard_library.py"));
    command.args(["--classes", if way == Way::Stock { "stock" } else { "mphttp" }]);
    match way {
        Way::Off => host.sysctl("net.mptcp.enabled", "0").unwrap(),
        Way::Tcp => {
            command.arg("--forbid-mptcp").env("MPHTTP_PROTOCOL", "tcp");
        }
        Way::Stock | Way::Mptcp => {}
    }
    let said: Value = serde_json::from_str(&output(&host, command)).unwrap();
    let suites = said.as_object().unwrap().iter().map(|(name, tests)| {
        let names =
            |key: &str| tests[key].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned());
        let failed = tests["failed"].as_object().unwrap().iter();
        let failed = failed.map(|(name, why)| (name.clone(), why.as_str().unwrap_or_default().to_owned()));
        let tests = Tests {
            passed: names("passed").collect(),
            failed: failed.collect(),
            skipped: names("skipped").count(),
        };
        (name.clone(), tests)
    });
    Outcome { suites: suites.collect(), mptcp_syns: syns(&host) }
}

fn syns(host: &Host) -> u64 {
    host.counters().unwrap()["MPTcpExtMPCapableSYNRX"]
}
