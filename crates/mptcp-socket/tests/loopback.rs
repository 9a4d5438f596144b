//! Listening, connecting and what is said of it, on loopback with the kernel's own MPTCP.
//!
//! Built with `--cfg mptcp_socket_no_mptcp` the same tests show the behaviour of a platform without MPTCP.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing")]

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use mptcp_socket::{
    Cancel, Connect, Error, Keepalive, Listen, Listening, Origin, Protocol, Reason, SocketOptions, Spoken,
    Transport, Watched, host_support, path_count, plan::Timing,
};

const NO_MPTCP: bool = cfg!(mptcp_socket_no_mptcp);

fn listen(protocol: Protocol) -> (Listening, SocketAddr) {
    let listening = Listen::new(protocol).bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listening.local_addr().unwrap();
    (listening, address)
}

/// What both ends say, client first, and again after an exchange of bytes.
fn speak(listener: Protocol, client: Protocol) -> (Transport, Transport) {
    let (listening, address) = listen(listener);
    let mut client = Connect::new(client).to(&[address]).unwrap().watched();
    let (mut server, _) = listening.accept().unwrap();
    client.write_all(b"ping").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();
    server.write_all(b"pong").unwrap();
    client.read_exact(&mut [0; 4]).unwrap();
    (client.watch().transport(), server.watch().transport())
}

/// On a platform without MPTCP this is what every wish for it ends in.
fn tcp(reason: Reason) -> Spoken {
    Spoken::Tcp(if NO_MPTCP { Reason::Platform } else { reason })
}

#[test]
fn mptcp_on_both_ends_is_mptcp() {
    let (client, server) = speak(Protocol::Mptcp, Protocol::Mptcp);
    if NO_MPTCP {
        assert_eq!((client.spoken, server.spoken), (tcp(Reason::Platform), tcp(Reason::Platform)));
        return;
    }
    assert_eq!(host_support(), Ok(()));
    assert_eq!((client.spoken, server.spoken), (Spoken::Mptcp, Spoken::Mptcp));
    assert_eq!(client.paths.len(), 1);
    assert_eq!(client.paths[0].local, server.paths[0].remote);
    assert_eq!(client.paths[0].interface.as_deref(), Some("lo"));
    assert_eq!(client.paths[0].bytes_received, Some(4));
    assert_eq!(client.paths_total, 1);
    assert_eq!(client.mptcp.unwrap().bytes_received, Some(4));
    assert_eq!(client.to_string(), "MPTCP over 1 path");
}

#[test]
fn a_tcp_client_of_an_mptcp_listener_gets_tcp_and_both_know() {
    let (client, server) = speak(Protocol::Mptcp, Protocol::Tcp);
    assert_eq!(client.spoken, Spoken::Tcp(Reason::NotRequested));
    assert_eq!(server.spoken, tcp(Reason::Client));
    assert_eq!(server.paths.len(), 1);
    assert_eq!(client.paths[0].local, server.paths[0].remote);
}

#[test]
fn an_mptcp_client_of_a_tcp_listener_gets_tcp_and_both_know() {
    let (client, server) = speak(Protocol::Tcp, Protocol::Mptcp);
    assert_eq!(client.spoken, tcp(Reason::PeerOrPath));
    assert_eq!(server.spoken, Spoken::Tcp(Reason::NotRequested));
}

#[test]
fn mptcp_only_refuses_a_tcp_listener_and_says_whom_it_reached() {
    let (_listening, address) = listen(Protocol::Tcp);
    match Connect::new(Protocol::MptcpOnly).to(&[address]).unwrap_err() {
        Error::NotMptcp { reason, peer } if !NO_MPTCP => {
            assert_eq!((reason, peer), (Reason::PeerOrPath, Some(address)));
        }
        Error::NotMptcp { reason, .. } => assert_eq!(reason, Reason::Platform),
        other => panic!("{other}"),
    }
}

#[test]
fn mptcp_only_works_where_mptcp_does() {
    let bound = Listen::new(Protocol::MptcpOnly).bind("127.0.0.1:0".parse().unwrap());
    if NO_MPTCP {
        assert!(matches!(bound, Err(Error::NotMptcp { reason: Reason::Platform, .. })));
        return;
    }
    let listening = bound.unwrap();
    let address = listening.local_addr().unwrap();
    let connected = Connect::new(Protocol::MptcpOnly).to(&[address]).unwrap();
    assert!(Transport::with_origin(&connected.stream, &connected.origin).unwrap().is_mptcp());
}

