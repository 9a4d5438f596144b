//! How a reverse proxy is to work.

use std::{sync::Arc, time::Duration};

use http::{
    Uri,
    uri::{PathAndQuery, Scheme},
};
use ipnet::IpNet;
use mptcp_socket::Protocol;

use super::{
    pool::Pool,
    reverse::ReverseProxy,
    upstream::{Upstream, Upstreams},
};
use crate::{
    Connector, Error,
    client::{
        dial::{Dialer, LazyTls},
        proxy::Proxies,
    },
    tls::ClientTls,
};

/// No limit needs to be longer, and the clock can be added to it.
const YEAR: Duration = Duration::from_secs(365 * 24 * 3600);

/// Which name an upstream is asked by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostHeader {
    /// The one that the client used: the upstream answers as if it were reached directly.
    #[default]
    Client,
    /// The one in the upstream's URL: for servers that know themselves by no other.
    Upstream,
}

pub(super) struct Settings {
    pub(super) head: Duration,
    pub(super) idle: Duration,
    pub(super) rest: Duration,
    pub(super) host: HostHeader,
    pub(super) trusted: Vec<IpNet>,
    pub(super) health: Option<(PathAndQuery, Duration)>,
    /// Whether upstreams are told the client by a PROXY protocol header.
    pub(super) announce: bool,
}

/// Builds a [`ReverseProxy`].
#[must_use = "a builder does nothing before build() is called"]
pub struct ReverseProxyBuilder {
    upstreams: Vec<String>,
    connector: Connector,
    connect: Duration,
    tls: ClientTls,
    http2: bool,
    health: Option<(String, Duration)>,
    settings: Settings,
}

impl ReverseProxyBuilder {
    pub(super) fn new(protocol: Protocol) -> Self {
        Self {
            upstreams: Vec::new(),
            connector: Connector::new(protocol),
            connect: Duration::from_secs(5),
            tls: ClientTls::new(),
            http2: false,
            health: None,
            settings: Settings {
                head: Duration::from_secs(60),
                idle: Duration::from_secs(300),
                rest: Duration::from_secs(10),
                host: HostHeader::default(),
                trusted: Vec::new(),
                health: None,
                announce: false,
            },
        }
    }

    /// Adds an upstream: `http://HOST[:PORT]` or `https://…`. A path is put before the path of each request; it keeps
    /// nobody in, for what an upstream makes of `..` is its own affair.
    pub fn to(mut self, url: impl Into<String>) -> Self {
        self.upstreams.push(url.into());
        self
    }

    /// Makes connections with this connector, in place of one of the protocol that was chosen. Its limit for
    /// connecting is replaced by [`ReverseProxyBuilder::connect_timeout`].
    pub fn connector(mut self, connector: Connector) -> Self {
        self.connector = connector;
        self
    }

    /// Whom to trust where an upstream is `https://`.
    pub fn tls(mut self, tls: ClientTls) -> Self {
        self.tls = tls;
        self
    }

    /// Speaks HTTP/2 with `http://` upstreams, with prior knowledge (RFC 9113 section 3.3), and with `https://` ones
    /// without a choice. Default: HTTP/2 where TLS negotiates it, else HTTP/1.1. Upgrades need HTTP/1.1.
    pub fn http2_prior_knowledge(mut self, yes: bool) -> Self {
        self.http2 = yes;
        self
    }

