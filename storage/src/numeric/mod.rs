//! numeric: exact decimals with a scale per value, NaN and infinities, as PostgreSQL computes and prints them.
//!
//! A finite value is `mantissa / 10^scale`, so `1.50` is (150, 2): the scale is part of the value's text but not of its
//! identity (`1.5 = 1.50`). Mantissas that fit in an `i128` are kept in place; larger ones in a shared big integer.
//!
//! Invariants
//!  N1  A mantissa that fits in `i128` is never held as a big integer, so each (mantissa, scale) has one form.
//!  N2  Scale is at most [`SCALE_MAX`], and a value has at most [`INTEGER_DIGITS_MAX`] digits before the point: every
//!      operation that could leave these limits returns [`NumericError::Overflow`].
//!  N3  There is no negative zero.
//!
//! Why not a base-10000 digit array, as in PostgreSQL: nearly all values are small, and one 128-bit addition is an order
//! of magnitude cheaper than a loop over digits. The base-10000 form exists only on the wire (see `wire`), and where
//! PostgreSQL's result scales depend on it (see `arithmetic::division_scale`).

mod arithmetic;
mod convert;
mod format;
mod integer;
mod order;
mod parse;
mod power;
mod round;
mod series;
mod wire;

pub use wire::WireNumeric;

use std::sync::Arc;

use num_bigint::BigInt;
use num_traits::{Signed, ToPrimitive, Zero};

/// Most digits after the decimal point.
pub const SCALE_MAX: u32 = 16_383;
/// Most digits before the decimal point.
pub const INTEGER_DIGITS_MAX: u64 = 131_072;
/// PostgreSQL computes inexact results to at least this many significant digits.
const SIGNIFICANT_DIGITS_MIN: i64 = 16;
/// Largest scale PostgreSQL chooses by itself for an inexact result.
const DISPLAY_SCALE_MAX: i64 = 1000;
/// Largest scale `round` and `trunc` accept, and the size at which `exp` gives up.
const RESULT_SCALE_MAX: i64 = 2000;

/// An exact decimal, NaN, or an infinity. Equality, order and hash ignore the scale; NaN equals itself and is greatest.
#[derive(Clone)]
pub struct Numeric(Repr);

#[derive(Clone)]
enum Repr {
    /// Mantissa and scale.
    Small(Packed, u16),
    /// Mantissa (beyond `i128`, see N1) and scale.
    Big(Arc<BigInt>, u16),
    NegativeInfinity,
    PositiveInfinity,
    NaN,
}

/// An `i128` with the alignment of an `i64`, so that a [`crate::Datum`] does not grow by its padding.
#[derive(Clone, Copy)]
#[repr(Rust, packed(8))]
struct Packed(i128);

/// Why a numeric could not be computed. The text is PostgreSQL's; [`NumericError::sqlstate`] is its code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NumericError {
    /// The text is not a number.
    #[error("invalid input syntax for type numeric: \"{0}\"")]
    Syntax(String),
    /// Too many digits before or after the point.
    #[error("value overflows numeric format")]
    Overflow,
    /// Does not fit numeric(precision, scale); the detail line says why.
    #[error("numeric field overflow")]
    FieldOverflow {
        /// PostgreSQL's detail line.
        detail: String,
    },
    /// Division or remainder by zero.
    #[error("division by zero")]
    DivisionByZero,
    /// sqrt of a negative number.
    #[error("cannot take square root of a negative number")]
    NegativeSquareRoot,
    /// Logarithm of zero.
    #[error("cannot take logarithm of zero")]
    LogarithmOfZero,
    /// Logarithm of a negative number.
    #[error("cannot take logarithm of a negative number")]
    LogarithmOfNegative,
    /// `0 ^ -1`
    #[error("zero raised to a negative power is undefined")]
    ZeroToNegativePower,
    /// `(-1) ^ 0.5`
    #[error("a negative number raised to a non-integer power yields a complex result")]
    ComplexPower,
    /// Factorial of a negative number.
    #[error("factorial of a negative number is undefined")]
    NegativeFactorial,
    /// Bytes that are not a numeric in the binary wire form.
    #[error("invalid {0} in external \"numeric\" value")]
    Wire(&'static str),
}

