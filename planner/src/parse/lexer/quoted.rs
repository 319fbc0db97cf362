//! Literals in quotes: strings with and without escapes, bit strings, Unicode escapes, dollar quotes.

use sqlparser::ast::DollarQuotedString;
use sqlparser::tokenizer::Token;

use super::{Lexer, is_name_part, truncate_name};
use crate::{SqlError, SqlResult, SqlState};

impl Lexer<'_> {
    /// Text up to the closing quote, doubled quotes undone; `None` if it never closes.
    pub(super) fn delimited(&mut self, quote: u8) -> Option<String> {
        self.at += 1;
        let mut value = String::new();
        let mut from = self.at;
        loop {
            if self.at >= self.bytes.len() {
                return None;
            }
            if self.bytes[self.at] == quote {
                value.push_str(&self.sql[from..self.at]);
                self.at += 1;
                if self.peek(0) != quote {
                    return Some(value);
                }
                from = self.at;
            }
            self.at += 1;
        }
    }

    /// A standard string with its continuations on later lines.
    pub(super) fn quoted_string(&mut self, start: usize) -> SqlResult<String> {
        let mut value = self
            .delimited(b'\'')
            .ok_or_else(|| self.unterminated("quoted string", start))?;
        while self.continues()? {
            value.push_str(
                &self
                    .delimited(b'\'')
                    .ok_or_else(|| self.unterminated("quoted string", start))?,
            );
        }
        self.reject_nul(&value, start)?;
        Ok(value)
    }

    pub(super) fn reject_nul(&self, value: &str, start: usize) -> SqlResult<()> {
        if value.contains('\0') {
            return Err(self.error(
                SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                "invalid byte sequence for encoding \"UTF8\": 0x00",
                start,
            ));
        }
        Ok(())
    }

    /// Whether another quoted part follows after white space with a newline; moves to its quote if so.
    pub(super) fn continues(&mut self) -> SqlResult<bool> {
        let mark = self.at;
        let mut newline = false;
        loop {
            match self.peek(0) {
                b' ' | b'\t' | 0x0b | 0x0c => self.at += 1,
                b'\n' | b'\r' => {
                    newline = true;
                    self.at += 1;
                }
                b'-' if self.peek(1) == b'-' => self.skip_line(),
                b'\'' if newline => return Ok(true),
                _ => {
                    self.at = mark;
                    return Ok(false);
                }
            }
        }
    }

    pub(super) fn bit_string(&mut self, start: usize, radix: u32) -> SqlResult<String> {
        let what = if radix == 2 {
            "bit string literal"
        } else {
            "hexadecimal string literal"
        };
        let mut value = self.delimited(b'\'').ok_or_else(|| self.unterminated(what, start))?;
        while self.continues()? {
            value.push_str(&self.delimited(b'\'').ok_or_else(|| self.unterminated(what, start))?);
        }
        if let Some(wrong) = value.chars().find(|c| !c.is_digit(radix)) {
            let kind = if radix == 2 { "binary" } else { "hexadecimal" };
            return Err(self.error(
                SqlState::INVALID_TEXT_REPRESENTATION,
                format!("\"{wrong}\" is not a valid {kind} digit"),
                start,
            ));
        }
        Ok(value)
    }

    /// `E'…'` with C escapes.
    pub(super) fn escape_string(&mut self) -> SqlResult<Token> {
        let start = self.at;
        self.at += 1;
        let mut bytes = Vec::new();
        loop {
            self.at += 1;
            loop {
                if self.at >= self.bytes.len() {
                    return Err(self.unterminated("quoted string", start));
                }
                match self.bytes[self.at] {
                    b'\'' if self.peek(1) == b'\'' => {
                        bytes.push(b'\'');
                        self.at += 2;
                    }
                    b'\'' => break,
                    b'\\' => self.escape(&mut bytes, start)?,
                    other => {
                        bytes.push(other);
                        self.at += 1;
                    }
                }
            }
            self.at += 1;
            if !self.continues()? {
                break;
            }
        }
        if bytes.contains(&0) {
            return Err(self.error(
                SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                "invalid byte sequence for encoding \"UTF8\": 0x00",
                start,
            ));
        }
        match String::from_utf8(bytes) {
            Ok(value) => Ok(Token::SingleQuotedString(value)),
            Err(error) => {
                let at = error.utf8_error().valid_up_to();
                let bytes = error.as_bytes();
                let wrong: Vec<String> = bytes[at..bytes.len().min(at + 4)]
                    .iter()
                    .map(|b| format!("0x{b:02x}"))
                    .collect();
                Err(SqlError::new(
                    SqlState::CHARACTER_NOT_IN_REPERTOIRE,
                    format!("invalid byte sequence for encoding \"UTF8\": {}", wrong.join(" ")),
                ))
            }
        }
    }

    /// One backslash escape at the current position.
    fn escape(&mut self, bytes: &mut Vec<u8>, start: usize) -> SqlResult<()> {
        let at = self.at;
        let escaped = self.peek(1);
        if at + 1 >= self.bytes.len() {
            return Err(self.unterminated("quoted string", start));
        }
        self.at += 2;
        match escaped {
            b'b' => bytes.push(8),
            b'f' => bytes.push(12),
            b'n' => bytes.push(b'\n'),
            b'r' => bytes.push(b'\r'),
            b't' => bytes.push(b'\t'),
            b'v' => bytes.push(11),
            b'0'..=b'7' => {
                let mut value = u32::from(escaped - b'0');
                for _ in 0..2 {
                    if !matches!(self.peek(0), b'0'..=b'7') {
                        break;
                    }
                    value = value * 8 + u32::from(self.peek(0) - b'0');
                    self.at += 1;
                }
                bytes.push(value as u8);
            }
            b'x' if self.peek(0).is_ascii_hexdigit() => {
                let mut value = 0u32;
                for _ in 0..2 {
                    let Some(digit) = (self.peek(0) as char).to_digit(16) else {
                        break;
                    };
                    value = value * 16 + digit;
                    self.at += 1;
                }
                bytes.push(value as u8);
            }
            b'u' | b'U' => {
                let first = self.hex_digits(if escaped == b'u' { 4 } else { 8 }, at)?;
                let code = if (0xD800..0xDC00).contains(&first) {
                    let low_at = self.at;
                    let low = if self.peek(0) == b'\\' && matches!(self.peek(1), b'u' | b'U') {
                        let count = if self.peek(1) == b'u' { 4 } else { 8 };
                        self.at += 2;
                        self.hex_digits(count, low_at)?
                    } else {
                        0
                    };
                    if !(0xDC00..0xE000).contains(&low) {
                        return Err(self.surrogate(low_at));
                    }
                    0x10000 + ((first - 0xD800) << 10) + (low - 0xDC00)
                } else {
                    first
                };
                match char::from_u32(code) {
                    Some(c) => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
                    None if (0xD800..0xE000).contains(&code) => return Err(self.surrogate(at)),
                    None => {
                        let near = &self.sql[at..self.at];
                        let message = format!("invalid Unicode escape value at or near \"{near}\"");
                        return Err(self.error(SqlState::SYNTAX_ERROR, message, at));
                    }
                }
            }
            other => bytes.push(other),
        }
        Ok(())
    }

    /// The low half of a surrogate pair is missing: PostgreSQL quotes what stands in its place.
    fn surrogate(&self, at: usize) -> SqlError {
        let length = match self.sql.as_bytes().get(at..at + 2) {
            Some(b"\\u") => 6,
            Some(b"\\U") => 10,
            _ => self.sql[at..].chars().next().map_or(0, char::len_utf8),
        };
        let near = self.sql.get(at..at + length).unwrap_or_default();
        self.error(
            SqlState::SYNTAX_ERROR,
            format!("invalid Unicode surrogate pair at or near \"{near}\""),
            at,
        )
    }

    fn hex_digits(&mut self, count: usize, at: usize) -> SqlResult<u32> {
        let mut value = 0u32;
        for _ in 0..count {
            let Some(digit) = (self.peek(0) as char).to_digit(16) else {
                return Err(self
                    .error(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid Unicode escape", at)
                    .hint("Unicode escapes must be \\uXXXX or \\UXXXXXXXX."));
            };
            value = value.wrapping_mul(16).wrapping_add(digit);
            self.at += 1;
        }
        Ok(value)
    }

    /// `U&'…'` and `U&"…"`, with the escape character of a following UESCAPE.
    pub(super) fn unicode_escaped(&mut self) -> SqlResult<Token> {
        let start = self.at;
        self.at += 2;
        let quote = self.peek(0);
        let value_at = self.at + 1;
        let raw = if quote == b'\'' {
            self.quoted_string(start)?
        } else {
            self.delimited(b'"')
                .ok_or_else(|| self.unterminated("quoted identifier", start))?
        };
        let mark = self.at;
        self.skip_space()?;
        let escape = if self.sql[self.at..]
            .get(..7)
            .is_some_and(|word| word.eq_ignore_ascii_case("uescape"))
        {
            self.at += 7;
            self.skip_space()?;
            let at = self.at;
            if self.peek(0) != b'\'' {
                let near: String = self.sql[at..].chars().take(1).collect();
                return Err(self.error(
                    SqlState::SYNTAX_ERROR,
                    format!("UESCAPE must be followed by a simple string literal at or near \"{near}\""),
                    at,
                ));
            }
            let text = self.quoted_string(at)?;
            let mut chars = text.chars();
            match (chars.next(), chars.next()) {
                (Some(c), None) if !c.is_ascii_hexdigit() && !matches!(c, '+' | '\'' | '"') && !c.is_whitespace() => c,
                _ => {
                    let near = &self.sql[at..self.at];
                    return Err(self.error(
                        SqlState::SYNTAX_ERROR,
                        format!("invalid Unicode escape character at or near \"{near}\""),
                        at,
                    ));
                }
            }
        } else {
            self.at = mark;
            '\\'
        };
        let value = self.undo_unicode_escapes(&raw, escape, value_at)?;
        if quote == b'\'' {
            Ok(Token::SingleQuotedString(value))
        } else {
            Ok(Token::make_word(truncate_name(&value), Some('"')))
        }
    }

    /// Undoes the escapes of a text that starts at byte `at`.
    fn undo_unicode_escapes(&self, raw: &str, escape: char, at: usize) -> SqlResult<String> {
        let wrong = |message: &str, offset: usize| self.error(SqlState::SYNTAX_ERROR, message, at + offset);
        let bad_pair = |offset: usize| wrong("invalid Unicode surrogate pair", offset);
        let mut value = String::with_capacity(raw.len());
        let mut rest = raw;
        let mut high: Option<u32> = None;
        while let Some(c) = rest.chars().next() {
            let offset = raw.len() - rest.len();
            if c != escape {
                if high.is_some() {
                    return Err(bad_pair(offset));
                }
                value.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
            let tail = &rest[escape.len_utf8()..];
            if tail.starts_with(escape) {
                if high.is_some() {
                    return Err(bad_pair(offset));
                }
                value.push(escape);
                rest = &tail[escape.len_utf8()..];
                continue;
            }
            let digits = if tail.starts_with('+') {
                tail.get(1..7)
            } else {
                tail.get(..4)
            };
            let code = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let Some(code) = code.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
                return Err(
                    wrong("invalid Unicode escape", offset).hint("Unicode escapes must be \\XXXX or \\+XXXXXX.")
                );
            };
            rest = &tail[if tail.starts_with('+') { 7 } else { 4 }..];
            match (high.take(), code) {
                (None, 0xD800..0xDC00) => high = Some(code),
                (Some(first), 0xDC00..0xE000) => {
                    let joined = 0x10000 + ((first - 0xD800) << 10) + (code - 0xDC00);
                    value.extend(char::from_u32(joined));
                }
                (None, 0xDC00..0xE000) | (Some(_), _) => return Err(bad_pair(offset)),
                (None, _) => match char::from_u32(code) {
                    Some('\0') | None => return Err(wrong("invalid Unicode escape value", offset)),
                    Some(c) => value.push(c),
                },
            }
        }
        if high.is_some() {
            return Err(bad_pair(raw.len()));
        }
        Ok(value)
    }

    /// `$1` or `$tag$…$tag$`.
    pub(super) fn dollar(&mut self) -> SqlResult<Token> {
        let start = self.at;
        if self.peek(1).is_ascii_digit() {
            self.at += 1;
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
            return Ok(Token::Placeholder(self.sql[start..self.at].to_owned()));
        }
        let mut end = start + 1;
        while end < self.bytes.len() && is_name_part(self.bytes[end]) && self.bytes[end] != b'$' {
            end += 1;
        }
        if self.bytes.get(end) != Some(&b'$') {
            return Err(self.syntax_error_at(start, start + 1));
        }
        let tag = &self.sql[start..=end];
        let body = end + 1;
        let Some(length) = self.sql[body..].find(tag) else {
            return Err(self.unterminated("dollar-quoted string", start));
        };
        let value = self.sql[body..body + length].to_owned();
        self.at = body + length + tag.len();
        let name = &tag[1..tag.len() - 1];
        let tag = (!name.is_empty()).then(|| name.to_owned());
        Ok(Token::DollarQuotedString(DollarQuotedString { value, tag }))
    }
}
