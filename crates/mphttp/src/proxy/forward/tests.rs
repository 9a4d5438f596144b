//! The forward proxy over real sockets on loopback.

mod ways_in;

use std::{convert::Infallible, net::SocketAddr, time::Instant};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};

use super::*;
use crate::{Error, Protocol, Server, server::service_fn};

const SOON: Duration = Duration::from_secs(10);

struct Running {
    address: SocketAddr,
    forward: Forward,
    stop: oneshot::Sender<()>,
    done: JoinHandle<Result<(), Error>>,
}

fn run(habits: impl FnOnce(ForwardBuilder) -> ForwardBuilder) -> Running {
    let forward = habits(Forward::builder(Connector::new(Protocol::Mptcp))).build();
    let server = Server::bind(Protocol::Mptcp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let address = server.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let service = {
        let forward = forward.clone();
        service_fn(move |request| {
            let forward = forward.clone();
            async move { Ok::<_, Infallible>(forward.respond(request).await) }
        })
    };
    let done = tokio::spawn(server.run(service, async { drop(stopped.await) }));
    Running { address, forward, stop, done }
}

impl Running {
    /// Sends this on a new connection, which it ends, and reads all that comes.
    async fn ask(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        timeout(SOON, stream.read_to_end(&mut answer)).await.expect("an answer").unwrap();
        String::from_utf8(answer).unwrap()
    }

    /// Opens a tunnel.
    async fn tunnel(&self, target: SocketAddr) -> TcpStream {
        let (status, stream) = self.try_tunnel(target).await;
        assert_eq!(status, 200);
        stream
    }

    async fn try_tunnel(&self, target: SocketAddr) -> (u16, TcpStream) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let head = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let head = read_head(&mut stream).await;
        (head.split(' ').nth(1).unwrap().parse().unwrap(), stream)
    }
}

async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(timeout(SOON, stream.read_u8()).await.expect("a head").unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// Listens, and hands each connection to this.
async fn origin<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    address
}

