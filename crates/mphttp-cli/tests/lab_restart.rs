//! `mphttp serve` whose listener comes from elsewhere: from systemd, and from the process that it replaces. Over real kernel MPTCP,
//! on two hosts with two links.
#![cfg(target_os = "linux")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "support/lab.rs"]
mod support;

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    os::{fd::OwnedFd, unix::net::UnixDatagram},
    path::Path,
    process::{Child, Command, ExitCode, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use mptcp_socket::{Listen, Protocol};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use support::{Bench, MEGABYTE, mphttp};

fn main() -> ExitCode {
    support::main(vec![
        ("a socket that systemd passed is served with the protocol that it has", passed),
        ("what can't be served is refused with the reason", passed_wrong),
        ("a restart refuses no connection, and the old process finishes its download", restarted),
        ("a restart over TLS refuses no connection", restarted_tls),
        ("a successor that does not come up leaves the old process serving", restart_fails),
    ])
}

/// Runs `mphttp serve` with this as descriptor 3, as systemd would: in one process with the shell, so that `LISTEN_PID` is right.
fn serve_passed(bench: &Bench, socket: OwnedFd, arguments: &[&str]) -> Child {
    let mut command = Command::new("sh");
    let script = r#"exec 3<&0 </dev/null; LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web exec "$@""#;
    command.args(["-c", script, "sh", &mphttp(), "serve"]).arg(bench.path("www")).args(arguments);
    command.env_remove("MPHTTP_PROTOCOL").stdin(socket).stdout(Stdio::null()).stderr(Stdio::piped());
    bench.server.spawn(command).unwrap()
}

/// What a program has told up to the first line with this, and then whatever it tells, which has to be read.
fn told_until(child: &mut Child, word: &str) -> (String, mpsc::Receiver<String>) {
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut told = String::new();
    for line in lines.by_ref() {
        told += &(line.unwrap() + "\n");
        if told.contains(word) {
            break;
        }
    }
    assert!(told.contains(word), "{told}");
    let (sender, rest) = mpsc::channel();
    thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| sender.send(line)));
    (told, rest)
}

