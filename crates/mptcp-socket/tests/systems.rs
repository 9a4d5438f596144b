//! Connections on every kernel and system of `netlab::systems`: what is spoken is right, what isn't known is not made up, and
//! nothing fails that another system has no means for.
//!
//! All of them do the same; the table says what comes of it.
#![cfg(all(target_os = "linux", target_pointer_width = "64", not(mptcp_socket_no_mptcp)))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    time::Duration,
};

use mptcp_socket::{
    Connect, Error, Keepalive, Listen, Protocol, Reason, SocketOptions, Transport, host_support,
};
use netlab::systems::{ALL, Rule, Sockets, System};

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// Runs `test` as on each system; a failure says on which.
fn on_each(test: impl Fn(&'static System, Option<Reason>) + Sync) {
    for system in ALL {
        println!("{}", system.name);
        let word = system.expected.why_tcp;
        let reason = word.map(|word| *Reason::ALL.iter().find(|reason| reason.as_str() == word).unwrap());
        system.run(|| test(system, reason)).unwrap();
    }
}

/// Runs `test` where this one thing is different.
fn where_only(rule: Rule, test: impl FnOnce() + Send) {
    let system = System { name: "one rule", rules: Box::leak(Box::new([rule])), ..ALL[0] };
    Box::leak(Box::new(system)).run(test).unwrap();
}

/// What of a connection that has carried data each way is not known.
fn unknown(transport: &Transport) -> Vec<&'static str> {
    let mptcp = transport.is_mptcp();
    let info = transport.mptcp;
    let path = transport.paths.first();
    let lacks = [
        ("mptcp", mptcp && info.is_none()),
        ("mptcp.retransmits", info.is_some_and(|info| info.retransmits.is_none())),
        ("mptcp.bytes_received", info.is_some_and(|info| info.bytes_received.is_none())),
        ("mptcp.subflows", info.is_some_and(|info| info.subflows.is_none())),
        ("paths", path.is_none()),
        ("path.id", mptcp && path.is_some_and(|path| path.id.is_none())),
        ("path.local", path.is_some_and(|path| path.local.is_none())),
        ("path.remote", path.is_some_and(|path| path.remote.is_none())),
        ("path.rtt", path.is_some_and(|path| path.rtt.is_none())),
        ("path.retransmits", path.is_some_and(|path| path.retransmits.is_none())),
        ("path.bytes_received", path.is_some_and(|path| path.bytes_received.is_none())),
        ("path.bytes_sent", path.is_some_and(|path| path.bytes_sent.is_none())),
        ("path.bytes_acked", path.is_some_and(|path| path.bytes_acked.is_none())),
        ("path.min_rtt", path.is_some_and(|path| path.min_rtt.is_none())),
    ];
    lacks.into_iter().filter(|(_, lacks)| *lacks).map(|(what, _)| what).collect()
}

/// Says something each way, so that there is something to count.
fn talk(mut client: impl Read + Write, mut server: impl Read + Write) {
    let mut word = [0; 5];
    client.write_all(b"hello").unwrap();
    server.read_exact(&mut word).unwrap();
    server.write_all(b"world").unwrap();
    client.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"world");
}

#[test]
fn connections_speak_what_they_can_and_know_what_can_be_known() {
    on_each(|system, reason| {
        assert_eq!(host_support().err(), reason, "{}", system.name);
        let listening = Listen::new(Protocol::Mptcp).bind(LOOPBACK).unwrap();
        assert_eq!(listening.why_tcp(), reason, "{}", system.name);
        let mut client =
            Connect::new(Protocol::Mptcp).to(&[listening.local_addr().unwrap()]).unwrap().watched();
        let (mut server, _) = listening.accept().unwrap();
        talk(&mut client, &mut server);
        for watch in [client.watch(), server.watch()] {
            let transport = watch.transport();
            assert_eq!(transport.reason(), reason, "{}: {transport:?}", system.name);
            assert_eq!(unknown(&transport), system.expected.unknown, "{}: {transport:?}", system.name);
            let text = transport.to_string();
            assert!(!text.contains("0 paths"), "{}: {text}", system.name);
        }
    });
}

#[test]
fn a_fallback_is_told_from_mptcp_on_both_sides() {
    let tcp_server = TcpListener::bind(LOOPBACK).unwrap();
    let address = tcp_server.local_addr().unwrap();
    on_each(|system, reason| {
        // The peer speaks TCP: an MPTCP socket that has fallen back.
        let mut client = Connect::new(Protocol::Mptcp).to(&[address]).unwrap().watched();
        let (server, _) = tcp_server.accept().unwrap();
        talk(&mut client, server);
        let transport = client.watch().transport();
        let expected = reason.unwrap_or(Reason::PeerOrPath);
        assert_eq!(transport.reason(), Some(expected), "{}: {transport:?}", system.name);
        assert_eq!(transport.paths.len(), 1, "{}", system.name);

        // And a client that does.
        let listening = Listen::new(Protocol::Mptcp).bind(LOOPBACK).unwrap();
        let client = TcpStream::connect(listening.local_addr().unwrap()).unwrap();
        let (mut server, _) = listening.accept().unwrap();
        talk(client, &mut server);
        let transport = server.watch().transport();
        let expected = reason.unwrap_or(Reason::Client);
        assert_eq!(transport.reason(), Some(expected), "{}: {transport:?}", system.name);
    });
}

