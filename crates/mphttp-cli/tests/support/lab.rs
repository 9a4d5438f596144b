//! Two hosts with links between them, `mphttp serve` on one and `mphttp get` on the other.

#![allow(dead_code, reason = "two tests share it, and neither uses all of it")]

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use libtest_mimic::{Arguments, Failed, Trial};
use netlab::{Direction, Host, Lab, Link, LinkSpec, Rate};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// The program; a release build can be named to be tried instead.
pub fn mphttp() -> String {
    std::env::var("MPHTTP_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_mphttp").to_owned())
}

pub const MEGABYTE: u64 = 1_000_000;

/// Runs these tests, one at a time, in a lab.
pub fn main(tests: Vec<(&'static str, fn())>) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // Not a skip: without a lab nothing below can be shown.
    if let Err(error) = netlab::enter() {
        eprintln!("no lab: {error}");
        return ExitCode::FAILURE;
    }
    arguments.test_threads = Some(1);
    let tests = tests.into_iter().map(|(name, test)| {
        Trial::test(name, move || {
            // A panic is this test's failure, not the end of the run.
            std::panic::catch_unwind(test).map_err(|_| Failed::from("see above"))
        })
    });
    libtest_mimic::run(&arguments, tests.collect()).exit_code()
}

/// Two hosts, links between them, and a folder for files.
pub struct Bench {
    pub _lab: Lab,
    pub client: Host,
    pub server: Host,
    pub links: Vec<Link>,
    pub folder: tempfile::TempDir,
}

impl Bench {
    pub fn new(links: impl IntoIterator<Item = LinkSpec>) -> Self {
        let lab = Lab::new().unwrap();
        let (client, server) = (lab.host("client").unwrap(), lab.host("server").unwrap());
        let links = links.into_iter().map(|spec| lab.link(&client, &server, spec).unwrap()).collect();
        lab.enable_multipath(&client, &server).unwrap();
        Self { _lab: lab, client, server, links, folder: tempfile::tempdir().unwrap() }
    }

    /// Two links of 100 Mbit/s.
    pub fn two_links() -> Self {
        Self::new(["wifi", "lte"].map(|name| LinkSpec::new().name(name).rate(Rate::mbit(100))))
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A file to serve, and its digest.
    pub fn file(&self, name: &str, bytes: u64) -> Vec<u8> {
        fs::create_dir_all(self.path("www")).unwrap();
        let mut file = fs::File::create(self.path("www").join(name)).unwrap();
        let (mut hasher, mut state, mut left) = (Sha256::new(), 88_172_645_463_325_252_u64, bytes);
        while left > 0 {
            let mut block = Vec::with_capacity(1 << 16);
            while block.len() < 1 << 16 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                block.extend_from_slice(&state.to_ne_bytes());
            }
            block.truncate(block.len().min(left as usize));
            hasher.update(&block);
            file.write_all(&block).unwrap();
            left -= block.len() as u64;
        }
        hasher.finalize().to_vec()
    }

    pub fn serve(&self, arguments: &[&str]) -> Serving {
        let mut command = Command::new(mphttp());
        command.arg("serve").arg(self.path("www")).args(["--port", "8000"]).args(arguments);
        command.env_remove("MPHTTP_PROTOCOL").stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.server.spawn(command).unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
        // Once it listens it names its URLs and, last, whether MPTCP is on.
        let mut told = Vec::new();
        for line in stderr.by_ref() {
            let line = line.unwrap();
            let done = line.contains("MPTCP");
            told.push(line);
            if done {
                break;
            }
        }
        let rest = thread::spawn(move || stderr.map_while(Result::ok).collect::<Vec<_>>());
        let log = BufReader::new(child.stdout.take().unwrap());
        let log = thread::spawn(move || log.lines().map_while(Result::ok).collect::<Vec<_>>());
        Serving { child, told, rest: Some(rest), log: Some(log) }
    }

    pub fn url(&self, name: &str) -> String {
        format!("http://{}:8000/{name}", self.links[0].address(&self.server).unwrap())
    }

    pub fn get(&self, name: &str, arguments: &[&str]) -> Getting {
        self.get_url(&self.url(name), arguments)
    }

    pub fn get_url(&self, url: &str, arguments: &[&str]) -> Getting {
        let mut command = Command::new(mphttp());
        command.args(["get", "--json", "-o"]).arg(self.path("got")).args(arguments).arg(url);
        command
            .env_remove("MPHTTP_PROTOCOL")
            .env("no_proxy", "*")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Getting { child: self.client.spawn(command).unwrap() }
    }

    pub fn got(&self) -> Vec<u8> {
        digest(&self.path("got"))
    }

    /// Waits until the links have carried so many bytes to the client.
    pub fn wait_for(&self, bytes: u64) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.carried() < bytes {
            assert!(Instant::now() < deadline, "the download does not get that far");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Bytes that the links have carried to the client.
    pub fn carried(&self) -> u64 {
        self.links.iter().map(|link| link.traffic(Direction::BToA).unwrap().received_bytes).sum()
    }
}

pub fn digest(path: &Path) -> Vec<u8> {
    let mut hasher = Sha256::new();
    hasher.update(fs::read(path).unwrap());
    hasher.finalize().to_vec()
}

pub struct Serving {
    pub child: Child,
    pub told: Vec<String>,
    pub rest: Option<thread::JoinHandle<Vec<String>>>,
    pub log: Option<thread::JoinHandle<Vec<String>>>,
}

impl Serving {
    /// Stops the server and returns its access log.
    pub fn stop(mut self) -> Vec<String> {
        self.end();
        let log = self.log.take().unwrap().join().unwrap();
        self.rest.take().unwrap().join().unwrap();
        log
    }

    pub fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.end();
    }
}

pub struct Getting {
    pub child: Child,
}

impl Getting {
    /// Waits for `get` and reads the object it prints.
    pub fn json(self) -> Value {
        let output = self.child.wait_with_output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{}\n{stdout}\n{stderr}", output.status);
        let value: Value = serde_json::from_str(&stdout).unwrap();
        println!("{value}");
        value
    }
}

pub fn seconds(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or_else(|| panic!("no {field} in {value}"))
}
