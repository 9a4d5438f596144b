//! Two hosts: `python -m mphttp.server` on one, Python's clients on the other; two links between them, or a hostile box.

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use netlab::{After, BoxKind, Direction, Host, Lab, Link, LinkSpec, Rate, Segments};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    Test,
    environments::{Environments, command, folder, output},
};

const MEGABYTE: usize = 1_000_000;

/// Clients whose connects race addresses and protocols.
const RACING: [&str; 7] =
    ["http_client", "urllib", "requests", "httpx", "httpx_async", "streams", "installed"];

pub fn trials(environments: &Environments) -> Vec<Test> {
    let (libraries, niquests) = (&environments.libraries, &environments.niquests);
    let mut tests: Vec<Test> = Vec::new();
    let mut add = |name: String, python: &PathBuf, run: fn(&Path, &'static str), client: &'static str| {
        let python = python.clone();
        tests.push((name, Box::new(move || run(&python, client))));
    };
    for client in RACING.into_iter().chain(["aiohttp", "download", "download_async"]) {
        add(format!("{client} downloads over both links"), libraries, over_both_links, client);
    }
    add("niquests downloads over both links".to_owned(), niquests, over_both_links, "niquests");
    for client in ["http_client", "requests", "httpx", "aiohttp", "download", "download_async"] {
        add(format!("{client} survives the death of a link"), libraries, link_dies, client);
    }
    for client in RACING.into_iter().chain(["download"]) {
        add(format!("{client} gets through a box that swallows MPTCP SYNs"), libraries, swallowed, client);
    }
    for client in RACING.into_iter().chain(["aiohttp"]) {
        add(
            format!("{client} falls back where a box strips MPTCP, and says so"),
            libraries,
            stripped,
            client,
        );
    }
    for client in ["http_client", "streams"] {
        add(format!("{client} reaches a link-local address by its scope"), libraries, link_local, client);
    }
    for client in ["http_client", "urllib", "requests", "httpx", "httpx_async"] {
        add(format!("{client} doesn't take spoilt bytes for whole"), libraries, turns_hostile, client);
    }
    tests
}

/// Two hosts with links between them, and a server of files on one.
struct Bench {
    _lab: Lab,
    client: Host,
    server: Host,
    links: Vec<Link>,
    _folder: tempfile::TempDir,
    /// The SHA-256 of the file, in hexadecimal digits.
    digest: String,
    serving: Child,
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = self.serving.kill();
        let _ = self.serving.wait();
    }
}

impl Bench {
    /// The hosts, with a file of so many bytes served by `python -m mphttp.server`.
    fn new(python: &Path, bytes: usize, links: impl IntoIterator<Item = LinkSpec>) -> Self {
        let lab = Lab::new().unwrap();
        let (client, server) = (lab.host("client").unwrap(), lab.host("server").unwrap());
        let links: Vec<Link> =
            links.into_iter().map(|spec| lab.link(&client, &server, spec).unwrap()).collect();
        lab.enable_multipath(&client, &server).unwrap();
        let folder = tempfile::tempdir().unwrap();
        // Bytes that repeat nowhere near: 64-bit xorshift.
        let mut state = 88_172_645_463_325_252_u64;
        let mut content = Vec::with_capacity(bytes + 8);
        while content.len() < bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend_from_slice(&state.to_ne_bytes());
        }
        content.truncate(bytes);
        let digest = Sha256::digest(&content).iter().map(|byte| format!("{byte:02x}")).collect();
        fs::write(folder.path().join("file"), content).unwrap();
        let mut serve = command(python);
        serve.args(["-u", "-m", "mphttp.server", "8000", "--bind", "::", "--directory"]).arg(folder.path());
        // A log that nobody reads would stop the server once the pipe is full.
        serve.stderr(Stdio::null());
        let mut serving = server.spawn(serve).unwrap();
        // It says so once it listens.
        let mut line = String::new();
        BufReader::new(serving.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(line.starts_with("Serving HTTP"), "{line}");
        Self { _lab: lab, client, server, links, digest, _folder: folder, serving }
    }

    fn two_links(python: &Path, bytes: usize) -> Self {
        Self::new(python, bytes, ["wifi", "lte"].map(|name| LinkSpec::new().name(name).rate(Rate::mbit(100))))
    }

    /// One link with a box, 10 ms long.
    fn boxed(python: &Path, kind: BoxKind) -> Self {
        let spec = LinkSpec::new().name("wan").rate(Rate::mbit(100)).delay(Duration::from_millis(5));
        Self::new(python, MEGABYTE, [spec.middlebox(kind)])
    }

    fn download_command(&self, python: &Path, client: &str, protocol: &str) -> Command {
        self.download_from(
            &self.links[0].address(&self.server).unwrap().to_string(),
            python,
            client,
            protocol,
        )
    }

    fn download_from(&self, host: &str, python: &Path, client: &str, protocol: &str) -> Command {
        let mut command = command(python);
        command.arg(folder().join("lab/download.py"));
        command.args([client, &format!("http://{host}:8000/file"), protocol]);
        command
    }

