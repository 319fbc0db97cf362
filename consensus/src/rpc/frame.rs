//! Frames: what travels between two nodes, and their bytes.
//!
//! ```text
//!   message = frame*            one gRPC message; numbers are little-endian
//!   frame   = 0 bytes           hello: see [`hello`](super::hello)
//!           | 1 text            refusal of the other's hello; the last frame
//!           | 2 id to size piece      a request begins; its body has `size` bytes, of which the first are here
//!           | 3 id outcome size piece an answer begins
//!           | 4 id piece        more of a body
//!           | 5 id              the request is given up: whatever is done for it may stop
//!   to      = 0 group:u64 | 1 service:u16     piece, bytes, text = size:u32 bytes
//! ```
//!
//! Ids are chosen by the asker and never used twice on a connection. Bodies are cut into pieces so that a large one does not
//! keep small ones waiting.

use bytes::{Buf, BufMut, Bytes};

use crate::transport::{ServiceId, TransportError};
use crate::types::GroupId;

/// Bytes of a request or an answer, at most. The largest are appends (one entry may be larger than what a message of
/// several should carry) and batches of rows.
pub const BODY_BYTES_MAX: usize = 256 << 20;

/// Bytes of a body that go out at a time.
pub(crate) const PIECE_BYTES: usize = 64 << 10;

/// Bytes of a gRPC message after which another is begun.
pub(crate) const MESSAGE_BYTES: usize = 256 << 10;

/// Bytes of a gRPC message that are accepted; a good peer stays far below.
pub(crate) const MESSAGE_BYTES_MAX: usize = 1 << 20;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    Group(GroupId),
    Service(ServiceId),
}

/// How a request ended. The text of an error is the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Answered,
    Unreachable,
    Failed,
}

impl Outcome {
    /// An answer as it is sent.
    pub(crate) fn of(result: Result<Bytes, TransportError>) -> (Outcome, Bytes) {
        match result {
            Ok(body) => (Outcome::Answered, body),
            Err(TransportError::Unreachable(text)) => (Outcome::Unreachable, text.into()),
            Err(TransportError::Failed(text)) => (Outcome::Failed, text.into()),
        }
    }

    /// An answer as it was received.
    pub(crate) fn into_result(self, body: Bytes) -> Result<Bytes, TransportError> {
        let text = || String::from_utf8_lossy(&body).into_owned();
        match self {
            Outcome::Answered => Ok(body),
            Outcome::Unreachable => Err(TransportError::Unreachable(text())),
            Outcome::Failed => Err(TransportError::Failed(text())),
        }
    }
}

/// How a body begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    Request(To),
    Answer(Outcome),
}

/// A frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    Hello(Bytes),
    Refusal(Bytes),
    Begin {
        id: u64,
        head: Head,
        size: u32,
        piece: Bytes,
    },
    Piece {
        id: u64,
        piece: Bytes,
    },
    Cancel {
        id: u64,
    },
}

