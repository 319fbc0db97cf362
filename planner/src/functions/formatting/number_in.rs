//! to_number.

use storage::Numeric;

use super::number_pattern::{Key, Part, Pattern, SignPlace, parse};
use crate::types::modifier::modifier_in;
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState};

/// to_number: the digits the template says are there.
pub fn numeric(text: &str, template: &str) -> SqlResult<Option<Numeric>> {
    if template.is_empty() {
        return Ok(None);
    }
    let pattern = parse(template)?;
    for (is_used, name) in [(pattern.is_exponent, "EEEE"), (pattern.is_roman, "RN")] {
        if is_used {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                format!("\"{name}\" not supported for input"),
            ));
        }
    }
    let mut reader = Reader {
        pattern: &pattern,
        input: text.as_bytes(),
        at: 0,
        sign: b' ',
        digits: String::new(),
        before: 0,
        after: 0,
        has_point: false,
        in_number: false,
    };
    for part in &pattern.parts {
        if reader.is_done() {
            break;
        }
        match part {
            Part::Key(key) => reader.key(*key),
            // A character of the template stands for any character.
            Part::Text(_) => reader.skip_character(),
        }
    }
    let digits = reader.digits.strip_suffix('.').unwrap_or(&reader.digits);
    let sign = if reader.sign == b'-' { "-" } else { "" };
    let number: Numeric = format!("{sign}{digits}").parse().map_err(|_| {
        // What was read keeps the blank of its sign in the message.
        let shown = format!("{}{digits}", char::from(reader.sign));
        crate::types::error::invalid_text("numeric", &shown)
    })?;
    let scale = reader.after as i32;
    let precision = (pattern.before + pattern.multiply) as i32 + scale;
    let number = match modifier_in(oid::NUMERIC, &[precision, scale]) {
        Ok(modifier) => number.with_modifier(modifier)?,
        Err(_) => number,
    };
    if !pattern.is_multiplied {
        return Ok(Some(number));
    }
    let factor = Numeric::from(10i64).pow(&Numeric::from(-(pattern.multiply as i64)))?;
    Ok(Some(number.mul(&factor)?))
}

struct Reader<'a> {
    pattern: &'a Pattern,
    input: &'a [u8],
    at: usize,
    /// `+`, `-`, or a blank as long as none was read.
    sign: u8,
    digits: String,
    before: usize,
    after: usize,
    has_point: bool,
    in_number: bool,
}

impl Reader<'_> {
    fn is_done(&self) -> bool {
        self.at >= self.input.len()
    }

    fn peek(&self) -> u8 {
        self.input.get(self.at).copied().unwrap_or(0)
    }

    fn skip_character(&mut self) {
        self.at += 1;
        while self.input.get(self.at).is_some_and(|byte| byte & 0xc0 == 0x80) {
            self.at += 1;
        }
    }

    /// Passes over characters that cannot be part of a number.
    fn skip_other(&mut self, count: usize) {
        for _ in 0..count {
            if self.is_done() || b"0123456789.,+-".contains(&self.peek()) {
                return;
            }
            self.skip_character();
        }
    }

    fn key(&mut self, key: Key) {
        match key {
            Key::Nine | Key::Zero | Key::Point | Key::LocalePoint => {
                self.digit(key);
                self.at += 1;
            }
            Key::Comma | Key::LocaleComma => {
                let is_skipped = !self.in_number && self.pattern.fill;
                if !is_skipped && self.peek() == b',' {
                    self.at += 1;
                }
            }
            Key::Currency => self.skip_other(1),
            Key::Ordinal { .. } => {
                if self.sign != b'-' && !self.pattern.has_point {
                    self.skip_other(2);
                }
            }
            Key::Minus | Key::Plus | Key::SignBoth => {
                let accepts = match key {
                    Key::Minus => self.peek() == b'-',
                    Key::Plus => self.peek() == b'+',
                    _ => matches!(self.peek(), b'-' | b'+'),
                };
                if accepts {
                    self.sign = self.peek();
                    self.at += 1;
                } else {
                    self.skip_other(1);
                }
            }
            Key::Blank
            | Key::Exponent
            | Key::Fill
            | Key::Brackets
            | Key::Roman { .. }
            | Key::Spelled
            | Key::Sign
            | Key::Multiply => {}
        }
    }

    /// Reads a digit or the point, and a sign beside it. The caller passes over the character it ends on.
    fn digit(&mut self, key: Key) {
        if self.peek() == b' ' {
            self.at += 1;
        }
        if self.is_done() {
            return;
        }
        let has_digits = self.before + self.after > 0;
        if self.sign == b' ' && matches!(key, Key::Zero | Key::Nine) && !has_digits {
            let is_bracket = self.pattern.has_brackets && self.peek() == b'<';
            let takes_sign = !self.pattern.has_sign || self.pattern.sign_place == SignPlace::Before;
            if takes_sign && (self.peek() == b'-' || is_bracket && !self.pattern.has_sign) {
                self.sign = b'-';
                self.at += 1;
            } else if takes_sign && self.peek() == b'+' {
                self.sign = b'+';
                self.at += 1;
            }
        }
        if self.is_done() {
            return;
        }
        let mut is_read = false;
        if self.peek().is_ascii_digit() {
            if self.has_point && self.after == self.pattern.after {
                return;
            }
            self.digits.push(char::from(self.peek()));
            if self.has_point {
                self.after += 1;
            } else {
                self.before += 1;
            }
            is_read = true;
        } else if self.pattern.has_point && !self.has_point && self.peek() == b'.' {
            self.digits.push('.');
            self.has_point = true;
            is_read = true;
        }
        if self.sign != b' ' || self.before + self.after == 0 {
            return;
        }
        if self.pattern.has_sign && is_read {
            // A locale sign stands right behind the last digit.
            if let Some(&sign @ (b'-' | b'+')) = self.input.get(self.at + 1) {
                self.sign = sign;
                self.at += 1;
            }
        } else if !is_read
            && !self.pattern.has_sign
            && (self.pattern.has_plus || self.pattern.has_minus)
            && matches!(self.peek(), b'-' | b'+')
        {
            self.sign = self.peek();
        }
    }
}
