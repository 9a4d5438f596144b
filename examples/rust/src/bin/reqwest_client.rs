//! reqwest's requests and responses, carried by hyper-util's client over our connector.
//!
//! reqwest makes its sockets itself. This way its types stay, for code that is written in them; its redirects, cookies and proxies
//! are its client's, and not had here.
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use mphttp::{ConnectionInfo, Connector, Protocol};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let url = std::env::args().nth(1).unwrap_or("http://127.0.0.1:8000/".into());
    let carrier = Client::builder(TokioExecutor::new()).build(Connector::new(Protocol::from_env()?));

    let request = reqwest::Client::new().get(url).header("x-example", "1").build()?;
    let request: http::Request<reqwest::Body> = request.try_into()?;
    let response = carrier.request(request).await?;
    let response = reqwest::Response::from(response.map(reqwest::Body::wrap));

    if let Some(connection) = response.extensions().get::<ConnectionInfo>() {
        println!("we say: {}", connection.transport());
    }
    println!("server: {}", response.error_for_status()?.text().await?);
    Ok(())
}
