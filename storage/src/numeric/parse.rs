//! Text to numeric: every form PostgreSQL 15 accepts.

use std::str::FromStr;

use num_bigint::BigInt;

use super::{INTEGER_DIGITS_MAX, Numeric, NumericError, NumericResult, SCALE_MAX};

impl Numeric {
    /// Reads a number as PostgreSQL does: surrounding white space, sign, exponent, `NaN`, `Infinity`, `inf`.
    /// `None` for anything else and for values beyond the limits; [`Numeric::from_str`] says which.
    pub fn parse(text: &str) -> Option<Numeric> {
        text.parse().ok()
    }
}

impl FromStr for Numeric {
    type Err = NumericError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let trimmed = text.trim_matches(is_space);
        if let Some(small) = parse_plain(trimmed.as_bytes()) {
            return Ok(small);
        }
        match special(trimmed) {
            Some(value) => Ok(value),
            None => parse_decimal(trimmed).unwrap_or_else(|| Err(NumericError::Syntax(text.to_owned()))),
        }
    }
}

/// C's `isspace` in the C locale.
fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

fn special(text: &str) -> Option<Numeric> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    if is("nan") {
        Some(Numeric::NAN)
    } else if is("infinity") || is("+infinity") || is("inf") || is("+inf") {
        Some(Numeric::INFINITY)
    } else if is("-infinity") || is("-inf") {
        Some(Numeric::NEGATIVE_INFINITY)
    } else {
        None
    }
}

/// The common case: sign, digits and at most one point, in at most 37 characters, so that no step can overflow.
fn parse_plain(text: &[u8]) -> Option<Numeric> {
    if text.len() > 37 {
        return None;
    }
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let mut mantissa = 0_i128;
    let mut point = None;
    let mut count = 0;
    for (index, &byte) in digits.iter().enumerate() {
        match byte {
            b'0'..=b'9' => {
                mantissa = mantissa * 10 + i128::from(byte - b'0');
                count += 1;
            }
            b'.' if point.is_none() => point = Some(index),
            _ => return None,
        }
    }
    if count == 0 {
        return None;
    }
    let scale = point.map_or(0, |at| digits.len() - at - 1);
    Some(Numeric::small(
        if negative { -mantissa } else { mantissa },
        scale as u32,
    ))
}

/// The general case. `None` is a syntax error.
fn parse_decimal(text: &str) -> Option<NumericResult> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let negative = text.starts_with('-');
    let body = unsigned.find(['e', 'E']).map_or(unsigned, |at| &unsigned[..at]);
    let (integer, fraction) = body.split_once('.').unwrap_or((body, ""));
    let all_digits = |part: &str| part.bytes().all(|b| b.is_ascii_digit());
    if (integer.is_empty() && fraction.is_empty()) || !all_digits(integer) || !all_digits(fraction) {
        return None;
    }
    let exponent = if body.len() == unsigned.len() {
        0
    } else {
        parse_exponent(&unsigned[body.len() + 1..])?
    };
    Some(assemble(negative, integer, fraction, exponent))
}

/// The exponent, clamped to what is certainly out of range. PostgreSQL's `strtol` skips white space before it.
fn parse_exponent(text: &str) -> Option<i64> {
    const BOUND: i64 = i32::MAX as i64;
    let text = text.trim_start_matches(is_space);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let magnitude = digits
        .bytes()
        .fold(0_i64, |value, b| (value * 10 + i64::from(b - b'0')).min(BOUND));
    Some(if text.starts_with('-') { -magnitude } else { magnitude })
}

fn assemble(negative: bool, integer: &str, fraction: &str, exponent: i64) -> NumericResult {
    const EXPONENT_MAX: i64 = (i32::MAX / 2) as i64;
    let scale = (fraction.len() as i64).saturating_sub(exponent);
    if exponent.abs() >= EXPONENT_MAX || scale > i64::from(SCALE_MAX) {
        return Err(NumericError::Overflow);
    }
    let mut digits = String::with_capacity(integer.len() + fraction.len());
    digits.push_str(integer);
    digits.push_str(fraction);
    let significant = digits.trim_start_matches('0');
    // The number of digits before the point is known before any of them is computed: 1e100000000 costs nothing.
    if !significant.is_empty() && significant.len() as i64 - scale > INTEGER_DIGITS_MAX as i64 {
        return Err(NumericError::Overflow);
    }
    let mut mantissa = if significant.is_empty() {
        BigInt::ZERO
    } else {
        BigInt::parse_bytes(significant.as_bytes(), 10).ok_or(NumericError::Overflow)?
    };
    if scale < 0 && !significant.is_empty() {
        mantissa *= super::integer::power_of_ten(scale.unsigned_abs());
    }
    if negative {
        mantissa = -mantissa;
    }
    Ok(Numeric::big(mantissa, scale.max(0) as u32))
}
