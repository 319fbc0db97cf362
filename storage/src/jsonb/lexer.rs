//! Tokens of JSON text, and PostgreSQL's words for what is wrong with it.

use std::borrow::Cow;

use super::{JsonError, JsonErrorKind};

/// A token.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "punctuation and literals are what they are called")]
pub enum Token<'a> {
    ObjectStart,
    ObjectEnd,
    ArrayStart,
    ArrayEnd,
    Colon,
    Comma,
    /// A string with its escapes resolved.
    String(Cow<'a, str>),
    /// A number as written.
    Number(&'a str),
    True,
    False,
    Null,
    End,
}

/// What the parser wanted where it found something else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    End,
    Json,
    String,
    ArrayNext,
    ObjectFirst,
    ObjectColon,
    ObjectNext,
}

/// Splits JSON text into tokens.
pub struct Lexer<'a> {
    text: &'a str,
    /// Whether strings are unescaped (jsonb) or only checked for form (json).
    unescape: bool,
    token_start: usize,
    token_end: usize,
    line: usize,
    line_start: usize,
    /// Whether the last token read was the end.
    ended: bool,
}

impl<'a> Lexer<'a> {
    /// A lexer for jsonb (`unescape`: escapes are resolved and surrogates checked) or json (form only).
    pub fn new(text: &'a str, unescape: bool) -> Self {
        Self {
            text,
            unescape,
            token_start: 0,
            token_end: 0,
            line: 1,
            line_start: 0,
            ended: false,
        }
    }

