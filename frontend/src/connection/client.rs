//! Client: the two halves of a socket, with their buffers.

use std::io;

use bytes::BytesMut;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::{Stopped, Work};
use crate::wire::body::violation;
use crate::wire::frame::{self, Frame};
use crate::wire::{Output, startup};

/// Room made in the input buffer before each read.
const READ_SIZE: usize = 16 * 1024;
/// Most bytes read ahead while a statement runs, only to notice that the client is gone.
const READ_AHEAD_SIZE: usize = 256 * 1024;

/// Half of a socket that is read.
pub type ReadHalf = Box<dyn AsyncRead + Send + Unpin>;
/// Half of a socket that is written.
pub type WriteHalf = Box<dyn AsyncWrite + Send + Unpin>;

/// The read half and what has arrived.
pub struct Reader {
    half: ReadHalf,
    input: BytesMut,
}

impl Reader {
    /// A reader of a half.
    pub fn new(half: ReadHalf) -> Self {
        Self {
            half,
            input: BytesMut::with_capacity(READ_SIZE),
        }
    }

    /// Whether bytes have arrived that nothing has read; before TLS begins there may be none.
    pub fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Gives the half back, to be wrapped by TLS.
    pub fn into_half(self) -> ReadHalf {
        self.half
    }

    /// The next frame if it is already there.
    ///
    /// # Errors
    /// Fatal 08P01 when the stream cannot be frames.
    pub fn ready_frame(&mut self) -> Work<Option<Frame>> {
        frame::next_frame(&mut self.input).map_err(|error| Stopped::Fatal(violation(error.message())))
    }

    /// The next frame. Cancel safe.
    ///
    /// # Errors
    /// [`Stopped::Lost`] at the end of the stream, fatal 08P01 when it cannot be frames.
    pub async fn frame(&mut self) -> Work<Frame> {
        loop {
            if let Some(frame) = self.ready_frame()? {
                return Ok(frame);
            }
            self.fill().await?;
        }
    }

    /// The next packet of the startup phase.
    ///
    /// # Errors
    /// As [`frame`](Self::frame).
    pub async fn startup(&mut self) -> Work<startup::Startup> {
        loop {
            if let Some(packet) = startup::next_startup(&mut self.input).map_err(Stopped::Fatal)? {
                return Ok(packet);
            }
            self.fill().await?;
        }
    }

    /// Whether a Sync comes next: then the statement before it may commit at once.
    pub fn sync_is_next(&self) -> bool {
        self.input.first() == Some(&b'S')
    }

    /// Resolves when the client is gone. Reads ahead, within a bound.
    pub async fn lost(&mut self) {
        while self.input.len() < READ_AHEAD_SIZE {
            if self.fill().await.is_err() {
                return;
            }
        }
        std::future::pending().await
    }

    async fn fill(&mut self) -> Work<()> {
        // A frame that announces many bytes gets room as they come, never all at once on its word.
        let room = self.input.len().clamp(READ_SIZE, 4 << 20);
        self.input.reserve(room);
        match self.half.read_buf(&mut self.input).await {
            Ok(0) | Err(_) => Err(Stopped::Lost),
            Ok(_) => Ok(()),
        }
    }
}

/// The write half and what is to be written.
pub struct Outbox {
    half: WriteHalf,
    /// Messages to be written.
    pub output: Output,
}

impl Outbox {
    /// An outbox of a half.
    pub fn new(half: WriteHalf) -> Self {
        Self {
            half,
            output: Output::default(),
        }
    }

    /// Gives the half back, to be wrapped by TLS.
    pub fn into_half(self) -> WriteHalf {
        self.half
    }

    /// Writes everything out.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn flush(&mut self) -> io::Result<()> {
        if self.output.pending().is_empty() {
            return Ok(());
        }
        self.half.write_all(self.output.pending()).await?;
        self.output.clear();
        self.half.flush().await
    }

    /// Writes everything out if it has become much.
    ///
    /// # Errors
    /// When the client is gone.
    pub async fn relieve(&mut self) -> io::Result<()> {
        if self.output.is_full() {
            self.flush().await
        } else {
            Ok(())
        }
    }

    /// Writes everything out and says goodbye.
    pub async fn shutdown(&mut self) {
        if self.flush().await.is_ok() {
            // The client may be gone already, which is what is wanted.
            let _ = self.half.shutdown().await;
        }
    }
}
