//! The same client over other ways: what a download makes its connections with.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::Duration,
};

use mptcp_socket::Protocol;
use url::Url;

use super::{Client, Inner, uri};
use crate::Connector;

impl Client {
    /// The same client through one interface alone, with another protocol, and with connections of its own; to `remote`
    /// first where the URL names `host`.
    pub(crate) fn through(
        &self,
        interface: &str,
        protocol: Protocol,
        remote: Option<(&str, SocketAddr)>,
        connect_timeout: Duration,
    ) -> Self {
        let mut connector = self.0.connector.clone().interface(interface);
        if connector.timeout().is_none_or(|limit| limit > connect_timeout) {
            connector = connector.connect_timeout(connect_timeout);
        }
        if let Some((host, address)) = remote {
            connector = connector.resolve_port(host, address.port(), [address]);
        }
        self.with_connector(connector, protocol)
    }

    /// The same client through one of these interfaces, the first that answers, with connections of its own.
    pub(crate) fn among(&self, interfaces: &[String]) -> Self {
        self.with_connector(self.0.connector.clone().among(interfaces), self.0.protocol)
    }

    /// The same client with connections of its own.
    pub(crate) fn afresh(&self) -> Self {
        self.with_connector(self.0.connector.clone(), self.0.protocol)
    }

    fn with_connector(&self, connector: Connector, protocol: Protocol) -> Self {
        let inner = &self.0;
        Self(Arc::new(Inner {
            protocol,
            connector,
            tls: Arc::clone(&inner.tls),
            proxies: Arc::clone(&inner.proxies),
            settings: inner.settings.clone(),
            pools: [const { OnceLock::new() }; 3],
        }))
    }

    /// The interface or address that this client is bound to, if it is to one.
    pub(crate) fn is_bound(&self) -> bool {
        self.0.connector.is_bound()
    }

    /// Whether requests for this URL go through a proxy.
    pub(crate) fn is_proxied(&self, url: &Url) -> bool {
        uri(url).is_ok_and(|uri| matches!(self.0.proxies.route(&uri), Ok(Some(_)) | Err(_)))
    }

    /// The limit for a request as a whole.
    pub(crate) fn timeout(&self) -> Option<Duration> {
        self.0.settings.timeout
    }
}
