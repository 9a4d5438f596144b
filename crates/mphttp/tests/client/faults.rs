//! Peers that break the rules, or do nothing: each gets an error of its own.

use std::{io::Write, net::TcpListener, thread, time::Duration};

use mphttp::{Error, Phase, Protocol, Response};

use super::support::{answer, direct, read_head, script, tcp};

const AT_ONCE: Duration = Duration::ZERO;
const LONG: Duration = Duration::from_secs(5);

async fn get(bytes: impl Into<Vec<u8>>) -> Result<Response, Error> {
    tcp().get(format!("http://{}/", answer(bytes, AT_ONCE))).send().await
}

#[tokio::test]
async fn a_body_that_ends_early_is_told_from_a_whole_one() {
    let error =
        get("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello").await.unwrap().bytes().await.unwrap_err();
    assert!(matches!(error, Error::Incomplete { expected: Some(100), got: 5, .. }), "{error:?}");
    assert!(error.to_string().contains("cut short after 5 bytes of 100"), "{error}");

    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    let error = get(chunked).await.unwrap().bytes().await.unwrap_err();
    assert!(matches!(error, Error::Incomplete { expected: None, got: 5, .. }), "{error:?}");

    let whole = get("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello and more").await.unwrap();
    assert_eq!(whole.bytes().await.unwrap(), "hello");
    let until_closed = get("HTTP/1.1 200 OK\r\n\r\nhello").await.unwrap();
    assert_eq!(until_closed.bytes().await.unwrap(), "hello");
}

#[tokio::test]
async fn lengths_and_answers_that_are_none_are_protocol_errors() {
    for bytes in [
        "HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        "SSH-2.0-OpenSSH_9.9\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
    ] {
        let error = get(bytes).await.unwrap_err();
        assert!(matches!(error, Error::Http { .. }), "{bytes:?}: {error:?}");
    }
    let bad_chunk = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\nhello\r\n";
    let error = get(bad_chunk).await.unwrap().bytes().await.unwrap_err();
    assert!(matches!(error, Error::Http { .. }), "{error:?}");
}

#[tokio::test]
async fn no_answer_is_an_error_of_its_own() {
    for bytes in ["", "HTTP/1.1 200 OK\r\nContent-"] {
        let error = get(bytes).await.unwrap_err();
        assert!(matches!(error, Error::NoAnswer { .. }), "{bytes:?}: {error:?}");
    }
}

#[tokio::test]
async fn oversized_headers_are_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(300 << 10));
    let many = format!("HTTP/1.1 200 OK\r\n{}Content-Length: 0\r\n\r\n", "X: y\r\n".repeat(1000));
    for bytes in [long, many] {
        let error = get(bytes).await.unwrap_err();
        assert!(matches!(error, Error::HeadersTooLarge { limit: 0x4_0000, .. }), "{error:?}");
    }
    let within = format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 0\r\n\r\n", "x".repeat(100 << 10));
    let generous = get(within.clone()).await.unwrap();
    assert_eq!(generous.headers()["x"].len(), 100 << 10);
    let strict = direct().protocol(Protocol::Tcp).max_header_bytes(10_000).build().unwrap();
    let error = strict.get(format!("http://{}/", answer(within, AT_ONCE))).send().await.unwrap_err();
    assert!(matches!(error, Error::HeadersTooLarge { limit: 10_000, .. }), "{error:?}");
}

#[tokio::test]
async fn a_body_that_is_not_what_it_says_cannot_be_read() {
    let broken = "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nno gzip!!";
    let error = get(broken).await.unwrap().bytes().await.unwrap_err();
    assert!(matches!(error, Error::Decode { what: "gzip", .. }), "{error:?}");
}

#[tokio::test]
async fn a_refused_port_says_so() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let error = tcp().get(format!("http://127.0.0.1:{port}/")).send().await.unwrap_err();
    assert!(matches!(error, Error::Connect { .. }), "{error:?}");
    assert!(error.to_string().contains("check that the server runs"), "{error}");
}

#[tokio::test]
async fn the_connect_timeout_covers_the_tls_handshake() {
    let silent = script(|_stream| thread::sleep(LONG));
    let client =
        direct().protocol(Protocol::Tcp).connect_timeout(Duration::from_millis(200)).build().unwrap();
    let error = client.get(format!("https://{silent}/")).send().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: Phase::Handshake, .. }), "{error:?}");
}

#[tokio::test]
async fn the_read_timeout_ends_silence_before_and_within_the_body() {
    let client = direct().protocol(Protocol::Tcp).read_timeout(Duration::from_millis(200)).build().unwrap();
    let error = client.get(format!("http://{}/", answer("", LONG))).send().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: Phase::Read, .. }), "{error:?}");

    let stalls = answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello", LONG);
    let mut response = client.get(format!("http://{stalls}/")).send().await.unwrap();
    assert_eq!(response.chunk().await.unwrap().unwrap(), "hello");
    let error = response.chunk().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: Phase::Read, .. }), "{error:?}");
    assert!(error.is_timeout());
}

/// Sends a byte every 50 ms, a hundred times.
fn trickle() -> std::net::SocketAddr {
    script(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n");
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    })
}

#[tokio::test]
async fn the_total_timeout_ends_what_goes_on_too_long() {
    let client = direct().protocol(Protocol::Tcp).read_timeout(Duration::from_secs(2)).build().unwrap();
    let limit = Duration::from_millis(300);
    let response = client.get(format!("http://{}/", trickle())).timeout(limit).send().await.unwrap();
    let error = response.bytes().await.unwrap_err();
    assert!(matches!(error, Error::Timeout { phase: Phase::Total, after } if after == limit), "{error:?}");

    let never = client.get(format!("http://{}/", answer("", LONG))).timeout(limit).send().await.unwrap_err();
    assert!(matches!(never, Error::Timeout { phase: Phase::Total, .. }), "{never:?}");
}

#[tokio::test]
async fn a_slow_upload_is_not_silence() {
    let slow = script(|mut stream| {
        read_head(&mut stream);
        // Longer than the limit in all, but never still for so long.
        for _ in 0..8 {
            thread::sleep(Duration::from_millis(100));
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
        thread::sleep(LONG);
    });
    let client = direct().protocol(Protocol::Tcp).read_timeout(Duration::from_millis(400)).build().unwrap();
    let pieces = futures_util::stream::unfold(0, |n| async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        (n < 7).then_some((Ok::<_, mphttp::BoxError>("piece"), n + 1))
    });
    let request = client.post(format!("http://{slow}/")).body(mphttp::Body::stream(pieces));
    assert_eq!(request.send().await.unwrap().text().await.unwrap(), "ok");
}

#[tokio::test]
async fn a_connection_closed_while_it_was_kept_is_replaced() {
    // Closed after each answer, without a word: whoever uses it again is late.
    let address = answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", Duration::ZERO);
    let client = tcp();
    for _ in 0..200 {
        let response = client.get(format!("http://{address}/")).send().await.unwrap();
        assert_eq!(response.text().await.unwrap(), "ok");
    }
}