#[test]
fn a_socket_from_elsewhere_can_be_asked_too() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let transport = Transport::of(&stream).unwrap();
    assert_eq!(transport.spoken, Spoken::Tcp(Reason::TcpSocket));
    assert_eq!(path_count(&stream), 1);
    assert!(matches!(
        Transport::of(&std::net::UdpSocket::bind("127.0.0.1:0").unwrap()),
        Err(Error::State(_))
    ));
}

#[test]
fn a_listener_from_elsewhere_is_recognised() {
    let (listening, address) = listen(Protocol::Mptcp);
    let again = Listening::from_std(listening.into_std());
    assert_eq!(again.protocol(), if NO_MPTCP { Protocol::Tcp } else { Protocol::Mptcp });
    let _client = Connect::new(Protocol::Mptcp).to(&[address]).unwrap();
    let (server, _) = again.accept().unwrap();
    assert_eq!(server.watch().spoken().is_mptcp(), !NO_MPTCP);
}

#[test]
fn a_dual_stack_listener_takes_both_families() {
    let listening = Listen::new(Protocol::Mptcp).bind_all(0).unwrap();
    let port = listening.local_addr().unwrap().port();
    for address in
        [SocketAddr::from(([127, 0, 0, 1], port)), SocketAddr::from((std::net::Ipv6Addr::LOCALHOST, port))]
    {
        let client = Connect::new(Protocol::Mptcp).to(&[address]).unwrap().watched();
        let (server, _) = listening.accept().unwrap();
        let transport = server.watch().transport();
        assert_eq!(transport.is_mptcp(), !NO_MPTCP);
        assert_eq!(transport.paths[0].interface.as_deref(), Some("lo"));
        drop(client);
    }
}

#[test]
fn a_watch_outlives_its_stream_without_keeping_it_open() {
    let (listening, address) = listen(Protocol::Mptcp);
    let mut client = Connect::new(Protocol::Mptcp).to(&[address]).unwrap().watched();
    let (mut server, _) = listening.accept().unwrap();
    server.write_all(b"hello").unwrap();
    client.read_exact(&mut [0; 5]).unwrap();
    let watch = client.watch();
    assert!(watch.is_open());
    drop(client);
    assert!(!watch.is_open());
    // The peer sees the end at once although the watch is still held.
    assert_eq!(server.read(&mut [0; 1]).unwrap(), 0);
    let transport = watch.transport();
    assert_eq!(transport.is_mptcp(), !NO_MPTCP);
    assert_eq!(transport.totals().bytes_received, if NO_MPTCP { 0 } else { 5 });
    assert_eq!(watch.spoken(), transport.spoken);
    assert_eq!(watch.path_count(), 1);
}

#[test]
fn a_short_transfer_that_the_peer_ends_keeps_its_figures() {
    for _ in 0..20 {
        let (listening, address) = listen(Protocol::Mptcp);
        let mut client = Connect::new(Protocol::Mptcp).to(&[address]).unwrap().watched();
        let (mut server, _) = listening.accept().unwrap();
        client.write_all(b"?").unwrap();
        server.read_exact(&mut [0; 1]).unwrap();
        server.write_all(b"hello").unwrap();
        drop(server);
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        thread::sleep(Duration::from_millis(5));
        let watch = client.watch();
        let seen = [watch.transport(), {
            drop(client);
            watch.transport()
        }];
        for transport in seen {
            assert_eq!((transport.paths.len(), transport.gone.len(), transport.paths_total), (1, 0, 1));
            assert_eq!(transport.paths[0].remote, Some(address));
            assert_eq!(transport.totals().bytes_received, if NO_MPTCP { 0 } else { 5 });
        }
    }
}

#[test]
fn a_closed_port_is_refused_with_every_attempt_named() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Connect::new(Protocol::Mptcp).to(&[address]).unwrap_err();
    assert!(error.attempts().iter().all(|a| a.source.kind() == io::ErrorKind::ConnectionRefused), "{error}");
    // MPTCP first, then TCP: it could have been a box that resets MPTCP alone.
    assert_eq!(error.attempts().iter().map(|a| a.mptcp).collect::<Vec<_>>(), [true, false]);
    assert_eq!(io::Error::from(error).kind(), io::ErrorKind::ConnectionRefused);
    let error = Connect::new(Protocol::Tcp).to(&[address]).unwrap_err();
    assert_eq!(error.attempts().len(), 1);
}

