//! LIKE and ILIKE: `%` is any run of characters, `_` one, and a backslash takes the next character literally.

use crate::{SqlError, SqlResult, SqlState};

/// `text LIKE pattern`
pub fn matches(text: &str, pattern: &str) -> SqlResult<bool> {
    find(text.as_bytes(), pattern.as_bytes(), true, |a, b| a == b)
}

/// `text ILIKE pattern`
pub fn matches_any_case(text: &str, pattern: &str) -> SqlResult<bool> {
    find(text.as_bytes(), pattern.as_bytes(), true, |a, b| {
        a.eq_ignore_ascii_case(&b)
    })
}

/// `bytes LIKE pattern`
pub fn matches_bytes(bytes: &[u8], pattern: &[u8]) -> SqlResult<bool> {
    find(bytes, pattern, false, |a, b| a == b)
}

fn dangling_escape() -> SqlError {
    SqlError::new(
        SqlState::INVALID_ESCAPE_SEQUENCE,
        "LIKE pattern must not end with escape character",
    )
}

/// Matches with one point to go back to: only the last `%` can ever need to take more.
fn find(text: &[u8], pattern: &[u8], utf8: bool, equal: impl Fn(u8, u8) -> bool) -> SqlResult<bool> {
    let (mut t, mut p) = (0, 0);
    // Where to resume: the pattern after the last `%`, and the text it last gave to it.
    let mut resume: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            Some(b'%') => {
                p += 1;
                resume = Some((p, t));
                if p == pattern.len() {
                    return Ok(true);
                }
                continue;
            }
            Some(b'_') if t < text.len() => {
                t = next(text, t, utf8);
                p += 1;
                true
            }
            Some(b'\\') => match pattern.get(p + 1) {
                // The pattern is only looked at as far as the text leads.
                None if t < text.len() => return Err(dangling_escape()),
                Some(&byte) if t < text.len() && equal(text[t], byte) => {
                    t += 1;
                    p += 2;
                    true
                }
                _ => false,
            },
            Some(&byte) if byte != b'_' && t < text.len() && equal(text[t], byte) => {
                t += 1;
                p += 1;
                true
            }
            None if t == text.len() => return Ok(true),
            _ => false,
        };
        if step {
            continue;
        }
        match resume {
            Some((after, given)) if given < text.len() => {
                let given = next(text, given, utf8);
                resume = Some((after, given));
                (t, p) = (given, after);
            }
            _ => return Ok(false),
        }
    }
}

/// Start of the next character.
fn next(text: &[u8], at: usize, utf8: bool) -> usize {
    let mut at = at + 1;
    while utf8 && text.get(at).is_some_and(|byte| byte & 0xc0 == 0x80) {
        at += 1;
    }
    at
}

/// `pattern ESCAPE escape`: the same pattern with a backslash as its escape character.
pub fn with_escape(pattern: &str, escape: &str) -> SqlResult<String> {
    let mut out = String::with_capacity(pattern.len() + 8);
    let mut escapes = escape.chars();
    let Some(escape) = escapes.next() else {
        // No escape character: backslashes are themselves.
        return Ok(pattern.replace('\\', "\\\\"));
    };
    if escapes.next().is_some() {
        return Err(
            SqlError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                .hint("Escape string must be empty or one character."),
        );
    }
    if escape == '\\' {
        return Ok(pattern.to_owned());
    }
    let mut is_escaped = false;
    for c in pattern.chars() {
        if c == escape && !is_escaped {
            out.push('\\');
            is_escaped = true;
        } else if c == '\\' {
            out.push('\\');
            if !is_escaped {
                out.push('\\');
            }
            is_escaped = false;
        } else {
            out.push(c);
            is_escaped = false;
        }
    }
    Ok(out)
}

/// As [`with_escape`], for bytea.
pub fn bytes_with_escape(pattern: &[u8], escape: &[u8]) -> SqlResult<Vec<u8>> {
    let escape = match escape {
        [] => None,
        &[escape] => Some(escape),
        _ => {
            return Err(
                SqlError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                    .hint("Escape string must be empty or one character."),
            );
        }
    };
    let mut out = Vec::with_capacity(pattern.len() + 8);
    let mut is_escaped = false;
    for &byte in pattern {
        if Some(byte) == escape && !is_escaped {
            out.push(b'\\');
            is_escaped = true;
            continue;
        }
        if byte == b'\\' && !is_escaped {
            out.push(b'\\');
        }
        out.push(byte);
        is_escaped = false;
    }
    Ok(out)
}
