//! Floating-point numbers: arithmetic that raises on overflow and underflow, conversions, mathematics.

mod degrees;
mod mathematics;
mod table;

use super::integer::{Integer, division_by_zero};
use crate::types::error::out_of_range;
use crate::{SqlError, SqlResult};

pub(super) use table::FUNCTIONS;

/// real or double precision.
pub trait Float: Copy {
    /// As a double, exactly.
    fn wide(self) -> f64;
    /// a + b
    fn plus(self, other: Self) -> Self;
    /// a - b
    fn minus(self, other: Self) -> Self;
    /// a × b
    fn times(self, other: Self) -> Self;
    /// a ÷ b
    fn over(self, other: Self) -> Self;
}

macro_rules! floats {
    ($($name:ty),*) => {
        $(impl Float for $name {
            fn wide(self) -> f64 {
                self.into()
            }
            fn plus(self, other: Self) -> Self {
                self + other
            }
            fn minus(self, other: Self) -> Self {
                self - other
            }
            fn times(self, other: Self) -> Self {
                self * other
            }
            fn over(self, other: Self) -> Self {
                self / other
            }
        })*
    };
}

floats!(f32, f64);

/// 22003
pub fn overflow() -> SqlError {
    out_of_range("value out of range: overflow")
}

/// 22003
pub fn underflow() -> SqlError {
    out_of_range("value out of range: underflow")
}

/// Refuses a result that became infinite or zero although no operand gives cause.
pub fn checked<T: Float>(result: T, may_be_infinite: bool, may_be_zero: bool) -> SqlResult<T> {
    if result.wide().is_infinite() && !may_be_infinite {
        Err(overflow())
    } else if result.wide() == 0.0 && !may_be_zero {
        Err(underflow())
    } else {
        Ok(result)
    }
}

fn has_infinity<T: Float>(a: T, b: T) -> bool {
    a.wide().is_infinite() || b.wide().is_infinite()
}

/// a + b
pub fn add<T: Float>(a: T, b: T) -> SqlResult<T> {
    checked(a.plus(b), has_infinity(a, b), true)
}

/// a - b
pub fn subtract<T: Float>(a: T, b: T) -> SqlResult<T> {
    checked(a.minus(b), has_infinity(a, b), true)
}

/// a × b
pub fn multiply<T: Float>(a: T, b: T) -> SqlResult<T> {
    checked(a.times(b), has_infinity(a, b), a.wide() == 0.0 || b.wide() == 0.0)
}

/// a ÷ b
pub fn divide<T: Float>(a: T, b: T) -> SqlResult<T> {
    if b.wide() == 0.0 && !a.wide().is_nan() {
        return Err(division_by_zero());
    }
    checked(
        a.over(b),
        a.wide().is_infinite(),
        a.wide() == 0.0 || b.wide().is_infinite(),
    )
}

/// double precision to real
pub fn narrow(value: f64) -> SqlResult<f32> {
    checked(value as f32, value.is_infinite(), value == 0.0)
}

/// Rounds half to even, as the processor does, and refuses what does not fit.
pub fn to_integer<T: Integer>(value: f64) -> SqlResult<T> {
    let rounded = value.round_ties_even();
    // 2^63 itself is a double, so the upper bound excludes it.
    if !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&rounded) {
        return Err(out_of_range(T::OUT_OF_RANGE));
    }
    T::try_from(rounded as i64).map_err(|_| out_of_range(T::OUT_OF_RANGE))
}
