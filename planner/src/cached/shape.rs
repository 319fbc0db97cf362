//! Shape: a statement's text with its literals taken out, without parsing it.
//!
//! ```text
//!   SELECT a FROM t WHERE k = 42 AND s = 'x'   ─►   SELECT a FROM t WHERE k = ① AND s = ④     literals: 42, 'x'
//! ```
//!
//! Everything else stays byte for byte, so that a place in one text of a shape is a place in any other. What the scanner is
//! not sure of (comments, dollar quotes, escape strings, several statements) has no shape, and is parsed as ever.

use smallvec::SmallVec;
use storage::Datum;

use crate::eval::SessionView;
use crate::parse::lexer::{is_name_start, is_operator};
use crate::types::{self, oid};
use crate::{SqlResult, Type};

/// Longest text that has a shape: longer ones are rarely sent twice, and their keys would fill the cache.
pub(crate) const TEXT_BYTES_MAX: usize = 8 << 10;
/// Most literals of a shape.
const LITERAL_COUNT_MAX: usize = 64;

/// What a literal is before anything is known of its place, as PostgreSQL's scanner tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Fits int4.
    Int4 = 1,
    /// Fits int8.
    Int8 = 2,
    /// Another number.
    Numeric = 3,
    /// A string: of unknown type.
    Text = 4,
}

impl Kind {
    /// The type a parameter in its place is declared with; 0 leaves it open, as it is for a string.
    pub(crate) fn declared(self) -> u32 {
        match self {
            Kind::Int4 => oid::INT4,
            Kind::Int8 => oid::INT8,
            Kind::Numeric => oid::NUMERIC,
            Kind::Text => 0,
        }
    }
}

/// A literal and where it is, in bytes. A sign that belongs to a number is part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Literal {
    pub(crate) kind: Kind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Literal {
    /// Its value in a type. Numbers are of the type of their kind.
    ///
    /// # Errors
    /// The text is no value of the type.
    pub(crate) fn value(&self, text: &str, ty: Type, session: &dyn SessionView) -> SqlResult<Datum> {
        let written = &text[self.start..self.end];
        match self.kind {
            Kind::Int4 if ty.oid == oid::INT4 => match number(written).parse() {
                Ok(value) => Ok(Datum::Int4(value)),
                Err(_) => types::input(ty, &number(written), session),
            },
            Kind::Int4 | Kind::Int8 | Kind::Numeric => types::input(ty, &number(written), session),
            Kind::Text => {
                let body = &written[1..written.len() - 1];
                let text: std::borrow::Cow<'_, str> = if body.contains('\'') {
                    body.replace("''", "'").into()
                } else {
                    body.into()
                };
                if ty.oid == oid::TEXT {
                    return Ok(Datum::text(&*text));
                }
                types::input(ty, &text, session)
            }
        }
    }
}

/// A number without the white space that may follow its sign.
fn number(written: &str) -> std::borrow::Cow<'_, str> {
    match written.strip_prefix('-') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_whitespace()) => format!("-{}", rest.trim_start()).into(),
        _ => written.into(),
    }
}

/// A text's shape.
#[derive(Debug, Default)]
pub(crate) struct Shape {
    /// The text with a byte for each literal.
    pub(crate) key: Vec<u8>,
    /// The literals in order.
    pub(crate) literals: SmallVec<[Literal; 8]>,
}

/// What came before, as far as it decides whether a minus is a sign.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// An operand: a minus after it subtracts.
    Operand,
    /// An operator, an opening bracket, a comma, or a word that no operand ends with.
    Operator,
    /// A lone minus that is a sign: where it is in the text, and in the key.
    Sign(usize, usize),
}

impl Shape {
    /// The shape of a text, its key behind `prefix`; `None` if it has none.
    pub(crate) fn of(text: &str, prefix: &[u8]) -> Option<Shape> {
        let bytes = text.as_bytes();
        if bytes.len() > TEXT_BYTES_MAX || !begins_like_a_query(bytes) {
            return None;
        }
        let mut key = Vec::with_capacity(prefix.len() + bytes.len());
        key.extend_from_slice(prefix);
        let mut scanner = Scanner {
            bytes,
            shape: Shape {
                key,
                literals: SmallVec::new(),
            },
            before: Before::Operator,
        };
        scanner.scan()?;
        Some(scanner.shape)
    }

    /// Where the place `position` (a character, from one) of `template` is in `text`, which has the same shape.
    pub(crate) fn moved(template: &str, text: &str, position: u32) -> u32 {
        let (Some(from), Some(to)) = (Shape::of(template, &[]), Shape::of(text, &[])) else {
            return position;
        };
        let characters = |text: &str, end: usize| text[..end].chars().count() as i64;
        let mut moved = i64::from(position);
        for (from, to) in from.literals.iter().zip(&to.literals) {
            if characters(template, from.start) + 1 >= i64::from(position) {
                break;
            }
            moved += characters(text, to.end) - characters(text, to.start);
            moved -= characters(template, from.end) - characters(template, from.start);
        }
        u32::try_from(moved).unwrap_or(position)
    }
}

