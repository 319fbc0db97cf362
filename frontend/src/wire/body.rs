//! Body: a cursor over a message body that checks before it reads.

use bytes::{Buf, Bytes};
use planner::{SqlError, SqlResult, SqlState};

/// A cursor over the body of one message. Every method fails with 08P01 instead of reading past the end.
pub struct Body(Bytes);

impl Body {
    /// A cursor at the start of a body.
    pub fn new(bytes: Bytes) -> Self {
        Self(bytes)
    }

    /// One byte.
    pub fn u8(&mut self) -> SqlResult<u8> {
        self.need(1)?;
        Ok(self.0.get_u8())
    }

    /// A 16-bit integer.
    pub fn i16(&mut self) -> SqlResult<i16> {
        self.need(2)?;
        Ok(self.0.get_i16())
    }

    /// A 32-bit integer.
    pub fn i32(&mut self) -> SqlResult<i32> {
        self.need(4)?;
        Ok(self.0.get_i32())
    }

    /// A 32-bit unsigned integer.
    pub fn u32(&mut self) -> SqlResult<u32> {
        self.need(4)?;
        Ok(self.0.get_u32())
    }

    /// The next `size` bytes.
    pub fn bytes(&mut self, size: usize) -> SqlResult<Bytes> {
        self.need(size)?;
        Ok(self.0.split_to(size))
    }

    /// Everything left.
    pub fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.0)
    }

    /// A string up to its zero byte; invalid UTF-8 is 22021.
    pub fn text(&mut self) -> SqlResult<String> {
        let end = self
            .0
            .iter()
            .position(|byte| *byte == 0)
            .ok_or_else(|| violation("invalid string in message"))?;
        let text = self.0.split_to(end);
        self.0.advance(1);
        match std::str::from_utf8(&text) {
            Ok(text) => Ok(text.to_owned()),
            Err(error) => Err(invalid_utf8(&text, error.valid_up_to())),
        }
    }

    /// A count that is followed by at least `item_size` bytes per item, so that it may size an allocation.
    pub fn count(&mut self, item_size: usize) -> SqlResult<usize> {
        let count = self.i16()? as u16 as usize;
        self.need(count * item_size)?;
        Ok(count)
    }

    /// Fails unless the whole body was read.
    pub fn end(&self) -> SqlResult<()> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(violation("invalid message format"))
        }
    }

    fn need(&self, size: usize) -> SqlResult<()> {
        if self.0.len() < size {
            Err(violation("insufficient data left in message"))
        } else {
            Ok(())
        }
    }
}

/// 08P01 with a message.
pub fn violation(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::PROTOCOL_VIOLATION, message)
}

/// PostgreSQL's text for bytes that are not UTF-8: the first bad sequence in hexadecimal.
pub fn invalid_utf8(bytes: &[u8], valid_up_to: usize) -> SqlError {
    let first = bytes.get(valid_up_to).copied().unwrap_or(0);
    let length = match first {
        0xC2..=0xDF => 2,
        0xE0..=0xEF => 3,
        0xF0..=0xF4 => 4,
        _ => 1,
    };
    let sequence = bytes[valid_up_to..]
        .iter()
        .take(length)
        .map(|byte| format!("0x{byte:02x}"))
        .collect::<Vec<_>>();
    SqlError::new(
        SqlState::CHARACTER_NOT_IN_REPERTOIRE,
        format!("invalid byte sequence for encoding \"UTF8\": {}", sequence.join(" ")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_bodies_are_violations_not_panics() {
        let mut body = Body::new(Bytes::from_static(&[0, 9]));
        assert_eq!(body.count(4).unwrap_err().code(), SqlState::PROTOCOL_VIOLATION);
        assert_eq!(
            Body::new(Bytes::new()).u8().unwrap_err().code(),
            SqlState::PROTOCOL_VIOLATION
        );
        assert_eq!(
            Body::new(Bytes::from_static(b"no zero")).text().unwrap_err().code(),
            SqlState::PROTOCOL_VIOLATION
        );
    }

    #[test]
    fn invalid_utf8_names_the_bytes() {
        let error = Body::new(Bytes::from_static(b"a\xC3\x28\0")).text().unwrap_err();
        assert_eq!(
            error.fields().message,
            "invalid byte sequence for encoding \"UTF8\": 0xc3 0x28"
        );
    }
}
