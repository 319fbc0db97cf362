//! Aggregates whose state is their result so far: count, min, max, and, or, xor.

use storage::Datum;

use super::at;
use crate::SqlResult;
use crate::functions::CallTypes;
use crate::functions::{Accumulator, compare};
use crate::types::error::mismatch;
use crate::types::oid;

/// count
pub struct Count(pub i64);

impl Accumulator for Count {
    fn add(&mut self, _args: &[Datum]) -> SqlResult<()> {
        self.0 += 1;
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(Datum::Int8(self.0))
    }
}

/// min and max of any type with an order.
pub struct Extreme {
    best: Option<Datum>,
    is_max: bool,
    is_padded: bool,
}

impl Extreme {
    pub fn new(types: &CallTypes<'_>, is_max: bool) -> Self {
        Self {
            best: None,
            is_max,
            is_padded: types.args.first().is_some_and(|ty| ty.oid == oid::BPCHAR),
        }
    }
}

impl Accumulator for Extreme {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        let value = at(args, 0)?;
        let is_better = match (&self.best, value) {
            (None, _) => true,
            (Some(Datum::Text(best)), Datum::Text(value)) if self.is_padded => {
                let order = value.trim_end_matches(' ').cmp(best.trim_end_matches(' '));
                if self.is_max { order.is_gt() } else { order.is_lt() }
            }
            (Some(best), value) => {
                let order = compare::datums(value, best)?;
                if self.is_max { order.is_gt() } else { order.is_lt() }
            }
        };
        if is_better {
            self.best = Some(value.clone());
        }
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(self.best.clone().unwrap_or(Datum::Null))
    }
}

/// Combines values two by two.
pub struct Fold {
    state: Option<Datum>,
    combine: fn(&Datum, &Datum) -> SqlResult<Datum>,
}

impl Fold {
    pub fn new(combine: fn(&Datum, &Datum) -> SqlResult<Datum>) -> Self {
        Self { state: None, combine }
    }
}

impl Accumulator for Fold {
    fn add(&mut self, args: &[Datum]) -> SqlResult<()> {
        let value = at(args, 0)?;
        self.state = Some(match &self.state {
            Some(state) => (self.combine)(state, value)?,
            None => value.clone(),
        });
        Ok(())
    }

    fn finish(&self) -> SqlResult<Datum> {
        Ok(self.state.clone().unwrap_or(Datum::Null))
    }
}

/// AND or OR of two booleans.
pub fn logical(a: &Datum, b: &Datum, is_and: bool) -> SqlResult<Datum> {
    match (a, b) {
        (Datum::Bool(a), Datum::Bool(b)) => Ok(Datum::Bool(if is_and { *a && *b } else { *a || *b })),
        (_, other) => Err(mismatch("boolean", other)),
    }
}

/// A bit operation on two integers of one width.
pub fn bits(a: &Datum, b: &Datum, operation: fn(i64, i64) -> i64) -> SqlResult<Datum> {
    match (a, b) {
        (Datum::Int2(a), Datum::Int2(b)) => Ok(Datum::Int2(operation(i64::from(*a), i64::from(*b)) as i16)),
        (Datum::Int4(a), Datum::Int4(b)) => Ok(Datum::Int4(operation(i64::from(*a), i64::from(*b)) as i32)),
        (Datum::Int8(a), Datum::Int8(b)) => Ok(Datum::Int8(operation(*a, *b))),
        (_, other) => Err(mismatch("integer", other)),
    }
}