/// The bytes are not frames: the connection is of no further use.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed frame: {0}")]
pub struct FrameError(&'static str);

impl FrameError {
    pub(crate) const TOO_MANY: FrameError = FrameError("too many requests at a time");
    pub(crate) const UNEXPECTED: FrameError = FrameError("a frame that has no place here");
}

impl Frame {
    /// Bytes of its encoding, or a few more.
    pub(crate) fn size(&self) -> usize {
        let bytes = match self {
            Frame::Hello(bytes) | Frame::Refusal(bytes) => bytes,
            Frame::Begin { piece, .. } | Frame::Piece { piece, .. } => piece,
            Frame::Cancel { .. } => return 9,
        };
        bytes.len() + 27
    }

    /// Appends its bytes.
    pub(crate) fn encode(&self, buffer: &mut impl BufMut) {
        match self {
            Frame::Hello(bytes) => {
                buffer.put_u8(0);
                put_bytes(buffer, bytes);
            }
            Frame::Refusal(text) => {
                buffer.put_u8(1);
                put_bytes(buffer, text);
            }
            Frame::Begin { id, head, size, piece } => {
                match head {
                    Head::Request(to) => {
                        buffer.put_u8(2);
                        buffer.put_u64_le(*id);
                        match to {
                            To::Group(group) => {
                                buffer.put_u8(0);
                                buffer.put_u64_le(group.0);
                            }
                            To::Service(service) => {
                                buffer.put_u8(1);
                                buffer.put_u16_le(service.0);
                            }
                        }
                    }
                    Head::Answer(outcome) => {
                        buffer.put_u8(3);
                        buffer.put_u64_le(*id);
                        buffer.put_u8(match outcome {
                            Outcome::Answered => 0,
                            Outcome::Unreachable => 1,
                            Outcome::Failed => 2,
                        });
                    }
                }
                buffer.put_u32_le(*size);
                put_bytes(buffer, piece);
            }
            Frame::Piece { id, piece } => {
                buffer.put_u8(4);
                buffer.put_u64_le(*id);
                put_bytes(buffer, piece);
            }
            Frame::Cancel { id } => {
                buffer.put_u8(5);
                buffer.put_u64_le(*id);
            }
        }
    }

    /// Takes the first frame off a message; `None` at its end. Bodies share the message's memory.
    ///
    /// # Errors
    /// The bytes are not frames.
    pub(crate) fn decode(message: &mut Bytes) -> Result<Option<Frame>, FrameError> {
        if message.is_empty() {
            return Ok(None);
        }
        let frame = match message.get_u8() {
            0 => Frame::Hello(get_bytes(message)?),
            1 => Frame::Refusal(get_bytes(message)?),
            2 => {
                let id = get_u64(message)?;
                let to = match get_u8(message)? {
                    0 => To::Group(GroupId(get_u64(message)?)),
                    1 => To::Service(ServiceId(message.try_get_u16_le().map_err(|_| SHORT)?)),
                    _ => return Err(FrameError("unknown address")),
                };
                get_begin(message, id, Head::Request(to))?
            }
            3 => {
                let id = get_u64(message)?;
                let outcome = match get_u8(message)? {
                    0 => Outcome::Answered,
                    1 => Outcome::Unreachable,
                    2 => Outcome::Failed,
                    _ => return Err(FrameError("unknown outcome")),
                };
                get_begin(message, id, Head::Answer(outcome))?
            }
            4 => Frame::Piece {
                id: get_u64(message)?,
                piece: get_bytes(message)?,
            },
            5 => Frame::Cancel { id: get_u64(message)? },
            _ => return Err(FrameError("unknown kind")),
        };
        Ok(Some(frame))
    }
}

const SHORT: FrameError = FrameError("it ends too early");

fn put_bytes(buffer: &mut impl BufMut, bytes: &Bytes) {
    // Pieces are far smaller than 4 GiB; hellos and refusals even more so.
    buffer.put_u32_le(bytes.len() as u32);
    buffer.put_slice(bytes);
}

fn get_u8(message: &mut Bytes) -> Result<u8, FrameError> {
    message.try_get_u8().map_err(|_| SHORT)
}

fn get_u64(message: &mut Bytes) -> Result<u64, FrameError> {
    message.try_get_u64_le().map_err(|_| SHORT)
}

fn get_bytes(message: &mut Bytes) -> Result<Bytes, FrameError> {
    let size = message.try_get_u32_le().map_err(|_| SHORT)? as usize;
    if size > message.len() {
        return Err(SHORT);
    }
    Ok(message.split_to(size))
}

fn get_begin(message: &mut Bytes, id: u64, head: Head) -> Result<Frame, FrameError> {
    let size = message.try_get_u32_le().map_err(|_| SHORT)?;
    if size as usize > BODY_BYTES_MAX {
        return Err(FrameError("a body is too large"));
    }
    let piece = get_bytes(message)?;
    Ok(Frame::Begin { id, head, size, piece })
}

/// A body of which pieces arrive.
pub(crate) struct Arriving {
    head: Head,
    size: usize,
    bytes: bytes::BytesMut,
}

/// What a piece made of a body.
pub(crate) enum Arrived {
    /// All of it is here.
    Whole(Head, Bytes),
    /// More is to come.
    Part(Arriving),
}

impl Arriving {
    /// The first piece.
    ///
    /// # Errors
    /// It is larger than the whole.
    pub(crate) fn begin(head: Head, size: u32, piece: Bytes) -> Result<Arrived, FrameError> {
        let size = size as usize;
        if piece.len() == size {
            return Ok(Arrived::Whole(head, piece));
        }
        // Not as much as is announced: that much must first be sent.
        let bytes = bytes::BytesMut::with_capacity(size.min(2 * PIECE_BYTES));
        Arriving { head, size, bytes }.add(piece)
    }

    /// A further piece.
    ///
    /// # Errors
    /// There is more than was announced.
    pub(crate) fn add(mut self, piece: Bytes) -> Result<Arrived, FrameError> {
        self.bytes.put(piece);
        match self.bytes.len().cmp(&self.size) {
            std::cmp::Ordering::Less => Ok(Arrived::Part(self)),
            std::cmp::Ordering::Equal => Ok(Arrived::Whole(self.head, self.bytes.freeze())),
            std::cmp::Ordering::Greater => Err(FrameError("a body is larger than announced")),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frames() -> impl Strategy<Value = Frame> {
        let bytes = || prop::collection::vec(any::<u8>(), 0..40).prop_map(Bytes::from);
        let head = prop_oneof![
            any::<u64>().prop_map(|group| Head::Request(To::Group(GroupId(group)))),
            any::<u16>().prop_map(|service| Head::Request(To::Service(ServiceId(service)))),
            prop_oneof![
                Just(Outcome::Answered),
                Just(Outcome::Unreachable),
                Just(Outcome::Failed)
            ]
            .prop_map(Head::Answer),
        ];
        prop_oneof![
            bytes().prop_map(Frame::Hello),
            bytes().prop_map(Frame::Refusal),
            (any::<u64>(), head, 0..BODY_BYTES_MAX as u32, bytes()).prop_map(|(id, head, size, piece)| Frame::Begin {
                id,
                head,
                size,
                piece
            }),
            (any::<u64>(), bytes()).prop_map(|(id, piece)| Frame::Piece { id, piece }),
            any::<u64>().prop_map(|id| Frame::Cancel { id }),
        ]
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(sent in prop::collection::vec(frames(), 0..5)) {
            let mut buffer = bytes::BytesMut::new();
            for frame in &sent {
                let before = buffer.len();
                frame.encode(&mut buffer);
                prop_assert!(buffer.len() - before <= frame.size());
            }
            let mut message = buffer.freeze();
            let mut received = Vec::new();
            while let Some(frame) = Frame::decode(&mut message).unwrap() {
                received.push(frame);
            }
            prop_assert_eq!(received, sent);
        }

        #[test]
        fn any_bytes_are_frames_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut message = Bytes::from(bytes);
            while let Ok(Some(_)) = Frame::decode(&mut message) {}
        }
    }

    #[test]
    fn a_body_that_is_larger_than_announced_or_allowed_is_refused() {
        let head = Head::Answer(Outcome::Answered);
        assert!(Arriving::begin(head, 2, Bytes::from_static(b"abc")).is_err());
        let Ok(Arrived::Part(part)) = Arriving::begin(head, 4, Bytes::from_static(b"abc")) else {
            panic!("one byte is missing");
        };
        assert!(part.add(Bytes::from_static(b"de")).is_err());
        let mut buffer = bytes::BytesMut::new();
        let (id, size, piece) = (1, BODY_BYTES_MAX as u32 + 1, Bytes::new());
        Frame::Begin { id, head, size, piece }.encode(&mut buffer);
        assert!(Frame::decode(&mut buffer.freeze()).is_err());
    }
}
