//! Encodings of bytes as text (hex, base64, escape), digests, and conversion between character encodings.

use md5::{Digest, Md5};

use crate::types::bytes::{decode_escape, decode_hex, write_hex};
use crate::{SqlError, SqlResult, SqlState};

fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// `encode`
pub fn encode(bytes: &[u8], format: &str) -> SqlResult<String> {
    let mut out = String::new();
    match format.to_ascii_lowercase().as_str() {
        "hex" => write_hex(bytes, &mut out),
        "base64" => encode_base64(bytes, &mut out),
        "escape" => {
            // Unlike bytea's output, only NUL, bytes beyond ASCII and backslashes are escaped.
            for &byte in bytes {
                match byte {
                    0 | 0x80.. => {
                        out.push('\\');
                        for shift in [6, 3, 0] {
                            out.push(char::from(b'0' + (byte >> shift & 7)));
                        }
                    }
                    b'\\' => out.push_str("\\\\"),
                    _ => out.push(char::from(byte)),
                }
            }
        }
        _ => return Err(invalid(format!("unrecognized encoding: \"{format}\""))),
    }
    Ok(out)
}

/// `decode`
pub fn decode(text: &str, format: &str) -> SqlResult<Vec<u8>> {
    match format.to_ascii_lowercase().as_str() {
        "hex" => decode_hex(text),
        "base64" => decode_base64(text),
        "escape" => decode_escape(text),
        _ => Err(invalid(format!("unrecognized encoding: \"{format}\""))),
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Base64 in lines of 76 characters, as MIME has it.
fn encode_base64(bytes: &[u8], out: &mut String) {
    let mut column = 0;
    for group in bytes.chunks(3) {
        if column == 76 {
            out.push('\n');
            column = 0;
        }
        let value = group.iter().fold(0u32, |value, &byte| value << 8 | u32::from(byte)) << (8 * (3 - group.len()));
        for index in 0..4 {
            if index <= group.len() {
                out.push(char::from(BASE64[(value >> (18 - 6 * index) & 63) as usize]));
            } else {
                out.push('=');
            }
        }
        column += 4;
    }
}

fn decode_base64(text: &str) -> SqlResult<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut value, mut position, mut end) = (0u32, 0, 0);
    for c in text.chars() {
        if matches!(c, ' ' | '\t' | '\n' | '\r') {
            continue;
        }
        let digit = if c == '=' {
            // The first padding character says how many bytes the last group has.
            if end == 0 {
                end = match position {
                    2 => 1,
                    3 => 2,
                    _ => return Err(invalid("unexpected \"=\" while decoding base64 sequence")),
                };
            }
            0
        } else {
            let digit = u8::try_from(c)
                .ok()
                .and_then(|byte| BASE64.iter().position(|&known| known == byte));
            match digit {
                Some(digit) if end == 0 => digit as u32,
                _ => {
                    return Err(invalid(format!(
                        "invalid symbol \"{c}\" found while decoding base64 sequence"
                    )));
                }
            }
        };
        value = value << 6 | digit;
        position += 1;
        if position == 4 {
            let bytes = value.to_be_bytes();
            out.extend(&bytes[1..if end == 0 { 4 } else { 1 + end }]);
            (value, position) = (0, 0);
        }
    }
    if position != 0 {
        return Err(invalid("invalid base64 end sequence")
            .hint("Input data is missing padding, is truncated, or is otherwise corrupted."));
    }
    Ok(out)
}

/// `md5`
pub fn md5(bytes: &[u8]) -> String {
    let mut out = String::new();
    write_hex(&Md5::digest(bytes), &mut out);
    out
}

/// Encodings that are converted; any other of PostgreSQL's is refused as not supported.
enum Encoding {
    Utf8,
    Latin1,
    Ascii,
}

fn encoding(name: &str, role: &str) -> SqlResult<Encoding> {
    let plain: String = name
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_lowercase())
        .collect();
    match plain.as_str() {
        "utf8" | "unicode" => Ok(Encoding::Utf8),
        "latin1" | "iso88591" => Ok(Encoding::Latin1),
        "sqlascii" => Ok(Encoding::Ascii),
        "latin2" | "latin9" | "win1252" | "win1251" | "eucjp" | "sjis" | "big5" | "gbk" | "gb18030" | "koi8r" => {
            Err(SqlError::unsupported(format_args!("conversion of encoding \"{name}\"")))
        }
        _ => Err(invalid(format!("invalid {role} encoding name \"{name}\""))),
    }
}

