//! A window that is limited, on loopback; that a free one is wider shows on a long path, in the lab.
//!
//! Built with `--cfg mptcp_socket_no_mptcp` the same test shows the behaviour of a platform without MPTCP.
#![allow(clippy::unwrap_used, reason = "a test says what it expects by failing")]

use std::{
    io::{self, Read, Write},
    thread,
    time::Duration,
};

use mptcp_socket::{Connect, Listen, Protocol};

const NO_MPTCP: bool = cfg!(mptcp_socket_no_mptcp);

/// How many bytes a sender is ahead of a reader that keeps up and then stops.
fn ahead(window: u32) -> io::Result<usize> {
    let listening = Listen::new(Protocol::Tcp).bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listening.local_addr().unwrap();
    let mut reader = Connect::new(Protocol::Tcp).to(&[address]).unwrap().watched();
    let (server, _) = listening.accept().unwrap();
    let mut server = server.into_inner();
    let watch = reader.watch();
    let limit = || watch.limit_window(window);
    limit()?;
    let sending = thread::spawn(move || while server.write_all(&[7; 65536]).is_ok() {});
    let mut taken = vec![0; 65536];
    for round in 0..4000 {
        let _ = reader.read(&mut taken).unwrap();
        if round % 100 == 0 {
            limit()?;
        }
    }
    let mut waiting = vec![0; 64 << 20];
    let mut ahead = 0;
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(10));
        ahead = reader.get_ref().peek(&mut waiting).unwrap();
    }
    drop(reader);
    sending.join().unwrap();
    assert_eq!(watch.limit_window(1 << 20).unwrap_err().kind(), io::ErrorKind::NotConnected);
    Ok(ahead)
}

#[test]
fn a_limited_window_holds_the_sender_back() {
    const WINDOW: u32 = 300_000;
    let limited = ahead(WINDOW);
    if !cfg!(target_os = "linux") || NO_MPTCP {
        assert_eq!(limited.unwrap_err().kind(), io::ErrorKind::Unsupported);
        return;
    }
    let limited = limited.unwrap();
    // The kernel counts memory, of which frames of loopback's size waste less than it had reckoned with.
    let window = WINDOW as usize;
    assert!((window / 4..window * 5 / 2).contains(&limited), "{limited} bytes");
}
