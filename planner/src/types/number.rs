//! Text form of booleans, integers and floating-point numbers.

use std::fmt::Write;

use num_bigint::BigInt;

use super::error::{invalid_text, text_out_of_range};
use crate::{SqlError, SqlResult, SqlState};

/// C's `isspace` in the C locale.
pub fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

/// Text without the white space PostgreSQL's input functions skip.
pub fn trim(text: &str) -> &str {
    text.trim_matches(is_space)
}

/// Reads a boolean: any prefix of true, false, yes, no; on, of(f); 1, 0.
pub fn parse_bool(text: &str) -> Option<bool> {
    let word = trim(text);
    let is_prefix =
        |of: &str| !word.is_empty() && word.len() <= of.len() && of[..word.len()].eq_ignore_ascii_case(word);
    if !word.is_ascii() {
        None
    } else if is_prefix("true") || is_prefix("yes") || word == "1" || word.eq_ignore_ascii_case("on") {
        Some(true)
    } else if is_prefix("false") || is_prefix("no") || word == "0" || (word.len() >= 2 && is_prefix("off")) {
        Some(false)
    } else {
        None
    }
}

/// Reads a decimal integer within bounds, as `int2in`, `int4in` and `int8in`.
pub fn parse_integer(text: &str, min: i64, max: i64, type_name: &str) -> SqlResult<i64> {
    let body = trim(text);
    let (negative, digits) = match body.as_bytes().first() {
        Some(b'-') => (true, &body[1..]),
        Some(b'+') => (false, &body[1..]),
        _ => (false, body),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid_text(type_name, text));
    }
    // Accumulated as a negative number, which reaches one further than a positive one.
    let mut value: i64 = 0;
    for byte in digits.bytes() {
        value = value
            .checked_mul(10)
            .and_then(|value| value.checked_sub(i64::from(byte - b'0')))
            .ok_or_else(|| text_out_of_range(type_name, text))?;
    }
    let value = if negative { Some(value) } else { value.checked_neg() };
    value
        .filter(|value| (min..=max).contains(value))
        .ok_or_else(|| text_out_of_range(type_name, text))
}

/// Reads an oid, as `oidin`: strtoul, so that -1 is 4294967295.
pub fn parse_oid(text: &str, type_name: &str) -> SqlResult<u32> {
    let value = parse_integer(text, i64::MIN, i64::MAX, type_name)?;
    u32::try_from(value)
        .or_else(|_| i32::try_from(value).map(|value| value as u32))
        .map_err(|_| text_out_of_range(type_name, text))
}

/// Reads a double precision number, as `float8in`.
pub fn parse_float8(text: &str) -> SqlResult<f64> {
    let body = trim(text);
    let value: f64 = body
        .parse()
        .ok()
        .or_else(|| special(body))
        .ok_or_else(|| invalid_text("double precision", text))?;
    let lost = value == 0.0 && has_nonzero_digit(body) || value.is_infinite() && !is_infinity_word(body);
    if lost {
        Err(float_out_of_range(body, "double precision"))
    } else {
        Ok(value)
    }
}

/// Reads a real number, as `float4in`.
pub fn parse_float4(text: &str) -> SqlResult<f32> {
    let body = trim(text);
    let value: f32 = body
        .parse()
        .ok()
        .or_else(|| special(body).map(|value| value as f32))
        .ok_or_else(|| invalid_text("real", text))?;
    let lost = value == 0.0 && has_nonzero_digit(body) || value.is_infinite() && !is_infinity_word(body);
    if lost {
        Err(float_out_of_range(body, "real"))
    } else {
        Ok(value)
    }
}

/// Spellings that strtod takes and Rust does not: signed NaN.
fn special(body: &str) -> Option<f64> {
    let word = body.trim_start_matches(['+', '-']);
    (body.len() <= word.len() + 1 && word.eq_ignore_ascii_case("nan")).then_some(f64::NAN)
}

fn is_infinity_word(body: &str) -> bool {
    body.trim_start_matches(['+', '-']).starts_with(['i', 'I'])
}

fn has_nonzero_digit(body: &str) -> bool {
    body.bytes()
        .take_while(|byte| !matches!(byte, b'e' | b'E'))
        .any(|byte| matches!(byte, b'1'..=b'9'))
}

fn float_out_of_range(body: &str, type_name: &str) -> SqlError {
    SqlError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("\"{body}\" is out of range for type {type_name}"),
    )
}

/// Prints a double precision number, as `float8out`.
pub fn write_float8(value: f64, extra_digits: i32, out: &mut String) {
    if write_special(value, out) {
        return;
    }
    if extra_digits > 0 {
        let bits = value.to_bits();
        let exponent = ((bits >> 52) & 0x7FF) as i32;
        let mantissa = bits & ((1 << 52) - 1);
        let binary = Binary::new(mantissa, exponent, 52, 1075);
        let digits = shortest(format!("{value:e}"), &binary, |digits| format!("{value:.digits$e}"));
        write_decimal(&digits, 15, out);
    } else {
        let precision = (15 + extra_digits).max(1) as usize;
        write_general(value, precision, out);
    }
}

/// Prints a real number, as `float4out`.
pub fn write_float4(value: f32, extra_digits: i32, out: &mut String) {
    if write_special(f64::from(value), out) {
        return;
    }
    if extra_digits > 0 {
        let bits = value.to_bits();
        let exponent = ((bits >> 23) & 0xFF) as i32;
        let mantissa = u64::from(bits & ((1 << 23) - 1));
        let binary = Binary::new(mantissa, exponent, 23, 150);
        let digits = shortest(format!("{value:e}"), &binary, |digits| format!("{value:.digits$e}"));
        write_decimal(&digits, 6, out);
    } else {
        let precision = (6 + extra_digits).max(1) as usize;
        write_general(f64::from(value), precision, out);
    }
}

