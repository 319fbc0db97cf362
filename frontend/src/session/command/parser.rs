//! Parser: tokens of one statement and the small steps every command is read with.

use planner::{SqlError, SqlResult, SqlState};

use super::Piece;
use crate::session::lexer::{Kind, Lexer, Token, position_of};

/// Longest identifier, as PostgreSQL's NAMEDATALEN - 1.
const NAME_SIZE_MAX: usize = 63;

/// A cursor over the tokens of one statement.
pub struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    next: usize,
}

impl<'a> Parser<'a> {
    /// A parser at the start of a statement.
    ///
    /// # Errors
    /// 42601 if the text has no tokens of PostgreSQL's.
    pub fn new(text: &'a str) -> SqlResult<Self> {
        let mut lexer = Lexer::new(text);
        let mut tokens = Vec::new();
        while let Some(token) = lexer.token()? {
            tokens.push(token);
        }
        Ok(Self { text, tokens, next: 0 })
    }

    /// The next token.
    pub fn peek(&self) -> Option<&Kind> {
        self.tokens.get(self.next).map(|token| &token.kind)
    }

    /// The token `ahead` tokens from here.
    pub fn peek_at(&self, ahead: usize) -> Option<&Kind> {
        self.tokens.get(self.next + ahead).map(|token| &token.kind)
    }

    /// Whether a word comes next, `ahead` tokens from here.
    pub fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        matches!(self.tokens.get(self.next + ahead), Some(Token { kind: Kind::Word(found), .. }) if found == word)
    }

    /// Whether a word comes next.
    pub fn at(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    /// Whether a symbol comes next.
    pub fn at_symbol(&self, symbol: char) -> bool {
        self.peek() == Some(&Kind::Symbol(symbol))
    }

    /// Whether nothing comes next.
    pub fn at_end(&self) -> bool {
        self.next >= self.tokens.len()
    }

    /// Steps over a token.
    pub fn advance(&mut self) {
        self.next += 1;
    }

    /// Steps over a word if it comes next.
    pub fn take(&mut self, word: &str) -> bool {
        let found = self.at(word);
        self.next += usize::from(found);
        found
    }

    /// Steps over the first of some words that comes next.
    pub fn take_any(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let found = words.iter().find(|word| self.at(word)).copied();
        self.next += usize::from(found.is_some());
        found
    }

    /// Steps over a symbol if it comes next.
    pub fn take_symbol(&mut self, symbol: char) -> bool {
        let found = self.at_symbol(symbol);
        self.next += usize::from(found);
        found
    }

    /// Demands a word.
    pub fn expect(&mut self, word: &str) -> SqlResult<()> {
        if self.take(word) { Ok(()) } else { Err(self.error()) }
    }

    /// Demands a symbol.
    pub fn expect_symbol(&mut self, symbol: char) -> SqlResult<()> {
        if self.take_symbol(symbol) {
            Ok(())
        } else {
            Err(self.error())
        }
    }

    /// Any plain word.
    pub fn word(&mut self) -> SqlResult<String> {
        match self.peek() {
            Some(Kind::Word(word)) => {
                let word = word.clone();
                self.advance();
                Ok(word)
            }
            _ => Err(self.error()),
        }
    }

    /// An identifier, truncated as PostgreSQL does.
    pub fn name(&mut self) -> SqlResult<String> {
        match self.peek() {
            Some(Kind::Word(name) | Kind::Quoted(name)) => {
                let mut name = name.clone();
                if name.is_empty() {
                    return Err(SqlError::new(
                        SqlState::SYNTAX_ERROR,
                        "zero-length delimited identifier at or near \"\"\"\"",
                    )
                    .at(self.position()));
                }
                let size = (0..=NAME_SIZE_MAX.min(name.len()))
                    .rev()
                    .find(|size| name.is_char_boundary(*size))
                    .unwrap_or(0);
                name.truncate(size);
                self.advance();
                Ok(name)
            }
            _ => Err(self.error()),
        }
    }

    /// An identifier, or ALL as `None`.
    pub fn name_or_all(&mut self) -> SqlResult<Option<String>> {
        if self.take("all") {
            Ok(None)
        } else {
            self.name().map(Some)
        }
    }

    /// A string constant.
    pub fn text(&mut self) -> SqlResult<String> {
        match self.peek() {
            Some(Kind::Text(text)) => {
                let text = text.clone();
                self.advance();
                Ok(text)
            }
            _ => Err(self.error()),
        }
    }

    /// A signed integer.
    pub fn integer(&mut self) -> SqlResult<i64> {
        let is_negative = self.take_symbol('-');
        if !is_negative {
            self.take_symbol('+');
        }
        match self.peek() {
            Some(Kind::Number(digits)) => {
                let number: i64 = digits.parse().map_err(|_| self.error())?;
                self.advance();
                Ok(if is_negative { -number } else { number })
            }
            _ => Err(self.error()),
        }
    }

    /// A type name as written, with its modifiers and array brackets.
    pub fn type_name(&mut self) -> SqlResult<String> {
        let start = self.start();
        let first = self.next;
        let mut depth = 0_u32;
        while let Some(kind) = self.peek() {
            match kind {
                Kind::Symbol('(' | '[') => depth += 1,
                Kind::Symbol(')' | ']') if depth > 0 => depth -= 1,
                Kind::Symbol(',' | ')') if depth == 0 => break,
                _ => {}
            }
            self.advance();
        }
        if self.next == first {
            return Err(self.error());
        }
        Ok(self.text[start..self.tokens[self.next - 1].end].to_owned())
    }

    /// Steps over a balanced pair of parentheses; returns the text between them.
    pub fn parenthesised(&mut self) -> SqlResult<Piece> {
        self.expect_symbol('(')?;
        let start = self.tokens[self.next - 1].end;
        let mut depth = 1_u32;
        while let Some(kind) = self.peek() {
            match kind {
                Kind::Symbol('(') => depth += 1,
                Kind::Symbol(')') => depth -= 1,
                _ => {}
            }
            if depth == 0 {
                let end = self.start();
                self.advance();
                return Ok(start..end);
            }
            self.advance();
        }
        Err(self.error())
    }

    /// Everything from here to the end.
    pub fn remainder(&mut self) -> SqlResult<Piece> {
        if self.at_end() {
            return Err(self.error());
        }
        let start = self.start();
        self.next = self.tokens.len();
        Ok(start..self.text.len())
    }

    /// First byte of the next token.
    pub fn start(&self) -> usize {
        self.tokens.get(self.next).map_or(self.text.len(), |token| token.start)
    }

    /// The statement's text.
    pub fn source(&self) -> &'a str {
        self.text
    }

    /// Demands that nothing comes next.
    pub fn end(&self) -> SqlResult<()> {
        if self.at_end() { Ok(()) } else { Err(self.error()) }
    }

    /// Character position of the next token.
    pub fn position(&self) -> Option<u32> {
        Some(position_of(self.text, self.start()))
    }

    /// 42601 at the next token.
    pub fn error(&self) -> SqlError {
        match self.tokens.get(self.next) {
            Some(token) => SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!("syntax error at or near \"{}\"", &self.text[token.start..token.end]),
            )
            .at(Some(position_of(self.text, token.start))),
            None => SqlError::new(SqlState::SYNTAX_ERROR, "syntax error at end of input")
                .at(Some(position_of(self.text, self.text.len()))),
        }
    }

    /// 42601 at the token just stepped over.
    pub fn error_before(&mut self) -> SqlError {
        self.next -= 1;
        self.error()
    }
}
