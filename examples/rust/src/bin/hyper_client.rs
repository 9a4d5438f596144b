//! hyper: a connector for hyper-util's client; each response knows its connection.
use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mphttp::{ConnectionInfo, Connector, Protocol};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("http://127.0.0.1:8000/".into());
    let connector = Connector::new(Protocol::from_env()?);
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<Bytes>>(connector);
    let response = client.get(url.parse()?).await?;
    if let Some(connection) = response.extensions().get::<ConnectionInfo>() {
        println!("we say: {}", connection.transport());
    }
    let body = response.into_body().collect().await?.to_bytes();
    println!("server: {}", String::from_utf8_lossy(&body));
    Ok(())
}
