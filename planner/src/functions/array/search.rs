//! Searching: position, containment, overlap, width_bucket.

use storage::{Array, Datum};

use super::combine::same;
use super::{null_error, subscript_error};
use crate::functions::call::argument;
use crate::functions::{CallContext, compare};
use crate::{SqlError, SqlResult, SqlState};

fn one_dimensional(array: &Array) -> SqlResult<()> {
    if array.dimensions.len() > 1 {
        return Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "searching for elements in multidimensional arrays is not supported",
        ));
    }
    Ok(())
}

fn lower(array: &Array) -> i32 {
    array.dimensions.first().map_or(1, |&(_, lower)| lower)
}

/// `array_position(array, element [, start])`
pub fn position(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let Some(array) = argument::<Option<&Array>>(args, 0)? else {
        return Ok(Datum::Null);
    };
    one_dimensional(array)?;
    let element: &Datum = argument(args, 1)?;
    let start = match args.get(2) {
        None => lower(array),
        Some(_) => argument::<Option<i32>>(args, 2)?.ok_or_else(|| null_error("initial position must not be null"))?,
    };
    let skipped = (i64::from(start) - i64::from(lower(array))).max(0) as usize;
    for (index, candidate) in array.elements.iter().enumerate().skip(skipped) {
        if same(candidate, element)? {
            return Ok(Datum::Int4(lower(array) + index as i32));
        }
    }
    Ok(Datum::Null)
}

/// `array_positions`
pub fn positions(array: Option<&Array>, element: &Datum) -> SqlResult<Datum> {
    let Some(array) = array else {
        return Ok(Datum::Null);
    };
    one_dimensional(array)?;
    let mut found = Vec::new();
    for (index, candidate) in array.elements.iter().enumerate() {
        if same(candidate, element)? {
            found.push(Datum::Int4(lower(array) + index as i32));
        }
    }
    Ok(crate::types::array::from_elements(crate::types::oid::INT4, found))
}

fn has(array: &Array, element: &Datum) -> SqlResult<bool> {
    for candidate in array.elements.iter().filter(|candidate| !candidate.is_null()) {
        if same(candidate, element)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn same_element_type(a: &Array, b: &Array) -> SqlResult<()> {
    if a.element_type == b.element_type {
        return Ok(());
    }
    Err(SqlError::new(
        SqlState::DATATYPE_MISMATCH,
        "cannot compare arrays of different element types",
    ))
}

/// `a @> b`: every element of b is in a; NULL is in nothing.
pub fn contains(a: &Array, b: &Array) -> SqlResult<bool> {
    same_element_type(a, b)?;
    for element in &b.elements {
        if element.is_null() || !has(a, element)? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// `a && b`
pub fn overlaps(a: &Array, b: &Array) -> SqlResult<bool> {
    same_element_type(a, b)?;
    for element in b.elements.iter().filter(|element| !element.is_null()) {
        if has(a, element)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// `width_bucket(operand, thresholds)`: how many of the sorted thresholds are not above the operand.
pub fn width_bucket(operand: &Datum, thresholds: &Array) -> SqlResult<i32> {
    if thresholds.dimensions.len() > 1 {
        return Err(subscript_error("thresholds must be one-dimensional array"));
    }
    if thresholds.elements.iter().any(Datum::is_null) {
        return Err(null_error("thresholds array must not contain NULLs"));
    }
    let (mut low, mut high) = (0, thresholds.elements.len());
    while low < high {
        let middle = (low + high) / 2;
        if compare::datums(operand, &thresholds.elements[middle])?.is_lt() {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low as i32)
}
