//! Listening: MPTCP by default, TCP where the host can't, and TCP clients served by the same socket at no cost.

use std::{
    io,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
};

#[cfg(feature = "tokio")]
use socket2::SockRef;
use socket2::{Domain, Socket};

use crate::{
    Error, Origin, OwnedSocket, Protocol, Reason, Refused, SocketOptions, Watched, sys,
    sys::{AsFd, Blocking},
};

/// Whether this host can make MPTCP sockets now, by making one and closing it.
///
/// Asked anew each time (about a microsecond): switching the sysctl on is noticed at once.
///
/// # Errors
/// The [`Reason`] why it can't; [`Reason::Unknown`] if the probe failed for a cause of its own, such as a lack of
/// file descriptors.
pub fn host_support() -> Result<(), Reason> {
    match sys::stream_socket(Domain::IPV4, Protocol::Mptcp, Blocking::Yes) {
        Ok((_, None)) => Ok(()),
        Ok((_, Some(reason))) => Err(reason),
        Err(_) => Err(Reason::Unknown),
    }
}

/// An unconnected stream socket of the wanted protocol, for programs that bind, connect or listen by themselves, and the
/// reason why it is a TCP one, if it is. Close-on-exec, blocking.
///
/// What is missed by connecting it oneself is the race: a path that swallows SYNs with MPTCP. [`Connect`](crate::Connect) has
/// it.
///
/// # Errors
/// [`Error::NotMptcp`] for [`Protocol::MptcpOnly`] on a host without MPTCP, [`Error::Socket`] with what the kernel said.
pub fn stream_socket(family: Family, protocol: Protocol) -> Result<(OwnedSocket, Option<Reason>), Error> {
    let domain = match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    };
    let (socket, reason) = sys::stream_socket(domain, protocol, Blocking::Yes)
        .map_err(|source| Error::Socket { protocol, source })?;
    match (protocol, reason) {
        (Protocol::MptcpOnly, Some(reason)) => Err(Error::NotMptcp { reason, peer: None }),
        _ => Ok((socket.into(), reason)),
    }
}

/// The Internet Protocol's version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// IPv4: `AF_INET`.
    V4,
    /// IPv6: `AF_INET6`.
    V6,
}

impl From<SocketAddr> for Family {
    fn from(address: SocketAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// How to listen. Reusable; [`Listen::bind`] makes a listener.
///
/// A server bound to one address refuses MPTCP joins to the host's others: to let clients use all links, bind the
/// unspecified address ([`Listen::bind_all`]).
#[derive(Clone, Debug)]
pub struct Listen {
    protocol: Protocol,
    backlog: u32,
    reuse_address: bool,
    reuse_port: bool,
    only_v6: bool,
    fast_open: Option<u32>,
    options: SocketOptions,
}

impl Listen {
    /// Listens with `protocol`: `SO_REUSEADDR` on, dual-stack, a backlog of 4096 (the kernel caps it at
    /// `net.core.somaxconn`).
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            backlog: 4096,
            // On Windows the option means something else: it lets another program steal the port.
            reuse_address: cfg!(unix),
            reuse_port: false,
            only_v6: false,
            fast_open: None,
            options: SocketOptions::default(),
        }
    }

    /// `SO_REUSEADDR`: bind although connections of an earlier run linger in `TIME_WAIT`.
    #[must_use]
    pub fn reuse_address(mut self, on: bool) -> Self {
        self.reuse_address = on;
        self
    }

    /// `SO_REUSEPORT`: several listeners of one user share the port, and the kernel spreads connections over them.
    #[must_use]
    pub fn reuse_port(mut self, on: bool) -> Self {
        self.reuse_port = on;
        self
    }

    /// How many connections may wait to be accepted.
    #[must_use]
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// `IPV6_V6ONLY`: an IPv6 listener takes no IPv4 clients.
    #[must_use]
    pub fn only_v6(mut self, on: bool) -> Self {
        self.only_v6 = on;
        self
    }

