//! Stream: a TCP connection between two nodes, plain or with TLS.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls_pki_types::CertificateDer;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, TlsConnector, TlsStream};
use tonic::transport::server::Connected;

use super::security::Security;
use crate::types::NodeId;

/// How long a connection may take to be made, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection.
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What is known of who called.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) address: Option<SocketAddr>,
    /// Signed by our authority.
    pub(crate) certificate: Option<CertificateDer<'static>>,
}

impl Stream {
    /// Connects to a node, or to any node of the cluster.
    ///
    /// # Errors
    /// Nobody answers, or not who should.
    pub(crate) async fn dial(address: &str, security: &Security, target: Option<NodeId>) -> io::Result<Stream> {
        let dialled = async {
            let candidates: Vec<SocketAddr> = tokio::net::lookup_host(address).await?.collect();
            for candidate in &candidates {
                security.check(*candidate).map_err(io::Error::other)?;
            }
            let stream = TcpStream::connect(&candidates[..]).await?;
            stream.set_nodelay(true)?;
            match security {
                Security::Loopback | Security::Insecure => Ok(Stream::Plain(stream)),
                Security::Certificates(certificates) => {
                    let name = certificates.expected(target).map_err(io::Error::other)?;
                    let connector = TlsConnector::from(certificates.client.clone());
                    let stream = connector.connect(name, stream).await?;
                    Ok(Stream::Tls(Box::new(TlsStream::Client(stream))))
                }
            }
        };
        let timed_out = |_| io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
        tokio::time::timeout(CONNECT_TIMEOUT, dialled)
            .await
            .map_err(timed_out)?
    }

    /// Takes a call.
    ///
    /// # Errors
    /// The caller has no valid certificate, or is no TLS client.
    pub(crate) async fn accept(stream: TcpStream, security: &Security) -> io::Result<Stream> {
        stream.set_nodelay(true)?;
        match security {
            Security::Loopback | Security::Insecure => Ok(Stream::Plain(stream)),
            Security::Certificates(certificates) => {
                let accepting = TlsAcceptor::from(certificates.server.clone()).accept(stream);
                let timed_out = |_| io::Error::new(io::ErrorKind::TimedOut, "no TLS handshake in time");
                let stream = tokio::time::timeout(CONNECT_TIMEOUT, accepting)
                    .await
                    .map_err(timed_out)??;
                Ok(Stream::Tls(Box::new(TlsStream::Server(stream))))
            }
        }
    }
}

impl Connected for Stream {
    type ConnectInfo = Caller;

    fn connect_info(&self) -> Caller {
        match self {
            Stream::Plain(stream) => Caller {
                address: stream.peer_addr().ok(),
                certificate: None,
            },
            Stream::Tls(stream) => {
                let (stream, session) = stream.get_ref();
                let certificates = session.peer_certificates().unwrap_or_default();
                Caller {
                    address: stream.peer_addr().ok(),
                    certificate: certificates.first().map(|first| first.clone().into_owned()),
                }
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write(context, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_write_vectored(context, slices),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_write_vectored(context, slices),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(stream) => stream.is_write_vectored(),
            Stream::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_flush(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Stream::Tls(stream) => Pin::new(stream.as_mut()).poll_shutdown(context),
        }
    }
}