    /// The limit for a connection to an upstream to be ready, TLS included. Default: 5 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect = limit.min(YEAR);
        self
    }

    /// The limit for the head of an answer, from when the request's body last moved. Default: 60 s.
    pub fn head_timeout(mut self, limit: Duration) -> Self {
        self.settings.head = limit.min(YEAR);
        self
    }

    /// The limit for silence of a request and its answer, once either's body is under way, and on upgraded connections. A
    /// client that does not read is silent as well: its answer is given up. Default: 300 s.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.settings.idle = limit.min(YEAR);
        self
    }

    /// How long an upstream that could not be reached gets nothing while there are others. Default: 10 s.
    pub fn rest(mut self, time: Duration) -> Self {
        self.settings.rest = time.min(YEAR);
        self
    }

    /// Which name upstreams are asked by. Default: the client's.
    pub fn host_header(mut self, host: HostHeader) -> Self {
        self.settings.host = host;
        self
    }

    /// Believes peers of these ranges what they say of a request's origin (`Forwarded`, `X-Forwarded-For` and the
    /// like), and adds to it. Default: nobody; what clients say is replaced.
    pub fn trust_forwarded(mut self, ranges: impl IntoIterator<Item = IpNet>) -> Self {
        self.settings.trusted.extend(ranges);
        self
    }

    /// Begins connections to upstreams with a [PROXY protocol](crate::proxy_protocol) header, version 2, that names the
    /// client. Each request then has a connection of its own, for a header speaks for all that follows it. Upstreams must
    /// expect it. Default: no header.
    pub fn send_proxy_protocol(mut self, yes: bool) -> Self {
        self.settings.announce = yes;
        self
    }

    /// Asks each upstream for this path so often ([`ReverseProxy::check_health`]); one that does not answer with 2xx or
    /// 3xx gets no requests until it does.
    pub fn health(mut self, path: impl Into<String>, every: Duration) -> Self {
        self.health = Some((path.into(), every.clamp(Duration::from_millis(10), YEAR)));
        self
    }

    /// The proxy.
    ///
    /// # Errors
    /// [`Error::BadUrl`] for an upstream's URL that can't be used, [`Error::Invalid`] for a health check's path that is
    /// none, or without any upstream.
    pub fn build(self) -> Result<ReverseProxy, Error> {
        if self.upstreams.is_empty() {
            let why = "it has none; name at least one, such as http://127.0.0.1:8080".into();
            return Err(Error::Invalid { what: "the list of upstreams".into(), why });
        }
        let connector = self.connector.connect_timeout(self.connect);
        let dialer = |alpn: &'static [&'static [u8]]| Dialer {
            connector: connector.clone(),
            proxies: Arc::new(Proxies::none()),
            tls: Arc::new(LazyTls::new(self.tls.clone(), alpn)),
            // The limit for connecting covers the handshakes.
            silence: None,
        };
        let http1 = dialer(&[b"http/1.1"]);
        let either = if self.http2 { dialer(&[b"h2"]) } else { dialer(&[b"h2", b"http/1.1"]) };
        let upstream = |url: &String| upstream(url, &either, &http1, self.http2);
        let upstreams = self.upstreams.iter().map(upstream).collect::<Result<Vec<_>, _>>()?;
        let mut settings = self.settings;
        if let Some((path, every)) = self.health {
            let valid: Option<PathAndQuery> = path.starts_with('/').then(|| path.parse().ok()).flatten();
            let why = || "write it like /health".into();
            let path = valid.ok_or_else(|| Error::Invalid {
                what: format!("the health check's path {path:?}"),
                why: why(),
            })?;
            settings.health = Some((path, every));
        }
        Ok(ReverseProxy::new(Upstreams::new(upstreams), settings))
    }
}

fn upstream(url: &str, dialer: &Dialer, http1: &Dialer, http2: bool) -> Result<Upstream, Error> {
    let bad = |why: &str| Error::BadUrl { url: url.to_owned(), why: why.to_owned() };
    let uri: Uri = url.parse().map_err(|_| bad("write it like http://127.0.0.1:8080"))?;
    let scheme = match uri.scheme() {
        Some(scheme) if *scheme == Scheme::HTTP || *scheme == Scheme::HTTPS => scheme.clone(),
        _ => return Err(bad("an upstream begins with http:// or https://")),
    };
    let authority = match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            return Err(bad("an upstream takes no password; clients send their own"));
        }
        Some(authority) if !authority.host().is_empty() => authority.clone(),
        _ => return Err(bad("it names no host; write it like http://127.0.0.1:8080")),
    };
    if uri.query().is_some() {
        return Err(bad("an upstream takes no query; each request has its own"));
    }
    let prefix = uri.path().trim_end_matches('/').to_owned();
    let name = format!("{scheme}://{authority}{prefix}");
    let pool = Pool::new(uri, dialer.clone(), http1.clone(), http2);
    Ok(Upstream::new(name, scheme, authority, prefix, pool))
}
