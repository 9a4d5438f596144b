//! The handler behind real servers: hyper on a socket, and axum.

use std::fs::File;
use std::time::Duration;

use http::Request;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use mphttp::files::Files;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::site::Site;

/// A server for one connection, and the client's end of it.
async fn connect(files: Files) -> tokio::net::TcpStream {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let service = TowerToHyperService::new(files);
        // How the connection ends is for the client's end to see.
        let _ =
            hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    });
    tokio::net::TcpStream::connect(address).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_arrives_whole() {
    let site = Site::new();
    let content: Vec<u8> = (0..5_000_000_u32).map(|n| (n / 7 % 251) as u8).collect();
    site.write("large", &content);
    let mut stream = connect(site.files.clone()).await;
    stream.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut got = Vec::new();
    stream.read_to_end(&mut got).await.unwrap();
    assert!(got.starts_with(b"HTTP/1.1 200 OK\r\n"));
    assert!(got.ends_with(&content), "{} bytes", got.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_shrinks_cuts_the_connection_rather_than_pads() {
    const SIZE: u64 = 64 << 20;
    let site = Site::new();
    let file = File::create(site.path("shrinks")).unwrap();
    file.set_len(SIZE).unwrap();
    let mut stream = connect(site.files.clone()).await;
    stream.write_all(b"GET /shrinks HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut first = [0; 1024];
    stream.read_exact(&mut first).await.unwrap();
    assert!(String::from_utf8_lossy(&first).contains("content-length: 67108864\r\n"));
    file.set_len(1000).unwrap();
    let mut rest = Vec::new();
    // The end is a FIN or a reset: either way before the promised length.
    let _ = tokio::time::timeout(Duration::from_secs(10), stream.read_to_end(&mut rest)).await.expect("cut");
    assert!((rest.len() as u64) < SIZE / 2, "{} bytes", rest.len());
}

#[tokio::test]
async fn as_a_service_of_axum() {
    let site = Site::with_ten_bytes();
    site.write("dir/x", "");
    let app: axum::Router = axum::Router::new().nest_service("/files", site.files.clone());
    for (url, status, location) in
        [("/files/ten.txt", 200, ""), ("/files/dir", 301, "./dir/"), ("/ten.txt", 404, "")]
    {
        let request = Request::get(url).body(axum::body::Body::empty()).unwrap();
        let response = tower::ServiceExt::oneshot(app.clone(), request).await.unwrap();
        let to = response.headers().get("location").map_or("", |value| value.to_str().unwrap());
        assert_eq!((response.status().as_u16(), to), (status, location), "{url}");
    }
}
