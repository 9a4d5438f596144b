//! Hosts: what runs on them belongs to them, and nothing of them stays.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use netlab::{Error, Lab, LinkSpec, Rate};

use crate::support::{Result, SCENARIO, Stack, THIS_PROGRAM, Tests, connect, ensure, net, network_namespace};

pub const TESTS: Tests = &[
    ("closures_threads_and_children_run_on_their_host", closures_threads_and_children_run_on_their_host),
    ("sysctls_and_counters_are_those_of_the_host", sysctls_and_counters_are_those_of_the_host),
    ("a_panic_on_a_host_reaches_the_caller", a_panic_on_a_host_reaches_the_caller),
    ("a_link_has_its_name_on_both_hosts", a_link_has_its_name_on_both_hosts),
    (
        "links_that_cannot_be_are_refused_and_leave_nothing",
        links_that_cannot_be_are_refused_and_leave_nothing,
    ),
    ("everything_is_gone_after_the_drop", everything_is_gone_after_the_drop),
];

fn closures_threads_and_children_run_on_their_host() -> Result {
    let lab = Lab::new()?;
    let (one, other) = (lab.host("one")?, lab.host("other")?);
    let name = one.run(network_namespace)?;
    assert_ne!(name, network_namespace());
    assert_ne!(name, other.run(network_namespace)?);
    assert_eq!(name, one.run(|| std::thread::spawn(network_namespace).join().expect("no panic"))?);
    assert_eq!(name, one.thread(network_namespace)?.join().expect("no panic"));

    let mut child = Command::new(THIS_PROGRAM);
    child.env(SCENARIO, "namespace").stdout(Stdio::piped());
    let output = one.spawn(child)?.wait_with_output()?;
    assert_eq!(String::from_utf8(output.stdout)?.trim(), name);
    Ok(())
}

fn sysctls_and_counters_are_those_of_the_host() -> Result {
    let net = net([LinkSpec::new()])?;
    net.client.sysctl("net.ipv4.ip_default_ttl", "33")?;
    assert_eq!(net.client.sysctl_get("net.ipv4.ip_default_ttl")?, "33");
    assert_ne!(net.server.sysctl_get("net.ipv4.ip_default_ttl")?, "33");
    let unknown = net.client.sysctl("net.ipv4.no_such_thing", "1");
    assert!(matches!(unknown, Err(Error::Sysctl { doing: "write", .. })), "{unknown:?}");

    connect(&net, net.server_address(0), None, Stack::Tcp)?;
    assert_eq!(net.client.counters()?["TcpActiveOpens"], 1);
    assert_eq!(net.server.counters()?["TcpActiveOpens"], 0);
    assert_eq!(net.server.counters()?["TcpPassiveOpens"], 1);
    Ok(())
}

fn a_panic_on_a_host_reaches_the_caller() -> Result {
    let host = Lab::new()?.host("host")?;
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let caught = std::panic::catch_unwind(|| host.run(|| panic!("on the host")));
    std::panic::set_hook(hook);
    assert_eq!(caught.expect_err("a panic").downcast_ref::<&str>(), Some(&"on the host"));
    Ok(())
}

fn a_link_has_its_name_on_both_hosts() -> Result {
    let net = net([LinkSpec::new().name("wifi"), LinkSpec::new()])?;
    for host in [&net.client, &net.server] {
        let devices = host.run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
        for name in ["wifi:", "link2:"] {
            ensure(devices.contains(name), || format!("no {name} among {devices}"))?;
        }
    }
    assert_eq!((net.links[0].name(), net.links[1].name()), ("wifi", "link2"));
    Ok(())
}

fn links_that_cannot_be_are_refused_and_leave_nothing() -> Result {
    let net = net([LinkSpec::new().name("wifi")])?;
    let try_link = |spec| net.lab.link(&net.client, &net.server, spec).map(drop);
    for name in ["", "sixteen-letters!", "a/b", "a b", "..", "link%d"] {
        let refused = try_link(LinkSpec::new().name(name));
        assert!(matches!(refused, Err(Error::BadName(_))), "{name:?}: {refused:?}");
    }
    assert!(matches!(try_link(LinkSpec::new().rate(Rate::bit(0))), Err(Error::BadSpec(_))));
    assert!(matches!(net.lab.link(&net.client, &net.client, LinkSpec::new()), Err(Error::SelfLink(_))));

    // Taken on one side only: the other side's interface must go again.
    let third = net.lab.host("third")?;
    let refused = net.lab.link(&third, &net.server, LinkSpec::new().name("wifi"));
    assert!(matches!(refused, Err(Error::Netlink { .. })), "{refused:?}");
    let devices = third.run(|| fs::read_to_string("/proc/thread-self/net/dev"))??;
    assert!(!devices.contains("wifi"), "{devices}");
    let link = net.lab.link(&third, &net.server, LinkSpec::new().name("cable"))?;
    let not_there = link.take_address(&net.client);
    assert!(matches!(not_there, Err(Error::NotAnEnd { .. })), "{not_there:?}");
    Ok(())
}

fn everything_is_gone_after_the_drop() -> Result {
    let count = |directory| Ok::<_, std::io::Error>(fs::read_dir(directory)?.count());
    let before = (count("/proc/self/task")?, count("/proc/self/fd")?);
    let delayed = LinkSpec::new().rate(Rate::mbit(10)).delay(Duration::from_millis(5));
    let net = net([LinkSpec::new(), delayed.clone(), delayed])?;
    connect(&net, net.server_address(1), None, Stack::Tcp)?;
    let during = (count("/proc/self/task")?, count("/proc/self/fd")?);
    assert!(during.0 >= before.0 + 2 && during.1 > before.1, "{before:?}, {during:?}");
    let wire = net.links[1].clone();
    drop(net);
    assert_eq!(wire.name(), "link2", "a link outlives its lab");
    drop(wire);
    // A thread that was joined stays in /proc for a moment.
    let start = Instant::now();
    while count("/proc/self/task")? > before.0 && start.elapsed() < Duration::from_secs(2) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!((count("/proc/self/task")?, count("/proc/self/fd")?), before);
    Ok(())
}
