//! Tokens of a jsonpath, with the quirks of PostgreSQL's scanner: they decide which texts are accepted, and what error
//! messages show.

use std::sync::Arc;

use crate::{SqlError, SqlResult, SqlState};

/// A token.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    /// A word, as written with escapes resolved. It may be a keyword.
    Word(Arc<str>),
    String(Arc<str>),
    Variable(Arc<str>),
    /// Digits only.
    Integer(Arc<str>),
    /// A number with a point or exponent.
    Number(Arc<str>),
    /// `&&`, `**`, `<=`, … and single special characters.
    Symbol(&'static str),
    End,
}

const SYMBOLS: [&str; 28] = [
    "&&", "||", "**", "<=", "==", "<>", "!=", ">=", "<", ">", "!", "?", "%", "$", ".", "[", "]", "{", "}", "(", ")",
    "|", "&", "=", "@", "#", ",", "*",
];
const MORE_SYMBOLS: [&str; 4] = [":", "-", "+", "/"];

/// Scanner over one text.
pub(super) struct Lexer<'a> {
    text: &'a str,
    at: usize,
    /// What an error message shows of the last token.
    shown: &'a str,
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0C)
}

fn is_special(byte: u8) -> bool {
    b"?%$.[]{}()|&!=<>@#,*:-+/".contains(&byte)
}

