//! Requests that the HTTP library answers by itself, before there is anything to hand to a handler.

use std::{error::Error, fmt, sync::Arc};

use mptcp_socket::Watch;

use super::Peer;

/// A request that was refused: it was no HTTP/1.1, or its head was too long or against RFC 9112.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refused {
    /// The two ends of its connection, which ends with it.
    pub peer: Peer,
    /// The connection, with its last known state, if that is known.
    pub watch: Option<Watch>,
    /// The status that the client is sent: 400, 414, 431 or 501.
    pub status: u16,
    /// What was wrong with it, in the server's words or the HTTP library's.
    pub why: String,
}

impl Refused {
    /// What an error of a connection says of a request that was refused; `None` if it is about something else.
    pub(super) fn of(
        error: &(dyn Error + Send + Sync + 'static),
        peer: Peer,
        watch: impl FnOnce() -> Option<Watch>,
    ) -> Option<Self> {
        let error = error.downcast_ref::<hyper::Error>().filter(|error| error.is_parse())?;
        let why = error.to_string();
        let status = match error.is_parse_too_large() {
            // hyper tells this from a long head by its words only.
            true if why == "URI too long" => 414,
            true => 431,
            false => 400,
        };
        Some(Self { peer, watch: watch(), status, why })
    }
}

type Tell = dyn Fn(&Refused) + Send + Sync;

/// Who is told.
#[derive(Clone, Default)]
pub(super) struct Told(Option<Arc<Tell>>);

impl Told {
    pub(super) fn to(tell: impl Fn(&Refused) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(tell)))
    }

    pub(super) fn refused(&self, refused: &Refused) {
        if let Some(tell) = &self.0 {
            tell(refused);
        }
    }
}

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Told").field(&self.0.is_some()).finish()
    }
}
