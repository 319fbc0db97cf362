//! Text form of bytea and uuid.

use bytes::Bytes;

use super::error::invalid_text;
use crate::{SqlError, SqlResult, SqlState};

/// Reads a bytea in hex (`\x…`) or escape form.
pub fn parse_bytea(text: &str) -> SqlResult<Bytes> {
    match text.strip_prefix("\\x") {
        Some(hex) => decode_hex(hex).map(Bytes::from),
        None => decode_escape(text).map(Bytes::from),
    }
}

/// Reads hex digits; white space between bytes is skipped.
pub fn decode_hex(hex: &str) -> SqlResult<Vec<u8>> {
    let mut bytes = Vec::with_capacity(hex.len() / 2);
    let mut chars = hex.chars();
    while let Some(c) = chars.next() {
        if matches!(c, ' ' | '\n' | '\t' | '\r') {
            continue;
        }
        let high = hex_digit(c)?;
        let low = chars.next().ok_or_else(|| {
            SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "invalid hexadecimal data: odd number of digits",
            )
        })?;
        bytes.push(high << 4 | hex_digit(low)?);
    }
    Ok(bytes)
}

fn hex_digit(c: char) -> SqlResult<u8> {
    c.to_digit(16).map(|digit| digit as u8).ok_or_else(|| {
        SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("invalid hexadecimal digit: \"{c}\""),
        )
    })
}

/// Reads the escape form: `\\` is a backslash, `\ooo` a byte in octal.
pub fn decode_escape(text: &str) -> SqlResult<Vec<u8>> {
    let source = text.as_bytes();
    let mut bytes = Vec::with_capacity(source.len());
    let mut rest = source;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'\\' {
            bytes.push(byte);
            rest = tail;
            continue;
        }
        match tail {
            [b'\\', tail @ ..] => {
                bytes.push(b'\\');
                rest = tail;
            }
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', tail @ ..] => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = tail;
            }
            _ => {
                return Err(SqlError::new(
                    SqlState::INVALID_TEXT_REPRESENTATION,
                    "invalid input syntax for type bytea",
                ));
            }
        }
    }
    Ok(bytes)
}

/// Prints lower-case hex digits.
pub fn write_hex(bytes: &[u8], out: &mut String) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
}

/// Prints the escape form.
pub fn write_escape(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        match byte {
            b'\\' => out.push_str("\\\\"),
            0x20..=0x7e => out.push(char::from(byte)),
            _ => {
                out.push('\\');
                for shift in [6, 3, 0] {
                    out.push(char::from(b'0' + (byte >> shift & 7)));
                }
            }
        }
    }
}

/// Reads a uuid: hex digits, hyphens allowed after every group of four, braces allowed around.
pub fn parse_uuid(text: &str) -> SqlResult<[u8; 16]> {
    let fail = || invalid_text("uuid", text);
    let source = text.as_bytes();
    let braces = source.first() == Some(&b'{');
    let mut at = usize::from(braces);
    let mut uuid = [0u8; 16];
    for (index, byte) in uuid.iter_mut().enumerate() {
        let pair = source
            .get(at..at + 2)
            .filter(|pair| pair.iter().all(u8::is_ascii_hexdigit))
            .ok_or_else(fail)?;
        *byte = pair.iter().fold(0, |value, digit| {
            value << 4 | char::from(*digit).to_digit(16).unwrap_or(0) as u8
        });
        at += 2;
        if source.get(at) == Some(&b'-') && index % 2 == 1 && index < 15 {
            at += 1;
        }
    }
    if braces {
        if source.get(at) != Some(&b'}') {
            return Err(fail());
        }
        at += 1;
    }
    if at == source.len() { Ok(uuid) } else { Err(fail()) }
}

/// Prints a uuid in its standard form.
pub fn write_uuid(uuid: &[u8; 16], out: &mut String) {
    for (index, group) in [&uuid[0..4], &uuid[4..6], &uuid[6..8], &uuid[8..10], &uuid[10..16]]
        .iter()
        .enumerate()
    {
        if index > 0 {
            out.push('-');
        }
        write_hex(group, out);
    }
}
