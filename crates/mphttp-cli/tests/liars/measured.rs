//! Runs the program, within a limit of time, and tells how much memory it has taken at most.
//!
//! The kernel tells that only of all children that one process has had: so this test program runs itself once more for each, and
//! that one runs the program.

use std::{
    fs::{self, File},
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{
        resource::{UsageWho, getrusage},
        signal::{Signal, killpg},
    },
    unistd::Pid,
};

/// Names the file for the peak of memory, to the one in between.
const PEAK: &str = "LIARS_PEAK";

/// How it ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// The most memory that it has had, in bytes.
    pub peak: u64,
}

/// The one in between, if this process is one.
pub fn main() -> Option<ExitCode> {
    let file = std::env::var_os(PEAK)?;
    let mut arguments = std::env::args_os().skip(1);
    let mut command = Command::new(arguments.next().unwrap());
    let status = command.args(arguments).env_remove(PEAK).status().unwrap();
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).unwrap().max_rss();
    fs::write(file, peak.to_string()).unwrap();
    // Ended by a signal is no exit code of the program's.
    Some(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::from(255), ExitCode::from))
}

/// The program; another build can be named to be tried instead.
fn program() -> String {
    std::env::var("MPHTTP_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_mphttp").to_owned())
}

/// `mphttp get`, in this directory, free of what this process's environment would make of it.
pub fn get(arguments: &[String], directory: &Path, limit: Duration) -> Ended {
    let outside = tempfile::tempdir().unwrap();
    let file = |name: &str| outside.path().join(name);
    let mut command = Command::new(std::env::current_exe().unwrap());
    for name in ["http_proxy", "https_proxy", "all_proxy", "no_proxy"] {
        command.env_remove(name).env_remove(name.to_uppercase());
    }
    let mut running = command
        .env_remove("MPHTTP_PROTOCOL")
        .env("XDG_CONFIG_HOME", outside.path())
        .env(PEAK, file("peak"))
        .args([&program(), "get"])
        .args(arguments)
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(File::create(file("stdout")).unwrap())
        .stderr(File::create(file("stderr")).unwrap())
        .process_group(0)
        .spawn()
        .unwrap();
    let due = Instant::now() + limit;
    let status = loop {
        if let Some(status) = running.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > due {
            // The program and the one in between.
            let group = Pid::from_raw(running.id().try_into().unwrap());
            killpg(group, Signal::SIGKILL).unwrap();
            running.wait().unwrap();
            let told = fs::read(file("stderr")).unwrap();
            panic!("{arguments:?} has not ended in {limit:?}: {}", String::from_utf8_lossy(&told));
        }
        thread::sleep(Duration::from_millis(5));
    };
    let text = |name: &str| String::from_utf8_lossy(&fs::read(file(name)).unwrap()).into_owned();
    let kilobytes: u64 = text("peak").parse().unwrap();
    Ended { code: status.code(), stdout: text("stdout"), stderr: text("stderr"), peak: kilobytes << 10 }
}
