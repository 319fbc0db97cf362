//! The binary wire form: base-10000 digits, weight, sign and display scale, as `numeric_send` writes them.

use num_bigint::BigInt;

use super::{INTEGER_DIGITS_MAX, Numeric, NumericError, NumericResult, Repr, SCALE_MAX, integer};

const SIGN_POSITIVE: u16 = 0x0000;
const SIGN_NEGATIVE: u16 = 0x4000;
const SIGN_NAN: u16 = 0xC000;
const SIGN_INFINITY: u16 = 0xD000;
const SIGN_NEGATIVE_INFINITY: u16 = 0xF000;

/// PostgreSQL's own form of a numeric: `sign × Σ digits[i] × 10000^(weight - i)`, shown with `scale` decimals.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct WireNumeric {
    /// Power of 10000 of the first digit.
    pub weight: i16,
    /// Sign or special value.
    pub sign: u16,
    /// Display scale.
    pub scale: u16,
    /// Base-10000 digits without leading and trailing zeros.
    pub digits: Vec<u16>,
}

impl Numeric {
    /// Converts to base-10000 digits.
    pub fn to_wire(&self) -> WireNumeric {
        let special = |sign| WireNumeric {
            sign,
            ..WireNumeric::default()
        };
        let (negative, text) = match &self.0 {
            Repr::NaN => return special(SIGN_NAN),
            Repr::PositiveInfinity => return special(SIGN_INFINITY),
            Repr::NegativeInfinity => return special(SIGN_NEGATIVE_INFINITY),
            Repr::Small(mantissa, _) => ({ mantissa.0 } < 0, { mantissa.0 }.unsigned_abs().to_string()),
            Repr::Big(mantissa, _) => (self.is_negative(), integer::digits_of(mantissa)),
        };
        let scale = self.scale() as usize;
        if self.is_zero() {
            return WireNumeric {
                scale: scale as u16,
                ..WireNumeric::default()
            };
        }
        // Zeros on both sides make whole groups of four around the point.
        let whole = text.len().saturating_sub(scale);
        let lead = if text.len() > scale {
            (4 - whole % 4) % 4
        } else {
            scale - text.len()
        };
        let tail = (4 - scale % 4) % 4;
        let padded = format!("{}{text}{}", "0".repeat(lead), "0".repeat(tail));
        let mut digits: Vec<u16> = padded
            .as_bytes()
            .chunks(4)
            .map(|group| group.iter().fold(0, |value, byte| value * 10 + u16::from(byte - b'0')))
            .collect();
        let mut weight = whole.div_ceil(4) as i32 - 1;
        let zeros = digits.iter().take_while(|digit| **digit == 0).count();
        digits.drain(..zeros);
        weight -= zeros as i32;
        while digits.last() == Some(&0) {
            digits.pop();
        }
        let sign = if negative { SIGN_NEGATIVE } else { SIGN_POSITIVE };
        WireNumeric {
            weight: weight as i16,
            sign,
            scale: scale as u16,
            digits,
        }
    }

    /// Converts from base-10000 digits; digits beyond the scale are cut off, as `numeric_recv` does.
    ///
    /// # Errors
    /// [`NumericError::Wire`] for a digit, sign or scale out of range, [`NumericError::Overflow`].
    pub fn from_wire(wire: &WireNumeric) -> NumericResult {
        match wire.sign {
            SIGN_NAN => return Ok(Numeric::NAN),
            SIGN_INFINITY => return Ok(Numeric::INFINITY),
            SIGN_NEGATIVE_INFINITY => return Ok(Numeric::NEGATIVE_INFINITY),
            SIGN_POSITIVE | SIGN_NEGATIVE => {}
            _ => return Err(NumericError::Wire("sign")),
        }
        if u32::from(wire.scale) > SCALE_MAX {
            return Err(NumericError::Wire("scale"));
        }
        let mut text = String::with_capacity(wire.digits.len() * 4);
        for digit in &wire.digits {
            if *digit > 9999 {
                return Err(NumericError::Wire("digit"));
            }
            text.push_str(&format!("{digit:04}"));
        }
        let mut mantissa = BigInt::parse_bytes(text.as_bytes(), 10).unwrap_or_default();
        // The last digit stands for 10000^(weight - count + 1): shift it to `scale` decimals.
        let shift = (i64::from(wire.weight) - wire.digits.len() as i64 + 1) * 4 + i64::from(wire.scale);
        if shift > (INTEGER_DIGITS_MAX + u64::from(SCALE_MAX)) as i64 {
            return Err(NumericError::Overflow);
        }
        let power = integer::power_of_ten(shift.unsigned_abs());
        mantissa = if shift >= 0 { mantissa * power } else { mantissa / power };
        if wire.sign == SIGN_NEGATIVE {
            mantissa = -mantissa;
        }
        Numeric::big(mantissa, u32::from(wire.scale)).within_limits()
    }

    /// Appends the binary wire form.
    pub fn write_wire(&self, out: &mut Vec<u8>) {
        let wire = self.to_wire();
        out.extend_from_slice(&(wire.digits.len() as u16).to_be_bytes());
        out.extend_from_slice(&wire.weight.to_be_bytes());
        out.extend_from_slice(&wire.sign.to_be_bytes());
        out.extend_from_slice(&wire.scale.to_be_bytes());
        for digit in &wire.digits {
            out.extend_from_slice(&digit.to_be_bytes());
        }
    }

    /// Reads the binary wire form, which must be all of `bytes`.
    ///
    /// # Errors
    /// As [`Numeric::from_wire`], and [`NumericError::Wire`] for a wrong length.
    pub fn read_wire(bytes: &[u8]) -> NumericResult {
        let mut words = bytes
            .chunks(2)
            .map(|pair| u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)]));
        let mut header = || words.next().ok_or(NumericError::Wire("length"));
        let (count, weight, sign, scale) = (header()?, header()?, header()?, header()?);
        if bytes.len() != 8 + usize::from(count) * 2 {
            return Err(NumericError::Wire("length"));
        }
        Self::from_wire(&WireNumeric {
            weight: weight as i16,
            sign,
            scale,
            digits: words.collect(),
        })
    }
}
