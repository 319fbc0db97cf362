//! Lexer: PostgreSQL's lexical rules, as far as splitting a text into statements and reading session commands needs them.
//!
//! The planner parses everything else with its own parser; this one only has to agree on where strings, identifiers,
//! comments and dollar quotes begin and end.

use planner::{SqlError, SqlResult, SqlState};

/// What a token is.
#[derive(Clone, Debug, PartialEq)]
pub enum Kind {
    /// A keyword or identifier, folded to lower case.
    Word(String),
    /// A quoted identifier.
    Quoted(String),
    /// A string constant, unescaped.
    Text(String),
    /// A bit string, with its letter.
    Bits(char, String),
    /// A number as written.
    Number(String),
    /// `$1`
    Parameter(u32),
    /// One character of punctuation or of an operator.
    Symbol(char),
}

/// A token and where it is in the text, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// First byte.
    pub start: usize,
    /// First byte beyond.
    pub end: usize,
}

/// A cursor that yields the tokens of a text.
#[derive(Clone)]
pub struct Lexer<'a> {
    text: &'a str,
    position: usize,
}

impl<'a> Lexer<'a> {
    /// A lexer at the start of a text.
    pub fn new(text: &'a str) -> Self {
        Self { text, position: 0 }
    }

    /// The next token; `None` at the end.
    ///
    /// # Errors
    /// 42601 for a string, comment or identifier that does not end.
    pub fn token(&mut self) -> SqlResult<Option<Token>> {
        self.skip_space()?;
        let start = self.position;
        let Some(first) = self.peek(0) else { return Ok(None) };
        let kind = match first {
            '\'' => Kind::Text(self.quoted_text(false)?),
            '"' => Kind::Quoted(self.quoted_identifier()?),
            '$' => self.dollar()?,
            '0'..='9' => self.number(),
            '.' if self.peek(1).is_some_and(|c| c.is_ascii_digit()) => self.number(),
            c if c.is_alphabetic() || c == '_' => self.word()?,
            c => {
                self.position += c.len_utf8();
                Kind::Symbol(c)
            }
        };
        Ok(Some(Token {
            kind,
            start,
            end: self.position,
        }))
    }

    fn rest(&self) -> &'a str {
        &self.text[self.position..]
    }

    fn peek(&self, offset: usize) -> Option<char> {
        self.rest().chars().nth(offset)
    }

    fn skip_space(&mut self) -> SqlResult<()> {
        loop {
            let trimmed = self.rest().trim_start();
            self.position = self.text.len() - trimmed.len();
            if trimmed.starts_with("--") {
                self.position += trimmed.find('\n').unwrap_or(trimmed.len());
            } else if trimmed.starts_with("/*") {
                self.skip_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    /// Comments nest.
    fn skip_comment(&mut self) -> SqlResult<()> {
        let start = self.position;
        let bytes = self.text.as_bytes();
        let mut depth = 0_u32;
        while self.position < bytes.len() {
            match &bytes[self.position..] {
                [b'/', b'*', ..] => (depth, self.position) = (depth + 1, self.position + 2),
                [b'*', b'/', ..] => {
                    (depth, self.position) = (depth - 1, self.position + 2);
                    if depth == 0 {
                        return Ok(());
                    }
                }
                _ => self.position += 1,
            }
        }
        Err(self.unterminated("/* comment", start))
    }

    fn word(&mut self) -> SqlResult<Kind> {
        let rest = self.rest();
        let mut prefix = rest.chars();
        let (first, second) = (prefix.next().unwrap_or(' ').to_ascii_lowercase(), prefix.next());
        match (first, second) {
            ('e', Some('\'')) => {
                self.position += 1;
                return Ok(Kind::Text(self.quoted_text(true)?));
            }
            ('b' | 'x', Some('\'')) => {
                self.position += 1;
                return Ok(Kind::Bits(first, self.quoted_text(false)?));
            }
            ('n', Some('\'')) => {
                self.position += 1;
                return Ok(Kind::Text(self.quoted_text(false)?));
            }
            ('u', Some('&')) if rest[2..].starts_with('\'') => {
                self.position += 2;
                return Ok(Kind::Text(self.quoted_text(false)?));
            }
            ('u', Some('&')) if rest[2..].starts_with('"') => {
                self.position += 2;
                return Ok(Kind::Quoted(self.quoted_identifier()?));
            }
            _ => {}
        }
        let size = rest
            .find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$'))
            .unwrap_or(rest.len());
        self.position += size;
        Ok(Kind::Word(rest[..size].to_lowercase()))
    }

    fn number(&mut self) -> Kind {
        let rest = self.rest();
        let mut size = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(rest.len());
        let exponent = rest[size..]
            .strip_prefix(['e', 'E'])
            .map(|after| after.strip_prefix(['+', '-']).unwrap_or(after));
        if let Some(digits) = exponent.filter(|digits| digits.starts_with(|c: char| c.is_ascii_digit())) {
            size = rest.len() - digits.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        }
        self.position += size;
        Kind::Number(rest[..size].to_owned())
    }

    fn dollar(&mut self) -> SqlResult<Kind> {
        let start = self.position;
        let rest = self.rest();
        let after = &rest[1..];
        let digits = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        if digits > 0 {
            self.position += 1 + digits;
            return Ok(after[..digits].parse().map_or(Kind::Symbol('$'), Kind::Parameter));
        }
        let tag = after
            .find(|c: char| !(c.is_alphanumeric() || c == '_'))
            .unwrap_or(after.len());
        if !after[tag..].starts_with('$') {
            self.position += 1;
            return Ok(Kind::Symbol('$'));
        }
        let quote = &rest[..tag + 2];
        let body = &rest[quote.len()..];
        let Some(end) = body.find(quote) else {
            self.position = self.text.len();
            return Err(self.unterminated("dollar-quoted string", start));
        };
        self.position += quote.len() + end + quote.len();
        Ok(Kind::Text(body[..end].to_owned()))
    }

    fn quoted_identifier(&mut self) -> SqlResult<String> {
        let start = self.position;
        let mut name = String::new();
        let mut characters = self.rest().char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '"' if characters.next_if(|(_, next)| *next == '"').is_some() => name.push('"'),
                '"' => {
                    self.position += at + 1;
                    return Ok(name);
                }
                character => name.push(character),
            }
        }
        self.position = self.text.len();
        Err(self.unterminated("quoted identifier", start))
    }

    fn quoted_text(&mut self, has_escapes: bool) -> SqlResult<String> {
        let start = self.position;
        let mut value = String::new();
        let mut characters = self.rest().char_indices().skip(1).peekable();
        while let Some((at, character)) = characters.next() {
            match character {
                '\'' if characters.next_if(|(_, next)| *next == '\'').is_some() => value.push('\''),
                '\'' => {
                    self.position += at + 1;
                    return Ok(value);
                }
                '\\' if has_escapes => {
                    let Some((_, escaped)) = characters.next() else { break };
                    let mut number = |first: Option<char>, radix: u32, size: usize| {
                        let mut digits: String = first.into_iter().collect();
                        while digits.len() < size {
                            match characters.next_if(|(_, next)| next.is_digit(radix)) {
                                Some((_, digit)) => digits.push(digit),
                                None => break,
                            }
                        }
                        // Wrong escapes are the planner's parser's to report; session commands have no use for them.
                        u32::from_str_radix(&digits, radix).ok().and_then(char::from_u32)
                    };
                    value.push(match escaped {
                        'n' => '\n',
                        't' => '\t',
                        'r' => '\r',
                        'b' => '\u{8}',
                        'f' => '\u{c}',
                        'x' => number(None, 16, 2).unwrap_or('x'),
                        'u' => number(None, 16, 4).unwrap_or('u'),
                        'U' => number(None, 16, 8).unwrap_or('U'),
                        '0'..='7' => number(Some(escaped), 8, 3).unwrap_or(escaped),
                        other => other,
                    });
                }
                character => value.push(character),
            }
        }
        self.position = self.text.len();
        Err(self.unterminated("quoted string", start))
    }

    fn unterminated(&self, what: &str, start: usize) -> SqlError {
        SqlError::new(
            SqlState::SYNTAX_ERROR,
            format!("unterminated {what} at or near \"{}\"", &self.text[start..]),
        )
        .at(Some(position_of(self.text, start)))
    }
}

