//! The programs that the HTTP bench compares, each as client and as server: `mphttp` and the peer written with Go's
//! net/http.

use std::fmt;
use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use mphttp::Protocol;
use netlab::Host;
use serde::Deserialize;

use crate::guard::guarded;
use crate::load::Outcome;

/// Where the two programs are.
#[derive(clap::Args)]
pub struct Paths {
    /// The program `mphttp`, built for release
    #[arg(long)]
    mphttp: PathBuf,
    /// The peer's program, where the bench has one
    #[arg(long, default_value = "go-peer")]
    go_peer: PathBuf,
}

/// The programs, and what built the peer.
#[derive(clap::Args)]
pub struct Peers {
    #[command(flatten)]
    pub paths: Paths,
    /// The Go toolchain that the peer was built with
    #[arg(long)]
    go_version: String,
}

impl Peers {
    /// The name and version of the toolchain.
    pub fn go(&self) -> (String, String) {
        ("Go".to_string(), self.go_version.replace("go", ""))
    }
}

/// Whose HTTP it is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Who {
    Mphttp,
    Go,
    Nginx,
    /// Sockets made by hand, and nothing around them.
    Raw,
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mphttp => "mphttp",
            Self::Go => "Go",
            Self::Nginx => "nginx",
            Self::Raw => "raw sockets",
        })
    }
}

/// Where a program runs: on a host of the lab, or on this one, whose loopback is all its network.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    Here,
    On(&'a Host),
}

impl Place<'_> {
    fn spawn(self, mut command: Command) -> Result<Child> {
        let shown = format!("{command:?}");
        match self {
            Self::Here => command.spawn(),
            Self::On(host) => host.spawn(command),
        }
        .with_context(|| format!("can't start {shown}"))
    }

    fn connects(self, address: SocketAddr) -> Result<bool> {
        let attempt = move || TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok();
        Ok(match self {
            Self::Here => attempt(),
            Self::On(host) => host.run(attempt)?,
        })
    }
}

/// A server of a file tree.
pub struct Server {
    pub who: Who,
    pub protocol: Protocol,
    port: u16,
    _running: Running,
}

/// A running server, ended when dropped, or when this program is ended.
pub struct Running {
    guard: Child,
}