/// An HTTP server whose answer's body is the head of the request; it keeps connections.
async fn mirror() -> SocketAddr {
    origin(|mut stream| async move {
        loop {
            let head = read_head(&mut stream).await;
            let length = head.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nConnection: x-own, keep-alive\r\nX-Own: 1\r\n\
                 Keep-Alive: timeout=9\r\nX-Kept: 1\r\n\r\n{head}"
            );
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await
}

/// Reads to the end, and only then says what it has read.
async fn late_echo() -> SocketAddr {
    origin(|mut stream| async move {
        let mut all = b"I heard: ".to_vec();
        stream.read_to_end(&mut all).await.unwrap();
        stream.write_all(&all).await.unwrap();
    })
    .await
}

/// Takes connections and says nothing.
async fn mute() -> SocketAddr {
    origin(|stream| async move {
        std::future::pending::<()>().await;
        drop(stream);
    })
    .await
}

#[tokio::test]
async fn plain_requests_go_on_without_what_is_the_proxys() {
    let (proxy, server) = (run(|builder| builder), mirror().await);
    let answer = proxy
        .ask(&format!(
            "GET http://me:word@{server}/a?b=c HTTP/1.1\r\nHost: elsewhere\r\nProxy-Authorization: Basic eDp5\r\n\
             Connection: close, X-Private\r\nX-Private: 1\r\nProxy-Connection: keep-alive\r\nX-Public: 1\r\n\
             Via: 1.0 before\r\n\r\n"
        ))
        .await
        .to_ascii_lowercase();
    let (head, seen) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("http/1.1 200 ok") && head.contains("x-kept: 1"), "{head}");
    assert!(head.contains("via: 1.1 mphttp"), "{head}");
    assert!(!head.contains("x-own") && !head.contains("keep-alive"), "{head}");
    assert!(seen.starts_with("get /a?b=c http/1.1\r\n"), "{seen}");
    assert!(seen.contains(&format!("host: {server}\r\n")) && seen.contains("x-public: 1"), "{seen}");
    assert!(seen.contains("via: 1.0 before, 1.1 mphttp\r\n"), "{seen}");
    for gone in ["proxy-", "x-private", "elsewhere", "word", "close"] {
        assert!(!seen.contains(gone), "{gone}: {seen}");
    }
}

#[tokio::test]
async fn refusals_say_why() {
    let proxy = run(|builder| builder);
    // A port of this host where nobody listens: it was free a moment ago.
    let dead = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for (request, status, says) in [
        ("GET https://example.com/ HTTP/1.1".to_owned(), 400, "CONNECT"),
        ("GET ftp://example.com/ HTTP/1.1".to_owned(), 501, "http URLs"),
        ("GET / HTTP/1.1".to_owned(), 400, "http_proxy"),
        ("TRACE http://127.0.0.1:9999/ HTTP/1.1".to_owned(), 405, "TRACE"),
        ("CONNECT 127.0.0.1:25 HTTP/1.1".to_owned(), 403, "--any-port"),
        ("GET http://127.0.0.1:25/ HTTP/1.1".to_owned(), 403, "--any-port"),
        (format!("CONNECT {dead} HTTP/1.1"), 502, "refused"),
        (format!("GET http://{dead}/ HTTP/1.1"), 502, "refused"),
        ("CONNECT nobody.invalid:443 HTTP/1.1".to_owned(), 502, "resolve"),
    ] {
        let answer = proxy.ask(&format!("{request}\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
        assert!(answer.contains(says), "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_tunnel_closes_each_direction_by_itself() {
    let (proxy, server) = (run(|builder| builder), late_echo().await);
    let mut tunnel = proxy.tunnel(server).await;
    tunnel.write_all(b"hello").await.unwrap();
    tunnel.shutdown().await.unwrap();
    let mut answer = String::new();
    timeout(SOON, tunnel.read_to_string(&mut answer)).await.expect("an end").unwrap();
    assert_eq!(answer, "I heard: hello");
}

#[tokio::test]
async fn tunnels_share_a_connection_of_http2() {
    let (proxy, server) = (run(|builder| builder), late_echo().await);
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake::<_, _, Empty<Bytes>>(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    for word in ["one", "two"] {
        let mut request = Request::new(Empty::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = server.to_string().parse().unwrap();
        sender.ready().await.unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let mut tunnel = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        tunnel.write_all(word.as_bytes()).await.unwrap();
        tunnel.shutdown().await.unwrap();
        let mut answer = String::new();
        timeout(SOON, tunnel.read_to_string(&mut answer)).await.expect("an end").unwrap();
        assert_eq!(answer, format!("I heard: {word}"));
    }
}

#[tokio::test]
async fn without_the_token_nothing_is_done() {
    let proxy = run(|builder| builder.access(Access::new().token(Token::new("open-sesame").unwrap())));
    let server = mirror().await;
    let request =
        |more: &str| format!("GET http://{server}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n");
    for wrong in ["", "Proxy-Authorization: Bearer open-sesam\r\n", "Authorization: Bearer open-sesame\r\n"] {
        let answer = proxy.ask(&request(wrong)).await;
        assert!(answer.starts_with("HTTP/1.1 407 "), "{answer}");
        assert!(
            answer.contains("proxy-authenticate: Basic") && answer.contains("proxy-authenticate: Bearer")
        );
    }
    let answer = proxy.ask(&request("Proxy-Authorization: Bearer open-sesame\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && !answer.contains("sesame"), "{answer}");
    assert_eq!(proxy.try_tunnel(server).await.0, 407);
}

#[tokio::test]
async fn silence_ends_tunnels_and_requests() {
    let (proxy, server) = (run(|builder| builder.idle_timeout(Duration::from_millis(200))), mute().await);
    let mut tunnel = proxy.tunnel(server).await;
    let mut rest = Vec::new();
    timeout(SOON, tunnel.read_to_end(&mut rest)).await.expect("an end").unwrap();
    let answer =
        proxy.ask(&format!("GET http://{server}/ HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 504 "), "{answer}");
}

#[tokio::test]
async fn no_more_tunnels_than_allowed() {
    let (proxy, server) = (run(|builder| builder.max_tunnels(1)), late_echo().await);
    let mut first = proxy.tunnel(server).await;
    assert_eq!(proxy.try_tunnel(server).await.0, 503);
    first.shutdown().await.unwrap();
    timeout(SOON, first.read_to_end(&mut Vec::new())).await.expect("an end").unwrap();
    let begun = Instant::now();
    while proxy.try_tunnel(server).await.0 != 200 {
        assert!(begun.elapsed() < SOON, "the slot is not given back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_stop_ends_tunnels_within_the_grace() {
    let (proxy, server) = (run(|builder| builder), mute().await);
    let mut silent = proxy.tunnel(server).await;
    let mut talking = proxy.tunnel(server).await;
    let talk = tokio::spawn(async move {
        while talking.write_all(b"still here").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    proxy.stop.send(()).unwrap();
    timeout(SOON, proxy.forward.stop(Duration::from_secs(2))).await.expect("the tunnels end");
    timeout(SOON, silent.read_to_end(&mut Vec::new())).await.expect("an end").unwrap();
    timeout(SOON, talk).await.expect("an end").unwrap();
    timeout(SOON, proxy.done).await.expect("the server stops").unwrap().unwrap();
}
