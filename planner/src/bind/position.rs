//! Positions: from sqlparser's spans to character positions, and places of tokens that its tree does not keep.

use std::sync::{Arc, OnceLock};

use sqlparser::tokenizer::{Location, Span};

use crate::parse::lexer;

use super::Binder;

/// A text that positions are counted in.
#[derive(Clone, Default)]
pub(super) struct Source {
    text: Arc<str>,
    /// Characters of the client's text before this one.
    offset: u32,
    /// A view's or a default's text: its positions mean nothing to the client.
    hidden: bool,
    /// Character where each line starts.
    lines: Arc<OnceLock<Vec<u32>>>,
}

impl Source {
    /// A statement's text.
    pub(super) fn statement(text: Arc<str>, offset: u32) -> Self {
        Self {
            text,
            offset,
            hidden: false,
            lines: Arc::default(),
        }
    }

    /// A stored text: errors in it carry no position.
    pub(super) fn stored(text: &str) -> Self {
        Self {
            text: text.into(),
            offset: 0,
            hidden: true,
            lines: Arc::default(),
        }
    }

    /// One-based character position of a location.
    fn position(&self, at: Location) -> Option<u32> {
        if at.line == 0 || self.hidden {
            return None;
        }
        Some(self.character(at)? + self.offset + 1)
    }

    /// Characters of the text before a location.
    fn character(&self, at: Location) -> Option<u32> {
        let start = match at.line {
            1 => 0,
            line => {
                let lines = self.lines.get_or_init(|| {
                    let characters = self.text.chars().enumerate();
                    characters
                        .filter(|(_, c)| *c == '\n')
                        .map(|(i, _)| i as u32 + 1)
                        .collect()
                });
                *lines.get(line as usize - 2)?
            }
        };
        Some(start + at.column as u32 - 1)
    }

    fn byte(&self, position: u32) -> Option<usize> {
        let character = position.checked_sub(self.offset + 1)? as usize;
        if character == self.text.len() {
            return Some(character);
        }
        self.text.char_indices().nth(character).map(|(byte, _)| byte)
    }

    fn position_of_byte(&self, byte: usize) -> u32 {
        self.text[..byte].chars().count() as u32 + self.offset + 1
    }
}

impl Binder<'_> {
    /// Position of a span's start.
    pub(super) fn at(&self, span: Span) -> Option<u32> {
        self.source.position(span.start)
    }

    /// Position of the first token spelled `token` after the token at `after`, outside of parentheses that open behind it.
    ///
    /// Used for operators and `::`, whose places sqlparser's tree drops: `after` is the position of the left operand's last
    /// known token, so what opens behind it belongs to the left operand.
    pub(super) fn find_after(&self, after: Option<u32>, tokens: &[&str]) -> Option<u32> {
        let start = self.source.byte(after?)?;
        // From the text's start: the place may be inside of a literal, which has no beginning then.
        let lexemes = lexer::tokenize(&self.source.text).ok()?;
        let mut depth = 0usize;
        let rest = lexemes.iter().skip_while(|lexeme| lexeme.end <= start);
        for (i, lexeme) in rest.enumerate() {
            let text = &self.source.text[lexeme.start..lexeme.end];
            match text {
                "(" | "[" => depth += 1,
                ")" | "]" => depth = depth.saturating_sub(1),
                _ if i > 0 && depth == 0 && tokens.iter().any(|token| token.eq_ignore_ascii_case(text)) => {
                    return Some(self.source.position_of_byte(lexeme.start));
                }
                _ => {}
            }
        }
        None
    }

    /// Position of the first place where these words follow each other.
    pub(super) fn find_sequence(&self, words: &[&str]) -> Option<u32> {
        let lexemes = lexer::tokenize(&self.source.text).ok()?;
        let spelled =
            |lexeme: &lexer::Lexeme, word: &str| self.source.text[lexeme.start..lexeme.end].eq_ignore_ascii_case(word);
        let found = lexemes
            .windows(words.len())
            .find(|window| window.iter().zip(words).all(|(lexeme, word)| spelled(lexeme, word)))?;
        Some(self.source.position_of_byte(found.first()?.start))
    }

    /// Position of the nearest token spelled `token` before a position.
    pub(super) fn find_before(&self, before: Option<u32>, token: &str) -> Option<u32> {
        let end = self.source.byte(before?)?;
        let lexemes = lexer::tokenize(&self.source.text[..end]).ok()?;
        let found = lexemes
            .iter()
            .rev()
            .find(|lexeme| self.source.text[lexeme.start..lexeme.end].eq_ignore_ascii_case(token))?;
        Some(self.source.position_of_byte(found.start))
    }
}
