//! Bounds and dimensions, and arrays as rows.

use std::sync::Arc;

use storage::{Array, Datum};

use crate::SqlResult;
use crate::functions::call::argument;
use crate::functions::{CallContext, RowIterator};

fn dimension(array: &Array, number: i32) -> Option<(i32, i32)> {
    usize::try_from(number)
        .ok()?
        .checked_sub(1)
        .and_then(|index| array.dimensions.get(index).copied())
}

pub fn length(array: &Array, number: i32) -> Option<i32> {
    dimension(array, number).map(|(length, _)| length)
}

pub fn lower(array: &Array, number: i32) -> Option<i32> {
    dimension(array, number).map(|(_, lower)| lower)
}

pub fn upper(array: &Array, number: i32) -> Option<i32> {
    dimension(array, number).map(|(length, lower)| lower + length - 1)
}

pub fn dimension_count(array: &Array) -> Option<i32> {
    (!array.dimensions.is_empty()).then_some(array.dimensions.len() as i32)
}

pub fn dimensions(array: &Array) -> Option<String> {
    if array.dimensions.is_empty() {
        return None;
    }
    Some(
        array
            .dimensions
            .iter()
            .map(|&(length, lower)| format!("[{lower}:{}]", lower + length - 1))
            .collect(),
    )
}

/// `unnest`: every element, in row-major order.
pub fn unnest(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<RowIterator> {
    let array: &Arc<Array> = argument(args, 0)?;
    let array = array.clone();
    Ok(Box::new(
        (0..array.elements.len()).map(move |index| Ok(vec![array.elements[index].clone()])),
    ))
}

/// `_pg_expandarray(vector)`: elements and their numbers from 1.
pub fn expand(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<RowIterator> {
    let array: &Arc<Array> = argument(args, 0)?;
    let array = array.clone();
    Ok(Box::new((0..array.elements.len()).map(move |index| {
        Ok(vec![array.elements[index].clone(), Datum::Int4(index as i32 + 1)])
    })))
}

/// `generate_subscripts(array, dimension [, reverse])`
pub fn subscripts(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<RowIterator> {
    let array: &Array = argument(args, 0)?;
    let is_reverse = argument::<Option<bool>>(args, 2)?.unwrap_or(false);
    let Some((length, lower)) = dimension(array, argument(args, 1)?) else {
        return Ok(Box::new(std::iter::empty()));
    };
    Ok(Box::new((0..length).map(move |offset| {
        let offset = if is_reverse { length - 1 - offset } else { offset };
        Ok(vec![Datum::Int4(lower + offset)])
    })))
}