struct Scanner<'a> {
    bytes: &'a [u8],
    shape: Shape,
    before: Before,
}

impl Scanner<'_> {
    fn scan(&mut self) -> Option<()> {
        let mut at = 0;
        while let Some(&byte) = self.bytes.get(at) {
            let next = self.bytes.get(at + 1).copied().unwrap_or(0);
            at = match byte {
                b' ' | b'\t' | b'\n' | b'\r' => self.copy(at, at + 1),
                b'\'' => self.text(at)?,
                b'"' => {
                    let end = quoted_end(self.bytes, at)?;
                    self.before = Before::Operand;
                    self.copy(at, end)
                }
                b'0'..=b'9' => self.number(at)?,
                b'.' if next.is_ascii_digit() => self.number(at)?,
                // Parameters say what the client wants lifted; dollar quotes are rare.
                b'$' => return None,
                b'-' if next == b'-' => return None,
                b'/' if next == b'*' => return None,
                b'-' => self.minus(at),
                b';' => {
                    return (skip_while(self.bytes, at + 1, |byte| byte.is_ascii_whitespace()) == self.bytes.len())
                        .then_some(());
                }
                b')' | b']' => {
                    self.before = Before::Operand;
                    self.copy(at, at + 1)
                }
                byte if is_name_start(byte) => self.word(at)?,
                // Bytes that stand for literals in keys, and others no statement needs.
                byte if byte < 0x20 => return None,
                _ => {
                    self.before = Before::Operator;
                    self.copy(at, at + 1)
                }
            };
        }
        Some(())
    }

    fn copy(&mut self, from: usize, to: usize) -> usize {
        self.shape.key.extend_from_slice(&self.bytes[from..to]);
        to
    }

    fn word(&mut self, at: usize) -> Option<usize> {
        let end = skip_while(self.bytes, at, |byte| {
            is_name_start(byte) || byte.is_ascii_digit() || byte == b'$'
        });
        // E'', B'', U&'' and their kin.
        if matches!(self.bytes.get(end), Some(b'\'')) || self.bytes[end..].starts_with(b"&'") {
            return None;
        }
        self.before = if is_before_operand(&self.bytes[at..end]) {
            Before::Operator
        } else {
            Before::Operand
        };
        Some(self.copy(at, end))
    }

    fn minus(&mut self, at: usize) -> usize {
        let run = self.bytes[..at].iter().rev().take_while(|byte| is_operator(**byte));
        let is_plain = run
            .clone()
            .all(|byte| matches!(byte, b'+' | b'*' | b'/' | b'<' | b'>' | b'='));
        self.before = match self.before {
            Before::Operator if is_plain => Before::Sign(at, self.shape.key.len()),
            _ => Before::Operator,
        };
        self.copy(at, at + 1)
    }

    fn number(&mut self, at: usize) -> Option<usize> {
        let bytes = self.bytes;
        let mut end = skip_while(bytes, at, |byte| byte.is_ascii_digit());
        let mut is_integer = true;
        if bytes.get(end) == Some(&b'.') {
            // `1..2` is no number.
            if bytes.get(end + 1) == Some(&b'.') {
                return None;
            }
            is_integer = false;
            end = skip_while(bytes, end + 1, |byte| byte.is_ascii_digit());
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = skip_while(bytes, end + 1 + sign, |byte| byte.is_ascii_digit());
            if exponent == end + 1 + sign {
                return None;
            }
            is_integer = false;
            end = exponent;
        }
        if bytes.get(end).is_some_and(|byte| is_name_start(*byte) || *byte == b'.') {
            return None;
        }
        let digits = std::str::from_utf8(&bytes[at..end]).ok()?;
        let mut start = at;
        let mut is_negative = false;
        if let Before::Sign(sign, in_key) = self.before {
            let after = skip_while(bytes, end, |byte| byte.is_ascii_whitespace());
            // A cast or a subscript binds tighter than the sign.
            if !matches!(bytes.get(after), Some(b':' | b'[')) {
                self.shape.key.truncate(in_key);
                start = sign;
                is_negative = true;
            }
        }
        let kind = match digits.parse::<u64>() {
            _ if !is_integer => Kind::Numeric,
            // The one value of a type that only exists with its sign.
            Ok(value) if is_negative && (value == 1 << 31 || value == 1 << 63) => return None,
            Ok(value) if value < 1 << 31 => Kind::Int4,
            Ok(value) if value < 1 << 63 => Kind::Int8,
            _ => Kind::Numeric,
        };
        self.literal(kind, start, end)
    }

    fn text(&mut self, at: usize) -> Option<usize> {
        let end = quoted_end(self.bytes, at)?;
        // A string that goes on in the next line.
        let after = skip_while(self.bytes, end, |byte| byte.is_ascii_whitespace());
        if self.bytes.get(after) == Some(&b'\'') {
            return None;
        }
        self.literal(Kind::Text, at, end)
    }

    fn literal(&mut self, kind: Kind, start: usize, end: usize) -> Option<usize> {
        if self.shape.literals.len() == LITERAL_COUNT_MAX {
            return None;
        }
        self.shape.key.push(kind as u8);
        self.shape.literals.push(Literal { kind, start, end });
        self.before = Before::Operand;
        Some(end)
    }
}

