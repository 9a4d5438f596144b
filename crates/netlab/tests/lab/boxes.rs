//! Boxes against the kernel's MPTCP: it has to notice them as it would in the field.

use std::time::{Duration, Instant};

use netlab::{After, BoxKind, Direction, LinkSpec, Rate, Segments};

use crate::support::{Net, Result, Stack, Tests, connect, counter, ensure, net};

pub const TESTS: Tests = &[
    ("a_stripping_box_makes_it_tcp", a_stripping_box_makes_it_tcp),
    ("a_box_that_strips_answers_makes_it_tcp", a_box_that_strips_answers_makes_it_tcp),
    ("a_dropping_box_swallows_mptcp_syns", a_dropping_box_swallows_mptcp_syns),
    ("a_resetting_box_refuses_mptcp_syns", a_resetting_box_refuses_mptcp_syns),
    ("a_box_on_one_link_keeps_mptcp_from_that_link", a_box_on_one_link_keeps_mptcp_from_that_link),
    ("a_late_box_breaks_a_connection_that_was_mptcp", a_late_box_breaks_a_connection_that_was_mptcp),
    ("a_box_comes_and_goes", a_box_comes_and_goes),
];

fn with_box(kind: BoxKind) -> Result<Net> {
    net([LinkSpec::new().rate(Rate::mbit(100)).middlebox(kind)])
}

fn plain_tcp_is_untouched(net: &Net) -> Result {
    for address in net.server_addresses(0) {
        let start = Instant::now();
        let mut connection = connect(net, address, None, Stack::Tcp)?;
        connection.greet()?;
        ensure(start.elapsed() < Duration::from_millis(500), || format!("{address}: {:?}", start.elapsed()))?;
        connection.download(1_000_000)?;
    }
    Ok(())
}

fn a_stripping_box_makes_it_tcp() -> Result {
    for segments in [Segments::Syns, Segments::All] {
        let net = with_box(BoxKind::StripMptcp { segments, direction: None })?;
        let addresses = net.server_addresses(0);
        for &address in &addresses {
            let mut connection = connect(&net, address, None, Stack::Mptcp)?;
            connection.greet()?;
            connection.download(1_000_000)?;
        }
        let count = addresses.len() as u64;
        assert_eq!(counter(&net.client, "MPTcpExtMPCapableSYNTX")?, count);
        assert_eq!(counter(&net.client, "MPTcpExtMPCapableFallbackSYNACK")?, count);
        assert_eq!(counter(&net.server, "MPTcpExtMPCapableSYNRX")?, 0);
        assert_eq!(counter(&net.server, "TcpInCsumErrors")? + counter(&net.client, "TcpInCsumErrors")?, 0);
        plain_tcp_is_untouched(&net)?;
    }
    Ok(())
}

fn a_box_that_strips_answers_makes_it_tcp() -> Result {
    let net = with_box(BoxKind::StripMptcp { segments: Segments::All, direction: Some(Direction::BToA) })?;
    let mut connection = connect(&net, net.server_address(0), None, Stack::Mptcp)?;
    connection.greet()?;
    connection.download(1_000_000)?;
    assert_eq!(counter(&net.server, "MPTcpExtMPCapableSYNRX")?, 1);
    assert_eq!(counter(&net.client, "MPTcpExtMPCapableFallbackSYNACK")?, 1);
    Ok(())
}

fn a_dropping_box_swallows_mptcp_syns() -> Result {
    let net = with_box(BoxKind::DropMptcpSyn)?;
    plain_tcp_is_untouched(&net)?;
    let start = Instant::now();
    // Old kernels never connect, newer ones give MPTCP up after some retransmissions: not at once in any
    // case.
    let connected = connect(&net, net.server_address(0), None, Stack::Mptcp);
    let elapsed = start.elapsed();
    ensure(elapsed > Duration::from_millis(900), || {
        format!("connected: {} after {elapsed:?}", connected.is_ok())
    })?;
    assert_eq!(counter(&net.server, "MPTcpExtMPCapableSYNRX")?, 0);
    assert!(counter(&net.client, "MPTcpExtMPCapableSYNTX")? >= 1);
    assert!(net.links[0].traffic(Direction::AToB)?.dropped_by_box >= 1);
    plain_tcp_is_untouched(&net)
}

