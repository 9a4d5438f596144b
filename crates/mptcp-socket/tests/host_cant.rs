//! Hosts that can't make MPTCP sockets, each for a reason of its own, as a seccomp filter lets the kernel play them:
//! `socket(…, IPPROTO_MPTCP)` fails with a chosen errno on the filtered thread, everything else is as ever.
#![cfg(all(target_os = "linux", not(mptcp_socket_no_mptcp)))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing")]

use std::{collections::BTreeMap, net::TcpListener, thread};

use mptcp_socket::{Connect, Error, Listen, Protocol, Reason, Transport, host_support};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// Runs `work` on a thread on which a system call fails with `errno` where its arguments are these.
fn where_call_fails<T: Send + 'static>(
    call: libc::c_long,
    arguments: &[(u8, u64)],
    errno: i32,
    work: impl FnOnce() -> T + Send + 'static,
) -> T {
    let conditions = arguments.iter().map(|&(index, value)| {
        SeccompCondition::new(index, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value).unwrap()
    });
    let rule = SeccompRule::new(conditions.collect()).unwrap();
    let rules = BTreeMap::from([(call, vec![rule])]);
    let fails = SeccompAction::Errno(errno.try_into().unwrap());
    let arch = std::env::consts::ARCH.try_into().unwrap();
    let program: BpfProgram =
        SeccompFilter::new(rules, SeccompAction::Allow, fails, arch).unwrap().try_into().unwrap();
    thread::spawn(move || {
        seccompiler::apply_filter(&program).unwrap();
        work()
    })
    .join()
    .unwrap()
}

/// Runs `work` on a thread whose MPTCP sockets fail with `errno`.
fn where_mptcp_fails_with<T: Send + 'static>(errno: i32, work: impl FnOnce() -> T + Send + 'static) -> T {
    where_call_fails(libc::SYS_socket, &[(2, 262)], errno, work)
}

const CANT: [(i32, Reason); 5] = [
    (libc::EINVAL, Reason::KernelTooOld),
    (libc::EPROTONOSUPPORT, Reason::NotBuilt),
    (libc::ENOPROTOOPT, Reason::Disabled),
    (libc::EPERM, Reason::Denied),
    (libc::EACCES, Reason::Denied),
];

/// What may go wrong with any socket: hiding it behind a TCP attempt would only move the failure.
const OTHER: [i32; 5] = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM, libc::EAFNOSUPPORT];

#[test]
fn such_a_host_connects_and_listens_with_tcp_and_names_the_reason() {
    for (errno, reason) in CANT {
        where_mptcp_fails_with(errno, move || {
            assert_eq!(host_support(), Err(reason));
            let listening = Listen::new(Protocol::Mptcp).bind("127.0.0.1:0".parse().unwrap()).unwrap();
            assert_eq!(listening.why_tcp(), Some(reason));
            let address = listening.local_addr().unwrap();
            let client = Connect::new(Protocol::Mptcp).to(&[address]).unwrap();
            assert!(client.failed.is_empty());
            let (server, _) = listening.accept().unwrap();
            for transport in
                [Transport::with_origin(&client.stream, &client.origin).unwrap(), server.watch().transport()]
            {
                assert_eq!(transport.reason(), Some(reason));
            }
        });
    }
}

#[test]
fn mptcp_only_fails_with_the_reason() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (errno, expected) in CANT {
        where_mptcp_fails_with(errno, move || {
            let listen = Listen::new(Protocol::MptcpOnly).bind("127.0.0.1:0".parse().unwrap()).unwrap_err();
            let connect = Connect::new(Protocol::MptcpOnly).to(&[address]).unwrap_err();
            for error in [listen, connect] {
                assert!(matches!(error, Error::NotMptcp { reason, .. } if reason == expected), "{error}");
                assert!(error.to_string().contains(expected.explain()), "{error}");
            }
        });
    }
}

#[test]
fn any_other_error_stays_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for errno in OTHER {
        where_mptcp_fails_with(errno, move || {
            let error = Connect::new(Protocol::Mptcp).to(&[address]).unwrap_err();
            let seen = error.attempts().first().and_then(|attempt| attempt.source.raw_os_error());
            assert_eq!(seen, Some(errno), "{error}");
            match Listen::new(Protocol::Mptcp).bind("127.0.0.1:0".parse().unwrap()).unwrap_err() {
                Error::Socket { source, .. } => assert_eq!(source.raw_os_error(), Some(errno)),
                other => panic!("{other}"),
            }
        });
    }
}

#[test]
fn with_tcp_no_mptcp_socket_is_made_not_even_to_probe() {
    // Any MPTCP socket would fail loudly here.
    where_mptcp_fails_with(libc::EMFILE, || {
        let listening = Listen::new(Protocol::Tcp).bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = listening.local_addr().unwrap();
        let client = Connect::new(Protocol::Tcp).to(&[address]).unwrap().watched();
        assert_eq!(client.watch().transport().reason(), Some(Reason::NotRequested));
    });
}

#[test]
fn where_an_interface_cannot_be_bound_its_address_is() {
    let listener = TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    // SO_BINDTODEVICE before Linux 5.7, without privilege.
    let binding = [(1, libc::SOL_SOCKET as u64), (2, libc::SO_BINDTODEVICE as u64)];
    where_call_fails(libc::SYS_setsockopt, &binding, libc::EPERM, move || {
        let connect = Connect::new(Protocol::Tcp).interface("lo");
        // The refusal of the option alone would end the connect.
        let connected = connect.to(&[([127, 0, 0, 9], port).into()]).unwrap();
        assert_eq!(connected.stream.local_addr().unwrap().ip().to_string(), "127.0.0.1");
        let error = Connect::new(Protocol::Tcp).interface("none0").to(&[([127, 0, 0, 9], port).into()]);
        assert!(error.unwrap_err().to_string().contains("none0"));
    });
}
