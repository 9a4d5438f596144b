//! From a request's body into a file, as it comes.

use std::{fs::File, future::Future, pin::pin, time::Duration};

use http_body::Body as _;
use http_body_util::BodyExt as _;
use sha1::Sha1;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::AsyncWriteExt as _,
    select,
    time::{Instant, timeout, timeout_at},
};

use crate::{Body, BoxError};

/// How much of a body that nobody wants is read, and for how long: closing with unread data would reset the
/// connection, and the client might never see why.
const DISCARD_BYTES: usize = 1 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(1);
/// After so long without a byte the client is taken for dead: its host may be, and nobody would tell.
pub(super) const SILENCE: Duration = Duration::from_secs(300);

/// Why a body did not go into the file as a whole.
#[derive(Debug)]
pub(super) enum Cut {
    /// The connection broke, or the client gave up.
    Body(BoxError),
    /// There is more of it than fits.
    TooLong,
    /// The file can't be written.
    Disk(std::io::Error),
    /// Another request goes on in its place.
    Replaced,
}

/// A checksum under way.
pub(super) enum Checksum {
    Sha1(Box<Sha1>),
    Sha256(Box<Sha256>),
}

impl Checksum {
    /// The algorithms that [`Checksum::of`] knows, as `Tus-Checksum-Algorithm` lists them.
    pub(super) const NAMES: &str = "sha1,sha256";

    pub(super) fn of(name: &str) -> Option<Self> {
        match name {
            "sha1" => Some(Self::Sha1(Box::default())),
            "sha256" => Some(Self::Sha256(Box::default())),
            _ => None,
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha1(hasher) => hasher.finalize().to_vec(),
            Self::Sha256(hasher) => hasher.finalize().to_vec(),
        }
    }
}

/// Appends the body to the file, `room` bytes at most, until it ends or `leave` does. What came before a cut is
/// written. Gives how much that is.
///
/// Not to be dropped half-way, which could leave a write under way that nobody knows of: run it in a task of its own.
pub(super) async fn pour(
    mut body: Body,
    file: File,
    room: u64,
    checksum: &mut Option<Checksum>,
    beat: impl Fn(),
    leave: impl Future<Output = ()>,
) -> (u64, Result<(), Cut>) {
    let announced = body.size_hint().exact();
    let mut file = tokio::fs::File::from_std(file);
    let mut leave = pin!(leave);
    let mut written = 0;
    let outcome = loop {
        let frame = select! {
            biased;
            frame = timeout(SILENCE, body.frame()) => match frame {
                Ok(frame) => frame,
                Err(_) => break Err(Cut::Body("nothing came for too long".into())),
            },
            () = &mut leave => break Err(Cut::Replaced),
        };
        let data = match frame {
            None if announced.is_some_and(|length| written < length) => {
                break Err(Cut::Body("the body ended early".into()));
            }
            None => break Ok(()),
            Some(Err(error)) => break Err(Cut::Body(error)),
            Some(Ok(frame)) => match frame.into_data() {
                Ok(data) => data,
                Err(_trailers) => continue,
            },
        };
        beat();
        if data.len() as u64 > room - written {
            discard(&mut body).await;
            break Err(Cut::TooLong);
        }
        if let Some(checksum) = checksum {
            checksum.update(&data);
        }
        if let Err(error) = file.write_all(&data).await {
            discard(&mut body).await;
            break Err(Cut::Disk(error));
        }
        written += data.len() as u64;
    };
    // Writes are told of late: what the last one said is known only now.
    match (file.flush().await, outcome) {
        (Err(error), Ok(())) => (written, Err(Cut::Disk(error))),
        (_, outcome) => (written, outcome),
    }
}

/// Reads what a client still sends, not much and not for long.
pub(super) async fn discard(body: &mut Body) {
    let (mut seen, end) = (0, Instant::now() + DISCARD_TIME);
    while seen < DISCARD_BYTES
        && let Ok(Some(Ok(frame))) = timeout_at(end, body.frame()).await
    {
        seen += frame.data_ref().map_or(0, bytes::Bytes::len);
    }
}
