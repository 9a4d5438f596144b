//! A reader at two keyboards: types lines, each to its end, and leaves servers running until the same is started anew.

use std::{
    fmt::Write as _,
    fs::{self, File},
    io::{Read, Seek, Write},
    os::unix::process::CommandExt,
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use netlab::Host;
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::hosts::{Ground, Hosts, Place};

/// How long a line may take: far more than any does.
const LINE: Duration = Duration::from_secs(60);
/// How long a server may take to say that it serves, or to end.
const SOON: Duration = Duration::from_secs(20);
/// For how long what watches is given, since it says nothing as long as nothing happens.
const WATCHING: Duration = Duration::from_millis(300);

/// Verbs that last until they are stopped, and the options with which they don't.
const STAY: &[(&str, &[&str])] = &[
    ("mphttp serve", &[]),
    ("mphttp proxy", &[]),
    ("mphttp paths auto", &["--once", "--dry-run"]),
    ("mphttp paths watch", &[]),
];
/// A live screen, which lasts until a key is typed.
const LIVE: &str = "mphttp top";
/// The end of what `serve` and `proxy` say at their start.
const SERVES: &str = "Ctrl-C stops.";

pub struct Session {
    pub hosts: Hosts,
    running: Vec<Running>,
    /// All that was said, in the order in which lines ended.
    pub said: String,
    /// The same with the lines that were typed, for people.
    log: String,
}

struct Running {
    place: &'static str,
    /// What of it is the same if it is started anew.
    verb: String,
    line: String,
    child: Child,
    output: File,
}

impl Session {
    pub fn new(ground: &Ground, bare: bool) -> Self {
        Self { hosts: ground.hosts(bare), running: Vec::new(), said: String::new(), log: String::new() }
    }

    /// Types a line. `stays` says that it is known not to end; what is known of `mphttp` need not be said.
    pub fn line(&mut self, place: &str, line: &str, stays: bool, input: &str, code: i32) {
        let _ = writeln!(self.log, "{place}$ {line}");
        let command =
            line.trim_start_matches("sudo ").trim_start_matches(|c: char| c.is_uppercase() || c == '_');
        // Behind variables that are set for the line alone.
        let command = match command.strip_prefix('=').and_then(|rest| rest.split_once(' ')) {
            Some((_, rest)) => rest,
            None => line.trim_start_matches("sudo "),
        };
        let words = || line.split_whitespace();
        let known = STAY.iter().find(|(verb, ends)| {
            command.starts_with(verb) && !words().any(|word| ends.contains(&word) || word == "--help")
        });
        match known {
            Some((verb, _)) => self.start(place, line, verb),
            None if command.starts_with(LIVE) && !words().any(|word| word == "--once") => {
                let typed =
                    format!("(sleep 1; printf q) | script --quiet --return --command '{line}' /dev/null");
                self.finish(place, &typed, "", 0);
            }
            None if stays => self.start(place, line, line),
            None if line.starts_with("export ") => self.export(place, line),
            None => self.finish(place, line, input, code),
        }
    }

    /// A line that ends.
    fn finish(&mut self, place: &str, line: &str, input: &str, code: i32) {
        let place = self.hosts.place(place);
        let mut output = tempfile::tempfile().unwrap();
        let mut stdin = tempfile::tempfile().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        stdin.rewind().unwrap();
        let mut child = place.spawn(line, stdin.into(), &output);
        let status = wait(&mut child, LINE);
        let said = all_of(&mut output);
        self.log.push_str(&said);
        self.said.push_str(&said);
        let status = status.unwrap_or_else(|| panic!("this takes more than {LINE:?}: {line}"));
        assert_eq!(status.code(), Some(code), "{line}\n{said}");
    }

    /// A line that stays: until it says that it serves, or else has said something, listens on a port, or watches in silence.
    fn start(&mut self, place: &str, line: &str, verb: &str) {
        self.stop(|running| running.place == place && running.verb == verb);
        let place = self.hosts.place(place);
        let output = tempfile::tempfile().unwrap();
        let (before, begun) = (listeners(&place.host), Instant::now());
        let child = place.spawn(line, Stdio::null(), &output);
        place.environment.insert("PID".into(), child.id().to_string());
        let mut running =
            Running { place: place.name, verb: verb.to_owned(), line: line.to_owned(), child, output };
        let serves = ["mphttp serve", "mphttp proxy"].contains(&verb);
        let deadline = begun + SOON;
        loop {
            let said = all_of(&mut running.output);
            let silent = verb == "mphttp paths watch" && begun.elapsed() > WATCHING;
            let host = &self.hosts.place(running.place).host;
            let ready = said.contains('\n') || silent || listeners(host) > before;
            if said.contains(SERVES) || (!serves && ready) {
                break;
            }
            let ended = running.child.try_wait().unwrap();
            assert!(ended.is_none(), "it did not stay ({ended:?}): {line}\n{said}");
            assert!(Instant::now() < deadline, "it says nothing of being ready: {line}\n{said}");
            thread::sleep(Duration::from_millis(20));
        }
        self.running.push(running);
    }

    fn export(&mut self, place: &str, line: &str) {
        let place = self.hosts.place(place);
        let mut output = tempfile::tempfile().unwrap();
        let mut child = place.spawn(&format!("{line}; env --null"), Stdio::null(), &output);
        assert!(wait(&mut child, LINE).is_some_and(|status| status.success()), "{line}");
        for set in all_of(&mut output).split('\0') {
            if let Some((name, value)) = set.split_once('=') {
                place.environment.insert(name.to_owned(), value.to_owned());
            }
        }
    }

    /// Stops what runs, as Ctrl-C does, and sees that it ends well.
    fn stop(&mut self, which: impl Fn(&Running) -> bool) {
        for mut running in std::mem::take(&mut self.running) {
            if !which(&running) {
                self.running.push(running);
                continue;
            }
            running.signal(Signal::SIGINT);
            let status = wait(&mut running.child, SOON);
            let said = all_of(&mut running.output);
            let _ = write!(self.log, "{}$ {} said:\n{said}", running.place, running.line);
            self.said.push_str(&said);
            // By itself, or by the signal as most programs: of a shell that waits for one the code is 130.
            let well = status.is_some_and(|status| {
                matches!(status.code(), Some(0 | 130)) || ended_by(status, Signal::SIGINT)
            });
            assert!(well, "ended {status:?} at Ctrl-C: {}\n{said}", running.line);
        }
    }

    pub fn stop_all(&mut self) {
        self.stop(|_| true);
    }
}

/// All of it at once, since others are at work as well.
impl Drop for Session {
    fn drop(&mut self) {
        // Where a line failed, what runs may have said why.
        for running in &mut self.running {
            let said = all_of(&mut running.output);
            let _ = write!(self.log, "{}$ {} said:\n{said}", running.place, running.line);
        }
        println!("{}", self.log);
    }
}

impl Place {
    /// A shell for one line, in a group of its own, as a terminal has it.
    fn spawn(&self, line: &str, stdin: Stdio, output: &File) -> Child {
        let mut command = Command::new("bash");
        command.args(["-e", "-u", "-o", "pipefail", "-c", line]).current_dir(&self.folder);
        command.env_clear().envs(&self.environment).process_group(0);
        command.stdin(stdin).stdout(output.try_clone().unwrap()).stderr(output.try_clone().unwrap());
        self.host.spawn(command).unwrap()
    }
}

impl Running {
    fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(-i32::try_from(self.child.id()).unwrap()), signal);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            self.signal(Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// How many ports are listened on: state 0A (LISTEN) in the kernel's tables of TCP, where MPTCP's listeners are too.
fn listeners(host: &Host) -> usize {
    let count = |name: &str| {
        let table = fs::read_to_string(format!("/proc/thread-self/net/{name}")).unwrap_or_default();
        table.lines().filter(|line| line.split_whitespace().nth(3) == Some("0A")).count()
    };
    host.run(|| count("tcp") + count("tcp6")).unwrap()
}

fn ended_by(status: ExitStatus, signal: Signal) -> bool {
    std::os::unix::process::ExitStatusExt::signal(&status) == Some(signal as i32)
}

/// Waits for the end; what takes too long is ended, with all that it started.
fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let deadline = Instant::now() + limit;
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().unwrap() {
            return Some(status);
        }
        thread::sleep(Duration::from_millis(5));
    }
    let _ = kill(Pid::from_raw(-i32::try_from(child.id()).unwrap()), Signal::SIGKILL);
    let _ = child.wait();
    None
}

/// What was written so far. The place in the file is the writers' too, so a handle of its own reads it.
fn all_of(output: &mut File) -> String {
    use std::os::fd::AsRawFd;
    let mut bytes = Vec::new();
    let path = format!("/proc/self/fd/{}", output.as_raw_fd());
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}
