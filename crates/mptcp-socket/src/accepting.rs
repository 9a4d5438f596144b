//! Accepting with tokio: connections whose transport can be asked for, for servers that take a stream or trait of their own.

use std::{io, net::SocketAddr, time::Duration};

use tokio::net::{TcpListener, TcpStream};

use crate::{Accepts, Error, Listening, Watched};

/// A listener of tokio's whose connections are [`Watched`]: [`Listening::into_accepting`].
///
/// With the feature `axum` it is an `axum::serve::Listener`; for servers that take a stream of connections, call
/// [`Accepting::next`] in a loop.
#[derive(Debug)]
pub struct Accepting {
    listener: TcpListener,
    accepts: Accepts,
}

/// A pause when the host is short of descriptors: accepting at once again would only take the processor's time.
const PAUSE: Duration = Duration::from_millis(100);

impl Listening {
    /// The listener for tokio, with what is known of the connections that it accepts.
    ///
    /// # Errors
    /// [`Error::Runtime`] if it can't be registered.
    ///
    /// # Panics
    /// Outside a tokio runtime with I/O enabled, as tokio itself.
    pub fn into_accepting(self) -> Result<Accepting, Error> {
        Ok(Accepting { accepts: self.accepts(), listener: self.into_tokio()? })
    }
}

impl Accepting {
    /// The next connection, with the listener's options and `TCP_NODELAY` set. Safe to cancel.
    ///
    /// # Errors
    /// What `accept(2)` says. `ECONNABORTED` and its like concern one client: accept again.
    pub async fn accept(&self) -> io::Result<(Watched<TcpStream>, SocketAddr)> {
        let (stream, peer) = self.listener.accept().await?;
        // Best effort: a connection without works, only with more delay.
        let _ = stream.set_nodelay(true);
        let _ = self.accepts.set_options(&stream);
        let origin = self.accepts.origin(&stream);
        Ok((Watched::new(stream, origin), peer))
    }

    /// The next connection, whatever happens to others: clients that have gone before they were accepted are passed over, and
    /// a lack of descriptors is waited out. Safe to cancel.
    pub async fn next(&self) -> (Watched<TcpStream>, SocketAddr) {
        loop {
            match self.accept().await {
                Ok(accepted) => return accepted,
                Err(error) if concerns_one_client(&error) => {
                    tracing::debug!(%error, "a client was gone before it was accepted");
                }
                Err(error) => {
                    tracing::warn!(%error, "can't accept connections for now");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    /// The address, with the port that the kernel chose.
    ///
    /// # Errors
    /// What `getsockname(2)` says.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn concerns_one_client(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(error.kind(), Kind::ConnectionAborted | Kind::ConnectionReset | Kind::ConnectionRefused)
}
