//! TLS to endpoints: always verified.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};
use tokio_rustls::TlsConnector;

/// The file of extra certificate authorities cannot be used.
#[derive(Debug)]
pub struct TlsError {
    path: PathBuf,
    reason: String,
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hooks.tls_ca_file {}: {}", self.path.display(), self.reason)
    }
}

impl std::error::Error for TlsError {}

/// Trusts Mozilla's roots, and the certificates of `extra` beside them.
pub(crate) fn connector(extra: Option<&Path>) -> Result<TlsConnector, TlsError> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(path) = extra {
        let refuse = |reason: String| TlsError { path: path.to_owned(), reason };
        let before = roots.len();
        for certificate in CertificateDer::pem_file_iter(path).map_err(|error| refuse(error.to_string()))? {
            let certificate = certificate.map_err(|error| refuse(error.to_string()))?;
            roots.add(certificate).map_err(|error| refuse(error.to_string()))?;
        }
        if roots.len() == before {
            return Err(refuse("holds no certificate in PEM form".into()));
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the suites of every protocol version that is on by default")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
