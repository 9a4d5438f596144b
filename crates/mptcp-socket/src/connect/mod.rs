//! Connecting: a plan ([`crate::plan`]) and the sockets that carry it out, blocking or with tokio.
//!
//! Both drivers share what is here: how a socket for an attempt is made, and what is checked when it has connected.

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpStream, ToSocketAddrs},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use socket2::{Domain, SockRef, Socket};

use crate::{
    AttemptError, Error, Memory, Origin, Protocol, Reason, Refused, SocketOptions, Stream, Watched, plan,
    plan::{Approach, Failure, Kind, Lesson, Plan, Target, Timing, interleave},
    sys,
    sys::{AsFd, Blocking},
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

/// What a blocking connect asks now and then: whether to give up.
#[derive(Clone)]
struct Cancelled(Arc<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Cancelled")
    }
}

/// How to connect. Reusable; addresses are given to [`Connect::to`] and its kin.
#[derive(Clone, Debug)]
pub struct Connect {
    protocol: Protocol,
    options: SocketOptions,
    local_v4: Option<Ipv4Addr>,
    local_v6: Option<Ipv6Addr>,
    local_port: u16,
    /// By which ways to try each address: as the routes say (`None`), or through an interface.
    ways: Vec<Option<String>>,
    memory: Memory,
    timing: Timing,
    timeout: Option<Duration>,
    cancelled: Option<Cancelled>,
}

/// A connection, and how it was made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Connected<S> {
    /// The stream: blocking for std, registered for tokio.
    pub stream: S,
    /// What only the maker knows; hand it to [`Watched::new`], or call [`Connected::watched`].
    pub origin: Origin,
    /// The address that answered.
    pub remote: SocketAddr,
    /// Options that the socket did not take.
    pub refused: Vec<Refused>,
    /// Attempts that failed before this one succeeded.
    pub failed: Vec<AttemptError>,
    /// Time from the start to the connection, without name resolution.
    pub elapsed: Duration,
}

impl<S> Connected<S> {
    /// The same connection with its stream turned into another kind, such as a registered one into a plain one.
    ///
    /// # Errors
    /// What `turn` says.
    pub fn try_map<T, E>(self, turn: impl FnOnce(S) -> Result<T, E>) -> Result<Connected<T>, E> {
        let Self { stream, origin, remote, refused, failed, elapsed } = self;
        Ok(Connected { stream: turn(stream)?, origin, remote, refused, failed, elapsed })
    }
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
            local_v4: None,
            local_v6: None,
            local_port: 0,
            ways: vec![None],
            memory: Memory::global(),
            timing: Timing::default(),
            timeout: None,
            cancelled: None,
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

