//! The server over real sockets on loopback: what it serves, what it limits, and what it survives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "these are tests, helpers included"
)]

#[path = "server/crowd.rs"]
mod crowd;
#[path = "server/parking.rs"]
mod parking;
#[path = "server/streams.rs"]
mod streams;
#[path = "server/threads.rs"]
mod threads;

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode, Version};
use http_body_util::{BodyExt, Empty, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    service::TowerToHyperService,
};
use mphttp::{
    Body, Server, Watch,
    server::{BodySilent, BodyTooLarge, Counts, Cut, Peer, RequestBody, Stats, check, service_fn},
    tls::ServerTls,
};
use mptcp_socket::{Connect, Listen, Protocol, Reason, Spoken, host_support};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
    task::JoinHandle,
    time::{sleep, timeout},
};

const SOON: Duration = Duration::from_secs(10);

/// A server that runs until it is stopped or dropped.
struct Running {
    address: SocketAddr,
    stats: Stats,
    stop: oneshot::Sender<()>,
    done: JoinHandle<Result<(), mphttp::Error>>,
}

impl Running {
    async fn stop(self) {
        self.stop.send(()).unwrap();
        timeout(SOON, self.done).await.expect("the server stops").unwrap().unwrap();
    }

    async fn until(&self, reached: impl Fn(Counts) -> bool) {
        let begun = Instant::now();
        while !reached(self.stats.counts()) {
            assert!(begun.elapsed() < SOON, "{:?}", self.stats.counts());
            sleep(Duration::from_millis(5)).await;
        }
    }
}

fn bind(protocol: Protocol) -> Server {
    Server::bind(protocol, "127.0.0.1:0".parse().unwrap()).unwrap()
}

fn start(server: Server) -> Running {
    let (address, stats) = (server.local_addr().unwrap(), server.stats());
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = async { drop(stopped.await) };
    let done = tokio::spawn(server.run(service_fn(handle), shutdown));
    Running { address, stats, stop, done }
}

async fn handle(request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    let answer = match request.uri().path() {
        "/slow" => {
            sleep(Duration::from_millis(400)).await;
            Body::from("slow, but whole")
        }
        "/long" => {
            sleep(Duration::from_secs(3600)).await;
            Body::empty()
        }
        "/panic" => panic!("as asked"),
        "/transport" => {
            let transport = request.extensions().get::<Watch>().unwrap().transport();
            Body::from(format!("{:?}", transport.spoken))
        }
        "/peer" => Body::from(format!("{:?}", request.extensions().get::<Peer>().unwrap())),
        check::PATH => check::respond(&request).into_body(),
        "/count" => match request.into_body().collect().await {
            Ok(body) => Body::from(body.to_bytes().len().to_string()),
            Err(error) => {
                assert!(error.is::<BodyTooLarge>() || error.is::<BodySilent>(), "{error}");
                Body::from("this answer is replaced by 413 or 408")
            }
        },
        _ => Body::from("hello"),
    };
    Ok(Response::new(answer))
}

async fn get1(address: SocketAddr, path: &str) -> (StatusCode, String) {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    read(sender.send_request(get(path)).await.unwrap()).await
}

fn get(path: &str) -> Request<Empty<Bytes>> {
    Request::get(path).header("host", "test").body(Empty::new()).unwrap()
}

async fn read(response: Response<hyper::body::Incoming>) -> (StatusCode, String) {
    let status = response.status();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(bytes.to_vec()).unwrap())
}

/// Sends bytes and reads what comes until the server closes.
async fn raw(address: SocketAddr, bytes: impl AsRef<[u8]>) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes.as_ref()).await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.expect("the server closes").unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn http1_keeps_the_connection_for_further_requests() {
    let server = start(bind(Protocol::Mptcp));
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for _ in 0..20 {
        sender.ready().await.unwrap();
        let response = sender.send_request(get("/")).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_11);
        assert_eq!(read(response).await, (StatusCode::OK, "hello".into()));
    }
    let counts = server.stats.counts();
    assert_eq!((counts.accepted, counts.requests), (1, 20));
    server.stop().await;
}

