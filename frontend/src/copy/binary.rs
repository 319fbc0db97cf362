//! Binary: COPY's binary format, decoded from bytes as they come.

use bytes::{Buf, Bytes, BytesMut};
use planner::SqlResult;

use super::{Field, bad_format};

/// The eleven bytes every binary file begins with.
pub const SIGNATURE: &[u8; 11] = b"PGCOPY\n\xff\r\n\0";

/// Cuts tuples off a stream of bytes.
pub struct Tuples {
    input: BytesMut,
    has_header: bool,
    is_ended: bool,
    field_count: usize,
}

impl Tuples {
    /// A decoder of rows of a number of fields.
    pub fn new(field_count: usize) -> Self {
        Self {
            input: BytesMut::new(),
            has_header: false,
            is_ended: false,
            field_count,
        }
    }

    /// Adds bytes.
    ///
    /// # Errors
    /// 22P04 for data after the trailer.
    pub fn push(&mut self, bytes: &[u8]) -> SqlResult<()> {
        if self.is_ended && !bytes.is_empty() {
            return Err(bad_format("received copy data after EOF marker"));
        }
        self.input.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole tuple; `None` until more bytes come.
    ///
    /// # Errors
    /// 22P04 for anything that is not the format.
    pub fn next(&mut self, is_last: bool) -> SqlResult<Option<Vec<Field>>> {
        if self.is_ended || !self.header(is_last)? {
            return Ok(None);
        }
        match self.tuple()? {
            Some(tuple) => Ok(Some(tuple)),
            None if is_last && !self.is_ended && !self.input.is_empty() => {
                Err(bad_format("unexpected EOF in COPY data"))
            }
            None => Ok(None),
        }
    }

    fn header(&mut self, is_last: bool) -> SqlResult<bool> {
        if self.has_header {
            return Ok(true);
        }
        let known = self.input.len().min(SIGNATURE.len());
        if self.input[..known] != SIGNATURE[..known] || (is_last && known < SIGNATURE.len()) {
            return Err(bad_format("COPY file signature not recognized"));
        }
        let mut rest = &self.input[known..];
        if rest.len() < 8 {
            return if is_last {
                Err(bad_format("invalid COPY file header (missing flags)"))
            } else {
                Ok(false)
            };
        }
        let flags = rest.get_u32();
        let extension = rest.get_i32();
        if flags & (1 << 16) != 0 {
            return Err(bad_format("invalid COPY file header (WITH OIDS)"));
        }
        if flags >> 16 != 0 {
            return Err(bad_format("unrecognized critical flags in COPY file header"));
        }
        let extension =
            usize::try_from(extension).map_err(|_| bad_format("invalid COPY file header (missing length)"))?;
        if rest.len() < extension {
            return if is_last {
                Err(bad_format("invalid COPY file header (wrong length)"))
            } else {
                Ok(false)
            };
        }
        self.input.advance(SIGNATURE.len() + 8 + extension);
        self.has_header = true;
        Ok(true)
    }

    fn tuple(&mut self) -> SqlResult<Option<Vec<Field>>> {
        let mut rest = &self.input[..];
        if rest.len() < 2 {
            return Ok(None);
        }
        let count = rest.get_i16();
        if count == -1 {
            self.is_ended = true;
            if rest.is_empty() {
                self.input.clear();
                return Ok(None);
            }
            return Err(bad_format("received copy data after EOF marker"));
        }
        if count as i64 != self.field_count as i64 {
            return Err(bad_format(format!(
                "row field count is {count}, expected {}",
                self.field_count
            )));
        }
        // First see whether the whole tuple is there, then cut it.
        let mut size = 2;
        for _ in 0..self.field_count {
            let Some(mut length) = self.input.get(size..size + 4) else {
                return Ok(None);
            };
            size += 4;
            match length.get_i32() {
                -1 => {}
                length => size += usize::try_from(length).map_err(|_| bad_format("invalid field size"))?,
            }
            if self.input.len() < size {
                return Ok(None);
            }
        }
        let mut tuple: Bytes = self.input.split_to(size).freeze();
        tuple.advance(2);
        let fields = (0..self.field_count)
            .map(|_| match tuple.get_i32() {
                -1 => Field::Null,
                length => Field::Binary(tuple.split_to(length as usize)),
            })
            .collect();
        Ok(Some(fields))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(body: &[u8]) -> Vec<u8> {
        [&SIGNATURE[..], &[0; 8], body].concat()
    }

    #[test]
    fn tuples_do_not_depend_on_how_they_arrive() {
        let data = file(b"\0\x02\0\0\0\x01a\xff\xff\xff\xff\xff\xff");
        let mut tuples = Tuples::new(2);
        let mut found = Vec::new();
        for byte in data {
            tuples.push(&[byte]).unwrap();
            found.extend(tuples.next(false).unwrap());
        }
        assert_eq!(tuples.next(true).unwrap(), None);
        assert_eq!(found, [vec![Field::Binary(Bytes::from_static(b"a")), Field::Null]]);
    }

    #[test]
    fn anything_else_is_refused() {
        for (data, message) in [
            (b"not a copy file".to_vec(), "COPY file signature not recognized"),
            (file(b"\0\x03"), "row field count is 3, expected 2"),
            (file(b"\0\x02\0\0\0\x09a"), "unexpected EOF in COPY data"),
            (file(b"\0\x02\xff\xff\xff\xfe"), "invalid field size"),
            (file(b"\xff\xffmore"), "received copy data after EOF marker"),
            (SIGNATURE.to_vec(), "invalid COPY file header (missing flags)"),
        ] {
            let mut tuples = Tuples::new(2);
            tuples.push(&data).unwrap();
            assert_eq!(tuples.next(true).unwrap_err().fields().message, message);
        }
    }
}
