//! The server's half: a certificate with its key, from files or made on the spot.

use std::{
    fmt::{self, Write as _},
    path::Path,
    sync::Arc,
};

use rustls::{
    InconsistentKeys, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, pem, pem::PemObject},
    sign::CertifiedKey,
};
use sha2::{Digest, Sha256};

use super::swap::{Files, Swap};
use crate::Error;

/// What a server needs for TLS: a certificate chain and its key. HTTP/2 and HTTP/1.1 are offered by ALPN (RFC 7301).
///
/// Clones share the certificate: [`ServerTls::reload`] on one changes what the servers of all give to new connections.
#[derive(Clone)]
pub struct ServerTls {
    config: Arc<ServerConfig>,
    // None: the configuration is another's, with certificates of its own.
    swap: Option<Arc<Swap>>,
}

impl ServerTls {
    /// Reads a certificate chain (the server's own first) and its private key (PKCS #8, PKCS #1 or SEC 1) in PEM.
    ///
    /// # Errors
    /// [`Error::TlsFile`] with the file and what is wrong: it can't be read, holds no certificate or key, or the
    /// two don't belong together.
    pub fn from_pem_files(certificate: impl AsRef<Path>, key: impl AsRef<Path>) -> Result<Self, Error> {
        let files = Files::new(certificate.as_ref().to_owned(), key.as_ref().to_owned());
        let pair = read_pair(&files.certificate, &files.key)?;
        Self::from_swap(Swap::new(pair, Some(files))).map_err(|error| Error::TlsSetup(error.to_string()))
    }

    /// Reads the files of [`ServerTls::from_pem_files`] again. New connections get what is in them now; those that exist
    /// live on. Whether the certificate is another one than before: never for one that came from no files.
    ///
    /// The files are read on the calling thread.
    ///
    /// # Errors
    /// Those of [`ServerTls::from_pem_files`]; the certificate is then the one it was.
    pub fn reload(&self) -> Result<bool, Error> {
        let Some((swap, files)) = self.files() else { return Ok(false) };
        files.reading();
        Ok(swap.put(read_pair(&files.certificate, &files.key)?))
    }

    /// [Reloads](Self::reload) if a file is another one, or has another length or time of change, than when it was
    /// last read, and both look as they did at the call before: a pair that is just being written is let be. To be
    /// called every few seconds. An error is told once, until a file changes again.
    ///
    /// # Errors
    /// As for [`ServerTls::reload`].
    pub fn reload_if_changed(&self) -> Result<bool, Error> {
        match self.files() {
            Some((_, files)) if files.changed() => self.reload(),
            _ => Ok(false),
        }
    }

    /// Whether it came from files, and [`ServerTls::reload`] can do anything.
    #[must_use]
    pub fn has_files(&self) -> bool {
        self.files().is_some()
    }

    fn files(&self) -> Option<(&Swap, &Files)> {
        let swap = self.swap.as_deref()?;
        Some((swap, swap.files.as_ref()?))
    }

    /// Makes a key and a self-signed certificate for host names and IP addresses. Clients can't verify it but by
    /// its [fingerprint](Self::fingerprint): for tests and for one's own network.
    ///
    /// # Errors
    /// [`Error::TlsSetup`] if a name is none.
    pub fn self_signed(names: impl IntoIterator<Item = impl Into<String>>) -> Result<Self, Error> {
        let setup = |error: rcgen::Error| Error::TlsSetup(format!("no self-signed certificate: {error}"));
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let title = names.first().cloned().unwrap_or_else(|| "mphttp".to_owned());
        let mut params = rcgen::CertificateParams::new(names).map_err(setup)?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, title);
        // Apple's and others' clients demand both of any server certificate, trusted by hand or not.
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
        let now = time::OffsetDateTime::now_utc();
        (params.not_before, params.not_after) = (now - time::Duration::DAY, now + 365 * time::Duration::DAY);
        let key = rcgen::KeyPair::generate().map_err(setup)?;
        let certificate = params.self_signed(&key).map_err(setup)?;
        let private = PrivatePkcs8KeyDer::from(key.serialize_der());
        certified(vec![certificate.der().clone()], private.into())
            .and_then(|pair| Self::from_swap(Swap::new(pair, None)))
            .map_err(|error| Error::TlsSetup(error.to_string()))
    }

    /// Takes a complete configuration: client certificates, several names, other ciphers. Its ALPN protocols stand;
    /// give it `h2` and `http/1.1` for both.
    #[must_use]
    pub fn from_config(config: Arc<ServerConfig>) -> Self {
        Self { config, swap: None }
    }

    fn from_swap(swap: Swap) -> Result<Self, rustls::Error> {
        let swap = Arc::new(swap);
        // Named, not the process's default: a program that never chose one must not panic here.
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&swap) as Arc<_>);
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { config: Arc::new(config), swap: Some(swap) })
    }

    /// SHA-256 of the server's own certificate, the one that new connections get, as `AB:CD:…`, the form that browsers and `openssl x509
    /// -fingerprint -sha256` show; `None` for [`ServerTls::from_config`].
    #[must_use]
    pub fn fingerprint(&self) -> Option<String> {
        let pair = self.swap.as_ref()?.current();
        let mut text = String::with_capacity(95);
        for (index, byte) in Sha256::digest(pair.cert.first()?).iter().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            let _ = write!(text, "{colon}{byte:02X}");
        }
        Some(text)
    }

    /// The configuration, for servers other than ours.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }
}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

