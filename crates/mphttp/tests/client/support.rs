//! Servers on loopback: real ones, and ones that break the rules on purpose.

use std::{
    convert::Infallible,
    future::Future,
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use mphttp::{Body, Client, Protocol, client::ClientBuilder, tls::ServerTls};
use mptcp_socket::Listen;
use tokio_rustls::TlsAcceptor;

/// A server that runs until the test's runtime ends.
pub struct Served {
    pub address: SocketAddr,
    connections: Arc<AtomicUsize>,
}

impl Served {
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How many connections it has accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

/// Serves HTTP/1.1 and 2 on loopback, listening with `protocol`.
pub async fn serve<F, R>(protocol: Protocol, tls: Option<ServerTls>, handler: F) -> Served
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let listening = Listen::new(protocol).bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = listening.into_tokio().unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let accepted = Arc::clone(&connections);
    let acceptor = tls.map(|tls| TlsAcceptor::from(tls.config()));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            accepted.fetch_add(1, Ordering::SeqCst);
            let (acceptor, handler) = (acceptor.clone(), handler.clone());
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let responding = handler(request);
                    async move { Ok::<_, Infallible>(responding.await) }
                });
                let server = auto::Builder::new(TokioExecutor::new());
                // A client that leaves, or never gets as far, is no concern of the test's.
                match acceptor {
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            let _ = server.serve_connection(TokioIo::new(stream), service).await;
                        }
                    }
                    None => {
                        let _ = server.serve_connection(TokioIo::new(stream), service).await;
                    }
                }
            });
        }
    });
    Served { address, connections }
}

/// A plain TCP server.
pub async fn serve_tcp<F, R>(handler: F) -> Served
where
    F: Fn(Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    serve(Protocol::Tcp, None, handler).await
}

/// Answers each connection's first request with these bytes, waits, and closes.
pub fn answer(bytes: impl Into<Vec<u8>>, then_wait: Duration) -> SocketAddr {
    let bytes = bytes.into();
    script(move |mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(&bytes);
        thread::sleep(then_wait);
    })
}

/// Lets `act` deal with each connection, on a thread of its own.
pub fn script(act: impl Fn(std::net::TcpStream) + Send + Sync + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let act = Arc::new(act);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let act = Arc::clone(&act);
            thread::spawn(move || act(stream));
        }
    });
    address
}

/// Reads up to the end of a request's head.
pub fn read_head(stream: &mut std::net::TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A client that goes straight to loopback, whatever the environment says.
pub fn direct() -> ClientBuilder {
    Client::builder().no_proxy()
}

/// Such a client, for plain TCP.
pub fn tcp() -> Client {
    direct().protocol(Protocol::Tcp).build().unwrap()
}

/// A response with a body.
pub fn text(body: impl Into<Body>) -> Response<Body> {
    Response::new(body.into())
}
