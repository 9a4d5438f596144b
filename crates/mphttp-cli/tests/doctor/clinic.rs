//! Two hosts with two links, a server, and the doctor at work on either host.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use mptcp_paths::{Endpoint, EndpointFlags};
use netlab::{Direction, Host, LinkSpec, Rate};
use serde_json::Value;

use crate::support::{Bench, MEGABYTE, Serving, mphttp};

pub type Tests = &'static [(&'static str, fn())];

pub const SUBFLOW: EndpointFlags = EndpointFlags::SUBFLOW;
pub const SIGNAL: EndpointFlags = EndpointFlags::SIGNAL;

/// A healthy client and a healthy server, with links of 100 Mbit/s, wifi and lte.
pub struct Clinic {
    pub bench: Bench,
    pub serving: Option<Serving>,
}

/// What the doctor said.
pub struct Said {
    pub exit: i32,
    pub json: Value,
}

impl Clinic {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// With these options of `mphttp serve`.
    pub fn with(serve: &[&str]) -> Self {
        Self::of(["wifi", "lte"].map(|name| LinkSpec::new().name(name).rate(Rate::mbit(100))), serve)
    }

    pub fn of(links: impl IntoIterator<Item = LinkSpec>, serve: &[&str]) -> Self {
        let bench = Bench::new(links);
        bench.file("big", 8 * MEGABYTE);
        let serving = Some(bench.serve(serve));
        Self { bench, serving }
    }

    pub fn client(&self) -> &Host {
        &self.bench.client
    }

    pub fn server(&self) -> &Host {
        &self.bench.server
    }

    /// Stops the server and starts it with other options.
    pub fn serve_anew(&mut self, options: &[&str]) {
        self.serving = None;
        self.serving = Some(self.bench.serve(options));
    }

    /// The client's endpoints, in place of those it had.
    pub fn endpoints(&self, endpoints: &[Endpoint]) {
        let mut manager = self.client().path_manager().unwrap();
        manager.flush().unwrap();
        for endpoint in endpoints {
            manager.add(endpoint).unwrap();
        }
    }

    /// An endpoint for the client's address on a link.
    pub fn endpoint(&self, link: usize, flags: EndpointFlags) -> Endpoint {
        Endpoint::new(self.bench.links[link].address(self.client()).unwrap(), flags)
    }

    /// The doctor on the client, with the server's URL.
    pub fn doctor(&self) -> Said {
        self.doctor_with(&[], |_| {})
    }

    pub fn doctor_with(&self, arguments: &[&str], change: impl FnOnce(&mut Command)) -> Said {
        let mut command = Command::new(mphttp());
        command.arg("doctor").args(arguments).arg(self.bench.url("big")).arg("--json");
        change(&mut command);
        said(run(self.client(), command))
    }

    /// The doctor on the client, with another URL of the server's.
    pub fn doctor_at(&self, url: &str) -> Said {
        let mut command = Command::new(mphttp());
        command.args(["doctor", "--json", url]);
        said(run(self.client(), command))
    }

    /// The doctor on the server's host.
    pub fn server_doctor(&self) -> Said {
        let mut command = Command::new(mphttp());
        command.args(["doctor", "--server", "--json"]);
        said(run(self.server(), command))
    }

    /// A download of its own, by the kernel alone: both links must carry a good part of it.
    pub fn assert_both_paths_carry(&self) {
        let carried = || -> Vec<u64> {
            let traffic = |link: &netlab::Link| link.traffic(Direction::BToA).unwrap().received_bytes;
            self.bench.links.iter().map(traffic).collect()
        };
        let before = carried();
        let got = self.bench.get("big", &["--paths", "off"]).json();
        assert_eq!(got["protocol"], "mptcp", "{got}");
        assert!(got["paths_total"].as_u64() >= Some(2), "{got}");
        let grown: Vec<u64> = carried().iter().zip(&before).map(|(now, then)| now - then).collect();
        assert!(grown.iter().all(|bytes| *bytes > MEGABYTE), "{grown:?} bytes over the links");
    }

    /// The whole proof: this finding, mended by its own commands on the client, and then all is well.
    pub fn heals(&self, code: &str, certainty: &str) {
        let said = self.doctor();
        let finding = said.finding(code);
        assert_eq!(finding["certainty"], certainty, "{finding}");
        assert_eq!(finding["place"], "here", "{finding}");
        run_commands(self.client(), finding);
        self.assert_well();
    }

    /// Nothing is wrong any more, and both paths carry bytes.
    pub fn assert_well(&self) {
        self.doctor().assert_well();
        self.assert_both_paths_carry();
    }
}

impl Said {
    /// The finding of this kind; that there is one is the point.
    pub fn finding(&self, code: &str) -> &Value {
        let findings = self.json["findings"].as_array().unwrap();
        let found: Vec<_> = findings.iter().filter(|finding| finding["code"] == code).collect();
        assert_eq!(found.len(), 1, "not one {code}: {}", self.json);
        let serious = found[0]["severity"] != "note";
        // A cause must not be told beside others that are none.
        if serious {
            let worst = findings.iter().filter(|finding| finding["severity"] != "note");
            assert_eq!(worst.count(), 1, "more than {code}: {}", self.json);
        }
        let exit = match found[0]["severity"].as_str().unwrap() {
            "broken" => 120,
            "warning" => 121,
            _ => 0,
        };
        assert_eq!(self.exit, exit, "{}", self.json);
        found[0]
    }

    pub fn assert_well(&self) {
        let findings = self.json["findings"].as_array().unwrap();
        assert!(findings.is_empty(), "{}", self.json);
        assert_eq!((self.exit, &self.json["verdict"]), (0, &"well".into()));
        assert_eq!(self.json["unseen"].as_array().unwrap().len(), 0, "{}", self.json);
    }
}

fn said(output: Output) -> Said {
    let text = String::from_utf8_lossy(&output.stdout);
    let problem = String::from_utf8_lossy(&output.stderr);
    let json: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}{problem}"));
    assert!(json.get("error").is_none(), "{json}");
    Said { exit: output.status.code().unwrap(), json }
}

/// Runs a program on a host, without what the environment says of proxies.
pub fn run(host: &Host, mut command: Command) -> Output {
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "MPHTTP_PROTOCOL"] {
        if !command.get_envs().any(|(key, value)| key == name && value.is_some()) {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    host.spawn(command).unwrap().wait_with_output().unwrap()
}

/// Runs the commands of a finding as they are printed, in a shell that finds this `mphttp`.
pub fn run_commands(host: &Host, finding: &Value) {
    let commands = finding["commands"].as_array().unwrap();
    assert!(!commands.is_empty(), "{finding}");
    for command in commands {
        run_line(host, command.as_str().unwrap());
    }
}

pub fn run_line(host: &Host, line: &str) {
    println!("$ {line}");
    let output = run(host, shell(line));
    assert!(output.status.success(), "{line}: {output:?}");
}

/// A shell with this line, and this `mphttp` among its programs.
pub fn shell(line: &str) -> Command {
    let program = mphttp();
    let folder = Path::new(&program).parent().unwrap().to_str().unwrap();
    let path = format!("{folder}:{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(line).env("PATH", path);
    shell
}
