//! Hosts with one family of addresses.

use std::process::Command;

use mptcp_paths::{Endpoint, EndpointFlags};

use crate::{
    Odd, program, run,
    support::{Bench, MEGABYTE},
};

pub const ODD: &[Odd] = &[
    Odd {
        name: "no IPv6",
        made: "`net.ipv6.conf.all.disable_ipv6=1`, as the parameter `ipv6.disable_ipv6` of the kernel leaves it; `socket(AF_INET6, …)` \
               works, no address can be bound. Without the code for IPv6 at all: \"Linux without IPv6\" above",
        expected: "`serve` listens with IPv4 on all addresses; `get` by name takes the IPv4 address; MPTCP over both links",
        test: no_ipv6,
    },
    Odd {
        name: "no IPv4",
        made: "every IPv4 address of both hosts removed, loopback's too",
        expected: "`serve`, `get`, `doctor` and `paths` as with both; MPTCP over both links",
        test: no_ipv4,
    },
];

/// The client's endpoints, in place of those for addresses that are gone.
fn endpoints(bench: &Bench, addresses: [&str; 2]) {
    let mut manager = bench.client.path_manager().unwrap();
    manager.flush().unwrap();
    for address in addresses {
        manager.add(&Endpoint::new(address.parse().unwrap(), EndpointFlags::SUBFLOW)).unwrap();
    }
}

fn no_ipv6() {
    let bench = Bench::two_links();
    let digest = bench.file("small", MEGABYTE / 10);
    for host in [&bench.client, &bench.server] {
        host.sysctl("net.ipv6.conf.all.disable_ipv6", "1").unwrap();
    }
    endpoints(&bench, ["10.1.0.1", "10.2.0.1"]);
    let serving = bench.serve(&[]);
    assert!(!serving.told.iter().any(|line| line.contains('[')), "{:?}", serving.told);
    let got = bench.get("small", &[]).json();
    assert_eq!((got["protocol"].as_str(), bench.got()), (Some("mptcp"), digest));
    // Of its two addresses, ::1 can't be reached.
    let served = run(&bench.server, {
        let mut command = program(&["get", "--json", "-o", "/dev/null"]);
        command.arg("http://localhost:8000/small");
        command
    });
    served.assert(0, "\"mptcp\"");
    run(&bench.client, program(&["doctor", "--json"])).assert(0, "\"unseen\":[]");
    run(&bench.client, program(&["paths"])).assert(0, "10.2.0.1");
    run(&bench.client, program(&["top", "--once", "--interval", "0"])).assert(0, "");
}

fn no_ipv4() {
    let bench = Bench::two_links();
    let digest = bench.file("small", MEGABYTE / 10);
    for host in [&bench.client, &bench.server] {
        for interface in ["lo", "wifi", "lte"] {
            let mut flush = Command::new("ip");
            flush.args(["-4", "address", "flush", "dev", interface]);
            let done = run(host, flush);
            done.assert(0, "");
        }
    }
    endpoints(&bench, ["fd00:1::1", "fd00:2::1"]);
    let serving = bench.serve(&[]);
    assert!(!serving.told.iter().any(|line| line.contains("127.0.0.1")), "{:?}", serving.told);
    let got = bench.get_url("http://[fd00:1::2]:8000/small", &[]).json();
    assert_eq!((got["protocol"].as_str(), bench.got()), (Some("mptcp"), digest), "{got}");
    run(&bench.client, program(&["doctor", "--json"])).assert(0, "\"unseen\":[]");
    run(&bench.client, program(&["paths"])).assert(0, "fd00:2::1");
    run(&bench.client, program(&["top", "--once", "--interval", "0"])).assert(0, "");
}
