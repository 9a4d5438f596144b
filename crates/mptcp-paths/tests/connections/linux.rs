//! The tests themselves, for Linux.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    process::ExitCode,
    time::{Duration, Instant},
};

use crate::support::Result;
use mptcp_paths::{
    Endpoint, EndpointFlags,
    connections::{Connection, Connections, Reader},
};
use mptcp_socket::{Connect, Listen, PathState, Protocol};
use netlab::{Host, Lab, LinkSpec};

pub fn main() -> ExitCode {
    crate::support::main(vec![
        ("a_host_without_connections_has_none", a_host_without_connections_has_none),
        ("both_paths_are_seen_from_both_ends", both_paths_are_seen_from_both_ends),
        ("a_backup_is_seen_as_one", a_backup_is_seen_as_one),
        ("plain_tcp_is_none_of_them", plain_tcp_is_none_of_them),
        ("mapped_and_ipv6_addresses_are_read", mapped_and_ipv6_addresses_are_read),
    ])
}

fn look(host: &Host) -> Result<Connections> {
    Ok(host.run(|| Reader::open().and_then(|mut reader| reader.read()))??)
}

/// Looks until a connection is as it should be: subflows come some round trips after the first data.
fn look_until(host: &Host, want: impl Fn(&Connection) -> bool) -> Result<Connection> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let found = look(host)?.connections;
        if let Some(connection) = found.iter().find(|connection| want(connection)) {
            return Ok(connection.clone());
        }
        if Instant::now() > deadline {
            return Err(format!("not seen: {found:#?}").into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

struct Pair {
    _lab: Lab,
    client: Host,
    server: Host,
    near: TcpStream,
    far: TcpStream,
    // Joins are SYNs to the listening port.
    _listener: TcpListener,
}

/// Two hosts with two links, and a connection over which the first bytes have gone each way.
fn connected(
    protocol: Protocol,
    v6: bool,
    prepare: impl FnOnce(&Host, [&netlab::Link; 2]) -> Result,
) -> Result<Pair> {
    let lab = Lab::new()?;
    let (client, server) = (lab.host("client")?, lab.host("server")?);
    let wifi = lab.link(&client, &server, LinkSpec::new().name("wifi"))?;
    let lte = lab.link(&client, &server, LinkSpec::new().name("lte"))?;
    lab.enable_multipath(&client, &server)?;
    prepare(&client, [&wifi, &lte])?;
    let bind: SocketAddr = "[::]:8000".parse()?;
    let listener: TcpListener = server.run(|| Listen::new(protocol).bind(bind))??.into_std();
    let host = if v6 {
        wifi.addresses(&server).into_iter().find(std::net::IpAddr::is_ipv6).ok_or("a lab without IPv6")?
    } else {
        wifi.address(&server)?
    };
    let address = SocketAddr::new(host, 8000);
    let mut near = client.run(|| Connect::new(protocol).to(&[address]))??.stream;
    let (mut far, _) = listener.accept()?;
    let mut buffer = [0; 1000];
    near.write_all(&buffer)?;
    far.read_exact(&mut buffer)?;
    far.write_all(&buffer)?;
    near.read_exact(&mut buffer)?;
    Ok(Pair { _lab: lab, client, server, near, far, _listener: listener })
}

fn a_host_without_connections_has_none() -> Result {
    let lab = Lab::new()?;
    assert_eq!(look(&lab.host("alone")?)?, Connections::default());
    Ok(())
}

fn interfaces(connection: &Connection) -> Vec<&str> {
    let mut names: Vec<_> =
        connection.subflows.iter().filter_map(|subflow| subflow.path.interface.as_deref()).collect();
    names.sort_unstable();
    names
}

fn both_paths_are_seen_from_both_ends() -> Result {
    let mut pair = connected(Protocol::Mptcp, false, |_, _| Ok(()))?;
    let (client, server) = (pair.client.clone(), pair.server.clone());
    look_until(&client, |connection| connection.subflows.len() == 2)?;
    // So much that both paths carry some of it.
    let block = vec![7; 4_000_000];
    let reader = std::thread::spawn(move || {
        let mut got = vec![0; 4_000_000];
        pair.near.read_exact(&mut got).map(|()| pair.near)
    });
    pair.far.write_all(&block)?;
    let near = reader.join().map_err(|_| "the reader panicked")??;

    let seen = look_until(&client, |connection| {
        connection.subflows.iter().filter_map(|subflow| subflow.path.bytes_received).sum::<u64>() >= 4_001_000
    })?;
    assert_eq!((seen.local, seen.remote), (near.local_addr()?, near.peer_addr()?));
    assert_eq!((seen.state, seen.info.fallback), (PathState::Established, false));
    assert_eq!(seen.info.bytes_received, Some(4_001_000));
    assert_eq!(interfaces(&seen), ["lte", "wifi"]);
    assert!(seen.subflows.iter().all(|subflow| subflow.path.rtt.is_some() && !subflow.is_backup()));
    assert!(seen.subflows.iter().all(|subflow| subflow.congestion.is_some()));
    assert!(seen.processes.iter().any(|process| process.pid == std::process::id()), "{seen:#?}");
    let [first, second] = seen.subflows.as_slice() else { return Err("not two".into()) };
    let (first, second) = (first.mptcp.ok_or("no token")?, second.mptcp.ok_or("no token")?);
    assert_eq!((first.token_local, second.token_local), (seen.info.token, seen.info.token));
    assert!(first.flags.capable_local && first.flags.capable_remote && !first.flags.join_local);
    assert!(second.flags.join_local && second.flags.join_remote && second.flags.fully_established);
    assert_eq!(first.id_local, Some(0));
    assert!(second.id_local.is_some_and(|id| id != 0));
    // Root in the namespace of users that owns the network is told the sequences too.
    assert!(first.map_sequence.is_some() && first.map_length.is_some());

    let other = look_until(&server, |connection| connection.subflows.len() == 2)?;
    assert_eq!(other.remote.port(), seen.local.port());
    assert_eq!(second.token_remote, other.info.token);
    assert_eq!(other.info.bytes_sent, Some(4_001_000));

    // And when it is over it is gone.
    drop((near, pair.far));
    let deadline = Instant::now() + Duration::from_secs(10);
    while look(&client)?.connections.iter().any(|connection| connection.state == PathState::Established) {
        assert!(Instant::now() < deadline, "it stays");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn a_backup_is_seen_as_one() -> Result {
    let pair = connected(Protocol::Mptcp, false, |client, [_, lte]| {
        let mut manager = client.path_manager()?;
        manager.flush()?;
        let flags = EndpointFlags { backup: true, ..EndpointFlags::SUBFLOW };
        Ok(manager.add(&Endpoint::new(lte.address(client)?, flags))?)
    })?;
    let near = look_until(&pair.client, |connection| connection.subflows.len() == 2)?;
    let backups = |connection: &Connection| -> Vec<bool> {
        connection.subflows.iter().map(|subflow| subflow.is_backup()).collect()
    };
    assert_eq!(backups(&near), [false, true]);
    assert!(near.subflows[1].mptcp.is_some_and(|mptcp| mptcp.flags.backup_local));
    let far = look_until(&pair.server, |connection| connection.subflows.len() == 2)?;
    assert!(far.subflows.iter().any(|subflow| {
        subflow.is_backup() && subflow.mptcp.is_some_and(|mptcp| mptcp.flags.backup_remote)
    }));
    Ok(())
}

fn plain_tcp_is_none_of_them() -> Result {
    let pair = connected(Protocol::Tcp, false, |_, _| Ok(()))?;
    assert_eq!(look(&pair.client)?.connections, []);
    Ok(())
}

fn mapped_and_ipv6_addresses_are_read() -> Result {
    let pair = connected(Protocol::Mptcp, true, |_, _| Ok(()))?;
    let near = look_until(&pair.client, |connection| !connection.subflows.is_empty())?;
    assert!(near.local.is_ipv6() && near.remote == pair.near.peer_addr()?);
    // Both links have a route to the address; which it took, its own address tells.
    let link = if near.local.to_string().starts_with("[fd00:1:") { "wifi" } else { "lte" };
    assert_eq!(near.subflows[0].path.interface.as_deref(), Some(link), "{near:#?}");
    // The listener of this one is IPv6, and the client is not.
    let pair = connected(Protocol::Mptcp, false, |_, _| Ok(()))?;
    let far = look_until(&pair.server, |connection| connection.subflows.len() == 2)?;
    assert!(far.remote.ip().to_canonical().is_ipv4(), "{far:#?}");
    // Both subflows go to the same address here, whichever link they come over.
    assert_eq!(interfaces(&far), ["wifi", "wifi"], "{far:#?}");
    Ok(())
}
