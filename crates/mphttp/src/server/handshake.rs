//! The start of a TLS connection, with a helpful word for clients that speak plain HTTP to it.

use std::{future::poll_fn, io, time::Duration};

use mptcp_socket::{EagerStream, Watched};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadBuf},
    time::timeout,
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

const ANSWER: &str = "HTTP/1.1 400 Bad Request\r\n\
    Content-Type: text/plain; charset=utf-8\r\n\
    Content-Length: 68\r\n\
    Connection: close\r\n\
    \r\n\
    This port speaks HTTPS: use https:// instead of http:// in its URL.\n";

/// Enough for any head that a person's client sends.
const HEAD: usize = 16 * 1024;
const LINGER: Duration = Duration::from_millis(500);

/// Shakes hands.
///
/// # Errors
/// What TLS or the socket says; `InvalidData` if the client spoke plain HTTP, and was told.
pub(super) async fn accept(
    acceptor: &TlsAcceptor,
    mut stream: Watched<EagerStream>,
) -> io::Result<TlsStream<Watched<EagerStream>>> {
    let mut first = [0];
    // A TLS record of a handshake begins with 22 (RFC 8446 section 5.1), an HTTP request with a method's letter.
    // Where the socket can't be peeked at (MPTCP before Linux 5.17), the handshake fails for plain HTTP by itself.
    let peeked = poll_fn(|context| stream.poll_peek(context, &mut ReadBuf::new(&mut first))).await;
    if peeked.is_ok() && first[0].is_ascii_uppercase() {
        explain(&mut stream).await?;
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the client spoke plain HTTP"));
    }
    acceptor.accept(stream).await
}

async fn explain(stream: &mut Watched<EagerStream>) -> io::Result<()> {
    let mut head = Vec::new();
    let mut piece = [0; 2048];
    while head.len() < HEAD && !head.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
        match stream.read(&mut piece).await? {
            0 => break,
            read => head.extend_from_slice(piece.get(..read).unwrap_or_default()),
        }
    }
    stream.write_all(ANSWER.as_bytes()).await?;
    stream.shutdown().await?;
    // Closing with unread data would reset the connection before the client has read the answer.
    let _ = timeout(LINGER, async { while matches!(stream.read(&mut piece).await, Ok(1..)) {} }).await;
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_answers_length_is_right() {
        let (head, body) = super::ANSWER.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())), "{}", body.len());
    }
}
