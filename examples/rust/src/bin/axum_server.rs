//! axum: `Transport` is an extractor; the listener tells `axum::serve` what each connection speaks.
use axum::{Router, routing::get};
use mptcp_socket::{Listen, Protocol, Transport, Watch};

async fn how(transport: Transport) -> String {
    transport.to_string()
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into()).parse()?;
    let listener = Listen::new(Protocol::from_env()?).bind(address)?.into_accepting()?;
    let app = Router::new().route("/", get(how));
    println!("listening on {}", listener.local_addr()?);
    axum::serve(listener, app.into_make_service_with_connect_info::<Watch>()).await?;
    Ok(())
}
