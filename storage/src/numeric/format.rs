//! Numeric to text, exactly as PostgreSQL prints it.

use std::fmt;

use super::{Numeric, Repr, integer};

impl fmt::Display for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Repr::NaN => f.write_str("NaN"),
            Repr::PositiveInfinity => f.write_str("Infinity"),
            Repr::NegativeInfinity => f.write_str("-Infinity"),
            Repr::Small(mantissa, 0) => {
                let mantissa = mantissa.0;
                write!(f, "{mantissa}")
            }
            Repr::Small(mantissa, scale) => {
                let mantissa = mantissa.0;
                write_decimal(
                    f,
                    mantissa < 0,
                    &mantissa.unsigned_abs().to_string(),
                    usize::from(*scale),
                )
            }
            Repr::Big(mantissa, scale) => {
                let negative = mantissa.sign() == num_bigint::Sign::Minus;
                write_decimal(f, negative, &integer::digits_of(mantissa), usize::from(*scale))
            }
        }
    }
}

impl fmt::Debug for Numeric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn write_decimal(f: &mut fmt::Formatter<'_>, negative: bool, digits: &str, scale: usize) -> fmt::Result {
    if negative {
        f.write_str("-")?;
    }
    if scale == 0 {
        return f.write_str(digits);
    }
    match digits.len().checked_sub(scale) {
        Some(whole) if whole > 0 => write!(f, "{}.{}", &digits[..whole], &digits[whole..]),
        _ => write!(f, "0.{digits:0>scale$}"),
    }
}
