//! gRPC: our frames as messages of one bidirectional tonic stream, without generated code.

use std::convert::Infallible;
use std::future::Ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures::StreamExt;
use futures::stream::BoxStream;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use tonic::body::Body;
use tonic::codec::{BufferSettings, Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tower_service::Service;

use super::frame::{Frame, MESSAGE_BYTES, MESSAGE_BYTES_MAX};
use super::stream::{Caller, Stream};

/// The only method.
const PATH: &str = "/cambium.Node/Frames";

/// Bytes a receiver takes before the reader has dealt with them: they go ahead of whatever is more urgent.
const WINDOW_BYTES: u32 = 1 << 20;

/// A connection on which nothing moves is asked for a sign of life so often, and has so long to give it.
const PING_INTERVAL: Duration = Duration::from_secs(2);
const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// Frames to be sent, a message at a time.
pub(crate) type Outgoing = BoxStream<'static, Vec<Frame>>;

/// Messages received.
pub(crate) type Incoming = Streaming<Bytes>;

#[derive(Clone, Copy, Default)]
struct FrameCodec;

impl Codec for FrameCodec {
    type Encode = Vec<Frame>;
    type Decode = Bytes;
    type Encoder = FrameCodec;
    type Decoder = FrameCodec;

    fn encoder(&mut self) -> FrameCodec {
        FrameCodec
    }

    fn decoder(&mut self) -> FrameCodec {
        FrameCodec
    }
}

impl Encoder for FrameCodec {
    type Item = Vec<Frame>;
    type Error = Status;

    fn encode(&mut self, frames: Vec<Frame>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.reserve(frames.iter().map(Frame::size).sum());
        for frame in frames {
            frame.encode(buffer);
        }
        Ok(())
    }

    fn buffer_settings(&self) -> BufferSettings {
        // A message is as large as is good already: nothing is gained by waiting for another.
        BufferSettings::new(8 << 10, 1)
    }
}

impl Decoder for FrameCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Hands out a connection that was made already.
struct Connected(Option<Stream>);

impl Service<http::Uri> for Connected {
    type Response = TokioIo<Stream>;
    type Error = std::io::Error;
    type Future = Ready<Result<TokioIo<Stream>, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: http::Uri) -> Self::Future {
        // The channel would reconnect; we begin anew instead.
        let lost = || std::io::Error::new(std::io::ErrorKind::ConnectionReset, "the connection is lost");
        std::future::ready(self.0.take().map(TokioIo::new).ok_or_else(lost))
    }
}

/// Opens the stream of frames over a connection.
///
/// # Errors
/// The other end does not speak gRPC, or refuses.
pub(crate) async fn open(stream: Stream, outgoing: Outgoing) -> Result<Incoming, Status> {
    let endpoint = Endpoint::from_static("http://node.cambium")
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
        .http2_keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .keep_alive_while_idle(true);
    let channel = endpoint
        .connect_with_connector(Connected(Some(stream)))
        .await
        .map_err(|error| Status::unavailable(error_chain(&error)))?;
    let mut client = tonic::client::Grpc::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX);
    client
        .ready()
        .await
        .map_err(|error| Status::unavailable(error_chain(&error)))?;
    let path = PathAndQuery::from_static(PATH);
    let response = client.streaming(Request::new(outgoing), path, FrameCodec).await?;
    Ok(response.into_inner())
}

/// An error with its causes: those of tonic say nothing by themselves.
pub(crate) fn error_chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        cause = error.source();
    }
    text
}

/// Takes a stream of frames that another node has opened; returns what is sent back.
pub(crate) type Accept = Arc<dyn Fn(Caller, Incoming) -> Outgoing + Send + Sync>;

/// The answering side of the only method.
#[derive(Clone)]
struct NodeService(Accept);

impl Service<http::Request<Body>> for NodeService {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<http::Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let accept = Accepting(self.0.clone());
        Box::pin(async move {
            if request.uri().path() != PATH {
                return Ok(Status::unimplemented("no such method").into_http());
            }
            let mut server = tonic::server::Grpc::new(FrameCodec)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(4 * MESSAGE_BYTES);
            Ok(server.streaming(accept, request).await)
        })
    }
}

struct Accepting(Accept);

impl Service<Request<Incoming>> for Accepting {
    type Response = Response<BoxStream<'static, Result<Vec<Frame>, Status>>>;
    type Error = Status;
    type Future = Ready<Result<Self::Response, Status>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let unknown = Caller {
            address: None,
            certificate: None,
        };
        let caller = request.extensions_mut().remove::<Caller>().unwrap_or(unknown);
        let outgoing = (self.0)(caller, request.into_inner());
        std::future::ready(Ok(Response::new(outgoing.map(Ok).boxed())))
    }
}

/// Serves connections until there are no more.
pub(crate) async fn serve(connections: impl futures::Stream<Item = Stream> + Send, accept: Accept) {
    let connections = connections.map(Ok::<Stream, std::io::Error>);
    let served = Server::builder()
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
        .http2_keepalive_interval(Some(PING_INTERVAL))
        .http2_keepalive_timeout(Some(PING_TIMEOUT))
        .serve_with_incoming(NodeService(accept), Box::pin(connections))
        .await;
    if let Err(error) = served {
        tracing::error!(error = error_chain(&error), "the port for other nodes is closed");
    }
}
