//! ureq 3: a connector whose connections have the protocol of choice.
//!
//! Timeouts, redirects, TLS and pooling stay ureq's. It takes the place of ureq's `TcpConnector` in the chain:
//!
//! ```no_run
//! use mptcp_socket::{Connect, Protocol, ureq::Connector};
//! use ureq::{Agent, config::Config, unversioned::{resolver::DefaultResolver, transport::Connector as _}};
//!
//! let connector = Connector::new(Connect::new(Protocol::Mptcp)).on_connect(|watch| println!("{}", watch.transport()));
//! // With ureq's feature `rustls`: ().chain(connector).chain(RustlsConnector::default())
//! let agent = Agent::with_parts(Config::default(), ().chain(connector), DefaultResolver::default());
//! let text = agent.get("http://example.com/").call()?.body_mut().read_to_string()?;
//! # Ok::<(), ureq::Error>(())
//! ```
//!
//! These traits of ureq are `unversioned`: a minor release of ureq may change them, and this feature with them.

use std::{
    fmt, io,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    sync::{Arc, Weak},
    time::Duration,
};

use ureq::{
    Error, Timeout,
    unversioned::transport::{
        Buffers, ConnectionDetails, Connector as Chained, Either, LazyBuffers, NextTimeout, ShutdownHandle,
        Transport,
    },
};

use crate::{Connect, Watch, Watched};

/// Makes ureq's connections as a [`Connect`] says: protocol, racing, interfaces, socket options.
///
/// ureq's limit for connecting holds beside that of the [`Connect`]; its resolver's addresses are raced (RFC 8305).
pub struct Connector {
    connect: Connect,
    tell: Arc<dyn Fn(&Watch) + Send + Sync>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("connect", &self.connect).finish_non_exhaustive()
    }
}

impl Connector {
    /// Connects as `connect` says.
    #[must_use]
    pub fn new(connect: Connect) -> Self {
        Self { connect, tell: Arc::new(|_| {}) }
    }

    /// Tells of each new connection: ureq's responses have no place for it. The watch can be kept and asked later.
    #[must_use]
    pub fn on_connect(mut self, tell: impl Fn(&Watch) + Send + Sync + 'static) -> Self {
        self.tell = Arc::new(tell);
        self
    }
}

impl<In: Transport> Chained<In> for Connector {
    type Out = Either<In, Connection>;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<Self::Out>, Error> {
        if let Some(chained) = chained {
            // Somebody before has connected: a SOCKS proxy's connector.
            return Ok(Some(Either::A(chained)));
        }
        let mut connect = self.connect.clone();
        if let Some(limit) = details.timeout.not_zero() {
            connect = connect.timeout(*limit);
        }
        let addresses: Vec<_> = details.addrs.iter().copied().collect();
        let connected = connect.to(&addresses).map_err(|error| match error {
            crate::Error::TimedOut { .. } => Error::Timeout(details.timeout.reason),
            error => Error::Io(error.into()),
        })?;
        if details.config.no_delay() {
            connected.stream.set_nodelay(true)?;
        }
        let stream = connected.watched();
        (self.tell)(&stream.watch());
        let closer = Arc::new(Closer(stream.get_ref().try_clone()?));
        let handle: Weak<dyn ShutdownHandle> = Arc::<Closer>::downgrade(&closer);
        (details.register_shutdown)(handle)?;
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        let connection = Connection { stream, _closer: closer, buffers, read_limit: None, write_limit: None };
        Ok(Some(Either::B(connection)))
    }
}

/// Ends a connection that another thread waits for.
struct Closer(TcpStream);

impl ShutdownHandle for Closer {
    fn shutdown(&self) {
        // An error means that it has ended already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

/// A connection for ureq.
pub struct Connection {
    stream: Watched<TcpStream>,
    /// What ureq ends it by lasts as long as the connection.
    _closer: Arc<Closer>,
    buffers: LazyBuffers,
    read_limit: Option<Duration>,
    write_limit: Option<Duration>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("stream", &self.stream).finish_non_exhaustive()
    }
}

impl Transport for Connection {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let limit = left(&timeout)?;
        if self.write_limit != limit {
            self.stream.get_ref().set_write_timeout(limit)?;
            self.write_limit = limit;
        }
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output).map_err(|error| judged(error, timeout.reason))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        let limit = left(&timeout)?;
        if self.read_limit != limit {
            self.stream.get_ref().set_read_timeout(limit)?;
            self.read_limit = limit;
        }
        let input = self.buffers.input_append_buf();
        let amount = loop {
            match self.stream.read(input) {
                // A signal: the limit begins anew, which signals come too seldom to make endless.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => break read.map_err(|error| judged(error, timeout.reason))?,
            }
        };
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        // Bytes that nobody asked for, an end, an error: it is of no use any more.
        let stream = self.stream.get_ref();
        let nothing = |error: &io::Error| error.kind() == io::ErrorKind::WouldBlock;
        stream.set_nonblocking(true).is_ok()
            & (&*stream).read(&mut [0]).is_err_and(|error| nothing(&error))
            & stream.set_nonblocking(false).is_ok()
    }
}

/// What is left of a limit; `None` is no limit. A socket takes 0 for no limit at all.
fn left(timeout: &NextTimeout) -> Result<Option<Duration>, Error> {
    if timeout.after.is_zero() {
        return Err(Error::Timeout(timeout.reason));
    }
    Ok(timeout.not_zero().map(|left| *left))
}

fn judged(error: io::Error, reason: Timeout) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout(reason),
        _ => Error::Io(error),
    }
}