#[test]
fn the_first_address_that_answers_wins_and_failures_are_kept() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (_listening, address) = listen(Protocol::Mptcp);
    let connected = Connect::new(Protocol::Mptcp).to(&[closed, address]).unwrap();
    assert_eq!(connected.stream.peer_addr().unwrap(), address);
    assert!(connected.failed.iter().all(|attempt| attempt.address == closed));
    assert!(!connected.failed.is_empty());
}

/// A listener whose queue is full lets SYNs vanish, as a dead host does, without leaving loopback.
fn mute() -> (TcpListener, Vec<TcpStream>, SocketAddr) {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let mut fill = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(200)) {
        fill.push(stream);
    }
    (listener, fill, address)
}

#[test]
fn a_time_limit_ends_the_connect_and_names_who_was_silent() {
    let (_listener, _fill, address) = mute();
    let start = Instant::now();
    let connect = Connect::new(Protocol::Mptcp).timeout(Duration::from_millis(400));
    let error = connect.to(&[address]).unwrap_err();
    assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    assert!(error.attempts().iter().all(|a| a.source.kind() == io::ErrorKind::TimedOut));
    assert!(!error.attempts().is_empty());
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(400) && took < Duration::from_secs(2), "{took:?}");
}

#[test]
fn a_silent_address_does_not_hold_up_the_next() {
    let (_listener, _fill, silent) = mute();
    let (_listening, address) = listen(Protocol::Mptcp);
    let start = Instant::now();
    let connected = Connect::new(Protocol::Mptcp).to(&[silent, address]).unwrap();
    assert_eq!(connected.stream.peer_addr().unwrap(), address);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_limit_beyond_all_time_is_none() {
    let (_listening, address) = listen(Protocol::Mptcp);
    let mut timing = Timing::default();
    (timing.attempt, timing.stagger, timing.tcp_after) = (Some(Duration::MAX), Duration::MAX, Duration::MAX);
    let connect = Connect::new(Protocol::Mptcp).timeout(Duration::MAX).timing(timing);
    assert_eq!(connect.to(&[address]).unwrap().remote, address);
}

#[test]
fn a_blocking_connect_can_be_cancelled() {
    let (_listener, _fill, address) = mute();
    let cancel = Cancel::default();
    let connect = Connect::new(Protocol::Mptcp).cancel(cancel.clone());
    let connecting = thread::spawn(move || connect.to(&[address]));
    thread::sleep(Duration::from_millis(100));
    cancel.cancel();
    assert!(matches!(connecting.join().unwrap(), Err(Error::Cancelled)));
}

#[test]
fn a_blocking_connect_asks_whether_to_go_on_in_its_own_thread() {
    let (_listener, _fill, address) = mute();
    let (here, asked) = (thread::current().id(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&asked);
    let connect = Connect::new(Protocol::Mptcp).cancelled_by(move || {
        assert_eq!(thread::current().id(), here);
        count.fetch_add(1, Ordering::Relaxed) == 3
    });
    assert!(matches!(connect.to(&[address]), Err(Error::Cancelled)));
    assert_eq!(asked.load(Ordering::Relaxed), 4);
}

#[test]
fn a_local_port_is_used_in_either_family() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let listening = Listen::new(Protocol::Mptcp).bind(address.parse().unwrap()).unwrap();
        let target = listening.local_addr().unwrap();
        let free = TcpListener::bind(address).unwrap().local_addr().unwrap().port();
        let connected = Connect::new(Protocol::Mptcp).local_port(free).to(&[target]).unwrap();
        assert_eq!(connected.stream.local_addr().unwrap().port(), free);
    }
}

#[test]
fn local_address_and_interface_are_used_or_an_error() {
    let (_listening, address) = listen(Protocol::Mptcp);
    let local = "127.0.0.7".parse().unwrap();
    let connected = Connect::new(Protocol::Mptcp).local_address(local).to(&[address]).unwrap();
    assert_eq!(connected.stream.local_addr().unwrap().ip(), local);
    let both = Connect::new(Protocol::Mptcp).local_address(local).local_address("::1".parse().unwrap());
    assert_eq!(both.to(&[address]).unwrap().stream.local_addr().unwrap().ip(), local);
    let v6 = Connect::new(Protocol::Mptcp).local_address("::1".parse().unwrap());
    assert!(matches!(v6.to(&[address]), Err(Error::NoAddress)));
    if cfg!(target_os = "linux") {
        assert!(Connect::new(Protocol::Mptcp).interface("lo").to(&[address]).is_ok());
    }
    let error = Connect::new(Protocol::Mptcp).interface("no-such-link").to(&[address]).unwrap_err();
    assert!(error.to_string().contains("\"no-such-link\""), "{error}");
}

