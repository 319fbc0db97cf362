//! sum and avg.

use storage::{Datum, Interval, Numeric};

use super::at;
use crate::SqlResult;
use crate::functions::Accumulator;
use crate::functions::datetime::interval;
use crate::functions::float;
use crate::types::error::{mismatch, out_of_range};

/// What a sum is turned into at the end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Final {
    /// bigint, which may overflow.
    Bigint,
    /// numeric
    Numeric,
    /// The mean, numeric.
    Average,
}

/// Exact sum of integers.
pub struct IntegerSum {
    sum: i128,
    count: i64,
    result: Final,
}

impl IntegerSum {
    fn new(result: Final) -> Self {
        Self {
            sum: 0,
            count: 0,
            result,
        }
    }

    /// sum(smallint), sum(integer)
    pub fn bigint() -> Self {
        Self::new(Final::Bigint)
    }

    /// sum(bigint)
    pub fn numeric() -> Self {
        Self::new(Final::Numeric)
    }

    /// avg
    pub fn average() -> Self {
        Self::new(Final::Average)
    }
}

impl Accumulator for IntegerSum {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        let value = at(args, 0)?;
        // 2^63 rows of the largest bigint still fit.
        self.sum += i128::from(value.as_i64().ok_or_else(|| mismatch("bigint", value))?);
        self.count += 1;
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        if self.count == 0 {
            return Ok(Datum::Null);
        }
        Ok(match self.result {
            Final::Bigint => Datum::Int8(i64::try_from(self.sum).map_err(|_| out_of_range("bigint out of range"))?),
            Final::Numeric => Datum::Numeric(Numeric::from(self.sum)),
            Final::Average => Datum::Numeric(Numeric::from(self.sum).div(&Numeric::from(self.count))?),
        })
    }
}

/// Exact sum of numerics.
pub struct NumericSum {
    sum: Numeric,
    count: i64,
    is_average: bool,
}

impl NumericSum {
    /// sum
    pub fn sum() -> Self {
        Self {
            sum: Numeric::ZERO,
            count: 0,
            is_average: false,
        }
    }

    /// avg
    pub fn average() -> Self {
        Self {
            is_average: true,
            ..Self::sum()
        }
    }
}

impl Accumulator for NumericSum {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        match at(args, 0)? {
            Datum::Numeric(value) => self.sum = self.sum.add(value)?,
            other => return Err(mismatch("numeric", other)),
        }
        self.count += 1;
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(match self.count {
            0 => Datum::Null,
            count if self.is_average => Datum::Numeric(self.sum.div(&Numeric::from(count))?),
            _ => Datum::Numeric(self.sum.clone()),
        })
    }

    fn size(&self) -> usize {
        64 + self.sum.heap_size()
    }
}

/// Sum of floats, in their own precision.
#[derive(Default)]
pub struct FloatSum(Option<Datum>);

impl Accumulator for FloatSum {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        self.0 = Some(match (&self.0, at(args, 0)?) {
            (None, value) => value.clone(),
            (Some(Datum::Float4(sum)), Datum::Float4(value)) => Datum::Float4(float::add(*sum, *value)?),
            (Some(Datum::Float8(sum)), Datum::Float8(value)) => Datum::Float8(float::add(*sum, *value)?),
            (_, other) => return Err(mismatch("double precision", other)),
        });
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(self.0.clone().unwrap_or(Datum::Null))
    }
}

/// sum and avg of intervals.
pub struct IntervalSum {
    sum: Interval,
    count: i64,
    is_average: bool,
}

impl IntervalSum {
    /// sum
    pub fn sum() -> Self {
        Self {
            sum: Interval::default(),
            count: 0,
            is_average: false,
        }
    }

    /// avg
    pub fn average() -> Self {
        Self {
            is_average: true,
            ..Self::sum()
        }
    }
}

impl Accumulator for IntervalSum {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        match at(args, 0)? {
            Datum::Interval(value) => self.sum = interval::add(self.sum, *value)?,
            other => return Err(mismatch("interval", other)),
        }
        self.count += 1;
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(match self.count {
            0 => Datum::Null,
            count if self.is_average => Datum::Interval(interval::divide(self.sum, count as f64)?),
            _ => Datum::Interval(self.sum),
        })
    }
}
