//! Lexer: PostgreSQL's lexical rules, giving sqlparser's tokens.
//!
//! sqlparser's own tokenizer splits operators, strings and numbers by rules of its own. PostgreSQL's are few and exact
//! (scan.l): the longest operator, which gives up a trailing `+` or `-` unless a character says that it is not SQL's;
//! adjacent strings joined across a newline; `E''`, `U&''`, `$tag$`; folding of unquoted names to lower case and their
//! truncation to 63 bytes. So names arrive folded and everybody behind the lexer compares them as they are.

mod quoted;

use sqlparser::ast::Ident;
use sqlparser::keywords::Keyword;
use sqlparser::tokenizer::{Location, Span, Token, TokenWithSpan};

use crate::{SqlError, SqlResult, SqlState};

/// Longest name in bytes (`NAMEDATALEN - 1`).
pub const NAME_BYTES_MAX: usize = 63;

/// A token, and where it stands in the text.
pub(crate) struct Lexeme {
    /// The token; its span is counted in lines and columns from the start of the whole text.
    pub token: TokenWithSpan,
    /// First byte.
    pub start: usize,
    /// Byte after the last.
    pub end: usize,
}

/// Splits a text into tokens without white space and comments.
pub(crate) fn tokenize(sql: &str) -> SqlResult<Vec<Lexeme>> {
    let mut lexer = Lexer {
        sql,
        bytes: sql.as_bytes(),
        at: 0,
        line: 1,
        counted: 0,
        column: 1,
    };
    let mut lexemes = Vec::with_capacity(sql.len().min(1 << 20) / 5 + 4);
    loop {
        lexer.skip_space()?;
        if lexer.at >= lexer.bytes.len() {
            return Ok(lexemes);
        }
        let start = lexer.at;
        let from = lexer.location(start);
        let token = lexer.next()?;
        let end = lexer.at;
        let to = lexer.location(end);
        lexemes.push(Lexeme {
            token: TokenWithSpan {
                token,
                span: Span::new(from, to),
            },
            start,
            end,
        });
    }
}

/// Whether a byte may be part of an operator.
pub(crate) fn is_operator(byte: u8) -> bool {
    matches!(
        byte,
        b'+' | b'-'
            | b'*'
            | b'/'
            | b'<'
            | b'>'
            | b'='
            | b'~'
            | b'!'
            | b'@'
            | b'#'
            | b'%'
            | b'^'
            | b'&'
            | b'|'
            | b'`'
            | b'?'
    )
}

