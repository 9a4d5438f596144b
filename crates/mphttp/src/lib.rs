//! HTTP in which the socket protocol is a choice: TCP, Multipath TCP with fallback, or Multipath TCP or nothing.
//!
//! One word, [`Protocol`], selects it for servers and clients alike, and each connection can be asked afterwards
//! what it really speaks, over which paths, and why: [`Transport`].

mod body;
pub mod client;
pub mod connector;
pub mod doctor;
pub mod download;
mod error;
pub mod files;
#[cfg(any(test, feature = "_fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
pub mod metrics;
pub mod proxy;
pub mod proxy_protocol;
pub mod report;
#[cfg(unix)]
pub mod restart;
pub mod server;
pub mod tls;
mod trace;
pub mod uploads;

pub use body::{Body, BoxError};
pub use client::{Client, Response};
pub use connector::{ConnectionInfo, Connector};
pub use download::Download;
pub use error::{Error, Phase};
pub use mptcp_socket::{self, Protocol, Reason, Transport, Watch};
pub use server::Server;
