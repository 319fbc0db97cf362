//! Powers, with PostgreSQL's special cases and result scales.

use num_bigint::BigInt;
use num_integer::Integer;

use super::{
    DISPLAY_SCALE_MAX, Numeric, NumericError, NumericResult, RESULT_SCALE_MAX, SIGNIFICANT_DIGITS_MIN, integer,
};

/// PostgreSQL gives up above three times this many digits.
const WEIGHT_DIGITS_MAX: f64 = 32_767.0 * 4.0;

impl Numeric {
    /// `self ^ exponent`
    ///
    /// # Errors
    /// [`NumericError::ZeroToNegativePower`], [`NumericError::ComplexPower`], [`NumericError::Overflow`]
    pub fn pow(&self, exponent: &Numeric) -> NumericResult {
        if self.is_nan() {
            return Ok(if exponent.is_zero() { Numeric::ONE } else { Numeric::NAN });
        }
        if exponent.is_nan() {
            return Ok(if *self == Numeric::ONE {
                Numeric::ONE
            } else {
                Numeric::NAN
            });
        }
        if self.is_zero() && exponent.is_negative() {
            return Err(NumericError::ZeroToNegativePower);
        }
        if self.is_negative() && !exponent.is_integral() {
            return Err(NumericError::ComplexPower);
        }
        if self.is_infinite() || exponent.is_infinite() {
            return Ok(power_of_infinity(self, exponent));
        }
        match exponent.to_i64_exact().and_then(|whole| i32::try_from(whole).ok()) {
            Some(whole) => self.power_whole(whole),
            None => self.power_general(exponent),
        }
    }

    fn power_whole(&self, exponent: i32) -> NumericResult {
        let scale = SIGNIFICANT_DIGITS_MIN
            .max(i64::from(self.scale()))
            .clamp(0, DISPLAY_SCALE_MAX);
        let to_scale = |value: Numeric| Ok(value.with_scale(scale as i32));
        match exponent {
            0 => return to_scale(Numeric::ONE),
            1 => return to_scale(self.clone()),
            2 => return to_scale(self.mul(self)?),
            -1 => return Numeric::ONE.divide_to_scale(self, scale as u32),
            _ if self.is_zero() => return to_scale(Numeric::ZERO),
            _ => {}
        }
        // log10 of the result, from the leading digits: decides overflow early, and how many digits are needed.
        let estimate = f64::from(exponent) * self.log10_estimate();
        if estimate > 3.0 * WEIGHT_DIGITS_MAX {
            return Err(NumericError::Overflow);
        }
        if estimate + 1.0 < -(scale as f64) {
            return to_scale(Numeric::ZERO);
        }
        let significant = 1 + scale + estimate as i64 + f64::from(exponent).abs().ln() as i64 + 8;
        let power = self.multiply_repeatedly(exponent.unsigned_abs(), significant.max(1) as u64, exponent < 0)?;
        let Some(power) = power else {
            return to_scale(Numeric::ZERO);
        };
        if exponent < 0 {
            power.invert(scale)
        } else {
            Numeric::big(power.round_to(scale), scale as u32).within_limits()
        }
    }

    fn power_general(&self, exponent: &Numeric) -> NumericResult {
        if self.is_zero() {
            return Ok(Numeric::small(0, SIGNIFICANT_DIGITS_MIN as u32));
        }
        let odd = exponent.to_big_integer().is_some_and(|whole| whole.is_odd());
        let negate = self.is_negative() && odd;
        let base = self.abs();
        let ln_weight = base.ln_weight();
        let rough = base.ln_to_scale((8 - ln_weight).max(0)).mul(exponent)?.to_f64_lossy();
        if rough.abs() > RESULT_SCALE_MAX as f64 * 3.01 {
            if rough > 0.0 {
                return Err(NumericError::Overflow);
            }
            return Ok(Numeric::small(0, DISPLAY_SCALE_MAX as u32));
        }
        let weight = rough * std::f64::consts::LOG10_E;
        let scale = (SIGNIFICANT_DIGITS_MIN - weight as i64)
            .max(i64::from(self.scale()))
            .max(i64::from(exponent.scale()))
            .clamp(0, DISPLAY_SCALE_MAX);
        // The error of ln is multiplied by the exponent and by the result's size.
        let exponent_digits = exponent.exponent().max(0);
        let ln_scale = (scale + weight as i64 + exponent_digits + 12).max(16);
        let ln_power = base.ln_to_scale(ln_scale).mul(exponent)?;
        let result = ln_power.exp_to_scale(scale)?;
        Ok(if negate { result.neg() } else { result })
    }

