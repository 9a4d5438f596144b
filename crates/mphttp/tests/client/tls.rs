//! TLS: who is trusted, what a failure says, and which HTTP is negotiated.

use http::Version;
use mphttp::{
    Error, Protocol,
    client::ClientBuilder,
    tls::{ClientTls, ServerTls, TlsProblem},
};

use super::support::{Served, direct, serve, text};

/// A server known by a certificate for these names, and that certificate.
async fn secure(names: &[&str]) -> (Served, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let certificate = rcgen::CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (chain, private) = (directory.path().join("chain.pem"), directory.path().join("key.pem"));
    std::fs::write(&chain, certificate.pem()).unwrap();
    std::fs::write(&private, key.serialize_pem()).unwrap();
    let tls = ServerTls::from_pem_files(&chain, &private).unwrap();
    let server =
        serve(Protocol::Mptcp, Some(tls), |request| async move { text(format!("{:?}", request.version())) });
    (server.await, certificate.pem())
}

fn client() -> ClientBuilder {
    // The system's roots are no part of what is tested here.
    direct().tls(ClientTls::new().without_system_roots(true))
}

fn url(server: &Served, host: &str) -> String {
    format!("https://{host}:{}/", server.address.port())
}

async fn problem(builder: ClientBuilder, url: String) -> (TlsProblem, String) {
    let error = builder.build().unwrap().get(url).send().await.unwrap_err();
    let text = error.to_string();
    let Error::Tls { problem, .. } = error else { panic!("{error:?}") };
    (problem, text)
}

#[tokio::test]
async fn http2_is_negotiated_over_mptcp_with_a_root_of_ones_own() {
    let (server, pem) = secure(&["localhost"]).await;
    let trusting = || client().add_root_certificate_pem(&pem).unwrap();
    let response = trusting().build().unwrap().get(url(&server, "localhost")).send().await.unwrap();
    assert_eq!(response.version(), Version::HTTP_2);
    assert!(response.transport().is_mptcp());
    assert_eq!(response.text().await.unwrap(), "HTTP/2.0");
    let response =
        trusting().http1_only().build().unwrap().get(url(&server, "localhost")).send().await.unwrap();
    assert_eq!(response.version(), Version::HTTP_11);
}

#[tokio::test]
async fn an_address_can_be_what_a_certificate_is_for() {
    let (server, pem) = secure(&["127.0.0.1"]).await;
    let trusting = client().add_root_certificate_pem(&pem).unwrap().build().unwrap();
    assert!(trusting.get(url(&server, "127.0.0.1")).send().await.is_ok());
}

#[tokio::test]
async fn a_certificate_for_another_name_is_refused_with_the_name() {
    let (server, pem) = secure(&["other.example"]).await;
    let (problem, text) =
        problem(client().add_root_certificate_pem(&pem).unwrap(), url(&server, "localhost")).await;
    assert!(matches!(problem, TlsProblem::NameMismatch { .. }), "{problem:?}");
    assert!(text.contains("the certificate is for other.example;"), "{text}");
}

#[tokio::test]
async fn a_certificate_of_nobody_trusted_is_refused_unless_that_is_accepted() {
    let (server, _) = secure(&["localhost"]).await;
    let (problem, text) = problem(client(), url(&server, "localhost")).await;
    assert_eq!(problem, TlsProblem::UnknownIssuer);
    assert!(text.contains("--cacert"), "{text}");
    let careless = client().danger_accept_invalid_certs(true).build().unwrap();
    let response = careless.get(url(&server, "localhost")).send().await.unwrap();
    assert_eq!(response.text().await.unwrap(), "HTTP/2.0");
}

#[tokio::test]
async fn an_expired_certificate_says_so() {
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2001, 1, 1);
    params.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let certificate = params.self_signed(&key).unwrap();
    let config =
        rustls::ServerConfig::builder_with_provider(rustls::crypto::aws_lc_rs::default_provider().into())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
            )
            .unwrap();
    let tls = ServerTls::from_config(config.into());
    let server = serve(Protocol::Tcp, Some(tls), |_| async { text("x") }).await;
    let trusting = client().add_root_certificate_pem(certificate.pem()).unwrap();
    assert_eq!(problem(trusting, url(&server, "localhost")).await.0, TlsProblem::Expired);
}

#[tokio::test]
async fn a_port_without_tls_is_recognised() {
    let closing = super::support::script(|mut stream| {
        let _ = std::io::Read::read(&mut stream, &mut [0; 1000]);
    });
    let chatty = super::support::script(|mut stream| {
        let _ = std::io::Write::write_all(&mut stream, b"220 mail.example ESMTP\r\n");
        super::support::read_head(&mut stream);
    });
    assert!(!problem(client(), format!("https://{closing}/")).await.0.is_certificate());
    assert_eq!(problem(client(), format!("https://{chatty}/")).await.0, TlsProblem::NotTls);
}
