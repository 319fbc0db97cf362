//! Ordered-set aggregates: mode, percentiles, and the rank a hypothetical row would have.
//!
//! Rows arrive in the order of WITHIN GROUP. Direct arguments stand before the values in every row.

use std::cmp::Ordering;

use storage::{Array, Datum};

use super::{at, float};
use crate::functions::datetime::interval;
use crate::functions::{Accumulator, CallTypes, compare};
use crate::types::error::{mismatch, out_of_range};
use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState};

/// mode: the most frequent value, the first of those in order.
#[derive(Default)]
pub struct Mode {
    best: Option<(Datum, u64)>,
    current: Option<(Datum, u64)>,
}

impl Accumulator for Mode {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        let value = at(args, 0)?;
        if value.is_null() {
            return Ok(());
        }
        match &mut self.current {
            Some((current, count)) if compare::datums(current, value)?.is_eq() => *count += 1,
            _ => self.current = Some((value.clone(), 1)),
        }
        let is_better = match (&self.best, &self.current) {
            (Some((_, best)), Some((_, count))) => count > best,
            _ => true,
        };
        if is_better {
            self.best = self.current.clone();
        }
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(self.best.as_ref().map_or(Datum::Null, |(value, _)| value.clone()))
    }
}

/// percentile_disc and percentile_cont, of one fraction or an array of them.
pub struct Percentile {
    is_continuous: bool,
    result: u32,
    fractions: Option<Datum>,
    values: Vec<Datum>,
}

impl Percentile {
    /// percentile_disc
    pub fn discrete(types: &CallTypes<'_>) -> Self {
        Self {
            is_continuous: false,
            result: types.result.oid,
            fractions: None,
            values: Vec::new(),
        }
    }

    /// percentile_cont
    pub fn continuous(types: &CallTypes<'_>) -> Self {
        Self {
            is_continuous: true,
            ..Self::discrete(types)
        }
    }

    fn value_at(&self, fraction: f64) -> SqlResult<Datum> {
        if !(0.0..=1.0).contains(&fraction) {
            let mut text = String::new();
            crate::types::number::write_general(fraction, 6, &mut text);
            return Err(out_of_range(&format!("percentile value {text} is not between 0 and 1")));
        }
        let count = self.values.len();
        if !self.is_continuous {
            let row = (fraction * count as f64).ceil() as usize;
            return Ok(self.values[row.max(1) - 1].clone());
        }
        let position = fraction * (count - 1) as f64;
        let (low, high) = (position.floor(), position.ceil());
        let first = &self.values[low as usize];
        if low == high {
            return Ok(first.clone());
        }
        let share = position - low;
        match (first, &self.values[high as usize]) {
            (Datum::Float8(low), Datum::Float8(high)) => Ok(Datum::Float8(low + share * (high - low))),
            (Datum::Interval(low), Datum::Interval(high)) => {
                let difference = interval::subtract(*high, *low)?;
                Ok(Datum::Interval(interval::add(
                    interval::multiply(difference, share)?,
                    *low,
                )?))
            }
            (other, _) => Err(mismatch("double precision", other)),
        }
    }
}

impl Accumulator for Percentile {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        if self.fractions.is_none() {
            self.fractions = Some(at(args, 0)?.clone());
        }
        let value = at(args, 1)?;
        if !value.is_null() {
            self.values.push(value.clone());
        }
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        match &self.fractions {
            _ if self.values.is_empty() => Ok(Datum::Null),
            Some(Datum::Array(fractions)) => {
                let elements = fractions
                    .elements
                    .iter()
                    .map(|fraction| {
                        if fraction.is_null() {
                            Ok(Datum::Null)
                        } else {
                            self.value_at(float(fraction)?)
                        }
                    })
                    .collect::<SqlResult<Vec<Datum>>>()?;
                let element_type = crate::types::element_of(self.result).unwrap_or(oid::FLOAT8);
                let dimensions = fractions.dimensions.clone();
                Ok(Datum::Array(std::sync::Arc::new(Array {
                    element_type,
                    dimensions,
                    elements,
                })))
            }
            Some(Datum::Float8(fraction)) => self.value_at(*fraction),
            _ => Ok(Datum::Null),
        }
    }

    fn size(&self) -> usize {
        64 + self.values.len() * size_of::<Datum>()
    }
}

/// Which position of the hypothetical row.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs, reason = "the functions of their names")]
pub enum Position {
    Rank,
    DenseRank,
    PercentRank,
    CumulativeDistribution,
}

/// rank, dense_rank, percent_rank and cume_dist of a row that is not there.
pub struct Hypothetical {
    position: Position,
    /// Half of the arguments are the hypothetical row, the other half the values.
    width: usize,
    /// (descending, NULLs first) of each key.
    order: Vec<(bool, bool)>,
    count: i64,
    /// Rows before the hypothetical one, and different ones among them.
    before: i64,
    distinct_before: i64,
    /// Rows that are its peers.
    peers: i64,
    last: Option<Vec<Datum>>,
}

impl Hypothetical {
    pub fn new(types: &CallTypes<'_>, position: Position) -> Self {
        let width = types.args.len() / 2;
        let order = vec![(false, false); width];
        Self {
            position,
            width,
            order,
            count: 0,
            before: 0,
            distinct_before: 0,
            peers: 0,
            last: None,
        }
    }

    fn compare(&self, a: &[Datum], b: &[Datum]) -> SqlResult<Ordering> {
        for (index, (x, y)) in a.iter().zip(b).enumerate() {
            let (descending, nulls_first) = self.order.get(index).copied().unwrap_or_default();
            let order = match (x.is_null(), y.is_null()) {
                (true, true) => Ordering::Equal,
                (true, false) if nulls_first => Ordering::Less,
                (true, false) => Ordering::Greater,
                (false, true) if nulls_first => Ordering::Greater,
                (false, true) => Ordering::Less,
                (false, false) if descending => compare::datums(y, x)?,
                (false, false) => compare::datums(x, y)?,
            };
            if order.is_ne() {
                return Ok(order);
            }
        }
        Ok(Ordering::Equal)
    }
}

impl Accumulator for Hypothetical {
    fn set_order(&mut self, order: &[(bool, bool)]) {
        self.order = order.to_vec();
    }

    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        if args.len() != self.width * 2 {
            return Err(SqlError::new(
                SqlState::INTERNAL_ERROR,
                "hypothetical row and values differ in width",
            ));
        }
        let (row, values) = args.split_at(self.width);
        self.count += 1;
        match self.compare(values, row)? {
            Ordering::Less => {
                self.before += 1;
                let is_new = match &self.last {
                    Some(last) => self.compare(last, values)?.is_ne(),
                    None => true,
                };
                if is_new {
                    self.distinct_before += 1;
                    self.last = Some(values.to_vec());
                }
            }
            Ordering::Equal => self.peers += 1,
            Ordering::Greater => {}
        }
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        let count = self.count as f64;
        Ok(match self.position {
            Position::Rank => Datum::Int8(self.before + 1),
            Position::DenseRank => Datum::Int8(self.distinct_before + 1),
            Position::PercentRank if self.count == 0 => Datum::Float8(0.0),
            Position::PercentRank => Datum::Float8(self.before as f64 / count),
            Position::CumulativeDistribution => Datum::Float8((self.before + self.peers + 1) as f64 / (count + 1.0)),
        })
    }
}
