//! The reverse proxy where HTTP/2 is spoken on either side.

use std::{
    convert::Infallible,
    future::Future,
    io::Write,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::{body::Incoming, client::conn::http2, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use mphttp::{
    Body, Protocol, Server,
    proxy::ReverseProxy,
    tls::{ClientTls, ServerTls},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Barrier, mpsc},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::support::{script, serve_tcp, tcp, text};

const SOON: Duration = Duration::from_secs(20);

/// A server of few streams a connection; its handler learns the number of a request's connection.
async fn limited<F, R>(streams: u32, tls: Option<ServerTls>, handler: F) -> SocketAddr
where
    F: Fn(usize, Request<Incoming>) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = Response<Body>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = tls.map(|tls| TlsAcceptor::from(tls.config()));
    tokio::spawn(async move {
        let mut number = 0;
        while let Ok((stream, _)) = listener.accept().await {
            number += 1;
            let (handler, acceptor, number) = (handler.clone(), acceptor.clone(), number);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let responding = handler(number, request);
                    async move { Ok::<_, Infallible>(responding.await) }
                });
                let mut server = auto::Builder::new(TokioExecutor::new());
                server.http2().max_concurrent_streams(streams);
                match acceptor {
                    None => drop(server.serve_connection(TokioIo::new(stream), service).await),
                    Some(acceptor) => {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            drop(server.serve_connection(TokioIo::new(stream), service).await);
                        }
                    }
                }
            });
        }
    });
    address
}

/// The proxy on a port of its own.
fn front(proxy: ReverseProxy) -> SocketAddr {
    let server = Server::bind(Protocol::Tcp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.local_addr().unwrap();
    tokio::spawn(server.run(proxy, std::future::pending()));
    address
}

/// A proxy that speaks HTTP/2 with a server.
fn to_http2(server: SocketAddr) -> SocketAddr {
    let builder = ReverseProxy::builder(Protocol::Tcp).to(format!("http://{server}"));
    front(builder.http2_prior_knowledge(true).build().unwrap())
}

/// An HTTP/2 client's connection.
async fn http2_client(address: SocketAddr) -> http2::SendRequest<Empty<Bytes>> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn a_host_beside_the_authority_must_agree_with_it() {
    let server =
        serve_tcp(|request| async move { text(request.headers()["host"].to_str().unwrap().to_owned()) })
            .await;
    let front = front(ReverseProxy::builder(Protocol::Tcp).to(server.url("")).build().unwrap());
    let mut client = http2_client(front).await;
    for (host, status) in [("right.test", 200), ("RIGHT.test", 200), ("wrong.test", 400)] {
        let request = Request::get("http://right.test/").header("host", host).body(Empty::new()).unwrap();
        let response = client.send_request(request).await.unwrap();
        assert_eq!(response.status(), status, "{host}");
        if status == 200 {
            assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "right.test");
        }
    }
}

#[tokio::test]
async fn a_servers_limit_of_streams_is_met_by_further_connections() {
    let (together, connections) = (Arc::new(Barrier::new(6)), Arc::new(AtomicUsize::new(0)));
    let most = Arc::clone(&connections);
    let server = limited(2, None, move |number, request| {
        let (together, most) = (Arc::clone(&together), Arc::clone(&most));
        async move {
            most.fetch_max(number, Ordering::SeqCst);
            if request.uri().path() == "/together" {
                together.wait().await;
            }
            text("done")
        }
    })
    .await;
    let (front, client) = (to_http2(server), tcp());
    // After this the proxy knows the limit.
    assert_eq!(client.get(format!("http://{front}/")).send().await.unwrap().status(), StatusCode::OK);
    let all = (0..6)
        .map(|_| async { client.get(format!("http://{front}/together")).send().await.unwrap().status() });
    let answers = timeout(SOON, futures_util::future::join_all(all)).await.expect("all at once");
    assert!(answers.iter().all(StatusCode::is_success), "{answers:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn a_long_head_comes_over_http2_too() {
    let server = limited(100, None, |_, _| async {
        Response::builder().header("x-long", "x".repeat(40_000)).body(Body::empty()).unwrap()
    })
    .await;
    let response = tcp().get(format!("http://{}/", to_http2(server))).send().await.unwrap();
    assert_eq!((response.status(), response.headers()["x-long"].len()), (StatusCode::OK, 40_000));
}

#[tokio::test]
async fn a_refused_stream_is_tried_again() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let mut refused = false;
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            if refused {
                respond.send_response(Response::new(()), true).unwrap();
            } else {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            }
            refused = true;
        }
    });
    // No idempotent method: it is the server's word alone that says that nothing happened.
    let request = tcp().post(format!("http://{}/", to_http2(server)));
    assert_eq!(request.send().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn health_checks_leave_the_shared_connection_alone() {
    let (checked, mut checks) = mpsc::unbounded_channel();
    let tls = ServerTls::self_signed(["localhost"]).unwrap();
    let server = limited(100, Some(tls), move |number, request| {
        if request.uri().path() == "/health" {
            let _ = checked.send(());
        }
        async move { text(number.to_string()) }
    })
    .await;
    let proxy = ReverseProxy::builder(Protocol::Tcp)
        .to(format!("https://{server}"))
        .tls(ClientTls::new().danger_accept_invalid_certs(true))
        .health("/health", Duration::from_millis(20))
        .build()
        .unwrap();
    let checking = proxy.clone();
    tokio::spawn(async move { checking.check_health().await });
    let (front, client) = (front(proxy), tcp());
    let mut over = Vec::new();
    for _ in 0..3 {
        for _ in 0..3 {
            timeout(SOON, checks.recv()).await.expect("a check").unwrap();
        }
        let response = client.get(format!("http://{front}/")).send().await.unwrap();
        over.push(response.text().await.unwrap());
    }
    assert!(over.iter().all(|number| *number == over[0]), "{over:?}");
}

#[tokio::test]
async fn an_http2_client_that_does_not_read_its_stream_lets_the_server_go() {
    let (told, mut ended) = mpsc::unbounded_channel();
    let told = Mutex::new(told);
    let server = script(move |mut stream| {
        super::support::read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000000\r\n\r\n");
        let block = vec![0; 1 << 16];
        while stream.write_all(&block).is_ok() {}
        let _ = told.lock().unwrap().send(());
    });
    let builder = ReverseProxy::builder(Protocol::Tcp).to(format!("http://{server}"));
    let front = front(builder.idle_timeout(Duration::from_millis(500)).build().unwrap());
    let mut client = http2_client(front).await;
    let request = Request::get("http://site.test/").body(Empty::new()).unwrap();
    // The connection lives on, and the stream's window is used up.
    let unread = client.send_request(request).await.unwrap();
    timeout(SOON, ended.recv()).await.expect("the server is let go").unwrap();
    drop(unread);
}
