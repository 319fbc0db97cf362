//! Lexer: PostgreSQL's lexical rules, giving sqlparser's tokens.
//!
//! sqlparser's own tokenizer splits operators, strings and numbers by rules of its own. PostgreSQL's are few and exact
//! (scan.l): the longest operator, which gives up a trailing `+` or `-` unless a character says that it is not SQL's;
//! adjacent strings joined across a newline; `E''`, `U&''`, `$tag$`; folding of unquoted names to lower case and their
//! truncation to 63 bytes. So names arrive folded and everybody behind the lexer compares them as they are.

use sqlparser::ast::{DollarQuotedString, Ident};
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use crate::{SqlError, SqlResult, SqlState};

/// Longest name in bytes (`NAMEDATALEN - 1`).
pub const NAME_BYTES_MAX: usize = 63;

/// A token, and where it stands in the text.
pub(crate) struct Lexeme {
    /// The token; its span is counted in lines and columns from the start of the whole text.
    pub token: TokenWithSpan,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// Splits a text into tokens without white space and comments.
pub(crate) fn tokenize(sql: &str) -> SqlResult<Vec<Lexeme>> {
    let mut lexer = Lexer {
        sql,
        bytes: sql.as_bytes(),
        at: 0,
        line: 1,
        counted: 0,
        column: 1,
    };
    let mut lexemes = Vec::with_capacity(sql.len().min(1 << 20) / 5 + 4);
    loop {
        lexer.skip_space()?;
        if lexer.at >= lexer.bytes.len() {
            return Ok(lexemes);
        }
        let start = lexer.at;
        let from = lexer.location(start);
        let token = lexer.next()?;
        let end = lexer.at;
        let to = lexer.location(end);
        lexemes.push(Lexeme {
            token: TokenWithSpan {
                token,
                span: Span::new(from, to),
            },
            start,
            end,
        });
    }
}

/// Whether a byte may be part of an operator.
pub(crate) fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'+' | b'-'
            | b'*'
            | b'/'
            | b'<'
            | b'>'
            | b'='
            | b'~'
            | b'!'
            | b'@'
            | b'#'
            | b'%'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
    )
}

