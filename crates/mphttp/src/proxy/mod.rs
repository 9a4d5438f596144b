//! Proxies, to be run by a [`Server`](crate::Server): [`ReverseProxy`] stands in front of servers that know nothing of
//! it, and the socket protocol is a choice on either side.

mod body;
mod headers;
mod health;
mod outgoing;
mod pool;
mod reverse;
mod settings;
mod tunnel;
mod upstream;

pub use ipnet::IpNet;
pub use reverse::ReverseProxy;
pub use settings::{HostHeader, ReverseProxyBuilder};
