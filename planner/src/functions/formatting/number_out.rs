//! to_char of numbers.

use std::fmt::Write;

use storage::Numeric;

use super::number_pattern::{Key, Part, Pattern, SignPlace, parse};
use super::ordinal;
use super::roman::roman;
use crate::SqlResult;

/// Digits a double and a real are sure to hold (DBL_DIG, FLT_DIG).
const DOUBLE_DIGITS: usize = 15;
const REAL_DIGITS: usize = 6;

/// A number as digits, before the template is laid over it.
struct Digits {
    /// Without sign; `#` where it does not fit.
    text: String,
    is_negative: bool,
    /// Digits of the template the number does not fill.
    spaces: usize,
}

/// to_char(numeric, text)
pub fn numeric(value: &Numeric, template: &str) -> SqlResult<String> {
    let mut pattern = parse(template)?;
    if pattern.is_roman {
        let rounded = value.round(0)?.to_i32_rounded();
        return Ok(roman_out(&pattern, rounded.map_or(-1, i64::from)));
    }
    if pattern.is_exponent {
        if !value.is_finite() {
            return Ok(overflow_exponent(&pattern));
        }
        let text = scientific(value, pattern.after);
        return Ok(if value.is_negative() { text } else { format!(" {text}") });
    }
    let mut scaled = value.clone();
    if pattern.is_multiplied {
        scaled = value.mul(&Numeric::from(10i64).pow(&Numeric::from(pattern.multiply as i64))?)?;
        pattern.before += pattern.multiply;
    }
    let text = scaled.round(pattern.after as i32)?.to_string();
    let digits = fit(&pattern, &text);
    Ok(lay(&mut pattern, digits))
}

/// to_char of integers.
pub fn integer(value: i64, template: &str) -> SqlResult<String> {
    let mut pattern = parse(template)?;
    if pattern.is_roman {
        return Ok(roman_out(&pattern, value));
    }
    if pattern.is_exponent {
        let text = scientific(&Numeric::from(value), pattern.after);
        return Ok(if value < 0 { text } else { format!(" {text}") });
    }
    let mut text = if pattern.is_multiplied {
        pattern.before += pattern.multiply;
        let factor = Numeric::from(10i64).pow(&Numeric::from(pattern.multiply as i64))?;
        Numeric::from(value).mul(&factor)?.round(0)?.to_string()
    } else {
        value.to_string()
    };
    if pattern.after > 0 {
        text.push('.');
        text.extend(std::iter::repeat_n('0', pattern.after));
    }
    let digits = fit(&pattern, &text);
    Ok(lay(&mut pattern, digits))
}

/// to_char(double precision, text)
pub fn double(value: f64, template: &str) -> SqlResult<String> {
    float(value, template, DOUBLE_DIGITS)
}

/// to_char(real, text)
pub fn real(value: f32, template: &str) -> SqlResult<String> {
    float(f64::from(value), template, REAL_DIGITS)
}

fn float(value: f64, template: &str, precision: usize) -> SqlResult<String> {
    let mut pattern = parse(template)?;
    if pattern.is_roman {
        return Ok(roman_out(&pattern, value.round_ties_even() as i64));
    }
    if pattern.is_exponent {
        if !value.is_finite() {
            return Ok(overflow_exponent(&pattern));
        }
        return Ok(exponent_of_float(value, pattern.after));
    }
    let mut scaled = value;
    if pattern.is_multiplied {
        scaled *= 10f64.powi(pattern.multiply as i32);
        pattern.before += pattern.multiply;
    }
    // No more digits than the type holds.
    let whole = if scaled.is_finite() {
        format!("{:.0}", scaled.abs()).len()
    } else if scaled.is_nan() {
        "NaN".len()
    } else {
        "Infinity".len()
    };
    if whole >= precision {
        pattern.after = 0;
    } else if whole + pattern.after > precision {
        pattern.after = precision - whole;
    }
    let text = if scaled.is_nan() {
        "NaN".to_owned()
    } else if scaled.is_infinite() {
        if scaled > 0.0 {
            "Infinity".to_owned()
        } else {
            "-Infinity".to_owned()
        }
    } else {
        format!("{scaled:.*}", pattern.after)
    };
    let digits = fit(&pattern, &text);
    Ok(lay(&mut pattern, digits))
}