/// The size of a finite number: `mantissa * 2^exponent`.
struct Binary {
    mantissa: u64,
    exponent: i32,
    /// Whether the number below is half as far away as the number above.
    is_power: bool,
}

impl Binary {
    /// From the fields of the format: `bits` of mantissa, and the exponent field's value for exponent 0.
    fn new(mantissa: u64, exponent: i32, bits: u32, bias: i32) -> Binary {
        Binary {
            mantissa: if exponent == 0 { mantissa } else { mantissa | 1 << bits },
            exponent: exponent.max(1) - bias,
            is_power: mantissa == 0 && exponent > 1,
        }
    }

    /// Whether a decimal (`1.25e7`) lies exactly halfway between this number and one of its neighbours.
    fn is_halfway(&self, digits: &str) -> bool {
        // Each bit of a fraction takes a decimal digit: with more of them than this, the point has more digits than are printed.
        if self.exponent < -4 {
            return false;
        }
        let (mantissa, exponent) = digits.split_once('e').unwrap_or((digits, "0"));
        let mantissa = mantissa.trim_start_matches('-');
        let fraction = mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len());
        let exponent = exponent.parse::<i32>().unwrap_or(0) - fraction as i32;
        let decimal: BigInt = mantissa.replace('.', "").parse().unwrap_or_default();
        // Both sides in quarters of the last bit, over a common denominator.
        let power = |base: u32, exponent: i32| BigInt::from(base).pow(exponent.max(0) as u32);
        let decimal = decimal * power(10, exponent) * power(2, 2 - self.exponent);
        let scale = power(10, -exponent) * power(2, self.exponent - 2);
        let quarters = BigInt::from(self.mantissa) * 4;
        let below = if self.is_power { 1 } else { 2 };
        decimal == (&quarters + 2) * &scale || decimal == (quarters - below) * scale
    }
}

/// The shortest digits that no reader could take for a neighbour. Rust's shortest may lie halfway between two numbers, where
/// rounding to even decides; PostgreSQL prints more digits then (`1e23` is 9.999999999999999e+22).
fn shortest(digits: String, binary: &Binary, with_fraction_of: impl Fn(usize) -> String) -> String {
    if !binary.is_halfway(&digits) {
        return digits;
    }
    let fraction = digits.split_once('e').map_or(0, |(mantissa, _)| {
        mantissa.split_once('.').map_or(0, |(_, fraction)| fraction.len())
    });
    (fraction + 1..18)
        .map(with_fraction_of)
        .find(|longer| !binary.is_halfway(longer))
        .map_or(digits, |longer| without_trailing_zeros(&longer))
}

/// `1.2500e7` as `1.25e7`.
fn without_trailing_zeros(digits: &str) -> String {
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((digits, "0"));
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    format!("{mantissa}e{exponent}")
}

fn write_special(value: f64, out: &mut String) -> bool {
    if value.is_nan() {
        out.push_str("NaN");
    } else if value.is_infinite() {
        out.push_str(if value > 0.0 { "Infinity" } else { "-Infinity" });
    } else {
        return false;
    }
    true
}

/// Prints `digits` (Rust's `1.25e-7`) as C would: plain while -4 <= exponent < `plain_limit`, else `1.25e-07`.
fn write_decimal(digits: &str, plain_limit: i32, out: &mut String) {
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((digits, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |rest| ("-", rest));
    out.push_str(sign);
    if !(-4..plain_limit).contains(&exponent) {
        let (sign, size) = if exponent < 0 {
            ('-', -exponent)
        } else {
            ('+', exponent)
        };
        let _ = write!(out, "{mantissa}e{sign}{size:02}");
        return;
    }
    let plain: String = mantissa.chars().filter(|c| *c != '.').collect();
    if exponent < 0 {
        out.push_str("0.");
        out.extend(std::iter::repeat_n('0', (-exponent - 1) as usize));
        out.push_str(&plain);
    } else {
        let whole = exponent as usize + 1;
        if plain.len() <= whole {
            out.push_str(&plain);
            out.extend(std::iter::repeat_n('0', whole - plain.len()));
        } else {
            out.push_str(&plain[..whole]);
            out.push('.');
            out.push_str(&plain[whole..]);
        }
    }
}

/// C's `%.{precision}g`.
pub fn write_general(value: f64, precision: usize, out: &mut String) {
    let digits = format!("{:.*e}", precision.saturating_sub(1), value);
    write_decimal(&without_trailing_zeros(&digits), precision as i32, out);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn float8(value: f64) -> String {
        let mut out = String::new();
        write_float8(value, 1, &mut out);
        out
    }

    fn float4(value: f32) -> String {
        let mut out = String::new();
        write_float4(value, 1, &mut out);
        out
    }

    #[test]
    fn digits_halfway_between_two_numbers_are_not_printed() {
        // What PostgreSQL 15 prints.
        assert_eq!(float8(1e22), "1e+22");
        assert_eq!(float8(1e23), "9.999999999999999e+22");
        assert_eq!(float8(-2e23), "-1.9999999999999998e+23");
        assert_eq!(float8(9007199254740993.0), "9.007199254740992e+15");
        assert_eq!(float8(72057594037927944.0), "7.205759403792794e+16");
        assert_eq!(float8(0.1), "0.1");
        assert_eq!(float8(5e-324), "5e-324");
        assert_eq!(float4(562_220_000.0), "5.6222003e+08");
        assert_eq!(float4(1e23), "1e+23");
        assert_eq!(float4(0.3), "0.3");
    }
}