fn a_resetting_box_refuses_mptcp_syns() -> Result {
    let net = with_box(BoxKind::ResetMptcpSyn)?;
    for address in net.server_addresses(0) {
        let start = Instant::now();
        let refused = connect(&net, address, None, Stack::Mptcp).err().ok_or("connected through the box")?;
        let kind = refused.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
        assert_eq!(kind, Some(std::io::ErrorKind::ConnectionRefused), "{refused}");
        ensure(start.elapsed() < Duration::from_millis(500), || format!("{:?}", start.elapsed()))?;
    }
    assert_eq!(counter(&net.client, "TcpInCsumErrors")?, 0);
    plain_tcp_is_untouched(&net)
}

fn a_box_on_one_link_keeps_mptcp_from_that_link() -> Result {
    let link = LinkSpec::new().rate(Rate::mbit(100));
    let net = net([link.clone(), link.middlebox(BoxKind::DropMptcpSyn)])?;
    net.lab.enable_multipath(&net.client, &net.server)?;
    let mut connection = connect(&net, net.server_address(0), None, Stack::Mptcp)?;
    connection.greet()?;
    connection.download(5_000_000)?;
    assert_eq!(counter(&net.server, "MPTcpExtMPCapableSYNRX")?, 1);
    assert_eq!(counter(&net.server, "MPTcpExtMPJoinSynRx")?, 0);
    let other = net.links[1].traffic(Direction::BToA)?;
    ensure(other.received_bytes < 10_000, || format!("{other:?}"))
}

fn a_late_box_breaks_a_connection_that_was_mptcp() -> Result {
    for after in [After::Bytes(500_000), After::Segments(300)] {
        let net = with_box(BoxKind::StripAfter(after))?;
        let mut connection = connect(&net, net.server_address(0), None, Stack::Mptcp)?;
        connection.greet()?;
        assert_eq!(counter(&net.server, "MPTcpExtMPCapableACKRX")?, 1, "MPTCP before the box wakes up");
        // What becomes of the connection is for the kernel to decide (6.18: the receiver falls back, the
        // sender never learns of it, and the transfer stalls); what matters here is that it met a box that
        // wasn't there before.
        let outcome = connection.download_within(3_000_000, Duration::from_secs(2));
        let mut noticed = 0;
        for host in [&net.client, &net.server] {
            for name in ["MPTcpExtDssFallback", "MPTcpExtMPRstTx", "MPTcpExtMPFallbackRx", "MPTcpExtMPFailTx"]
            {
                noticed += counter(host, name)?;
            }
        }
        ensure(noticed > 0, || format!("{after:?}: {outcome:?}, but no host noticed"))?;
    }
    Ok(())
}

fn a_box_comes_and_goes() -> Result {
    let net = net([LinkSpec::new().rate(Rate::mbit(100))])?;
    let address = net.server_address(0);
    let established = || counter(&net.server, "MPTcpExtMPCapableACKRX");
    connect(&net, address, None, Stack::Mptcp)?.greet()?;
    assert_eq!(established()?, 1);
    net.links[0].set_box(Some(BoxKind::ResetMptcpSyn))?;
    assert!(connect(&net, address, None, Stack::Mptcp).is_err());
    net.links[0].set_box(Some(BoxKind::StripMptcp { segments: Segments::All, direction: None }))?;
    connect(&net, address, None, Stack::Mptcp)?.greet()?;
    assert_eq!(established()?, 1);
    net.links[0].set_box(None)?;
    connect(&net, address, None, Stack::Mptcp)?.greet()?;
    assert_eq!(established()?, 2);
    Ok(())
}
