//! What a stream's owner shares with its watchers, with loom's locks in place of the standard library's: every order in which
//! threads can take them is tried, on real sockets. The files under test are compiled here a second time.

#![allow(dead_code, reason = "not all of those files is used here")]

use std::{
    net::{SocketAddr, TcpListener, TcpStream},
    sync::Arc,
};

use loom::thread;

use crate::Origin;

mod sync {
    pub(super) use loom::sync::Mutex;
    pub(super) use std::sync::PoisonError;
}

mod sys {
    pub(super) use super::slot::Slot;
    pub(super) use crate::sys::*;
}

#[allow(clippy::duplicate_mod, reason = "with other locks")]
#[path = "sys/slot.rs"]
mod slot;

#[allow(clippy::duplicate_mod, reason = "with other locks")]
#[path = "watch.rs"]
mod watch;

use crate::sys::{AsFd, BorrowedFd, OwnedSocket, RawSocket};
use slot::Slot;
use watch::Watched;

/// Three changes of thread that nobody has to make find most of what more of them would, in seconds instead of hours.
fn every_order(of: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(of);
}

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    (client, listener.accept().unwrap().0)
}

fn address(fd: BorrowedFd<'_>) -> SocketAddr {
    socket2::SockRef::from(&fd).local_addr().unwrap().as_socket().unwrap()
}

#[test]
fn a_look_meets_its_own_socket_or_none() {
    every_order(|| {
        let (stream, _peer) = pair();
        let own = stream.local_addr().unwrap();
        let slot = Arc::new(Slot::new(&stream));
        let looks = [(); 2].map(|()| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || {
                slot.with(|fd| {
                    let before = address(fd);
                    thread::yield_now();
                    (before, address(fd))
                })
            })
        });
        slot.close();
        drop(stream);
        // They get the number that has become free.
        let _others = pair();
        for look in looks {
            let seen = look.join().unwrap();
            assert!(seen.is_none_or(|seen| seen == (own, own)), "{seen:?} instead of {own}");
        }
        assert!(!slot.is_open());
    });
}

#[test]
fn whoever_watches_knows_the_path_after_the_end() {
    every_order(|| {
        let (stream, _peer) = pair();
        let ends = (stream.local_addr().ok(), stream.peer_addr().ok());
        let watched = Watched::new(stream, Origin::unknown());
        let kept = watched.watch();
        let asking = {
            let watch = watched.watch();
            thread::spawn(move || watch.transport())
        };
        let counting = {
            let watch = watched.watch().downgrade();
            thread::spawn(move || watch.upgrade().map(|watch| watch.path_count()))
        };
        drop(watched);
        assert!(!kept.is_open());
        let _others = pair();
        for transport in [asking.join().unwrap(), kept.transport()] {
            let paths: Vec<_> = transport.paths.iter().map(|path| (path.local, path.remote)).collect();
            assert_eq!((paths, transport.paths_total), (vec![ends], 1), "{transport:?}");
            assert!(transport.gone.is_empty());
        }
        assert_eq!(counting.join().unwrap(), Some(1));
    });
}
