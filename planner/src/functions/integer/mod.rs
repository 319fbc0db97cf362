//! Integers: arithmetic that raises instead of wrapping, bit operations, conversions.

mod table;

use std::sync::Arc;

use super::value::Oid;
use crate::types::character::char_of_byte;
use crate::types::error::out_of_range;
use crate::{SqlError, SqlResult, SqlState};

pub(super) use table::FUNCTIONS;

/// An integer of any width.
pub trait Integer: Copy + PartialEq + TryFrom<i64> {
    /// `integer out of range`
    const OUT_OF_RANGE: &'static str;
    /// 0
    const ZERO: Self;
    /// -1
    const MINUS_ONE: Self;
    /// a + b
    fn plus(self, other: Self) -> Option<Self>;
    /// a - b
    fn minus(self, other: Self) -> Option<Self>;
    /// a × b
    fn times(self, other: Self) -> Option<Self>;
    /// a ÷ b, b not 0
    fn over(self, other: Self) -> Option<Self>;
    /// Remainder, b neither 0 nor -1
    fn rest(self, other: Self) -> Self;
    /// |a|, exact
    fn magnitude(self) -> u64;
}

macro_rules! integers {
    ($($name:ty, $message:literal;)*) => {
        $(impl Integer for $name {
            const OUT_OF_RANGE: &'static str = $message;
            const ZERO: Self = 0;
            const MINUS_ONE: Self = -1;
            fn plus(self, other: Self) -> Option<Self> {
                self.checked_add(other)
            }
            fn minus(self, other: Self) -> Option<Self> {
                self.checked_sub(other)
            }
            fn times(self, other: Self) -> Option<Self> {
                self.checked_mul(other)
            }
            fn over(self, other: Self) -> Option<Self> {
                self.checked_div(other)
            }
            fn rest(self, other: Self) -> Self {
                self % other
            }
            fn magnitude(self) -> u64 {
                u64::from(self.unsigned_abs())
            }
        })*
    };
}

integers! {
    i16, "smallint out of range";
    i32, "integer out of range";
    i64, "bigint out of range";
}

/// 22012
pub fn division_by_zero() -> SqlError {
    SqlError::new(SqlState::DIVISION_BY_ZERO, "division by zero")
}

fn overflow<T: Integer>() -> SqlError {
    out_of_range(T::OUT_OF_RANGE)
}

/// a + b
pub fn add<T: Integer>(a: T, b: T) -> SqlResult<T> {
    a.plus(b).ok_or_else(overflow::<T>)
}

/// a - b
pub fn subtract<T: Integer>(a: T, b: T) -> SqlResult<T> {
    a.minus(b).ok_or_else(overflow::<T>)
}

/// a × b
pub fn multiply<T: Integer>(a: T, b: T) -> SqlResult<T> {
    a.times(b).ok_or_else(overflow::<T>)
}

/// a ÷ b, cut towards zero
pub fn divide<T: Integer>(a: T, b: T) -> SqlResult<T> {
    if b == T::ZERO {
        return Err(division_by_zero());
    }
    a.over(b).ok_or_else(overflow::<T>)
}

/// Remainder with the sign of the dividend
pub fn modulo<T: Integer>(a: T, b: T) -> SqlResult<T> {
    if b == T::ZERO {
        return Err(division_by_zero());
    }
    // The processor's instruction overflows for the smallest value and -1.
    Ok(if b == T::MINUS_ONE { T::ZERO } else { a.rest(b) })
}

/// -a
pub fn negate<T: Integer>(a: T) -> SqlResult<T> {
    subtract(T::ZERO, a)
}

/// |a|
pub fn absolute<T: Integer>(a: T) -> SqlResult<T> {
    from_magnitude(a.magnitude())
}

fn from_magnitude<T: Integer>(magnitude: u64) -> SqlResult<T> {
    i64::try_from(magnitude)
        .ok()
        .and_then(|value| T::try_from(value).ok())
        .ok_or_else(overflow::<T>)
}

fn gcd(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// gcd, never negative
pub fn greatest_common_divisor<T: Integer>(a: T, b: T) -> SqlResult<T> {
    from_magnitude(gcd(a.magnitude(), b.magnitude()))
}

/// lcm, never negative
pub fn least_common_multiple<T: Integer>(a: T, b: T) -> SqlResult<T> {
    let (a, b) = (a.magnitude(), b.magnitude());
    if a == 0 || b == 0 {
        return Ok(T::ZERO);
    }
    (a / gcd(a, b))
        .checked_mul(b)
        .map_or_else(|| Err(overflow::<T>()), from_magnitude)
}

/// Converts to a narrower integer.
pub fn narrow<T: Integer>(value: i64) -> SqlResult<T> {
    T::try_from(value).map_err(|_| overflow::<T>())
}

fn to_oid(value: i64) -> SqlResult<Oid> {
    u32::try_from(value)
        .map(Oid)
        .map_err(|_| out_of_range("OID out of range"))
}

fn to_char(value: i32) -> SqlResult<Arc<str>> {
    i8::try_from(value)
        .map(|byte| char_of_byte(byte as u8))
        .map_err(|_| out_of_range("\"char\" out of range"))
}