    /// log10 |self|, from about sixteen leading digits.
    fn log10_estimate(&self) -> f64 {
        let wire = self.to_wire();
        let mut digits = 0.0;
        let mut weight = f64::from(wire.weight) * 4.0 + 4.0;
        for digit in wire.digits.iter().take(4) {
            digits = digits * 10_000.0 + f64::from(*digit);
            weight -= 4.0;
        }
        f64::log10(digits) + weight
    }

    /// |exponent|-th power by squaring, kept to `significant` digits. `None`: so large that its inverse is zero.
    fn multiply_repeatedly(
        &self,
        mut exponent: u32,
        significant: u64,
        inverse: bool,
    ) -> Result<Option<Scaled>, NumericError> {
        let Some((mantissa, scale)) = self.big_parts() else {
            return Ok(None);
        };
        // Rounding errors add up over the squarings; the digits of the exponent cover them.
        let keep = significant + 24;
        let mut square = Scaled {
            mantissa,
            scale: i64::from(scale),
        };
        let mut result = Scaled {
            mantissa: BigInt::from(1),
            scale: 0,
        };
        loop {
            if exponent & 1 == 1 {
                result = result.times(&square, keep);
            }
            exponent >>= 1;
            if exponent == 0 {
                return Ok(Some(result));
            }
            square = square.times(&square, keep);
            if square.whole_digits() as f64 > WEIGHT_DIGITS_MAX {
                return if inverse { Ok(None) } else { Err(NumericError::Overflow) };
            }
        }
    }
}

/// A floating decimal: the scale may be negative.
struct Scaled {
    mantissa: BigInt,
    scale: i64,
}

impl Scaled {
    fn whole_digits(&self) -> i64 {
        integer::digit_count(self.mantissa.magnitude()) as i64 - self.scale
    }

    fn times(&self, other: &Scaled, keep: u64) -> Scaled {
        let mut mantissa = &self.mantissa * &other.mantissa;
        let mut scale = self.scale + other.scale;
        let excess = integer::digit_count(mantissa.magnitude()).saturating_sub(keep);
        if excess > 0 {
            mantissa = integer::divide_rounded(&mantissa, &integer::power_of_ten(excess));
            scale -= excess as i64;
        }
        Scaled { mantissa, scale }
    }

    fn round_to(&self, scale: i64) -> BigInt {
        let shift = scale - self.scale;
        let power = integer::power_of_ten(shift.unsigned_abs());
        if shift >= 0 {
            &self.mantissa * power
        } else {
            integer::divide_rounded(&self.mantissa, &power)
        }
    }

    fn invert(&self, scale: i64) -> NumericResult {
        let shift = scale + self.scale;
        let one = integer::power_of_ten(shift.max(0) as u64);
        let divisor = &self.mantissa * integer::power_of_ten((-shift).max(0) as u64);
        Numeric::big(integer::divide_rounded(&one, &divisor), scale as u32).within_limits()
    }
}

/// Power where base or exponent is infinite; the checks for zero and complex results have been made.
fn power_of_infinity(base: &Numeric, exponent: &Numeric) -> Numeric {
    if *base == Numeric::ONE || exponent.is_zero() {
        return Numeric::ONE;
    }
    if base.is_zero() {
        return Numeric::ZERO;
    }
    if exponent.is_infinite() {
        if base.abs() == Numeric::ONE {
            return Numeric::ONE;
        }
        let grows = (base.abs() > Numeric::ONE) == (exponent.signum() > 0);
        return if grows { Numeric::INFINITY } else { Numeric::ZERO };
    }
    if exponent.is_negative() {
        return Numeric::ZERO;
    }
    let odd = exponent.to_big_integer().is_some_and(|whole| whole.is_odd());
    if base.is_negative() && odd {
        Numeric::NEGATIVE_INFINITY
    } else {
        Numeric::INFINITY
    }
}