/// Bytes that make up words.
fn is_other(byte: u8) -> bool {
    !is_special(byte) && !is_blank(byte) && !matches!(byte, b'"' | b'\\')
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { text, at: 0, shown: "" }
    }

    /// `message at or near "…" of jsonpath input`, about the last token.
    pub(super) fn error(&self, message: &str) -> SqlError {
        let message = if self.shown.is_empty() {
            format!("{message} at end of jsonpath input")
        } else {
            format!("{message} at or near \"{}\" of jsonpath input", self.shown)
        };
        SqlError::new(SqlState::SYNTAX_ERROR, message)
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn show(&mut self, start: usize, end: usize) {
        // A scanner of bytes may stop inside a character; whole characters are shown.
        let mut end = end.min(self.text.len());
        while !self.text.is_char_boundary(end) {
            end += 1;
        }
        self.shown = &self.text[start..end];
    }

    pub(super) fn next_token(&mut self) -> SqlResult<Token> {
        loop {
            let rest = &self.bytes()[self.at..];
            let Some(&first) = rest.first() else {
                self.shown = "";
                return Ok(Token::End);
            };
            if is_blank(first) {
                self.at += 1;
            } else if rest.starts_with(b"/*") {
                self.comment()?;
            } else if first == b'"' {
                self.at += 1;
                return Ok(Token::String(self.quoted()?));
            } else if first == b'\\' {
                return self.word();
            } else if first == b'$' && rest.len() > 1 && (rest[1] == b'"' || is_other(rest[1])) {
                return self.variable();
            } else if let Some(number) = self.number()? {
                return Ok(number);
            } else if is_other(first) {
                return self.word();
            } else {
                return self.symbol();
            }
        }
    }

    fn comment(&mut self) -> SqlResult<()> {
        match self.text[self.at + 2..].find("*/") {
            Some(end) => {
                self.at += end + 4;
                Ok(())
            }
            None => {
                self.shown = "";
                Err(self.error("unexpected end of comment"))
            }
        }
    }

    fn symbol(&mut self) -> SqlResult<Token> {
        let rest = &self.text[self.at..];
        let found = SYMBOLS
            .iter()
            .chain(&MORE_SYMBOLS)
            .find(|symbol| rest.starts_with(**symbol));
        match found {
            Some(symbol) => {
                let start = self.at;
                self.at += symbol.len();
                self.show(start, self.at);
                Ok(Token::Symbol(if *symbol == "<>" { "!=" } else { symbol }))
            }
            None => Err(self.error("syntax error")),
        }
    }

    fn variable(&mut self) -> SqlResult<Token> {
        let start = self.at;
        self.at += 1;
        if self.bytes()[self.at] == b'"' {
            self.at += 1;
            return Ok(Token::Variable(self.quoted()?));
        }
        self.at += run(&self.bytes()[self.at..], is_other);
        self.show(start, self.at);
        Ok(Token::Variable(self.text[start + 1..self.at].into()))
    }

    /// A number if one stands here, by the rule of the longest match: `1a` is a number with junk behind it, `1ab` a word.
    fn number(&mut self) -> SqlResult<Option<Token>> {
        let rest = &self.bytes()[self.at..];
        let digits = |from: usize| run(&rest[from.min(rest.len())..], |byte| byte.is_ascii_digit());
        let whole = match rest.first() {
            Some(b'0') => 1,
            Some(b'1'..=b'9') => digits(0),
            Some(b'.') if rest.get(1).is_some_and(u8::is_ascii_digit) => 0,
            _ => return Ok(None),
        };
        let mut size = whole;
        let mut integer = true;
        if rest.get(size) == Some(&b'.') {
            integer = false;
            size += 1 + digits(size + 1);
        }
        let mut broken = None;
        if let Some(b'e' | b'E') = rest.get(size) {
            let signed = usize::from(matches!(rest.get(size + 1), Some(b'+' | b'-')));
            match digits(size + 1 + signed) {
                0 if signed == 1 => broken = Some((size + 2, "invalid numeric literal")),
                0 => {}
                count => {
                    integer = false;
                    size += 1 + signed + count;
                }
            }
        }
        if broken.is_none() && rest.get(size).is_some_and(|byte| is_other(*byte)) {
            broken = Some((size + 1, "trailing junk after numeric literal"));
        }
        let word = run(rest, is_other);
        if word > broken.map_or(size, |(end, _)| end) {
            return Ok(None);
        }
        let start = self.at;
        if let Some((end, message)) = broken {
            self.show(start, start + end);
            return Err(self.error(message));
        }
        self.at += size;
        self.show(start, self.at);
        let text = self.text[start..self.at].into();
        Ok(Some(if integer {
            Token::Integer(text)
        } else {
            Token::Number(text)
        }))
    }

    fn word(&mut self) -> SqlResult<Token> {
        let mut word = String::new();
        loop {
            let start = self.at;
            self.at += run(&self.bytes()[start..], is_other);
            word.push_str(&self.text[start..self.at]);
            let rest = &self.bytes()[self.at..];
            match rest.first() {
                Some(b'\\') => self.escape(&mut word)?,
                Some(b'/') if rest.starts_with(b"/*") => {
                    // PostgreSQL's scanner forgets a word that a comment follows without a space between them.
                    self.comment()?;
                    return self.next_token();
                }
                Some(byte) if is_blank(*byte) => {
                    let blank = self.at;
                    self.at += run(rest, is_blank);
                    self.show(blank, self.at);
                    return Ok(Token::Word(word.into()));
                }
                _ => {
                    self.shown = "";
                    return Ok(Token::Word(word.into()));
                }
            }
        }
    }

    /// The rest of a quoted string, behind its opening quote.
    fn quoted(&mut self) -> SqlResult<Arc<str>> {
        let mut value = String::new();
        loop {
            let start = self.at;
            self.at += run(&self.bytes()[start..], |byte| !matches!(byte, b'"' | b'\\'));
            value.push_str(&self.text[start..self.at]);
            match self.bytes().get(self.at) {
                Some(b'"') => {
                    self.show(self.at, self.at + 1);
                    self.at += 1;
                    return Ok(value.into());
                }
                Some(_) => self.escape(&mut value)?,
                None => {
                    self.shown = "";
                    return Err(self.error("unexpected end of quoted string"));
                }
            }
        }
    }

    /// An escape sequence; the scanner stands at its backslash.
    fn escape(&mut self, out: &mut String) -> SqlResult<()> {
        let start = self.at;
        let Some(character) = self.text[start + 1..].chars().next() else {
            self.show(start, start + 1);
            return Err(self.error("unexpected end after backslash"));
        };
        let simple = match character {
            'u' => return self.unicode(out),
            'x' => return self.hexadecimal(out),
            'b' => '\x08',
            'f' => '\x0c',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0b',
            other => other,
        };
        out.push(simple);
        self.at += 1 + character.len_utf8();
        Ok(())
    }

    fn hexadecimal(&mut self, out: &mut String) -> SqlResult<()> {
        let start = self.at;
        let digits = self.hex_digits(start + 2, 2);
        if digits.len() < 2 {
            self.show(start, start + 2 + digits.len());
            return Err(self.error("invalid hex character sequence"));
        }
        self.at += 4;
        push_code(u32::from_str_radix(digits, 16).unwrap_or(0), out)
    }

    /// A run of `\uXXXX` and `\u{X…}`: surrogate pairs must stand side by side.
    fn unicode(&mut self, out: &mut String) -> SqlResult<()> {
        let mut high: Option<u32> = None;
        while self.text[self.at..].starts_with("\\u") {
            let start = self.at;
            let braced = self.bytes().get(start + 2) == Some(&b'{');
            let from = start + 2 + usize::from(braced);
            let digits = self.hex_digits(from, if braced { 6 } else { 4 });
            let closed = !braced || self.bytes().get(from + digits.len()) == Some(&b'}');
            if !closed || digits.len() < if braced { 1 } else { 4 } {
                self.show(start, from + digits.len());
                return Err(self.error("invalid unicode sequence"));
            }
            self.at = from + digits.len() + usize::from(braced);
            let code = u32::from_str_radix(digits, 16).unwrap_or(0);
            match (code, high) {
                (0xD800..=0xDBFF, Some(_)) => {
                    return Err(surrogate("Unicode high surrogate must not follow a high surrogate."));
                }
                (0xD800..=0xDBFF, None) => high = Some(code),
                (0xDC00..=0xDFFF, Some(first)) => {
                    high = None;
                    push_code(0x1_0000 + ((first - 0xD800) << 10) + (code - 0xDC00), out)?;
                }
                (0xDC00..=0xDFFF, None) | (_, Some(_)) => {
                    return Err(surrogate("Unicode low surrogate must follow a high surrogate."));
                }
                (code, None) => push_code(code, out)?,
            }
        }
        match high {
            Some(_) => Err(surrogate("Unicode low surrogate must follow a high surrogate.")),
            None => Ok(()),
        }
    }

    fn hex_digits(&self, from: usize, max: usize) -> &'a str {
        let rest = self.bytes().get(from..).unwrap_or(&[]);
        let count = run(rest, |byte| byte.is_ascii_hexdigit()).min(max);
        &self.text[from.min(self.text.len())..from.min(self.text.len()) + count]
    }
}

/// Length of the run of bytes of a class.
fn run(bytes: &[u8], class: impl Fn(u8) -> bool) -> usize {
    bytes.iter().take_while(|byte| class(**byte)).count()
}

fn surrogate(detail: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        "invalid input syntax for type jsonpath",
    )
    .detail(detail)
}

fn push_code(code: u32, out: &mut String) -> SqlResult<()> {
    match char::from_u32(code) {
        Some('\0') => Err(SqlError::new(
            SqlState::UNTRANSLATABLE_CHARACTER,
            "unsupported Unicode escape sequence",
        )
        .detail("\\u0000 cannot be converted to text.")),
        Some(character) => {
            out.push(character);
            Ok(())
        }
        None => Err(SqlError::new(SqlState::SYNTAX_ERROR, "invalid Unicode code point")),
    }
}
