//! What the tests share: hosts, transfers, datagrams, and scenarios that need a process of their own.

use std::error::Error;
use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use netlab::{Host, Lab, Link, LinkSpec};
use socket2::{Domain, Protocol, Socket, Type};

pub type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;
pub type Tests = &'static [(&'static str, fn() -> Result)];

/// These tests' own executable, for whoever runs them: its directory may be out of others' reach, this link
/// isn't.
pub const THIS_PROGRAM: &str = "/proc/self/exe";
/// Names the scenario that a child process of the tests is to play.
pub const SCENARIO: &str = "NETLAB_TEST_SCENARIO";
const PATIENCE: Duration = Duration::from_secs(10);

/// Plays the scenario that the environment asks for, if it does.
pub fn scenario() -> Option<ExitCode> {
    match std::env::var(SCENARIO).ok()?.as_str() {
        "namespace" => println!("{}", network_namespace()),
        "enter-too-late" => {
            let (stop, stopped) = std::sync::mpsc::channel::<()>();
            let thread = std::thread::spawn(move || stopped.recv());
            println!("{:?}", netlab::enter());
            drop(stop);
            let _ = thread.join();
        }
        other => panic!("no scenario {other}"),
    }
    Some(ExitCode::SUCCESS)
}

/// Identifies the network namespace of the calling thread.
pub fn network_namespace() -> String {
    let link = std::fs::read_link("/proc/thread-self/ns/net").expect("every thread has a network namespace");
    link.to_string_lossy().into_owned()
}

/// A lab with two hosts and the links asked for.
pub struct Net {
    pub lab: Lab,
    pub client: Host,
    pub server: Host,
    pub links: Vec<Link>,
}

pub fn net(specs: impl IntoIterator<Item = LinkSpec>) -> Result<Net> {
    let lab = Lab::new()?;
    let client = lab.host("client")?;
    let server = lab.host("server")?;
    let links = specs
        .into_iter()
        .map(|spec| lab.link(&client, &server, spec))
        .collect::<std::result::Result<_, _>>()?;
    Ok(Net { lab, client, server, links })
}

impl Net {
    /// The server's addresses on a link: IPv4, and IPv6 if the machine has it.
    pub fn server_addresses(&self, link: usize) -> Vec<IpAddr> {
        self.links[link].addresses(&self.server)
    }

    pub fn server_address(&self, link: usize) -> IpAddr {
        self.server_addresses(link)[0]
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stack {
    Tcp,
    Mptcp,
}

fn socket(address: SocketAddr, stack: Stack) -> io::Result<Socket> {
    let protocol = if stack == Stack::Tcp { Protocol::TCP } else { Protocol::MPTCP };
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(protocol))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    Ok(socket)
}

/// A connection that was made between client and server.
pub struct Connection {
    pub client: TcpStream,
    pub server: TcpStream,
    // MP_JOIN arrives as a SYN for the listener: once that is closed, no subflow can be added.
    _listener: Socket,
}

/// Connects from the client (optionally from a given address) to the server's address.
pub fn connect(net: &Net, to: IpAddr, from: Option<IpAddr>, stack: Stack) -> Result<Connection> {
    let listener = net.server.run(|| -> io::Result<Socket> {
        let listener = socket(SocketAddr::new(to, 0), stack)?;
        listener.bind(&SocketAddr::new(to, 0).into())?;
        listener.listen(8)?;
        Ok(listener)
    })??;
    let address = listener.local_addr()?;
    let client = net.client.run(|| -> io::Result<Socket> {
        let client = socket(SocketAddr::new(to, 0), stack)?;
        if let Some(from) = from {
            client.bind(&SocketAddr::new(from, 0).into())?;
        }
        client.connect_timeout(&address, PATIENCE)?;
        Ok(client)
    })??;
    let (server, _) = listener.accept()?;
    server.set_read_timeout(Some(PATIENCE))?;
    server.set_write_timeout(Some(PATIENCE))?;
    Ok(Connection { client: client.into(), server: server.into(), _listener: listener })
}

impl Connection {
    /// The server sends so many bytes, the client takes them; returns the rate of the payload in Mbit/s.
    pub fn download(&mut self, bytes: usize) -> Result<f64> {
        self.download_within(bytes, 2 * PATIENCE)
    }

