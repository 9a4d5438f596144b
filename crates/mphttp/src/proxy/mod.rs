//! Proxies, to be run by a [`Server`](crate::Server), with the socket protocol a choice on either side: [`ReverseProxy`]
//! stands in front of servers that know nothing of it, [`forward::Forward`] beside clients that name it.

mod body;
pub mod forward;
#[cfg(any(test, feature = "_fuzzing"))]
pub(crate) mod fuzzing;
mod headers;
mod health;
mod outgoing;
mod pool;
mod reverse;
mod settings;
mod traffic;
mod tunnel;
mod upstream;

pub(crate) use headers::has_token;
pub use ipnet::IpNet;
pub use reverse::ReverseProxy;
pub use settings::{HostHeader, ReverseProxyBuilder};