/// One-based character position of a byte.
pub fn position_of(text: &str, byte: usize) -> u32 {
    text[..byte].chars().count() as u32 + 1
}

/// Splits a text at the semicolons between statements. Pieces without any token are left out. A piece whose quoting does
/// not end is the last one: its own parser says what is wrong.
pub fn split(text: &str) -> Vec<std::ops::Range<usize>> {
    let mut pieces = Vec::new();
    let mut lexer = Lexer::new(text);
    let mut first: Option<usize> = None;
    loop {
        match lexer.token() {
            Ok(Some(Token {
                kind: Kind::Symbol(';'),
                start,
                ..
            })) => {
                pieces.extend(first.take().map(|first| first..start));
            }
            Ok(Some(token)) => {
                first.get_or_insert(token.start);
            }
            Ok(None) => {
                pieces.extend(first.map(|first| first..text.len()));
                return pieces;
            }
            Err(_) => {
                pieces.push(first.unwrap_or(lexer.position.min(text.len()))..text.len());
                return pieces;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(text: &str) -> Vec<&str> {
        split(text).into_iter().map(|range| &text[range]).collect()
    }

    #[test]
    fn statements_split_at_top_level_semicolons_only() {
        assert_eq!(pieces("select 1; ;\n-- a;b\nselect ';' ;"), ["select 1", "select ';' "]);
        assert_eq!(
            pieces("select $q$;$q$, $$;$$, \";\", E'\\';' /* ; /* ; */ */; x"),
            ["select $q$;$q$, $$;$$, \";\", E'\\';' /* ; /* ; */ */", "x"]
        );
        assert_eq!(pieces(" -- nothing\n;;"), Vec::<&str>::new());
        assert_eq!(pieces("select 'open; 2"), ["select 'open; 2"]);
    }

    #[test]
    fn tokens_are_postgresqls() {
        let mut lexer = Lexer::new("SET a.\"B\" = 1.5e3, $7 e'x\\n' E'\\x01\\2\\u0041x'");
        let mut kinds = Vec::new();
        while let Some(token) = lexer.token().unwrap() {
            kinds.push(token.kind);
        }
        assert_eq!(
            kinds,
            [
                Kind::Word("set".into()),
                Kind::Word("a".into()),
                Kind::Symbol('.'),
                Kind::Quoted("B".into()),
                Kind::Symbol('='),
                Kind::Number("1.5e3".into()),
                Kind::Symbol(','),
                Kind::Parameter(7),
                Kind::Text("x\n".into()),
                Kind::Text("\u{1}\u{2}Ax".into()),
            ]
        );
    }
}
