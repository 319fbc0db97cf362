//! Conversions between numeric, integers and floats, with range checks.

use num_bigint::BigInt;
use num_traits::ToPrimitive;

use super::{Numeric, Repr};

/// Powers of ten that an `f64` holds exactly.
const EXACT_POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
/// Integers up to here are exact in an `f64`.
const EXACT_INTEGER_MAX: u128 = 1 << 53;

impl Numeric {
    /// An integer, scale 0.
    pub fn from_i64(value: i64) -> Numeric {
        Numeric::small(i128::from(value), 0)
    }

    /// An integer, scale 0.
    pub fn from_u64(value: u64) -> Numeric {
        Numeric::small(i128::from(value), 0)
    }

    /// An integer, scale 0.
    pub fn from_i128(value: i128) -> Numeric {
        Numeric::small(value, 0)
    }

    /// double precision to numeric: 15 significant digits, as PostgreSQL's cast.
    pub fn from_f64(value: f64) -> Numeric {
        from_float(value, 15)
    }

    /// real to numeric: 6 significant digits, as PostgreSQL's cast.
    pub fn from_f32(value: f32) -> Numeric {
        from_float(f64::from(value), 6)
    }

    /// Rounds half away from zero to an integer; `None` if it does not fit or is not finite.
    pub fn to_i128_rounded(&self) -> Option<i128> {
        if !self.is_finite() {
            return None;
        }
        match self.small_parts() {
            Some((value, 0)) => Some(value),
            _ => self.with_scale(0).small_parts().map(|(value, _)| value),
        }
    }

    /// Rounds half away from zero; `None` if out of range or not finite.
    pub fn to_i64_rounded(&self) -> Option<i64> {
        self.to_i128_rounded().and_then(|value| value.try_into().ok())
    }

    /// Rounds half away from zero; `None` if out of range or not finite.
    pub fn to_i32_rounded(&self) -> Option<i32> {
        self.to_i128_rounded().and_then(|value| value.try_into().ok())
    }

    /// Rounds half away from zero; `None` if out of range or not finite.
    pub fn to_i16_rounded(&self) -> Option<i16> {
        self.to_i128_rounded().and_then(|value| value.try_into().ok())
    }

    /// The integer if the value is whole and fits.
    pub fn to_i64_exact(&self) -> Option<i64> {
        match self.small_parts() {
            Some((value, 0)) => value.try_into().ok(),
            Some(_) => match self.trim_scale().small_parts() {
                Some((value, 0)) => value.try_into().ok(),
                _ => None,
            },
            None => None,
        }
    }

    /// Cut off after the point, as a big integer; `None` if not finite.
    pub fn to_big_integer(&self) -> Option<BigInt> {
        self.is_finite()
            .then(|| self.trunc(0))
            .and_then(|whole| whole.big_parts())
            .map(|(value, _)| value)
    }

    /// Nearest double; `None` if the value is out of double's range (too large, or too small to tell from zero).
    pub fn to_f64(&self) -> Option<f64> {
        match &self.0 {
            Repr::NaN => Some(f64::NAN),
            Repr::PositiveInfinity => Some(f64::INFINITY),
            Repr::NegativeInfinity => Some(f64::NEG_INFINITY),
            Repr::Small(mantissa, scale)
                if { mantissa.0 }.unsigned_abs() <= EXACT_INTEGER_MAX && usize::from(*scale) < EXACT_POWERS.len() =>
            {
                // Both operands are exact, so the one rounding of the division is the right one.
                { mantissa.0 }
                    .to_f64()
                    .map(|exact| exact / EXACT_POWERS[usize::from(*scale)])
            }
            Repr::Small(..) | Repr::Big(..) => {
                let value = self.to_string().parse::<f64>().ok()?;
                (value.is_finite() && (value != 0.0 || self.is_zero())).then_some(value)
            }
        }
    }

    /// Nearest single; `None` if out of range.
    pub fn to_f32(&self) -> Option<f32> {
        match &self.0 {
            Repr::NaN => Some(f32::NAN),
            Repr::PositiveInfinity => Some(f32::INFINITY),
            Repr::NegativeInfinity => Some(f32::NEG_INFINITY),
            Repr::Small(..) | Repr::Big(..) => {
                let value = self.to_string().parse::<f32>().ok()?;
                (value.is_finite() && (value != 0.0 || self.is_zero())).then_some(value)
            }
        }
    }

    /// Nearest double; infinities where it is too large, zero where it is too small.
    pub fn to_f64_lossy(&self) -> f64 {
        match self.to_f64() {
            Some(value) => value,
            None => self.to_string().parse().unwrap_or(f64::NAN),
        }
    }
}

impl From<i128> for Numeric {
    fn from(value: i128) -> Self {
        Self::small(value, 0)
    }
}

/// What C prints with `%.{digits}g`, read back as a numeric.
fn from_float(value: f64, digits: usize) -> Numeric {
    if value.is_nan() {
        return Numeric::NAN;
    }
    if value.is_infinite() {
        return if value > 0.0 {
            Numeric::INFINITY
        } else {
            Numeric::NEGATIVE_INFINITY
        };
    }
    let text = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = if mantissa.contains('.') {
        mantissa.trim_end_matches('0').trim_end_matches('.')
    } else {
        mantissa
    };
    Numeric::parse(&format!("{trimmed}e{exponent}")).unwrap_or(Numeric::NAN)
}
