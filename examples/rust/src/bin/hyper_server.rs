//! hyper alone: an accept loop, and a watch for each connection.
use std::convert::Infallible;

use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use mptcp_socket::{Listen, Protocol};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into()).parse()?;
    let listener = Listen::new(Protocol::from_env()?).bind(address)?.into_accepting()?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.next().await;
        let watch = stream.watch();
        let answer = service_fn(move |_| {
            let how = watch.transport().to_string();
            async { Ok::<_, Infallible>(Response::new(how)) }
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), answer));
    }
}
