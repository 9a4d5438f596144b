//! A program that serves on a host of the lab, under load: what it says is kept, and its figures are those of its own metrics.

#![allow(dead_code, reason = "two tests share it, and neither uses all of it")]

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

use netlab::Host;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

const SOON: Duration = Duration::from_secs(30);

/// The program; a release build can be named to be tried instead.
pub fn mphttp() -> String {
    std::env::var("MPHTTP_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_mphttp").to_owned())
}

/// What `serve` and `proxy` are started with.
#[derive(Clone)]
pub struct Serving {
    pub host: Host,
    pub name: &'static str,
    pub arguments: Vec<String>,
    /// The port of its metrics, on its host's loopback.
    pub metrics: u16,
    /// The most descriptors that it may have, if not as many as this process.
    pub descriptors: Option<u32>,
}

/// It runs.
pub struct Process {
    pub serving: Serving,
    child: Child,
    /// Other than the child's, after restarts.
    pid: u32,
    said: Arc<Mutex<Vec<String>>>,
}

/// What a process holds, by its own metrics.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    pub resident: u64,
    pub descriptors: u64,
    pub threads: u64,
    pub connections: u64,
    pub in_flight: u64,
}

impl Serving {
    pub fn start(&self) -> Process {
        let mut command = match self.descriptors {
            None => Command::new(mphttp()),
            Some(most) => {
                let mut shell = Command::new("sh");
                shell.args(["-c", &format!("ulimit -n {most}; exec \"$@\""), "sh", &mphttp()]);
                shell
            }
        };
        command.args(&self.arguments).args([
            "--access-log",
            "off",
            "--log",
            "warn,mphttp=info",
            "--config",
            "none",
        ]);
        command.args(["--metrics", &self.metrics.to_string()]);
        command.env_remove("MPHTTP_PROTOCOL").env_remove("MPHTTP_LOG").env("RUST_BACKTRACE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = self.host.spawn(command).unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let keep = Arc::clone(&said);
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| keep.lock().unwrap().push(line)));
        let pid = child.id();
        let process = Process { serving: self.clone(), child, pid, said };
        process.wait_for("Ctrl-C stops.", 0);
        process
    }
}

impl Process {
    /// Waits for a line with this, from a line on.
    fn wait_for(&self, word: &str, from: usize) -> String {
        let begun = Instant::now();
        loop {
            let found = self.said().into_iter().skip(from).find(|line| line.contains(word));
            if let Some(line) = found {
                return line;
            }
            assert!(begun.elapsed() < SOON, "{}: no {word:?} in {:#?}", self.serving.name, self.said());
            thread::sleep(Duration::from_millis(5));
        }
    }

    pub fn said(&self) -> Vec<String> {
        self.said.lock().unwrap().clone()
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid.try_into().unwrap()), signal).unwrap();
    }

    /// Has another process take over, which is to be the one from now on.
    pub fn replace(&mut self) {
        let from = self.said().len();
        self.signal(Signal::SIGUSR2);
        let line = self.wait_for(" has taken over", from);
        self.pid = line.split(' ').nth(1).unwrap().parse().unwrap();
    }

    /// Kills it, and starts it anew.
    pub fn kill_and_start(&mut self) {
        let said = self.said();
        self.end();
        let fresh = self.serving.start();
        fresh.said.lock().unwrap().splice(0..0, said);
        *self = fresh;
    }

    fn end(&mut self) {
        if self.pid != self.child.id() {
            self.signal(Signal::SIGKILL);
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// A page of its own port; nothing if it does not answer.
    fn page(&self) -> Option<String> {
        let metrics = self.serving.metrics;
        let ask = move || -> std::io::Result<String> {
            let mut stream = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], metrics)))?;
            stream.set_read_timeout(Some(Duration::from_secs(10)))?;
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
            let mut text = String::new();
            stream.read_to_string(&mut text)?;
            Ok(text)
        };
        self.serving.host.run(ask).unwrap().ok()
    }

    /// Its metrics, each sample by its name with the labels.
    pub fn metrics(&self) -> BTreeMap<String, f64> {
        let begun = Instant::now();
        let page = loop {
            match self.page() {
                Some(page) if page.contains("process_threads") => break page,
                page => assert!(begun.elapsed() < SOON, "{}: no metrics: {page:?}", self.serving.name),
            }
            thread::sleep(Duration::from_millis(50));
        };
        let samples = page.lines().filter(|line| !line.starts_with('#'));
        samples
            .filter_map(|line| line.rsplit_once(' '))
            .filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?)))
            .collect()
    }

    pub fn figures(&self) -> Figures {
        let metrics = self.metrics();
        let of = |name: &str| metrics.get(name).copied().unwrap_or_else(|| panic!("no {name}")) as u64;
        let connections = metrics
            .iter()
            .filter(|(name, _)| name.starts_with("mphttp_connections_open{"))
            .map(|(_, value)| *value);
        Figures {
            resident: of("process_resident_memory_bytes"),
            descriptors: of("process_open_fds"),
            threads: of("process_threads"),
            connections: connections.sum::<f64>() as u64,
            in_flight: of("mphttp_requests_in_flight"),
        }
    }

    /// Lines about a panic, and that the process lives.
    pub fn faults(&mut self) -> Vec<String> {
        let panics = |line: &String| line.contains("panicked") || line.contains("overflow");
        let mut faults: Vec<_> = self.said().into_iter().filter(panics).collect();
        if !Path::new(&format!("/proc/{}", self.pid)).exists() {
            faults.push(format!("{} is gone", self.serving.name));
        }
        faults
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}