    /// `TCP_FASTOPEN`: clients may send data with the SYN (RFC 7413); so many of them may wait. Only a listener has
    /// this: a client's fast open reports a connection before there is one, which no race could judge.
    #[must_use]
    pub fn fast_open(mut self, waiting: u32) -> Self {
        self.fast_open = Some(waiting);
        self
    }

    /// Options for the listener and for what it accepts. Refused ones are reported, never fatal.
    #[must_use]
    pub fn options(mut self, options: SocketOptions) -> Self {
        self.options = options;
        self
    }

    /// Binds one address and listens. `[::]` takes IPv4 clients too, unless [`Listen::only_v6`].
    ///
    /// # Errors
    /// [`Error::NotMptcp`] for [`Protocol::MptcpOnly`] on a host without MPTCP; [`Error::Socket`] and
    /// [`Error::Listen`] with what the kernel said. A lack of MPTCP alone is no error with [`Protocol::Mptcp`].
    pub fn bind(&self, address: SocketAddr) -> Result<Listening, Error> {
        let (socket, reason) = stream_socket(address.into(), self.protocol)?;
        let socket = Socket::from(socket);
        let refused = self.set_up(&socket, address).map_err(|source| Error::Listen { address, source })?;
        let why_tcp = reason.map(Reason::as_str);
        tracing::info!(%address, protocol = %self.protocol, why_tcp, "listening");
        let options = Arc::new(self.options.clone());
        let accepts = Accepts { protocol: self.protocol, why_tcp: reason, options };
        Ok(Listening { listener: socket.into(), accepts, refused })
    }

    /// Listens on every address of the host: dual-stack where it has IPv6, else IPv4.
    ///
    /// # Errors
    /// As for [`Listen::bind`].
    pub fn bind_all(&self, port: u16) -> Result<Listening, Error> {
        match self.bind((Ipv6Addr::UNSPECIFIED, port).into()) {
            // No IPv6 in this kernel, or switched off (EADDRNOTAVAIL for `::`).
            Err(Error::Socket { source, .. } | Error::Listen { source, .. })
                if source.kind() == io::ErrorKind::AddrNotAvailable || is_no_family(&source) =>
            {
                self.bind((Ipv4Addr::UNSPECIFIED, port).into())
            }
            result => result,
        }
    }

    fn set_up(&self, socket: &Socket, address: SocketAddr) -> io::Result<Vec<Refused>> {
        if address.is_ipv6() {
            socket.set_only_v6(self.only_v6)?;
        }
        socket.set_reuse_address(self.reuse_address)?;
        #[cfg(all(unix, not(any(target_os = "solaris", target_os = "illumos"))))]
        if self.reuse_port {
            socket.set_reuse_port(true)?;
        }
        let mut refused = self.options.apply(socket);
        if let Some(waiting) = self.fast_open
            && let Err(error) = sys::set_fast_open(socket, waiting)
        {
            refused.push(Refused { option: "TCP_FASTOPEN", error });
        }
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(self.backlog).unwrap_or(i32::MAX))?;
        Ok(refused)
    }
}

fn is_no_family(error: &io::Error) -> bool {
    #[cfg(unix)]
    return error.raw_os_error() == Some(libc::EAFNOSUPPORT);
    #[cfg(not(unix))]
    return error.kind() == io::ErrorKind::Unsupported;
}

/// What a listener was made with: turns accepted sockets into ones of known [`Origin`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepts {
    protocol: Protocol,
    why_tcp: Option<Reason>,
    options: Arc<SocketOptions>,
}

impl Accepts {
    /// What is known of a listener from elsewhere, such as one that systemd passed.
    #[must_use]
    pub fn of(listener: &impl AsFd) -> Self {
        match sys::is_mptcp_socket(listener) {
            Ok(true) => Self { protocol: Protocol::Mptcp, why_tcp: None, options: Arc::default() },
            _ => {
                Self { protocol: Protocol::Tcp, why_tcp: Some(Reason::NotRequested), options: Arc::default() }
            }
        }
    }

