//! Answers over HTTP/2: whole in pieces, and without a body to HEAD.

use super::*;

/// A body that tells of every byte that is missing, doubled or in another place.
fn pattern() -> Vec<u8> {
    (0..1_000_003_u32).flat_map(|number| number.to_be_bytes()).take(1_000_003).collect()
}

async fn patterned(_: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    Ok(Response::new(Body::from(pattern())))
}

/// A connection of HTTP/2 to a server of that.
async fn connection(server: Server) -> http2::SendRequest<Empty<Bytes>> {
    let address = server.local_addr().unwrap();
    tokio::spawn(server.run(service_fn(patterned), std::future::pending()));
    let stream = TcpStream::connect(address).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

#[tokio::test]
async fn an_answer_in_pieces_is_whole() {
    // With a limit for what its client does not take, a body is given in pieces.
    let server = bind(Protocol::Mptcp).write_timeout(SOON);
    let mut sender = connection(server).await;
    let response = sender.send_request(get("http://test/")).await.unwrap();
    assert_eq!(response.headers()["content-length"], "1000003");
    assert!(response.into_body().collect().await.unwrap().to_bytes() == pattern());
}

#[tokio::test]
async fn an_answer_to_head_has_its_length_and_no_body() {
    let mut sender = connection(bind(Protocol::Mptcp)).await;
    let request = Request::head("http://test/").body(Empty::new()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.headers()["content-length"], "1000003");
    let body = response.into_body();
    assert!(http_body::Body::is_end_stream(&body), "the end came with the head");
}
