//! Order, equality, hash, and the order-preserving key bytes (`FORMAT.md`, "numeric keys").

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use num_bigint::BigInt;

use super::{Aligned, Numeric, Repr, align, integer};

const CLASS_NEGATIVE_INFINITY: u8 = 0x01;
const CLASS_NEGATIVE: u8 = 0x02;
const CLASS_ZERO: u8 = 0x03;
const CLASS_POSITIVE: u8 = 0x04;
const CLASS_INFINITY: u8 = 0x05;
const CLASS_NAN: u8 = 0x06;
/// Exponents of this size and below take one byte.
const SHORT_EXPONENT_MAX: i32 = 120;
const LONG_NEGATIVE_EXPONENT: u8 = 0x07;
const LONG_POSITIVE_EXPONENT: u8 = 0xF9;

impl Numeric {
    fn class(&self) -> u8 {
        match &self.0 {
            Repr::NegativeInfinity => CLASS_NEGATIVE_INFINITY,
            Repr::PositiveInfinity => CLASS_INFINITY,
            Repr::NaN => CLASS_NAN,
            Repr::Small(..) | Repr::Big(..) => match self.signum() {
                -1 => CLASS_NEGATIVE,
                0 => CLASS_ZERO,
                _ => CLASS_POSITIVE,
            },
        }
    }

    /// Digits before the point of a finite value other than zero; zero or negative below 0.1.
    pub(super) fn exponent(&self) -> i64 {
        match &self.0 {
            Repr::Small(mantissa, scale) => {
                i64::from(integer::digit_count_small({ mantissa.0 }.unsigned_abs())) - i64::from(*scale)
            }
            Repr::Big(mantissa, scale) => integer::digit_count(mantissa.magnitude()) as i64 - i64::from(*scale),
            Repr::NegativeInfinity | Repr::PositiveInfinity | Repr::NaN => 0,
        }
    }

    /// Appends bytes whose order is the order of values: self-delimiting, and the same for 1.0 and 1.00.
    pub fn write_key(&self, out: &mut Vec<u8>) {
        let class = self.class();
        out.push(class);
        if class != CLASS_NEGATIVE && class != CLASS_POSITIVE {
            return;
        }
        let start = out.len();
        let digits = match &self.0 {
            Repr::Small(mantissa, _) => { mantissa.0 }.unsigned_abs().to_string(),
            Repr::Big(mantissa, _) => integer::digits_of(mantissa),
            Repr::NegativeInfinity | Repr::PositiveInfinity | Repr::NaN => String::new(),
        };
        let exponent = digits.len() as i32 - self.scale() as i32;
        if exponent.abs() <= SHORT_EXPONENT_MAX {
            out.push((exponent + 128) as u8);
        } else {
            out.push(if exponent < 0 {
                LONG_NEGATIVE_EXPONENT
            } else {
                LONG_POSITIVE_EXPONENT
            });
            out.extend_from_slice(&(exponent + 0x80_0000).to_be_bytes()[1..]);
        }
        // Pairs of digits, each plus one, so that zero can end them: a prefix sorts before what continues it.
        for pair in digits.trim_end_matches('0').as_bytes().chunks(2) {
            out.push((pair[0] - b'0') * 10 + pair.get(1).map_or(0, |digit| digit - b'0') + 1);
        }
        out.push(0);
        if class == CLASS_NEGATIVE {
            out[start..].iter_mut().for_each(|byte| *byte = !*byte);
        }
    }

    /// Reads what [`Numeric::write_key`] wrote, with the least scale that holds the value; returns the rest of the input.
    pub fn read_key(input: &[u8]) -> Option<(Numeric, &[u8])> {
        let (&class, rest) = input.split_first()?;
        let mask = match class {
            CLASS_NEGATIVE_INFINITY => return Some((Numeric::NEGATIVE_INFINITY, rest)),
            CLASS_ZERO => return Some((Numeric::ZERO, rest)),
            CLASS_INFINITY => return Some((Numeric::INFINITY, rest)),
            CLASS_NAN => return Some((Numeric::NAN, rest)),
            CLASS_NEGATIVE => 0xFF,
            CLASS_POSITIVE => 0,
            _ => return None,
        };
        let (&first, mut rest) = rest.split_first()?;
        let exponent = match first ^ mask {
            LONG_NEGATIVE_EXPONENT | LONG_POSITIVE_EXPONENT => {
                let long = rest.get(..3)?;
                rest = &rest[3..];
                i32::from_be_bytes([0, long[0] ^ mask, long[1] ^ mask, long[2] ^ mask]) - 0x80_0000
            }
            short => i32::from(short) - 128,
        };
        let end = rest.iter().position(|byte| byte ^ mask == 0)?;
        let mut digits = String::with_capacity(end * 2);
        for byte in &rest[..end] {
            let pair = (byte ^ mask).checked_sub(1).filter(|pair| *pair < 100)?;
            digits.push(char::from(b'0' + pair / 10));
            digits.push(char::from(b'0' + pair % 10));
        }
        let digits = digits.trim_end_matches('0');
        let scale = digits.len() as i64 - i64::from(exponent);
        let mut mantissa = BigInt::parse_bytes(digits.as_bytes(), 10)?;
        if !(-i64::from(u16::MAX) * 3..=i64::from(super::SCALE_MAX)).contains(&scale) {
            return None;
        }
        if scale < 0 {
            mantissa *= integer::power_of_ten(scale.unsigned_abs());
        }
        if mask != 0 {
            mantissa = -mantissa;
        }
        Some((
            Numeric::big(mantissa, scale.max(0) as u32).within_limits().ok()?,
            &rest[end + 1..],
        ))
    }
}

impl Ord for Numeric {
    fn cmp(&self, other: &Self) -> Ordering {
        if let (Repr::Small(a, a_scale), Repr::Small(b, b_scale)) = (&self.0, &other.0)
            && a_scale == b_scale
        {
            return { a.0 }.cmp(&{ b.0 });
        }
        let class = self.class();
        let by_class = class.cmp(&other.class());
        if by_class != Ordering::Equal || (class != CLASS_NEGATIVE && class != CLASS_POSITIVE) {
            return by_class;
        }
        // Values of different length are told apart without bringing them to one scale.
        let by_exponent = self.exponent().cmp(&other.exponent());
        if by_exponent != Ordering::Equal {
            return if class == CLASS_NEGATIVE {
                by_exponent.reverse()
            } else {
                by_exponent
            };
        }
        match align(self, other) {
            Some(Aligned::Small(a, b, _)) => a.cmp(&b),
            Some(Aligned::Big(a, b, _)) => a.cmp(&b),
            None => Ordering::Equal,
        }
    }
}

impl PartialOrd for Numeric {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Numeric {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Numeric {}

impl Hash for Numeric {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match &self.trim_scale().0 {
            Repr::Small(mantissa, scale) => ({ mantissa.0 }, *scale).hash(state),
            Repr::Big(mantissa, scale) => (mantissa, *scale).hash(state),
            Repr::NegativeInfinity | Repr::PositiveInfinity | Repr::NaN => self.class().hash(state),
        }
    }
}
