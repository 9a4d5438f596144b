//! Hosts, links and hostile boxes in network namespaces: a network in a process, for tests, benchmarks and
//! the demo.
//!
//! The lab is real: every host is a network namespace with the kernel's own TCP and MPTCP, every link a pair
//! of Ethernet interfaces. It needs no root (user namespaces do), no program of the machine (everything goes
//! over netlink and /proc/sys) and no netem: delay and loss come from a forwarder of its own. It never
//! touches the machine's own network, and nothing of it is left when it is dropped.
//!
//! ```no_run
//! use std::time::Duration;
//! use netlab::{Lab, LinkSpec, Rate};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     netlab::enter()?; // first, while the process has one thread
//!
//!     let lab = Lab::new()?;
//!     let phone = lab.host("phone")?;
//!     let server = lab.host("server")?;
//!     let wifi = lab.link(&phone, &server, LinkSpec::new().name("wifi").rate(Rate::mbit(100)))?;
//!     let lte = LinkSpec::new().name("lte").rate(Rate::mbit(20)).delay(Duration::from_millis(25)).loss(0.001);
//!     lab.link(&phone, &server, lte)?;
//!     lab.enable_multipath(&phone, &server)?;
//!
//!     let address = (wifi.address(&server)?, 80);
//!     let listener = server.run(|| std::net::TcpListener::bind(address))??;
//!     let stream = phone.run(|| std::net::TcpStream::connect(address))??;
//!     wifi.set_black_hole(true)?; // what now?
//! #   drop((listener, stream));
//!     Ok(())
//! }
//! ```
//!
//! [`LinkSpec`] tells the two kinds of link apart; [`Lab::link`] says how addresses and routes are laid out;
//! [`BoxKind`] lists the boxes. Linux only: elsewhere the crate is empty.
#![cfg(target_os = "linux")]

mod boxes;
mod cable;
mod enter;
mod error;
mod forwarder;
mod frame;
#[cfg(any(test, feature = "_fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod host;
mod lab;
mod link;
mod namespace;
mod rtnl;
mod shape;
mod spec;
mod sys;
#[cfg(feature = "systems")]
pub mod systems;
mod tbf;

pub use boxes::{After, BoxKind, Direction, Segments};
pub use enter::enter;
pub use error::Error;
pub use host::Host;
pub use lab::Lab;
pub use link::{Link, Traffic};
pub use spec::{LinkSpec, Rate};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the lab's mutexes protect stays consistent between statements: a panic elsewhere doesn't spoil it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
