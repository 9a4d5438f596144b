//! A certificate that is replaced while `mphttp serve` and `mphttp proxy` run: what real handshakes get before and after.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests, helpers included")]

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        mpsc::{Receiver, channel},
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, pki_types::CertificateDer};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(20);

/// A certificate for localhost with its key, in a directory of its own as certbot keeps them.
fn made(directory: &Path, stem: &str) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::create_dir(directory.join(stem)).unwrap();
    fs::write(directory.join(stem).join("chain.pem"), made.cert.pem()).unwrap();
    fs::write(directory.join(stem).join("key.pem"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().clone()
}

/// Points the names that the server knows at these files, each in one step.
fn point(directory: &Path, chain: &str, key: &str) {
    for (to, name) in [(format!("{chain}/chain.pem"), "chain.pem"), (format!("{key}/key.pem"), "key.pem")] {
        let fresh = directory.join("fresh");
        symlink(to, &fresh).unwrap();
        fs::rename(fresh, directory.join(name)).unwrap();
    }
}

/// A running program; killed when dropped.
struct Served {
    child: Child,
    errors: Receiver<String>,
    port: u16,
    first: CertificateDer<'static>,
    second: CertificateDer<'static>,
    directory: TempDir,
}

fn served(verb: &[&str]) -> Served {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (made(directory.path(), "1"), made(directory.path(), "2"));
    point(directory.path(), "1", "1");
    fs::write(directory.path().join("hello.txt"), "hello\n").unwrap();
    let file = |name: &str| -> PathBuf { directory.path().join(name) };
    let mut child = Command::new(env!("CARGO_BIN_EXE_mphttp"))
        .args(verb)
        .args(["--log", "info", "--tls-cert"])
        .arg(file("chain.pem"))
        .arg("--tls-key")
        .arg(file("key.pem"))
        .current_dir(directory.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let (sender, errors) = channel();
    let stderr = BufReader::new(child.stderr.take().unwrap());
    thread::spawn(move || stderr.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
    let mut served = Served { child, errors, port: 0, first, second, directory };
    let url = served.says("https://");
    let digits = url.trim().trim_end_matches('/').rsplit(':').next().unwrap();
    served.port = digits.split(' ').next().unwrap().trim_end_matches('/').parse().unwrap();
    served.says("Ctrl-C stops.");
    served
}

type Connection = StreamOwned<ClientConnection, TcpStream>;

impl Served {
    /// Waits for a line with this in it.
    fn says(&self, what: &str) -> String {
        let mut told = Vec::new();
        loop {
            match self.errors.recv_timeout(SOON) {
                Ok(line) if line.contains(what) => return line,
                Ok(line) => told.push(line),
                Err(error) => panic!("{error}: no {what:?} in {told:?}"),
            }
        }
    }

    /// A handshake of its own, resumed from no other, that trusts this certificate alone.
    fn connect(&self, trusted: &CertificateDer<'static>) -> Result<Connection, std::io::Error> {
        let mut roots = RootCertStore::empty();
        roots.add(trusted.clone()).unwrap();
        let config =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(roots)
                .with_no_client_auth();
        let client = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(SOON))?;
        let mut connection = StreamOwned::new(client, stream);
        ask(&mut connection)?;
        Ok(connection)
    }

    fn shows(&self, certificate: &CertificateDer<'static>) -> bool {
        self.connect(certificate).is_ok()
    }

    fn hang_up(&self) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), Signal::SIGHUP).unwrap();
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on a connection that stays open.
fn ask(connection: &mut Connection) -> std::io::Result<()> {
    connection.write_all(b"HEAD /hello.txt HTTP/1.1\r\nHost: localhost\r\n\r\n")?;
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        connection.read_exact(&mut byte)?;
        answer.extend(byte);
    }
    assert!(answer.starts_with(b"HTTP/1.1 "), "{}", String::from_utf8_lossy(&answer));
    Ok(())
}

#[test]
fn a_signal_brings_the_new_one_and_a_broken_pair_leaves_the_old() {
    let server = served(&["serve", "--port", "0"]);
    let mut old = server.connect(&server.first).unwrap();
    assert!(!server.shows(&server.second));

    // The key of the other: refused, by name and with what is wrong.
    point(server.directory.path(), "1", "2");
    server.hang_up();
    let warning = server.says("the certificate is not replaced");
    assert!(warning.contains("WARN") && warning.contains("does not belong to"), "{warning}");
    assert!(server.shows(&server.first) && !server.shows(&server.second));

    point(server.directory.path(), "2", "2");
    server.hang_up();
    server.says("new connections get another certificate");
    assert!(server.shows(&server.second) && !server.shows(&server.first));
    ask(&mut old).unwrap();

    // No PEM at all, written in place.
    fs::write(server.directory.path().join("2/chain.pem"), "garbage").unwrap();
    server.hang_up();
    server.says("the certificate is not replaced");
    assert!(server.shows(&server.second));
    ask(&mut old).unwrap();
}

#[test]
fn files_that_change_are_read_without_being_asked() {
    let server = served(&["serve", "--port", "0"]);
    let mut old = server.connect(&server.first).unwrap();
    point(server.directory.path(), "2", "2");
    let begun = Instant::now();
    while !server.shows(&server.second) {
        assert!(begun.elapsed() < SOON, "still the old one");
        thread::sleep(Duration::from_millis(200));
    }
    assert!(!server.shows(&server.first));
    ask(&mut old).unwrap();
    fs::remove_file(server.directory.path().join("key.pem")).unwrap();
    server.says("the certificate is not replaced");
    assert!(server.shows(&server.second));
}

#[test]
fn a_proxy_does_the_same() {
    let server = served(&["proxy", "--listen", "127.0.0.1:0", "--to", "http://127.0.0.1:1"]);
    assert!(server.shows(&server.first));
    point(server.directory.path(), "2", "2");
    server.hang_up();
    server.says("new connections get another certificate");
    assert!(server.shows(&server.second) && !server.shows(&server.first));
}