    /// Byte range of the last token.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.token_start..self.token_end
    }

    /// Reads the next token.
    ///
    /// # Errors
    /// [`JsonError`] with PostgreSQL's detail and context.
    pub fn next_token(&mut self) -> Result<Token<'a>, JsonError> {
        let bytes = self.text.as_bytes();
        let mut at = self.token_end;
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = bytes.get(at) {
            if bytes[at] == b'\n' {
                self.line += 1;
                self.line_start = at + 1;
            }
            at += 1;
        }
        self.token_start = at;
        let Some(&first) = bytes.get(at) else {
            self.token_end = at;
            self.ended = true;
            return Ok(Token::End);
        };
        let token = match first {
            b'{' => Token::ObjectStart,
            b'}' => Token::ObjectEnd,
            b'[' => Token::ArrayStart,
            b']' => Token::ArrayEnd,
            b':' => Token::Colon,
            b',' => Token::Comma,
            b'"' => return self.string(),
            b'-' | b'0'..=b'9' => return self.number(),
            _ => return self.word(),
        };
        self.token_end = at + 1;
        Ok(token)
    }

    fn word(&mut self) -> Result<Token<'a>, JsonError> {
        let rest = &self.text.as_bytes()[self.token_start..];
        let size = rest.iter().take_while(|byte| is_word_byte(**byte)).count();
        self.token_end = self.token_start + size.max(1);
        match &rest[..size] {
            b"true" => Ok(Token::True),
            b"false" => Ok(Token::False),
            b"null" => Ok(Token::Null),
            _ => Err(self.invalid_token()),
        }
    }

    fn number(&mut self) -> Result<Token<'a>, JsonError> {
        let bytes = self.text.as_bytes();
        let mut at = self.token_start;
        let mut valid = true;
        let digits = |at: &mut usize| {
            let start = *at;
            while bytes.get(*at).is_some_and(u8::is_ascii_digit) {
                *at += 1;
            }
            *at > start
        };
        if bytes.get(at) == Some(&b'-') {
            at += 1;
        }
        if bytes.get(at) == Some(&b'0') {
            at += 1;
        } else {
            valid &= digits(&mut at);
        }
        if bytes.get(at) == Some(&b'.') {
            at += 1;
            valid &= digits(&mut at);
        }
        if let Some(b'e' | b'E') = bytes.get(at) {
            at += 1;
            if let Some(b'+' | b'-') = bytes.get(at) {
                at += 1;
            }
            valid &= digits(&mut at);
        }
        // Letters and digits right behind belong to the token, so that the message shows the whole of it.
        while bytes.get(at).is_some_and(|byte| is_word_byte(*byte)) {
            valid = false;
            at += 1;
        }
        self.token_end = at;
        if valid {
            Ok(Token::Number(&self.text[self.token_start..at]))
        } else {
            Err(self.invalid_token())
        }
    }

    fn string(&mut self) -> Result<Token<'a>, JsonError> {
        let bytes = self.text.as_bytes();
        let begin = self.token_start + 1;
        let mut at = begin;
        // Most strings have no escape: they are a slice of the text.
        loop {
            match bytes.get(at) {
                Some(b'"') => {
                    self.token_end = at + 1;
                    return Ok(Token::String(Cow::Borrowed(&self.text[begin..at])));
                }
                Some(b'\\') => return self.escaped_string(at),
                Some(byte) if *byte < 0x20 => return Err(self.control_character(at)),
                Some(_) => at += 1,
                None => {
                    self.token_end = at;
                    return Err(self.invalid_token());
                }
            }
        }
    }

    fn escaped_string(&mut self, mut at: usize) -> Result<Token<'a>, JsonError> {
        let bytes = self.text.as_bytes();
        let begin = self.token_start + 1;
        let mut value = String::with_capacity(at - begin + 16);
        value.push_str(&self.text[begin..at]);
        let mut high_surrogate: Option<u32> = None;
        loop {
            match bytes.get(at) {
                None => {
                    self.token_end = at;
                    return Err(self.invalid_token());
                }
                Some(b'"') => {
                    self.token_end = at + 1;
                    if high_surrogate.is_some() {
                        return Err(self.lone_surrogate());
                    }
                    return Ok(Token::String(Cow::Owned(value)));
                }
                Some(b'\\') if bytes.get(at + 1) == Some(&b'u') => {
                    let code = self.hexadecimal(at + 2)?;
                    at += 6;
                    self.token_end = at;
                    if self.unescape {
                        self.push_code(code, &mut high_surrogate, &mut value)?;
                    }
                }
                Some(b'\\') => {
                    let Some(&escape) = bytes.get(at + 1) else {
                        self.token_end = at + 1;
                        return Err(self.invalid_token());
                    };
                    if high_surrogate.is_some() {
                        self.token_end = self.character_end(at + 1);
                        return Err(self.lone_surrogate());
                    }
                    value.push(match escape {
                        b'"' | b'\\' | b'/' => char::from(escape),
                        b'b' => '\x08',
                        b'f' => '\x0c',
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        _ => return Err(self.invalid_escape(at + 1)),
                    });
                    at += 2;
                }
                Some(_) if high_surrogate.is_some() => {
                    self.token_end = self.character_end(at);
                    return Err(self.lone_surrogate());
                }
                Some(byte) if *byte < 0x20 => return Err(self.control_character(at)),
                Some(_) => {
                    let run = bytes[at..]
                        .iter()
                        .take_while(|byte| **byte >= 0x20 && !matches!(**byte, b'"' | b'\\'));
                    let end = at + run.count();
                    value.push_str(&self.text[at..end]);
                    at = end;
                }
            }
        }
    }

    /// Four hexadecimal digits.
    fn hexadecimal(&mut self, from: usize) -> Result<u32, JsonError> {
        let mut code = 0;
        for at in from..from + 4 {
            match self.text.as_bytes().get(at).map(|byte| char::from(*byte).to_digit(16)) {
                Some(Some(digit)) => code = code * 16 + digit,
                Some(None) => {
                    self.token_end = self.character_end(at);
                    let detail = "\"\\u\" must be followed by four hexadecimal digits.";
                    return Err(self.syntax(detail.to_owned()));
                }
                None => {
                    self.token_end = at;
                    return Err(self.invalid_token());
                }
            }
        }
        Ok(code)
    }

    fn push_code(&self, code: u32, high: &mut Option<u32>, value: &mut String) -> Result<(), JsonError> {
        let code = match (code, *high) {
            (0xD800..=0xDBFF, Some(_)) => {
                return Err(self.syntax("Unicode high surrogate must not follow a high surrogate.".to_owned()));
            }
            (0xD800..=0xDBFF, None) => {
                *high = Some(code);
                return Ok(());
            }
            (0xDC00..=0xDFFF, Some(first)) => {
                *high = None;
                0x1_0000 + ((first - 0xD800) << 10) + (code - 0xDC00)
            }
            (0xDC00..=0xDFFF, None) | (_, Some(_)) => return Err(self.lone_surrogate()),
            (code, None) => code,
        };
        match char::from_u32(code) {
            Some('\0') | None => {
                let error = self.syntax("\\u0000 cannot be converted to text.".to_owned());
                Err(JsonError {
                    kind: JsonErrorKind::Unicode,
                    message: "unsupported Unicode escape sequence".to_owned(),
                    ..error
                })
            }
            Some(character) => {
                value.push(character);
                Ok(())
            }
        }
    }

    fn lone_surrogate(&self) -> JsonError {
        self.syntax("Unicode low surrogate must follow a high surrogate.".to_owned())
    }

    fn control_character(&mut self, at: usize) -> JsonError {
        // The character cannot be shown, so the context ends before it.
        self.token_end = at;
        let byte = self.text.as_bytes()[at];
        self.syntax(format!("Character with value 0x{byte:02x} must be escaped."))
    }

    fn invalid_escape(&mut self, at: usize) -> JsonError {
        self.token_start = at;
        self.token_end = self.character_end(at);
        self.syntax(format!("Escape sequence \"\\{}\" is invalid.", self.token_text()))
    }

    fn invalid_token(&self) -> JsonError {
        self.syntax(format!("Token \"{}\" is invalid.", self.token_text()))
    }

    /// The error for a token where another was expected.
    pub(super) fn unexpected(&self, expected: Expected) -> JsonError {
        if self.ended {
            return self.syntax("The input string ended unexpectedly.".to_owned());
        }
        let found = self.token_text();
        self.syntax(match expected {
            Expected::End => format!("Expected end of input, but found \"{found}\"."),
            Expected::Json => format!("Expected JSON value, but found \"{found}\"."),
            Expected::String => format!("Expected string, but found \"{found}\"."),
            Expected::ArrayNext => format!("Expected \",\" or \"]\", but found \"{found}\"."),
            Expected::ObjectFirst => format!("Expected string or \"}}\", but found \"{found}\"."),
            Expected::ObjectColon => format!("Expected \":\", but found \"{found}\"."),
            Expected::ObjectNext => format!("Expected \",\" or \"}}\", but found \"{found}\"."),
        })
    }

    fn token_text(&self) -> &'a str {
        self.text.get(self.token_start..self.token_end).unwrap_or("")
    }

    fn character_end(&self, at: usize) -> usize {
        (at + 1..self.text.len())
            .find(|end| self.text.is_char_boundary(*end))
            .unwrap_or(self.text.len())
    }

    fn syntax(&self, detail: String) -> JsonError {
        JsonError {
            kind: JsonErrorKind::Syntax,
            message: "invalid input syntax for type json".to_owned(),
            detail: Some(detail),
            hint: None,
            context: Some(self.context()),
        }
    }

    /// The line up to the offending token, at most about fifty bytes of it, as PostgreSQL excerpts it.
    fn context(&self) -> String {
        let end = self.token_end;
        let mut start = self.line_start.min(end);
        while end - start >= 50 {
            start = self.character_end(start);
        }
        if start - self.line_start.min(end) <= 3 {
            start = self.line_start.min(end);
        }
        let prefix = if start > self.line_start { "..." } else { "" };
        let continues = !matches!(self.text.as_bytes().get(end), None | Some(b'\n' | b'\r'));
        let suffix = if !self.ended && continues { "..." } else { "" };
        format!(
            "JSON data, line {}: {prefix}{}{suffix}",
            self.line,
            self.text.get(start..end).unwrap_or("")
        )
    }
}

/// Letters, digits, underscore, and every byte of a character beyond ASCII.
fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}
