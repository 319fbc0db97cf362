//! Exact arithmetic: + − × ÷ remainder, with PostgreSQL's result scales.

use num_bigint::BigInt;
use num_integer::Integer;
use num_traits::{Signed, Zero};

use super::{
    Aligned, DISPLAY_SCALE_MAX, Numeric, NumericError, NumericResult, Repr, SCALE_MAX, SIGNIFICANT_DIGITS_MIN, align,
    integer,
};

impl Numeric {
    /// Sum; its scale is the larger one.
    ///
    /// # Errors
    /// [`NumericError::Overflow`]
    pub fn add(&self, other: &Numeric) -> NumericResult {
        match align(self, other) {
            Some(Aligned::Small(a, b, scale)) => match a.checked_add(b) {
                Some(sum) => Ok(Numeric::small(sum, scale)),
                None => Ok(Numeric::big(BigInt::from(a) + b, scale)),
            },
            Some(Aligned::Big(a, b, scale)) => Numeric::big(a + b, scale).within_limits(),
            None => Ok(add_special(self, other)),
        }
    }

    /// Difference; its scale is the larger one.
    ///
    /// # Errors
    /// [`NumericError::Overflow`]
    pub fn sub(&self, other: &Numeric) -> NumericResult {
        match align(self, other) {
            Some(Aligned::Small(a, b, scale)) => match a.checked_sub(b) {
                Some(difference) => Ok(Numeric::small(difference, scale)),
                None => Ok(Numeric::big(BigInt::from(a) - b, scale)),
            },
            Some(Aligned::Big(a, b, scale)) => Numeric::big(a - b, scale).within_limits(),
            None => Ok(add_special(self, &other.neg())),
        }
    }

    /// Product; its scale is the sum of the scales, at most [`SCALE_MAX`].
    ///
    /// # Errors
    /// [`NumericError::Overflow`]
    pub fn mul(&self, other: &Numeric) -> NumericResult {
        let scale = self.scale() + other.scale();
        if let (Some((a, _)), Some((b, _))) = (self.small_parts(), other.small_parts())
            && let Some(product) = a.checked_mul(b)
            && scale <= SCALE_MAX
        {
            return Ok(Numeric::small(product, scale));
        }
        let (Some((a, _)), Some((b, _))) = (self.big_parts(), other.big_parts()) else {
            return Ok(mul_special(self, other));
        };
        let mut product = a * b;
        if scale > SCALE_MAX {
            product = integer::divide_rounded(&product, &integer::power_of_ten(u64::from(scale - SCALE_MAX)));
        }
        Numeric::big(product, scale.min(SCALE_MAX)).within_limits()
    }

    /// Quotient, rounded to PostgreSQL's scale for it: at least 16 significant digits and both operands' scales.
    ///
    /// # Errors
    /// [`NumericError::DivisionByZero`], [`NumericError::Overflow`]
    pub fn div(&self, other: &Numeric) -> NumericResult {
        if let Some(special) = divide_special(self, other)? {
            return Ok(special);
        }
        self.divide_to_scale(other, division_scale(self, other))
    }

    /// Quotient of a value that may have left the limits (a sum of squares) and a whole number, with the scale that `/`
    /// gives. `scale` is at most twice [`SCALE_MAX`].
    ///
    /// # Errors
    /// As [`Numeric::div`].
    pub fn quotient(dividend: BigInt, scale: u32, divisor: BigInt) -> NumericResult {
        Numeric::big(dividend, scale).div(&Numeric::big(divisor, 0))
    }

    /// Quotient cut off to a whole number (`div(a, b)`).
    ///
    /// # Errors
    /// [`NumericError::DivisionByZero`], [`NumericError::Overflow`]
    pub fn div_trunc(&self, other: &Numeric) -> NumericResult {
        if let Some(special) = divide_special(self, other)? {
            return Ok(special);
        }
        match align(self, other) {
            Some(Aligned::Small(a, b, _)) if b != -1 => Ok(Numeric::small(a / b, 0)),
            Some(Aligned::Small(a, b, _)) => Ok(Numeric::big(BigInt::from(a) / b, 0)),
            Some(Aligned::Big(a, b, _)) => Numeric::big(a / b, 0).within_limits(),
            None => Ok(Numeric::NAN),
        }
    }