/// `convert_from`: bytes of an encoding as text.
pub fn convert_from(bytes: &[u8], from: &str) -> SqlResult<String> {
    match encoding(from, "source")? {
        Encoding::Utf8 | Encoding::Ascii => crate::types::binary::utf8(bytes).map(str::to_owned),
        Encoding::Latin1 => Ok(bytes.iter().map(|&byte| char::from(byte)).collect()),
    }
}

/// `convert_to`: a text in an encoding.
pub fn convert_to(text: &str, to: &str) -> SqlResult<Vec<u8>> {
    match encoding(to, "destination")? {
        Encoding::Utf8 | Encoding::Ascii => Ok(text.as_bytes().to_vec()),
        Encoding::Latin1 => text
            .chars()
            .map(|c| {
                u8::try_from(c).map_err(|_| {
                    let shown: Vec<String> =
                        c.encode_utf8(&mut [0; 4]).bytes().map(|byte| format!("0x{byte:02x}")).collect();
                    SqlError::new(
                        SqlState::UNTRANSLATABLE_CHARACTER,
                        format!(
                            "character with byte sequence {} in encoding \"UTF8\" has no equivalent in encoding \"LATIN1\"",
                            shown.join(" ")
                        ),
                    )
                })
            })
            .collect(),
    }
}

/// `convert`: bytes of one encoding in another.
pub fn convert(bytes: &[u8], from: &str, to: &str) -> SqlResult<Vec<u8>> {
    convert_to(&convert_from(bytes, from)?, to)
}

/// `to_ascii`: PostgreSQL only knows it for Latin encodings.
pub fn to_ascii(_text: &str) -> SqlResult<String> {
    Err(SqlError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        "encoding conversion from UTF8 to ASCII not supported",
    ))
}

/// `unistr`: `\0061`, `\+000061`, `\u0061`, `\U00000061` and `\\`.
pub fn unescape_unicode(text: &str) -> SqlResult<String> {
    let fail = || {
        SqlError::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape")
            .hint("Unicode escapes must be \\XXXX, \\+XXXXXX, \\uXXXX, or \\UXXXXXXXX.")
    };
    let pair = || SqlError::new(SqlState::SYNTAX_ERROR, "invalid Unicode surrogate pair");
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut high: Option<u32> = None;
    while let Some(c) = rest.chars().next() {
        if c != '\\' {
            if high.is_some() {
                return Err(pair());
            }
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        }
        let body = &rest[1..];
        if let Some(tail) = body.strip_prefix('\\') {
            if high.is_some() {
                return Err(pair());
            }
            out.push('\\');
            rest = tail;
            continue;
        }
        let (skip, width) = match body.chars().next() {
            Some('+') => (1, 6),
            Some('u') => (1, 4),
            Some('U') => (1, 8),
            _ => (0, 4),
        };
        let digits = body.get(skip..skip + width).ok_or_else(fail)?;
        if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(fail());
        }
        let code = u32::from_str_radix(digits, 16).map_err(|_| fail())?;
        rest = &body[skip + width..];
        match (high.take(), code) {
            (Some(first), 0xdc00..=0xdfff) => {
                let joined = 0x10000 + ((first - 0xd800) << 10) + (code - 0xdc00);
                out.push(char::from_u32(joined).ok_or_else(pair)?);
            }
            (Some(_), _) | (None, 0xdc00..=0xdfff) => return Err(pair()),
            (None, 0xd800..=0xdbff) => high = Some(code),
            (None, 0) => return Err(SqlError::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape value")),
            (None, _) => out.push(
                char::from_u32(code)
                    .ok_or_else(|| SqlError::new(SqlState::SYNTAX_ERROR, "invalid Unicode escape value"))?,
            ),
        }
    }
    if high.is_some() { Err(pair()) } else { Ok(out) }
}