impl NumericError {
    /// SQLSTATE of the error.
    pub fn sqlstate(&self) -> &'static str {
        match self {
            Self::Syntax(_) => "22P02",
            Self::Overflow | Self::FieldOverflow { .. } | Self::NegativeFactorial => "22003",
            Self::DivisionByZero => "22012",
            Self::NegativeSquareRoot | Self::ZeroToNegativePower | Self::ComplexPower => "2201F",
            Self::LogarithmOfZero | Self::LogarithmOfNegative => "2201E",
            Self::Wire(_) => "22P03",
        }
    }
}

/// Result of a numeric operation.
pub type NumericResult = Result<Numeric, NumericError>;

impl Numeric {
    /// Not a number.
    pub const NAN: Numeric = Numeric(Repr::NaN);
    /// Infinity.
    pub const INFINITY: Numeric = Numeric(Repr::PositiveInfinity);
    /// -Infinity.
    pub const NEGATIVE_INFINITY: Numeric = Numeric(Repr::NegativeInfinity);
    /// 0, scale 0.
    pub const ZERO: Numeric = Numeric(Repr::Small(Packed(0), 0));
    /// 1, scale 0.
    pub const ONE: Numeric = Numeric(Repr::Small(Packed(1), 0));

    /// `mantissa / 10^scale`. Returns `None` if the scale exceeds [`SCALE_MAX`].
    pub fn from_parts(mantissa: i128, scale: u32) -> Option<Numeric> {
        (scale <= SCALE_MAX).then(|| Self::small(mantissa, scale))
    }

    /// `mantissa / 10^scale` of any size.
    ///
    /// # Errors
    /// [`NumericError::Overflow`] beyond the limits of N2.
    pub fn from_big_parts(mantissa: BigInt, scale: u32) -> NumericResult {
        Self::big(mantissa, scale).within_limits()
    }

    /// Number of digits after the point; 0 for NaN and infinities.
    pub fn scale(&self) -> u32 {
        match self.0 {
            Repr::Small(_, scale) | Repr::Big(_, scale) => u32::from(scale),
            Repr::NegativeInfinity | Repr::PositiveInfinity | Repr::NaN => 0,
        }
    }

    /// Mantissa and scale if the value is finite and the mantissa fits.
    pub fn small_parts(&self) -> Option<(i128, u32)> {
        match self.0 {
            Repr::Small(mantissa, scale) => Some((mantissa.0, u32::from(scale))),
            _ => None,
        }
    }

    /// Mantissa and scale of a finite value.
    pub fn big_parts(&self) -> Option<(BigInt, u32)> {
        match &self.0 {
            Repr::Small(mantissa, scale) => Some((BigInt::from(mantissa.0), u32::from(*scale))),
            Repr::Big(mantissa, scale) => Some((BigInt::clone(mantissa), u32::from(*scale))),
            Repr::NegativeInfinity | Repr::PositiveInfinity | Repr::NaN => None,
        }
    }

    /// Whether this is NaN.
    pub fn is_nan(&self) -> bool {
        matches!(self.0, Repr::NaN)
    }

    /// Whether this is infinity or -infinity.
    pub fn is_infinite(&self) -> bool {
        matches!(self.0, Repr::NegativeInfinity | Repr::PositiveInfinity)
    }

    /// Whether this is neither NaN nor an infinity.
    pub fn is_finite(&self) -> bool {
        matches!(self.0, Repr::Small(..) | Repr::Big(..))
    }

    /// Whether this is zero of any scale.
    pub fn is_zero(&self) -> bool {
        matches!(self.0, Repr::Small(Packed(0), _))
    }

    /// Whether this is below zero, -infinity included.
    pub fn is_negative(&self) -> bool {
        self.signum() < 0
    }