    /// Remainder with the sign of the dividend; its scale is the larger one.
    ///
    /// # Errors
    /// [`NumericError::DivisionByZero`]
    pub fn rem(&self, other: &Numeric) -> NumericResult {
        if self.is_nan() || other.is_nan() {
            return Ok(Numeric::NAN);
        }
        if other.is_zero() {
            return Err(NumericError::DivisionByZero);
        }
        match align(self, other) {
            Some(Aligned::Small(a, b, scale)) => Ok(Numeric::small(a.checked_rem(b).unwrap_or(0), scale)),
            Some(Aligned::Big(a, b, scale)) => Ok(Numeric::big(a % b, scale)),
            None if self.is_infinite() => Ok(Numeric::NAN),
            None => Ok(self.clone()),
        }
    }

    /// The value with the other sign.
    pub fn neg(&self) -> Numeric {
        match &self.0 {
            Repr::Small(mantissa, scale) => match { mantissa.0 }.checked_neg() {
                Some(negated) => Numeric::small(negated, u32::from(*scale)),
                None => Numeric::big(-BigInt::from(mantissa.0), u32::from(*scale)),
            },
            Repr::Big(mantissa, scale) => Numeric::big(-BigInt::clone(mantissa), u32::from(*scale)),
            Repr::NegativeInfinity => Numeric::INFINITY,
            Repr::PositiveInfinity => Numeric::NEGATIVE_INFINITY,
            Repr::NaN => Numeric::NAN,
        }
    }

    /// Absolute value.
    pub fn abs(&self) -> Numeric {
        if self.is_negative() { self.neg() } else { self.clone() }
    }

    /// `sign()`: -1, 0, 1, or NaN.
    pub fn sign(&self) -> Numeric {
        if self.is_nan() {
            Numeric::NAN
        } else {
            Numeric::from(self.signum())
        }
    }

    /// Greatest common divisor, never negative; NaN unless both are finite.
    pub fn gcd(&self, other: &Numeric) -> NumericResult {
        match align(self, other) {
            Some(aligned) => {
                let (a, b, scale) = aligned.into_big();
                Numeric::big(a.gcd(&b), scale).within_limits()
            }
            None => Ok(Numeric::NAN),
        }
    }

    /// Least common multiple, never negative; NaN unless both are finite.
    ///
    /// # Errors
    /// [`NumericError::Overflow`]
    pub fn lcm(&self, other: &Numeric) -> NumericResult {
        match align(self, other) {
            Some(aligned) => {
                let (a, b, scale) = aligned.into_big();
                let multiple = if a.is_zero() || b.is_zero() {
                    BigInt::zero()
                } else {
                    (&a / a.gcd(&b) * b).abs()
                };
                Numeric::big(multiple, scale).within_limits()
            }
            None => Ok(Numeric::NAN),
        }
    }

    /// `n!`
    ///
    /// # Errors
    /// [`NumericError::NegativeFactorial`], [`NumericError::Overflow`] from 32178 on.
    pub fn factorial(n: i64) -> NumericResult {
        if n < 0 {
            return Err(NumericError::NegativeFactorial);
        }
        if n > 32_177 {
            return Err(NumericError::Overflow);
        }
        // Halving keeps both factors of each product about equally long, which is when big multiplication is fast.
        fn product(from: i64, to: i64) -> BigInt {
            if to - from < 8 {
                return (from..=to).fold(BigInt::from(1), |value, factor| value * factor);
            }
            let middle = from + (to - from) / 2;
            product(from, middle) * product(middle + 1, to)
        }
        Numeric::big(product(2, n), 0).within_limits()
    }

