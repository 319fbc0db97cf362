//! Security: who may connect to a node, and how the bytes are protected on the way.
//!
//! With certificates, both ends show one of the cluster's authority (mTLS). A certificate is valid for two DNS names,
//! which exist nowhere else:
//!
//! ```text
//!   node-3.NAME.cambium    this very node: asked for when node 3 is called, and when somebody says to be node 3
//!   NAME.cambium           some node of the cluster NAME: asked for when a new node calls the first time
//! ```
//!
//! Without certificates, nodes listen on and connect to loopback addresses only, unless the operator says otherwise.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, ServerConfig};

use crate::types::NodeId;

/// Names of files in a directory of certificates.
pub const CA_CERTIFICATE_FILE: &str = "ca.crt";
/// The node's chain.
pub const NODE_CERTIFICATE_FILE: &str = "node.crt";
/// The node's key.
pub const NODE_KEY_FILE: &str = "node.key";

/// The end of all names.
const SUFFIX: &str = ".cambium";

/// Name in certificates of a node of a cluster.
pub fn node_name(node: NodeId, cluster: &str) -> String {
    format!("node-{node}.{cluster}{SUFFIX}")
}

/// Name in certificates of every node of a cluster.
pub fn cluster_name(cluster: &str) -> String {
    format!("{cluster}{SUFFIX}")
}

/// How nodes protect their connections.
#[derive(Clone)]
pub enum Security {
    /// Not at all; loopback addresses only.
    Loopback,
    /// Not at all, and the operator has said so: the network is trusted.
    Insecure,
    /// mTLS.
    Certificates(Arc<Certificates>),
}

impl Security {
    /// Refuses addresses that need protection and have none.
    ///
    /// # Errors
    /// With what to do about it.
    pub fn check(&self, address: SocketAddr) -> Result<(), SecurityError> {
        match self {
            Security::Loopback if !address.ip().is_loopback() => Err(SecurityError::Unprotected(address)),
            Security::Loopback | Security::Insecure | Security::Certificates(_) => Ok(()),
        }
    }
}

/// Why certificates cannot be used, or a connection is not made without them.
#[derive(Debug, thiserror::Error)]
pub enum SecurityError {
    /// Nodes speak plain text on loopback only.
    #[error(
        "{0} is not a loopback address: nodes need certificates there (cambium cert create-ca, cambium cert create-node; \
         --certs DIR), or --insecure-node-port on a trusted network"
    )]
    Unprotected(SocketAddr),
    /// A file is missing or is not what it should be.
    #[error("{0}: {1}")]
    File(String, String),
    /// Certificate, key and authority do not belong together.
    #[error("the node's certificate cannot be used: {0}")]
    Unusable(String),
    /// A certificate of something else.
    #[error("the certificate does not name a node of a cluster; make one with cambium cert create-node")]
    NotNode,
}

/// A node's certificate, key and authority, ready for use.
pub struct Certificates {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
    /// Name of the cluster.
    pub cluster: String,
    /// The node it was made for.
    pub node: NodeId,
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(&node_name(self.node, &self.cluster))
    }
}

impl Certificates {
    /// Reads a directory of certificates.
    ///
    /// # Errors
    /// A file is missing or not PEM, or they do not belong together.
    pub fn load(directory: &Path) -> Result<Certificates, SecurityError> {
        let read = |name: &str| {
            let path = directory.join(name);
            std::fs::read(&path).map_err(|error| SecurityError::File(path.display().to_string(), error.to_string()))
        };
        Self::from_pem(
            &read(CA_CERTIFICATE_FILE)?,
            &read(NODE_CERTIFICATE_FILE)?,
            &read(NODE_KEY_FILE)?,
        )
    }

    /// Of PEM texts.
    ///
    /// # Errors
    /// They are not PEM, or do not belong together.
    pub fn from_pem(authority: &[u8], certificate: &[u8], key: &[u8]) -> Result<Certificates, SecurityError> {
        let unusable = |error: &dyn std::fmt::Display| SecurityError::Unusable(error.to_string());
        let mut roots = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(authority) {
            let root = root.map_err(|error| unusable(&error))?;
            roots.add(root).map_err(|error| unusable(&error))?;
        }
        let roots = Arc::new(roots);
        let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(certificate).collect();
        let chain = chain.map_err(|error| unusable(&error))?;
        let (node, cluster) = chain.first().and_then(names).ok_or(SecurityError::NotNode)?;
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|error| unusable(&error))?;
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
            .build()
            .map_err(|error| unusable(&error))?;
        let mut server = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain.clone(), key.clone_key())
            .map_err(|error| unusable(&error))?;
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| unusable(&error))?;
        server.alpn_protocols = vec![b"h2".to_vec()];
        client.alpn_protocols = vec![b"h2".to_vec()];
        Ok(Certificates {
            server: Arc::new(server),
            client: Arc::new(client),
            cluster,
            node,
        })
    }

    /// The name a called node must have a certificate for.
    pub(crate) fn expected(&self, node: Option<NodeId>) -> Result<ServerName<'static>, SecurityError> {
        let name = match node {
            Some(node) => node_name(node, &self.cluster),
            None => cluster_name(&self.cluster),
        };
        ServerName::try_from(name).map_err(|error| SecurityError::Unusable(error.to_string()))
    }

    /// Whether a caller's certificate, which the authority has signed, is for the node it says it is; a process that is no
    /// node yet needs any of the cluster.
    pub(crate) fn is_for(&self, certificate: &CertificateDer<'_>, node: Option<NodeId>) -> bool {
        let (Ok(certificate), Ok(name)) = (webpki::EndEntityCert::try_from(certificate), self.expected(node)) else {
            return false;
        };
        certificate.verify_is_valid_for_subject_name(&name).is_ok()
    }
}

/// Node and cluster of a certificate.
fn names(certificate: &CertificateDer<'_>) -> Option<(NodeId, String)> {
    let certificate = webpki::EndEntityCert::try_from(certificate).ok()?;
    certificate.valid_dns_names().find_map(|name| {
        let (node, cluster) = name.strip_suffix(SUFFIX)?.strip_prefix("node-")?.split_once('.')?;
        Some((node.parse().ok()?, cluster.to_owned()))
    })
}

/// Name of the cluster an authority's certificate (PEM) was made for, if it is one of ours.
pub fn cluster_of_authority(pem: &[u8]) -> Option<String> {
    let certificate = CertificateDer::from_pem_slice(pem).ok()?;
    let certificate = webpki::EndEntityCert::try_from(&certificate).ok()?;
    let name = certificate.valid_dns_names().next()?;
    Some(name.strip_suffix(SUFFIX)?.to_owned())
}