/// Whether a byte may start a name.
pub(crate) fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// Whether a byte may continue a name.
fn is_name_part(byte: u8) -> bool {
    is_name_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Cuts a name to the longest PostgreSQL keeps, at a character boundary.
pub fn truncate_name(name: &str) -> &str {
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let mut end = NAME_BYTES_MAX;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

struct Lexer<'a> {
    sql: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Line of `counted`, and the column of the character there.
    line: u64,
    counted: usize,
    column: u64,
}

impl Lexer<'_> {
    /// Line and column of a byte position; positions are asked for in increasing order.
    fn location(&mut self, at: usize) -> Location {
        for &byte in &self.bytes[self.counted..at] {
            if byte == b'\n' {
                self.line += 1;
                self.column = 1;
            } else if byte & 0xC0 != 0x80 {
                self.column += 1;
            }
        }
        self.counted = at;
        Location {
            line: self.line,
            column: self.column,
        }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn error(&self, code: SqlState, message: impl Into<String>, at: usize) -> SqlError {
        let position = self.sql[..at].chars().count() as u32 + 1;
        SqlError::new(code, message).at(Some(position))
    }

    /// An error about a token that never ends: PostgreSQL quotes all that follows.
    fn unterminated(&self, what: &str, start: usize) -> SqlError {
        let rest = &self.sql[start..];
        self.error(
            SqlState::SYNTAX_ERROR,
            format!("unterminated {what} at or near \"{rest}\""),
            start,
        )
    }

    fn skip_space(&mut self) -> SqlResult<()> {
        loop {
            match self.peek(0) {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'-' if self.peek(1) == b'-' => self.skip_line(),
                b'/' if self.peek(1) == b'*' => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_line(&mut self) {
        while self.at < self.bytes.len() && !matches!(self.bytes[self.at], b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn skip_comment(&mut self) -> SqlResult<()> {
        let start = self.at;
        let mut depth = 0usize;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => self.at += 1,
            }
        }
        Err(self.unterminated("/* comment", start))
    }

    fn next(&mut self) -> SqlResult<Token> {
        let byte = self.peek(0);
        match byte {
            b'\'' => Ok(Token::SingleQuotedString(self.quoted_string(self.at)?)),
            b'"' => self.quoted_name(),
            b'e' | b'E' if self.peek(1) == b'\'' => self.escape_string(),
            b'n' | b'N' if self.peek(1) == b'\'' => {
                let start = self.at;
                self.at += 1;
                Ok(Token::SingleQuotedString(self.quoted_string(start)?))
            }
            b'b' | b'B' if self.peek(1) == b'\'' => {
                let start = self.at;
                self.at += 1;
                self.bit_string(start, 2).map(Token::SingleQuotedByteStringLiteral)
            }
            b'x' | b'X' if self.peek(1) == b'\'' => {
                let start = self.at;
                self.at += 1;
                self.bit_string(start, 16).map(Token::HexStringLiteral)
            }
            b'u' | b'U' if self.peek(1) == b'&' && matches!(self.peek(2), b'\'' | b'"') => self.unicode_escaped(),
            b'$' => self.dollar(),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_ascii_digit() => self.number(),
            _ if is_name_start(byte) => Ok(self.name()),
            _ => self.punctuation(),
        }
    }

    fn name(&mut self) -> Token {
        let start = self.at;
        while is_name_part(self.peek(0)) && self.at < self.bytes.len() {
            self.at += 1;
        }
        let word = &self.sql[start..self.at];
        let mut token = Token::make_word(word, None);
        if let Token::Word(word) = &mut token {
            word.value.make_ascii_lowercase();
            if word.value.len() > NAME_BYTES_MAX {
                word.value = truncate_name(&word.value).to_owned();
            }
        }
        token
    }

    fn quoted_name(&mut self) -> SqlResult<Token> {
        let start = self.at;
        let value = self
            .delimited(b'"')
            .ok_or_else(|| self.unterminated("quoted identifier", start))?;
        if value.is_empty() {
            return Err(self.error(
                SqlState::SYNTAX_ERROR,
                "zero-length delimited identifier at or near \"\"\"\"",
                start,
            ));
        }
        Ok(Token::make_word(truncate_name(&value), Some('"')))
    }

    /// Text up to the closing quote, doubled quotes undone; `None` if it never closes.
    fn delimited(&mut self, quote: u8) -> Option<String> {
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
    fn quoted_string(&mut self, start: usize) -> SqlResult<String> {
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

    fn reject_nul(&self, value: &str, start: usize) -> SqlResult<()> {
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
    fn continues(&mut self) -> SqlResult<bool> {
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

    fn bit_string(&mut self, start: usize, radix: u32) -> SqlResult<String> {
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
    fn escape_string(&mut self) -> SqlResult<Token> {
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
    fn unicode_escaped(&mut self) -> SqlResult<Token> {
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
    fn dollar(&mut self) -> SqlResult<Token> {
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

    fn syntax_error_at(&self, start: usize, end: usize) -> SqlError {
        let mut end = end;
        while !self.sql.is_char_boundary(end) {
            end += 1;
        }
        let near = &self.sql[start..end];
        self.error(
            SqlState::SYNTAX_ERROR,
            format!("syntax error at or near \"{near}\""),
            start,
        )
    }

    fn number(&mut self) -> SqlResult<Token> {
        let start = self.at;
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
        // `1..10` is an integer followed by two dots.
        if self.peek(0) == b'.' && self.peek(1) != b'.' {
            self.at += 1;
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
        }
        if matches!(self.peek(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if self.peek(1 + sign).is_ascii_digit() {
                self.at += 1 + sign;
                while self.peek(0).is_ascii_digit() {
                    self.at += 1;
                }
            }
        }
        if is_name_start(self.peek(0)) && self.at < self.bytes.len() {
            let mut end = self.at + 1;
            if matches!(self.peek(0), b'e' | b'E') && matches!(self.peek(1), b'+' | b'-') {
                end += 1;
            } else {
                while is_name_part(self.bytes.get(end).copied().unwrap_or(b' ')) {
                    end += 1;
                }
            }
            let near = &self.sql[start..end];
            return Err(self.error(
                SqlState::SYNTAX_ERROR,
                format!("trailing junk after numeric literal at or near \"{near}\""),
                start,
            ));
        }
        Ok(Token::Number(self.sql[start..self.at].to_owned(), false))
    }

    fn punctuation(&mut self) -> SqlResult<Token> {
        let start = self.at;
        let single = match self.peek(0) {
            b'(' => Some(Token::LParen),
            b')' => Some(Token::RParen),
            b'[' => Some(Token::LBracket),
            b']' => Some(Token::RBracket),
            b',' => Some(Token::Comma),
            b';' => Some(Token::SemiColon),
            b'.' => Some(Token::Period),
            b':' => {
                let (token, length) = match self.peek(1) {
                    b':' => (Token::DoubleColon, 2),
                    b'=' => (Token::Assignment, 2),
                    _ => (Token::Colon, 1),
                };
                self.at += length;
                return Ok(token);
            }
            _ => None,
        };
        if let Some(token) = single {
            self.at += 1;
            return Ok(token);
        }
        if is_operator(self.peek(0)) {
            return Ok(self.operator());
        }
        Err(self.syntax_error_at(start, start + 1))
    }

    /// The longest operator, by the rules of scan.l.
    fn operator(&mut self) -> Token {
        let start = self.at;
        let mut end = start;
        while end < self.bytes.len() && is_operator(self.bytes[end]) {
            // A comment ends an operator.
            if end > start && matches!(&self.bytes[end..], [b'-', b'-', ..] | [b'/', b'*', ..]) {
                break;
            }
            end += 1;
        }
        let free = |text: &[u8]| {
            text.iter()
                .any(|b| matches!(b, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%'))
        };
        while end - start > 1 && matches!(self.bytes[end - 1], b'+' | b'-') && !free(&self.bytes[start..end - 1]) {
            end -= 1;
        }
        self.at = end;
        operator_token(&self.sql[start..end])
    }
}

/// The token of an operator.
fn operator_token(text: &str) -> Token {
    match text {
        "=" => Token::Eq,
        "<>" | "!=" => Token::Neq,
        "<" => Token::Lt,
        ">" => Token::Gt,
        "<=" => Token::LtEq,
        ">=" => Token::GtEq,
        "+" => Token::Plus,
        "-" => Token::Minus,
        "*" => Token::Mul,
        "/" => Token::Div,
        "%" => Token::Mod,
        "||" => Token::StringConcat,
        "=>" => Token::RArrow,
        "&" => Token::Ampersand,
        "|" => Token::Pipe,
        "^" => Token::Caret,
        "#" => Token::Sharp,
        "~" => Token::Tilde,
        "~*" => Token::TildeAsterisk,
        "!~" => Token::ExclamationMarkTilde,
        "!~*" => Token::ExclamationMarkTildeAsterisk,
        "~~" => Token::DoubleTilde,
        "~~*" => Token::DoubleTildeAsterisk,
        "!~~" => Token::ExclamationMarkDoubleTilde,
        "!~~*" => Token::ExclamationMarkDoubleTildeAsterisk,
        "<<" => Token::ShiftLeft,
        ">>" => Token::ShiftRight,
        "&&" => Token::Overlap,
        "->" => Token::Arrow,
        "->>" => Token::LongArrow,
        "#>" => Token::HashArrow,
        "#>>" => Token::HashLongArrow,
        "@>" => Token::AtArrow,
        "<@" => Token::ArrowAt,
        "#-" => Token::HashMinus,
        "@?" => Token::AtQuestion,
        "@@" => Token::AtAt,
        "?" => Token::Question,
        "?&" => Token::QuestionAnd,
        "?|" => Token::QuestionPipe,
        "^@" => Token::CaretAt,
        other => Token::CustomBinaryOperator(other.to_owned()),
    }
}

/// Whether a token is this keyword, unquoted.
pub(crate) fn is_keyword(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.keyword == keyword)
}

/// A name that users cannot write, for forms that sqlparser's tree has no node for.
pub(crate) fn internal_name(name: &str, span: Span) -> Ident {
    Ident {
        value: format!("\u{1}{name}"),
        quote_style: Some('"'),
        span,
    }
}
