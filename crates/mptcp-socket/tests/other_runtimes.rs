//! What other runtimes (Python's) build on: sockets that they connect themselves, and sockets that are known by their number.
//!
//! Built with `--cfg mptcp_socket_no_mptcp` the same tests show the behaviour of a platform without MPTCP.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing")]

use std::net::SocketAddr;

use mptcp_socket::{
    Connect, Error, Family, Listen, Listening, Origin, Protocol, Reason, Spoken, Transport, duplicate,
    stream_socket,
};

const NO_MPTCP: bool = cfg!(mptcp_socket_no_mptcp);

fn listen() -> (Listening, SocketAddr) {
    let listening = Listen::new(Protocol::Mptcp).bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listening.local_addr().unwrap();
    (listening, address)
}

#[test]
fn a_socket_made_for_others_speaks_what_was_asked_for() {
    let (_listening, address) = listen();
    for protocol in [Protocol::Tcp, Protocol::Mptcp] {
        let (socket, reason) = stream_socket(Family::V4, protocol).unwrap();
        socket2::SockRef::from(&socket).connect(&address.into()).unwrap();
        let spoken = mptcp_socket::spoken(&socket, &Origin::made(reason)).unwrap();
        match protocol {
            Protocol::Tcp => assert_eq!(spoken, Spoken::Tcp(Reason::NotRequested)),
            _ if NO_MPTCP => assert_eq!(spoken, Spoken::Tcp(Reason::Platform)),
            _ => assert_eq!(spoken, Spoken::Mptcp),
        }
    }
    let only = stream_socket(Family::V6, Protocol::MptcpOnly);
    assert_eq!(matches!(only, Err(Error::NotMptcp { reason: Reason::Platform, peer: None })), NO_MPTCP);
}

#[cfg(unix)]
#[test]
fn a_socket_known_by_its_number_can_be_asked_and_not_closed() {
    use std::os::fd::AsRawFd;
    let (_listening, address) = listen();
    let stream = Connect::new(Protocol::Mptcp).to(&[address]).unwrap().stream;
    let twin = duplicate(stream.as_raw_fd()).unwrap();
    assert_eq!(Transport::of(&twin).unwrap().is_mptcp(), !NO_MPTCP);
    drop(twin);
    assert_eq!(stream.peer_addr().unwrap(), address);
    for nonsense in [-1, -2, i32::MAX, i32::MIN] {
        assert!(duplicate(nonsense).is_err());
    }
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(Transport::of(&duplicate(file.as_raw_fd()).unwrap()).is_err());
}
