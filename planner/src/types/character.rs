//! Character types: lengths, blank padding, `name` and `"char"`.

use std::sync::Arc;

use storage::Datum;

use crate::{SqlError, SqlResult, SqlState};

/// Bytes of a `name`, without the terminator PostgreSQL keeps.
pub const NAME_BYTES_MAX: usize = 63;

/// Text datum of a string.
pub fn text(value: impl Into<Arc<str>>) -> Datum {
    Datum::Text(value.into())
}

/// Byte offset after `count` characters, or `None` if the text has no more than that.
pub fn offset_after(text: &str, count: usize) -> Option<usize> {
    if text.len() <= count {
        return None;
    }
    text.char_indices().nth(count).map(|(offset, _)| offset)
}

fn too_long(type_name: &str, count: usize) -> SqlError {
    SqlError::new(
        SqlState::STRING_DATA_RIGHT_TRUNCATION,
        format!("value too long for type {type_name}({count})"),
    )
}

/// Fits a text to `varchar(count)`: an explicit cast cuts, an assignment only cuts blanks.
pub fn fit_varchar(value: Arc<str>, count: usize, explicit: bool) -> SqlResult<Arc<str>> {
    match offset_after(&value, count) {
        None => Ok(value),
        Some(offset) if explicit || value[offset..].bytes().all(|byte| byte == b' ') => Ok(value[..offset].into()),
        Some(_) => Err(too_long("character varying", count)),
    }
}

/// Fits a text to `char(count)`: as varchar, and padded with blanks.
pub fn fit_bpchar(value: Arc<str>, count: usize, explicit: bool) -> SqlResult<Arc<str>> {
    if let Some(offset) = offset_after(&value, count) {
        if explicit || value[offset..].bytes().all(|byte| byte == b' ') {
            return Ok(value[..offset].into());
        }
        return Err(too_long("character", count));
    }
    let length = value.chars().count();
    if length == count {
        return Ok(value);
    }
    let mut padded = String::with_capacity(value.len() + count - length);
    padded.push_str(&value);
    padded.extend(std::iter::repeat_n(' ', count - length));
    Ok(padded.into())
}

/// Cuts a text to the length of a `name`, at a character boundary.
pub fn fit_name(text: &str) -> &str {
    let mut end = text.len().min(NAME_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Reads a `"char"`: one byte, held as the character of that code. Longer texts are cut; `\ooo` is a byte in octal.
pub fn parse_char(text: &str) -> Arc<str> {
    if let [b'\\', a @ b'0'..=b'7', b @ b'0'..=b'7', c @ b'0'..=b'7'] = text.as_bytes() {
        return char_of_byte((u32::from(a - b'0') << 6 | u32::from(b - b'0') << 3 | u32::from(c - b'0')) as u8);
    }
    char_of_byte(text.bytes().next().unwrap_or(0))
}

/// The `"char"` of a byte; the zero byte is the empty text.
pub fn char_of_byte(byte: u8) -> Arc<str> {
    if byte == 0 {
        "".into()
    } else {
        char::from(byte).to_string().into()
    }
}

/// The byte of a `"char"`.
pub fn byte_of_char(value: &str) -> u8 {
    value.chars().next().map_or(0, |c| c as u32 as u8)
}

/// Prints a `"char"`.
pub fn write_char(value: &str, out: &mut String) {
    match byte_of_char(value) {
        0 => {}
        byte @ ..0x80 => out.push(char::from(byte)),
        byte => super::bytes::write_escape(&[byte], out),
    }
}
