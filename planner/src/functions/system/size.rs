//! Sizes in bytes for people: pg_size_pretty and pg_size_bytes.

use storage::Numeric;

use crate::types::error::out_of_range;
use crate::{SqlError, SqlResult, SqlState};

/// Units, and the size below which the unit is kept (10 of the next unit, half a step tighter after the first).
const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];

/// `pg_size_pretty`: whole numbers below 10240 of a unit, rounded half away from zero.
pub fn size_pretty(size: &Numeric) -> SqlResult<String> {
    let step = Numeric::from(1024i64);
    let limit = Numeric::from(10 * 1024i64);
    let mut value = size.trunc(0);
    if value.abs() < limit {
        return Ok(format!("{size} {}", UNITS[0]));
    }
    // Twice the value of the next unit, so that one halving at the end rounds.
    value = value.div_trunc(&Numeric::from(512i64))?;
    let half_limit = Numeric::from(2 * 10 * 1024i64 - 1);
    for (index, unit) in UNITS.iter().enumerate().skip(1) {
        if value.abs() < half_limit || index + 1 == UNITS.len() {
            let one = if value.is_negative() {
                Numeric::from(-1i64)
            } else {
                Numeric::ONE
            };
            let rounded = value.add(&one)?.div_trunc(&Numeric::from(2i64))?;
            return Ok(format!("{rounded} {unit}"));
        }
        value = value.div_trunc(&step)?;
    }
    Ok(format!("{size} {}", UNITS[0]))
}

/// `pg_size_bytes`: a number with a unit.
pub fn size_bytes(text: &str) -> SqlResult<i64> {
    let invalid = || SqlError::new(SqlState::INVALID_PARAMETER_VALUE, format!("invalid size: \"{text}\""));
    let body = text.trim();
    let sign = usize::from(body.starts_with(['+', '-']));
    let mut end = sign
        + body[sign..]
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(body.len() - sign);
    // An exponent belongs to the number, if digits follow it.
    if let Some(exponent) = body[end..].strip_prefix(['e', 'E']) {
        let exponent_sign = usize::from(exponent.starts_with(['+', '-']));
        let digits = exponent[exponent_sign..].bytes().take_while(u8::is_ascii_digit).count();
        if digits > 0 {
            end += 1 + exponent_sign + digits;
        }
    }
    let number: Numeric = body[..end].parse().map_err(|_| invalid())?;
    let unit = body[end..].trim();
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 0,
        "kb" => 1,
        "mb" => 2,
        "gb" => 3,
        "tb" => 4,
        "pb" => 5,
        _ => {
            return Err(invalid()
                .detail(format!("Invalid size unit: \"{unit}\"."))
                .hint("Valid units are \"bytes\", \"kB\", \"MB\", \"GB\", \"TB\", and \"PB\"."));
        }
    };
    let factor = Numeric::from(1i64 << (10 * power));
    number
        .mul(&factor)?
        .to_i64_rounded()
        .ok_or_else(|| out_of_range("bigint out of range"))
}
