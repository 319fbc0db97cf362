//! Patterns of `like_regex`: XQuery's flags on PostgreSQL's regular expressions.

use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

use crate::functions::regex::{Flags, Regex, compile};
use crate::{SqlError, SqlResult, SqlState};

/// A compiled pattern. Cloning shares it.
#[derive(Clone)]
pub(super) struct Pattern {
    text: Arc<str>,
    flags: Arc<str>,
    compiled: Rc<Regex>,
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
        let literal = has('q');
        if has('x') && !literal {
            let message = "XQuery \"x\" flag (expanded regular expressions) is not implemented";
            return Err(SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message));
        }
        let compiled = compile(
            text,
            Flags {
                ignore_case: has('i'),
                literal,
                newline_stops: !literal && !has('s'),
                newline_anchors: !literal && has('m'),
                ..Flags::default()
            },
        )?;
        let flags: String = "ismxq".chars().filter(|flag| has(*flag)).collect();
        Ok(Self {
            text: text.into(),
            flags: flags.into(),
            compiled,
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

    /// Whether the pattern matches somewhere.
    ///
    /// # Errors
    /// 2201B if matching takes too much.
    pub(super) fn is_match(&self, text: &str) -> SqlResult<bool> {
        self.compiled.is_match(text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} flag {:?}", self.text, self.flags)
    }
}
