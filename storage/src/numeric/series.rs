//! Square root, exp and logarithms: computed in fixed point with guard digits, then rounded to PostgreSQL's scale.

use num_bigint::BigInt;
use num_traits::{Signed, Zero};

use super::{
    DISPLAY_SCALE_MAX, Numeric, NumericError, NumericResult, RESULT_SCALE_MAX, SIGNIFICANT_DIGITS_MIN, integer,
};

/// Digits computed beyond those that are kept.
const GUARD_DIGITS: i64 = 12;

impl Numeric {
    /// Square root.
    ///
    /// # Errors
    /// [`NumericError::NegativeSquareRoot`]
    pub fn sqrt(&self) -> NumericResult {
        if self.is_nan() {
            return Ok(Numeric::NAN);
        }
        if self.is_negative() {
            return Err(NumericError::NegativeSquareRoot);
        }
        let Some((mantissa, scale)) = self.big_parts() else {
            return Ok(Numeric::INFINITY);
        };
        let weight = if self.is_zero() {
            0
        } else {
            (self.exponent() - 1).div_euclid(4)
        };
        let root_weight = (weight + 1) * 4 / 2 - 1;
        let result_scale = (SIGNIFICANT_DIGITS_MIN - root_weight)
            .max(i64::from(scale))
            .clamp(0, DISPLAY_SCALE_MAX);
        // √(m / 10^s) at t digits is the whole root of m × 10^(2t - s); one more digit decides the rounding.
        let digits = result_scale + 1;
        let shift = 2 * digits - i64::from(scale);
        let power = integer::power_of_ten(shift.unsigned_abs());
        let radicand = if shift >= 0 { mantissa * power } else { mantissa / power };
        let root = integer::divide_rounded(&radicand.sqrt(), &BigInt::from(10));
        Numeric::big(root, result_scale as u32).within_limits()
    }

    /// e to the power of the value.
    ///
    /// # Errors
    /// [`NumericError::Overflow`]
    pub fn exp(&self) -> NumericResult {
        if self.is_nan() {
            return Ok(Numeric::NAN);
        }
        if self.is_infinite() {
            return Ok(if self.is_negative() {
                Numeric::ZERO
            } else {
                Numeric::INFINITY
            });
        }
        let limit = RESULT_SCALE_MAX as f64;
        let weight = (self.to_f64_lossy() * std::f64::consts::LOG10_E).clamp(-limit, limit) as i64;
        let scale = (SIGNIFICANT_DIGITS_MIN - weight)
            .max(i64::from(self.scale()))
            .clamp(0, DISPLAY_SCALE_MAX);
        self.exp_to_scale(scale)
    }

    /// e to the power of the value, at a given scale.
    pub(super) fn exp_to_scale(&self, scale: i64) -> NumericResult {
        let estimate = self.to_f64_lossy();
        if estimate.abs() >= (RESULT_SCALE_MAX * 3) as f64 {
            if estimate > 0.0 {
                return Err(NumericError::Overflow);
            }
            return Ok(Numeric::small(0, scale as u32));
        }
        let Some((mantissa, own_scale)) = self.big_parts() else {
            return Ok(Numeric::NAN);
        };
        let weight = (estimate * std::f64::consts::LOG10_E).abs() as i64 + 1;
        // For a negative exponent 1 / e^|x| is computed: its digits are those of e^|x|, fewer by twice the weight.
        let digits = if estimate < 0.0 {
            (scale - weight).max(0) + 2
        } else {
            scale + weight
        } + GUARD_DIGITS;
        let halvings = ((estimate.abs().max(1e-3).log2() as i64) + 12).max(0);
        let working = digits + weight + halvings;
        let fixed = to_fixed(&mantissa.abs(), own_scale, working);
        let power = exp_fixed(&fixed, working, halvings as u32);
        let result = if estimate < 0.0 {
            integer::divide_rounded(&integer::power_of_ten((working + scale) as u64), &power)
        } else {
            from_fixed(&power, working, scale)
        };
        Numeric::big(result, scale as u32).within_limits()
    }

    /// Natural logarithm.
    ///
    /// # Errors
    /// [`NumericError::LogarithmOfZero`], [`NumericError::LogarithmOfNegative`]
    pub fn ln(&self) -> NumericResult {
        if let Some(special) = self.logarithm_special()? {
            return Ok(special);
        }
        let scale = (SIGNIFICANT_DIGITS_MIN - self.ln_weight())
            .max(i64::from(self.scale()))
            .clamp(0, DISPLAY_SCALE_MAX);
        Ok(self.ln_to_scale(scale))
    }

    /// Logarithm to base 10 (`log(x)`).
    ///
    /// # Errors
    /// As [`Numeric::log`].
    pub fn log10(&self) -> NumericResult {
        Numeric::log(&Numeric::from(10), self)
    }

