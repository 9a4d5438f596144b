//! The program on both sides, curl beside it, and a box in between that cuts, slows down and stalls.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// For what must happen.
pub const SOON: Duration = Duration::from_secs(30);

pub fn program(verb: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mphttp"));
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    command.env_remove("MPHTTP_PROTOCOL").arg(verb).stdin(Stdio::null());
    command
}

/// A folder for what is sent, and one that is served.
pub struct Site {
    folder: TempDir,
}

impl Site {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("www/in")).unwrap();
        Self { folder }
    }

    /// A file to send, of bytes that differ from place to place.
    pub fn file(&self, name: &str, bytes: usize) -> PathBuf {
        let path = self.folder.path().join(name);
        let mut state = 88_172_645_463_325_252_u64 ^ bytes as u64;
        let mut content = Vec::with_capacity(bytes + 8);
        while content.len() < bytes {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            content.extend_from_slice(&state.to_ne_bytes());
        }
        content.truncate(bytes);
        fs::write(&path, content).unwrap();
        path
    }

    pub fn served(&self, name: &str) -> PathBuf {
        self.folder.path().join("www").join(name)
    }

    /// What is in the hidden folder.
    pub fn unfinished(&self) -> Vec<String> {
        let names = fs::read_dir(self.served(".mphttp-uploads")).unwrap();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    pub fn serve(&self, port: u16, arguments: &[&str]) -> Serving {
        let mut command = program("serve");
        command
            .arg(self.served(""))
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
            .args(arguments);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
        let banner: Vec<String> = told.by_ref().take_while(|line| line != "Ctrl-C stops.").collect();
        thread::spawn(move || told.for_each(drop));
        let url = banner.iter().find(|line| line.contains("://")).unwrap_or_else(|| panic!("{banner:?}"));
        let port = url.trim().trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let (lines, into) = (BufReader::new(child.stdout.take().unwrap()).lines(), Arc::clone(&log));
        thread::spawn(move || lines.map_while(Result::ok).for_each(|line| into.lock().unwrap().push(line)));
        Serving { child, banner, port, log }
    }
}

pub fn digest(path: &Path) -> Vec<u8> {
    Sha256::digest(fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))).to_vec()
}

/// A running server; killed, with SIGKILL, when dropped.
pub struct Serving {
    child: Child,
    pub banner: Vec<String>,
    pub port: u16,
    log: Arc<Mutex<Vec<String>>>,
}

impl Serving {
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.port).into()
    }

    /// The most memory that it has had, in kB.
    pub fn memory(&self) -> u64 {
        let text = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    /// How many requests of a method it has answered.
    fn count(&self, method: &str) -> usize {
        let start = format!("\"{method} ");
        self.log.lock().unwrap().iter().filter(|line| line.contains(&start)).count()
    }

    /// That there have been so many requests of each method. The log tells of one only after its answer has gone.
    pub fn saw(&self, expected: &[(&str, usize)]) {
        let counts = || -> Vec<usize> { expected.iter().map(|(method, _)| self.count(method)).collect() };
        let until = Instant::now() + Duration::from_secs(20);
        while counts().iter().zip(expected).any(|(count, (_, wanted))| count < wanted)
            && Instant::now() < until
        {
            thread::sleep(Duration::from_millis(10));
        }
        let wanted: Vec<usize> = expected.iter().map(|(_, wanted)| *wanted).collect();
        assert_eq!(counts(), wanted, "{expected:?}");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// How it ended: exit code, stdout, stderr.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }
}

/// `mphttp get -T FILE`.
pub fn upload(file: &Path, url: &str, arguments: &[&str]) -> Command {
    let mut command = program("get");
    command.arg("-T").arg(file).arg(url).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub fn ended(mut command: Command) -> Ended {
    command.output().unwrap().into()
}

#[track_caller]
pub fn went_well(ended: &Ended) {
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[track_caller]
pub fn failed(ended: &Ended, code: i32, clause: &str) {
    assert_eq!(ended.code, Some(code), "{ended:?}");
    assert!(ended.stderr.starts_with("error: ") && ended.stderr.contains(clause), "{ended:?}");
}

/// curl, with the status as the last line of stdout.
pub fn curl(arguments: &[&str]) -> (String, u16) {
    let mut command = Command::new("curl");
    command.args(["-sS", "--noproxy", "*", "-w", "\n%{http_code}"]).args(arguments);
    let output = command.stdin(Stdio::null()).output().expect("curl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (text, status) = text.rsplit_once('\n').unwrap_or(("", "0"));
    (text.to_owned(), status.parse().unwrap())
}

pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < SOON, "{what}: not within {SOON:?}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// What happens to one connection.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    /// It is closed after so many bytes from the client.
    Cut(u64),
    /// After so many bytes from the client nothing passes any more, and nobody is told.
    Stall(u64),
    /// At so many bytes a second.
    Pace(u64),
    Free,
}

/// A box on loopback between client and server.
pub struct Between {
    pub address: SocketAddr,
    /// Bytes from clients that were passed on.
    passed: Arc<AtomicU64>,
    connections: Arc<AtomicU64>,
}

impl Between {
    /// The fates of the connections in their order; the last is that of all further ones.
    pub fn new(upstream: SocketAddr, fates: &[Fate]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let between = Self {
            address: listener.local_addr().unwrap(),
            passed: Arc::default(),
            connections: Arc::default(),
        };
        let (fates, passed, connections) =
            (fates.to_vec(), Arc::clone(&between.passed), Arc::clone(&between.connections));
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let number = connections.fetch_add(1, Ordering::SeqCst) as usize;
                let fate = fates[number.min(fates.len() - 1)];
                // No server: no answer either.
                let Ok(server) = TcpStream::connect(upstream) else { continue };
                let (back_from, back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                let passed = Arc::clone(&passed);
                thread::spawn(move || forward(client, server, fate, &passed));
                thread::spawn(move || forward(back_from, back_to, Fate::Free, &AtomicU64::new(0)));
            }
        });
        between
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }
}

fn forward(mut from: TcpStream, mut to: TcpStream, fate: Fate, passed: &AtomicU64) {
    let (mut buffer, mut so_far, start) = (vec![0; 32 << 10], 0, Instant::now());
    loop {
        let room = match fate {
            Fate::Cut(limit) | Fate::Stall(limit) => {
                usize::try_from(limit - so_far).unwrap().min(buffer.len())
            }
            Fate::Pace(_) | Fate::Free => buffer.len(),
        };
        if room == 0 {
            if matches!(fate, Fate::Stall(_)) {
                // Both stay open.
                thread::sleep(2 * SOON);
            }
            break;
        }
        let Ok(length @ 1..) = from.read(&mut buffer[..room]) else { break };
        if to.write_all(&buffer[..length]).is_err() {
            break;
        }
        so_far += length as u64;
        passed.fetch_add(length as u64, Ordering::SeqCst);
        if let Fate::Pace(rate) = fate {
            let due = Duration::from_secs_f64(so_far as f64 / rate as f64);
            thread::sleep(due.saturating_sub(start.elapsed()));
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}
