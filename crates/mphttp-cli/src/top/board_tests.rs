//! Rows to try the board, the table and the screen with.

use mptcp_socket::decode;

use super::*;

/// A path between these addresses.
pub fn path(interface: &str, local: &str, remote: &str, rates: (f64, f64), retransmits: u32) -> PathRow {
    let mut path = decode::tcp_info(&[1]);
    path.local = local.parse().ok();
    path.remote = remote.parse().ok();
    path.interface = Some(interface.to_owned());
    path.rtt = Some(Duration::from_micros(12_345));
    (path.bytes_received, path.bytes_sent) = (Some(123_456_789), Some(2048));
    path.retransmits = Some(retransmits);
    PathRow {
        report: PathReport::from(&path),
        backup: interface == "lte",
        min_rtt_ms: Some(10.0),
        congestion: Some("cubic".into()),
        receive_rate: Some(rates.0),
        send_rate: Some(rates.1),
    }
}

/// A connection of a program over these paths.
pub fn row(id: u64, holder: Option<(u32, &str)>, remote: &str, paths: Vec<PathRow>) -> Row {
    Row {
        id: id.to_string(),
        processes: holder.into_iter().map(|(pid, name)| Holder { pid, name: name.into() }).collect(),
        uid: 1000,
        local: "10.1.0.1:40000".parse().unwrap(),
        remote: remote.parse().unwrap(),
        state: "established",
        fallback: false,
        bytes_received: Some(246_913_578),
        bytes_sent: Some(4096),
        receive_rate: sum(paths.iter().map(|path| path.receive_rate)),
        send_rate: sum(paths.iter().map(|path| path.send_rate)),
        retransmits: sum(paths.iter().map(|path| path.report.retransmits.map(u64::from))),
        paths,
    }
}

/// Three connections: two paths, one of them a backup; long IPv6 addresses of a process not to be seen; no path left.
pub fn sample() -> View {
    let v6 = "[2001:db8:85a3:8d3:1319:8a2e:370:7348]:443";
    let connections = vec![
        row(
            7,
            Some((4711, "firefox")),
            "203.0.113.77:443",
            vec![
                path("wlan0", "192.168.178.123:43222", "203.0.113.77:443", (94.1e6, 3.2e5), 17),
                path("lte", "10.64.1.2:50000", "203.0.113.77:443", (9.9e5, 0.0), 0),
            ],
        ),
        row(
            8,
            None,
            v6,
            vec![path("enp0s31f6", "[2001:db8:85a3:8d3:1319:8a2e:370:7349]:60000", v6, (1.25e9, 2e9), 3)],
        ),
        row(10, Some((99, "curl")), "198.51.100.7:80", vec![]),
    ];
    let not_seen = NotSeen { processes: 120, connections_without_process: 1, connections_without_paths: 0 };
    View { interval_seconds: Some(1.0), connections, not_seen }
}

fn ids(key: SortKey, reverse: bool) -> Vec<String> {
    let mut view = sample();
    view.sort(Order { key, reverse });
    view.connections.into_iter().map(|row| row.id).collect()
}

#[test]
fn every_order_is_what_it_says() {
    for (key, order) in [
        (SortKey::Rate, ["8", "7", "10"]),
        (SortKey::Receive, ["8", "7", "10"]),
        (SortKey::Send, ["8", "7", "10"]),
        (SortKey::Retransmits, ["7", "8", "10"]),
        (SortKey::Paths, ["7", "8", "10"]),
        (SortKey::Pid, ["10", "7", "8"]),
        (SortKey::Program, ["8", "10", "7"]),
        // Alike: by their numbers, and 10 is more than 7.
        (SortKey::Bytes, ["7", "8", "10"]),
        (SortKey::Rtt, ["7", "8", "10"]),
    ] {
        assert_eq!(ids(key, false), order, "{key:?}");
    }
    assert_eq!(ids(SortKey::Pid, true), ["8", "7", "10"]);
    assert_eq!(ids(SortKey::Bytes, true), ["7", "8", "10"]);
}

#[test]
fn what_was_not_seen_is_said() {
    let mut view = sample();
    assert_eq!(view.notes(), ["1 of these belong to processes of other users: run as root to see them"]);
    view.not_seen = NotSeen::default();
    assert!(view.notes().is_empty());
}

#[test]
fn rates_need_time_and_a_first_look_has_none() {
    assert_eq!(rate(1_000_000, Duration::from_millis(500)), Some(16e6));
    assert_eq!(rate(1, Duration::ZERO), None);
    let view = Board::default().update(Connections::default(), Instant::now());
    assert_eq!((view.interval_seconds, view.rates()), (None, (None, None)));
}

#[test]
fn the_json_has_its_fields() {
    let value = serde_json::to_value(sample()).unwrap();
    let path = &value["connections"][0]["paths"][1];
    assert_eq!(
        (&path["interface"], &path["backup"], &path["state"]),
        (&"lte".into(), &true.into(), &"established".into())
    );
    assert_eq!((&path["rtt_ms"], &path["receive_bits_per_second"]), (&12.345.into(), &9.9e5.into()));
    assert_eq!(value["connections"][0]["processes"][0]["pid"], 4711);
    assert_eq!(value["not_seen"]["connections_without_process"], 1);
}