/// Whether a byte may start a name.
pub(crate) fn is_name_start(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

/// Whether a byte may continue a name.
fn is_name_part(byte: u8) -> bool {
    is_name_start(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// Cuts a name to the longest PostgreSQL keeps, at a character boundary.
pub fn truncate_name(name: &str) -> &str {
    if name.len() <= NAME_BYTES_MAX {
        return name;
    }
    let mut end = NAME_BYTES_MAX;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    &name[..end]
}

struct Lexer<'a> {
    sql: &'a str,
    bytes: &'a [u8],
    at: usize,
    /// Line of `counted`, and the column of the character there.
    line: u64,
    counted: usize,
    column: u64,
}

impl Lexer<'_> {
    /// Line and column of a byte position; positions are asked for in increasing order.
    fn location(&mut self, at: usize) -> Location {
        for &byte in &self.bytes[self.counted..at] {
            if byte == b'\n' {
                self.line += 1;
                self.column = 1;
            } else if byte & 0xC0 != 0x80 {
                self.column += 1;
            }
        }
        self.counted = at;
        Location {
            line: self.line,
            column: self.column,
        }
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn error(&self, code: SqlState, message: impl Into<String>, at: usize) -> SqlError {
        let position = self.sql[..at].chars().count() as u32 + 1;
        SqlError::new(code, message).at(Some(position))
    }

    /// An error about a token that never ends: PostgreSQL quotes all that follows.
    fn unterminated(&self, what: &str, start: usize) -> SqlError {
        let rest = &self.sql[start..];
        self.error(
            SqlState::SYNTAX_ERROR,
            format!("unterminated {what} at or near \"{rest}\""),
            start,
        )
    }

    fn skip_space(&mut self) -> SqlResult<()> {
        loop {
            match self.peek(0) {
                b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => self.at += 1,
                b'-' if self.peek(1) == b'-' => self.skip_line(),
                b'/' if self.peek(1) == b'*' => self.skip_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_line(&mut self) {
        while self.at < self.bytes.len() && !matches!(self.bytes[self.at], b'\n' | b'\r') {
            self.at += 1;
        }
    }

    fn skip_comment(&mut self) -> SqlResult<()> {
        let start = self.at;
        let mut depth = 0usize;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => self.at += 1,
            }
        }
        Err(self.unterminated("/* comment", start))
    }

    fn next(&mut self) -> SqlResult<Token> {
        let byte = self.peek(0);
        match byte {
            b'\'' => Ok(Token::SingleQuotedString(self.quoted_string(self.at)?)),
            b'"' => self.quoted_name(),
            b'e' | b'E' if self.peek(1) == b'\'' => self.escape_string(),
            b'n' | b'N' if self.peek(1) == b'\'' => {
                let start = self.at;
                self.at += 1;
                Ok(Token::SingleQuotedString(self.quoted_string(start)?))
            }
            b'b' | b'B' if self.peek(1) == b'\'' => {
                let start = self.at;
                self.at += 1;
                self.bit_string(start, 2).map(Token::SingleQuotedByteStringLiteral)
            }
            b'x' | b'X' if self.peek(1) == b'\'' => {
                let start = self.at;
                self.at += 1;
                self.bit_string(start, 16).map(Token::HexStringLiteral)
            }
            b'u' | b'U' if self.peek(1) == b'&' && matches!(self.peek(2), b'\'' | b'"') => self.unicode_escaped(),
            b'$' => self.dollar(),
            b'0'..=b'9' => self.number(),
            b'.' if self.peek(1).is_ascii_digit() => self.number(),
            _ if is_name_start(byte) => Ok(self.name()),
            _ => self.punctuation(),
        }
    }

    fn name(&mut self) -> Token {
        let start = self.at;
        while is_name_part(self.peek(0)) && self.at < self.bytes.len() {
            self.at += 1;
        }
        let word = &self.sql[start..self.at];
        let mut token = Token::make_word(word, None);
        if let Token::Word(word) = &mut token {
            word.value.make_ascii_lowercase();
            if word.value.len() > NAME_BYTES_MAX {
                word.value = truncate_name(&word.value).to_owned();
            }
        }
        token
    }

    fn quoted_name(&mut self) -> SqlResult<Token> {
        let start = self.at;
        let value = self
            .delimited(b'"')
            .ok_or_else(|| self.unterminated("quoted identifier", start))?;
        if value.is_empty() {
            return Err(self.error(
                SqlState::SYNTAX_ERROR,
                "zero-length delimited identifier at or near \"\"\"\"",
                start,
            ));
        }
        Ok(Token::make_word(truncate_name(&value), Some('"')))
    }

    fn syntax_error_at(&self, start: usize, end: usize) -> SqlError {
        let mut end = end;
        while !self.sql.is_char_boundary(end) {
            end += 1;
        }
        let near = &self.sql[start..end];
        self.error(
            SqlState::SYNTAX_ERROR,
            format!("syntax error at or near \"{near}\""),
            start,
        )
    }

    fn number(&mut self) -> SqlResult<Token> {
        let start = self.at;
        while self.peek(0).is_ascii_digit() {
            self.at += 1;
        }
        // `1..10` is an integer followed by two dots.
        if self.peek(0) == b'.' && self.peek(1) != b'.' {
            self.at += 1;
            while self.peek(0).is_ascii_digit() {
                self.at += 1;
            }
        }
        if matches!(self.peek(0), b'e' | b'E') {
            let sign = usize::from(matches!(self.peek(1), b'+' | b'-'));
            if self.peek(1 + sign).is_ascii_digit() {
                self.at += 1 + sign;
                while self.peek(0).is_ascii_digit() {
                    self.at += 1;
                }
            }
        }
        if is_name_start(self.peek(0)) && self.at < self.bytes.len() {
            let mut end = self.at + 1;
            if matches!(self.peek(0), b'e' | b'E') && matches!(self.peek(1), b'+' | b'-') {
                end += 1;
            } else {
                while is_name_part(self.bytes.get(end).copied().unwrap_or(b' ')) {
                    end += 1;
                }
            }
            let near = &self.sql[start..end];
            return Err(self.error(
                SqlState::SYNTAX_ERROR,
                format!("trailing junk after numeric literal at or near \"{near}\""),
                start,
            ));
        }
        Ok(Token::Number(self.sql[start..self.at].to_owned(), false))
    }

    fn punctuation(&mut self) -> SqlResult<Token> {
        let start = self.at;
        let single = match self.peek(0) {
            b'(' => Some(Token::LParen),
            b')' => Some(Token::RParen),
            b'[' => Some(Token::LBracket),
            b']' => Some(Token::RBracket),
            b',' => Some(Token::Comma),
            b';' => Some(Token::SemiColon),
            b'.' => Some(Token::Period),
            b':' => {
                let (token, length) = match self.peek(1) {
                    b':' => (Token::DoubleColon, 2),
                    b'=' => (Token::Assignment, 2),
                    _ => (Token::Colon, 1),
                };
                self.at += length;
                return Ok(token);
            }
            _ => None,
        };
        if let Some(token) = single {
            self.at += 1;
            return Ok(token);
        }
        if is_operator(self.peek(0)) {
            return Ok(self.operator());
        }
        Err(self.syntax_error_at(start, start + 1))
    }

    /// The longest operator, by the rules of scan.l.
    fn operator(&mut self) -> Token {
        let start = self.at;
        let mut end = start;
        while end < self.bytes.len() && is_operator(self.bytes[end]) {
            // A comment ends an operator.
            if end > start && matches!(&self.bytes[end..], [b'-', b'-', ..] | [b'/', b'*', ..]) {
                break;
            }
            end += 1;
        }
        let free = |text: &[u8]| {
            text.iter()
                .any(|b| matches!(b, b'~' | b'!' | b'@' | b'#' | b'^' | b'&' | b'|' | b'`' | b'?' | b'%'))
        };
        while end - start > 1 && matches!(self.bytes[end - 1], b'+' | b'-') && !free(&self.bytes[start..end - 1]) {
            end -= 1;
        }
        self.at = end;
        operator_token(&self.sql[start..end])
    }
}

/// The token of an operator.
fn operator_token(text: &str) -> Token {
    match text {
        "=" => Token::Eq,
        "<>" | "!=" => Token::Neq,
        "<" => Token::Lt,
        ">" => Token::Gt,
        "<=" => Token::LtEq,
        ">=" => Token::GtEq,
        "+" => Token::Plus,
        "-" => Token::Minus,
        "*" => Token::Mul,
        "/" => Token::Div,
        "%" => Token::Mod,
        "||" => Token::StringConcat,
        "=>" => Token::RArrow,
        "&" => Token::Ampersand,
        "|" => Token::Pipe,
        "^" => Token::Caret,
        "#" => Token::Sharp,
        "~" => Token::Tilde,
        "~*" => Token::TildeAsterisk,
        "!~" => Token::ExclamationMarkTilde,
        "!~*" => Token::ExclamationMarkTildeAsterisk,
        "~~" => Token::DoubleTilde,
        "~~*" => Token::DoubleTildeAsterisk,
        "!~~" => Token::ExclamationMarkDoubleTilde,
        "!~~*" => Token::ExclamationMarkDoubleTildeAsterisk,
        "<<" => Token::ShiftLeft,
        ">>" => Token::ShiftRight,
        "&&" => Token::Overlap,
        "->" => Token::Arrow,
        "->>" => Token::LongArrow,
        "#>" => Token::HashArrow,
        "#>>" => Token::HashLongArrow,
        "@>" => Token::AtArrow,
        "<@" => Token::ArrowAt,
        "#-" => Token::HashMinus,
        "@?" => Token::AtQuestion,
        "@@" => Token::AtAt,
        "?" => Token::Question,
        "?&" => Token::QuestionAnd,
        "?|" => Token::QuestionPipe,
        "^@" => Token::CaretAt,
        other => Token::CustomBinaryOperator(other.to_owned()),
    }
}

/// Whether a token is this keyword, unquoted.
pub(crate) fn is_keyword(token: &Token, keyword: Keyword) -> bool {
    matches!(token, Token::Word(word) if word.quote_style.is_none() && word.keyword == keyword)
}

/// A name that users cannot write, for forms that sqlparser's tree has no node for.
pub(crate) fn internal_name(name: &str, span: Span) -> Ident {
    Ident {
        value: format!("\u{1}{name}"),
        quote_style: Some('"'),
        span,
    }
}
