//! A server of one's own that takes uploads, tells of what it refused, and has metrics for Prometheus at /metrics.
use http::{Request, Response, header::CONTENT_TYPE};
use mphttp::{
    Body, Protocol, Server,
    server::{RequestBody, service_fn},
    uploads::Uploads,
};
use mptcp_socket::Listen;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into()).parse()?;
    let uploads = Uploads::new(std::env::args().nth(2).unwrap_or(".".into()))?;
    let listening = Listen::new(Protocol::from_env()?).bind(address)?;

    let server = Server::new(listening)
        .track_connections(true)
        .on_refused(|refused| eprintln!("{}: {}", refused.peer.remote, refused.status));
    println!("listening on {}", server.local_addr()?);
    let stats = server.stats(); // keep it; the server runs

    let service = service_fn(move |request: Request<RequestBody>| {
        let (stats, uploads) = (stats.clone(), uploads.clone());
        async move {
            if request.uri().path() != "/metrics" {
                return Ok(uploads.respond(request).await);
            }
            // Each connection is asked for its paths: not for a thread that others wait for.
            let sample = tokio::task::spawn_blocking(move || stats.sample()).await;
            let text = sample.map(|sample| mphttp::metrics::render(&sample)).unwrap_or_default();
            let mut response = Response::new(Body::from(text));
            response.headers_mut().insert(CONTENT_TYPE, mphttp::metrics::CONTENT_TYPE.parse()?);
            Ok::<_, http::header::InvalidHeaderValue>(response)
        }
    });
    server.run(service, std::future::pending()).await?;
    Ok(())
}
