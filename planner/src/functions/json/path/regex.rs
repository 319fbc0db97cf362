//! Patterns of `like_regex`: XQuery's flags on PostgreSQL's regular expressions.

use std::sync::Arc;

use crate::{SqlError, SqlResult, SqlState};

/// A compiled pattern. Cloning shares the automaton.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: Arc<str>,
    flags: Arc<str>,
    compiled: Arc<fancy_regex::Regex>,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// 42601 for an unknown flag, 0A000 for flag `x`, 2201B for a pattern that is none.
    pub(super) fn new(text: &str, flags: &str) -> SqlResult<Self> {
        if let Some(unknown) = flags.chars().find(|flag| !"ismxq".contains(*flag)) {
            return Err(
                SqlError::new(SqlState::SYNTAX_ERROR, "invalid input syntax for type jsonpath").detail(format!(
                    "Unrecognized flag character \"{unknown}\" in LIKE_REGEX predicate."
                )),
            );
        }
        let has = |flag: char| flags.contains(flag);
        let mut source = String::new();
        if has('i') {
            source.push_str("(?i)");
        }
        if has('q') {
            source.push_str(&fancy_regex::escape(text));
        } else if has('x') {
            let message = "XQuery \"x\" flag (expanded regular expressions) is not implemented";
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        } else {
            if has('s') {
                source.push_str("(?s)");
            }
            if has('m') {
                source.push_str("(?m)");
            }
            translate(text, has('m'), &mut source);
        }
        let compiled = fancy_regex::Regex::new(&source).map_err(|error| {
            let message = format!("invalid regular expression: {}", explain(text, &error.to_string()));
            SqlError::new(SqlState::INVALID_REGULAR_EXPRESSION, message)
        })?;
        let flags: String = "ismxq".chars().filter(|flag| has(*flag)).collect();
        Ok(Self {
            text: text.into(),
            flags: flags.into(),
            compiled: Arc::new(compiled),
        })
    }

    /// The pattern as written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Its flags in PostgreSQL's order.
    pub(super) fn flags(&self) -> &str {
        &self.flags
    }

    /// Whether the pattern matches somewhere. A match that takes too many steps counts as none.
    pub(super) fn is_match(&self, text: &str) -> bool {
        self.compiled.is_match(text).unwrap_or(false)
    }
}

/// Rewrites the escapes that PostgreSQL and the regex crate spell differently.
fn translate(pattern: &str, lines: bool, out: &mut String) {
    let mut characters = pattern.chars().peekable();
    let mut in_brackets = false;
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some('y') if !in_brackets => out.push_str("\\b"),
                Some('Y') if !in_brackets => out.push_str("\\B"),
                Some('m') if !in_brackets => out.push_str("\\b(?=\\w)"),
                Some('M') if !in_brackets => out.push_str("\\b(?<=\\w)"),
                Some('Z') if !in_brackets => out.push_str("\\z"),
                Some(other) => {
                    out.push('\\');
                    out.push(other);
                }
                None => out.push('\\'),
            },
            // Without flag m the dollar is the very end, not the end before a last line feed.
            '$' if !in_brackets && !lines => out.push_str("\\z"),
            '[' if !in_brackets => {
                in_brackets = true;
                out.push('[');
                if characters.peek() == Some(&'^') {
                    characters.next();
                    out.push('^');
                }
                if characters.peek() == Some(&']') {
                    characters.next();
                    out.push_str("\\]");
                }
            }
            '[' if matches!(characters.peek(), Some(':')) => out.push('['),
            '[' | '&' | '~' if in_brackets => {
                out.push('\\');
                out.push(character);
            }
            ']' if in_brackets && out.ends_with(':') => out.push(']'),
            ']' => {
                in_brackets = false;
                out.push(']');
            }
            other => out.push(other),
        }
    }
}

/// PostgreSQL's words for what is wrong.
fn explain(pattern: &str, error: &str) -> &'static str {
    let error = error.to_ascii_lowercase();
    let count = |wanted: char| pattern.chars().filter(|character| *character == wanted).count();
    if error.contains("group") || error.contains("paren") || count('(') != count(')') {
        "parentheses () not balanced"
    } else if error.contains("class") && (error.contains("unclosed") || count('[') != count(']')) {
        "brackets [] not balanced"
    } else if error.contains("range") {
        "invalid character range"
    } else if error.contains("repetition") || error.contains("repeat") || error.contains("target of repeat") {
        "quantifier operand invalid"
    } else if error.contains("back") {
        "invalid backreference number"
    } else if error.contains("escape") {
        "invalid escape \\ sequence"
    } else {
        "invalid character class"
    }
}
