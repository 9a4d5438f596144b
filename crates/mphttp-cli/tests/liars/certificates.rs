//! A root of the tests' own, and certificates that it has, or has not, signed.

use std::{fs, sync::Arc};

use http_cases::liars::Port;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::{
    ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer},
};

/// The root, and one that only calls itself so.
pub struct Certificates {
    issuer: Issuer<'static, KeyPair>,
    forger: Issuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Certificates {
    pub fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, "root of the tests");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), params.self_signed(&key).unwrap().pem()).unwrap();
        let forger = Issuer::new(params.clone(), KeyPair::generate().unwrap());
        Self { issuer: Issuer::new(params, key), forger, file }
    }

    pub fn root_file(&self) -> String {
        self.file.path().to_str().unwrap().to_owned()
    }

    /// The configuration of a server on such a port.
    pub fn config(&self, port: Port) -> Arc<ServerConfig> {
        let name = if port == Port::TlsOtherName { "other.example" } else { "localhost" };
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        match port {
            Port::TlsExpired => params.not_after = date_time_ymd(2001, 1, 1),
            Port::TlsNotYet => params.not_before = date_time_ymd(4000, 1, 1),
            _ => {}
        }
        let key = KeyPair::generate().unwrap();
        let certificate: CertificateDer<'static> = match port {
            Port::TlsSelfSigned => params.self_signed(&key).unwrap().der().clone(),
            Port::TlsForged => params.signed_by(&key, &self.forger).unwrap().der().clone(),
            _ => params.signed_by(&key, &self.issuer).unwrap().der().clone(),
        };
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        if port == Port::TlsHttp2 {
            config.alpn_protocols = vec![b"h2".to_vec()];
        }
        config.into()
    }
}
