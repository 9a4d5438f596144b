//! Connecting: a plan ([`crate::plan`]) and the sockets that carry it out, blocking or with tokio.
//!
//! Both drivers share what is here: how a socket for an attempt is made, and what is checked when it has connected.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use socket2::{Domain, SockRef, Socket};

use crate::{
    AttemptError, Error, Origin, Protocol, Reason, Refused, SocketOptions, Stream, Watched, plan,
    plan::{Failure, Kind, Plan, Timing},
    sys,
};

mod blocking;
#[cfg(feature = "tokio")]
mod with_tokio;

/// Cancels blocking connects from another thread or a signal handler; clones share the flag.
///
/// An async connect is cancelled by dropping its future.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Makes connects that carry this flag end with [`Error::Cancelled`] within a tenth of a second.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether [`Cancel::cancel`] was called.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// How to connect. Reusable; addresses are given to [`Connect::to`] and its kin.
#[derive(Clone, Debug)]
pub struct Connect {
    protocol: Protocol,
    options: SocketOptions,
    local: Option<IpAddr>,
    interface: Option<String>,
    timing: Timing,
    timeout: Option<Duration>,
    cancel: Option<Cancel>,
}

/// A connection, and how it was made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connected<S> {
    /// The stream: blocking for std, registered for tokio.
    pub stream: S,
    /// What only the maker knows; hand it to [`Watched::new`], or call [`Connected::watched`].
    pub origin: Origin,
    /// Options that the socket did not take.
    pub refused: Vec<Refused>,
    /// Attempts that failed before this one succeeded.
    pub failed: Vec<AttemptError>,
    /// Time from the start to the connection, without name resolution.
    pub elapsed: Duration,
}

impl<S: Stream> Connected<S> {
    /// The stream with its live record.
    #[must_use]
    pub fn watched(self) -> Watched<S> {
        Watched::new(self.stream, self.origin)
    }
}

impl Connect {
    /// Connects with `protocol`, racing as RFC 8305 and [`crate::plan`] say, and without a time limit.
    #[must_use]
    pub fn new(protocol: Protocol) -> Self {
        Self {
            protocol,
            options: SocketOptions::default(),
            local: None,
            interface: None,
            timing: Timing::default(),
            timeout: None,
            cancel: None,
        }
    }

    /// What was asked for.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The limit for the whole connect, all addresses together and, for names, the resolver included.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// Options for the socket. Refused ones are reported, never fatal.
    #[must_use]
    pub fn options(mut self, options: SocketOptions) -> Self {
        self.options = options;
        self
    }

