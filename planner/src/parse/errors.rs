//! Errors: what sqlparser reports, as PostgreSQL says it.
//!
//! sqlparser names the place in its message only (`… at Line: 1, Column: 8`) and tries alternatives, the last of which
//! may have failed early; so the place is the furthest of what it names and what the dialect saw.

use sqlparser::parser::ParserError;
use sqlparser::tokenizer::Location;

use super::dialect::CambiumDialect;
use super::{lexer, too_deep};
use crate::{SqlError, SqlState};

/// The PostgreSQL error for a failure of the parser.
pub(crate) fn syntax_error(text: &str, error: &ParserError, dialect: &CambiumDialect) -> SqlError {
    let message = match error {
        ParserError::RecursionLimitExceeded => return too_deep(),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => message,
    };
    if let Some(message) = message.strip_prefix('\u{1}') {
        return special(text, message);
    }
    if message.contains("found: EOF") && !message.contains("at Line: ") {
        return at_end(text);
    }
    let named = location_in(message).unwrap_or(Location { line: 0, column: 0 });
    near(text, named.max(dialect.furthest()))
}

/// `syntax error at or near "token"` for the token at a place.
pub(crate) fn near(text: &str, at: Location) -> SqlError {
    let Some(byte) = byte_of(text, at) else {
        return at_end(text);
    };
    let token = lexer::tokenize(&text[byte..])
        .ok()
        .and_then(|lexemes| lexemes.first().map(|l| (l.start, l.end)));
    let Some((start, end)) = token else { return at_end(text) };
    let near = &text[byte + start..byte + end];
    let position = text[..byte + start].chars().count() as u32 + 1;
    SqlError::new(SqlState::SYNTAX_ERROR, format!("syntax error at or near \"{near}\"")).at(Some(position))
}

fn at_end(text: &str) -> SqlError {
    let position = text.chars().count() as u32 + 1;
    SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at end of input").at(Some(position))
}

/// Errors our own hooks raise: `CODE line column message`.
fn special(text: &str, message: &str) -> SqlError {
    let mut parts = message.splitn(4, ' ');
    let (code, line, column) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let message = parts.next().unwrap_or_default();
    let number = |part: Option<&str>| part.and_then(|p| p.parse().ok()).unwrap_or(0);
    let at = Location {
        line: number(line),
        column: number(column),
    };
    let position = byte_of(text, at).map(|byte| text[..byte].chars().count() as u32 + 1);
    match code {
        "0A000" => SqlError::unsupported(message),
        _ => SqlError::new(SqlState::SYNTAX_ERROR, message),
    }
    .at(position)
}

/// Byte of a line and column; `None` past the end.
pub(crate) fn byte_of(text: &str, at: Location) -> Option<usize> {
    if at.line == 0 {
        return None;
    }
    let line_start = match at.line {
        1 => 0,
        line => text.match_indices('\n').nth(line as usize - 2)?.0 + 1,
    };
    let (offset, _) = text[line_start..].char_indices().nth(at.column as usize - 1)?;
    Some(line_start + offset)
}

/// The place in `… at Line: 1, Column: 8`.
fn location_in(message: &str) -> Option<Location> {
    let (_, tail) = message.rsplit_once("at Line: ")?;
    let (line, column) = tail.split_once(", Column: ")?;
    Some(Location {
        line: line.trim().parse().ok()?,
        column: column.trim().parse().ok()?,
    })
}
