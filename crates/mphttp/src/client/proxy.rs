//! Which proxy a request goes through, and the handshake with it. What the environment says is read as curl reads
//! it: `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`.

use std::{future::ready, io};

use http::{HeaderValue, Uri, uri::Scheme};
use hyper_util::client::{
    legacy::connect::proxy::{SocksV4, SocksV5, Tunnel},
    proxy::matcher::{Intercept, Matcher},
};
use tower::{ServiceExt, service_fn};

use super::{Client, dial::Hop, request::parse};
use crate::{Error, connector::host_and_port};

/// The rules.
pub(crate) struct Proxies(Option<Matcher>);

impl Proxies {
    pub(crate) const fn none() -> Self {
        Self(None)
    }

    pub(super) fn from_env() -> Self {
        Self(Some(Matcher::from_env()))
    }

    /// One proxy for everything.
    pub(super) fn all(url: &str) -> Result<Self, Error> {
        let matcher = Matcher::builder().all(url).build();
        let probe = Uri::from_static("http://example.com/");
        if matcher.intercept(&probe).is_none() {
            return Err(Error::Invalid {
                what: format!("the proxy {url:?}"),
                why:
                    "write it like http://host:port, with https, socks4, socks4a, socks5 or socks5h for http"
                        .into(),
            });
        }
        Ok(Self(Some(matcher)))
    }

    /// The proxy for a URL, if it is not reached directly.
    pub(super) fn route(&self, uri: &Uri) -> Result<Option<Route>, Error> {
        let Some(intercept) = self.0.as_ref().and_then(|matcher| matcher.intercept(uri)) else {
            return Ok(None);
        };
        let secure = uri.scheme() == Some(&Scheme::HTTPS);
        Route::new(intercept, secure).map(Some)
    }

    /// The `Proxy-Authorization` that a forwarding proxy wants with each request for this URL.
    pub(super) fn authorization(&self, uri: &Uri) -> Option<HeaderValue> {
        if uri.scheme() != Some(&Scheme::HTTP) {
            return None;
        }
        self.0.as_ref()?.intercept(uri)?.basic_auth().cloned()
    }
}

impl Client {
    /// The proxy that a request for this URL would go through, without its credentials.
    pub(crate) fn proxy_of(&self, url: &str) -> Result<Option<String>, Error> {
        let route = self.0.proxies.route(&super::uri(&parse(url)?)?)?;
        Ok(route.map(|route| route.name()))
    }
}

/// The way through one proxy.
pub(super) struct Route {
    intercept: Intercept,
    kind: Kind,
    host: String,
    port: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The proxy takes requests for `http` URLs itself.
    Forward,
    /// CONNECT (RFC 9110 section 9.3.6), for `https`.
    Tunnel,
    /// The proxy resolves names if `remote_dns`.
    Socks4 {
        remote_dns: bool,
    },
    Socks5 {
        remote_dns: bool,
    },
}

impl Route {
    fn new(intercept: Intercept, secure: bool) -> Result<Self, Error> {
        let uri = intercept.uri();
        let (host, port) = host_and_port(uri)?;
        let kind = match uri.scheme_str() {
            Some("socks4") => Kind::Socks4 { remote_dns: false },
            Some("socks4a") => Kind::Socks4 { remote_dns: true },
            Some("socks5") => Kind::Socks5 { remote_dns: false },
            Some("socks5h") => Kind::Socks5 { remote_dns: true },
            _ if secure => Kind::Tunnel,
            _ => Kind::Forward,
        };
        let is_socks = matches!(kind, Kind::Socks4 { .. } | Kind::Socks5 { .. });
        let port = if is_socks && uri.port().is_none() { 1080 } else { port };
        Ok(Self { host: host.to_owned(), port, kind, intercept })
    }

    pub(super) fn address(&self) -> (&str, u16) {
        (&self.host, self.port)
    }

    /// Whether TLS is spoken with the proxy itself.
    pub(super) fn is_secure(&self) -> bool {
        self.intercept.uri().scheme() == Some(&Scheme::HTTPS)
    }

    /// Whether the proxy takes the requests, rather than a tunnel to the peer.
    pub(super) fn forwards(&self) -> bool {
        self.kind == Kind::Forward
    }

    /// Has the proxy make a tunnel to the target over a connection to the proxy.
    pub(super) async fn handshake(&self, stream: Hop, target: (&str, u16)) -> Result<Hop, Error> {
        let uri = Uri::builder()
            .scheme("https")
            .authority(format!("{}:{}", target.0, target.1))
            .path_and_query("/")
            .build()
            .map_err(|error| self.error(error.to_string()))?;
        // The connection is there already; the handshakes of hyper-util want something that connects.
        let mut stream = Some(stream);
        let here = service_fn(move |_: Uri| {
            ready(stream.take().ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected)))
        });
        let proxy = self.intercept.uri().clone();
        match self.kind {
            Kind::Forward => here.oneshot(uri).await.map_err(|error| self.error(error.to_string())),
            Kind::Tunnel => {
                let mut tunnel = Tunnel::new(proxy, here);
                if let Some(authorization) = self.intercept.basic_auth() {
                    tunnel = tunnel.with_auth(authorization.clone());
                }
                tunnel.oneshot(uri).await.map_err(|error| self.error(error.to_string()))
            }
            Kind::Socks4 { remote_dns } => {
                let socks = SocksV4::new(proxy, here).local_dns(!remote_dns);
                socks.oneshot(uri).await.map_err(|error| self.error(error.to_string()))
            }
            Kind::Socks5 { remote_dns } => {
                let mut socks = SocksV5::new(proxy, here).local_dns(!remote_dns);
                if let Some((user, password)) = self.intercept.raw_auth() {
                    socks = socks.with_auth(user.to_owned(), password.to_owned());
                }
                socks.oneshot(uri).await.map_err(|error| self.error(error.to_string()))
            }
        }
    }

    /// The proxy's URL, without credentials.
    pub(super) fn name(&self) -> String {
        let scheme = self.intercept.uri().scheme_str().unwrap_or("http");
        format!("{scheme}://{}:{}", self.host, self.port)
    }

    fn error(&self, detail: String) -> Error {
        Error::Proxy { proxy: self.name(), why: format!("made no tunnel to the target ({detail})") }
    }
}
