//! Requests through a proxy on loopback: forwarded, by CONNECT, and by SOCKS 5.

use std::net::SocketAddr;

use mphttp::{Error, Protocol, client::ClientBuilder, tls::ServerTls};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
};

use super::support::{direct, serve, serve_tcp, text};

/// An HTTP proxy that wants `credentials`, in the form of the header, with each request, if there are any. What it
/// is to forward, it answers itself, with the request line.
async fn http_proxy(credentials: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    head.push(client.read_u8().await.unwrap());
                }
                let head = String::from_utf8(head).unwrap();
                let line = head.lines().next().unwrap().to_owned();
                let granted = credentials.is_none_or(|value| {
                    head.to_lowercase().contains(&format!("proxy-authorization: {value}\r\n").to_lowercase())
                });
                let answer = |status: &str, body: &str| {
                    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                };
                if !granted {
                    let _ =
                        client.write_all(answer("407 Proxy Authentication Required", "").as_bytes()).await;
                } else if let Some(rest) = line.strip_prefix("CONNECT ") {
                    let target = rest.split(' ').next().unwrap();
                    let mut server = TcpStream::connect(target).await.unwrap();
                    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
                    let _ = copy_bidirectional(&mut client, &mut server).await;
                } else {
                    let _ = client.write_all(answer("200 OK", &line).as_bytes()).await;
                }
            });
        }
    });
    address
}

/// A SOCKS 5 proxy (RFC 1928) without authentication, for names: it takes any for loopback.
async fn socks_proxy() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut greeting = [0; 2];
                client.read_exact(&mut greeting).await.unwrap();
                let mut methods = vec![0; greeting[1].into()];
                client.read_exact(&mut methods).await.unwrap();
                client.write_all(&[5, 0]).await.unwrap();
                let mut request = [0; 5];
                client.read_exact(&mut request).await.unwrap();
                assert_eq!(request[..4], [5, 1, 0, 3], "CONNECT to a name");
                let mut name = vec![0; request[4].into()];
                client.read_exact(&mut name).await.unwrap();
                let port = client.read_u16().await.unwrap();
                let mut server = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                client.write_all(&[5, 0, 0, 1, 127, 0, 0, 1, 0, 0]).await.unwrap();
                let _ = copy_bidirectional(&mut client, &mut server).await;
            });
        }
    });
    address
}

fn through(proxy: impl std::fmt::Display) -> ClientBuilder {
    direct().protocol(Protocol::Tcp).proxy(proxy.to_string())
}

#[tokio::test]
async fn a_plain_request_is_the_proxys_to_forward() {
    let proxy = http_proxy(None).await;
    let client = through(format!("http://{proxy}")).build().unwrap();
    let response = client.get("http://nowhere.invalid/file?x").send().await.unwrap();
    // The transport is the one to the proxy.
    assert_eq!(response.connection().remote(), Some(proxy));
    assert_eq!(response.text().await.unwrap(), "GET http://nowhere.invalid/file?x HTTP/1.1");
}

#[tokio::test]
async fn a_proxy_gets_the_credentials_of_its_url() {
    let proxy = http_proxy(Some("Basic YWw6dw==")).await;
    let granted = through(format!("http://al:w@{proxy}")).build().unwrap();
    assert_eq!(granted.get("http://nowhere.invalid/").send().await.unwrap().status(), 200);
    let denied = through(format!("http://{proxy}")).build().unwrap();
    assert_eq!(denied.get("http://nowhere.invalid/").send().await.unwrap().status(), 407);
    let error = denied.get("https://nowhere.invalid/").send().await.unwrap_err();
    assert!(matches!(error, Error::Proxy { .. }), "{error:?}");
    assert!(error.to_string().contains("proxy authorization required"), "{error}");
}

#[tokio::test]
async fn tls_goes_through_a_tunnel_to_the_server() {
    let tls = ServerTls::self_signed(["localhost"]).unwrap();
    let server = serve(Protocol::Tcp, Some(tls), |_| async { text("inside") }).await;
    let proxy = http_proxy(None).await;
    let client = through(format!("http://{proxy}")).danger_accept_invalid_certs(true).build().unwrap();
    let url = format!("https://{}/", server.address);
    assert_eq!(client.get(url).send().await.unwrap().text().await.unwrap(), "inside");
}

#[tokio::test]
async fn socks_carries_names_unresolved() {
    let server = serve_tcp(|request| async move { text(format!("{:?}", request.headers()["host"])) }).await;
    let client = through(format!("socks5h://{}", socks_proxy().await)).build().unwrap();
    let (url, host) = (server.url("/"), server.address.to_string());
    let named = url.replace("127.0.0.1", "nowhere.invalid");
    let response = client.get(named).send().await.unwrap();
    let expected = format!("{:?}", host.replace("127.0.0.1", "nowhere.invalid"));
    assert_eq!(response.text().await.unwrap(), expected);
}

#[tokio::test]
async fn a_proxy_that_is_none_is_refused_at_once() {
    for url in ["ftp://127.0.0.1:1", "", "http://"] {
        let error = through(url).build().unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{url:?}: {error:?}");
    }
}

#[tokio::test]
async fn a_proxy_that_breaks_off_is_named() {
    let closing = super::support::script(|mut stream| drop(super::support::read_head(&mut stream)));
    let client = through(format!("http://{closing}")).build().unwrap();
    let error = client.get("https://nowhere.invalid/").send().await.unwrap_err();
    assert!(
        matches!(&error, Error::Proxy { proxy, .. } if *proxy == format!("http://{closing}")),
        "{error:?}"
    );
}
