//! Whom a client trusts: the system's roots, one's own, or, on demand, anybody; and what a failure means.

use std::{
    fmt, io,
    sync::{Arc, OnceLock},
};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject},
};

use crate::Error;

/// TLS of a client: rustls with aws-lc-rs, TLS 1.2 and 1.3.
///
/// The system's roots are read once a process, when they are first needed: no client that only speaks `http://`
/// pays for them.
#[derive(Clone, Debug, Default)]
pub struct ClientTls {
    own_roots: Vec<CertificateDer<'static>>,
    without_system_roots: bool,
    accept_invalid: bool,
}

impl ClientTls {
    /// Trusts the system's roots.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Trusts these certificates as well: one or more in PEM, roots or a server's own self-signed one.
    ///
    /// # Errors
    /// [`Error::TlsSetup`] if there is none in it, or a broken one.
    pub fn add_root_certificate_pem(mut self, pem: &[u8]) -> Result<Self, Error> {
        let before = self.own_roots.len();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate
                .map_err(|error| Error::TlsSetup(format!("a root certificate is not valid PEM: {error}")))?;
            // Found out now, with the caller at hand, and not at the first connection.
            RootCertStore::empty().add(certificate.clone()).map_err(|error| {
                Error::TlsSetup(format!("a root certificate can't be used as one: {error}"))
            })?;
            self.own_roots.push(certificate);
        }
        if self.own_roots.len() == before {
            return Err(Error::TlsSetup("there is no certificate in the PEM text given as root".into()));
        }
        Ok(self)
    }

    /// Trusts only certificates added with [`ClientTls::add_root_certificate_pem`].
    #[must_use]
    pub fn without_system_roots(mut self, yes: bool) -> Self {
        self.without_system_roots = yes;
        self
    }

    /// Accepts any certificate. Whoever is on the way can then read and change everything: for tests only.
    #[must_use]
    pub fn danger_accept_invalid_certs(mut self, yes: bool) -> Self {
        self.accept_invalid = yes;
        self
    }

    /// The configuration for rustls, offering these protocols by ALPN (RFC 7301).
    ///
    /// # Errors
    /// [`Error::TlsSetup`] if the library refuses it.
    pub fn config(&self, alpn: &[&[u8]]) -> Result<ClientConfig, Error> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::TlsSetup(error.to_string()))?;
        let mut config = if self.accept_invalid {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AcceptAny(provider)))
                .with_no_client_auth()
        } else {
            let mut roots = RootCertStore::empty();
            if !self.without_system_roots {
                roots.roots.extend(system_roots().roots.iter().cloned());
            }
            roots.add_parsable_certificates(self.own_roots.iter().cloned());
            builder.with_root_certificates(roots).with_no_client_auth()
        };
        config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }
}

/// The system's roots. None at all is no error here: the first handshake that needs one says so.
fn system_roots() -> &'static RootCertStore {
    static ROOTS: OnceLock<RootCertStore> = OnceLock::new();
    ROOTS.get_or_init(|| {
        let found = rustls_native_certs::load_native_certs();
        for error in &found.errors {
            tracing::debug!(%error, "a system root certificate can't be read");
        }
        let mut roots = RootCertStore::empty();
        let (added, ignored) = roots.add_parsable_certificates(found.certs);
        tracing::debug!(added, ignored, "read the system's root certificates");
        roots
    })
}

/// Accepts any certificate, but still checks that the peer holds its key.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What is wrong with a TLS connection.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TlsProblem {
    /// The certificate is for other names.
    NameMismatch {
        /// The names that it is for, as far as they are known.
        presented: Vec<String>,
    },
    /// Nobody who is trusted has signed it.
    UnknownIssuer,
    /// Its time is over.
    Expired,
    /// Its time has not come.
    NotYetValid,
    /// It was revoked.
    Revoked,
    /// Another fault of the certificate.
    Certificate(String),
    /// The peer does not speak TLS on this port.
    NotTls,
    /// The peer and we have no version, cipher or protocol in common, or it ended the handshake.
    Handshake(String),
}

impl TlsProblem {
    /// Whether it is the certificate that is at fault, rather than the handshake.
    #[must_use]
    pub const fn is_certificate(&self) -> bool {
        !matches!(self, Self::NotTls | Self::Handshake(_))
    }

    /// What a failed handshake's error stands for.
    pub(crate) fn of(error: &io::Error) -> Self {
        let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
            return Self::Handshake(match error.kind() {
                io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                    "the peer closed the connection during the handshake".into()
                }
                _ => error.to_string(),
            });
        };
        match error {
            rustls::Error::InvalidCertificate(fault) => match fault {
                CertificateError::NotValidForName => Self::NameMismatch { presented: Vec::new() },
                CertificateError::NotValidForNameContext { presented, .. } => {
                    Self::NameMismatch { presented: presented.clone() }
                }
                CertificateError::UnknownIssuer => Self::UnknownIssuer,
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => Self::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::NotYetValid
                }
                CertificateError::Revoked => Self::Revoked,
                other => Self::Certificate(other.to_string()),
            },
            rustls::Error::InvalidMessage(_) => Self::NotTls,
            other => Self::Handshake(other.to_string()),
        }
    }
}

impl fmt::Display for TlsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NameMismatch { presented } => {
                f.write_str("the certificate is for ")?;
                match presented.as_slice() {
                    [] => f.write_str("another name")?,
                    // What rustls tells are debug forms: DnsName("a.example").
                    names => {
                        f.write_str(&names.iter().map(|name| plain(name)).collect::<Vec<_>>().join(", "))?
                    }
                }
                f.write_str("; use the name it was made for, or get one for this name")
            }
            Self::UnknownIssuer => f.write_str(
                "nobody trusted has signed the certificate; if it is your own, name its root (--cacert, \
                 add_root_certificate_pem)",
            ),
            Self::Expired => {
                f.write_str("the certificate has expired; renew it, and check this host's clock")
            }
            Self::NotYetValid => f.write_str("the certificate is not valid yet; check this host's clock"),
            Self::Revoked => f.write_str("the certificate was revoked; get a new one"),
            Self::Certificate(fault) => {
                write!(f, "the certificate can't be used: {fault}; tell whoever runs the server")
            }
            Self::NotTls => f.write_str("the peer does not speak TLS there; try http:// or another port"),
            Self::Handshake(fault) => write!(f, "{fault}; check that the server speaks TLS 1.2 or 1.3 there"),
        }
    }
}

/// The name within a debug form such as `DnsName("a.example")`.
fn plain(name: &str) -> &str {
    name.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_without_a_certificate_is_refused_at_once() {
        for pem in ["", "not PEM", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
            let error = ClientTls::new().add_root_certificate_pem(pem.as_bytes()).unwrap_err();
            assert!(matches!(error, Error::TlsSetup(_)), "{pem:?}: {error}");
        }
    }

    #[test]
    fn a_mismatch_names_the_names_that_would_do() {
        let presented = vec!["DnsName(\"a.example\")".to_owned(), "IpAddress(127.0.0.1)".to_owned()];
        let text = TlsProblem::NameMismatch { presented }.to_string();
        assert!(text.contains("is for a.example, IpAddress(127.0.0.1);"), "{text}");
    }
}