fn passed() {
    let bench = Bench::two_links();
    let digest = bench.file("small", MEGABYTE);
    for (protocol, word) in [(Protocol::Mptcp, "mptcp"), (Protocol::Tcp, "tcp")] {
        let listening = bench.server.run(|| Listen::new(protocol).bind_all(8000).unwrap()).unwrap();
        // --port is passed over: the unit says where to listen.
        let mut child = serve_passed(&bench, OwnedFd::from(listening.into_std()), &["--port", "9"]);
        let (told, _rest) = told_until(&mut child, "MPTCP is");
        assert!(told.contains(":8000"), "{told}");
        let got = bench.get("small", &["--paths", "off"]).json();
        assert_eq!((got["protocol"].as_str(), bench.got()), (Some(word), digest.clone()));
        let got = bench.get("small", &["--protocol", "tcp"]).json();
        assert_eq!((got["protocol"].as_str(), bench.got()), (Some("tcp"), digest.clone()));
        kill(pid(&child), Signal::SIGTERM).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

fn passed_wrong() {
    let bench = Bench::two_links();
    bench.file("small", 1);
    let accepted = bench
        .server
        .run(|| {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let _client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
            listener.accept().unwrap().0
        })
        .unwrap();
    let datagrams = UnixDatagram::unbound().unwrap();
    for (socket, word) in
        [(OwnedFd::from(accepted), "Accept=no"), (OwnedFd::from(datagrams), "ListenStream=")]
    {
        let output = serve_passed(&bench, socket, &[]).wait_with_output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && told.contains(word) && told.contains("web"), "{told}");
    }
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

/// Ends a process that this one is not the parent of.
struct Successor(Pid);

impl Drop for Successor {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

/// Restarts, and returns the process that has taken over.
fn restart(old: &Child, told: &mpsc::Receiver<String>) -> Successor {
    kill(pid(old), Signal::SIGUSR2).unwrap();
    loop {
        // Both processes tell here.
        let line = told.recv_timeout(Duration::from_secs(30)).expect("nobody took over");
        if let Some((process, _)) =
            line.strip_prefix("Process ").and_then(|line| line.split_once(" has taken over"))
        {
            return Successor(Pid::from_raw(process.parse().unwrap()));
        }
    }
}

fn serve(bench: &Bench, arguments: &[&str], notify: Option<&Path>) -> (Child, mpsc::Receiver<String>) {
    let mut command = Command::new(mphttp());
    command.arg("serve").arg(bench.path("www")).args(["--port", "8000"]).args(arguments);
    command.env_remove("MPHTTP_PROTOCOL").stdout(Stdio::null()).stderr(Stdio::piped());
    if let Some(notify) = notify {
        command.env("NOTIFY_SOCKET", notify);
    }
    let mut child = bench.server.spawn(command).unwrap();
    let (_, told) = told_until(&mut child, "Ctrl-C");
    (child, told)
}

fn ask(stream: &mut (impl Read + Write), name: &str) -> Vec<u8> {
    write!(stream, "GET /{name} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

fn body(answer: &[u8]) -> &[u8] {
    assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(answer));
    let head = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    &answer[head + 4..]
}

/// Asks on a new connection each time until told to stop; a refusal or a cut is a panic. Counts the answers.
struct Askers {
    stop: Arc<AtomicBool>,
    answers: Arc<AtomicUsize>,
    threads: Vec<thread::JoinHandle<()>>,
}

impl Askers {
    fn start(bench: &Bench, once: impl Fn(Protocol) -> Vec<u8> + Clone + Send + 'static) -> Self {
        let (stop, answers) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads =
            [Protocol::MptcpOnly, Protocol::Tcp, Protocol::MptcpOnly, Protocol::Tcp].map(|protocol| {
                let (stop, answers, once) = (Arc::clone(&stop), Arc::clone(&answers), once.clone());
                let asking = move || {
                    while !stop.load(Ordering::Relaxed) {
                        assert_eq!(once(protocol).len(), 1000);
                        answers.fetch_add(1, Ordering::Relaxed);
                    }
                };
                bench.client.thread(asking).unwrap()
            });
        Self { stop, answers, threads: threads.into() }
    }

    /// Waits until so many more were answered.
    fn wait_for_more(&self, more: usize) {
        let goal = self.answers.load(Ordering::Relaxed) + more;
        for _ in 0..3000 {
            if self.answers.load(Ordering::Relaxed) >= goal {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("there are no answers any more");
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads
            .into_iter()
            .for_each(|thread| thread.join().expect("a client was refused, or cut short"));
        println!("{} connections, none refused", self.answers.load(Ordering::Relaxed));
    }
}

fn address(bench: &Bench) -> SocketAddr {
    (bench.links[0].address(&bench.server).unwrap(), 8000).into()
}

fn restarted() {
    let bench = Bench::two_links();
    bench.file("small", 1000);
    let digest = bench.file("big", 50 * MEGABYTE);
    let notify = bench.path("notify");
    let manager = UnixDatagram::bind(&notify).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let heard = || {
        let mut text = [0; 200];
        let length = manager.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    };
    let (mut old, told) = serve(&bench, &["--metrics", "9464"], Some(&notify));
    assert!(heard().contains("READY=1"));

    // A download that does not read on: the server can't be done with it before the restart.
    let address = address(&bench);
    let connect = move |protocol| mptcp_socket::Connect::new(protocol).to(&[address]).unwrap().watched();
    let mut download = bench.client.run(|| connect(Protocol::MptcpOnly)).unwrap();
    write!(download, "GET /big HTTP/1.1\r\nHost: lab\r\nConnection: close\r\n\r\n").unwrap();
    let mut begun = vec![0; 100_000];
    download.read_exact(&mut begun).unwrap();

    let askers = Askers::start(&bench, move |protocol| body(&ask(&mut connect(protocol), "small")).to_vec());
    askers.wait_for_more(50);
    let first = restart(&old, &told);
    assert!(heard().contains("READY=1"), "the new process is ready");
    assert!(heard().contains(&format!("MAINPID={}\n", first.0)));
    askers.wait_for_more(50);

    // The old process has its download still, and nothing else.
    assert_eq!(old.try_wait().unwrap(), None);
    download.read_to_end(&mut begun).unwrap();
    fs::write(bench.path("got"), body(&begun)).unwrap();
    assert_eq!(bench.got(), digest);
    drop(download);
    assert!(old.wait().unwrap().success());
    askers.wait_for_more(50);

    // Once more: the successor hands on what it was handed.
    kill(first.0, Signal::SIGUSR2).unwrap();
    let line = std::iter::from_fn(|| told.recv_timeout(Duration::from_secs(30)).ok())
        .find(|line| line.contains("has taken over"))
        .expect("nobody took over");
    let second = line.split(' ').nth(1).and_then(|process| process.parse().ok()).unwrap();
    let second = Successor(Pid::from_raw(second));
    askers.wait_for_more(50);
    askers.end();
    let metrics =
        bench.server.run(|| ask(&mut TcpStream::connect("127.0.0.1:9464").unwrap(), "metrics")).unwrap();
    assert!(String::from_utf8_lossy(body(&metrics)).contains("mphttp_connections_total"));
    drop((first, second));
}

fn restarted_tls() {
    let bench = Bench::two_links();
    bench.file("small", 1000);
    let (mut old, told) = serve(&bench, &["--self-signed"], None);
    let url = bench.url("small").replace("http:", "https:");
    let askers = Askers::start(&bench, move |protocol| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        // A client for each request: no connection is kept.
        let client =
            mphttp::Client::builder().protocol(protocol).danger_accept_invalid_certs(true).no_proxy();
        let client = client.build().unwrap();
        runtime.block_on(async { client.get(&url).send().await.unwrap().bytes().await.unwrap().to_vec() })
    });
    askers.wait_for_more(20);
    let successor = restart(&old, &told);
    assert!(old.wait().unwrap().success());
    askers.wait_for_more(20);
    askers.end();
    drop(successor);
}

fn restart_fails() {
    let bench = Bench::two_links();
    bench.file("small", 1000);
    let (mut old, told) = serve(&bench, &[], None);
    fs::rename(bench.path("www"), bench.path("elsewhere")).unwrap();
    kill(pid(&old), Signal::SIGUSR2).unwrap();
    let why = std::iter::from_fn(|| told.recv_timeout(Duration::from_secs(30)).ok())
        .find(|line| line.contains("can't restart"))
        .expect("nothing was said");
    assert!(why.contains("exit status: 2"), "{why}");
    let address = address(&bench);
    let answer = bench.client.run(|| ask(&mut TcpStream::connect(address).unwrap(), "small")).unwrap();
    assert_eq!(body(&answer).len(), 1000);
    // And it stops as ever: nobody listens then.
    kill(pid(&old), Signal::SIGTERM).unwrap();
    assert!(old.wait().unwrap().success());
    assert!(bench.client.run(|| TcpStream::connect(address).is_err()).unwrap());
}