/// C's `% .{digits}e`.
fn exponent_of_float(value: f64, digits: usize) -> String {
    let text = format!("{value:.digits$e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let sign = if value.is_sign_negative() { "" } else { " " };
    format!(
        "{sign}{mantissa}e{}{:02}",
        if exponent < 0 { '-' } else { '+' },
        exponent.abs()
    )
}

/// `d.ddde+xx`, rounded half away from zero.
fn scientific(value: &Numeric, digits: usize) -> String {
    let text = value.abs().to_string();
    let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
    let all: Vec<u8> = whole.bytes().chain(fraction.bytes()).map(|byte| byte - b'0').collect();
    let first = all.iter().position(|&digit| digit != 0);
    let exponent = first.map_or(0, |first| whole.len() as i64 - 1 - first as i64);
    let mut significant: Vec<u8> = first.map_or(Vec::new(), |first| all[first..].to_vec());
    significant.resize(significant.len().max(digits + 2), 0);
    let mut carry = false;
    let rounds_up = significant[digits + 1] >= 5;
    significant.truncate(digits + 1);
    if rounds_up {
        let mut index = digits + 1;
        loop {
            if index == 0 {
                // As in PostgreSQL the exponent stays: 9.99 becomes 10.0e+00.
                carry = true;
                break;
            }
            index -= 1;
            if significant[index] < 9 {
                significant[index] += 1;
                break;
            }
            significant[index] = 0;
        }
    }
    let mut out = String::new();
    if value.is_negative() {
        out.push('-');
    }
    if carry {
        out.push('1');
    }
    out.push(char::from(b'0' + significant[0]));
    if digits > 0 {
        out.push('.');
        out.extend(significant[1..].iter().map(|&digit| char::from(b'0' + digit)));
    }
    let _ = write!(out, "e{}{:02}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    out
}

/// What an infinite number becomes in exponential form: blanks and `#`.
fn overflow_exponent(pattern: &Pattern) -> String {
    let mut out: Vec<u8> = vec![b'#'; pattern.before + pattern.after + 6];
    out[0] = b' ';
    if let Some(point) = out.get_mut(pattern.before + 1) {
        *point = b'.';
    }
    String::from_utf8_lossy(&out).into_owned()
}

fn roman_out(pattern: &Pattern, number: i64) -> String {
    let mut out = String::new();
    for part in &pattern.parts {
        match part {
            Part::Key(Key::Roman { lower }) => {
                let text = roman(number);
                let text = if *lower { text.to_lowercase() } else { text };
                let width = if pattern.fill { 0 } else { 15 };
                let _ = write!(out, "{text:>width$}");
            }
            Part::Text(c) => out.push(*c),
            Part::Key(_) => {}
        }
    }
    out
}

/// Counts the blanks a number leaves before its first digit, or makes it `#` if it has too many.
fn fit(pattern: &Pattern, text: &str) -> Digits {
    let (is_negative, number) = match text.strip_prefix('-') {
        Some(number) => (true, number),
        None => (false, text),
    };
    let whole = number.find('.').unwrap_or(number.len());
    if whole > pattern.before {
        let mut text = "#".repeat(pattern.before);
        text.push('.');
        text.push_str(&"#".repeat(pattern.after));
        return Digits {
            text,
            is_negative,
            spaces: 0,
        };
    }
    Digits {
        text: number.to_owned(),
        is_negative,
        spaces: pattern.before - whole,
    }
}

/// Lays the template over the digits (`NUM_processor`).
fn lay(pattern: &mut Pattern, digits: Digits) -> String {
    let sign = if digits.is_negative { b'-' } else { b'+' };
    pattern.zero_start = pattern.zero_start.saturating_sub(1);
    let sign_written = if pattern.has_plus || pattern.has_minus {
        // MI, PL and SG write the sign themselves.
        !pattern.has_plus || pattern.has_minus
    } else {
        if sign != b'-' && pattern.has_brackets && pattern.fill {
            pattern.has_brackets = false;
        }
        let written = sign == b'+' && pattern.fill && !pattern.has_sign;
        if pattern.sign_place == SignPlace::Before && pattern.before == pattern.before_sign {
            pattern.sign_place = SignPlace::After;
        }
        written
    };
    let number = digits.text.into_bytes();
    let mut last_relevant = None;
    if pattern.fill && pattern.has_point {
        last_relevant = last_relevant_digit(&number);
        if let Some(last) = &mut last_relevant
            && pattern.zero_end > digits.spaces
        {
            *last = (*last).max((number.len() - 1).min(pattern.zero_end - digits.spaces));
        }
    }
    let mut count = (pattern.after + pattern.before) as i64 - 1;
    if !sign_written && digits.spaces == 0 {
        count += 1;
    }
    let parts = std::mem::take(&mut pattern.parts);
    let mut writer = Writer {
        pattern,
        number,
        at: 0,
        sign,
        sign_written,
        spaces: digits.spaces,
        last_relevant,
        count,
        current: 0,
        in_number: false,
        out: String::new(),
    };
    for part in &parts {
        match part {
            Part::Key(key) => writer.key(*key),
            Part::Text(c) => writer.out.push(*c),
        }
    }
    writer.out
}

/// The last digit after the point that is not zero, or the point.
fn last_relevant_digit(number: &[u8]) -> Option<usize> {
    let point = number.iter().position(|&byte| byte == b'.')?;
    Some(
        number
            .iter()
            .rposition(|&byte| byte != b'0')
            .map_or(point, |last| last.max(point)),
    )
}

struct Writer<'a> {
    pattern: &'a Pattern,
    number: Vec<u8>,
    /// The next digit.
    at: usize,
    sign: u8,
    sign_written: bool,
    spaces: usize,
    last_relevant: Option<usize>,
    count: i64,
    current: usize,
    in_number: bool,
    out: String,
}

impl Writer<'_> {
    fn digit(&self) -> u8 {
        self.number.get(self.at).copied().unwrap_or(0)
    }

    /// `0.1` with `9.9`: the zero before the point is a blank.
    fn is_blank_before_point(&self) -> bool {
        !self.pattern.has_zero && self.at == 0 && self.number.first() == Some(&b'0') && self.pattern.after != 0
    }

    fn ends_at_point(&self) -> bool {
        self.last_relevant
            .is_some_and(|last| self.number.get(last) == Some(&b'.'))
    }

    fn key(&mut self, key: Key) {
        let fill = self.pattern.fill;
        match key {
            Key::Nine | Key::Zero | Key::Point | Key::LocalePoint => self.digit_part(key),
            Key::Comma | Key::LocaleComma => {
                if self.in_number {
                    self.out.push(',');
                } else if !fill {
                    self.out.push(' ');
                }
            }
            Key::Currency => self.out.push(' '),
            Key::Ordinal { upper } => {
                let is_plain = self.number.first() != Some(&b'#') && self.sign != b'-' && !self.pattern.has_point;
                if is_plain {
                    let text = String::from_utf8_lossy(&self.number).into_owned();
                    self.out.push_str(ordinal(&text, upper));
                }
            }
            Key::Minus => {
                if self.sign == b'-' {
                    self.out.push('-');
                } else if !fill {
                    self.out.push(' ');
                }
            }
            Key::Plus => {
                if self.sign == b'+' {
                    self.out.push('+');
                } else if !fill {
                    self.out.push(' ');
                }
            }
            Key::SignBoth => self.out.push(char::from(self.sign)),
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

    /// The sign stands before the first digit that is written.
    fn sign_part(&mut self) {
        let reaches_number =
            self.current >= self.spaces || self.pattern.has_zero && self.pattern.zero_start == self.current;
        if self.sign_written || !reaches_number || self.is_blank_before_point() && !self.ends_at_point() {
            return;
        }
        if self.pattern.has_sign {
            if self.pattern.sign_place == SignPlace::Before {
                self.out.push(char::from(self.sign));
                self.sign_written = true;
            }
        } else if self.pattern.has_brackets {
            self.out.push(if self.sign == b'+' { ' ' } else { '<' });
            self.sign_written = true;
        } else {
            if self.sign == b'-' {
                self.out.push('-');
            } else if !self.pattern.fill {
                self.out.push(' ');
            }
            self.sign_written = true;
        }
    }

    fn digit_part(&mut self, key: Key) {
        self.in_number = false;
        self.sign_part();
        let (fill, has_zero) = (self.pattern.fill, self.pattern.has_zero);
        if self.current < self.spaces && (self.pattern.zero_start > self.current || !has_zero) {
            if !fill {
                self.out.push(' ');
            }
        } else if has_zero && self.current < self.spaces && self.pattern.zero_start <= self.current {
            self.out.push('0');
            self.in_number = true;
        } else {
            if self.digit() == b'.' {
                self.out.push('.');
            } else if self.last_relevant.is_some_and(|last| self.at > last) && key != Key::Zero {
                // Trailing zeros are left out.
            } else if self.is_blank_before_point() {
                if !fill {
                    self.out.push(' ');
                } else if self.ends_at_point() {
                    self.out.push('0');
                }
            } else if self.digit() != 0 {
                self.out.push(char::from(self.digit()));
                self.in_number = true;
            }
            if self.at < self.number.len() {
                self.at += 1;
            }
        }
        let mut end = self.count + i64::from(self.spaces != 0) + i64::from(self.pattern.has_point);
        if self.last_relevant == Some(self.at) {
            end = self.current as i64;
        }
        if self.current as i64 + 1 == end {
            if self.sign_written && self.pattern.has_brackets {
                self.out.push(if self.sign == b'+' { ' ' } else { '>' });
            } else if self.pattern.has_sign && self.pattern.sign_place == SignPlace::After {
                self.out.push(char::from(self.sign));
            }
        }
        self.current += 1;
    }
}
