//! Arithmetic on integers, checked.

use storage::Datum;

use crate::eval::program::Arithmetic;
use crate::{SqlError, SqlResult, SqlState};

pub(super) fn int4(operation: Arithmetic, left: &Datum, right: &Datum) -> SqlResult<Datum> {
    let (Datum::Int4(left), Datum::Int4(right)) = (left, right) else {
        return Ok(Datum::Null);
    };
    let value = match operation {
        Arithmetic::Add => left.checked_add(*right),
        Arithmetic::Subtract => left.checked_sub(*right),
        Arithmetic::Multiply => left.checked_mul(*right),
    };
    value
        .map(Datum::Int4)
        .ok_or_else(|| SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "integer out of range"))
}

pub(super) fn int8(operation: Arithmetic, left: &Datum, right: &Datum) -> SqlResult<Datum> {
    let (Datum::Int8(left), Datum::Int8(right)) = (left, right) else {
        return Ok(Datum::Null);
    };
    let value = match operation {
        Arithmetic::Add => left.checked_add(*right),
        Arithmetic::Subtract => left.checked_sub(*right),
        Arithmetic::Multiply => left.checked_mul(*right),
    };
    value
        .map(Datum::Int8)
        .ok_or_else(|| SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, "bigint out of range"))
}