    fn download(&self, python: &Path, client: &str, protocol: &str) -> Value {
        let command = self.download_command(python, client, protocol);
        serde_json::from_str(&output(&self.client, command)).unwrap()
    }

    /// Asserts that the file came whole.
    fn whole(&self, got: &Value) {
        assert_eq!(got["error"], Value::Null, "{got}");
        assert_eq!(got["sha256"], self.digest.as_str(), "{got}");
    }

    /// Bytes that each link has carried to the client.
    fn carried(&self) -> Vec<u64> {
        self.links.iter().map(|link| link.traffic(Direction::BToA).unwrap().received_bytes).collect()
    }
}

fn over_both_links(python: &Path, client: &'static str) {
    let bytes = 25 * MEGABYTE;
    let bench = Bench::two_links(python, bytes);
    let tcp = bench.download(python, client, "tcp");
    bench.whole(&tcp);
    let before = bench.carried();
    let got = bench.download(python, client, "mptcp");
    bench.whole(&got);
    let shares: Vec<f64> = bench
        .carried()
        .iter()
        .zip(before)
        .map(|(after, before)| (after - before) as f64 / bytes as f64)
        .collect();
    let ratio = got["seconds"].as_f64().unwrap() / tcp["seconds"].as_f64().unwrap();
    println!("{client}: {ratio:.2} of TCP's time, shares {shares:.2?}");
    assert!(shares.iter().all(|&share| share > 0.25), "{shares:?}");
    assert!(ratio < 0.75, "{ratio}");
    let transport = &got["transport"];
    assert_eq!(transport["protocol"], "mptcp", "{got}");
    assert!(transport["paths_total"].as_u64().unwrap() >= 2, "{transport}");
    // Where plain TCP is installed, nothing is: the sockets are the program's own.
    let why = if client == "installed" { "tcp-socket" } else { "not-requested" };
    assert_eq!(tcp["transport"]["why_tcp"], why, "{tcp}");
}

fn link_dies(python: &Path, client: &'static str) {
    let bytes = 25 * MEGABYTE;
    let bench = Bench::two_links(python, bytes);
    let child = bench.client.spawn(bench.download_command(python, client, "mptcp")).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    while bench.carried().iter().sum::<u64>() < bytes as u64 / 2 {
        assert!(Instant::now() < deadline, "the download does not get that far");
        thread::sleep(Duration::from_millis(10));
    }
    bench.links[0].set_black_hole(true).unwrap();
    let out = child.wait_with_output().unwrap();
    let got: Value = serde_json::from_slice(&out.stdout).unwrap();
    bench.whole(&got);
}

fn swallowed(python: &Path, client: &'static str) {
    let bench = Bench::boxed(python, BoxKind::DropMptcpSyn);
    let got = bench.download(python, client, "mptcp");
    bench.whole(&got);
    assert_eq!(got["transport"]["why_tcp"], "syn-dropped", "{got}");
    // The kernel alone needs three seconds, and then switches MPTCP off for the whole host.
    assert!(got["seconds"].as_f64().unwrap() < 2.5, "{got}");
    assert_eq!(bench.client.counters().unwrap().get("MPTcpExtBlackhole").copied().unwrap_or(0), 0);
    let got = bench.download(python, client, "mptcp-only");
    assert_ne!(got["error"], Value::Null, "{got}");
}

fn stripped(python: &Path, client: &'static str) {
    let bench = Bench::boxed(python, BoxKind::StripMptcp { segments: Segments::All, direction: None });
    let got = bench.download(python, client, "mptcp");
    bench.whole(&got);
    assert_eq!(got["transport"]["why_tcp"], "peer-or-path", "{got}");
}

fn turns_hostile(python: &Path, client: &'static str) {
    let spec = LinkSpec::new().name("wan").rate(Rate::mbit(100)).delay(Duration::from_millis(5));
    let hostile = BoxKind::StripAfter(After::Bytes(3_000_000));
    let bench = Bench::new(python, 10 * MEGABYTE, [spec.middlebox(hostile)]);
    let got = bench.download(python, client, "mptcp");
    let chain = got["error"]["chain"].as_array().unwrap_or_else(|| panic!("no error: {got}"));
    assert!(chain.iter().any(|name| name == "FellBackError"), "{got}");
}

fn link_local(python: &Path, client: &'static str) {
    let bench = Bench::two_links(python, MEGABYTE);
    // The server's address on the second link; the same prefix is on both, and only the scope tells them apart.
    let text = bench.server.run(|| fs::read_to_string("/proc/thread-self/net/if_inet6")).unwrap().unwrap();
    let line = text.lines().find(|line| line.starts_with("fe80") && line.ends_with(" lte")).unwrap();
    let groups: Vec<&str> = (0..8).map(|group| &line[group * 4..group * 4 + 4]).collect();
    let host = format!("[{}%lte]", groups.join(":"));
    let command = bench.download_from(&host, python, client, "mptcp");
    let got: Value = serde_json::from_str(&output(&bench.client, command)).unwrap();
    bench.whole(&got);
    assert_eq!(got["transport"]["protocol"], "mptcp", "{got}");
}