/// A chain and its key, which belong together.
fn read_pair(certificate: &Path, key: &Path) -> Result<CertifiedKey, Error> {
    let chain = read_chain(certificate)?;
    let private = PrivateKeyDer::from_pem_file(key)
        .map_err(|error| file_error(key, &error, "no private key in it (PEM, not encrypted, is needed)"))?;
    certified(chain, private).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => Error::TlsFile {
            path: key.to_owned(),
            what: format!("the key does not belong to the certificate in {}", certificate.display()),
        },
        rustls::Error::InvalidCertificate(why) => Error::TlsFile {
            path: certificate.to_owned(),
            what: format!("the certificate can't be used: {why}"),
        },
        other => Error::TlsFile { path: key.to_owned(), what: format!("the key can't be used: {other}") },
    })
}

fn certified(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<CertifiedKey, rustls::Error> {
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    const NONE: &str = "no certificate in it (PEM is needed)";
    let certificates = CertificateDer::pem_file_iter(path).map_err(|error| file_error(path, &error, NONE))?;
    let chain: Vec<_> =
        certificates.collect::<Result<_, _>>().map_err(|error| file_error(path, &error, NONE))?;
    if chain.is_empty() {
        return Err(Error::TlsFile { path: path.to_owned(), what: NONE.to_owned() });
    }
    Ok(chain)
}

fn file_error(path: &Path, error: &pem::Error, none: &str) -> Error {
    let what = match error {
        pem::Error::Io(error) => format!("can't read it: {error}"),
        pem::Error::NoItemsFound => none.to_owned(),
        other => format!("not valid PEM: {other}"),
    };
    Error::TlsFile { path: path.to_owned(), what }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn pem_pair(dir: &Path, stem: &str) -> (std::path::PathBuf, std::path::PathBuf) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (dir.join(format!("{stem}.crt")), dir.join(format!("{stem}.key")));
        fs::write(&certificate, made.cert.pem()).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        (certificate, key)
    }

    fn says(result: Result<ServerTls, Error>, file: &Path, what: &str) {
        let text = result.unwrap_err().to_string();
        assert!(text.starts_with(&format!("{}: ", file.display())) && text.contains(what), "{text}");
    }

    #[test]
    fn a_pair_that_belongs_together_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = pem_pair(dir.path(), "a");
        let tls = ServerTls::from_pem_files(&certificate, &key).unwrap();
        assert_eq!(tls.config().alpn_protocols, [b"h2".to_vec(), b"http/1.1".to_vec()]);
        let fingerprint = tls.fingerprint().unwrap();
        assert_eq!(fingerprint.len(), 95);
        assert_eq!(fingerprint.split(':').count(), 32);
    }

    #[test]
    fn an_error_names_the_file_and_what_is_wrong_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = pem_pair(dir.path(), "a");
        let (_, other_key) = pem_pair(dir.path(), "b");
        let missing = dir.path().join("missing");
        let garbage = dir.path().join("garbage");
        fs::write(&garbage, "-----BEGIN CERTIFICATE-----\n!!!\n-----END CERTIFICATE-----\n").unwrap();
        says(ServerTls::from_pem_files(&missing, &key), &missing, "can't read it");
        says(ServerTls::from_pem_files(&certificate, &missing), &missing, "can't read it");
        says(ServerTls::from_pem_files(&key, &key), &key, "no certificate in it");
        says(ServerTls::from_pem_files(&certificate, &certificate), &certificate, "no private key in it");
        says(ServerTls::from_pem_files(&garbage, &key), &garbage, "not valid PEM");
        says(ServerTls::from_pem_files(&certificate, &other_key), &other_key, "does not belong to");
    }

    #[test]
    fn a_pair_is_read_again_once_it_has_changed_and_rests() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = pem_pair(dir.path(), "a");
        let (next_certificate, next_key) = pem_pair(dir.path(), "b");
        let tls = ServerTls::from_pem_files(&certificate, &key).unwrap();
        let first = tls.fingerprint().unwrap();
        assert!(!tls.reload_if_changed().unwrap() && !tls.reload().unwrap());

        // Half of it: seen to have changed, then at rest, and refused once.
        fs::rename(&next_certificate, &certificate).unwrap();
        assert!(!tls.reload_if_changed().unwrap());
        says(tls.reload_if_changed().map(|_| tls.clone()), &key, "does not belong to");
        assert!(!tls.reload_if_changed().unwrap(), "told twice");
        assert_eq!(tls.fingerprint().unwrap(), first);

        // The other half.
        fs::rename(&next_key, &key).unwrap();
        assert!(!tls.reload_if_changed().unwrap());
        assert!(tls.reload_if_changed().unwrap());
        assert_ne!(tls.clone().fingerprint().unwrap(), first);

        fs::remove_file(&key).unwrap();
        says(tls.reload().map(|_| tls.clone()), &key, "can't read it");
        let own = ServerTls::self_signed(["localhost"]).unwrap();
        assert!(tls.has_files() && !own.has_files() && !own.reload().unwrap());
    }

    #[test]
    fn a_self_signed_certificate_takes_names_and_addresses() {
        let tls = ServerTls::self_signed(["localhost", "127.0.0.1", "::1"]).unwrap();
        assert!(tls.fingerprint().is_some());
        assert!(matches!(ServerTls::self_signed(["näme"]), Err(Error::TlsSetup(_))));
    }
}