    /// What is known of a socket of [`stream_socket`] that its user sets to listen: what was asked for, and the reason that
    /// came with it.
    #[must_use]
    pub fn made(protocol: Protocol, why_tcp: Option<Reason>) -> Self {
        Self { protocol, why_tcp, options: Arc::default() }
    }

    /// The same listener, with accepted connections held to another choice: [`Protocol::MptcpOnly`] for one from
    /// elsewhere that must refuse TCP clients.
    #[must_use]
    pub fn with_protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// What was asked for.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// Why the listener is a TCP one; `None` if it listens with MPTCP.
    #[must_use]
    pub const fn why_tcp(&self) -> Option<Reason> {
        self.why_tcp
    }

    /// Sets the listener's options on a connection that it accepted, and reports those that it refuses. They are
    /// inherited in part only: an MPTCP listener can't hand on to its TCP clients what it refused itself.
    pub fn set_options(&self, stream: &impl AsFd) -> Vec<Refused> {
        self.options.apply(stream)
    }

    /// The origin of a connection that this listener accepted.
    #[must_use]
    pub fn origin(&self, stream: &impl AsFd) -> Origin {
        Origin::accepted(stream, self.protocol, self.why_tcp)
    }
}

/// A listening socket, and what it is.
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    accepts: Accepts,
    refused: Vec<Refused>,
}

impl Listening {
    /// Takes over a listener from elsewhere, such as one that systemd passed; what it speaks is read from it.
    #[must_use]
    pub fn from_std(listener: TcpListener) -> Self {
        let accepts = Accepts::of(&listener);
        Self { listener, accepts, refused: Vec::new() }
    }

    /// A listener of which it is known how it came to be, as where one process hands it on to another.
    #[must_use]
    pub fn of(listener: TcpListener, accepts: Accepts) -> Self {
        Self { listener, accepts, refused: Vec::new() }
    }

    /// What was asked for.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.accepts.protocol
    }

    /// Why it listens with TCP; `None` if it listens with MPTCP.
    #[must_use]
    pub const fn why_tcp(&self) -> Option<Reason> {
        self.accepts.why_tcp
    }

    /// What accepted sockets are to be judged by; keep it when the listener itself is handed on.
    #[must_use]
    pub fn accepts(&self) -> Accepts {
        self.accepts.clone()
    }

    /// The address, with the port that the kernel chose.
    ///
    /// # Errors
    /// What `getsockname(2)` says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Options that the listener did not take.
    #[must_use]
    pub fn refused(&self) -> &[Refused] {
        &self.refused
    }

    /// Accepts a connection, blocking.
    ///
    /// # Errors
    /// What `accept(2)` says. `ECONNABORTED` and its like concern one client: accept again.
    pub fn accept(&self) -> io::Result<(Watched<TcpStream>, SocketAddr)> {
        let (stream, peer) = self.listener.accept()?;
        // What is refused here was reported by the listener, or concerns a client that has gone already.
        let _ = self.accepts.set_options(&stream);
        let origin = self.accepts.origin(&stream);
        Ok((Watched::new(stream, origin), peer))
    }

    /// The plain listener, blocking, for any server that takes one.
    #[must_use]
    pub fn into_std(self) -> TcpListener {
        self.listener
    }

    /// The listener for tokio, for any server that takes one.
    ///
    /// # Errors
    /// [`Error::Runtime`] if it can't be registered.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled, as tokio itself.
    #[cfg(feature = "tokio")]
    pub fn into_tokio(self) -> Result<tokio::net::TcpListener, Error> {
        SockRef::from(&self.listener).set_nonblocking(true).map_err(Error::Runtime)?;
        tokio::net::TcpListener::from_std(self.listener).map_err(Error::Runtime)
    }
}

#[cfg(unix)]
impl AsFd for Listening {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

#[cfg(windows)]
impl AsFd for Listening {
    fn as_socket(&self) -> std::os::windows::io::BorrowedSocket<'_> {
        self.listener.as_socket()
    }
}
