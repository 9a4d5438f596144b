//! Two hosts with links and boxes, an echoing listener, and the two ways to connect.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use mptcp_socket::{Connect, Error, Listen, Memory, Origin, Protocol, Spoken, Watched};
use netlab::{BoxKind, Host, Lab, Link, LinkSpec, Rate};

pub const PORT: u16 = 8000;
/// One way; the round trip is twice this.
pub const DELAY: Duration = Duration::from_millis(10);
pub const ROUND_TRIP: Duration = Duration::from_millis(20);
/// What a busy machine adds to a few wake-ups.
pub const SLACK: Duration = Duration::from_millis(60);

pub struct Bench {
    pub client: Host,
    pub server: Host,
    pub links: Vec<Link>,
    _lab: Lab,
}

pub fn link(name: &str) -> LinkSpec {
    LinkSpec::new().name(name).rate(Rate::mbit(100)).delay(DELAY)
}

impl Bench {
    pub fn new(links: impl IntoIterator<Item = LinkSpec>) -> Self {
        let lab = Lab::new().unwrap();
        let (client, server) = (lab.host("client").unwrap(), lab.host("server").unwrap());
        let links = links.into_iter().map(|spec| lab.link(&client, &server, spec).unwrap()).collect();
        Self { client, server, links, _lab: lab }
    }

    pub fn with_box(kind: BoxKind) -> Self {
        Self::new([link("wan").middlebox(kind)])
    }

    /// The server's address on a link.
    pub fn address(&self, link: usize) -> SocketAddr {
        (self.links[link].address(&self.server).unwrap(), PORT).into()
    }

    /// A server that answers each byte with as many bytes as the eight that follow it say, until the lab ends.
    pub fn listen(&self, protocol: Protocol) {
        let listening = self.server.run(|| Listen::new(protocol).bind_all(PORT)).unwrap().unwrap();
        self.server
            .thread(move || {
                while let Ok((mut stream, _)) = listening.accept() {
                    thread::spawn(move || {
                        let mut wish = [0; 8];
                        while stream.read_exact(&mut wish).is_ok() {
                            if stream.write_all(&content(u64::from_be_bytes(wish))).is_err() {
                                return;
                            }
                        }
                    });
                }
            })
            .unwrap();
    }

    /// Runs `work` on the client, once for each way to connect.
    pub fn both_ways(&self, work: impl Fn(Way) + Send + Sync) {
        for way in [Way::Blocking, Way::Tokio] {
            println!("{way:?}");
            self.client.run(|| work(way)).unwrap();
        }
    }

    pub fn counter(&self, name: &str) -> u64 {
        self.client.counters().unwrap().get(name).copied().unwrap_or(0)
    }
}

#[derive(Clone, Copy, Debug)]
pub enum Way {
    Blocking,
    Tokio,
}

/// A connection, however it was made, as a blocking stream.
pub struct Made {
    pub stream: Watched<TcpStream>,
    pub spoken: Spoken,
    pub took: Duration,
    pub failed: usize,
}

impl Way {
    pub fn connect(self, connect: &Connect, address: SocketAddr) -> Result<Made, Error> {
        let start = Instant::now();
        let (stream, origin, failed): (TcpStream, Origin, usize) = match self {
            Self::Blocking => {
                let connected = connect.to(&[address])?;
                (connected.stream, connected.origin, connected.failed.len())
            }
            Self::Tokio => {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    let connected = connect.to_async(&[address]).await?;
                    let stream = connected.stream.into_std().unwrap();
                    stream.set_nonblocking(false).unwrap();
                    Ok::<_, Error>((stream, connected.origin, connected.failed.len()))
                })?
            }
        };
        let took = start.elapsed();
        let stream = Watched::new(stream, origin);
        let spoken = stream.watch().spoken();
        println!("  {spoken:?} in {took:?}");
        Ok(Made { stream, spoken, took, failed })
    }
}

impl Made {
    /// Has the server send so many bytes, and reads them.
    pub fn fetch(&mut self, bytes: u64) -> std::io::Result<()> {
        self.stream.write_all(&bytes.to_be_bytes())?;
        let mut buffer = vec![0; bytes as usize];
        self.stream.read_exact(&mut buffer)?;
        assert!(buffer == content(bytes), "what came is not what was sent");
        Ok(())
    }
}

/// Bytes among which a piece that is missing, moved or repeated shows.
fn content(bytes: u64) -> Vec<u8> {
    (0..bytes).map(|n| (n % 251 + n / 65_536) as u8).collect()
}

/// A connect that remembers in a memory of its own.
pub fn connect(protocol: Protocol) -> (Connect, Memory) {
    let memory = Memory::default();
    (Connect::new(protocol).memory(memory.clone()), memory)
}
