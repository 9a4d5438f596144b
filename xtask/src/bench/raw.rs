//! What the layer bench and the raw server stand on: sockets as one makes them by hand, with socket2 and the protocol's number.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use mptcp_socket::{IPPROTO_MPTCP, IPPROTO_TCP, Protocol};
use socket2::{Domain, Socket, Type};

fn socket(protocol: Protocol) -> io::Result<Socket> {
    let number = if protocol == Protocol::Tcp { IPPROTO_TCP } else { IPPROTO_MPTCP };
    Socket::new(Domain::IPV4, Type::STREAM, Some(number.into()))
}

/// A listener on a loopback port; 0 leaves the choice to the kernel.
pub fn listen(protocol: Protocol, port: u16) -> io::Result<TcpListener> {
    let socket = socket(protocol)?;
    socket.set_reuse_address(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, port)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

/// A blocking connect.
pub fn connect(protocol: Protocol, address: SocketAddr) -> io::Result<TcpStream> {
    let socket = socket(protocol)?;
    socket.connect(&address.into())?;
    Ok(socket.into())
}

/// A connect in tokio: the least that one can write.
pub async fn connect_tokio(protocol: Protocol, address: SocketAddr) -> io::Result<tokio::net::TcpStream> {
    let socket = socket(protocol)?;
    socket.set_nonblocking(true)?;
    tokio::net::TcpSocket::from_std_stream(socket.into()).connect(address).await
}
