//! Scan: splits a date/time text into fields and guesses what each may be (`ParseDateTime`).

use super::Fault;
use super::token;
use crate::types::number::is_space;

/// What a field looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Digits, perhaps with a fraction.
    Number,
    /// A word.
    Word,
    /// Something with `-`, `/` or `.` inside: a date, a zone name, or a run-together time with a zone.
    Date,
    /// Digits with colons.
    Time,
    /// A sign and digits.
    Zone,
    /// A sign and a word, such as `-infinity`.
    Special,
}

/// A field of the text, in lower case.
#[derive(Clone, Debug)]
pub struct Field {
    /// What it looks like.
    pub kind: FieldKind,
    /// Its text.
    pub text: String,
}

/// Most fields of a text.
const FIELDS_MAX: usize = 25;

/// Longest text of all fields together (MAXDATELEN and its work buffer).
const BYTES_MAX: usize = 128 + 25;

/// Splits a text into fields.
pub fn scan(text: &str) -> Result<Vec<Field>, Fault> {
    let mut scanner = Scanner {
        rest: text,
        field: String::new(),
    };
    let mut fields = Vec::new();
    let mut size = 0;
    while let Some(kind) = scanner.next()? {
        if fields.len() == FIELDS_MAX {
            return Err(Fault::Format);
        }
        let text = std::mem::take(&mut scanner.field);
        size += text.len() + 1;
        if size > BYTES_MAX {
            return Err(Fault::Format);
        }
        fields.push(Field { kind, text });
    }
    Ok(fields)
}

struct Scanner<'a> {
    rest: &'a str,
    field: String,
}

impl Scanner<'_> {
    fn peek(&self) -> char {
        self.rest.chars().next().unwrap_or('\0')
    }

    /// Moves one character to the field, in lower case.
    fn take(&mut self) {
        let mut chars = self.rest.chars();
        if let Some(c) = chars.next() {
            self.field.push(c.to_ascii_lowercase());
        }
        self.rest = chars.as_str();
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) {
        while accept(self.peek()) && !self.rest.is_empty() {
            self.take();
        }
    }

    fn next(&mut self) -> Result<Option<FieldKind>, Fault> {
        loop {
            self.rest = self.rest.trim_start_matches(is_space);
            if self.rest.is_empty() {
                return Ok(None);
            }
            let c = self.peek();
            if c.is_ascii_digit() {
                return Ok(Some(self.number()));
            } else if c == '.' {
                self.take();
                self.take_while(|c| c.is_ascii_digit());
                return Ok(Some(FieldKind::Number));
            } else if c.is_ascii_alphabetic() {
                return Ok(Some(self.word()));
            } else if c == '+' || c == '-' {
                return self.signed().map(Some);
            } else if c.is_ascii_punctuation() {
                // Other punctuation separates fields and means nothing.
                self.rest = &self.rest[1..];
            } else {
                return Err(Fault::Format);
            }
        }
    }

    fn number(&mut self) -> FieldKind {
        self.take_while(|c| c.is_ascii_digit());
        match self.peek() {
            ':' => {
                self.take_while(|c| c.is_ascii_digit() || c == ':' || c == '.');
                FieldKind::Time
            }
            delimiter @ ('-' | '/' | '.') => {
                self.take();
                if self.peek().is_ascii_digit() {
                    self.take_while(|c| c.is_ascii_digit());
                    // Delimiters must match to make a date of three fields.
                    if self.peek() == delimiter {
                        self.take_while(|c| c.is_ascii_digit() || c == delimiter);
                        return FieldKind::Date;
                    }
                    return if delimiter == '.' {
                        FieldKind::Number
                    } else {
                        FieldKind::Date
                    };
                }
                self.take_while(|c| c.is_ascii_alphanumeric() || c == delimiter);
                FieldKind::Date
            }
            _ => FieldKind::Number,
        }
    }

    fn word(&mut self) -> FieldKind {
        self.take_while(|c| c.is_ascii_alphabetic());
        let is_date = match self.peek() {
            '-' | '/' | '.' => true,
            // Only the core tokens are looked up here, not zone names: `j2451187`, `t040506` are two fields.
            c if c == '+' || c.is_ascii_digit() => !token::is_token(&self.field),
            _ => false,
        };
        if !is_date {
            return FieldKind::Word;
        }
        self.take_while(|c| matches!(c, '+' | '-' | '/' | '_' | '.' | ':') || c.is_ascii_alphanumeric());
        FieldKind::Date
    }

    fn signed(&mut self) -> Result<FieldKind, Fault> {
        self.take();
        self.rest = self.rest.trim_start_matches(is_space);
        if self.peek().is_ascii_digit() {
            self.take_while(|c| c.is_ascii_digit() || matches!(c, ':' | '.' | '-'));
            Ok(FieldKind::Zone)
        } else if self.peek().is_ascii_alphabetic() {
            self.take_while(|c| c.is_ascii_alphabetic());
            Ok(FieldKind::Special)
        } else {
            Err(Fault::Format)
        }
    }
}
