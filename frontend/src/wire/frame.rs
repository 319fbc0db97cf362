//! Frame: a tagged, length-prefixed message cut out of the input.

use bytes::{Buf, Bytes, BytesMut};

/// Largest body of messages that carry user data, as in PostgreSQL (1 GiB - 1).
pub const LARGE_SIZE_MAX: usize = 0x3fff_ffff;
/// Largest body of all other messages, as in PostgreSQL.
pub const SMALL_SIZE_MAX: usize = 10_000;
/// Largest message before the client is authenticated, as in PostgreSQL.
pub const STARTUP_SIZE_MAX: usize = 65_535;

/// A message: its tag and body.
#[derive(Debug)]
pub struct Frame {
    /// Tag.
    pub tag: u8,
    /// Body, without the length.
    pub body: Bytes,
}

/// Why no frame can be read any more: the stream has lost its structure and the connection must end.
#[derive(Debug, PartialEq, Eq)]
pub enum FrameError {
    /// A tag no client sends.
    Tag(u8),
    /// A length below four or above the tag's bound.
    Length,
}

impl FrameError {
    /// PostgreSQL's message.
    pub fn message(&self) -> String {
        match self {
            FrameError::Tag(tag) => format!("invalid frontend message type {tag}"),
            FrameError::Length => "invalid message length".into(),
        }
    }
}

/// Bound of a tag's body; `None` if no client sends the tag.
fn size_max(tag: u8) -> Option<usize> {
    match tag {
        b'Q' | b'P' | b'B' | b'd' | b'F' => Some(LARGE_SIZE_MAX),
        b'p' => Some(STARTUP_SIZE_MAX),
        b'D' | b'E' | b'C' | b'H' | b'S' | b'X' | b'c' | b'f' => Some(SMALL_SIZE_MAX),
        _ => None,
    }
}

/// Cuts the next frame off the input; `None` while it is incomplete.
///
/// # Errors
/// [`FrameError`] when the tag or the length cannot be right, as soon as they are there.
pub fn next_frame(input: &mut BytesMut) -> Result<Option<Frame>, FrameError> {
    let Some(&tag) = input.first() else { return Ok(None) };
    let limit = size_max(tag).ok_or(FrameError::Tag(tag))?;
    let Some(length) = input.get(1..5) else { return Ok(None) };
    let length = i32::from_be_bytes([length[0], length[1], length[2], length[3]]);
    if length < 4 || (length - 4) as usize > limit {
        return Err(FrameError::Length);
    }
    let length = length as usize;
    if input.len() < 1 + length {
        return Ok(None);
    }
    input.advance(5);
    Ok(Some(Frame {
        tag,
        body: input.split_to(length - 4).freeze(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_cut_one_by_one() {
        let mut input = BytesMut::from(&b"S\0\0\0\x04Q\0\0\0\x06a\0X"[..]);
        assert_eq!(next_frame(&mut input).unwrap().unwrap().tag, b'S');
        assert_eq!(&next_frame(&mut input).unwrap().unwrap().body[..], b"a\0");
        assert!(next_frame(&mut input).unwrap().is_none());
    }

    #[test]
    fn impossible_lengths_and_tags_are_refused_before_their_bytes_arrive() {
        assert_eq!(
            next_frame(&mut BytesMut::from(&b"Q\0\0\0\x03"[..])).unwrap_err(),
            FrameError::Length
        );
        assert_eq!(
            next_frame(&mut BytesMut::from(&b"S\x7f\xff\xff\xff"[..])).unwrap_err(),
            FrameError::Length
        );
        assert_eq!(
            next_frame(&mut BytesMut::from(&b"\x16"[..])).unwrap_err(),
            FrameError::Tag(0x16)
        );
    }
}
