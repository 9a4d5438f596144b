//! The doctor with sockets: why MPTCP, or its second path, doesn't work, from this host to a URL.
//!
//! [`Doctor::examine`] gathers what the host says of itself, makes one MPTCP connection from the host to itself, and,
//! for a URL, a transfer over all paths and a request through each interface alone. [`mptcp_paths::doctor`] judges.
//!
//! ```no_run
//! # async fn example() -> Result<(), mphttp::Error> {
//! let examination = mphttp::doctor::Doctor::new().url("http://server:8000/big.iso").examine().await?;
//! for finding in &examination.findings {
//!     println!("{}: {}", finding.code, finding.what);
//! }
//! # Ok(())
//! # }
//! ```

mod report;
mod transfer;

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    time::Duration,
};

pub use mptcp_paths::doctor::{
    Action, Certainty, Code, Counters, Facts, Finding, Halfway, Outcome, Place, Remedy, Role, Severity,
    Trial, Unseen, Verdict,
};
use mptcp_paths::doctor::{SocketAnswer, judge};
use mptcp_socket::{Connect, Listen, Memory, Protocol, Reason, Spoken, host_support};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use report::{FindingReport, PathShareReport, ProbeReport, Report, TransferReport, UnseenReport};

use crate::{Client, Error, client::ClientBuilder};

/// For how long a connection from this host to itself may take: it needs a fraction of a millisecond.
const LOOPBACK_LIMIT: Duration = Duration::from_secs(2);

/// An examination to be made.
#[derive(Clone, Debug)]
#[must_use = "nothing is examined before examine() is called and awaited"]
pub struct Doctor {
    role: Role,
    url: Option<String>,
    client: ClientBuilder,
    most_bytes: u64,
    most_time: Duration,
}

impl Default for Doctor {
    fn default() -> Self {
        Self {
            role: Role::Client,
            url: None,
            client: Client::builder(),
            most_bytes: 16 << 20,
            most_time: Duration::from_secs(5),
        }
    }
}

/// What was seen, and what it means.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Examination {
    /// The evidence.
    pub facts: Facts,
    /// What is wrong, the worst first.
    pub findings: Vec<Finding>,
}

impl Examination {
    /// What was seen, and what somebody makes of it.
    #[must_use]
    pub const fn of(facts: Facts, findings: Vec<Finding>) -> Self {
        Self { facts, findings }
    }

    /// Whether MPTCP works.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        Verdict::of(&self.findings)
    }
}

impl Doctor {
    /// Of this host, as one that opens connections.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of this host as one that takes connections.
    pub fn server(mut self) -> Self {
        self.role = Role::Server;
        self
    }

    /// Of the way to this URL as well. It is fetched with GET, several times if it is short.
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }

    /// The client to build requests with: certificates, names, proxies. What concerns interfaces and time is set here.
    pub fn client(mut self, client: ClientBuilder) -> Self {
        self.client = client;
        self
    }

    /// The transfer ends when so many bytes have come, or so much time has passed. Default: 16 MiB, 5 s.
    pub fn limits(mut self, bytes: u64, time: Duration) -> Self {
        (self.most_bytes, self.most_time) = (bytes, time);
        self
    }

    /// Looks, tries and judges. Takes as long as the transfer, and some seconds more for each interface that leads nowhere.
    ///
    /// With the protocol `tcp` in `MPHTTP_PROTOCOL` it makes MPTCP sockets all the same: to ask for it is to want that.
    ///
    /// # Errors
    /// For a URL that can't be requested, a name that can't be resolved, and TLS that fails. A server that does not
    /// answer is a finding.
    pub async fn examine(self) -> Result<Examination, Error> {
        let mut facts = Facts::gather(self.role);
        facts.socket = socket_answer();
        if facts.socket == SocketAnswer::Made {
            match loopback().await {
                Ok(outcome) => facts.loopback = outcome,
                Err(error) => facts.unseen.push(Unseen {
                    what: "whether the kernel has switched MPTCP off".into(),
                    why: format!(
                        "a connection of this host to itself failed: {error}; is the interface lo up?"
                    ),
                }),
            }
        }
        if let Some(url) = &self.url {
            transfer::try_out(&self, url, &mut facts).await?;
            facts.note_unknown_ways();
        }
        let findings = judge(&facts);
        Ok(Examination { facts, findings })
    }
}

fn socket_answer() -> SocketAnswer {
    match host_support() {
        Ok(()) => SocketAnswer::Made,
        Err(Reason::Platform) => SocketAnswer::Platform,
        Err(Reason::KernelTooOld) => SocketAnswer::TooOld,
        Err(Reason::NotBuilt) => SocketAnswer::NotBuilt,
        Err(Reason::Disabled) => SocketAnswer::Disabled,
        Err(Reason::Denied) => SocketAnswer::Denied,
        Err(_) => SocketAnswer::Unasked,
    }
}

/// A connection from this host to itself: no box is on the way, so what it speaks is the kernel's own decision.
async fn loopback() -> Result<Option<Outcome>, mptcp_socket::Error> {
    let bind = |address: IpAddr| Listen::new(Protocol::Mptcp).bind((address, 0).into());
    // Not every host has IPv4.
    let listening = bind(Ipv4Addr::LOCALHOST.into())
        .or_else(|error| bind(Ipv6Addr::LOCALHOST.into()).map_err(|_| error))?;
    let address = listening.local_addr().map_err(mptcp_socket::Error::State)?;
    let listener = listening.into_tokio()?;
    let connect = Connect::new(Protocol::Mptcp).memory(Memory::default()).timeout(LOOPBACK_LIMIT);
    let mut connected = connect.to_async(&[address]).await?;
    // One that is closed before it has carried anything, the kernel counts as fallen back.
    let exchange = async {
        let (mut accepted, _) = listener.accept().await?;
        connected.stream.write_all(b"?").await?;
        accepted.read_u8().await?;
        Ok(accepted)
    };
    let limited = tokio::time::timeout(LOOPBACK_LIMIT, exchange).await;
    let _accepted = limited
        .unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        .map_err(mptcp_socket::Error::State)?;
    Ok(outcome(connected.watched().watch().transport().spoken))
}

/// What a connection that was made came to; `None` if the kernel can't say.
fn outcome(spoken: Spoken) -> Option<Outcome> {
    Some(match spoken {
        Spoken::Mptcp => Outcome::Mptcp,
        Spoken::Tcp(reason) => match reason {
            Reason::PeerOrPath | Reason::Client => Outcome::Stripped,
            Reason::SynDropped => Outcome::SynDropped,
            Reason::SynReset => Outcome::SynReset,
            Reason::HostBlackhole => Outcome::HostBlackhole,
            Reason::FellBack => Outcome::FellBack,
            Reason::Unknown => return None,
            _ => Outcome::NoSocket,
        },
    })
}
