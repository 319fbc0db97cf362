//! Mathematical functions of double precision, with PostgreSQL's checks.

use std::ops::RangeInclusive;

use super::checked;
use crate::functions::CallContext;
use crate::types::error::out_of_range;
use crate::{SqlError, SqlResult, SqlState};

/// π / 180
pub const RADIANS_PER_DEGREE: f64 = 0.017_453_292_519_943_295;

fn input_out_of_range() -> SqlError {
    out_of_range("input is out of range")
}

/// -1, 0 or 1; NaN for NaN
pub fn sign(value: f64) -> f64 {
    if value > 0.0 {
        1.0
    } else if value < 0.0 {
        -1.0
    } else {
        value.abs()
    }
}

/// Square root
pub fn square_root(value: f64) -> SqlResult<f64> {
    if value < 0.0 {
        return Err(SqlError::new(
            SqlState::INVALID_ARGUMENT_FOR_POWER,
            "cannot take square root of a negative number",
        ));
    }
    Ok(value.sqrt())
}

/// e^x
pub fn exponential(value: f64) -> SqlResult<f64> {
    checked(value.exp(), value.is_infinite(), value.is_infinite())
}

fn logarithm(value: f64, function: fn(f64) -> f64) -> SqlResult<f64> {
    let refuse = |message| Err(SqlError::new(SqlState::INVALID_ARGUMENT_FOR_LOGARITHM, message));
    if value == 0.0 {
        refuse("cannot take logarithm of zero")
    } else if value < 0.0 {
        refuse("cannot take logarithm of a negative number")
    } else {
        checked(function(value), value.is_infinite(), value == 1.0)
    }
}

/// Logarithm to base e
pub fn natural_logarithm(value: f64) -> SqlResult<f64> {
    logarithm(value, f64::ln)
}

/// Logarithm to base 10
pub fn decimal_logarithm(value: f64) -> SqlResult<f64> {
    logarithm(value, f64::log10)
}

/// base^exponent, with POSIX's special cases
pub fn power(base: f64, exponent: f64) -> SqlResult<f64> {
    if base.is_nan() || exponent.is_nan() {
        // NaN ^ 0 and 1 ^ NaN are 1.
        return Ok(if exponent == 0.0 || base == 1.0 { 1.0 } else { f64::NAN });
    }
    let refuse = |message| Err(SqlError::new(SqlState::INVALID_ARGUMENT_FOR_POWER, message));
    if base == 0.0 && exponent < 0.0 {
        return refuse("zero raised to a negative power is undefined");
    }
    if base < 0.0 && exponent.is_finite() && exponent.floor() != exponent {
        return refuse("a negative number raised to a non-integer power yields a complex result");
    }
    let result = base.powf(exponent);
    if base.is_infinite() || exponent.is_infinite() {
        return Ok(result);
    }
    checked(result, false, base == 0.0)
}

/// Refuses arguments outside a function's domain.
pub fn within(value: f64, domain: RangeInclusive<f64>, function: fn(f64) -> f64) -> SqlResult<f64> {
    if value.is_nan() {
        return Ok(value);
    }
    if domain.contains(&value) {
        Ok(function(value))
    } else {
        Err(input_out_of_range())
    }
}

/// Refuses infinite arguments.
pub fn finite(value: f64, function: impl Fn(f64) -> f64) -> SqlResult<f64> {
    if value.is_infinite() {
        Err(input_out_of_range())
    } else {
        Ok(function(value))
    }
}

/// sinh; it overflows to an infinity of the argument's sign
pub fn hyperbolic_sine(value: f64) -> f64 {
    value.sinh()
}

/// cosh; it overflows to infinity
pub fn hyperbolic_cosine(value: f64) -> f64 {
    value.cosh()
}

/// asinh
pub fn inverse_hyperbolic_sine(value: f64) -> f64 {
    // The logarithm of 1 + tiny would lose the argument and its sign.
    if value == 0.0 || value.is_infinite() {
        value
    } else {
        value.asinh()
    }
}

/// acosh
pub fn inverse_hyperbolic_cosine(value: f64) -> SqlResult<f64> {
    if value < 1.0 {
        Err(input_out_of_range())
    } else {
        Ok(value.acosh())
    }
}

/// atanh
pub fn inverse_hyperbolic_tangent(value: f64) -> SqlResult<f64> {
    if !value.is_nan() && !(-1.0..=1.0).contains(&value) {
        return Err(input_out_of_range());
    }
    Ok(match value {
        -1.0 => f64::NEG_INFINITY,
        1.0 => f64::INFINITY,
        _ => value.atanh(),
    })
}

/// Seeds the session's random numbers.
pub fn set_seed(context: &mut CallContext<'_>, seed: f64) -> SqlResult<()> {
    if !(-1.0..=1.0).contains(&seed) {
        let mut text = String::new();
        crate::types::number::write_general(seed, 6, &mut text);
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("setseed parameter {text} is out of allowed range [-1,1]"),
        ));
    }
    context.session.set_seed(seed);
    Ok(())
}

/// The bucket of a histogram of equal widths; 0 and count + 1 lie outside.
pub fn width_bucket(operand: f64, low: f64, high: f64, count: i32) -> SqlResult<i32> {
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
    let beyond = || count.checked_add(1).ok_or_else(|| out_of_range("integer out of range"));
    // Halving keeps the difference of extreme bounds from overflowing.
    let position = |from: f64, to: f64| {
        let width = to - from;
        let share = if width.is_infinite() {
            (operand / 2.0 - from / 2.0) / (to / 2.0 - from / 2.0)
        } else {
            (operand - from) / width
        };
        (f64::from(count) * share) as i32
    };
    let bucket = if low < high {
        if operand < low {
            return Ok(0);
        } else if operand >= high {
            return beyond();
        }
        position(low, high)
    } else {
        if operand > low {
            return Ok(0);
        } else if operand <= high {
            return beyond();
        }
        position(low, high)
    };
    Ok(bucket.min(count - 1) + 1)
}
