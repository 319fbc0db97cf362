//! numeric: the functions over `storage::numeric`, which does the arithmetic.

mod table;

use storage::Numeric;

use super::integer::Integer;
use crate::types::error::out_of_range;
use crate::{SqlError, SqlResult, SqlState};

pub(super) use table::FUNCTIONS;

/// Rounds to an integer type, half away from zero.
///
/// # Errors
/// 0A000 for NaN and infinities, 22003 for a value that does not fit.
pub fn to_integer<T: Integer>(value: &Numeric, type_name: &str) -> SqlResult<T> {
    if !value.is_finite() {
        let what = if value.is_nan() { "NaN" } else { "infinity" };
        return Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            format!("cannot convert {what} to {type_name}"),
        ));
    }
    value
        .to_i64_rounded()
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(|| out_of_range(T::OUT_OF_RANGE))
}

/// The nearest double.
///
/// # Errors
/// 22003 for a value beyond the largest double, or below the smallest.
pub fn to_float8(value: &Numeric) -> SqlResult<f64> {
    match value.to_f64() {
        Some(found) => Ok(found),
        None => Err(out_of_range(&format!(
            "\"{value}\" is out of range for type double precision"
        ))),
    }
}

/// The nearest real.
///
/// # Errors
/// As [`to_float8`].
pub fn to_float4(value: &Numeric) -> SqlResult<f32> {
    match value.to_f32() {
        Some(found) => Ok(found),
        None => Err(out_of_range(&format!("\"{value}\" is out of range for type real"))),
    }
}

/// The bucket of a histogram of equal widths; 0 and count + 1 lie outside.
fn width_bucket(operand: &Numeric, low: &Numeric, high: &Numeric, count: i32) -> SqlResult<i32> {
    let refuse = |message: &str| Err(SqlError::new(SqlState::INVALID_ARGUMENT_FOR_WIDTH_BUCKET, message));
    if count <= 0 {
        return refuse("count must be greater than zero");
    }
    if operand.is_nan() || low.is_nan() || high.is_nan() {
        return refuse("operand, lower bound, and upper bound cannot be NaN");
    }
    if low.is_infinite() || high.is_infinite() {
        return refuse("lower and upper bounds must be finite");
    }
    if low == high {
        return refuse("lower bound cannot equal upper bound");
    }
    let (before, beyond) = if low < high {
        (operand < low, operand >= high)
    } else {
        (operand > low, operand <= high)
    };
    if before {
        return Ok(0);
    }
    if beyond {
        return count.checked_add(1).ok_or_else(|| out_of_range("integer out of range"));
    }
    // (operand - low) × count ÷ (high - low), exact before the division.
    let distance = operand.sub(low)?.mul(&Numeric::from(i64::from(count)))?;
    let bucket = distance.div_trunc(&high.sub(low)?)?;
    to_integer::<i32>(&bucket, "integer").map(|bucket| bucket.min(count - 1) + 1)
}
