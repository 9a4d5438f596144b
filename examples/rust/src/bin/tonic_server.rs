//! tonic: a gRPC service on a stream of connections; its interceptor learns what a call's connection speaks.
use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use futures_util::stream;
use mptcp_socket::{Listen, Protocol, Watch, Watched};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tonic::{
    Request, Status,
    transport::{Server, server::Connected},
};
use tonic_health::{pb::health_server::HealthServer, server::HealthService};

/// tonic asks its connections for what requests shall know of them.
struct Stream(Watched<TcpStream>);

impl Connected for Stream {
    type ConnectInfo = Watch;

    fn connect_info(&self) -> Watch {
        self.0.watch()
    }
}

fn log(request: Request<()>) -> Result<Request<()>, Status> {
    if let Some(watch) = request.extensions().get::<Watch>() {
        println!("a call over {}", watch.transport());
    }
    Ok(request)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let address = std::env::args().nth(1).unwrap_or("127.0.0.1:8000".into()).parse()?;
    let listener = Listen::new(Protocol::from_env()?).bind(address)?.into_accepting()?;
    println!("listening on {}", listener.local_addr()?);
    let incoming = stream::unfold(listener, |listener| async {
        let (stream, _) = listener.next().await;
        Some((Ok::<_, io::Error>(Stream(stream)), listener))
    });
    let health = HealthService::from_health_reporter(tonic_health::server::HealthReporter::new());
    let service = HealthServer::with_interceptor(health, log);
    Server::builder().add_service(service).serve_with_incoming(incoming).await?;
    Ok(())
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
