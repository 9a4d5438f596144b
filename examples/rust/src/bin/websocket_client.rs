//! tokio-tungstenite: a WebSocket over a connection that we made.
use futures_util::{SinkExt, StreamExt};
use mptcp_socket::{Connect, Protocol};
use tokio_tungstenite::client_async;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let host = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into());
    let (name, port) = host.rsplit_once(':').ok_or("give HOST:PORT")?;
    let stream = Connect::new(Protocol::from_env()?).to_host_async(name, port.parse()?).await?.watched();
    let watch = stream.watch();
    let (mut socket, _) = client_async(format!("ws://{host}/"), stream).await?;
    socket.send("how are we connected?".into()).await?;
    if let Some(answer) = socket.next().await {
        println!("server: {}", answer?.into_text()?);
    }
    println!("we say: {}", watch.transport());
    socket.close(None).await?;
    Ok(())
}
