//! The kernel's MPTCP over the lab's links.

use std::time::Duration;

use netlab::{Direction, LinkSpec, Rate};

use crate::support::{Net, Result, Stack, Tests, connect, counter, ensure, net};

pub const TESTS: Tests = &[
    ("mptcp_uses_both_links", mptcp_uses_both_links),
    ("mptcp_uses_two_forwarded_links_at_full_rate", mptcp_uses_two_forwarded_links_at_full_rate),
    ("mptcp_survives_the_death_of_a_link", mptcp_survives_the_death_of_a_link),
    ("without_mptcp_a_host_refuses_the_socket", without_mptcp_a_host_refuses_the_socket),
];

const BYTES: usize = 25_000_000;

fn received(net: &Net) -> Result<Vec<u64>> {
    net.links.iter().map(|link| Ok(link.traffic(Direction::BToA)?.received_bytes)).collect()
}

fn uses_both(net: &Net) -> Result {
    net.lab.enable_multipath(&net.client, &net.server)?;
    for address in net.server_addresses(0) {
        let before = received(net)?;
        let mut connection = connect(net, address, None, Stack::Mptcp)?;
        connection.greet()?;
        let rate = connection.download(BYTES)?;
        let shares: Vec<f64> = received(net)?
            .iter()
            .zip(before)
            .map(|(after, before)| (after - before) as f64 / BYTES as f64)
            .collect();
        ensure(shares.iter().all(|&share| share > 0.25), || format!("{address}: shares {shares:?}"))?;
        ensure((150.0..200.0).contains(&rate), || format!("{address}: {rate} Mbit/s over 2 x 100"))?;
    }
    Ok(())
}

fn mptcp_uses_both_links() -> Result {
    let link = LinkSpec::new().rate(Rate::mbit(100));
    uses_both(&net([link.clone(), link])?)
}

fn mptcp_uses_two_forwarded_links_at_full_rate() -> Result {
    let link = LinkSpec::new().rate(Rate::mbit(100)).delay(Duration::from_millis(5));
    uses_both(&net([link.clone(), link])?)
}

fn mptcp_survives_the_death_of_a_link() -> Result {
    let link = LinkSpec::new().rate(Rate::mbit(50));
    for dying in 0..2 {
        let net = net([link.clone(), link.clone()])?;
        net.lab.enable_multipath(&net.client, &net.server)?;
        let mut connection = connect(&net, net.server_address(0), None, Stack::Mptcp)?;
        connection.greet()?;
        connection.download(3_000_000)?;
        net.links[dying].set_black_hole(true)?;
        connection.download(3_000_000)?;
    }
    Ok(())
}

fn without_mptcp_a_host_refuses_the_socket() -> Result {
    let net = net([LinkSpec::new()])?;
    net.server.sysctl("net.mptcp.enabled", "0")?;
    assert!(connect(&net, net.server_address(0), None, Stack::Mptcp).is_err());
    connect(&net, net.server_address(0), None, Stack::Tcp)?.greet()?;
    assert_eq!(counter(&net.client, "MPTcpExtMPCapableSYNTX")?, 0);
    Ok(())
}
