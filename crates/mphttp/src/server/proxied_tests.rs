//! The server behind proxies that say for whom they connect, over real sockets on loopback.

use std::{convert::Infallible, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::*;
use crate::{Body, Connector, proxy::forward::range, proxy_protocol::Header};

const SOON: Duration = Duration::from_secs(10);

/// A server that answers with what it knows of its peer, for proxies of these addresses.
fn run(proxies: &str, tls: Option<ServerTls>) -> SocketAddr {
    let mut server = Server::bind(Protocol::Mptcp, "127.0.0.1:0".parse().unwrap())
        .unwrap()
        .proxy_protocol([range(proxies).unwrap()])
        .header_read_timeout(Duration::from_millis(500));
    if let Some(tls) = tls {
        server = server.tls(tls);
    }
    let address = server.local_addr().unwrap();
    let service = service_fn(|request: Request<RequestBody>| async move {
        let peer = request.extensions().get::<Peer>().copied().unwrap();
        Ok::<_, Infallible>(Response::new(Body::from(format!("{} to {}", peer.remote, peer.local))))
    });
    tokio::spawn(server.run(service, std::future::pending()));
    address
}

async fn ask(address: SocketAddr, header: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    ask_on(&mut stream, header).await
}

async fn ask_on(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), header: &[u8]) -> String {
    let request = [header, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"].concat();
    stream.write_all(&request).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is closed with bytes unread is reset: then there is no answer.
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("an end");
    String::from_utf8_lossy(&answer).into_owned()
}

fn client() -> Header {
    Header::Proxied {
        source: "203.0.113.7:4711".parse().unwrap(),
        destination: "198.51.100.1:443".parse().unwrap(),
    }
}

#[tokio::test]
async fn a_listed_proxy_is_believed() {
    let address = run("127.0.0.0/8", None);
    let told = "203.0.113.7:4711 to 198.51.100.1:443";
    for header in [&b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n"[..], &client().to_bytes()] {
        let answer = ask(address, header).await;
        assert!(answer.ends_with(told), "{answer}");
    }
    for header in [&b"PROXY UNKNOWN\r\n"[..], &Header::Local.to_bytes()] {
        let answer = ask(address, header).await;
        assert!(answer.contains("127.0.0.1:") && answer.ends_with(&format!("to {address}")), "{answer}");
    }
    // A request without a header, one that is broken, and silence get no answer.
    for bad in [&b""[..], b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 99999\r\n"] {
        assert_eq!(ask(address, bad).await, "");
    }
    let mut silent = TcpStream::connect(address).await.unwrap();
    assert_eq!(timeout(SOON, silent.read(&mut [0])).await.expect("an end").unwrap(), 0);
}

#[tokio::test]
async fn nobody_else_is() {
    let address = run("198.51.100.0/24", None);
    let answer = ask(address, b"").await;
    assert!(answer.contains("127.0.0.1:"), "{answer}");
    let answer = ask(address, b"PROXY TCP4 203.0.113.7 198.51.100.1 4711 443\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400 ") || answer.is_empty(), "{answer}");
}

#[tokio::test]
async fn our_connector_says_it_first() {
    let address = run("127.0.0.1", None);
    let connector = Connector::new(Protocol::Mptcp).announce(client());
    let mut stream = connector.connect("127.0.0.1", address.port()).await.unwrap().into_inner();
    let answer = ask_on(&mut stream, b"").await;
    assert!(answer.ends_with("203.0.113.7:4711 to 198.51.100.1:443"), "{answer}");
}

#[tokio::test]
async fn curl_says_it_before_tls() {
    let address = run("127.0.0.1", Some(ServerTls::self_signed(["localhost"]).unwrap()));
    let curl = std::process::Command::new("curl")
        .args(["--silent", "--show-error", "--insecure", "--noproxy", "*", "--haproxy-protocol"])
        .arg(format!("https://{address}/"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let curl = match curl {
        Ok(curl) => curl,
        Err(error) => return eprintln!("skipped: curl: {error}"),
    };
    let output = tokio::task::spawn_blocking(|| curl.wait_with_output()).await.unwrap().unwrap();
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.starts_with("127.0.0.1:") && said.ends_with(&format!("to {address}")), "{said} {errors}");
}