#[test]
fn options_are_applied_and_refusals_reported() {
    let (_listening, address) = listen(Protocol::Mptcp);
    let options = SocketOptions {
        nodelay: Some(true),
        user_timeout: Some(Duration::from_secs(5)),
        ..SocketOptions::default()
    };
    let refused = |connected: &mptcp_socket::Connected<TcpStream>| {
        connected.refused.iter().map(|refused| refused.option).collect::<Vec<_>>()
    };
    let connected = Connect::new(Protocol::Mptcp).options(options.clone()).to(&[address]).unwrap();
    assert!(connected.stream.nodelay().unwrap());
    // A kernel that has learnt it refuses nothing.
    assert!(matches!(refused(&connected)[..], [] | ["TCP_USER_TIMEOUT"]));
    // What MPTCP refused is set once the connection has turned out to be TCP.
    let (_listening, address) = listen(Protocol::Tcp);
    let connected = Connect::new(Protocol::Mptcp).options(options).to(&[address]).unwrap();
    assert!(refused(&connected).is_empty());
    let timeout = socket2::SockRef::from(&connected.stream).tcp_user_timeout().unwrap();
    assert_eq!(timeout, Some(Duration::from_secs(5)));
    // And what no socket takes is reported.
    let options = SocketOptions { congestion: Some("no-such-control".into()), ..SocketOptions::default() };
    let connected = Connect::new(Protocol::Tcp).options(options).to(&[address]).unwrap();
    assert_eq!(refused(&connected), ["TCP_CONGESTION"]);
}

/// What the listener's options come to on what it accepts, over either protocol.
#[test]
fn accepted_connections_have_the_listeners_options() {
    let keepalive = Keepalive { idle: Some(Duration::from_secs(33)), ..Keepalive::default() };
    let options = SocketOptions {
        nodelay: Some(true),
        keepalive: Some(keepalive),
        user_timeout: Some(Duration::from_secs(5)),
        recv_buffer: Some(1 << 20),
        send_buffer: Some(1 << 20),
        traffic_class: Some(0x10),
        ..SocketOptions::default()
    };
    let listen = Listen::new(Protocol::Mptcp).fast_open(16).options(options);
    let listening = listen.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let refused: Vec<_> = listening.refused().iter().map(|refused| refused.option).collect();
    assert!(NO_MPTCP || matches!(refused[..], [] | ["TCP_USER_TIMEOUT"]), "{refused:?}");
    for protocol in [Protocol::Tcp, Protocol::Mptcp] {
        let _client = Connect::new(protocol).to(&[listening.local_addr().unwrap()]).unwrap();
        let (server, _) = listening.accept().unwrap();
        let socket = socket2::SockRef::from(server.get_ref());
        assert!(socket.tcp_nodelay().unwrap() && socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(33));
        if protocol == Protocol::Tcp {
            // The MPTCP listener refused it; this is a TCP socket.
            assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(5)));
        }
    }
}

