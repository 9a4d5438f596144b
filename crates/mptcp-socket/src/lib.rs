#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "tokio")]
mod accepting;
#[cfg(feature = "axum")]
mod axum;
mod connect;
pub mod decode;
mod doubt;
#[cfg(all(feature = "tokio", unix))]
mod eager;
#[cfg(all(feature = "tokio", not(unix)))]
#[path = "eager_elsewhere.rs"]
mod eager;
mod error;
#[cfg(any(test, feature = "_fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod listen;
#[cfg(test)]
#[cfg(all(target_os = "linux", not(mptcp_socket_no_mptcp)))]
mod loom_tests;
mod memory;
mod options;
mod origin;
#[cfg(unix)]
mod passed;
pub mod plan;
mod protocol;
mod reason;
mod sys;
/// The locks of what an owner shares with watchers, which a test exchanges for others.
mod sync {
    pub(crate) use std::sync::{Mutex, PoisonError};
}
mod transport;
#[cfg(feature = "ureq")]
pub mod ureq;
mod watch;

#[cfg(feature = "tokio")]
pub use accepting::Accepting;
pub use connect::{Cancel, Connect, Connected};
#[cfg(feature = "tokio")]
pub use eager::{EagerListener, EagerStream};
pub use error::{AttemptError, Error};
pub use listen::{Accepts, Family, Listen, Listening, host_support, stream_socket};
pub use memory::{Memory, Remembered};
pub use options::{Keepalive, Refused, SocketOptions};
pub use origin::Origin;
#[cfg(unix)]
pub use passed::{Passed, passed_listeners};
pub use protocol::{IPPROTO_MPTCP, IPPROTO_TCP, Protocol};
pub use reason::Reason;
pub use sys::{OwnedSocket, RawSocket, duplicate, network_namespace};
pub use transport::{
    MptcpInfo, Path, PathState, Spoken, Totals, Transport, name_interfaces, path_count, spoken,
};
pub use watch::{Stream, Watch, Watched, WeakWatch};
