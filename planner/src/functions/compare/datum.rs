//! Order of datums whose type is known only at run time: array elements and record fields.

use std::cmp::Ordering;

use storage::{Array, Datum, Interval};

use super::{Ordered, TimeTz};
use crate::types::calendar::MICROS_PER_DAY;
use crate::types::record::natural_type;
use crate::types::{format_type, oid};
use crate::{SqlError, SqlResult, SqlState};

/// Length of an interval in microseconds, counting 30 days a month.
pub fn interval_micros(value: &Interval) -> i128 {
    let days = i128::from(value.months) * 30 + i128::from(value.days);
    days * i128::from(MICROS_PER_DAY) + i128::from(value.micros)
}

/// Compares two values of one type in its btree order. NULL equals NULL and is greater than everything else.
///
/// # Errors
/// 42883 for types without an order (json), XX000 for values of different types.
pub fn datums(a: &Datum, b: &Datum) -> SqlResult<Ordering> {
    Ok(match (a, b) {
        (Datum::Null, Datum::Null) => Ordering::Equal,
        (Datum::Null, _) => Ordering::Greater,
        (_, Datum::Null) => Ordering::Less,
        (Datum::Bool(a), Datum::Bool(b)) => a.cmp(b),
        (Datum::Int2(a), Datum::Int2(b)) => a.cmp(b),
        (Datum::Int4(a), Datum::Int4(b)) => a.cmp(b),
        (Datum::Int8(a), Datum::Int8(b)) => a.cmp(b),
        (Datum::Float4(a), Datum::Float4(b)) => a.compare(b),
        (Datum::Float8(a), Datum::Float8(b)) => a.compare(b),
        (Datum::Numeric(a), Datum::Numeric(b)) => a.cmp(b),
        (Datum::Text(a), Datum::Text(b)) => a.cmp(b),
        (Datum::Bytea(a), Datum::Bytea(b)) => a.cmp(b),
        (Datum::Date(a), Datum::Date(b)) => a.cmp(b),
        (Datum::Time(a), Datum::Time(b))
        | (Datum::Timestamp(a), Datum::Timestamp(b))
        | (Datum::TimestampTz(a), Datum::TimestampTz(b)) => a.cmp(b),
        (Datum::TimeTz(a, a_zone), Datum::TimeTz(b, b_zone)) => TimeTz(*a, *a_zone).compare(&TimeTz(*b, *b_zone)),
        (Datum::Interval(a), Datum::Interval(b)) => a.compare(b),
        (Datum::Uuid(a), Datum::Uuid(b)) => a.cmp(b),
        (Datum::Jsonb(a), Datum::Jsonb(b)) => a.cmp(b),
        (Datum::Oid(a), Datum::Oid(b)) => a.cmp(b),
        (Datum::Array(a), Datum::Array(b)) => arrays(a, b)?,
        (Datum::Record(a), Datum::Record(b)) => rows(a, b, "<")?,
        (Datum::Json(_), Datum::Json(_)) => {
            return Err(SqlError::new(
                SqlState::UNDEFINED_FUNCTION,
                "could not identify a comparison function for type json",
            ));
        }
        _ => {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "cannot compare dissimilar column types {} and {}",
                    format_type(natural_type(a)),
                    format_type(natural_type(b))
                ),
            ));
        }
    })
}

/// Compares arrays: element by element, then by number of elements, dimensions and bounds.
///
/// # Errors
/// As [`datums`].
pub fn arrays(a: &Array, b: &Array) -> SqlResult<Ordering> {
    if a.element_type == oid::BPCHAR && b.element_type == oid::BPCHAR {
        for (x, y) in a.elements.iter().zip(&b.elements) {
            let order = match (x, y) {
                (Datum::Text(x), Datum::Text(y)) => x.trim_end_matches(' ').cmp(y.trim_end_matches(' ')),
                _ => datums(x, y)?,
            };
            if order.is_ne() {
                return Ok(order);
            }
        }
    } else {
        for (x, y) in a.elements.iter().zip(&b.elements) {
            let order = datums(x, y)?;
            if order.is_ne() {
                return Ok(order);
            }
        }
    }
    let bounds = |array: &Array| -> (Vec<i32>, Vec<i32>) { array.dimensions.iter().copied().unzip() };
    Ok(a.elements
        .len()
        .cmp(&b.elements.len())
        .then(a.dimensions.len().cmp(&b.dimensions.len()))
        .then_with(|| bounds(a).cmp(&bounds(b))))
}

/// Compares rows field by field.
pub fn rows(a: &[Datum], b: &[Datum], operator: &str) -> SqlResult<Ordering> {
    for (index, (x, y)) in a.iter().zip(b).enumerate() {
        let order = datums(x, y).map_err(|error| {
            if error.code() == SqlState::DATATYPE_MISMATCH {
                let place = format!(" at record column {}", index + 1);
                return SqlError::new(error.code(), error.fields().message.clone() + &place);
            }
            if error.code() == SqlState::UNDEFINED_FUNCTION && matches!(operator, "=" | "<>") {
                return SqlError::new(error.code(), "could not identify an equality operator for type json");
            }
            error
        })?;
        if order.is_ne() {
            return Ok(order);
        }
    }
    Ok(a.len().cmp(&b.len()))
}