#[test]
fn thousands_of_clients_that_reset_at_once_leave_the_listener_alive() {
    let options =
        SocketOptions { nodelay: Some(true), keepalive: Some(Keepalive::default()), ..Default::default() };
    let listening =
        Listen::new(Protocol::Mptcp).options(options).bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listening.local_addr().unwrap();
    let clients = thread::spawn(move || {
        for n in 0..4000 {
            let protocol = if n % 2 == 0 { Protocol::Mptcp } else { Protocol::Tcp };
            let client = Connect::new(protocol).to(&[address]).unwrap();
            socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
        let mut last = Connect::new(Protocol::Mptcp).to(&[address]).unwrap().stream;
        last.write_all(b"alive").unwrap();
        last
    });
    let mut accepted = 0;
    loop {
        // A reset before accept shows as an error of that one client (ECONNABORTED) or as a connection that is over.
        let Ok((mut stream, _)) = listening.accept() else { continue };
        accepted += 1;
        let mut greeting = [0; 5];
        if stream.read_exact(&mut greeting).is_ok() {
            assert_eq!(&greeting, b"alive");
            break;
        }
        let _ = stream.watch().transport();
    }
    println!("{accepted} accepted");
    drop(clients.join().unwrap());
}

#[test]
fn two_listeners_share_a_port_if_asked_to() {
    let first = Listen::new(Protocol::Mptcp).reuse_port(true).bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = first.local_addr().unwrap();
    assert!(Listen::new(Protocol::Mptcp).reuse_port(true).bind(address).is_ok());
    let error = Listen::new(Protocol::Mptcp).bind(address).unwrap_err();
    assert!(error.to_string().contains("another program listens there"), "{error}");
}

#[test]
fn names_are_resolved_and_unknown_ones_named() {
    let listening = Listen::new(Protocol::Mptcp).bind_all(0).unwrap();
    let port = listening.local_addr().unwrap().port();
    assert!(Connect::new(Protocol::Mptcp).to_host("localhost", port).is_ok());
    assert!(Connect::new(Protocol::Mptcp).to_host("[::1]", port).is_ok());
    let error = Connect::new(Protocol::Mptcp).to_host("no-such-host.invalid", port).unwrap_err();
    assert!(matches!(error, Error::Resolve { .. }) && error.to_string().contains("no-such-host.invalid"));
}

#[test]
fn an_unknown_origin_makes_no_claims() {
    let (listening, address) = listen(Protocol::Mptcp);
    let _client = Connect::new(Protocol::Tcp).to(&[address]).unwrap();
    let (stream, _) = listening.into_std().accept().unwrap();
    let watched = Watched::new(stream, Origin::unknown());
    assert_eq!(watched.watch().spoken(), Spoken::Tcp(Reason::TcpSocket));
}

#[cfg(feature = "tokio")]
mod with_tokio {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn both_ends_speak_and_say_so() {
        let listening = Listen::new(Protocol::Mptcp).bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let (accepts, address) = (listening.accepts(), listening.local_addr().unwrap());
        let listener = listening.into_tokio().unwrap();
        let connected = Connect::new(Protocol::Mptcp).to_async(&[address]).await.unwrap();
        let mut client = connected.watched();
        let (stream, _) = listener.accept().await.unwrap();
        let origin = accepts.origin(&stream);
        let mut server = Watched::new(stream, origin);
        client.write_all(b"ping").await.unwrap();
        server.read_exact(&mut [0; 4]).await.unwrap();
        assert_eq!(client.watch().spoken().is_mptcp(), !NO_MPTCP);
        assert_eq!(server.watch().spoken().is_mptcp(), !NO_MPTCP);
    }

    #[tokio::test]
    async fn refused_timed_out_and_unresolved_are_told_apart() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let connect = Connect::new(Protocol::Mptcp);
        let error = connect.to_async(&[closed]).await.unwrap_err();
        assert!(
            error.attempts().iter().all(|a| a.source.kind() == io::ErrorKind::ConnectionRefused),
            "{error}"
        );
        assert_eq!(error.attempts().len(), 2);
        let (_listener, _fill, silent) = mute();
        let limited = connect.clone().timeout(Duration::from_millis(300));
        let error = limited.to_async(&[silent]).await.unwrap_err();
        assert!(matches!(&error, Error::TimedOut { attempts, .. } if !attempts.is_empty()), "{error}");
        let error = connect.to_host_async("no-such-host.invalid", 80).await.unwrap_err();
        assert!(matches!(error, Error::Resolve { .. }), "{error}");
        let error = Connect::new(Protocol::MptcpOnly).to_async(&[closed]).await.unwrap_err();
        assert!(NO_MPTCP || matches!(error, Error::Connect { .. }), "{error}");
    }

    #[tokio::test]
    async fn one_slow_attempt_is_abandoned_by_its_own_limit() {
        let (_listener, _fill, silent) = mute();
        let mut timing = Timing::default();
        timing.attempt = Some(Duration::from_millis(150));
        let connect = Connect::new(Protocol::Tcp).timing(timing);
        for error in [connect.to_async(&[silent]).await.unwrap_err(), connect.to(&[silent]).unwrap_err()] {
            assert!(matches!(error, Error::Connect { .. }) && error.attempts().len() == 1, "{error}");
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn dropping_the_future_closes_the_sockets() {
        let (_listener, _fill, silent) = mute();
        let to_silent = || {
            let remote = format!("{:08X}:{:04X}", u32::from_be_bytes([127, 0, 0, 1]).to_be(), silent.port());
            let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
            // State 02 is SYN_SENT.
            table.lines().filter(|line| line.contains(&format!("{remote} 02"))).count()
        };
        let before = to_silent();
        let connect = Connect::new(Protocol::Tcp);
        {
            let addresses = [silent];
            let connecting = connect.to_async(&addresses);
            let _ = tokio::time::timeout(Duration::from_millis(100), connecting).await;
        }
        assert_eq!(to_silent(), before);
    }
}
