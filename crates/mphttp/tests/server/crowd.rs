//! More clients than there is room for, and clients that keep their room without using it.

use super::{parking::answer_of, *};

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";

/// Waits for the end of a connection.
async fn ended(stream: &mut TcpStream) {
    let mut rest = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut rest)).await.expect("it ends");
}

#[tokio::test]
async fn the_connection_that_was_idle_for_longest_makes_room() {
    for threads in [None, std::num::NonZeroUsize::new(2)] {
        let server = bind(Protocol::Mptcp).max_connections(3);
        let server = start(match threads {
            Some(threads) => server.threads(threads),
            None => server,
        });
        let mut streams = Vec::new();
        for _ in 0..3 {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(ASK).await.unwrap();
            answer_of(&mut stream, "hello").await;
            streams.push(stream);
            // So that they are parked one after the other.
            sleep(Duration::from_millis(300)).await;
        }
        let busy = tokio::spawn({
            let mut third = streams.pop().unwrap();
            async move {
                third.write_all(b"GET /slow HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
                answer_of(&mut third, "slow, but whole").await;
                third
            }
        });
        let (status, _) = timeout(SOON, get1(server.address, "/")).await.expect("there is room");
        assert_eq!(status, StatusCode::OK);
        ended(&mut streams[0]).await;
        busy.await.unwrap();
        streams[1].write_all(ASK).await.unwrap();
        answer_of(&mut streams[1], "hello").await;
        assert!(server.stats.cuts(Cut::Room) >= 1);
        server.stop().await;
    }
}

#[tokio::test]
async fn stalled_handshakes_and_heads_make_room_as_well() {
    let plain = start(bind(Protocol::Mptcp).max_connections(20));
    let secure = bind(Protocol::Mptcp).tls(ServerTls::self_signed(["localhost"]).unwrap());
    let secure = start(secure.max_connections(20));
    let mut held = Vec::new();
    for _ in 0..40 {
        for (server, first) in
            [(&plain, &b"GET / HTTP/1.1\r\nhost:"[..]), (&secure, b"\x16\x03\x01\x02\x00\x01")]
        {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            stream.write_all(first).await.unwrap();
            held.push(stream);
        }
    }
    let begun = Instant::now();
    assert_eq!(timeout(SOON, get1(plain.address, "/")).await.expect("there is room").1, "hello");
    let mut safe = timeout(SOON, tls(secure.address, &[])).await.expect("there is room");
    safe.write_all(ASK).await.unwrap();
    answer_of(&mut safe, "hello").await;
    assert!(begun.elapsed() < Duration::from_secs(8), "long before the limits of heads and handshakes");
    drop(held);
    plain.stop().await;
    secure.stop().await;
}

#[tokio::test]
async fn a_silent_body_is_408() {
    let server = start(bind(Protocol::Mptcp).body_timeout(Duration::from_millis(300)));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(b"POST /count HTTP/1.1\r\nhost: test\r\ncontent-length: 6\r\n\r\n").await.unwrap();
    for _ in 0..4 {
        // Slow, but not silent.
        sleep(Duration::from_millis(150)).await;
        stream.write_all(b"x").await.unwrap();
    }
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.expect("it ends").unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert_eq!(server.stats.cuts(Cut::Body), 1);
    server.stop().await;
}

#[tokio::test]
async fn an_http2_client_that_opens_no_window_is_cut() {
    let server = start(bind(Protocol::Mptcp).write_timeout(Duration::from_millis(500)));
    let stream = TcpStream::connect(server.address).await.unwrap();
    let (mut send, connection) =
        h2::client::Builder::new().initial_window_size(0).handshake::<_, Bytes>(stream).await.unwrap();
    let connection = tokio::spawn(connection);
    let request = Request::get(format!("http://{}/", server.address)).body(()).unwrap();
    let (answer, _) = send.send_request(request, true).unwrap();
    // Kept: who lets go of an answer gives its stream up.
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let _ = timeout(SOON, connection).await.expect("the connection ends");
    assert_eq!(server.stats.cuts(Cut::Write), 1);
    server.stop().await;
}
