//! warp: a filter is a service, which our server runs; the connection is in each request's extensions.
use hyper_util::service::TowerToHyperService;
use mphttp::{Protocol, Server, Watch};
use warp::Filter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into()).parse()?;
    let server = Server::bind(Protocol::from_env()?, address)?;
    println!("listening on {}", server.local_addr()?);
    let how = warp::ext::get::<Watch>().map(|watch: Watch| watch.transport().to_string());
    server.run(TowerToHyperService::new(warp::service(how)), std::future::pending()).await?;
    Ok(())
}
