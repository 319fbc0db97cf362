//! Encrypted connections. The certificate beside this file is for this test alone: self-signed, for localhost.

#![allow(clippy::unwrap_used, reason = "a test: a panic is how it fails")]

mod client;

use std::path::Path;
use std::sync::Arc;

use client::{Client, Node};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/tls")
        .join(name)
        .display()
        .to_string()
}

fn connector() -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_file(file("cert.pem")).unwrap())
        .unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_can_be_encrypted() {
    let node = Node::start_with(&["--tls-cert", &file("cert.pem"), "--tls-key", &file("key.pem")]).await;
    let mut client = Client::open(node.running.sql).await;
    client
        .write(&[&8_u32.to_be_bytes()[..], &80_877_103_u32.to_be_bytes()].concat())
        .await;
    assert_eq!(client.stream.read_u8().await.unwrap(), b'S');
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector().connect(name, client.stream).await.unwrap();
    let parameters = b"\0\x03\0\0user\0cambium\0\0";
    stream
        .write_all(&[&(parameters.len() as u32 + 4).to_be_bytes()[..], parameters].concat())
        .await
        .unwrap();
    let mut answer = [0; 9];
    stream.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"R\0\0\0\x08\0\0\0\0");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_before_encryption_are_refused() {
    let node = Node::start_with(&["--tls-cert", &file("cert.pem"), "--tls-key", &file("key.pem")]).await;
    let mut client = Client::open(node.running.sql).await;
    client
        .write(&[&8_u32.to_be_bytes()[..], &80_877_103_u32.to_be_bytes(), b"early"].concat())
        .await;
    let error = client.read().await.unwrap();
    assert_eq!((error.tag, error.text().as_str()), ('E', "08P01"));
}
