//! `mphttp proxy` on two hosts with two links: MPTCP for those who have none of their own.

use std::{
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use netlab::Host;

use super::support::{Bench, MEGABYTE, mphttp, seconds};

/// A program on a host, ended when dropped.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a program and waits until something listens on this port of the host's loopback.
fn start(host: &Host, mut command: Command, port: u16) -> Program {
    command.env_remove("MPHTTP_PROTOCOL").stdout(Stdio::null()).stderr(Stdio::null());
    let program = Program(host.spawn(command).unwrap());
    let deadline = Instant::now() + Duration::from_secs(20);
    while host.run(|| TcpStream::connect(("127.0.0.1", port)).is_err()).unwrap() {
        assert!(Instant::now() < deadline, "nothing listens on port {port}");
        thread::sleep(Duration::from_millis(20));
    }
    program
}

/// Python's server of files: HTTP over plain TCP, and nothing else.
fn plain_server(bench: &Bench) -> Program {
    let mut command = Command::new("python3");
    command.args(["-m", "http.server", "9000", "--bind", "127.0.0.1", "--directory"]).arg(bench.path("www"));
    start(&bench.server, command, 9000)
}

fn proxy(host: &Host, port: u16, arguments: &[&str]) -> Program {
    let mut command = Command::new(mphttp());
    command.args(["proxy", "--listen", &port.to_string()]).args(arguments);
    start(host, command, port)
}

pub fn a_plain_server_gets_both_links() {
    let bench = Bench::two_links();
    let digest = bench.file("big", 50 * MEGABYTE);
    let _server = plain_server(&bench);
    let _proxy = proxy(&bench.server, 8000, &["--to", "http://127.0.0.1:9000", "--to-protocol", "tcp"]);
    let tcp = bench.get("big", &["--protocol", "tcp"]).json();
    assert_eq!(bench.got(), digest);
    let mptcp = bench.get("big", &["--paths", "off"]).json();
    assert_eq!(bench.got(), digest);
    assert_eq!((mptcp["protocol"].as_str(), mptcp["paths_total"].as_u64()), (Some("mptcp"), Some(2)));
    let ratio = seconds(&mptcp, "seconds") / seconds(&tcp, "seconds");
    println!("MPTCP took {ratio:.3} of the time of TCP");
    assert!(ratio <= 0.6, "{ratio:.3}");
}

pub fn two_proxies_survive_the_death_of_a_link() {
    let bench = Bench::two_links();
    let digest = bench.file("big", 50 * MEGABYTE);
    let _server = plain_server(&bench);
    let _far = proxy(&bench.server, 8000, &["--to", "http://127.0.0.1:9000", "--to-protocol", "tcp"]);
    let far = bench.url("");
    let _near = proxy(&bench.client, 7000, &["--to", &far, "--to-protocol", "mptcp-only"]);
    let before = bench.carried();
    let getting = bench.get_url("http://127.0.0.1:7000/big", &["--protocol", "tcp"]);
    bench.wait_for(before + 25 * MEGABYTE);
    bench.links[0].set_black_hole(true).unwrap();
    let got = getting.json();
    assert_eq!(bench.got(), digest);
    assert_eq!(got["protocol"].as_str(), Some("tcp"));
    let gap = seconds(&got, "max_gap_seconds");
    println!("the longest gap was {gap:.3} s");
    assert!(gap <= 2.0, "{gap:.3} s without a byte");
}
