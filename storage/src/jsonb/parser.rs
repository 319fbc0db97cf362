//! The parser: one loop with a stack of its own, so that depth is a number and not the machine's stack.

use std::borrow::Cow;
use std::ops::Range;

use super::lexer::Expected;
use super::{DEPTH_MAX, JsonBuilder, JsonError, Jsonb, Lexer, Token};
use crate::Numeric;

/// What the parser meets, in order. Ranges are byte positions in the text.
pub trait JsonEvents {
    /// `{`
    fn begin_object(&mut self, at: usize);
    /// `[`
    fn begin_array(&mut self, at: usize);
    /// `}` or `]`; `end` is the position behind it.
    fn end(&mut self, end: usize);
    /// Key of a member.
    fn key(&mut self, key: Cow<'_, str>);
    /// A string.
    fn string(&mut self, value: Cow<'_, str>, range: Range<usize>);
    /// A number as written.
    ///
    /// # Errors
    /// If the number cannot be represented.
    fn number(&mut self, text: &str, range: Range<usize>) -> Result<(), JsonError>;
    /// true or false.
    fn bool(&mut self, value: bool, range: Range<usize>);
    /// null
    fn null(&mut self, range: Range<usize>);
}

impl JsonEvents for JsonBuilder {
    fn begin_object(&mut self, _at: usize) {
        JsonBuilder::begin_object(self);
    }
    fn begin_array(&mut self, _at: usize) {
        JsonBuilder::begin_array(self);
    }
    fn end(&mut self, _end: usize) {
        JsonBuilder::end(self);
    }
    fn key(&mut self, key: Cow<'_, str>) {
        JsonBuilder::key(self, &key);
    }
    fn string(&mut self, value: Cow<'_, str>, _range: Range<usize>) {
        JsonBuilder::string(self, &value);
    }
    fn number(&mut self, text: &str, _range: Range<usize>) -> Result<(), JsonError> {
        let value: Numeric = text.parse().map_err(|error| JsonError::number(&error))?;
        JsonBuilder::number(self, &value);
        Ok(())
    }
    fn bool(&mut self, value: bool, _range: Range<usize>) {
        JsonBuilder::bool(self, value);
    }
    fn null(&mut self, _range: Range<usize>) {
        JsonBuilder::null(self);
    }
}

/// Hears nothing: the text is only checked.
struct Silent;

impl JsonEvents for Silent {
    fn begin_object(&mut self, _at: usize) {}
    fn begin_array(&mut self, _at: usize) {}
    fn end(&mut self, _end: usize) {}
    fn key(&mut self, _key: Cow<'_, str>) {}
    fn string(&mut self, _value: Cow<'_, str>, _range: Range<usize>) {}
    fn number(&mut self, _text: &str, _range: Range<usize>) -> Result<(), JsonError> {
        Ok(())
    }
    fn bool(&mut self, _value: bool, _range: Range<usize>) {}
    fn null(&mut self, _range: Range<usize>) {}
}

/// Checks text for the type json, which keeps it as written: escapes are checked for form only.
///
/// # Errors
/// What PostgreSQL's `json_in` says.
pub fn validate(text: &str) -> Result<(), JsonError> {
    parse_events(text, false, &mut Silent)
}

pub(super) fn parse(text: &str) -> Result<Jsonb, JsonError> {
    let mut builder = JsonBuilder::with_capacity(text.len() + text.len() / 4);
    parse_events(text, true, &mut builder)?;
    builder.finish()
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    /// Behind `[`: an element or the end.
    FirstElement,
    /// Behind `{`: a key or the end.
    FirstKey,
    /// Behind a comma in an object.
    Key,
    /// Behind a value: a comma, or the end of the container or of the input.
    Behind,
}

/// Parses JSON text and tells `events` what it meets. `unescape`: strings come without escapes, and surrogates are checked.
///
/// # Errors
/// PostgreSQL's error for the first thing that is wrong, or what `events` returned.
pub fn parse_events(text: &str, unescape: bool, events: &mut impl JsonEvents) -> Result<(), JsonError> {
    let mut lexer = Lexer::new(text, unescape);
    // One entry per open container: whether it is an object.
    let mut open: Vec<bool> = Vec::new();
    let mut state = State::Value;
    loop {
        let token = lexer.next_token()?;
        let range = lexer.range();
        state = match (state, token) {
            (State::FirstElement, Token::ArrayEnd) | (State::FirstKey, Token::ObjectEnd) => {
                events.end(range.end);
                open.pop();
                State::Behind
            }
            (State::Value | State::FirstElement, token) => value(&lexer, token, events, &mut open)?,
            (State::FirstKey | State::Key, Token::String(key)) => {
                events.key(key);
                if lexer.next_token()? != Token::Colon {
                    return Err(lexer.unexpected(Expected::ObjectColon));
                }
                State::Value
            }
            (State::FirstKey, _) => return Err(lexer.unexpected(Expected::ObjectFirst)),
            (State::Key, _) => return Err(lexer.unexpected(Expected::String)),
            (State::Behind, token) => match (open.last(), token) {
                (None, Token::End) => return Ok(()),
                (None, _) => return Err(lexer.unexpected(Expected::End)),
                (Some(true), Token::Comma) => State::Key,
                (Some(false), Token::Comma) => State::Value,
                (Some(true), Token::ObjectEnd) | (Some(false), Token::ArrayEnd) => {
                    events.end(range.end);
                    open.pop();
                    State::Behind
                }
                (Some(true), _) => return Err(lexer.unexpected(Expected::ObjectNext)),
                (Some(false), _) => return Err(lexer.unexpected(Expected::ArrayNext)),
            },
        };
    }
}

fn value(
    lexer: &Lexer<'_>,
    token: Token<'_>,
    events: &mut impl JsonEvents,
    open: &mut Vec<bool>,
) -> Result<State, JsonError> {
    let range = lexer.range();
    match token {
        Token::ObjectStart | Token::ArrayStart => {
            if open.len() >= DEPTH_MAX {
                return Err(JsonError::depth());
            }
            let object = token == Token::ObjectStart;
            open.push(object);
            if object {
                events.begin_object(range.start);
                return Ok(State::FirstKey);
            }
            events.begin_array(range.start);
            return Ok(State::FirstElement);
        }
        Token::String(text) => events.string(text, range),
        Token::Number(text) => events.number(text, range)?,
        Token::True => events.bool(true, range),
        Token::False => events.bool(false, range),
        Token::Null => events.null(range),
        Token::ObjectEnd | Token::ArrayEnd | Token::Colon | Token::Comma | Token::End => {
            return Err(lexer.unexpected(Expected::Json));
        }
    }
    Ok(State::Behind)
}
