//! tokio-tungstenite: WebSockets on accepted connections; every message is answered with what its connection speaks.
use futures_util::{SinkExt, StreamExt};
use mptcp_socket::{Listen, Protocol, Watched};
use tokio::net::TcpStream;
use tokio_tungstenite::{accept_async, tungstenite::Error};

async fn talk(stream: Watched<TcpStream>) -> Result<(), Error> {
    let watch = stream.watch();
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        if message?.is_text() {
            socket.send(watch.transport().to_string().into()).await?;
        }
    }
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into()).parse()?;
    let listener = Listen::new(Protocol::from_env()?).bind(address)?.into_accepting()?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.next().await;
        tokio::spawn(talk(stream));
    }
}
