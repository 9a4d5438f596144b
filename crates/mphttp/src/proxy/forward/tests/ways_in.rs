//! The ways in that `tests` leaves out: over TLS, as HTTP/2, and from another host, of which a PROXY protocol header tells.

use std::process::{Command, Stdio};

use http_body_util::{BodyExt, Full};

use super::*;
use crate::{proxy_protocol::Header, tls::ServerTls};

/// A proxy that lets clients of other hosts in, and a server that is told by a header where they are.
fn run_for_strangers(targets: Targets) -> SocketAddr {
    let access = Access::new().allow([range("203.0.113.0/24").unwrap()]);
    let forward = Forward::builder(Connector::new(Protocol::Mptcp)).access(access).targets(targets).build();
    let server = Server::bind(Protocol::Mptcp, "127.0.0.1:0".parse().unwrap())
        .unwrap()
        .proxy_protocol([range("127.0.0.1").unwrap()]);
    serve(forward, server)
}

fn serve(forward: Forward, server: Server) -> SocketAddr {
    let address = server.local_addr().unwrap();
    let service = service_fn(move |request| {
        let forward = forward.clone();
        async move { Ok::<_, Infallible>(forward.respond(request).await) }
    });
    tokio::spawn(server.run(service, std::future::pending()));
    address
}

/// Asks as a client of this address, on a connection of its own.
async fn ask_from(client: &str, proxy: SocketAddr, head: &str) -> String {
    let header = Header::Proxied { source: client.parse().unwrap(), destination: proxy };
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let bytes = [&header.to_bytes(), head.as_bytes(), b"Host: x\r\nConnection: close\r\n\r\n"].concat();
    stream.write_all(&bytes).await.unwrap();
    let mut answer = Vec::new();
    timeout(SOON, stream.read_to_end(&mut answer)).await.expect("an answer").unwrap();
    String::from_utf8(answer).unwrap()
}

#[tokio::test]
async fn clients_of_other_hosts_reach_nothing_local_not_even_by_a_kept_connection() {
    let (proxy, server) = (run_for_strangers(Targets::new()), mirror().await);
    let plain = format!("GET http://{server}/ HTTP/1.1\r\n");
    let tunnel = format!("CONNECT {server} HTTP/1.1\r\n");
    // First a client of this host, whose connection to the server is kept.
    let answer = ask_from("127.0.0.1:5", proxy, &plain).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    for head in [&plain, &tunnel] {
        let answer = ask_from("203.0.113.7:5", proxy, head).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("--allow-target"), "{answer}");
        assert!(answer.contains("proxy-status: mphttp; error=destination_ip_prohibited"), "{answer}");
        let answer = ask_from("198.51.100.7:5", proxy, head).await;
        assert!(answer.starts_with("HTTP/1.1 403 ") && answer.contains("--allow"), "{answer}");
        assert!(!answer.contains("proxy-status"), "{answer}");
    }
    let opened = run_for_strangers(Targets::new().allow([range("127.0.0.1").unwrap()]));
    let answer = ask_from("203.0.113.7:5", opened, &plain).await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn plain_requests_come_over_http2_too() {
    let (proxy, server) = (run(|builder| builder), mirror().await);
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let (mut sender, connection) =
        http2::handshake::<_, _, Full<Bytes>>(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = Request::get(format!("http://{server}/path"))
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .body(Full::default())
        .unwrap();
    let response = timeout(SOON, sender.send_request(request)).await.expect("an answer").unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let seen = response.into_body().collect().await.unwrap().to_bytes();
    let seen = String::from_utf8(seen.to_vec()).unwrap().to_ascii_lowercase();
    assert!(seen.starts_with("get /path http/1.1\r\n"), "{seen}");
    assert!(seen.contains("cookie: a=1; b=2\r\n") && seen.contains("via: 2 mphttp\r\n"), "{seen}");
    assert!(seen.contains(&format!("host: {server}\r\n")), "{seen}");
}

#[tokio::test]
async fn curl_reaches_it_over_tls() {
    let forward = Forward::builder(Connector::new(Protocol::Mptcp))
        .access(Access::new().token(Token::new("open-sesame").unwrap()))
        .build();
    let server = Server::bind(Protocol::Mptcp, "127.0.0.1:0".parse().unwrap())
        .unwrap()
        .tls(ServerTls::self_signed(["localhost"]).unwrap());
    let (proxy, origin) = (serve(forward, server), mirror().await);
    for tunnel in [false, true] {
        let mut curl = Command::new("curl");
        curl.args([
            "--silent",
            "--show-error",
            "--fail",
            "--noproxy",
            "",
            "--proxy-insecure",
            "--max-time",
            "10",
        ]);
        curl.args(["--proxy", &format!("https://me:open-sesame@{proxy}"), &format!("http://{origin}/there")]);
        if tunnel {
            curl.arg("--proxytunnel");
        }
        let curl = curl.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let curl = match curl {
            Ok(curl) => curl,
            Err(error) => return eprintln!("skipped: curl: {error}"),
        };
        let output = tokio::task::spawn_blocking(|| curl.wait_with_output()).await.unwrap().unwrap();
        let (seen, errors) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(
            output.status.success() && seen.starts_with("GET /there HTTP/1.1"),
            "{tunnel}: {seen} {errors}"
        );
        assert!(!seen.to_ascii_lowercase().contains("proxy-authorization"), "{seen}");
        assert_eq!(seen.contains("via: 1.1 mphttp") || seen.contains("Via: 1.1 mphttp"), !tunnel, "{seen}");
    }
}
