//! json's text, taken apart one level at a time.
//!
//! Values are slices of the text. Everything is still read by the lexer to the end, as PostgreSQL does, so that an escape
//! text cannot hold is found wherever it stands.

use std::borrow::Cow;

use storage::jsonb::{Lexer, Token};

use crate::SqlResult;

/// What a value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the types of their names")]
pub enum Kind {
    Object,
    Array,
    String,
    Number,
    Bool,
    Null,
}

impl Kind {
    /// The name `json_typeof` gives.
    pub fn name(self) -> &'static str {
        match self {
            Self::Object => "object",
            Self::Array => "array",
            Self::String => "string",
            Self::Number => "number",
            Self::Bool => "boolean",
            Self::Null => "null",
        }
    }
}

/// A value inside a text.
#[derive(Clone, Debug)]
pub struct Value<'a> {
    /// As it is written.
    pub raw: &'a str,
    /// What it is.
    pub kind: Kind,
    /// A string without its quotes and escapes.
    string: Option<Cow<'a, str>>,
}

impl<'a> Value<'a> {
    /// The value as `->>` gives it: strings unquoted, null as `None`.
    pub fn into_text(self) -> Option<Cow<'a, str>> {
        match self.kind {
            Kind::Null => None,
            Kind::String => self.string,
            Kind::Object | Kind::Array | Kind::Number | Kind::Bool => Some(Cow::Borrowed(self.raw)),
        }
    }
}

/// What a text is at its top: one token decides.
///
/// # Errors
/// 22P02 if it is not JSON.
pub fn kind(text: &str) -> SqlResult<Kind> {
    let mut lexer = Lexer::new(text, false);
    Ok(match lexer.next_token()? {
        Token::ObjectStart => Kind::Object,
        Token::ArrayStart => Kind::Array,
        Token::String(_) => Kind::String,
        Token::Number(_) => Kind::Number,
        Token::True | Token::False => Kind::Bool,
        _ => Kind::Null,
    })
}

/// The whole text as a value, without the white space around it.
///
/// # Errors
/// 22P02 or 22P05 if a string cannot be read.
pub fn whole(text: &str) -> SqlResult<Value<'_>> {
    let mut lexer = Lexer::new(text, true);
    let first = lexer.next_token()?;
    let value = read_value(text, &mut lexer, first)?;
    Ok(value)
}

/// Key and value of a member.
pub type Member<'a> = (Cow<'a, str>, Value<'a>);

/// Members of an object in the order written, duplicates included; `None` if the text is no object.
///
/// # Errors
/// 22P02 or 22P05 if a string cannot be read.
pub fn members(text: &str) -> SqlResult<Option<Vec<Member<'_>>>> {
    let mut lexer = Lexer::new(text, true);
    if lexer.next_token()? != Token::ObjectStart {
        return Ok(None);
    }
    let mut members = Vec::new();
    loop {
        match lexer.next_token()? {
            Token::String(key) => {
                lexer.next_token()?;
                let first = lexer.next_token()?;
                let value = read_value(text, &mut lexer, first)?;
                members.push((key, value));
            }
            Token::Comma => {}
            _ => return Ok(Some(members)),
        }
    }
}

/// Elements of an array; `None` if the text is no array.
///
/// # Errors
/// 22P02 or 22P05 if a string cannot be read.
pub fn elements(text: &str) -> SqlResult<Option<Vec<Value<'_>>>> {
    let mut lexer = Lexer::new(text, true);
    if lexer.next_token()? != Token::ArrayStart {
        return Ok(None);
    }
    let mut elements = Vec::new();
    loop {
        match lexer.next_token()? {
            Token::ArrayEnd | Token::End => return Ok(Some(elements)),
            Token::Comma => {}
            first => elements.push(read_value(text, &mut lexer, first)?),
        }
    }
}

/// Reads the value that begins with the token just read.
fn read_value<'a>(text: &'a str, lexer: &mut Lexer<'a>, first: Token<'a>) -> SqlResult<Value<'a>> {
    let start = lexer.range().start;
    let (kind, string) = match first {
        Token::ObjectStart => (Kind::Object, None),
        Token::ArrayStart => (Kind::Array, None),
        Token::String(string) => (Kind::String, Some(string)),
        Token::Number(_) => (Kind::Number, None),
        Token::True | Token::False => (Kind::Bool, None),
        _ => (Kind::Null, None),
    };
    if matches!(kind, Kind::Object | Kind::Array) {
        let mut depth = 1;
        while depth > 0 {
            match lexer.next_token()? {
                Token::ObjectStart | Token::ArrayStart => depth += 1,
                Token::ObjectEnd | Token::ArrayEnd => depth -= 1,
                Token::End => break,
                _ => {}
            }
        }
    }
    Ok(Value {
        raw: text.get(start..lexer.range().end).unwrap_or(""),
        kind,
        string,
    })
}
