//! tonic: a gRPC client over our connector.
use mphttp::{Connector, Protocol};
use tonic::transport::Endpoint;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("http://127.0.0.1:8000".into());
    let connector = Connector::new(Protocol::from_env()?);
    let channel = Endpoint::try_from(url)?.connect_with_connector(connector).await?;
    let request = HealthCheckRequest { service: String::new() };
    let response = HealthClient::new(channel).check(request).await?;
    println!("status {:?}", response.into_inner().status());
    Ok(())
}