    /// Binds this local address. Remote addresses of the other family are left out. It does not choose the
    /// interface: routes do, unless they look at the source.
    #[must_use]
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.local = Some(address);
        self
    }

    /// Sends through this interface alone (`SO_BINDTODEVICE`, which needs no privilege since Linux 5.7).
    #[must_use]
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.interface = Some(name.into());
        self
    }

    /// When attempts start: see [`Timing`].
    #[must_use]
    pub fn timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// A flag that ends a blocking connect early.
    #[must_use]
    pub fn cancel(mut self, cancel: Cancel) -> Self {
        self.cancel = Some(cancel);
        self
    }

    /// Connects to the first of these addresses that answers, blocking.
    ///
    /// # Errors
    /// [`Error::Connect`] with every attempt's failure, [`Error::TimedOut`], [`Error::NotMptcp`] and others.
    pub fn to(&self, addresses: &[SocketAddr]) -> Result<Connected<TcpStream>, Error> {
        blocking::drive(self, addresses, Instant::now())
    }

    /// Resolves a name (or takes an address) and connects, blocking.
    ///
    /// # Errors
    /// As [`Connect::to`], and [`Error::Resolve`].
    pub fn to_host(&self, host: &str, port: u16) -> Result<Connected<TcpStream>, Error> {
        let start = Instant::now();
        let addresses = (bare(host), port).to_socket_addrs().map_err(|e| resolve_error(host, e))?;
        let mut connected = blocking::drive(self, &addresses.collect::<Vec<_>>(), start)?;
        connected.elapsed = connected.elapsed.min(start.elapsed());
        Ok(connected)
    }

    /// A plan for those of the addresses that the local address can reach.
    fn plan(&self, addresses: &[SocketAddr]) -> Result<Plan, Error> {
        let usable: Vec<SocketAddr> = addresses
            .iter()
            .filter(|address| self.local.is_none_or(|local| local.is_ipv4() == address.is_ipv4()))
            .copied()
            .collect();
        if usable.is_empty() {
            return Err(Error::NoAddress);
        }
        Ok(Plan::new(&usable, self.timing, self.protocol == Protocol::Mptcp))
    }

    /// Makes the socket for an attempt: non-blocking, bound as asked.
    fn socket(&self, address: SocketAddr, kind: Kind) -> io::Result<Prepared> {
        let protocol = match kind {
            Kind::Wanted => self.protocol,
            Kind::PlainTcp => Protocol::Tcp,
        };
        let (socket, no_mptcp) = sys::stream_socket(Domain::for_address(address), protocol)?;
        if let (Protocol::MptcpOnly, Some(reason)) = (self.protocol, no_mptcp) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, Error::NotMptcp { reason, peer: None }));
        }
        socket.set_nonblocking(true)?;
        let refused = self.options.apply(&socket);
        if let Some(name) = &self.interface {
            bind_interface(&socket, name)?;
        }
        if let Some(local) = self.local {
            socket.bind(&SocketAddr::new(local, 0).into())?;
        }
        Ok(Prepared { socket, no_mptcp, refused })
    }

    /// Judges a socket whose connect has succeeded.
    fn judge(
        &self,
        plan: &Plan,
        address: SocketAddr,
        kind: Kind,
        mut prepared: Unfinished,
        socket: &impl AsFd,
    ) -> Result<(Origin, Vec<Refused>), io::Error> {
        let reference = SockRef::from(socket);
        let local = reference.local_addr()?.as_socket();
        if local == Some(address) {
            // A port of the ephemeral range on this host can connect to itself; nobody listens there.
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let no_mptcp = match (kind, prepared.no_mptcp) {
            (Kind::PlainTcp, _) if plan.was_reset(address) => Some(Reason::SynReset),
            (Kind::PlainTcp, _) => Some(Reason::SynDropped),
            (Kind::Wanted, reason) => reason,
        };
        let origin = Origin::connected(socket, no_mptcp);
        let spoken = crate::spoken(socket, &origin).map_err(io::Error::from)?;
        if let (Protocol::MptcpOnly, Some(reason)) = (self.protocol, spoken.reason()) {
            let error = Error::NotMptcp { reason, peer: Some(address) };
            return Err(io::Error::new(io::ErrorKind::Unsupported, error));
        }
        if !spoken.is_mptcp() {
            self.options.reapply(socket, &mut prepared.refused);
        }
        Ok((origin, prepared.refused))
    }

    fn timed_out(&self, attempts: Vec<AttemptError>) -> Error {
        Error::TimedOut { after: self.timeout.unwrap_or_default(), attempts }
    }
}

/// A socket ready to connect.
struct Prepared {
    socket: Socket,
    no_mptcp: Option<Reason>,
    refused: Vec<Refused>,
}

/// What is kept of a [`Prepared`] while its socket connects.
struct Unfinished {
    no_mptcp: Option<Reason>,
    refused: Vec<Refused>,
}

/// The failures of one connect, in order.
#[derive(Default)]
struct Failures(Vec<AttemptError>);

impl Failures {
    /// Notes a failure, and tells the plan.
    fn note(
        &mut self,
        plan: &mut Plan,
        id: plan::Id,
        (address, kind, protocol): (SocketAddr, Kind, Protocol),
        now: Duration,
        source: io::Error,
    ) {
        let reset =
            matches!(source.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset);
        plan.failed(id, now, if reset { Failure::Reset } else { Failure::Other });
        let mptcp = kind == Kind::Wanted && protocol.wants_mptcp();
        self.0.push(AttemptError { address, mptcp, started: plan.started(id), source });
    }

    /// The error for a connect whose attempts have all failed.
    ///
    /// Where MPTCP was demanded and a peer was reached that has none, that is what the caller must know.
    fn into_error(mut self) -> Error {
        let demanded = self.0.iter().rposition(|attempt| not_mptcp(&attempt.source).is_some());
        if let Some(index) = demanded {
            let attempt = self.0.swap_remove(index);
            if let Some((reason, peer)) = not_mptcp(&attempt.source) {
                return Error::NotMptcp { reason, peer };
            }
        }
        Error::Connect { attempts: self.0 }
    }
}

fn not_mptcp(error: &io::Error) -> Option<(Reason, Option<SocketAddr>)> {
    match error.get_ref()?.downcast_ref::<Error>()? {
        Error::NotMptcp { reason, peer } => Some((*reason, *peer)),
        _ => None,
    }
}

/// A host without the brackets that URLs put around IPv6 addresses.
fn bare(host: &str) -> &str {
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn resolve_error(host: &str, source: io::Error) -> Error {
    Error::Resolve { host: host.to_owned(), source }
}

fn bind_interface(socket: &Socket, name: &str) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let result = socket.bind_device(Some(name.as_bytes()));
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let result = {
        let _ = socket;
        Err(io::Error::from(io::ErrorKind::Unsupported))
    };
    result.map_err(|error: io::Error| {
        io::Error::new(error.kind(), format!("can't use the interface {name:?}: {error}"))
    })
}
