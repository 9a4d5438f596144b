//! Connections that are silent between two requests give up all but their socket; nobody may notice.

use http::header;
use tokio::{io::AsyncRead, task::JoinSet};

use super::*;

/// Longer than it takes until a silent connection is parked. One that is not, on a slow machine, must answer as well.
const PARKED: Duration = Duration::from_millis(1600);

pub async fn answer_of(stream: &mut (impl AsyncRead + Unpin), body: &str) -> String {
    let mut answer = Vec::new();
    while !answer.ends_with(format!("\r\n\r\n{body}").as_bytes()) {
        let read = timeout(SOON, stream.read_buf(&mut answer)).await.expect("an answer comes").unwrap();
        assert!(read > 0, "closed after {:?}", String::from_utf8_lossy(&answer));
    }
    String::from_utf8(answer).unwrap()
}

const ASK: &[u8] = b"GET / HTTP/1.1\r\nhost: test\r\n\r\n";

#[tokio::test]
async fn a_connection_that_is_parked_again_and_again_answers() {
    let server = start(bind(Protocol::Mptcp).track_connections(true));
    let secure = start(bind(Protocol::Mptcp).tls(ServerTls::self_signed(["localhost"]).unwrap()));
    let mut plain = TcpStream::connect(server.address).await.unwrap();
    let mut safe = tls(secure.address, &[b"http/1.1"]).await;
    for round in 1..=4 {
        sleep(PARKED).await;
        plain.write_all(ASK).await.unwrap();
        answer_of(&mut plain, "hello").await;
        safe.write_all(ASK).await.unwrap();
        answer_of(&mut safe, "hello").await;
        let sample = server.stats.sample();
        assert_eq!((sample.connections.len(), sample.connections[0].requests), (1, round));
        let counts = server.stats.counts();
        assert_eq!((counts.accepted, counts.open, counts.requests), (1, 1, round));
    }
    drop((plain, safe));
    server.until(|counts| counts.open == 0).await;
    secure.until(|counts| counts.open == 0).await;
    assert!(server.stats.sample().connections.is_empty());
    server.stop().await;
    secure.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_arrive_just_then_are_not_lost() {
    let server = start(bind(Protocol::Mptcp));
    let address = server.address;
    let mut clients = JoinSet::new();
    for client in 0..300_u64 {
        clients.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            for round in 0..3_u64 {
                stream.write_all(ASK).await.unwrap();
                answer_of(&mut stream, "hello").await;
                // All around the moment of parking.
                sleep(Duration::from_micros(980_000 + client * 150 + round * 31)).await;
                // A head in two pieces, a body in two, and a second request with the end of the first.
                let length = usize::try_from(1000 + client * 7 + round).unwrap();
                let head = format!("POST /count HTTP/1.1\r\nhost: test\r\ncontent-length: {length}\r\n\r\n");
                let bytes = [head.as_bytes(), &vec![b'x'; length], ASK].concat();
                let cut = 1 + usize::try_from(client).unwrap() % (head.len() - 1);
                stream.write_all(&bytes[..cut]).await.unwrap();
                tokio::task::yield_now().await;
                stream.write_all(&bytes[cut..cut + 500]).await.unwrap();
                stream.write_all(&bytes[cut + 500..]).await.unwrap();
                let answers = answer_of(&mut stream, "hello").await;
                assert_eq!(answers.matches("HTTP/1.1 200 OK").count(), 2, "{answers}");
                assert!(answers.contains(&format!("\r\n\r\n{length}HTTP/1.1 200 OK\r\n")), "{answers}");
            }
        });
    }
    clients.join_all().await;
    assert_eq!(server.stats.counts().requests, 300 * 3 * 3);
    server.stop().await;
}

#[tokio::test]
async fn half_a_head_after_a_whole_request_is_kept() {
    let server = start(bind(Protocol::Mptcp));
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    stream.write_all(&[ASK, &ASK[..10]].concat()).await.unwrap();
    answer_of(&mut stream, "hello").await;
    for byte in &ASK[10..12] {
        sleep(PARKED).await;
        stream.write_all(&[*byte]).await.unwrap();
    }
    sleep(PARKED).await;
    stream.write_all(&ASK[12..]).await.unwrap();
    answer_of(&mut stream, "hello").await;
    server.stop().await;
}