impl Running {
    /// Starts a server and waits until its port answers.
    ///
    /// # Errors
    /// When it can't be started, or doesn't answer within ten seconds.
    pub fn start(command: &Command, port: u16, place: Place<'_>) -> Result<Self> {
        let mut running = Self { guard: place.spawn(guarded(command)?)? };
        let begun = Instant::now();
        while !place.connects(SocketAddr::from(([127, 0, 0, 1], port)))? {
            if let Some(status) = running.guard.try_wait()? {
                bail!("the server ended at once: {status}: {command:?}");
            }
            ensure!(begun.elapsed() < Duration::from_secs(10), "the server doesn't answer: {command:?}");
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(running)
    }

    /// The processes of the server: the guard's children and theirs.
    pub fn processes(&self) -> Vec<u32> {
        let mut found = Vec::new();
        let mut parents = vec![self.guard.id()];
        while let Some(parent) = parents.pop() {
            let tasks = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
            for task in tasks {
                let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
                for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
                    found.push(child);
                    parents.push(child);
                }
            }
        }
        found
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// The fields of `mphttp get --json` and of the peer's output that are compared.
#[derive(Deserialize)]
struct Got {
    status: u16,
    bytes: u64,
    seconds: f64,
    protocol: String,
}

impl Paths {
    /// The program of one of the two.
    pub fn program(&self, who: Who) -> &Path {
        if who == Who::Mphttp { &self.mphttp } else { &self.go_peer }
    }

    /// Starts a server of `directory` and waits until it answers.
    ///
    /// # Errors
    /// When it can't be started, or doesn't answer within ten seconds.
    pub fn serve(
        &self,
        who: Who,
        protocol: Protocol,
        port: u16,
        directory: &Path,
        place: Place<'_>,
    ) -> Result<Server> {
        let running = Running::start(&self.server(who, protocol, port, directory), port, place)?;
        Ok(Server { who, protocol, port, _running: running })
    }

    /// The command of a server of `directory`, without an access log.
    pub fn server(&self, who: Who, protocol: Protocol, port: u16, directory: &Path) -> Command {
        let word = protocol.to_string();
        let mut command = Command::new(self.program(who));
        if who == Who::Mphttp {
            command.arg("serve").arg(directory).args(["--bind", "0.0.0.0", "--protocol", &word]);
            command.args(["--quiet", "--access-log", "off", "--port", &port.to_string()]);
        } else {
            let address = format!("0.0.0.0:{port}");
            command.args(["serve", "-addr", &address, "-protocol", &word, "-dir"]).arg(directory);
        }
        command
    }

    /// Fetches a file from `server` (reached at `address`) into `output`, and says how many seconds it took, by the
    /// client's own clock.
    ///
    /// # Errors
    /// When it failed, is not whole, or came over another protocol than that of the server, which the client asked for.
    pub fn get(
        &self,
        client: Who,
        server: &Server,
        address: &str,
        file: &SharedFile,
        place: Place<'_>,
    ) -> Result<f64> {
        let url = format!("http://{address}:{}/{}", server.port, file.name);
        let protocol = server.protocol.to_string();
        let mut command = match client {
            Who::Mphttp => {
                let mut command = Command::new(&self.mphttp);
                command.args(["get", &url, "--protocol", &protocol, "--json", "-q", "-o"]);
                command
            }
            Who::Go | Who::Nginx | Who::Raw => {
                let mut command = Command::new(&self.go_peer);
                command.args(["get", "-url", &url, "-protocol", &protocol, "-o"]);
                command
            }
        };
        command.arg(&file.output);
        let got: Got = serde_json::from_str(&output(place.spawn(piped(command))?)?)?;
        ensure!(got.status == 200 && got.bytes == file.size, "status {}, {} bytes", got.status, got.bytes);
        ensure!(got.protocol == protocol, "asked for {protocol}, got {}", got.protocol);
        Ok(got.seconds)
    }

    /// Sends many requests for a small file to `server` on this host and says how many microseconds one took.
    ///
    /// # Errors
    /// When one failed, or any connection spoke another protocol.
    pub fn load(&self, client: Who, server: &Server, file: &SharedFile, load: Load) -> Result<f64> {
        let url = format!("http://127.0.0.1:{}/{}", server.port, file.name);
        let protocol = server.protocol.to_string();
        let (requests, workers) = (load.requests.to_string(), load.workers.to_string());
        let command = match client {
            Who::Mphttp => {
                let mut command = Command::new(std::env::current_exe()?);
                command.args(["load", "--url", &url, "--protocol", &protocol]);
                command.args(["--requests", &requests, "--workers", &workers]);
                if !load.reuse {
                    command.arg("--no-reuse");
                }
                command
            }
            Who::Go | Who::Nginx | Who::Raw => {
                let mut command = Command::new(&self.go_peer);
                command.args(["load", "-url", &url, "-protocol", &protocol]);
                command.args([
                    "-requests",
                    &requests,
                    "-workers",
                    &workers,
                    &format!("-reuse={}", load.reuse),
                ]);
                command
            }
        };
        let outcome: Outcome = serde_json::from_str(&output(Place::Here.spawn(piped(command))?)?)?;
        let Outcome { requests, failed, bytes, seconds, protocol: spoken } = outcome;
        ensure!(
            failed == 0 && bytes == requests * file.size,
            "{failed} of {requests} failed, {bytes} bytes came"
        );
        ensure!(spoken == protocol, "asked for {protocol}, got {spoken}");
        Ok(seconds * 1e6 / f64::from(load.requests))
    }
}

/// Many requests.
#[derive(Clone, Copy)]
pub struct Load {
    pub requests: u32,
    pub workers: u32,
    /// Whether connections are kept alive; else every request has one of its own.
    pub reuse: bool,
}

/// A served file, and where fetched copies of it go.
pub struct SharedFile {
    pub name: &'static str,
    pub size: u64,
    pub output: PathBuf,
}

fn piped(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command
}

/// What a child prints until it ends well.
fn output(mut child: Child) -> Result<String> {
    let mut text = String::new();
    child.stdout.take().context("no pipe")?.read_to_string(&mut text)?;
    let status = child.wait()?;
    ensure!(status.success(), "the client failed: {status}");
    Ok(text)
}
