//! Text: one line of COPY's text format as fields.

use planner::{SqlError, SqlResult};

use super::Field;
use crate::wire::body::invalid_utf8;

/// Splits a line at the delimiter and resolves backslashes. NULL is told by the field as written, before its escapes.
///
/// # Errors
/// 22021 if a field is not UTF-8.
pub fn split(line: &[u8], delimiter: u8, null: &str) -> SqlResult<Vec<Field>> {
    let mut fields = Vec::new();
    let (mut start, mut at) = (0, 0);
    loop {
        match line.get(at) {
            // Whatever follows a backslash is no delimiter.
            Some(b'\\') => at = (at + 2).min(line.len()),
            Some(byte) if *byte == delimiter => {
                fields.push(field(&line[start..at], null)?);
                at += 1;
                start = at;
            }
            Some(_) => at += 1,
            None => {
                fields.push(field(&line[start..], null)?);
                return Ok(fields);
            }
        }
    }
}

fn field(raw: &[u8], null: &str) -> SqlResult<Field> {
    if raw == null.as_bytes() {
        return Ok(Field::Null);
    }
    if !raw.contains(&b'\\') {
        return utf8(raw.to_vec());
    }
    utf8(unescape(raw))
}

fn utf8(bytes: Vec<u8>) -> SqlResult<Field> {
    String::from_utf8(bytes).map(Field::Text).map_err(|error| -> SqlError {
        let valid_up_to = error.utf8_error().valid_up_to();
        invalid_utf8(error.as_bytes(), valid_up_to)
    })
}

/// Resolves `\n`, `\t`, `\123`, `\x7f` and the like; any other character after a backslash stands for itself.
fn unescape(raw: &[u8]) -> Vec<u8> {
    let mut value = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter().copied().peekable();
    while let Some(byte) = bytes.next() {
        if byte != b'\\' {
            value.push(byte);
            continue;
        }
        let Some(escaped) = bytes.next() else {
            value.push(b'\\');
            break;
        };
        value.push(match escaped {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'v' => 11,
            b'0'..=b'7' => {
                let mut code = u32::from(escaped - b'0');
                for _ in 0..2 {
                    match bytes.next_if(|byte| (b'0'..=b'7').contains(byte)) {
                        Some(digit) => code = code * 8 + u32::from(digit - b'0'),
                        None => break,
                    }
                }
                code as u8
            }
            b'x' if bytes.peek().is_some_and(u8::is_ascii_hexdigit) => {
                let mut code = 0;
                for _ in 0..2 {
                    match bytes.next_if(u8::is_ascii_hexdigit) {
                        Some(digit) => code = code * 16 + (digit as char).to_digit(16).unwrap_or(0),
                        None => break,
                    }
                }
                code as u8
            }
            other => other,
        });
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(line: &str) -> Vec<Field> {
        split(line.as_bytes(), b'\t', "\\N").unwrap()
    }

    fn text(value: &str) -> Field {
        Field::Text(value.into())
    }

    #[test]
    fn escapes_are_resolved_after_nulls_are_told() {
        assert_eq!(
            fields("a\t\\N\t\\\\N\t"),
            [text("a"), Field::Null, text("\\N"), text("")]
        );
        assert_eq!(fields("\\n\\x41\\101\\q\\\t"), [text("\nAAq\t")]);
        assert_eq!(fields("end\\"), [text("end\\")]);
        assert_eq!(fields(""), [text("")]);
    }

    #[test]
    fn bytes_that_are_not_utf8_are_refused() {
        assert!(split(b"\\xff", b'\t', "\\N").is_err());
    }
}