    /// Quotient of finite values, `other` not zero, rounded half away from zero to `scale` digits.
    pub(super) fn divide_to_scale(&self, other: &Numeric, scale: u32) -> NumericResult {
        // a / 10^sa ÷ (b / 10^sb) = a × 10^(scale + sb - sa) / b / 10^scale
        let shift = i64::from(scale) + i64::from(other.scale()) - i64::from(self.scale());
        if let (Some((a, _)), Some((b, _))) = (self.small_parts(), other.small_parts())
            && let Ok(up) = u32::try_from(shift)
            && let Some(scaled) = integer::scale_up(a, up)
            && scaled != i128::MIN
        {
            return Ok(Numeric::small(integer::divide_rounded_small(scaled, b), scale));
        }
        let (Some((mut a, _)), Some((mut b, _))) = (self.big_parts(), other.big_parts()) else {
            return Ok(Numeric::NAN);
        };
        let power = integer::power_of_ten(shift.unsigned_abs());
        if shift >= 0 {
            a *= power;
        } else {
            b *= power;
        }
        Numeric::big(integer::divide_rounded(&a, &b), scale).within_limits()
    }

    /// Weight of the first base-10000 digit, and that digit; (0, 0) for zero.
    fn leading_digit(&self) -> (i64, i64) {
        if self.is_zero() {
            return (0, 0);
        }
        let exponent = self.exponent();
        let weight = (exponent - 1).div_euclid(4);
        let wanted = (exponent - 1).rem_euclid(4) + 1;
        let digits = match &self.0 {
            Repr::Small(mantissa, _) => { mantissa.0 }.unsigned_abs().to_string(),
            Repr::Big(mantissa, _) => integer::digits_of(mantissa),
            Repr::NegativeInfinity | Repr::PositiveInfinity | Repr::NaN => return (0, 0),
        };
        let mut digit = 0;
        for index in 0..wanted as usize {
            digit = digit * 10 + digits.as_bytes().get(index).map_or(0, |byte| i64::from(byte - b'0'));
        }
        (weight, digit)
    }
}

impl Aligned {
    fn into_big(self) -> (BigInt, BigInt, u32) {
        match self {
            Aligned::Small(a, b, scale) => (BigInt::from(a), BigInt::from(b), scale),
            Aligned::Big(a, b, scale) => (a, b, scale),
        }
    }
}

/// PostgreSQL's scale of a quotient. It counts base-10000 digits, so the number of significant digits varies by four.
pub(super) fn division_scale(dividend: &Numeric, divisor: &Numeric) -> u32 {
    let (weight1, first1) = dividend.leading_digit();
    let (weight2, first2) = divisor.leading_digit();
    let quotient_weight = weight1 - weight2 - i64::from(first1 <= first2);
    (SIGNIFICANT_DIGITS_MIN - quotient_weight * 4)
        .max(i64::from(dividend.scale()))
        .max(i64::from(divisor.scale()))
        .clamp(0, DISPLAY_SCALE_MAX) as u32
}

/// Sum when one operand is not finite.
fn add_special(left: &Numeric, right: &Numeric) -> Numeric {
    match (&left.0, &right.0) {
        (Repr::NaN, _) | (_, Repr::NaN) => Numeric::NAN,
        (Repr::PositiveInfinity, Repr::NegativeInfinity) | (Repr::NegativeInfinity, Repr::PositiveInfinity) => {
            Numeric::NAN
        }
        (Repr::PositiveInfinity | Repr::NegativeInfinity, _) => left.clone(),
        (Repr::Small(..) | Repr::Big(..), _) => right.clone(),
    }
}

/// Product when one operand is not finite.
fn mul_special(left: &Numeric, right: &Numeric) -> Numeric {
    if left.is_nan() || right.is_nan() {
        return Numeric::NAN;
    }
    match left.signum() * right.signum() {
        0 => Numeric::NAN,
        1 => Numeric::INFINITY,
        _ => Numeric::NEGATIVE_INFINITY,
    }
}

/// Quotient when one operand is not finite, `None` when both are finite and the divisor is not zero.
fn divide_special(dividend: &Numeric, divisor: &Numeric) -> Result<Option<Numeric>, NumericError> {
    if dividend.is_nan() || divisor.is_nan() {
        return Ok(Some(Numeric::NAN));
    }
    if divisor.is_zero() {
        return Err(NumericError::DivisionByZero);
    }
    Ok(match (dividend.is_infinite(), divisor.is_infinite()) {
        (false, false) => None,
        (true, true) => Some(Numeric::NAN),
        (true, false) => Some(mul_special(dividend, divisor)),
        (false, true) => Some(Numeric::ZERO),
    })
}
