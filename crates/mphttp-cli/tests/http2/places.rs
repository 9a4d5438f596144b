//! Where the cases run: servers in this process, and programs of their own for what floods them or passes them on.

use std::{
    convert::Infallible,
    future::{pending, poll_fn},
    net::SocketAddr,
    pin::Pin,
    time::Duration,
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version};
use http_body::Body as _;
use http_cases::http2::{LONGEST_HEAD, MOST_STREAMS, frame::LARGE_BYTES};
use mphttp::{
    Body, Protocol, Server,
    server::{RequestBody, service_fn},
    tls::ServerTls,
};
use tokio::runtime::Runtime;

/// A limit that cases wait for.
const SHORT: Duration = Duration::from_secs(1);

/// Longer, so that a client on a busy machine can ask once more, or take something.
const LONGER: Duration = Duration::from_secs(3);

/// Servers in this process, until it ends.
pub struct Servers {
    pub calm: SocketAddr,
    pub impatient: SocketAddr,
    pub tls: SocketAddr,
    _runtime: Runtime,
}

impl Servers {
    pub fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let start = |change: fn(Server) -> Server| {
            let _inside = runtime.enter();
            let server = change(bind().max_concurrent_streams(MOST_STREAMS).max_header_bytes(LONGEST_HEAD));
            let address = server.local_addr().unwrap();
            runtime.spawn(server.run(service_fn(answer), pending()));
            address
        };
        let calm = start(|server| server);
        let impatient = start(|server| {
            server.header_read_timeout(SHORT).write_timeout(LONGER).keep_alive_timeout(LONGER)
        });
        let tls = start(|server| server.tls(ServerTls::self_signed(["127.0.0.1"]).unwrap()));
        Self { calm, impatient, tls, _runtime: runtime }
    }
}

pub fn bind() -> Server {
    Server::bind(Protocol::Mptcp, "127.0.0.1:0".parse().unwrap()).unwrap()
}

/// What the requests of the tables say of themselves.
async fn answer(request: Request<RequestBody>) -> Result<Response<Body>, Infallible> {
    match request.uri().path() {
        "/never" => pending().await,
        "/large" => return Ok(Response::new(Body::from(vec![b'a'; LARGE_BYTES]))),
        _ if request.method() == Method::CONNECT => {
            let mut response = Response::new(Body::from("no tunnels\n"));
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            return Ok(response);
        }
        _ => {}
    }
    let version = request.version();
    let mut response = Response::new(Body::from("hello"));
    if collect(request.into_body()).await.is_none() {
        // Nobody gets it: the stream has failed.
        *response.status_mut() = StatusCode::BAD_REQUEST;
    }
    if version == Version::HTTP_2 {
        // More than a static table holds.
        response.headers_mut().insert("x-spoken", http::HeaderValue::from_static("HTTP/2"));
    }
    Ok(response)
}

/// A body; nothing if it breaks off.
pub async fn collect(mut body: RequestBody) -> Option<Vec<u8>> {
    let mut whole = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        whole.extend_from_slice(&frame.ok()?.into_data().unwrap_or_else(|_| Bytes::new()));
    }
    Some(whole)
}

/// Whom a test of TLS believes: everybody, for it is not about that.
pub fn trusting() -> rustls::ClientConfig {
    #[derive(Debug)]
    struct Anybody;
    use rustls::{
        DigitallySignedStruct, Error, SignatureScheme,
        client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        pki_types::{CertificateDer, ServerName, UnixTime},
    };
    impl ServerCertVerifier for Anybody {
        fn verify_server_cert(
            &self,
            _: &CertificateDer<'_>,
            _: &[CertificateDer<'_>],
            _: &ServerName<'_>,
            _: &[u8],
            _: UnixTime,
        ) -> Result<ServerCertVerified, Error> {
            Ok(ServerCertVerified::assertion())
        }

        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn verify_tls13_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Ok(HandshakeSignatureValid::assertion())
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            let provider = rustls::crypto::aws_lc_rs::default_provider();
            provider.signature_verification_algorithms.supported_schemes()
        }
    }
    rustls::ClientConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(std::sync::Arc::new(Anybody))
        .with_no_client_auth()
}
