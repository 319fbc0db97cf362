//! Powers of ten, digit counts and half-away-from-zero division of mantissas.

use num_bigint::{BigInt, BigUint, Sign};
use num_integer::Integer;
use num_traits::{One, Signed, Zero};

/// 10^0 ..= 10^38.
const POWERS: [i128; 39] = {
    let mut powers = [1_i128; 39];
    let mut index = 1;
    while index < 39 {
        powers[index] = powers[index - 1] * 10;
        index += 1;
    }
    powers
};

/// `10^exponent` if it fits.
pub(super) fn small_power_of_ten(exponent: u32) -> Option<i128> {
    POWERS.get(exponent as usize).copied()
}

/// `10^exponent`
pub(super) fn power_of_ten(exponent: u64) -> BigInt {
    match u32::try_from(exponent).ok().and_then(small_power_of_ten) {
        Some(power) => BigInt::from(power),
        // Exponents come from scales and digit limits (N2), so this stays far below what memory holds.
        None => BigInt::from(BigUint::from(10_u32).pow(u32::try_from(exponent).unwrap_or(u32::MAX))),
    }
}

/// `mantissa * 10^by` if it fits.
pub(super) fn scale_up(mantissa: i128, by: u32) -> Option<i128> {
    if mantissa == 0 {
        return Some(0);
    }
    small_power_of_ten(by).and_then(|power| mantissa.checked_mul(power))
}

/// `mantissa / 10^by`, half away from zero.
pub(super) fn scale_down_small(mantissa: i128, by: u32) -> i128 {
    match small_power_of_ten(by) {
        Some(power) => divide_rounded_small(mantissa, power),
        // |mantissa| < 1.8e38 < 10^39 / 2, so only the power 10^39 could round up, and it does not.
        None => 0,
    }
}

/// `a / b`, half away from zero; `b` is not zero.
pub(super) fn divide_rounded_small(a: i128, b: i128) -> i128 {
    let quotient = a / b;
    let remainder = (a % b).unsigned_abs();
    if remainder >= b.unsigned_abs() - remainder {
        if (a < 0) == (b < 0) { quotient + 1 } else { quotient - 1 }
    } else {
        quotient
    }
}

/// `a / b`, half away from zero; `b` is not zero.
pub(super) fn divide_rounded(a: &BigInt, b: &BigInt) -> BigInt {
    let (quotient, remainder) = a.div_rem(b);
    let doubled: BigInt = remainder.abs() << 1_u32;
    if doubled >= b.abs() {
        if a.sign() == b.sign() {
            quotient + BigInt::one()
        } else {
            quotient - BigInt::one()
        }
    } else {
        quotient
    }
}

/// Decimal digits of a magnitude; zero has none.
pub(super) fn digit_count(value: &BigUint) -> u64 {
    if value.is_zero() {
        return 0;
    }
    // bits - 1 <= log2(value) < bits, so the estimate is exact or one short.
    let estimate = ((value.bits() - 1) as f64 * std::f64::consts::LOG10_2) as u64;
    let mut digits = estimate.max(1);
    while power_of_ten(digits).magnitude() <= value {
        digits += 1;
    }
    digits
}

/// Decimal digits of a magnitude; zero has none.
pub(super) fn digit_count_small(value: u128) -> u32 {
    if value == 0 { 0 } else { value.ilog10() + 1 }
}

/// Decimal digits without sign.
pub(super) fn digits_of(value: &BigInt) -> String {
    if value.sign() == Sign::NoSign {
        "0".to_owned()
    } else {
        value.magnitude().to_string()
    }
}