    /// -1, 0 or 1; NaN counts as 1 (it is the greatest value).
    pub fn signum(&self) -> i32 {
        match &self.0 {
            Repr::Small(mantissa, _) => {
                let mantissa = mantissa.0;
                i32::from(mantissa > 0) - i32::from(mantissa < 0)
            }
            Repr::Big(mantissa, _) => {
                if mantissa.is_negative() {
                    -1
                } else {
                    1
                }
            }
            Repr::NegativeInfinity => -1,
            Repr::PositiveInfinity | Repr::NaN => 1,
        }
    }

    /// Whether the value has no fraction; infinities count as whole, NaN does not.
    pub fn is_integral(&self) -> bool {
        match &self.0 {
            Repr::NaN => false,
            Repr::NegativeInfinity | Repr::PositiveInfinity => true,
            Repr::Small(..) | Repr::Big(..) => self.min_scale() == 0,
        }
    }

    /// Bytes held outside the value itself.
    pub fn heap_size(&self) -> usize {
        match &self.0 {
            Repr::Big(mantissa, _) => usize::try_from(mantissa.bits() / 8).unwrap_or(usize::MAX) + 48,
            _ => 0,
        }
    }

    /// A small value; the caller keeps N2.
    fn small(mantissa: i128, scale: u32) -> Numeric {
        Numeric(Repr::Small(Packed(mantissa), scale as u16))
    }

    /// A value in its one form (N1); N2 is the caller's business.
    fn big(mantissa: BigInt, scale: u32) -> Numeric {
        match mantissa.to_i128() {
            Some(small) => Self::small(small, scale),
            None => Numeric(Repr::Big(Arc::new(mantissa), scale as u16)),
        }
    }

    /// Checks N2 where it could have been left.
    fn within_limits(self) -> NumericResult {
        match &self.0 {
            Repr::Big(mantissa, scale) => {
                // Digits are counted exactly only when the estimate comes near the limit.
                let limit = INTEGER_DIGITS_MAX + u64::from(*scale);
                let estimate = (mantissa.bits() as f64 * std::f64::consts::LOG10_2) as u64;
                let over = estimate > limit
                    || (estimate + 1 >= limit && mantissa.magnitude() >= integer::power_of_ten(limit).magnitude());
                if over { Err(NumericError::Overflow) } else { Ok(self) }
            }
            _ => Ok(self),
        }
    }
}

impl Default for Numeric {
    fn default() -> Self {
        Self::ZERO
    }
}

impl From<i64> for Numeric {
    fn from(value: i64) -> Self {
        Self::small(i128::from(value), 0)
    }
}

impl From<i32> for Numeric {
    fn from(value: i32) -> Self {
        Self::small(i128::from(value), 0)
    }
}

impl From<BigInt> for Numeric {
    fn from(value: BigInt) -> Self {
        Self::big(value, 0)
    }
}

/// Both operands on one scale.
enum Aligned {
    Small(i128, i128, u32),
    Big(BigInt, BigInt, u32),
}

/// Brings two finite values to the larger of their scales; `None` if one is not finite.
fn align(left: &Numeric, right: &Numeric) -> Option<Aligned> {
    if let (Some((a, a_scale)), Some((b, b_scale))) = (left.small_parts(), right.small_parts()) {
        if a_scale == b_scale {
            return Some(Aligned::Small(a, b, a_scale));
        }
        let scale = a_scale.max(b_scale);
        let scaled_a = integer::scale_up(a, scale - a_scale);
        let scaled_b = integer::scale_up(b, scale - b_scale);
        if let (Some(a), Some(b)) = (scaled_a, scaled_b) {
            return Some(Aligned::Small(a, b, scale));
        }
    }
    let (a, a_scale) = left.big_parts()?;
    let (b, b_scale) = right.big_parts()?;
    let scale = a_scale.max(b_scale);
    let widen = |mantissa: BigInt, from: u32| {
        if mantissa.is_zero() || from == scale {
            mantissa
        } else {
            mantissa * integer::power_of_ten(u64::from(scale - from))
        }
    };
    Some(Aligned::Big(widen(a, a_scale), widen(b, b_scale), scale))
}

#[cfg(test)]
mod tests;
