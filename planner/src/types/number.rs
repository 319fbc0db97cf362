//! Text form of booleans, integers and floating-point numbers.

use std::fmt::Write;

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
        let digits = format!("{value:e}");
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
        let digits = format!("{value:e}");
        write_decimal(&digits, 6, out);
    } else {
        let precision = (6 + extra_digits).max(1) as usize;
        write_general(f64::from(value), precision, out);
    }
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
    let (mantissa, exponent) = digits.split_once('e').unwrap_or((&digits, "0"));
    let mantissa = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    write_decimal(&format!("{mantissa}e{exponent}"), precision as i32, out);
}
