//! Trouble while traffic flows: carrier lost, black holes, addresses taken, and everything back again.

use std::io::{Read, Write};
use std::net::{IpAddr, UdpSocket};
use std::time::Duration;

use netlab::{Direction, LinkSpec, Rate};

use crate::support::{Result, Stack, Tests, arrives, connect, datagrams, ensure, net};

pub const TESTS: Tests = &[
    (
        "without_carrier_nothing_passes_and_both_hosts_know",
        without_carrier_nothing_passes_and_both_hosts_know,
    ),
    ("a_black_hole_swallows_all_and_no_host_knows", a_black_hole_swallows_all_and_no_host_knows),
    ("a_connection_survives_a_short_black_hole", a_connection_survives_a_short_black_hole),
    ("addresses_are_taken_and_given_back", addresses_are_taken_and_given_back),
    ("addresses_can_change", addresses_can_change),
    ("impossible_addresses_are_refused", impossible_addresses_are_refused),
    ("a_plain_link_takes_a_delay_later", a_plain_link_takes_a_delay_later),
];

fn both_kinds() -> [LinkSpec; 2] {
    let plain = LinkSpec::new().rate(Rate::mbit(100));
    [plain.clone(), plain.delay(Duration::from_millis(2))]
}

fn without_carrier_nothing_passes_and_both_hosts_know() -> Result {
    for spec in both_kinds() {
        let net = net([spec])?;
        for address in net.server_addresses(0) {
            let (client, server) = datagrams(&net, address)?;
            assert!(arrives(&client, &server)?);
            net.links[0].set_carrier(false)?;
            assert!(!net.links[0].has_carrier(&net.client)? && !net.links[0].has_carrier(&net.server)?);
            assert!(!arrives(&client, &server)?);
            net.links[0].set_carrier(true)?;
            assert!(net.links[0].has_carrier(&net.client)? && net.links[0].has_carrier(&net.server)?);
            assert!(arrives(&client, &server)?, "{address} after the carrier's return");
        }
    }
    Ok(())
}

fn a_black_hole_swallows_all_and_no_host_knows() -> Result {
    for spec in both_kinds() {
        let net = net([spec])?;
        let (client, server) = datagrams(&net, net.server_address(0))?;
        assert!(arrives(&client, &server)?);
        net.links[0].set_black_hole(true)?;
        for _ in 0..3 {
            assert!(!arrives(&client, &server)?);
            assert!(client.send(b"still no error").is_ok());
        }
        assert!(net.links[0].has_carrier(&net.client)? && net.links[0].has_carrier(&net.server)?);
        net.links[0].set_black_hole(false)?;
        assert!(arrives(&client, &server)?);
    }
    Ok(())
}

fn a_connection_survives_a_short_black_hole() -> Result {
    for spec in both_kinds() {
        let net = net([spec])?;
        let mut connection = connect(&net, net.server_address(0), None, Stack::Tcp)?;
        net.links[0].set_black_hole(true)?;
        connection.client.write_all(b"late")?;
        std::thread::sleep(Duration::from_millis(100));
        net.links[0].set_black_hole(false)?;
        let mut received = [0; 4];
        connection.server.read_exact(&mut received)?;
        assert_eq!(&received, b"late");
    }
    Ok(())
}

fn addresses_are_taken_and_given_back() -> Result {
    let net = net([LinkSpec::new(), LinkSpec::new()])?;
    let addresses = net.links[1].addresses(&net.client);
    let usable = |address: IpAddr| net.client.run(|| UdpSocket::bind((address, 0)).is_ok());
    for &address in &addresses {
        assert!(usable(address)?);
    }
    net.links[1].take_address(&net.client)?;
    net.links[1].take_address(&net.client)?;
    for &address in &addresses {
        assert!(!usable(address)?, "{address} is still there");
    }
    // The other link isn't concerned.
    connect(&net, net.server_address(0), None, Stack::Tcp)?.greet()?;

    net.links[1].give_address(&net.client)?;
    net.links[1].give_address(&net.client)?;
    for (&ours, theirs) in addresses.iter().zip(net.server_addresses(0)) {
        // Across the links: it takes the routes and rules too.
        connect(&net, theirs, Some(ours), Stack::Tcp)?.greet()?;
    }
    Ok(())
}

fn addresses_can_change() -> Result {
    let net = net([LinkSpec::new(), LinkSpec::new()])?;
    let usable = |address: IpAddr| net.client.run(|| UdpSocket::bind((address, 0)).is_ok());
    let mut old = net.links[1].addresses(&net.client);
    // To new ones, to the same once more, after a time without any, and back to the first.
    for (number, takes_first) in [(77, false), (77, false), (78, true), (1, false)] {
        if takes_first {
            net.links[1].take_address(&net.client)?;
        }
        net.links[1].renumber(&net.client, number)?;
        let new = net.links[1].addresses(&net.client);
        assert_eq!(new[0], IpAddr::from([10, 2, 0, number]));
        assert_eq!(new.len(), old.len());
        for &address in old.iter().filter(|address| !new.contains(address)) {
            assert!(!usable(address)?, "{address} is still there");
        }
        for (&ours, theirs) in new.iter().zip(net.server_addresses(0)) {
            // Across the links: it takes the routes and rules too.
            let before = net.links[1].traffic(Direction::BToA)?.received_bytes;
            connect(&net, theirs, Some(ours), Stack::Tcp)?.download(100_000)?;
            let arrived = net.links[1].traffic(Direction::BToA)?.received_bytes - before;
            ensure(arrived > 100_000, || format!("{arrived} bytes over the link of {ours}"))?;
        }
        old = new;
    }
    // The other side, and what goes by the addresses.
    net.links[1].renumber(&net.server, 9)?;
    assert_eq!(net.server_address(1), IpAddr::from([10, 2, 0, 9]));
    for theirs in net.server_addresses(1) {
        connect(&net, theirs, None, Stack::Tcp)?.greet()?;
    }
    net.links[0].renumber(&net.client, 77)?;
    net.lab.enable_multipath(&net.client, &net.server)?;
    let endpoints = net.client.path_manager()?.endpoints()?;
    assert!(endpoints.iter().any(|endpoint| endpoint.address == IpAddr::from([10, 1, 0, 77])));
    Ok(())
}

fn impossible_addresses_are_refused() -> Result {
    let net = net([LinkSpec::new()])?;
    let before = net.links[0].addresses(&net.client);
    for number in [0, 2, 255] {
        assert!(net.links[0].renumber(&net.client, number).is_err(), "{number}");
    }
    assert!(net.links[0].renumber(&net.lab.host("elsewhere")?, 7).is_err());
    assert_eq!(net.links[0].addresses(&net.client), before);
    connect(&net, net.server_address(0), None, Stack::Tcp)?.greet()
}

fn a_plain_link_takes_a_delay_later() -> Result {
    let net = net([LinkSpec::new().rate(Rate::mbit(100))])?;
    let mut connection = connect(&net, net.server_address(0), None, Stack::Tcp)?;
    connection.download(1_000_000)?;
    net.links[0].set_delay(Duration::from_millis(20))?;
    let start = std::time::Instant::now();
    connection.greet()?;
    let elapsed = start.elapsed();
    ensure(elapsed >= Duration::from_millis(40), || format!("{elapsed:?}"))?;
    // A connection of its own: some congestion controls remember the shortest round trip for seconds.
    let rate = connect(&net, net.server_address(0), None, Stack::Tcp)?.download(24_000_000)?;
    ensure((50.0..100.0).contains(&rate), || format!("{rate} Mbit/s"))
}
