//! Links: rate, delay, loss, queue and routes are what was asked for.

use std::time::{Duration, Instant};

use netlab::{Direction, LinkSpec, Rate};

use crate::support::{Net, Result, Stack, Tests, connect, count_arrivals, datagrams, ensure, net};

pub const TESTS: Tests = &[
    ("a_plain_link_keeps_its_rate", a_plain_link_keeps_its_rate),
    ("a_forwarded_link_keeps_its_rate", a_forwarded_link_keeps_its_rate),
    ("a_link_without_a_rate_is_fast", a_link_without_a_rate_is_fast),
    ("the_rate_can_change_while_traffic_flows", the_rate_can_change_while_traffic_flows),
    ("a_delay_makes_the_round_trip_twice_as_long", a_delay_makes_the_round_trip_twice_as_long),
    ("losses_are_as_frequent_as_asked_for", losses_are_as_frequent_as_asked_for),
    ("what_the_queue_cannot_hold_is_dropped", what_the_queue_cannot_hold_is_dropped),
    ("the_clients_address_chooses_the_link", the_clients_address_chooses_the_link),
];

const MB: usize = 1_000_000;

fn a_plain_link_keeps_its_rate() -> Result {
    let net = net([LinkSpec::new().rate(Rate::mbit(100))])?;
    for address in net.server_addresses(0) {
        let rate = connect(&net, address, None, Stack::Tcp)?.download(12 * MB)?;
        ensure((85.0..100.0).contains(&rate), || format!("{address}: {rate} Mbit/s"))?;
    }
    Ok(())
}

fn a_forwarded_link_keeps_its_rate() -> Result {
    let net = net([LinkSpec::new().rate(Rate::mbit(100)).delay(Duration::from_millis(5))])?;
    for address in net.server_addresses(0) {
        let rate = connect(&net, address, None, Stack::Tcp)?.download(24 * MB)?;
        ensure((80.0..100.0).contains(&rate), || format!("{address}: {rate} Mbit/s"))?;
    }
    Ok(())
}

fn a_link_without_a_rate_is_fast() -> Result {
    let net = net([LinkSpec::new()])?;
    let rate = connect(&net, net.server_address(0), None, Stack::Tcp)?.download(100 * MB)?;
    ensure(rate > 1_000.0, || format!("{rate} Mbit/s"))
}

fn the_rate_can_change_while_traffic_flows() -> Result {
    let plain = LinkSpec::new().rate(Rate::mbit(100));
    for spec in [plain.clone(), plain.delay(Duration::from_millis(2))] {
        let net = net([spec])?;
        let mut connection = connect(&net, net.server_address(0), None, Stack::Tcp)?;
        connection.download(5 * MB)?;
        net.links[0].set_rate(Some(Rate::mbit(20)))?;
        let slow = connection.download(4 * MB)?;
        ensure((14.0..26.0).contains(&slow), || format!("{slow} Mbit/s at 20"))?;
        net.links[0].set_rate(None)?;
        let fast = connection.download(40 * MB)?;
        ensure(fast > 150.0, || format!("{fast} Mbit/s without a rate"))?;
    }
    Ok(())
}

fn round_trips(net: &Net) -> Result<Vec<Duration>> {
    let mut times = Vec::new();
    for address in net.server_addresses(0) {
        let (client, server) = datagrams(net, address)?;
        client.set_read_timeout(Some(Duration::from_secs(2)))?;
        server.set_read_timeout(Some(Duration::from_secs(2)))?;
        for _ in 0..20 {
            let start = Instant::now();
            client.send(b"ping")?;
            let (_, from) = server.recv_from(&mut [0; 16])?;
            server.send_to(b"pong", from)?;
            client.recv(&mut [0; 16])?;
            times.push(start.elapsed());
        }
    }
    times.sort_unstable();
    Ok(times)
}

fn a_delay_makes_the_round_trip_twice_as_long() -> Result {
    for delay in [1, 10, 50] {
        let net = net([LinkSpec::new().delay(Duration::from_millis(delay))])?;
        let times = round_trips(&net)?;
        let (shortest, median) = (times[0], times[times.len() / 2]);
        let wanted = Duration::from_millis(2 * delay);
        ensure(shortest >= wanted, || format!("{shortest:?} is less than {wanted:?}"))?;
        ensure(median < wanted + Duration::from_millis(3), || format!("{median:?} instead of {wanted:?}"))?;
    }
    Ok(())
}

fn losses_are_as_frequent_as_asked_for() -> Result {
    let net = net([LinkSpec::new().loss(0.05)])?;
    let (client, server) = datagrams(&net, net.server_address(0))?;
    let sender = std::thread::spawn(move || {
        for number in 0..4000_u32 {
            client.send(&number.to_be_bytes())?;
            if number % 20 == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        std::io::Result::Ok(())
    });
    let arrived = count_arrivals(&server)?;
    sender.join().expect("no panic")?;
    // 200 expected, with a standard deviation of 14.
    let lost = 4000 - arrived;
    ensure((130..=270).contains(&lost), || format!("{lost} of 4000 lost at 5 %"))?;
    let traffic = net.links[0].traffic(Direction::AToB)?;
    ensure(traffic.dropped_by_loss.abs_diff(lost as u64) <= 2, || format!("{lost} lost, but {traffic:?}"))
}

fn what_the_queue_cannot_hold_is_dropped() -> Result {
    let slow = LinkSpec::new().rate(Rate::mbit(8)).queue_bytes(15_000);
    for (kind, spec) in [("plain", slow.clone()), ("forwarded", slow.delay(Duration::from_millis(1)))] {
        let net = net([spec])?;
        let (client, server) = datagrams(&net, net.server_address(0))?;
        for _ in 0..100 {
            client.send(&[0; 1200])?;
        }
        // Twelve fit into the queue; a plain link lets a few more go at once, and all the while it sends.
        let arrived = count_arrivals(&server)?;
        ensure((8..40).contains(&arrived), || format!("{kind}: {arrived} of 100 arrived"))?;
        let traffic = net.links[0].traffic(Direction::AToB)?;
        let missing = 100 - arrived as u64;
        let explained =
            if kind == "plain" { traffic.sent_frames < 100 } else { traffic.dropped_by_queue >= missing };
        ensure(explained, || format!("{kind}: {missing} missing, but {traffic:?}"))?;
    }
    Ok(())
}

fn the_clients_address_chooses_the_link() -> Result {
    let net = net([LinkSpec::new(), LinkSpec::new(), LinkSpec::new()])?;
    for (from, to) in [(1, 0), (0, 1), (2, 0)] {
        for (ours, theirs) in net.links[from].addresses(&net.client).into_iter().zip(net.server_addresses(to))
        {
            let bytes = |link: usize| -> Result<u64> {
                let there = net.links[link].traffic(Direction::AToB)?.sent_bytes;
                Ok(there.min(net.links[link].traffic(Direction::BToA)?.sent_bytes))
            };
            let before = (bytes(from)?, bytes(to)?);
            let mut connection = connect(&net, theirs, Some(ours), Stack::Tcp)?;
            connection.download(MB)?;
            std::mem::swap(&mut connection.client, &mut connection.server);
            connection.download(MB)?;
            let after = (bytes(from)?, bytes(to)?);
            ensure(after.0 - before.0 > MB as u64, || format!("{ours} to {theirs}: {before:?}, {after:?}"))?;
            ensure(after.1 - before.1 < 10_000, || format!("{ours} to {theirs}: {before:?}, {after:?}"))?;
        }
    }
    Ok(())
}