#[test]
fn mptcp_only_is_mptcp_or_an_error_with_the_reason() {
    on_each(|system, reason| {
        let listening = Listen::new(Protocol::Mptcp).bind(LOOPBACK).unwrap();
        let address = listening.local_addr().unwrap();
        let connected = Connect::new(Protocol::MptcpOnly).to(&[address]);
        match (connected, reason) {
            (Ok(connected), None) => assert!(connected.watched().watch().transport().is_mptcp()),
            (Err(error @ Error::NotMptcp { reason, .. }), Some(expected)) => {
                assert_eq!(reason, expected);
                assert!(error.to_string().contains(expected.explain()), "{error}");
            }
            (other, _) => panic!("{}: {other:?}", system.name),
        }
        let listen = Listen::new(Protocol::MptcpOnly).bind(LOOPBACK);
        assert_eq!(listen.is_ok(), reason.is_none(), "{}: {listen:?}", system.name);
    });
}

#[test]
fn options_that_a_system_lacks_are_reported_and_fatal_to_nothing() {
    let keepalive = Keepalive { idle: Some(Duration::from_secs(60)), interval: None, retries: Some(3) };
    let options = SocketOptions {
        nodelay: Some(true),
        keepalive: Some(keepalive),
        traffic_class: Some(0x10),
        ..SocketOptions::default()
    };
    on_each(|system, reason| {
        let listening = Listen::new(Protocol::Mptcp).options(options.clone()).bind(LOOPBACK).unwrap();
        let address = listening.local_addr().unwrap();
        let client = Connect::new(Protocol::Mptcp).options(options.clone()).to(&[address]).unwrap();
        let refused: Vec<_> = client.refused.iter().map(|refused| refused.option).collect();
        let old = system.name == "Linux 5.15";
        assert_eq!(refused.contains(&"TCP_NODELAY"), old, "{}: {refused:?}", system.name);
        assert_eq!(refused.contains(&"SO_KEEPALIVE"), old, "{}: {refused:?}", system.name);
        assert_eq!(client.watched().watch().transport().reason(), reason, "{}", system.name);
    });
}

/// What may go wrong with any socket: hiding it behind a TCP attempt would only move the failure.
const OTHER: [i32; 5] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EAFNOSUPPORT];

const fn no_mptcp(errno: i32) -> Rule {
    Rule::Socket { domain: None, protocol: Some(262), errno }
}

#[test]
fn any_other_error_stays_an_error() {
    let listener = TcpListener::bind(LOOPBACK).unwrap();
    let address = listener.local_addr().unwrap();
    for errno in OTHER {
        where_only(no_mptcp(errno), || {
            let error = Connect::new(Protocol::Mptcp).to(&[address]).unwrap_err();
            let seen = error.attempts().first().and_then(|attempt| attempt.source.raw_os_error());
            assert_eq!(seen, Some(errno), "{error}");
            match Listen::new(Protocol::Mptcp).bind(LOOPBACK).unwrap_err() {
                Error::Socket { source, .. } => assert_eq!(source.raw_os_error(), Some(errno)),
                other => panic!("{other}"),
            }
        });
    }
}

#[test]
fn with_tcp_no_mptcp_socket_is_made_not_even_to_probe() {
    // Any MPTCP socket would fail loudly here.
    where_only(no_mptcp(libc::EMFILE), || {
        let listening = Listen::new(Protocol::Tcp).bind(LOOPBACK).unwrap();
        let address = listening.local_addr().unwrap();
        let client = Connect::new(Protocol::Tcp).to(&[address]).unwrap().watched();
        assert_eq!(client.watch().transport().reason(), Some(Reason::NotRequested));
    });
}

#[test]
fn where_an_interface_cannot_be_bound_its_address_is() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // Before Linux 5.7, without privilege.
    let (level, option) = (libc::SOL_SOCKET, libc::SO_BINDTODEVICE);
    where_only(Rule::Set { sockets: Sockets::All, level, option, errno: libc::EPERM }, || {
        let connect = Connect::new(Protocol::Tcp).interface("lo");
        // The refusal of the option alone would end the connect.
        let connected = connect.to(&[([127, 0, 0, 9], port).into()]).unwrap();
        assert_eq!(connected.stream.local_addr().unwrap().ip().to_string(), "127.0.0.1");
        let error = Connect::new(Protocol::Tcp).interface("none0").to(&[([127, 0, 0, 9], port).into()]);
        assert!(error.unwrap_err().to_string().contains("none0"));
    });
}
