//! The cases, in the order of the four layers on which MPTCP can fail.

use std::{
    io::{self, Read, Write},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use mptcp_socket::{Connect, Error, Memory, Protocol, Reason, Spoken};
use netlab::{After, BoxKind, Segments};

use super::support::{Bench, DELAY, ROUND_TRIP, SLACK, connect, link};

type Case = (&'static str, fn());

pub const ALL: &[Case] = &[
    ("switching the sysctl is noticed by the next connect", sysctl),
    ("a TCP-only server costs nothing and is named", tcp_server),
    ("stripped options cost nothing and are named", stripped),
    ("swallowed SYNs cost a fraction of a second once, and then nothing", swallowed),
    ("other destinations keep MPTCP while one is remembered", other_destinations),
    ("reset SYNs cost a round trip once, and then nothing", reset),
    ("a closed port is refused after one more round trip", closed_port),
    ("mptcp-only waits out a box that swallows, and fails with the reason", only_swallowed),
    ("lost SYNs rarely look like a box", lossy_path),
    ("a dead first route is passed by", dead_route),
    ("a connection that falls back later says so, and is not trusted", later),
    ("a box that lets only handshakes pass leaves TCP that is", handshakes_only),
    ("a host that the kernel has black-holed says so, until that is ended", host_black_hole),
    ("a limited window holds the sender back on a long path", limited_window),
];

fn tcp(reason: Reason) -> Spoken {
    Spoken::Tcp(reason)
}

fn sysctl() {
    let bench = Bench::new([link("wan")]);
    bench.listen(Protocol::Mptcp);
    for (value, expected) in
        [("0", tcp(Reason::Disabled)), ("1", Spoken::Mptcp), ("0", tcp(Reason::Disabled))]
    {
        bench.client.sysctl("net.mptcp.enabled", value).unwrap();
        bench.both_ways(|way| {
            let made = way.connect(&connect(Protocol::Mptcp).0, bench.address(0)).unwrap();
            assert_eq!((made.spoken, made.failed), (expected, 0));
            assert!(made.took < ROUND_TRIP + SLACK, "{:?}", made.took);
        });
    }
}

fn tcp_server() {
    let bench = Bench::new([link("wan")]);
    bench.listen(Protocol::Tcp);
    answered_without(&bench);
}

fn stripped() {
    for segments in [Segments::Syns, Segments::All] {
        let bench = Bench::with_box(BoxKind::StripMptcp { segments, direction: None });
        bench.listen(Protocol::Mptcp);
        answered_without(&bench);
    }
}

/// The path or the peer answers, but without MPTCP.
fn answered_without(bench: &Bench) {
    let address = bench.address(0);
    bench.both_ways(|way| {
        let (mptcp, memory) = connect(Protocol::Mptcp);
        let mut made = way.connect(&mptcp, address).unwrap();
        assert_eq!((made.spoken, made.failed), (tcp(Reason::PeerOrPath), 0));
        assert!(made.took < ROUND_TRIP + SLACK, "{:?}", made.took);
        made.fetch(100_000).unwrap();
        assert!(memory.list().is_empty());
        match way.connect(&connect(Protocol::MptcpOnly).0, address).map(|made| made.spoken).unwrap_err() {
            Error::NotMptcp { reason, peer } => {
                assert_eq!((reason, peer), (Reason::PeerOrPath, Some(address)))
            }
            other => panic!("{other}"),
        }
    });
}

fn swallowed() {
    let bench = Bench::with_box(BoxKind::DropMptcpSyn);
    bench.listen(Protocol::Mptcp);
    bench.both_ways(|way| {
        let (mptcp, memory) = connect(Protocol::Mptcp);
        let first = way.connect(&mptcp, bench.address(0)).unwrap();
        assert_eq!(first.spoken, tcp(Reason::SynDropped));
        assert!(first.took < Duration::from_millis(300) + ROUND_TRIP, "{:?}", first.took);
        for _ in 0..5 {
            let mut next = way.connect(&mptcp, bench.address(0)).unwrap();
            assert_eq!(next.spoken, tcp(Reason::SynDropped));
            assert!(next.took < ROUND_TRIP + SLACK, "{:?}", next.took);
            next.fetch(1000).unwrap();
        }
        let remembered = memory.list();
        assert_eq!(remembered.len(), 1);
        assert_eq!((remembered[0].address, remembered[0].reason), (bench.address(0), Reason::SynDropped));
        // Found by the first connect, confirmed by the re-test of the second, and not tested again at once.
        assert_eq!(remembered[0].confirmed, 2);
    });
    // Long enough for the kernel to have drawn its own conclusion from any SYN left behind.
    thread::sleep(Duration::from_millis(3500));
    assert_eq!(bench.counter("MPTcpExtBlackhole"), 0);
    // The box goes: the re-test of a finding that is fresh notices at once.
    let (mptcp, memory) = connect(Protocol::Mptcp);
    bench.client.run(|| mptcp.to(&[bench.address(0)]).unwrap()).unwrap();
    assert_eq!(memory.list().len(), 1);
    bench.links[0].set_box(None).unwrap();
    let healed =
        bench.client.run(|| mptcp.to(&[bench.address(0)]).unwrap().watched().watch().spoken()).unwrap();
    assert_eq!(healed, Spoken::Mptcp);
    assert!(memory.list().is_empty());
}

fn other_destinations() {
    let bench = Bench::new([link("bad").middlebox(BoxKind::DropMptcpSyn), link("good")]);
    bench.listen(Protocol::Mptcp);
    bench.both_ways(|way| {
        let (mptcp, _) = connect(Protocol::Mptcp);
        // The address decides over which link the first subflow goes; the second link's is reached over that link.
        let bad = way.connect(&mptcp, bench.address(0)).unwrap();
        let good = way.connect(&mptcp, bench.address(1)).unwrap();
        assert_eq!((bad.spoken, good.spoken), (tcp(Reason::SynDropped), Spoken::Mptcp));
    });
}

fn reset() {
    let bench = Bench::with_box(BoxKind::ResetMptcpSyn);
    bench.listen(Protocol::Mptcp);
    bench.both_ways(|way| {
        let (mptcp, memory) = connect(Protocol::Mptcp);
        let first = way.connect(&mptcp, bench.address(0)).unwrap();
        assert_eq!((first.spoken, first.failed), (tcp(Reason::SynReset), 1));
        assert!(first.took < 2 * ROUND_TRIP + SLACK, "{:?}", first.took);
        let _retest = way.connect(&mptcp, bench.address(0)).unwrap();
        let later = way.connect(&mptcp, bench.address(0)).unwrap();
        assert_eq!((later.spoken, later.failed), (tcp(Reason::SynReset), 0));
        assert!(later.took < ROUND_TRIP + SLACK, "{:?}", later.took);
        assert_eq!(memory.list()[0].reason, Reason::SynReset);
        match way.connect(&connect(Protocol::MptcpOnly).0, bench.address(0)).map(|made| made.spoken) {
            Err(Error::Connect { attempts }) => {
                assert_eq!(attempts[0].source.kind(), io::ErrorKind::ConnectionRefused);
            }
            other => panic!("{other:?}"),
        }
    });
}

fn closed_port() {
    let bench = Bench::new([link("wan")]);
    bench.both_ways(|way| {
        let start = Instant::now();
        let error =
            way.connect(&connect(Protocol::Mptcp).0, bench.address(0)).map(|made| made.spoken).unwrap_err();
        let took = start.elapsed();
        assert_eq!(io::Error::from(error).kind(), io::ErrorKind::ConnectionRefused);
        assert!(took < 2 * ROUND_TRIP + SLACK, "{took:?}");
    });
}

fn only_swallowed() {
    let bench = Bench::with_box(BoxKind::DropMptcpSyn);
    bench.listen(Protocol::Mptcp);
    bench.client.sysctl("net.mptcp.blackhole_timeout", "0").unwrap();
    bench.both_ways(|way| {
        let only = connect(Protocol::MptcpOnly).0.timeout(Duration::from_secs(1));
        let error = way.connect(&only, bench.address(0)).map(|made| made.spoken).unwrap_err();
        assert!(matches!(&error, Error::TimedOut { attempts, .. } if attempts.len() == 1), "{error}");
    });
}

/// How often chance looks like a box, at 1% and 5% loss each way: both MPTCP SYNs lost and the plain one not.
fn lossy_path() {
    // Twice what is expected, (2p)², and some: the figure itself is printed.
    for (loss, connects, most) in [(0.01, 400, 2), (0.05, 400, 16)] {
        let bench = Bench::new([link("wan").loss(loss).seed(7)]);
        bench.listen(Protocol::Mptcp);
        let condemned = AtomicUsize::new(0);
        let address = bench.address(0);
        bench
            .client
            .run(|| {
                thread::scope(|scope| {
                    for _ in 0..20 {
                        scope.spawn(|| {
                            for _ in 0..connects / 20 {
                                let mptcp = Connect::new(Protocol::Mptcp).memory(Memory::default());
                                let spoken = mptcp.to(&[address]).unwrap().watched().watch().spoken();
                                if spoken == tcp(Reason::SynDropped) {
                                    condemned.fetch_add(1, Ordering::Relaxed);
                                }
                            }
                        });
                    }
                });
            })
            .unwrap();
        let condemned = condemned.into_inner();
        println!("{loss}: {condemned} of {connects} connects took a lossy path for a box");
        assert!(condemned <= most, "{condemned} of {connects} at {loss}");
        assert_eq!(bench.counter("MPTcpExtBlackhole"), 0);
    }
}

fn dead_route() {
    let bench = Bench::new([link("dead"), link("alive")]);
    bench.listen(Protocol::Mptcp);
    bench.links[0].set_black_hole(true).unwrap();
    bench.both_ways(|way| {
        let (mptcp, _) = connect(Protocol::Mptcp);
        let racing = mptcp.clone().race_interfaces(["alive"]);
        let mut made = way.connect(&racing, bench.address(0)).unwrap();
        assert_eq!(made.spoken, Spoken::Mptcp);
        assert!(made.took < Duration::from_secs(1), "{:?}", made.took);
        made.fetch(10_000).unwrap();
        // Without it the route is obeyed.
        let obedient = mptcp.timeout(Duration::from_secs(1));
        let error = way.connect(&obedient, bench.address(0)).map(|made| made.spoken).unwrap_err();
        assert!(matches!(error, Error::TimedOut { .. }), "{error}");
    });
}

fn later() {
    let bench = Bench::with_box(BoxKind::StripAfter(After::Bytes(200_000)));
    bench.listen(Protocol::Mptcp);
    bench.both_ways(|way| {
        let (mptcp, memory) = connect(Protocol::Mptcp);
        let mut made = way.connect(&mptcp, bench.address(0)).unwrap();
        assert_eq!(made.spoken, Spoken::Mptcp);
        let error = made.fetch(1_000_000).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
        assert!(error.to_string().contains("fell back under way"), "{error}");
        let watch = made.stream.watch();
        assert_eq!(watch.spoken(), tcp(Reason::FellBack));
        assert_eq!(watch.transport().paths.len(), 1);
        // What happens later says nothing of SYNs.
        assert!(memory.list().is_empty());
    });
}

/// Falling back at the first byte of data is safe, and both ends do it.
fn handshakes_only() {
    let bench = Bench::with_box(BoxKind::StripMptcp { segments: Segments::NotSyns, direction: None });
    bench.listen(Protocol::Mptcp);
    bench.both_ways(|way| {
        let mut made = way.connect(&connect(Protocol::Mptcp).0, bench.address(0)).unwrap();
        made.fetch(1_000_000).unwrap();
        assert_eq!(made.stream.watch().spoken(), tcp(Reason::FellBack));
    });
}

fn host_black_hole() {
    let bench = Bench::new([link("bad").middlebox(BoxKind::DropMptcpSyn), link("good")]);
    bench.listen(Protocol::Mptcp);
    let good = bench.address(1);
    // Another program's plain MPTCP connect, without a race: the kernel's own detection.
    bench
        .client
        .run(|| {
            let socket = socket2::Socket::new(
                socket2::Domain::IPV4,
                socket2::Type::STREAM,
                Some(socket2::Protocol::MPTCP),
            )
            .unwrap();
            let start = Instant::now();
            socket.connect(&bench.address(0).into()).unwrap();
            println!("the kernel alone took {:?}", start.elapsed());
            assert!(start.elapsed() > Duration::from_secs(1) + DELAY);
        })
        .unwrap();
    assert_eq!(bench.counter("MPTcpExtBlackhole"), 1);
    bench.both_ways(|way| {
        let made = way.connect(&connect(Protocol::Mptcp).0, good).unwrap();
        assert_eq!(made.spoken, tcp(Reason::HostBlackhole));
        match way.connect(&connect(Protocol::MptcpOnly).0, good).map(|made| made.spoken).unwrap_err() {
            Error::NotMptcp { reason, .. } => assert_eq!(reason, Reason::HostBlackhole),
            other => panic!("{other}"),
        }
    });
    // What the reason's remedy says.
    bench.client.sysctl("net.mptcp.blackhole_timeout", "3600").unwrap();
    bench.both_ways(|way| {
        assert_eq!(way.connect(&connect(Protocol::Mptcp).0, good).unwrap().spoken, Spoken::Mptcp);
    });
}

/// How many bytes a sender is ahead of a reader that keeps up for two seconds and then stops.
fn ahead(bench: &Bench, window: Option<u32>) -> usize {
    let address = bench.address(0);
    bench
        .client
        .run(|| {
            let mut reader = Connect::new(Protocol::Tcp).to(&[address]).unwrap().watched();
            let watch = reader.watch();
            let limit = || window.map_or(Ok(()), |bytes| watch.limit_window(bytes)).unwrap();
            limit();
            // More than there is time for.
            reader.write_all(&(64_u64 << 20).to_be_bytes()).unwrap();
            let mut taken = vec![0; 65536];
            reader.read_exact(&mut taken[..1]).unwrap();
            let (started, mut limited_at) = (Instant::now(), Duration::ZERO);
            while started.elapsed() < Duration::from_secs(2) {
                assert!(reader.read(&mut taken).unwrap() > 0);
                if started.elapsed() - limited_at > Duration::from_millis(20) {
                    limited_at = started.elapsed();
                    limit();
                }
            }
            // What is under way arrives, and what the window still lets through.
            thread::sleep(Duration::from_secs(1));
            reader.get_ref().peek(&mut vec![0; 64 << 20]).unwrap()
        })
        .unwrap()
}

fn limited_window() {
    const WINDOW: u32 = 300_000;
    // 100 Mbit/s and 100 ms: a window of 1.25 MB keeps it full.
    let bench = Bench::new([link("wan").delay(Duration::from_millis(50))]);
    bench.listen(Protocol::Tcp);
    let (limited, free) = (ahead(&bench, Some(WINDOW)), ahead(&bench, None));
    println!("{limited} and {free} bytes");
    let window = WINDOW as usize;
    assert!((window / 4..window * 2).contains(&limited) && free > 2 * limited, "{limited} and {free} bytes");
}
