//! Rounding, truncation, and the limits of numeric(precision, scale).

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::Zero;

use super::{INTEGER_DIGITS_MAX, Numeric, NumericError, NumericResult, Repr, SCALE_MAX, integer};

/// How digits beyond the wanted scale are dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rounding {
    HalfAwayFromZero,
    TowardsZero,
    Up,
    Down,
}

impl Numeric {
    /// Rounds half away from zero to `scale` digits after the point (before it, if negative), padding with zeros.
    pub fn round(&self, scale: i32) -> NumericResult {
        self.rescale(clamp(scale), Rounding::HalfAwayFromZero).within_limits()
    }

    /// As [`Numeric::round`] for scales the caller knows to be valid; a result out of limits is left unrounded.
    pub fn with_scale(&self, scale: i32) -> Numeric {
        self.rescale(scale.min(SCALE_MAX as i32), Rounding::HalfAwayFromZero)
    }

    /// Cuts off after `scale` digits behind the point (before it, if negative), padding with zeros.
    pub fn trunc(&self, scale: i32) -> Numeric {
        self.rescale(clamp(scale), Rounding::TowardsZero)
    }

    /// Least whole number not below the value.
    pub fn ceil(&self) -> NumericResult {
        self.rescale(0, Rounding::Up).within_limits()
    }

    /// Greatest whole number not above the value.
    pub fn floor(&self) -> NumericResult {
        self.rescale(0, Rounding::Down).within_limits()
    }

    /// Fewest digits after the point that hold the value.
    pub fn min_scale(&self) -> u32 {
        self.trim_scale().scale()
    }

    /// The same value with the fewest digits after the point.
    pub fn trim_scale(&self) -> Numeric {
        match &self.0 {
            Repr::Small(mantissa, scale) if *scale > 0 => {
                let (mut mantissa, mut scale) = (mantissa.0, u32::from(*scale));
                if mantissa == 0 {
                    return Numeric::ZERO;
                }
                while scale > 0 && mantissa % 10 == 0 {
                    mantissa /= 10;
                    scale -= 1;
                }
                Numeric::small(mantissa, scale)
            }
            Repr::Big(mantissa, scale) if *scale > 0 => {
                let digits = integer::digits_of(mantissa);
                let zeros = (digits.len() - digits.trim_end_matches('0').len()).min(usize::from(*scale)) as u32;
                let trimmed = BigInt::clone(mantissa) / integer::power_of_ten(u64::from(zeros));
                Numeric::big(trimmed, u32::from(*scale) - zeros)
            }
            _ => self.clone(),
        }
    }

    /// Applies numeric(precision, scale): rounds to the scale, then refuses more than `precision - scale` whole digits.
    ///
    /// # Errors
    /// [`NumericError::FieldOverflow`] with PostgreSQL's detail line.
    pub fn with_precision(&self, precision: i32, scale: i32) -> NumericResult {
        if self.is_nan() {
            return Ok(self.clone());
        }
        let whole_digits = precision - scale;
        if self.is_infinite() {
            let detail = format!("A field with precision {precision}, scale {scale} cannot hold an infinite value.");
            return Err(NumericError::FieldOverflow { detail });
        }
        let rounded = self.rescale(scale, Rounding::HalfAwayFromZero);
        if !rounded.is_zero() && rounded.exponent() > i64::from(whole_digits) {
            let bound = if whole_digits == 0 {
                "1".to_owned()
            } else {
                format!("10^{whole_digits}")
            };
            let detail = format!(
                "A field with precision {precision}, scale {scale} must round to an absolute value less than {bound}."
            );
            return Err(NumericError::FieldOverflow { detail });
        }
        Ok(rounded)
    }

    /// Applies a type modifier as PostgreSQL 15 packs it; negative means none.
    ///
    /// # Errors
    /// As [`Numeric::with_precision`].
    pub fn with_modifier(&self, modifier: i32) -> NumericResult {
        match unpack_modifier(modifier) {
            Some((precision, scale)) => self.with_precision(precision, scale),
            None => Ok(self.clone()),
        }
    }

    fn rescale(&self, scale: i32, rounding: Rounding) -> Numeric {
        let current = self.scale() as i32;
        let target = scale.max(0) as u32;
        match &self.0 {
            Repr::Small(mantissa, _) => {
                let mantissa = mantissa.0;
                if scale >= current {
                    return match integer::scale_up(mantissa, (scale - current) as u32) {
                        Some(up) => Numeric::small(up, target),
                        None => {
                            let up = BigInt::from(mantissa) * integer::power_of_ten((scale - current) as u64);
                            Numeric::big(up, target)
                        }
                    };
                }
                let dropped = drop_small(mantissa, (current - scale) as u32, rounding);
                match integer::scale_up(dropped, (-scale).max(0) as u32) {
                    Some(value) => Numeric::small(value, target),
                    None => Numeric::big(BigInt::from(dropped) * integer::power_of_ten((-scale) as u64), target),
                }
            }
            Repr::Big(mantissa, _) => {
                if scale >= current {
                    let up = BigInt::clone(mantissa) * integer::power_of_ten((scale - current) as u64);
                    return Numeric::big(up, target);
                }
                let mut value = drop_big(mantissa, (current - scale) as u64, rounding);
                if scale < 0 {
                    value *= integer::power_of_ten(u64::from(scale.unsigned_abs()));
                }
                Numeric::big(value, target)
            }
            Repr::NegativeInfinity | Repr::PositiveInfinity | Repr::NaN => self.clone(),
        }
    }
}

/// Precision and scale of a type modifier.
pub(crate) fn unpack_modifier(modifier: i32) -> Option<(i32, i32)> {
    let packed = modifier.checked_sub(4).filter(|packed| *packed >= 0)?;
    Some(((packed >> 16) & 0xFFFF, ((packed & 0x7FF) ^ 1024) - 1024))
}

/// Beyond one more than the digits a value can have, rounding changes nothing any more.
fn clamp(scale: i32) -> i32 {
    scale.clamp(-(INTEGER_DIGITS_MAX as i32) - 1, SCALE_MAX as i32)
}

fn drop_small(mantissa: i128, digits: u32, rounding: Rounding) -> i128 {
    match (rounding, integer::small_power_of_ten(digits)) {
        (Rounding::HalfAwayFromZero, _) => integer::scale_down_small(mantissa, digits),
        (Rounding::TowardsZero, Some(power)) => mantissa / power,
        (Rounding::TowardsZero, None) => 0,
        (Rounding::Up, Some(power)) => Integer::div_ceil(&mantissa, &power),
        (Rounding::Up, None) => i128::from(mantissa > 0),
        (Rounding::Down, Some(power)) => Integer::div_floor(&mantissa, &power),
        (Rounding::Down, None) => -i128::from(mantissa < 0),
    }
}

fn drop_big(mantissa: &BigInt, digits: u64, rounding: Rounding) -> BigInt {
    if digits > integer::digit_count(mantissa.magnitude()) + 1 && rounding == Rounding::HalfAwayFromZero {
        return BigInt::zero();
    }
    let power = integer::power_of_ten(digits);
    match rounding {
        Rounding::HalfAwayFromZero => integer::divide_rounded(mantissa, &power),
        Rounding::TowardsZero => mantissa / power,
        Rounding::Up => Integer::div_ceil(mantissa, &power),
        Rounding::Down => Integer::div_floor(mantissa, &power),
    }
}