#[tokio::test]
async fn http2_is_understood_without_negotiation() {
    let server = start(bind(Protocol::Mptcp));
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let slow = sender.clone().send_request(get("http://test/slow"));
    let quick = sender.clone().send_request(get("http://test/"));
    let (slow, quick) = tokio::join!(slow, quick);
    let quick = quick.unwrap();
    assert_eq!(quick.version(), Version::HTTP_2);
    assert_eq!(read(quick).await.1, "hello");
    assert_eq!(read(slow.unwrap()).await.1, "slow, but whole");
    assert_eq!(server.stats.counts().accepted, 1);
    server.stop().await;
}

/// Trusts whoever answers: what is tested is the server.
#[derive(Debug)]
struct Trusting(rustls::crypto::CryptoProvider);

impl rustls::client::danger::ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &rustls::pki_types::CertificateDer<'_>,
        signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

async fn tls(address: SocketAddr, alpn: &[&[u8]]) -> tokio_rustls::client::TlsStream<TcpStream> {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let mut config = rustls::ClientConfig::builder_with_provider(Arc::new(provider.clone()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trusting(provider)))
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(address).await.unwrap();
    let name = rustls::pki_types::ServerName::try_from("localhost").unwrap();
    tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

#[tokio::test]
async fn tls_offers_http2_and_http1_by_alpn() {
    let server = start(bind(Protocol::Mptcp).tls(ServerTls::self_signed(["localhost"]).unwrap()));
    let stream = tls(server.address, &[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (mut sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(get("https://localhost/peer")).await.unwrap();
    let (_, peer) = read(response).await;
    assert!(peer.contains("tls: true") && peer.contains("remote: 127.0.0.1:"), "{peer}");

    for alpn in [&[b"http/1.1".as_slice()][..], &[]] {
        let stream = tls(server.address, alpn).await;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        assert_eq!(read(sender.send_request(get("/")).await.unwrap()).await.1, "hello");
    }
    server.stop().await;
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_told_what_to_do() {
    let server = start(bind(Protocol::Mptcp).tls(ServerTls::self_signed(["localhost"]).unwrap()));
    let (status, text) = get1(server.address, "/").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("speaks HTTPS"), "{text}");
    server.until(|counts| counts.tls_failed == 1).await;
    server.stop().await;
}

#[tokio::test]
async fn a_silent_tls_client_is_cut_and_others_are_served() {
    let tls_config = ServerTls::self_signed(["localhost"]).unwrap();
    let limit = Duration::from_millis(200);
    let server = start(bind(Protocol::Mptcp).tls(tls_config).tls_handshake_timeout(limit));
    let silent = tokio::spawn(raw(server.address, ""));
    drop(tls(server.address, &[]).await);
    assert_eq!(silent.await.unwrap(), "");
    server.stop().await;
}

#[tokio::test]
async fn shutdown_finishes_what_is_in_flight_and_refuses_the_new() {
    let server = start(bind(Protocol::Mptcp));
    let address = server.address;
    let in_flight = tokio::spawn(async move { get1(address, "/slow").await });
    server.until(|counts| counts.requests == 1).await;
    let stopping = tokio::spawn(server.stop());
    sleep(Duration::from_millis(100)).await;
    assert!(TcpStream::connect(address).await.is_err(), "a stopping server takes no connection");
    assert_eq!(in_flight.await.unwrap(), (StatusCode::OK, "slow, but whole".into()));
    stopping.await.unwrap();
}

#[tokio::test]
async fn what_outlasts_the_grace_period_is_closed() {
    let server = start(bind(Protocol::Mptcp).grace(Duration::from_millis(100)));
    let stuck = tokio::spawn(raw(server.address, "GET /long HTTP/1.1\r\nhost: test\r\n\r\n"));
    server.until(|counts| counts.requests == 1).await;
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5));
    assert_eq!(stuck.await.unwrap(), "");
}

#[tokio::test]
async fn a_slow_head_is_cut_and_others_are_served() {
    let server = start(bind(Protocol::Mptcp).header_read_timeout(Duration::from_millis(300)));
    let begun = Instant::now();
    let silent = tokio::spawn(raw(server.address, ""));
    let slow = tokio::spawn(raw(server.address, "GET / HTTP/1.1\r\nhost: te"));
    assert_eq!(get1(server.address, "/slow").await.1, "slow, but whole");
    assert_eq!((silent.await.unwrap(), slow.await.unwrap()), (String::new(), String::new()));
    assert!(begun.elapsed() > Duration::from_millis(290));
    server.stop().await;
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_time_not_that_of_a_head() {
    let server = bind(Protocol::Mptcp);
    let server = server.header_read_timeout(Duration::from_millis(100));
    let server = start(server.keep_alive_timeout(Duration::from_millis(600)));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"GET / HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
        let mut answer = [0; 4096];
        assert!(stream.read(&mut answer).await.unwrap() > 0);
        sleep(Duration::from_millis(300)).await;
    }
    let begun = Instant::now();
    assert_eq!(timeout(SOON, stream.read(&mut [0; 16])).await.unwrap().unwrap(), 0);
    assert!(begun.elapsed() > Duration::from_millis(200), "{:?}", begun.elapsed());
    server.stop().await;
}

#[tokio::test]
async fn beyond_the_limit_of_connections_clients_wait_and_are_served_later() {
    let server = start(bind(Protocol::Mptcp).max_connections(2));
    let mut held = Vec::new();
    for _ in 0..2 {
        held.push(TcpStream::connect(server.address).await.unwrap());
    }
    server.until(|counts| counts.open == 2).await;
    let address = server.address;
    let waiting = tokio::spawn(async move { get1(address, "/").await });
    sleep(Duration::from_millis(200)).await;
    assert_eq!(server.stats.counts().accepted, 2);
    drop(held);
    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap().1, "hello");
    server.stop().await;
}

#[tokio::test]
async fn a_body_longer_than_allowed_is_413_announced_or_not() {
    let server = start(bind(Protocol::Mptcp).max_body(1000));
    for (length, status) in [(1000, StatusCode::OK), (1001, StatusCode::PAYLOAD_TOO_LARGE)] {
        for chunked in [false, true] {
            let stream = TcpStream::connect(server.address).await.unwrap();
            let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            let bytes = Full::new(Bytes::from(vec![b'x'; length]));
            let body = match chunked {
                false => Body::new(bytes),
                true => Body::stream(futures_util::stream::iter([Ok::<_, Infallible>(vec![b'x'; length])])),
            };
            let request = Request::post("/count").header("host", "test").body(body).unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), status, "{length} bytes, chunked: {chunked}");
        }
    }
    let waits = "POST /count HTTP/1.1\r\nhost: test\r\ncontent-length: 2000\r\nexpect: 100-continue\r\n\r\n";
    let answer = raw(server.address, waits).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "nothing is asked to continue: {answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_head_longer_than_allowed_is_431() {
    let server = start(bind(Protocol::Mptcp).max_header_bytes(8192));
    let padding = "x".repeat(20_000);
    let answer = raw(server.address, format!("GET / HTTP/1.1\r\nhost: test\r\nx: {padding}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn a_handler_that_panics_costs_its_request_and_nothing_else() {
    let server = start(bind(Protocol::Mptcp));
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let response = sender.send_request(get("/panic")).await.unwrap();
    assert_eq!(read(response).await.0, StatusCode::INTERNAL_SERVER_ERROR);
    sender.ready().await.unwrap();
    assert_eq!(read(sender.send_request(get("/")).await.unwrap()).await.1, "hello");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn thousands_of_clients_that_reset_at_once_leave_the_next_one_served() {
    let server = start(bind(Protocol::Mptcp));
    let address = server.address;
    tokio::task::spawn_blocking(move || {
        for index in 0..3000 {
            let protocol = if index % 2 == 0 { Protocol::Tcp } else { Protocol::Mptcp };
            let stream = Connect::new(protocol).to(&[address]).unwrap().stream;
            socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    })
    .await
    .unwrap();
    assert_eq!(get1(address, "/").await.1, "hello");
    server.until(|counts| counts.open <= 1).await;
    server.stop().await;
}

#[tokio::test]
async fn a_handler_learns_what_its_connection_speaks() {
    let server = start(bind(Protocol::Mptcp));
    let expected = |spoken: Spoken| format!("{spoken:?}");
    let (_, spoken) = get1(server.address, "/transport").await;
    let reason = host_support().err().unwrap_or(Reason::Client);
    assert_eq!(spoken, expected(Spoken::Tcp(reason)));
    if host_support().is_ok() {
        let stream = Connect::new(Protocol::Mptcp).to_async(&[server.address]).await.unwrap().stream;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let response = sender.send_request(get("/transport")).await.unwrap();
        assert_eq!(read(response).await.1, expected(Spoken::Mptcp));
        sender.ready().await.unwrap();
        let response = sender.send_request(get(check::PATH)).await.unwrap();
        assert_eq!(read(response).await.1, "You are using MPTCP over 1 path.\n");
    }
    server.stop().await;

    let server = start(bind(Protocol::Tcp));
    assert_eq!(get1(server.address, "/transport").await.1, expected(Spoken::Tcp(Reason::NotRequested)));
    server.stop().await;
}

#[tokio::test]
async fn mptcp_only_closes_connections_that_speak_tcp() {
    if let Err(reason) = host_support() {
        eprintln!("skipped: {}", reason.explain());
        return;
    }
    let server = start(bind(Protocol::MptcpOnly));
    assert_eq!(raw(server.address, "").await, "");
    assert_eq!(server.stats.counts().refused_tcp, 1);
    let stream = Connect::new(Protocol::MptcpOnly).to_async(&[server.address]).await.unwrap().stream;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    assert_eq!(read(sender.send_request(get("/")).await.unwrap()).await.1, "hello");
    server.stop().await;
}

fn router() -> axum::Router {
    axum::Router::new().route("/", axum::routing::get(async || "from axum"))
}

/// Runs a server of somebody else's while a client asks it.
async fn ask_while<T>(address: SocketAddr, server: impl Future<Output = T>) -> String {
    tokio::select! {
        _ = server => panic!("the server ended"),
        (_, text) = get1(address, "/") => text,
    }
}

#[tokio::test]
async fn axum_serves_on_the_listener_and_runs_on_the_server() {
    let listening = Listen::new(Protocol::Mptcp).bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listening.local_addr().unwrap();
    let listener = listening.into_tokio().unwrap();
    assert_eq!(ask_while(address, axum::serve(listener, router()).into_future()).await, "from axum");

    let server = bind(Protocol::Mptcp);
    let address = server.local_addr().unwrap();
    let running = server.run(TowerToHyperService::new(router()), std::future::pending());
    assert_eq!(ask_while(address, running).await, "from axum");
}

#[tokio::test]
async fn plain_hyper_serves_on_the_std_listener_and_the_server_on_anyones() {
    let listening = Listen::new(Protocol::Mptcp).bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listening.local_addr().unwrap();
    let listener = listening.into_std();
    listener.set_nonblocking(true).unwrap();
    let listener = tokio::net::TcpListener::from_std(listener).unwrap();
    let plain_hyper = async {
        let (stream, _) = listener.accept().await.unwrap();
        let answer = |_| async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::from("from hyper")))) };
        let builder = hyper::server::conn::http1::Builder::new();
        builder.serve_connection(TokioIo::new(stream), service_fn(answer)).await.unwrap();
        std::future::pending::<()>().await;
    };
    assert_eq!(ask_while(address, plain_hyper).await, "from hyper");

    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = start(Server::from_std(listener));
    assert_eq!(
        get1(server.address, "/transport").await.1,
        format!("{:?}", Spoken::Tcp(Reason::NotRequested))
    );
    server.stop().await;
}
