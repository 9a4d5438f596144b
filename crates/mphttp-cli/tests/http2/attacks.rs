//! Attacks on programs of their own: other clients are answered while they last and afterwards, and the program does not grow.

use std::{
    fs,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use http_cases::http2::{Attack, frame::LARGE_BYTES};

use super::{
    running::{Running, SOON, mphttp},
    wire::Wire,
};

/// Between two looks at whether others are served.
const LOOK: Duration = Duration::from_millis(20);

/// What a server behind says to all requests but those for `/never`, with which it keeps their connection.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello";

pub fn run(attack: &'static Attack) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let behind = Behind::start();
    let server = if attack.proxy {
        let to = format!("http://{}", behind.address);
        let mut command = mphttp();
        command.args(["proxy", "--listen", "127.0.0.1:0", "--to", &to]);
        if attack.hasty {
            command.args(["--idle-timeout", "1"]);
        }
        Running::start(&mut command)
    } else {
        fs::write(folder.path().join("index.html"), "hello").unwrap();
        fs::write(folder.path().join("large"), vec![b'a'; LARGE_BYTES]).unwrap();
        let place = ["--bind", "127.0.0.1", "--port", "0"];
        Running::start(mphttp().arg("serve").arg(folder.path()).args(place))
    };
    let address = server.address();
    Wire::others(address)?;
    let before = memory(&server, "VmRSS");

    let mut attacker = if attack.deaf { Wire::deaf(address) } else { Wire::plain(address) };
    let attacking = thread::spawn(move || {
        let result = attacker.play(&attack.case);
        (result, attacker)
    });
    // As long as the attack lasts, and once more while its connection is still there.
    while !attacking.is_finished() {
        Wire::others(address)?;
        thread::sleep(LOOK);
    }
    let (result, attacker) = attacking.join().map_err(|_| "the attacker panicked".to_owned())?;
    Wire::others(address)?;
    let grown = memory(&server, "VmHWM").saturating_sub(before);
    result?;
    drop(attacker);
    Wire::others(address)?;
    if grown > attack.memory << 10 {
        return Err(format!("the server grew by {grown} KiB"));
    }
    behind.left_alone()
}

/// What the kernel says of a process' memory, in KiB.
fn memory(server: &Running, what: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with(what)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Answers one request, or waits until its client has gone.
fn serve(mut stream: TcpStream) {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        if !matches!(stream.read(&mut byte), Ok(1)) {
            return;
        }
        head.extend_from_slice(&byte);
    }
    if String::from_utf8_lossy(&head).contains(" /never ") {
        let _ = io::copy(&mut stream, &mut io::sink());
    } else {
        let _ = stream.write_all(ANSWER);
    }
}

/// A server behind a proxy that counts the connections that it has.
struct Behind {
    address: SocketAddr,
    open: Arc<AtomicUsize>,
}

impl Behind {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let open = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&open);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let count = Arc::clone(&count);
                count.fetch_add(1, Ordering::SeqCst);
                thread::spawn(move || {
                    serve(stream);
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, open }
    }

    /// Once the attacker has gone, no request of it is left here.
    fn left_alone(&self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            match self.open.load(Ordering::SeqCst) {
                0 => return Ok(()),
                open if begun.elapsed() > SOON => {
                    return Err(format!("{open} connections to the server behind are left"));
                }
                _ => thread::sleep(LOOK),
            }
        }
    }
}
