//! variance and stddev.

use num_bigint::{BigInt, Sign};
use storage::{Datum, Numeric};

use super::{at, exact, float};
use crate::SqlResult;
use crate::functions::Accumulator;
use crate::functions::float::overflow;

/// Which measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spread {
    /// Mean, of floats only.
    Average,
    /// Sample variance.
    Variance,
    /// Population variance.
    PopulationVariance,
    /// Sample standard deviation.
    StandardDeviation,
    /// Population standard deviation.
    PopulationDeviation,
}

impl Spread {
    fn is_sample(self) -> bool {
        matches!(self, Spread::Variance | Spread::StandardDeviation)
    }

    fn is_deviation(self) -> bool {
        matches!(self, Spread::StandardDeviation | Spread::PopulationDeviation)
    }
}

/// Spread of floats: count, sum, and sum of squared differences from the mean.
pub struct FloatSpread {
    count: f64,
    sum: f64,
    squares: f64,
    spread: Spread,
}

impl FloatSpread {
    pub fn new(spread: Spread) -> Self {
        Self {
            count: 0.0,
            sum: 0.0,
            squares: 0.0,
            spread,
        }
    }
}

impl Accumulator for FloatSpread {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        let value = float(at(args, 0)?)?;
        let (count, sum) = (self.count, self.sum);
        self.count += 1.0;
        self.sum += value;
        if count > 0.0 {
            let difference = value * self.count - self.sum;
            self.squares += difference * difference / (self.count * count);
            if self.sum.is_infinite() || self.squares.is_infinite() {
                if !sum.is_infinite() && !value.is_infinite() {
                    return Err(overflow());
                }
                self.squares = f64::NAN;
            }
        } else if !value.is_finite() {
            self.squares = f64::NAN;
        }
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        let least = if self.spread.is_sample() { 2.0 } else { 1.0 };
        if self.count < least {
            return Ok(Datum::Null);
        }
        let divisor = if self.spread.is_sample() {
            self.count - 1.0
        } else {
            self.count
        };
        Ok(Datum::Float8(match self.spread {
            Spread::Average => self.sum / self.count,
            Spread::Variance | Spread::PopulationVariance => self.squares / divisor,
            Spread::StandardDeviation | Spread::PopulationDeviation => (self.squares / divisor).sqrt(),
        }))
    }
}

/// A sum of any size: what is summed up may leave numeric's limits before it is divided.
#[derive(Default)]
struct Sum {
    mantissa: BigInt,
    scale: u32,
}

impl Sum {
    fn add(&mut self, mantissa: BigInt, scale: u32) {
        if scale > self.scale {
            self.mantissa *= BigInt::from(10).pow(scale - self.scale);
            self.scale = scale;
        }
        self.mantissa += mantissa * BigInt::from(10).pow(self.scale - scale);
    }
}

/// Spread of integers and numerics, from exact sums.
pub struct ExactSpread {
    count: i64,
    sum: Sum,
    squares: Sum,
    /// NaN or an infinity was among the values.
    is_undefined: bool,
    spread: Spread,
}

impl ExactSpread {
    pub fn new(spread: Spread) -> Self {
        Self {
            count: 0,
            sum: Sum::default(),
            squares: Sum::default(),
            is_undefined: false,
            spread,
        }
    }
}

impl Accumulator for ExactSpread {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        self.count += 1;
        match exact(at(args, 0)?)?.big_parts() {
            Some((mantissa, scale)) => {
                self.squares.add(&mantissa * &mantissa, scale * 2);
                self.sum.add(mantissa, scale);
            }
            None => self.is_undefined = true,
        }
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        let least = if self.spread.is_sample() { 2 } else { 1 };
        if self.count < least {
            return Ok(Datum::Null);
        }
        if self.is_undefined {
            return Ok(Datum::Numeric(Numeric::NAN));
        }
        let count = BigInt::from(self.count);
        // The squares' scale is twice the sum's: both grow together.
        let difference = &count * &self.squares.mantissa - &self.sum.mantissa * &self.sum.mantissa;
        if difference.sign() != Sign::Plus {
            return Ok(Datum::Numeric(Numeric::ZERO));
        }
        let divisor = if self.spread.is_sample() {
            &count * (&count - 1)
        } else {
            &count * &count
        };
        let variance = Numeric::quotient(difference, self.squares.scale, divisor)?;
        if !self.spread.is_deviation() {
            return Ok(Datum::Numeric(variance));
        }
        Ok(Datum::Numeric(square_root(&variance)?))
    }

    fn size(&self) -> usize {
        96 + (self.sum.mantissa.bits() + self.squares.mantissa.bits()) as usize / 8
    }
}

/// Square root with the scale of its argument; `sqrt` would choose another.
fn square_root(value: &Numeric) -> SqlResult<Numeric> {
    let Some((mantissa, scale)) = value.big_parts() else {
        return Ok(value.clone());
    };
    // sqrt(m / 10^s) in units of 10^-s is sqrt(m × 10^s).
    let scaled = mantissa * BigInt::from(10).pow(scale);
    let mut root = scaled.sqrt();
    // Half up: (root + 1/2)^2 = root^2 + root + 1/4.
    if &scaled - &root * &root > root {
        root += 1;
    }
    Ok(Numeric::from_big_parts(root, scale)?)
}
