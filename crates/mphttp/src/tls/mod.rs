//! TLS by rustls, with aws-lc-rs: who is trusted when connecting, and by what a server is known.

mod client;
mod server;
mod swap;

pub use client::{ClientTls, TlsProblem};
pub use server::ServerTls;
