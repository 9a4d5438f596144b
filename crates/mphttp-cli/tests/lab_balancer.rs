//! Two servers behind a stateless load balancer, as `docs/load-balancer.md` sets them up: one address for both, flows spread by a
//! hash of addresses and ports. A further subflow has another hash; the C-flag and an announced address of each server's own bring
//! it to the right one.
//!
//! The balancer is a router with two equal routes to the service's address, as those of large sites are; it keeps no state.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test says what it expects by failing"
)]

#[path = "support/lab.rs"]
mod support;

use std::{
    collections::BTreeMap,
    fs,
    net::IpAddr,
    process::{Child, Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

use mptcp_paths::{Endpoint, EndpointFlags};
use netlab::{Host, Lab, LinkSpec, Rate};
use serde_json::Value;
use support::mphttp;

/// The service's address (RFC 5737), which both servers have.
const SERVICE: [u8; 4] = [192, 0, 2, 80];
const PORT: u16 = 8000;
/// Where each server takes joins: a port that nobody else has.
const OWN_PORT: u16 = 8443;
/// So many that luck is out: each further subflow has one chance in two to be hashed right.
const CONNECTIONS: usize = 24;
/// Long enough on these links for joins, which come with the first data.
const SIZE: usize = 1_000_000;

fn main() -> ExitCode {
    support::main(vec![
        ("with the C-flag, every join reaches the right server (fullmesh client)", || {
            with_the_flag(EndpointFlags { subflow: true, fullmesh: true, ..EndpointFlags::default() });
        }),
        ("with the C-flag, every join reaches the right server (laminar client)", || {
            with_the_flag(EndpointFlags { subflow: true, laminar: true, ..EndpointFlags::default() });
        }),
        ("without it, joins go to the wrong server, and are lost", without_the_flag),
        ("a balancer spreads connections over both servers", spread),
    ])
}

struct Site {
    _lab: Lab,
    client: Host,
    lte: IpAddr,
    /// With the address of its own of each.
    servers: Vec<(Host, IpAddr)>,
    serving: Vec<Child>,
    folder: tempfile::TempDir,
}

impl Site {
    fn new(allow_join_initial: &str) -> Self {
        let lab = Lab::new().unwrap();
        let (client, balancer) = (lab.host("client").unwrap(), lab.host("balancer").unwrap());
        let [_, lte] = ["wifi", "lte"].map(|name| {
            lab.link(&client, &balancer, LinkSpec::new().name(name).rate(Rate::mbit(20))).unwrap()
        });
        let lte = lte.address(&client).unwrap();
        lab.enable_multipath(&client, &balancer).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let servers: Vec<(Host, IpAddr)> = ["one", "two"]
            .map(|name| {
                let server = lab.host(name).unwrap();
                let link = lab.link(&balancer, &server, LinkSpec::new().name(name)).unwrap();
                let own = link.address(&server).unwrap();
                prepare(&server, own, allow_join_initial);
                // What is served tells who served it.
                let www = folder.path().join(name);
                fs::create_dir(&www).unwrap();
                fs::write(www.join("file"), name.repeat(SIZE / 3)).unwrap();
                (server, own)
            })
            .into();
        balancer.sysctl("net.ipv4.ip_forward", "1").unwrap();
        // Hash ports as well as addresses: the 5-tuple.
        balancer.sysctl("net.ipv4.fib_multipath_hash_policy", "1").unwrap();
        let gateways: Vec<IpAddr> = servers.iter().map(|(_, own)| *own).collect();
        balancer.add_route(SERVICE.into(), 32, &gateways).unwrap();
        let serving = servers.iter().map(|(server, _)| serve(server, folder.path())).collect();
        let site = Self { _lab: lab, client, lte, servers, serving, folder };
        for (server, _) in &site.servers {
            wait_until_it_listens(server);
        }
        site
    }

    /// Downloads once; gives the name of the server and what `get` says.
    fn get(&self) -> (String, Value) {
        let got = self.folder.path().join("got");
        let mut command = Command::new(mphttp());
        command.args(["get", "--json", "--paths", "off", "--no-race", "--max-time", "30", "-o"]);
        command.arg(&got).arg(format!("http://{}:{PORT}/file", IpAddr::from(SERVICE)));
        command.env_remove("MPHTTP_PROTOCOL").env("no_proxy", "*");
        let output = self.client.run(|| command.output()).unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let body = fs::read_to_string(got).unwrap();
        let name = body.get(..3).unwrap().to_owned();
        assert_eq!(body, name.repeat(SIZE / 3), "mixed");
        (name, serde_json::from_slice(&output.stdout).unwrap())
    }

    /// A counter of both servers together.
    fn counted(&self, name: &str) -> u64 {
        let counters = self.servers.iter().map(|(server, _)| server.counters().unwrap());
        counters.map(|counters| counters.get(name).copied().unwrap_or(0)).sum()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for child in &mut self.serving {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What the guide has each server set.
fn prepare(server: &Host, own: IpAddr, allow_join_initial: &str) {
    server.add_address("lo", SERVICE.into(), 32).unwrap();
    server.sysctl("net.mptcp.allow_join_initial_addr_port", allow_join_initial).unwrap();
    server.mptcp_limits(8, 8).unwrap();
    let flags = EndpointFlags { signal: true, ..EndpointFlags::default() };
    server.add_endpoint(&Endpoint { port: Some(OWN_PORT), ..Endpoint::new(own, flags) }).unwrap();
}

fn serve(server: &Host, folder: &std::path::Path) -> Child {
    let mut command = Command::new(mphttp());
    command.arg("serve").arg(folder.join(server.name())).args(["--port", &PORT.to_string()]);
    command.env_remove("MPHTTP_PROTOCOL").stdout(Stdio::null()).stderr(Stdio::null());
    server.spawn(command).unwrap()
}

fn wait_until_it_listens(server: &Host) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.run(|| std::net::TcpStream::connect((IpAddr::from(SERVICE), PORT))).unwrap().is_err() {
        assert!(Instant::now() < deadline, "{server:?} does not listen");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The remote ends of the paths that a download used, with the interface of each.
fn paths(said: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let paths = said["paths"].as_array().unwrap();
    paths.iter().map(|path| (text(&path["remote"]), text(&path["interface"]))).collect()
}

/// The client's second link takes part in what the server announces: by an endpoint with the flag fullmesh, or from Linux
/// 6.18 on laminar. Without either, the kernel joins over the link that the routes name.
fn with_the_flag(flags: EndpointFlags) {
    let site = Site::new("0");
    let mut manager = site.client.path_manager().unwrap();
    manager.flush().unwrap();
    manager.add(&Endpoint::new(site.lte, flags)).unwrap();
    let mut over_lte = 0;
    for _ in 0..CONNECTIONS {
        let (name, said) = site.get();
        assert_eq!(said["protocol"], "mptcp", "{said}");
        let own = site.servers.iter().find(|(server, _)| server.name() == name).map(|(_, own)| *own).unwrap();
        let paths = paths(&said);
        println!("{name}: {paths:?}");
        let (initial, further): (Vec<_>, Vec<_>) =
            paths.iter().partition(|(remote, _)| *remote == format!("{}:{PORT}", IpAddr::from(SERVICE)));
        // One to the service's address, as the flag says; the others to the very server that answered.
        assert_eq!(initial.len(), 1, "{paths:?}");
        assert!(!further.is_empty(), "{paths:?}");
        assert!(further.iter().all(|(remote, _)| *remote == format!("{own}:{OWN_PORT}")), "{paths:?}");
        over_lte += usize::from(further.iter().any(|(_, interface)| interface == "lte"));
    }
    println!("{over_lte} of {CONNECTIONS} had a path over the other link");
    assert_eq!(site.counted("MPTcpExtMPJoinNoTokenFound"), 0);
    assert!(site.counted("MPTcpExtMPJoinAckRx") >= CONNECTIONS as u64);
    assert_eq!(over_lte, CONNECTIONS);
}

fn without_the_flag() {
    let site = Site::new("1");
    let mut lost = 0;
    for _ in 0..CONNECTIONS {
        let (name, said) = site.get();
        let paths = paths(&said);
        println!("{name}: {paths:?}");
        let to_service = paths.iter().filter(|(remote, _)| remote.starts_with("192.0.2.80:")).count();
        lost += usize::from(to_service < 2);
    }
    let refused = site.counted("MPTcpExtMPJoinNoTokenFound");
    println!(
        "{lost} of {CONNECTIONS} lost the join from the other link; {refused} joins came to a server that knew no such token"
    );
    assert!(refused > 0 && lost > 0, "{refused} {lost}");
}

fn spread() {
    let site = Site::new("0");
    let mut served: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..CONNECTIONS {
        *served.entry(site.get().0).or_default() += 1;
    }
    println!("{served:?}");
    assert_eq!(served.len(), 2, "{served:?}");
}
