//! SIMILAR TO: SQL's patterns turned into regular expressions.

use crate::{SqlError, SqlResult, SqlState};

/// `similar_to_escape(pattern [, escape])`: the regular expression of an SQL pattern. The escape character before a double
/// quote, twice, divides the pattern in three for `substring(… SIMILAR …)`.
pub fn to_regex(pattern: &str, escape: Option<&str>) -> SqlResult<String> {
    let escape = match escape {
        None => Some('\\'),
        Some(text) => {
            let mut chars = text.chars();
            let first = chars.next();
            if chars.next().is_some() {
                return Err(
                    SqlError::new(SqlState::INVALID_ESCAPE_SEQUENCE, "invalid escape string")
                        .hint("Escape string must be empty or one character."),
                );
            }
            first
        }
    };
    // The outer group makes `^` and `$` apply to all branches.
    let mut out = String::from("^(?:");
    let mut is_escaped = false;
    let mut in_bracket = false;
    let mut quotes = 0;
    for c in pattern.chars() {
        if is_escaped {
            if c == '"' && !in_bracket {
                match quotes {
                    // The first part takes as little as it can.
                    0 => out.push_str("){1,1}?("),
                    1 => out.push_str("){1,1}(?:"),
                    _ => {
                        return Err(SqlError::new(
                            SqlState::INVALID_USE_OF_ESCAPE_CHARACTER,
                            "SQL regular expression may not contain more than two escape-double-quote separators",
                        ));
                    }
                }
                quotes += 1;
            } else {
                // Letters and digits would become escapes of their own; elsewhere a backslash is harmless.
                out.push('\\');
                out.push(c);
            }
            is_escaped = false;
        } else if Some(c) == escape {
            is_escaped = true;
        } else if in_bracket {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
            if c == ']' {
                in_bracket = false;
            }
        } else {
            match c {
                '[' => {
                    out.push(c);
                    in_bracket = true;
                }
                '%' => out.push_str(".*"),
                '_' => out.push('.'),
                '(' => out.push_str("(?:"),
                '\\' | '.' | '^' | '$' => {
                    out.push('\\');
                    out.push(c);
                }
                _ => out.push(c),
            }
        }
    }
    out.push_str(")$");
    Ok(out)
}
