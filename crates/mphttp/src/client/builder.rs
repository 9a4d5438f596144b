//! How a client is to work.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, OnceLock},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header::USER_AGENT};
use mptcp_socket::{Memory, Protocol, SocketOptions};

use super::{Client, Inner, Settings, Versions, dial::LazyTls, proxy::Proxies};
use crate::{Connector, Error, tls::ClientTls};

/// Builds a [`Client`].
#[must_use = "a builder does nothing before build() is called"]
#[derive(Clone, Debug)]
pub struct ClientBuilder {
    protocol: Option<Protocol>,
    // Its protocol is a placeholder: each pool gets its own.
    connector: Connector,
    tls: ClientTls,
    proxy: Proxy,
    settings: Settings,
}

#[derive(Clone, Debug)]
enum Proxy {
    Environment,
    None,
    All(String),
}

impl Default for ClientBuilder {
    fn default() -> Self {
        Self {
            protocol: None,
            connector: Connector::new(Protocol::default()),
            tls: ClientTls::new(),
            proxy: Proxy::Environment,
            settings: Settings::default(),
        }
    }
}

impl ClientBuilder {
    /// The protocol of requests that don't choose one. Default: what `MPHTTP_PROTOCOL` says, else
    /// [`Protocol::Mptcp`].
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = Some(protocol);
        self
    }

    /// Sends through this interface alone.
    pub fn interface(mut self, name: impl Into<String>) -> Self {
        self.connector = self.connector.interface(name);
        self
    }

    /// Tries these interfaces too where the way that the routes name gives no answer, so that a default route into a
    /// dead link costs a fraction of a second: see [`Connector::race_interfaces`]. None by default.
    pub fn race_interfaces(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.connector = self.connector.race_interfaces(names);
        self
    }

    /// Binds this local address.
    pub fn local_address(mut self, address: IpAddr) -> Self {
        self.connector = self.connector.local_address(address);
        self
    }

    /// Options for the sockets, in place of the default `TCP_NODELAY`; best effort.
    pub fn socket_options(mut self, options: SocketOptions) -> Self {
        self.connector = self.connector.options(options);
        self
    }

    /// The memory of destinations whose way swallows or resets MPTCP, in place of the one that the process shares.
    pub fn memory(mut self, memory: Memory) -> Self {
        self.connector = self.connector.memory(memory);
        self
    }

    /// Uses these addresses for a host name instead of asking the resolver. Port 0 stands for the URL's port.
    pub fn resolve(mut self, host: &str, addresses: impl IntoIterator<Item = SocketAddr>) -> Self {
        self.connector = self.connector.resolve(host, addresses);
        self
    }

    /// As [`ClientBuilder::resolve`], for one port of the URL only.
    pub fn resolve_port(
        mut self,
        host: &str,
        port: u16,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> Self {
        self.connector = self.connector.resolve_port(host, port, addresses);
        self
    }

    /// The limit for a connection to be ready: resolving, connecting, and the handshakes with proxy and TLS. Default:
    /// none but the kernel's, some two minutes.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connector = self.connector.connect_timeout(limit);
        self
    }

    /// The limit for silence: for the handshakes with proxy and TLS as a whole, while the response is awaited, the request having
    /// been sent, and between pieces of its body. Default: none.
    pub fn read_timeout(mut self, limit: Duration) -> Self {
        self.settings.read_timeout = Some(limit);
        self
    }

    /// The limit for a request as a whole, redirects and the body included. Default: none.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.settings.timeout = Some(limit);
        self
    }

    /// Trusts these certificates (PEM) as well as the system's roots.
    ///
    /// # Errors
    /// [`Error::TlsSetup`] if there is none in it, or a broken one.
    pub fn add_root_certificate_pem(mut self, pem: impl AsRef<[u8]>) -> Result<Self, Error> {
        self.tls = self.tls.add_root_certificate_pem(pem.as_ref())?;
        Ok(self)
    }

    /// All TLS settings at once, in place of those made so far.
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = tls;
        self
    }

    /// Accepts any certificate: `curl -k`. Whoever is on the way can then read and change everything.
    pub fn danger_accept_invalid_certs(mut self, yes: bool) -> Self {
        self.tls = self.tls.danger_accept_invalid_certs(yes);
        self
    }

    /// HTTP/1.1 only. Default: HTTP/2 where TLS negotiates it, else HTTP/1.1.
    pub fn http1_only(mut self) -> Self {
        self.settings.versions = Versions::Http1;
        self
    }

    /// HTTP/2 only: negotiated with `https`, with prior knowledge (RFC 9113 section 3.3) with `http`.
    pub fn http2_prior_knowledge(mut self) -> Self {
        self.settings.versions = Versions::Http2;
        self
    }

    /// How many redirects are followed; 0: none, they are responses like others. Default: 10.
    pub fn redirect_limit(mut self, limit: usize) -> Self {
        self.settings.redirect_limit = limit;
        self
    }

    /// Follows redirects from `https` to `http`. Default: no, they are an error.
    pub fn allow_insecure_redirects(mut self, yes: bool) -> Self {
        self.settings.allow_downgrade = yes;
        self
    }

    /// Asks for compressed bodies and decompresses them (gzip, br, zstd, deflate). Default: yes.
    pub fn decompression(mut self, yes: bool) -> Self {
        self.settings.decompress = yes;
        self
    }

    /// Headers for every request that doesn't set them.
    pub fn default_headers(mut self, headers: HeaderMap) -> Self {
        self.settings.headers.extend(headers);
        self
    }

    /// The largest response head that is accepted, in bytes, as HTTP/1.1 would write its headers. Default: 256 KiB.
    pub fn max_header_bytes(mut self, limit: usize) -> Self {
        self.settings.max_header_bytes = limit;
        self
    }

    /// How long an unused connection is kept. Default: 90 s.
    pub fn pool_idle_timeout(mut self, limit: Duration) -> Self {
        self.settings.pool_idle_timeout = limit;
        self
    }

    /// How many unused connections are kept for a host; 0: none. Default: no limit.
    pub fn pool_max_idle_per_host(mut self, limit: usize) -> Self {
        self.settings.pool_max_idle = limit;
        self
    }

    /// One proxy for all requests, whatever the environment says: `http://`, `https://`, `socks4://`, `socks4a://`,
    /// `socks5://` or `socks5h://`, with `user:password@` if need be.
    pub fn proxy(mut self, url: impl Into<String>) -> Self {
        self.proxy = Proxy::All(url.into());
        self
    }

    /// No proxy, whatever the environment says.
    pub fn no_proxy(mut self) -> Self {
        self.proxy = Proxy::None;
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`Error::Socket`] if `MPHTTP_PROTOCOL` holds an unknown word; [`Error::Invalid`] for a proxy that is none.
    pub fn build(self) -> Result<Client, Error> {
        let protocol = match self.protocol {
            Some(protocol) => protocol,
            None => Protocol::from_env()?,
        };
        let proxies = match self.proxy {
            Proxy::Environment => Proxies::from_env(),
            Proxy::None => Proxies::none(),
            Proxy::All(url) => Proxies::all(&url)?,
        };
        let mut settings = self.settings;
        settings.headers.entry(USER_AGENT).or_insert(HeaderValue::from_static(super::USER_AGENT_DEFAULT));
        let tls = LazyTls::new(self.tls, settings.versions.alpn());
        Ok(Client(Arc::new(Inner {
            protocol,
            connector: self.connector,
            tls: Arc::new(tls),
            proxies: Arc::new(proxies),
            settings,
            pools: [const { OnceLock::new() }; 3],
        })))
    }
}
