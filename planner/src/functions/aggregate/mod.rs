//! Aggregates: one accumulator per group, with PostgreSQL's result types and exactness.
//!
//! Sums of integers are exact in 128 bits, those of numeric exact without bound; spreads of floats use the updating
//! formula of Youngs and Cramer, as PostgreSQL does, because the textbook one cancels.

mod collect;
mod fold;
mod ordered;
mod pairs;
mod spread;
mod sum;
mod table;

use storage::{Datum, Numeric};

use crate::types::error::mismatch;
use crate::{SqlError, SqlResult, SqlState};

pub(super) use table::FUNCTIONS;

/// One argument of a row.
fn at(args: &[Datum], index: usize) -> SqlResult<&Datum> {
    args.get(index)
        .ok_or_else(|| SqlError::new(SqlState::INTERNAL_ERROR, "aggregate called with too few arguments"))
}

/// A number as a double.
fn float(datum: &Datum) -> SqlResult<f64> {
    datum.as_f64().ok_or_else(|| mismatch("double precision", datum))
}

/// An integer or numeric as a numeric.
fn exact(datum: &Datum) -> SqlResult<Numeric> {
    match datum {
        Datum::Numeric(value) => Ok(value.clone()),
        other => other
            .as_i64()
            .map(Numeric::from)
            .ok_or_else(|| mismatch("numeric", other)),
    }
}