    /// Binds this local address. Remote addresses of the other family are left out, unless one of that family is given too,
    /// by another call. It does not choose the interface: routes do, unless they look at the source.
    #[must_use]
    pub fn local_address(mut self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.local_v4 = Some(address),
            IpAddr::V6(address) => self.local_v6 = Some(address),
        }
        self
    }

    /// Binds this local port; 0, the default, takes any free one.
    ///
    /// A fixed port holds one attempt at a time: while MPTCP waits for an answer, plain TCP can't be raced beside it.
    #[must_use]
    pub fn local_port(mut self, port: u16) -> Self {
        self.local_port = port;
        self
    }

    /// Sends through this interface alone (`SO_BINDTODEVICE`, which needs no privilege since Linux 5.7). Where that can't be
    /// had, the interface's address is bound, and routes that look at the source do the rest.
    #[must_use]
    pub fn interface(self, name: impl Into<String>) -> Self {
        self.interfaces([name])
    }

    /// Sends through one of these interfaces, and through no others: the next is tried a [`Timing::stagger`] after the one
    /// before, if that gives no answer.
    #[must_use]
    pub fn interfaces(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.ways = names.into_iter().map(|name| Some(name.into())).collect();
        self
    }

    /// Tries these interfaces too, each a [`Timing::stagger`] after the one before, if the way that the routes name
    /// gives no answer: a default route into a dead link then costs a fraction of a second instead of minutes.
    ///
    /// Off by default: who set up routes may mean them.
    #[must_use]
    pub fn race_interfaces(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.ways = [None].into_iter().chain(names.into_iter().map(|name| Some(name.into()))).collect();
        self
    }

    /// The memory of destinations whose way swallows or resets MPTCP: [`Memory::global`] unless set here.
    #[must_use]
    pub fn memory(mut self, memory: Memory) -> Self {
        self.memory = memory;
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
    pub fn cancel(self, cancel: Cancel) -> Self {
        self.cancelled_by(move || cancel.is_cancelled())
    }

    /// A question that a blocking connect asks at least twenty times a second, from its own thread: the answer yes ends it
    /// with [`Error::Cancelled`]. For runtimes that must look for signals themselves; replaces [`Connect::cancel`].
    #[must_use]
    pub fn cancelled_by(mut self, cancelled: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.cancelled = Some(Cancelled(Arc::new(cancelled)));
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
        let mut targets = Vec::new();
        for address in interleave(addresses) {
            let local = if address.is_ipv4() { self.local_v4.is_some() } else { self.local_v6.is_some() };
            if self.has_local() && !local {
                continue;
            }
            for (index, way) in self.ways.iter().enumerate() {
                let approach = match self.protocol {
                    Protocol::Tcp | Protocol::MptcpOnly => Approach::Plain,
                    Protocol::Mptcp => self.memory.approach(address, way.as_deref()),
                };
                if matches!(approach, Approach::TcpOnly | Approach::Retest) {
                    tracing::debug!(
                        %address,
                        interface = way.as_deref(),
                        retest = approach == Approach::Retest,
                        "the way there is known not to bear Multipath TCP"
                    );
                }
                targets.push(Target { address, via: way.is_some().then_some(index), approach });
            }
        }
        if targets.is_empty() { Err(Error::NoAddress) } else { Ok(Plan::new(targets, self.timing)) }
    }

    fn way(&self, target: Target) -> Option<&str> {
        self.ways.get(target.via?)?.as_deref()
    }

    /// Makes the socket for an attempt: non-blocking, bound as asked.
    fn socket(&self, target: Target, kind: Kind) -> io::Result<(Socket, Unfinished)> {
        let protocol = match kind {
            Kind::Wanted => self.protocol,
            Kind::PlainTcp => Protocol::Tcp,
        };
        tracing::debug!(address = %target.address, %protocol, interface = self.way(target), "trying");
        let (socket, no_mptcp) =
            sys::stream_socket(Domain::for_address(target.address), protocol, Blocking::No)?;
        if let (Protocol::MptcpOnly, Some(reason)) = (self.protocol, no_mptcp) {
            return Err(io::Error::new(io::ErrorKind::Unsupported, Error::NotMptcp { reason, peer: None }));
        }
        let refused = self.options.apply(&socket);
        let mut local = self.local_for(target.address);
        if let Some(name) = self.way(target)
            && let Err(error) = bind_interface(&socket, name)
        {
            // The next best thing is the interface's address: routes that look at the source follow it.
            let address = sys::address_of(name, target.address.is_ipv6());
            let unable = matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported);
            let Some(address) = address.filter(|_| unable && !self.has_local()) else { return Err(error) };
            local.set_ip(address);
        }
        if !local.ip().is_unspecified() || self.local_port != 0 {
            socket.bind(&local.into())?;
        }
        Ok((socket, Unfinished { no_mptcp, refused }))
    }

    fn has_local(&self) -> bool {
        self.local_v4.is_some() || self.local_v6.is_some()
    }

    /// The local address for an attempt to `remote`: as asked, or any of its family.
    fn local_for(&self, remote: SocketAddr) -> SocketAddr {
        match remote {
            SocketAddr::V4(_) => {
                SocketAddrV4::new(self.local_v4.unwrap_or(Ipv4Addr::UNSPECIFIED), self.local_port).into()
            }
            SocketAddr::V6(remote) => {
                let local = self.local_v6.unwrap_or(Ipv6Addr::UNSPECIFIED);
                // A link-local address is on the link of the remote one: its scope says which that is.
                let scope = if local.is_unicast_link_local() { remote.scope_id() } else { 0 };
                SocketAddrV6::new(local, self.local_port, 0, scope).into()
            }
        }
    }

    /// Checks a socket whose connect has succeeded; an error makes it a failed attempt.
    fn check(&self, target: Target, socket: &impl AsFd) -> io::Result<()> {
        let local = SockRef::from(socket).local_addr()?.as_socket();
        if local == Some(target.address) {
            // A port of the ephemeral range on this host can connect to itself; nobody listens there.
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        if self.protocol == Protocol::MptcpOnly {
            let spoken = crate::spoken(socket, &Origin::connected(socket, None)).map_err(io::Error::from)?;
            if let Some(reason) = spoken.reason() {
                let error = Error::NotMptcp { reason, peer: Some(target.address) };
                return Err(io::Error::new(io::ErrorKind::Unsupported, error));
            }
        }
        Ok(())
    }

    /// The last word on the connection that was taken: what it is, and what it teaches.
    fn conclude(
        &self,
        plan: &Plan,
        (id, target, kind): (plan::Id, Target, Kind),
        mut unfinished: Unfinished,
        socket: &impl AsFd,
    ) -> (Origin, Vec<Refused>) {
        let lesson = plan.lesson(id);
        let no_mptcp = match (kind, lesson) {
            (Kind::Wanted, _) => unfinished.no_mptcp,
            (Kind::PlainTcp, Lesson::MptcpReset) => Some(Reason::SynReset),
            (Kind::PlainTcp, Lesson::MptcpDropped) => Some(Reason::SynDropped),
            (Kind::PlainTcp, _) => {
                self.memory.reason(target.address, self.way(target)).or(Some(Reason::SynDropped))
            }
        };
        // A host that made a TCP socket has learnt nothing of how the way treats MPTCP.
        if unfinished.no_mptcp.is_none() || kind == Kind::PlainTcp {
            self.memory.learn(target.address, self.way(target), lesson);
        }
        let origin = Origin::connected(socket, no_mptcp);
        if !origin.began_as_mptcp() {
            self.options.reapply(socket, &mut unfinished.refused);
        }
        let began = origin.began();
        tracing::info!(
            address = %target.address,
            protocol = began.as_str(),
            why_tcp = began.reason().map(Reason::as_str),
            interface = self.way(target),
            "connected"
        );
        (origin, unfinished.refused)
    }

    /// When the time is over; never, for a limit beyond what the clock can tell.
    fn deadline(&self, asked: Instant) -> Option<Instant> {
        asked.checked_add(self.timeout?)
    }

    fn timed_out(&self, attempts: Vec<AttemptError>) -> Error {
        Error::TimedOut { after: self.timeout.unwrap_or_default(), attempts }
    }
}

/// What is kept of a socket while it connects.
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
        (target, kind, protocol): (Target, Kind, Protocol),
        now: Duration,
        source: io::Error,
    ) {
        let reset =
            matches!(source.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset);
        plan.failed(id, now, if reset { Failure::Reset } else { Failure::Other });
        let mptcp = kind == Kind::Wanted && protocol.wants_mptcp();
        let address = target.address;
        let protocol = if mptcp { protocol } else { Protocol::Tcp };
        tracing::debug!(%address, %protocol, after = ?now, error = %source, "failed");
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
