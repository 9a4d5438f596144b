//! `mphttp proxy`: HTTP servers behind a proxy, with the protocol chosen on each side.

mod listen;
mod reverse;

pub use reverse::{ProxyArgs, run};
