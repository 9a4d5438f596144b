//! A program that serves, as people run it: its banner read, its lines at hand, killed when dropped.

use std::{
    io::{BufRead, BufReader, Read},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

pub const SOON: Duration = Duration::from_secs(20);

pub fn mphttp() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mphttp"));
    command.env_remove("MPHTTP_PROTOCOL");
    command
}

fn lines(from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        BufReader::new(from).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
    });
    receiver
}

/// A program with a banner that ends with "Ctrl-C stops."
pub struct Running {
    pub child: Child,
    pub banner: Vec<String>,
    pub port: u16,
    pub log: Receiver<String>,
    pub errors: Receiver<String>,
}

impl Running {
    /// Starts it, and waits for the end of its banner.
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let log = lines(child.stdout.take().unwrap());
        let errors = lines(child.stderr.take().unwrap());
        let mut banner = Vec::new();
        while banner.last().map(String::as_str) != Some("Ctrl-C stops.") {
            match errors.recv_timeout(SOON) {
                Ok(line) => banner.push(line),
                Err(error) => {
                    let _ = child.kill();
                    panic!("{error}: {banner:?}");
                }
            }
        }
        let is_url = |line: &&String| line.starts_with("  http") || line.starts_with("  export http_proxy=");
        let url = banner.iter().find(is_url).unwrap();
        let port = url.trim().trim_end_matches('/').rsplit(':').next().unwrap().parse().unwrap();
        Self { child, banner, port, log, errors }
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
