//! Text: length, parts, padding, case, quoting, splitting, patterns, encodings; and the same for bytea.
//!
//! Characters are Unicode code points, as PostgreSQL counts them in UTF-8. Case follows the `C` locale: only ASCII
//! letters change.

mod bytea;
mod encode;
pub(crate) mod format;
mod like;
mod normal;
mod split;
mod table;

use std::sync::Arc;

use storage::Datum;

use super::CallContext;
use crate::types::character::{byte_of_char, offset_after};
use crate::types::modifier::character_length;
use crate::types::{self, Type};
use crate::{SqlError, SqlResult, SqlState};

pub(super) use table::FUNCTIONS;

/// Longest text a function may make (PostgreSQL's MaxAllocSize).
pub const TEXT_BYTES_MAX: usize = 0x3fff_ffff;

/// 54000 for a result that is too long.
pub fn too_large() -> SqlError {
    SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, "requested length too large")
}

/// Text of an argument, printed as its type at the call site.
pub fn text_of(context: &CallContext<'_>, index: usize, datum: &Datum) -> SqlResult<String> {
    let ty = context.types.args.get(index).copied().unwrap_or(Type::TEXT);
    let mut out = String::new();
    types::output(ty, datum, context.session, &mut out)?;
    // A char(n) loses its padding on the way to text.
    if ty.oid == types::oid::BPCHAR {
        out.truncate(out.trim_end_matches(' ').len());
    }
    Ok(out)
}

/// A value as its cast to text gives it, which says `true` where the output function says `t`.
fn cast_of(context: &CallContext<'_>, index: usize, datum: &Datum) -> SqlResult<String> {
    match datum {
        Datum::Bool(value) => Ok(value.to_string()),
        other => text_of(context, index, other),
    }
}

fn concatenate(a: &str, b: &str) -> Arc<str> {
    let mut out = String::with_capacity(a.len() + b.len());
    out.push_str(a);
    out.push_str(b);
    out.into()
}

fn character_count(text: &str) -> i32 {
    if text.is_ascii() {
        text.len() as i32
    } else {
        text.chars().count() as i32
    }
}

/// Byte offset of a character position; the text's end if there are not that many.
fn offset(text: &str, characters: usize) -> usize {
    offset_after(text, characters).unwrap_or(text.len())
}

fn negative_length() -> SqlError {
    SqlError::new(SqlState::SUBSTRING_ERROR, "negative substring length not allowed")
}

/// First and last-but-one position (from 0) that `substring` takes.
fn range(start: i32, count: Option<i32>) -> SqlResult<(usize, usize)> {
    let first = i64::from(start) - 1;
    let end = match count {
        None => i64::MAX,
        Some(count) if count < 0 => return Err(negative_length()),
        Some(count) => first + i64::from(count),
    };
    Ok((first.max(0) as usize, end.max(0) as usize))
}

fn substring(text: &str, start: i32, count: Option<i32>) -> SqlResult<&str> {
    let (first, end) = range(start, count)?;
    if end <= first {
        return Ok("");
    }
    let rest = &text[offset(text, first)..];
    Ok(&rest[..offset(rest, end - first)])
}

fn overlay(text: &str, with: &str, start: i32, count: i32) -> SqlResult<String> {
    if start <= 0 {
        return Err(negative_length());
    }
    let after = start
        .checked_add(count)
        .ok_or_else(|| crate::types::error::out_of_range("integer out of range"))?;
    let head = substring(text, 1, Some(start - 1))?;
    let tail = substring(text, after, None)?;
    Ok([head, with, tail].concat())
}

fn position(text: &str, part: &str) -> i32 {
    text.find(part).map_or(0, |at| character_count(&text[..at]) + 1)
}

fn replace(text: &str, from: &str, to: &str) -> String {
    if from.is_empty() {
        text.to_owned()
    } else {
        text.replace(from, to)
    }
}

fn translate(text: &str, from: &str, to: &str) -> String {
    let to: Vec<char> = to.chars().collect();
    text.chars()
        .filter_map(|c| match from.chars().position(|candidate| candidate == c) {
            Some(index) => to.get(index).copied(),
            None => Some(c),
        })
        .collect()
}

fn trim<'a>(text: &'a str, set: &str, start: bool, end: bool) -> &'a str {
    let is_in = |c: char| set.contains(c);
    let text = if start { text.trim_start_matches(is_in) } else { text };
    if end { text.trim_end_matches(is_in) } else { text }
}

fn pad(text: &str, count: i32, fill: &str, at_start: bool) -> SqlResult<String> {
    let count = count.max(0) as usize;
    let length = character_count(text) as usize;
    if length >= count || fill.is_empty() {
        return Ok(text[..offset(text, count)].to_owned());
    }
    let missing = count - length;
    if missing.saturating_mul(4) > TEXT_BYTES_MAX {
        return Err(too_large());
    }
    let padding = fill.chars().cycle().take(missing);
    let mut out = String::with_capacity(text.len() + missing);
    if at_start {
        out.extend(padding);
        out.push_str(text);
    } else {
        out.push_str(text);
        out.extend(padding);
    }
    Ok(out)
}

/// The first characters; a negative count leaves out that many at the end.
fn left(text: &str, count: i32) -> &str {
    let wanted = if count < 0 {
        (i64::from(character_count(text)) + i64::from(count)).max(0) as usize
    } else {
        count as usize
    };
    &text[..offset(text, wanted)]
}

/// The last characters; a negative count leaves out that many at the start.
fn right(text: &str, count: i32) -> &str {
    let skipped = if count < 0 {
        i64::from(count).unsigned_abs() as usize
    } else {
        (i64::from(character_count(text)) - i64::from(count)).max(0) as usize
    };
    &text[offset(text, skipped)..]
}

fn repeat(text: &str, count: i32) -> SqlResult<String> {
    let count = count.max(0) as usize;
    if text.len().saturating_mul(count) > TEXT_BYTES_MAX {
        return Err(too_large());
    }
    Ok(text.repeat(count))
}

/// Letters after a non-letter become capitals, others small.
fn capitals(text: &str) -> String {
    let mut in_word = false;
    text.chars()
        .map(|c| {
            let next = if in_word {
                c.to_ascii_lowercase()
            } else {
                c.to_ascii_uppercase()
            };
            in_word = c.is_ascii_alphanumeric();
            next
        })
        .collect()
}

fn character(code: i32) -> SqlResult<String> {
    let refuse = |message: String| Err(SqlError::new(SqlState::PROGRAM_LIMIT_EXCEEDED, message));
    if code < 0 {
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            "character number must be positive",
        ));
    }
    if code == 0 {
        return refuse("null character not permitted".into());
    }
    if code > 0x0010_ffff {
        return refuse(format!("requested character too large for encoding: {code}"));
    }
    match char::from_u32(code as u32) {
        Some(c) => Ok(c.to_string()),
        None => refuse(format!("requested character not valid for encoding: {code}")),
    }
}

/// Applies a length modifier, as the casts of varchar and char do.
fn fit(
    text: Arc<str>,
    modifier: i32,
    explicit: bool,
    fitter: fn(Arc<str>, usize, bool) -> SqlResult<Arc<str>>,
) -> SqlResult<Arc<str>> {
    match character_length(modifier) {
        Some(length) => fitter(text, length, explicit),
        None => Ok(text),
    }
}

/// A `"char"` as text: printable as it is, anything beyond ASCII in octal.
fn char_to_text(value: &str) -> String {
    let mut out = String::new();
    crate::types::character::write_char(value, &mut out);
    debug_assert!(byte_of_char(value) != 0 || out.is_empty());
    out
}