/// Whether the first word is one that statements with plans begin with.
fn begins_like_a_query(bytes: &[u8]) -> bool {
    let start = skip_while(bytes, 0, |byte| byte.is_ascii_whitespace());
    let end = skip_while(bytes, start, is_name_start);
    let word = &bytes[start..end];
    [&b"select"[..], b"insert", b"update", b"delete", b"with", b"values"]
        .iter()
        .any(|known| word.eq_ignore_ascii_case(known))
}

/// Words after which an operand begins, so that a minus after them is a sign.
fn is_before_operand(word: &[u8]) -> bool {
    [
        &b"select"[..],
        b"where",
        b"and",
        b"or",
        b"not",
        b"then",
        b"else",
        b"when",
        b"between",
        b"in",
        b"limit",
        b"offset",
        b"by",
        b"returning",
        b"having",
        b"on",
        b"like",
        b"case",
    ]
    .iter()
    .any(|known| word.eq_ignore_ascii_case(known))
}

fn skip_while(bytes: &[u8], from: usize, skips: impl Fn(u8) -> bool) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    from + rest.iter().position(|byte| !skips(*byte)).unwrap_or(rest.len())
}

/// Where a quoted text or name ends, doubled quotes passed over.
fn quoted_end(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = bytes[start];
    let mut at = start + 1;
    loop {
        at += bytes.get(at..)?.iter().position(|byte| *byte == quote || *byte == 0)? + 1;
        if bytes[at - 1] == 0 {
            return None;
        }
        if bytes.get(at) != Some(&quote) {
            return Some(at);
        }
        at += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(text: &str) -> Option<(String, Vec<String>)> {
        let shape = Shape::of(text, &[])?;
        let key = shape.key.iter().map(|byte| {
            if *byte < 9 {
                char::from(b'0' + byte)
            } else {
                char::from(*byte)
            }
        });
        let literals = shape
            .literals
            .iter()
            .map(|literal| text[literal.start..literal.end].to_owned());
        Some((key.collect(), literals.collect()))
    }

    fn literals(text: &str) -> Vec<String> {
        shape(text).unwrap().1
    }

    #[test]
    fn literals_are_lifted_with_their_kind() {
        let (key, literals) =
            shape("select a1 from t where k=42 and s = 'it''s' or n < 3000000000 or d > .5e-3").unwrap();
        assert_eq!(key, "select a1 from t where k=1 and s = 4 or n < 2 or d > 3");
        assert_eq!(literals, ["42", "'it''s'", "3000000000", ".5e-3"]);
    }

    #[test]
    fn a_sign_belongs_to_its_number_only_where_nothing_is_subtracted_and_nothing_binds_tighter() {
        assert_eq!(
            literals("update t set a = a + -5, b = b -5, c = -  6"),
            ["-5", "5", "-  6"]
        );
        assert_eq!(
            literals("select -1::int2, (a)-2, a[1]-3, 4 - 5"),
            ["1", "2", "1", "3", "4", "5"]
        );
        assert_eq!(literals("select -1 where a <-2 and b @- 3"), ["-1", "-2", "3"]);
        assert_eq!(shape("select -2147483648"), None);
        let plus = Shape::of("select a + 5", &[]).unwrap().key;
        assert_eq!(plus, Shape::of("select a + -5", &[]).unwrap().key);
    }

    #[test]
    fn what_is_not_plain_has_no_shape() {
        for text in [
            "select E'a'",
            "select $$a$$",
            "select 1; select 2",
            "select 1 -- c",
            "select /* c */ 1",
            "begin",
            "select 'a",
            "select 'a'\n'b'",
            "select 1x",
            "select U&'a'",
            "select 1..2",
            "explain select 1",
            "select b'1'",
            "select $1",
        ] {
            assert_eq!(shape(text), None, "{text}");
        }
        assert!(shape("select 1, 2 ; ").is_some());
    }

    #[test]
    fn places_move_by_the_length_of_literals_before_them() {
        let (template, text) = ("select 'é', x, 10", "select 'abc', x, 1");
        assert_eq!(Shape::moved(template, text, 13), 15);
        assert_eq!(Shape::moved(template, text, 8), 8);
        assert_eq!(Shape::moved(template, text, 16), 18);
    }
}
