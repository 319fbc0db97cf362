//! TLS: a certificate and key from PEM files.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

/// TLS as the server offers it.
pub struct Tls {
    /// Accepts encrypted connections.
    pub acceptor: TlsAcceptor,
    /// The certificates as PEM, for channel binding.
    pub certificate: Arc<[u8]>,
}

impl Tls {
    /// Reads a certificate chain and its key.
    ///
    /// # Errors
    /// When a file cannot be read or is not PEM, or the two do not fit.
    pub fn new(certificate: &Path, key: &Path) -> Result<Tls> {
        let pem = std::fs::read(certificate).with_context(|| format!("cannot read {}", certificate.display()))?;
        let chain = CertificateDer::pem_slice_iter(&pem)
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("{} is not a PEM certificate", certificate.display()))?;
        let key =
            PrivateKeyDer::from_pem_file(key).with_context(|| format!("{} is not a PEM private key", key.display()))?;
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .context("the TLS certificate and key do not fit")?;
        Ok(Tls {
            acceptor: TlsAcceptor::from(Arc::new(config)),
            certificate: pem.into(),
        })
    }
}
