#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

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