    /// Logarithm of `value` to `base`.
    ///
    /// # Errors
    /// As [`Numeric::ln`], and [`NumericError::DivisionByZero`] for base 1.
    pub fn log(base: &Numeric, value: &Numeric) -> NumericResult {
        if base.is_nan() || value.is_nan() {
            return Ok(Numeric::NAN);
        }
        if base.signum() < 0 || value.signum() < 0 {
            return Err(NumericError::LogarithmOfNegative);
        }
        if base.is_zero() || value.is_zero() {
            return Err(NumericError::LogarithmOfZero);
        }
        if base.is_infinite() {
            return Ok(if value.is_infinite() {
                Numeric::NAN
            } else {
                Numeric::ZERO
            });
        }
        if value.is_infinite() {
            return Ok(Numeric::INFINITY);
        }
        let (base_weight, value_weight) = (base.ln_weight(), value.ln_weight());
        let scale = (SIGNIFICANT_DIGITS_MIN - (value_weight - base_weight))
            .max(i64::from(base.scale()))
            .max(i64::from(value.scale()))
            .clamp(0, DISPLAY_SCALE_MAX);
        let digits = scale + (value_weight - base_weight).max(0) + GUARD_DIGITS;
        let ln_base = base.ln_to_scale((digits - base_weight).max(0));
        let ln_value = value.ln_to_scale((digits - value_weight).max(0));
        if ln_base.is_zero() {
            return Err(NumericError::DivisionByZero);
        }
        ln_value.divide_to_scale(&ln_base, scale as u32)
    }

    fn logarithm_special(&self) -> Result<Option<Numeric>, NumericError> {
        if self.is_nan() {
            return Ok(Some(Numeric::NAN));
        }
        match self.signum() {
            0 => Err(NumericError::LogarithmOfZero),
            -1 => Err(NumericError::LogarithmOfNegative),
            _ if self.is_infinite() => Ok(Some(Numeric::INFINITY)),
            _ => Ok(None),
        }
    }

    /// PostgreSQL's estimate of the decimal weight of `ln(self)`, on which its result scales depend.
    pub(super) fn ln_weight(&self) -> i64 {
        if self.signum() <= 0 || !self.is_finite() {
            return 0;
        }
        let tenths = |n| Numeric::small(n, 1);
        if *self >= tenths(9) && *self <= tenths(11) {
            // ln(1 + x) is about x here: the weight of x's first digit is wanted.
            return match self.sub(&Numeric::ONE) {
                Ok(difference) if !difference.is_zero() => difference.exponent() - 1,
                _ => 0,
            };
        }
        // log10 of the value from up to eight digits, as PostgreSQL takes two base-10000 digits.
        let wire = self.to_wire();
        let mut digits = f64::from(wire.digits.first().copied().unwrap_or(0));
        let mut weight = f64::from(wire.weight) * 4.0;
        if let Some(second) = wire.digits.get(1) {
            digits = digits * 10_000.0 + f64::from(*second);
            weight -= 4.0;
        }
        (digits.ln() + weight * std::f64::consts::LN_10).abs().log10() as i64
    }

    /// Natural logarithm of a positive finite value at a given scale.
    pub(super) fn ln_to_scale(&self, scale: i64) -> Numeric {
        let Some((mantissa, own_scale)) = self.big_parts() else {
            return Numeric::NAN;
        };
        let exponent = self.exponent();
        // Below one the logarithm of the inverse is taken, which keeps full precision in fixed point.
        let invert = exponent <= 0 && *self < Numeric::small(9, 1);
        let size = exponent.unsigned_abs() as f64 * std::f64::consts::LN_10 + 1.0;
        let roots = if (0.9..=1.1).contains(&self.to_f64_lossy()) {
            0
        } else {
            size.log2() as i64 + 6
        };
        let working = scale + roots + GUARD_DIGITS;
        let one = integer::power_of_ten(working as u64);
        let mut value = if invert {
            &one * integer::power_of_ten(u64::from(own_scale)) / &mantissa
        } else {
            to_fixed(&mantissa, own_scale, working)
        };
        for _ in 0..roots {
            value = (value * &one).sqrt();
        }
        // ln(v) = 2 × (z + z³/3 + z⁵/5 + …) with z = (v - 1) / (v + 1)
        let z = (&value - &one) * &one / (&value + &one);
        let square = &z * &z / &one;
        let (mut term, mut sum, mut odd) = (z.clone(), z, 1_u32);
        loop {
            term = term * &square / &one;
            odd += 2;
            let addend = &term / odd;
            if addend.is_zero() {
                break;
            }
            sum += addend;
        }
        let mut result = sum << (roots as u32 + 1);
        if invert {
            result = -result;
        }
        Numeric::big(from_fixed(&result, working, scale), scale as u32)
    }
}

/// `mantissa / 10^scale` with `working` digits after the point.
fn to_fixed(mantissa: &BigInt, scale: u32, working: i64) -> BigInt {
    let shift = working - i64::from(scale);
    let power = integer::power_of_ten(shift.unsigned_abs());
    if shift >= 0 { mantissa * power } else { mantissa / power }
}

/// Rounds a fixed-point value to `scale` digits.
fn from_fixed(value: &BigInt, working: i64, scale: i64) -> BigInt {
    let shift = working - scale;
    let power = integer::power_of_ten(shift.unsigned_abs());
    if shift >= 0 {
        integer::divide_rounded(value, &power)
    } else {
        value * power
    }
}

/// e^x in fixed point: Taylor's series of x / 2^halvings, squared back.
fn exp_fixed(x: &BigInt, working: i64, halvings: u32) -> BigInt {
    let one = integer::power_of_ten(working as u64);
    let reduced: BigInt = x >> halvings;
    let (mut sum, mut term, mut n) = (one.clone(), one.clone(), 0_u32);
    loop {
        n += 1;
        term = term * &reduced / &one / n;
        if term.is_zero() {
            break;
        }
        sum += &term;
    }
    for _ in 0..halvings {
        sum = &sum * &sum / &one;
    }
    sum
}
