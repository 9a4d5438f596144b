//! A gRPC client over our connector: what tonic needs is a service of URIs, no more.

use bytes::{Buf, BufMut, Bytes};
use http::{HeaderMap, HeaderValue, Response};
use http_body::Frame;
use http_body_util::{BodyExt, StreamBody};
use mphttp::{Body, BoxError, Connector, Protocol, Server, proxy::ReverseProxy};
use tonic::{
    Status,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::Endpoint,
};

use super::support::serve;

/// Messages as they are: what protobuf would put in them is no concern of the connection's.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

#[tokio::test]
async fn tonic_makes_its_calls_over_mptcp() {
    let server = serve(Protocol::Mptcp, None, |request| async move {
        assert_eq!(request.uri().path(), "/test.Echo/Call");
        let message = request.into_body().collect().await.unwrap().to_bytes();
        let trailers =
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
        let frames = [Ok::<_, BoxError>(Frame::data(message)), Ok(Frame::trailers(trailers))];
        Response::builder()
            .header("content-type", "application/grpc")
            .body(Body::new(StreamBody::new(futures_util::stream::iter(frames))))
            .unwrap()
    })
    .await;
    let endpoint = Endpoint::try_from(server.url("")).unwrap();
    let channel = endpoint.connect_with_connector(Connector::new(Protocol::MptcpOnly)).await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let request = tonic::Request::new(Bytes::from_static(b"hello"));
    let path = "/test.Echo/Call".parse().unwrap();
    let response = client.unary(request, path, Raw).await.unwrap();
    assert_eq!(response.into_inner(), "hello");
}

#[tokio::test]
async fn a_call_streams_both_ways_through_the_reverse_proxy() {
    let server = serve(Protocol::Tcp, None, |request| async move {
        assert_eq!(request.headers()["te"], "trailers");
        assert_eq!(request.version(), http::Version::HTTP_2);
        let trailers =
            HeaderMap::from_iter([("grpc-status".parse().unwrap(), HeaderValue::from_static("0"))]);
        let echo = request.into_body().map_err(BoxError::from);
        let echo = echo.with_trailers(async move { Some(Ok(trailers)) });
        Response::builder().header("content-type", "application/grpc").body(Body::new(echo)).unwrap()
    })
    .await;
    let proxy =
        ReverseProxy::builder(Protocol::Tcp).to(server.url("")).http2_prior_knowledge(true).build().unwrap();
    let front = Server::bind(Protocol::Mptcp, "127.0.0.1:0".parse().unwrap()).unwrap();
    let url = format!("http://{}", front.local_addr().unwrap());
    tokio::spawn(front.run(proxy, std::future::pending()));

    let endpoint = Endpoint::try_from(url).unwrap();
    let channel = endpoint.connect_with_connector(Connector::new(Protocol::Mptcp)).await.unwrap();
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.unwrap();
    let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
    let messages = futures_util::stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|message| (message, receiver))
    });
    sender.send(Bytes::from_static(b"first")).await.unwrap();
    let path = "/test.Echo/Call".parse().unwrap();
    let answers = client.streaming(tonic::Request::new(messages), path, Raw).await.unwrap();
    let mut answers = answers.into_inner();
    // Each message is sent after the answer to the one before.
    assert_eq!(answers.message().await.unwrap().unwrap(), "first");
    sender.send(Bytes::from_static(b"second")).await.unwrap();
    assert_eq!(answers.message().await.unwrap().unwrap(), "second");
    drop(sender);
    // Without its trailers a call would fail here.
    assert!(answers.message().await.unwrap().is_none());
}
