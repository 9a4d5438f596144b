//! The client against servers on loopback: connections and what they speak, requests, bodies, redirects.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by failing")]

#[path = "client/faults.rs"]
mod faults;
#[path = "client/grpc.rs"]
mod grpc;
#[path = "client/proxies.rs"]
mod proxies;
#[path = "client/reverse.rs"]
mod reverse;
#[path = "client/support.rs"]
mod support;
#[path = "client/tls.rs"]
mod tls;

use std::{io::Read, sync::mpsc, time::Duration};

use http::{
    Method, Response, StatusCode, Version,
    header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, LOCATION},
};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use mphttp::{Body, Error, Protocol, Reason};
use support::{direct, script, serve, serve_tcp, tcp, text};
use tower::{ServiceExt, service_fn};

async fn read(request: http::Request<Incoming>) -> String {
    String::from_utf8(request.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_connection_is_used_again() {
    let server = serve_tcp(|request| async move { text(request.uri().path().to_owned()) }).await;
    let client = tcp();
    for (path, reused) in [("/one", false), ("/two", true), ("/three", true)] {
        let response = client.get(server.url(path)).send().await.unwrap();
        assert_eq!(response.reused(), reused, "{path}");
        assert!(response.connect_time() > Duration::ZERO);
        assert_eq!(response.connection().remote(), Some(server.address));
        assert_eq!(response.text().await.unwrap(), path);
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn a_connection_made_for_one_protocol_is_never_used_for_another() {
    let server = serve(Protocol::Mptcp, None, |_| async { text("x") }).await;
    let client = tcp();
    let mut reused = Vec::new();
    for protocol in [Protocol::Tcp, Protocol::Mptcp, Protocol::MptcpOnly, Protocol::Tcp, Protocol::Mptcp] {
        let response = client.get(server.url("/")).protocol(protocol).send().await.unwrap();
        reused.push(response.reused());
        assert_eq!(response.transport().is_mptcp(), protocol != Protocol::Tcp, "{protocol}");
        response.bytes().await.unwrap();
    }
    assert_eq!(reused, [false, false, false, true, true]);
    assert_eq!(server.connections(), 3);
}

#[tokio::test]
async fn the_response_says_what_its_connection_speaks_and_why() {
    let over_mptcp = serve(Protocol::Mptcp, None, |_| async { text("x") }).await;
    let over_tcp = serve_tcp(|_| async { text("x") }).await;
    for (server, protocol, reason) in [
        (&over_mptcp, Protocol::Mptcp, None),
        (&over_mptcp, Protocol::MptcpOnly, None),
        (&over_mptcp, Protocol::Tcp, Some(Reason::NotRequested)),
        (&over_tcp, Protocol::Mptcp, Some(Reason::PeerOrPath)),
        (&over_tcp, Protocol::Tcp, Some(Reason::NotRequested)),
    ] {
        let client = direct().protocol(protocol).build().unwrap();
        let response = client.get(server.url("/")).send().await.unwrap();
        let transport = response.transport();
        assert_eq!(transport.reason(), reason, "{protocol}");
        assert_eq!(transport.paths.len(), 1);
        assert!(transport.totals().bytes_received > 0, "{transport:?}");
    }
}

#[tokio::test]
async fn the_record_of_a_closed_connection_can_still_be_read() {
    let server = serve(Protocol::Mptcp, None, |_| async { text(vec![7; 100_000]) }).await;
    let response = direct().build().unwrap().get(server.url("/")).send().await.unwrap();
    let watch = response.watch();
    assert_eq!(response.bytes().await.unwrap().len(), 100_000);
    // The client is gone, and its connections with it, once the runtime has noticed.
    for _ in 0..100 {
        if !watch.is_open() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!watch.is_open());
    assert!(watch.transport().is_mptcp() && watch.transport().totals().bytes_received >= 100_000);
}

#[tokio::test]
async fn mptcp_only_sends_not_a_byte_to_a_server_without_mptcp() {
    let (send, received) = mpsc::channel();
    let address = script(move |mut stream| {
        let mut seen = Vec::new();
        let _ = stream.read_to_end(&mut seen);
        send.send(seen).unwrap();
    });
    let client = direct().protocol(Protocol::MptcpOnly).build().unwrap();
    let error = client.get(format!("http://{address}/secret")).send().await.unwrap_err();
    let Error::NotMptcp { reason: Reason::PeerOrPath, peer } = error else { panic!("{error:?}") };
    assert_eq!(peer, Some(address));
    assert_eq!(received.recv_timeout(Duration::from_secs(5)).unwrap(), b"");
}

#[tokio::test]
async fn methods_headers_and_bodies_arrive_as_they_were_given() {
    let server = serve_tcp(|request| async move {
        let head = format!("{} {}", request.method(), request.uri());
        let header = |name: &str| request.headers().get(name).map(|v| v.to_str().unwrap().to_owned());
        let headers = format!("{:?} {:?}", header("x-test"), header("authorization"));
        text(format!("{head} {headers} {}", read(request).await))
    })
    .await;
    let (client, url) = (tcp(), server.url("/a?b=c#d"));
    let get = |request: mphttp::client::RequestBuilder| async {
        request.send().await.unwrap().text().await.unwrap()
    };
    assert_eq!(get(client.get(&url)).await, "GET /a?b=c None None ");
    assert_eq!(get(client.delete(&url).header("x-test", "1")).await, "DELETE /a?b=c Some(\"1\") None ");
    assert_eq!(get(client.put(&url).body("body")).await, "PUT /a?b=c None None body");
    let basic = get(client.post(&url).basic_auth("al", "w")).await;
    assert_eq!(basic, "POST /a?b=c None Some(\"Basic YWw6dw==\") ");
    let bearer = get(client.get(&url).bearer_auth("t")).await;
    assert_eq!(bearer, "GET /a?b=c None Some(\"Bearer t\") ");
    let in_url = get(client.get(url.replace("http://", "http://al:w@"))).await;
    assert_eq!(in_url, "GET /a?b=c None Some(\"Basic YWw6dw==\") ");
    let head = client.request(Method::HEAD, &url).send().await.unwrap();
    assert_eq!((head.status(), head.bytes().await.unwrap().len()), (StatusCode::OK, 0));
    let error = client.get(&url).header("bad name", "x").send().await.unwrap_err();
    assert!(matches!(error, Error::Invalid { .. }), "{error}");
}

#[tokio::test]
async fn json_goes_both_ways_and_a_stream_up() {
    let server = serve_tcp(|request| async move { text(read(request).await) }).await;
    let client = tcp();
    let sent = serde_json::json!({"paths": [1, 2], "ok": true});
    let response = client.post(server.url("/")).json(&sent).send().await.unwrap();
    assert_eq!(response.json::<serde_json::Value>().await.unwrap(), sent);
    let error = client.post(server.url("/")).body("{").send().await.unwrap();
    let error = error.json::<serde_json::Value>().await.unwrap_err();
    assert!(matches!(error, Error::Decode { what: "JSON", .. }), "{error}");

    let pieces = (0..1000).map(|n| Ok::<_, mphttp::BoxError>(format!("{n:04}")));
    let body = Body::stream(futures_util::stream::iter(pieces));
    let echoed = client.put(server.url("/")).body(body).send().await.unwrap().text().await.unwrap();
    assert_eq!((echoed.len(), &echoed[..8], &echoed[3996..]), (4000, "00000001", "0999"));

    let broken = futures_util::stream::iter([Ok("x"), Err("the disk is gone")]);
    let error = client.put(server.url("/")).body(Body::stream(broken)).send().await.unwrap_err();
    assert!(matches!(error, Error::RequestBody(_)), "{error:?}");
}

#[tokio::test]
async fn a_response_can_be_read_piece_by_piece_and_passed_on() {
    let server = serve_tcp(|request| async move { text(read(request).await.repeat(2)) }).await;
    let client = tcp();
    let first = client.post(server.url("/")).body("ab").send().await.unwrap();
    let mut second = client.post(server.url("/")).body(first.into_body()).send().await.unwrap();
    assert_eq!(second.content_length(), Some(8));
    let mut whole = Vec::new();
    while let Some(piece) = second.chunk().await.unwrap() {
        whole.extend_from_slice(&piece);
    }
    assert_eq!(whole, b"abababab");
}

#[tokio::test]
async fn http2_is_spoken_to_a_server_known_to_speak_it() {
    let server = serve_tcp(|request| async move { text(format!("{:?}", request.version())) }).await;
    let client = direct().protocol(Protocol::Tcp).http2_prior_knowledge().build().unwrap();
    let (one, two) = tokio::join!(client.get(server.url("/")).send(), client.get(server.url("/")).send());
    for response in [one.unwrap(), two.unwrap()] {
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(response.text().await.unwrap(), "HTTP/2.0");
    }
    assert_eq!(server.connections(), 1);
}

#[tokio::test]
async fn names_can_be_given_addresses() {
    let server = serve_tcp(|request| async move { text(format!("{:?}", request.headers()["host"])) }).await;
    let port = server.address.port();
    let any_port = [std::net::SocketAddr::from(([127, 0, 0, 1], 0))];
    let client = direct().protocol(Protocol::Tcp).resolve("Files.invalid", any_port).build().unwrap();
    let response = client.get(format!("http://files.INVALID:{port}/")).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), format!("\"files.invalid:{port}\""));

    let other_port = direct().protocol(Protocol::Tcp).resolve_port("files.invalid", port ^ 1, any_port);
    let error =
        other_port.build().unwrap().get(format!("http://files.invalid:{port}/")).send().await.unwrap_err();
    assert!(matches!(&error, Error::Resolve { host, .. } if host == "files.invalid"), "{error:?}");
}

#[tokio::test]
async fn compressed_bodies_arrive_plain() {
    let plain = "the same words again and again, ".repeat(1000);
    let body = plain.clone();
    let server = serve_tcp(move |mut request| {
        let body = body.clone();
        async move {
            // The path says which of the codings that the client takes it gets.
            let coding = request.uri().path().trim_start_matches('/').to_owned();
            let offered = request.headers()[ACCEPT_ENCODING].to_str().unwrap().to_owned();
            assert!(offered.contains(&coding), "{offered}");
            request.headers_mut().insert(ACCEPT_ENCODING, coding.parse().unwrap());
            let plain = service_fn(move |_| {
                let body = body.clone();
                async move { Ok::<_, std::convert::Infallible>(text(body)) }
            });
            tower_http::compression::Compression::new(plain).oneshot(request).await.unwrap().map(Body::new)
        }
    })
    .await;
    for coding in ["gzip", "br", "zstd", "deflate"] {
        let response = tcp().get(server.url(&format!("/{coding}"))).send().await.unwrap();
        let headers = response.headers();
        assert!(!headers.contains_key(CONTENT_ENCODING) && !headers.contains_key(CONTENT_LENGTH), "{coding}");
        assert_eq!(response.content_length(), None);
        assert_eq!(response.text().await.unwrap(), plain, "{coding}");
        // Who asks for a coding gets it.
        let raw = tcp()
            .get(server.url(&format!("/{coding}")))
            .header(ACCEPT_ENCODING, coding)
            .send()
            .await
            .unwrap();
        assert_eq!(raw.headers()[CONTENT_ENCODING], coding);
        assert!(raw.bytes().await.unwrap().len() < 1000, "{coding}");
    }
}

#[tokio::test]
async fn without_decompression_none_is_asked_for() {
    let server =
        serve_tcp(|r| async move { text(format!("{}", r.headers().contains_key(ACCEPT_ENCODING))) }).await;
    let client = direct().protocol(Protocol::Tcp).decompression(false).build().unwrap();
    assert_eq!(client.get(server.url("/")).send().await.unwrap().text().await.unwrap(), "false");
    // A range counts bytes of what is sent: compressed, it would be another.
    let ranged = tcp().get(server.url("/")).header("range", "bytes=0-3").send().await.unwrap();
    assert_eq!(ranged.text().await.unwrap(), "false");
}

fn redirect(status: u16, to: &str) -> Response<Body> {
    Response::builder().status(status).header(LOCATION, to).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn redirects_are_followed_to_their_limit() {
    let server = serve_tcp(|request| async move {
        match request.uri().path() {
            "/circle" => redirect(302, "/circle"),
            "/see" => redirect(303, "end"),
            "/keep" => redirect(307, "/end"),
            _ => {
                let method = request.method().clone();
                text(format!("{method} {}", read(request).await))
            }
        }
    })
    .await;
    let client = tcp();
    let see = client.post(server.url("/see")).body("x").send().await.unwrap();
    assert_eq!(see.url().as_str(), server.url("/end"));
    assert_eq!(see.text().await.unwrap(), "GET ");
    let keep = client.post(server.url("/keep")).body("x").send().await.unwrap();
    assert_eq!(keep.text().await.unwrap(), "POST x");
    // A stream is gone once sent.
    let stream = Body::stream(futures_util::stream::iter([Ok::<_, mphttp::BoxError>("x")]));
    let stopped = client.post(server.url("/keep")).body(stream).send().await.unwrap();
    assert_eq!(stopped.status(), StatusCode::TEMPORARY_REDIRECT);

    let error = client.get(server.url("/circle")).send().await.unwrap_err();
    assert!(matches!(error, Error::TooManyRedirects { limit: 10, .. }), "{error}");
    let none = direct().protocol(Protocol::Tcp).redirect_limit(0).build().unwrap();
    assert_eq!(none.get(server.url("/circle")).send().await.unwrap().status(), StatusCode::FOUND);
}

#[tokio::test]
async fn credentials_do_not_follow_to_another_origin() {
    let echo = |request: http::Request<Incoming>| async move {
        text(format!("{}", request.headers().contains_key(AUTHORIZATION)))
    };
    let other = serve_tcp(echo).await;
    let to_other = other.url("/");
    let server = serve_tcp(move |request| {
        let to_other = to_other.clone();
        async move {
            match request.uri().path() {
                "/other" => redirect(302, &to_other),
                "/same" => redirect(302, "/end"),
                _ => echo(request).await,
            }
        }
    })
    .await;
    for (path, sent) in [("/same", "true"), ("/other", "false")] {
        let response = tcp().get(server.url(path)).basic_auth("user", "secret").send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), sent, "{path}");
    }
}

#[tokio::test]
async fn a_status_is_an_error_only_on_demand() {
    let server =
        serve_tcp(|_| async { Response::builder().status(404).body(Body::from("no")).unwrap() }).await;
    let response = tcp().get(server.url("/x")).send().await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
    let error = response.error_for_status().unwrap_err();
    assert!(error.to_string().contains("/x answered 404 Not Found; check the URL"), "{error}");
}