    /// The same, but gives up after some time even if something trickles through.
    pub fn download_within(&mut self, bytes: usize, patience: Duration) -> Result<f64> {
        self.server.set_write_timeout(Some(patience))?;
        let (client, server) = (&mut self.client, &mut self.server);
        let start = Instant::now();
        let deadline = start + patience;
        std::thread::scope(|scope| -> Result {
            let sender = scope.spawn(move || {
                let chunk = vec![0x5a; 256 * 1024];
                let mut left = bytes;
                while left > 0 {
                    in_time(deadline)?;
                    left -= server.write(&chunk[..left.min(chunk.len())])?;
                }
                io::Result::Ok(())
            });
            let received = receive(client, bytes, deadline);
            sender.join().expect("the sender doesn't panic")?;
            Ok(received?)
        })?;
        Ok(bytes as f64 * 8.0 / 1e6 / start.elapsed().as_secs_f64())
    }

    /// One byte each way, so that MPTCP knows the connection for established and opens its other subflows.
    pub fn greet(&mut self) -> Result {
        self.client.write_all(b"?")?;
        self.server.read_exact(&mut [0])?;
        self.server.write_all(b"!")?;
        self.client.read_exact(&mut [0])?;
        Ok(())
    }
}

fn in_time(deadline: Instant) -> io::Result<()> {
    if Instant::now() < deadline { Ok(()) } else { Err(io::ErrorKind::TimedOut.into()) }
}

fn receive(stream: &mut TcpStream, bytes: usize, deadline: Instant) -> io::Result<()> {
    let mut buffer = vec![0; 256 * 1024];
    let mut left = bytes;
    while left > 0 {
        in_time(deadline)?;
        match stream.read(&mut buffer[..left.min(256 * 1024)])? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => left -= count,
        }
    }
    Ok(())
}

/// Two datagram sockets: the client's, connected to the server's.
pub fn datagrams(net: &Net, to: IpAddr) -> Result<(UdpSocket, UdpSocket)> {
    let server = net.server.run(|| UdpSocket::bind((to, 0)))??;
    let address = server.local_addr()?;
    let any: IpAddr = if to.is_ipv4() { [0; 4].into() } else { [0_u16; 8].into() };
    let client = net.client.run(|| UdpSocket::bind((any, 0)))??;
    client.connect(address)?;
    Ok((client, server))
}

/// Whether a datagram arrives; waits no longer than 200 ms for it.
pub fn arrives(client: &UdpSocket, server: &UdpSocket) -> Result<bool> {
    server.set_read_timeout(Some(Duration::from_millis(200)))?;
    // Sending fails where the host knows that it has no way: then nothing arrives either.
    if client.send(b"anyone?").is_err() {
        return Ok(false);
    }
    match server.recv(&mut [0; 64]) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// Counts the datagrams that arrive until there is a pause of 200 ms.
pub fn count_arrivals(server: &UdpSocket) -> Result<usize> {
    server.set_read_timeout(Some(Duration::from_millis(200)))?;
    let mut count = 0;
    while server.recv(&mut [0; 2048]).is_ok() {
        count += 1;
    }
    Ok(count)
}

/// A counter of the host that may never have counted.
pub fn counter(host: &Host, name: &str) -> Result<u64> {
    Ok(host.counters()?.get(name).copied().unwrap_or(0))
}

/// Fails with the reason unless the condition holds.
pub fn ensure(condition: bool, reason: impl FnOnce() -> String) -> Result {
    if condition { Ok(()) } else { Err(reason().into()) }
}
