//! Templates of numbers, parsed and summed up.

use super::syntax;
use crate::SqlResult;

/// A pattern of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the template patterns of their names")]
pub enum Key {
    Comma,
    Point,
    Zero,
    Nine,
    Blank,
    Currency,
    LocalePoint,
    Exponent,
    Fill,
    LocaleComma,
    Minus,
    Plus,
    Brackets,
    Roman {
        lower: bool,
    },
    SignBoth,
    /// SP: accepted, means nothing.
    Spelled,
    Sign,
    Ordinal {
        upper: bool,
    },
    Multiply,
}

/// A part of a template.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// A pattern.
    Key(Key),
    /// A character of its own.
    Text(char),
}

/// Where a locale sign (`S`) is anchored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "places of their names")]
pub enum SignPlace {
    None,
    Before,
    After,
}

/// A template: its parts and what they add up to.
#[derive(Clone, Debug)]
pub struct Pattern {
    /// Parts in order.
    pub parts: Vec<Part>,
    /// Digits before the point.
    pub before: usize,
    /// Digits after the point.
    pub after: usize,
    /// Place of `S`.
    pub sign_place: SignPlace,
    /// Digits before `S`.
    pub before_sign: usize,
    /// Position of the first `0`, from 1; 0 if there is none.
    pub zero_start: usize,
    /// Position of the last `0`.
    pub zero_end: usize,
    /// Digits after `V`.
    pub multiply: usize,
    /// A `.` or `D`.
    pub has_point: bool,
    /// A `0`.
    pub has_zero: bool,
    /// `FM`
    pub fill: bool,
    /// `S`
    pub has_sign: bool,
    /// `MI` or `SG`
    pub has_minus: bool,
    /// `PL` or `SG`
    pub has_plus: bool,
    /// `PR`
    pub has_brackets: bool,
    /// `RN`
    pub is_roman: bool,
    /// `V`
    pub is_multiplied: bool,
    /// `EEEE`
    pub is_exponent: bool,
}

static KEYS: &[(&str, Key)] = &[
    (",", Key::Comma),
    (".", Key::Point),
    ("0", Key::Zero),
    ("9", Key::Nine),
    ("B", Key::Blank),
    ("C", Key::Currency),
    ("D", Key::LocalePoint),
    ("EEEE", Key::Exponent),
    ("FM", Key::Fill),
    ("G", Key::LocaleComma),
    ("L", Key::Currency),
    ("MI", Key::Minus),
    ("PL", Key::Plus),
    ("PR", Key::Brackets),
    ("RN", Key::Roman { lower: false }),
    ("SG", Key::SignBoth),
    ("SP", Key::Spelled),
    ("S", Key::Sign),
    ("TH", Key::Ordinal { upper: true }),
    ("V", Key::Multiply),
    ("b", Key::Blank),
    ("c", Key::Currency),
    ("d", Key::LocalePoint),
    ("eeee", Key::Exponent),
    ("fm", Key::Fill),
    ("g", Key::LocaleComma),
    ("l", Key::Currency),
    ("mi", Key::Minus),
    ("pl", Key::Plus),
    ("pr", Key::Brackets),
    ("rn", Key::Roman { lower: true }),
    ("sg", Key::SignBoth),
    ("sp", Key::Spelled),
    ("s", Key::Sign),
    ("th", Key::Ordinal { upper: false }),
    ("v", Key::Multiply),
];

/// Parses a template.
///
/// # Errors
/// 42601 for patterns that do not go together.
pub fn parse(template: &str) -> SqlResult<Pattern> {
    let mut pattern = Pattern {
        parts: Vec::new(),
        before: 0,
        after: 0,
        sign_place: SignPlace::None,
        before_sign: 0,
        zero_start: 0,
        zero_end: 0,
        multiply: 0,
        has_point: false,
        has_zero: false,
        fill: false,
        has_sign: false,
        has_minus: false,
        has_plus: false,
        has_brackets: false,
        is_roman: false,
        is_multiplied: false,
        is_exponent: false,
    };
    let mut rest = template;
    while !rest.is_empty() {
        let found = KEYS
            .iter()
            .filter(|(name, _)| rest.starts_with(name))
            .max_by_key(|(name, _)| name.len());
        if let Some(&(name, key)) = found {
            rest = &rest[name.len()..];
            // C would be the currency's name; PostgreSQL knows it and prints nothing for it.
            if matches!(name, "C" | "c") {
                continue;
            }
            pattern.note(key)?;
            pattern.parts.push(Part::Key(key));
        } else if let Some(body) = rest.strip_prefix('"') {
            let mut chars = body.chars();
            while let Some(c) = chars.next() {
                match c {
                    '"' => break,
                    '\\' => pattern.parts.extend(chars.next().map(Part::Text)),
                    c => pattern.parts.push(Part::Text(c)),
                }
            }
            rest = chars.as_str();
        } else {
            if rest.starts_with("\\\"") {
                rest = &rest[1..];
            }
            let mut chars = rest.chars();
            pattern.parts.extend(chars.next().map(Part::Text));
            rest = chars.as_str();
        }
    }
    Ok(pattern)
}

