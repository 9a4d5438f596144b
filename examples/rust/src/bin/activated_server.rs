//! A listener that systemd made (socket activation), MPTCP if its unit says `SocketProtocol=mptcp`, else one of our own.
use axum::{Router, routing::get};
use mptcp_socket::{Listen, Protocol, Transport, Watch, passed_listeners};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into()).parse()?;
    let listening = match passed_listeners()?.into_iter().next() {
        Some(passed) => passed.listening,
        None => Listen::new(Protocol::from_env()?).bind(address)?,
    };
    let listener = listening.into_accepting()?;
    let app = Router::new().route("/", get(async |transport: Transport| transport.to_string()));
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<Watch>()).await?;
    Ok(())
}