#[tokio::test]
async fn a_body_that_is_still_read_after_the_answer_is_read_to_its_end() {
    let (bodies, mut read) = tokio::sync::mpsc::unbounded_channel();
    let server = bind(Protocol::Mptcp);
    let address = server.local_addr().unwrap();
    let service = service_fn(move |request: Request<RequestBody>| {
        let bodies = bodies.clone();
        async move {
            tokio::spawn(async move { bodies.send(request.into_body().collect().await.unwrap().to_bytes()) });
            Ok::<_, Infallible>(Response::new(Body::from("hello")))
        }
    });
    let serving = tokio::spawn(server.run(service, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(b"POST / HTTP/1.1\r\nhost: test\r\ncontent-length: 8\r\n\r\nhalf").await.unwrap();
        answer_of(&mut stream, "hello").await;
        sleep(PARKED).await;
        stream.write_all(b"half").await.unwrap();
        assert_eq!(timeout(SOON, read.recv()).await.unwrap().unwrap(), "halfhalf");
    }
    serving.abort();
}

#[tokio::test]
async fn a_parked_connection_can_be_upgraded() {
    let service = service_fn(|request: Request<RequestBody>| async move {
        if !request.headers().contains_key(header::UPGRADE) {
            return Ok::<_, Infallible>(Response::new(Body::from("hello")));
        }
        tokio::spawn(async move {
            let mut upgraded = TokioIo::new(hyper::upgrade::on(request).await.unwrap());
            let mut bytes = [0; 5];
            while upgraded.read_exact(&mut bytes).await.is_ok() {
                upgraded.write_all(&bytes).await.unwrap();
            }
        });
        let response = Response::builder().status(StatusCode::SWITCHING_PROTOCOLS);
        let response = response.header(header::CONNECTION, "upgrade").header(header::UPGRADE, "echo");
        Ok(response.body(Body::empty()).unwrap())
    });
    let server = bind(Protocol::Mptcp);
    let address = server.local_addr().unwrap();
    let serving = tokio::spawn(server.run(service, std::future::pending()));
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(ASK).await.unwrap();
    answer_of(&mut stream, "hello").await;
    sleep(PARKED).await;
    // The first bytes of what follows come with the head.
    let ask = b"GET / HTTP/1.1\r\nhost: test\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nfirst";
    stream.write_all(ask).await.unwrap();
    let answer = answer_of(&mut stream, "first").await;
    assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
    // What was upgraded is no longer HTTP's to park.
    sleep(PARKED).await;
    stream.write_all(b"later").await.unwrap();
    let mut bytes = [0; 5];
    timeout(SOON, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    assert_eq!(&bytes, b"later");
    serving.abort();
}

#[tokio::test]
async fn stopping_closes_parked_connections_at_once() {
    let server = start(bind(Protocol::Mptcp));
    let mut streams = Vec::new();
    for index in 0..100 {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        if index % 2 == 0 {
            stream.write_all(ASK).await.unwrap();
            answer_of(&mut stream, "hello").await;
        }
        streams.push(stream);
    }
    server.until(|counts| counts.open == 100).await;
    sleep(PARKED).await;
    let begun = Instant::now();
    server.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(5), "no grace period is needed: {:?}", begun.elapsed());
    for mut stream in streams {
        assert_eq!(timeout(SOON, stream.read(&mut [0; 16])).await.unwrap().unwrap(), 0);
    }
}

#[tokio::test]
async fn limits_hold_for_parked_connections() {
    let server = bind(Protocol::Mptcp).header_read_timeout(Duration::from_secs(3));
    let server = start(server.keep_alive_timeout(Duration::from_secs(2)).max_connections(1));
    let secure = bind(Protocol::Mptcp).tls(ServerTls::self_signed(["localhost"]).unwrap());
    let secure = start(secure.keep_alive_timeout(Duration::from_secs(2)));
    let mut safe = tls(secure.address, &[]).await;
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    for _ in 0..2 {
        stream.write_all(ASK).await.unwrap();
        answer_of(&mut stream, "hello").await;
        safe.write_all(ASK).await.unwrap();
        answer_of(&mut safe, "hello").await;
        sleep(PARKED).await;
    }
    // It has its slot as long as it is parked.
    let address = server.address;
    let waiting = tokio::spawn(async move { get1(address, "/").await });
    assert_eq!(server.stats.counts().accepted, 1);
    assert_eq!(timeout(SOON, stream.read(&mut [0; 16])).await.unwrap().unwrap(), 0);
    // With a farewell: without, this would be an error.
    assert_eq!(timeout(SOON, safe.read(&mut [0; 16])).await.unwrap().unwrap(), 0);
    assert_eq!(timeout(SOON, waiting).await.unwrap().unwrap().1, "hello");
    server.stop().await;
    secure.stop().await;
}

#[tokio::test]
async fn a_parked_mptcp_connection_is_known_for_what_it_is() {
    if let Err(reason) = host_support() {
        eprintln!("skipped: {}", reason.explain());
        return;
    }
    let server = start(bind(Protocol::Mptcp).track_connections(true));
    let mut stream = Connect::new(Protocol::Mptcp).to_async(&[server.address]).await.unwrap().stream;
    let ask = format!("GET {} HTTP/1.1\r\nhost: test\r\n\r\n", check::PATH);
    for _ in 0..3 {
        stream.write_all(ask.as_bytes()).await.unwrap();
        answer_of(&mut stream, "You are using MPTCP over 1 path.\n").await;
        sleep(PARKED).await;
        let sample = server.stats.sample();
        let transport = &sample.connections[0].transport;
        assert_eq!((transport.spoken, transport.paths.len()), (Spoken::Mptcp, 1));
    }
    server.stop().await;
}

#[tokio::test]
async fn who_connected_before_the_shutdown_is_answered() {
    let server = start(bind(Protocol::Mptcp));
    let address = server.address;
    let mut early = TcpStream::connect(address).await.unwrap();
    server.until(|counts| counts.accepted == 1).await;
    let stopping = tokio::spawn(server.stop());
    while TcpStream::connect(address).await.is_ok() {}
    early.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    early.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    stopping.await.unwrap();
}