impl Pattern {
    /// Adds a pattern to the sum.
    fn note(&mut self, key: Key) -> SqlResult<()> {
        if self.is_exponent && key != Key::Exponent {
            return Err(syntax("\"EEEE\" must be the last pattern used"));
        }
        match key {
            Key::Nine => {
                if self.has_brackets {
                    return Err(syntax("\"9\" must be ahead of \"PR\""));
                }
                if self.is_multiplied {
                    self.multiply += 1;
                } else if self.has_point {
                    self.after += 1;
                } else {
                    self.before += 1;
                }
            }
            Key::Zero => {
                if self.has_brackets {
                    return Err(syntax("\"0\" must be ahead of \"PR\""));
                }
                if !self.has_zero && !self.has_point {
                    self.has_zero = true;
                    self.zero_start = self.before + 1;
                }
                if self.has_point {
                    self.after += 1;
                } else {
                    self.before += 1;
                }
                self.zero_end = self.before + self.after;
            }
            Key::Point | Key::LocalePoint => {
                if self.has_point {
                    return Err(syntax("multiple decimal points"));
                }
                if self.is_multiplied {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.has_point = true;
            }
            Key::Fill => self.fill = true,
            Key::Sign => {
                if self.has_sign {
                    return Err(syntax("cannot use \"S\" twice"));
                }
                if self.has_plus || self.has_minus || self.has_brackets {
                    return Err(syntax("cannot use \"S\" and \"PL\"/\"MI\"/\"SG\"/\"PR\" together"));
                }
                self.has_sign = true;
                if !self.has_point {
                    self.sign_place = SignPlace::Before;
                    self.before_sign = self.before;
                } else if self.sign_place == SignPlace::None {
                    self.sign_place = SignPlace::After;
                }
            }
            Key::Minus | Key::Plus | Key::SignBoth => {
                if self.has_sign {
                    return Err(syntax(match key {
                        Key::Minus => "cannot use \"S\" and \"MI\" together",
                        Key::Plus => "cannot use \"S\" and \"PL\" together",
                        _ => "cannot use \"S\" and \"SG\" together",
                    }));
                }
                self.has_minus |= key != Key::Plus;
                self.has_plus |= key != Key::Minus;
            }
            Key::Brackets => {
                if self.has_sign || self.has_plus || self.has_minus {
                    return Err(syntax("cannot use \"PR\" and \"S\"/\"PL\"/\"MI\"/\"SG\" together"));
                }
                self.has_brackets = true;
            }
            Key::Roman { .. } => self.is_roman = true,
            Key::Multiply => {
                if self.has_point {
                    return Err(syntax("cannot use \"V\" and decimal point together"));
                }
                self.is_multiplied = true;
            }
            Key::Exponent => {
                if self.is_exponent {
                    return Err(syntax("cannot use \"EEEE\" twice"));
                }
                let is_mixed = self.fill
                    || self.has_sign
                    || self.has_brackets
                    || self.has_minus
                    || self.has_plus
                    || self.is_roman
                    || self.is_multiplied;
                if is_mixed {
                    return Err(syntax("\"EEEE\" is incompatible with other formats")
                        .detail("\"EEEE\" may only be used together with digit and decimal point patterns."));
                }
                self.is_exponent = true;
            }
            Key::Comma | Key::LocaleComma | Key::Blank | Key::Currency | Key::Spelled | Key::Ordinal { .. } => {}
        }
        Ok(())
    }
}
