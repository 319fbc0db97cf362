//! Array construction and subscripts.

use std::sync::Arc;

use storage::{Array, Datum};

use crate::{SqlError, SqlResult, SqlState};

/// Most dimensions an array has, as in PostgreSQL.
pub const DIMENSIONS_MAX: usize = 6;

/// A bound of a slice: `None` where it is left out.
pub(crate) type SliceBound = Option<i32>;

/// `ARRAY[…]` of elements that are not arrays.
pub fn from_elements(element_type: u32, elements: Vec<Datum>) -> Datum {
    Datum::array(element_type, elements)
}

/// `ARRAY[…]` whose elements are arrays: one more dimension.
///
/// # Errors
/// 2202E if their dimensions differ, 54000 beyond six dimensions.
pub fn from_arrays(element_type: u32, parts: Vec<Datum>) -> SqlResult<Datum> {
    let mut inner: Option<Vec<(i32, i32)>> = None;
    let mut elements = Vec::new();
    let mut empty = 0;
    let count = parts.len();
    for part in &parts {
        // As in PostgreSQL, NULL counts as an empty array here.
        let array = match part {
            Datum::Array(array) if !array.dimensions.is_empty() => array,
            _ => {
                empty += 1;
                continue;
            }
        };
        match &inner {
            None => inner = Some(array.dimensions.clone()),
            Some(known) if *known == array.dimensions => {}
            Some(_) => return Err(mismatch()),
        }
        elements.extend(array.elements.iter().cloned());
    }
    let Some(inner) = inner else {
        return Ok(from_elements(element_type, Vec::new()));
    };
    if empty > 0 {
        return Err(mismatch());
    }
    if inner.len() >= DIMENSIONS_MAX {
        return Err(SqlError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            format!(
                "number of array dimensions ({}) exceeds the maximum allowed ({DIMENSIONS_MAX})",
                inner.len() + 1
            ),
        ));
    }
    let mut dimensions = vec![(count as i32, 1)];
    dimensions.extend(inner);
    Ok(Datum::Array(Arc::new(Array {
        element_type,
        dimensions,
        elements,
    })))
}

fn mismatch() -> SqlError {
    SqlError::new(
        SqlState::ARRAY_SUBSCRIPT_ERROR,
        "multidimensional arrays must have array expressions with matching dimensions",
    )
}

/// `array[i][j]…`: NULL outside of the bounds, or with the wrong number of subscripts.
pub fn element(array: &Array, subscripts: &[i32]) -> Datum {
    if subscripts.len() != array.dimensions.len() {
        return Datum::Null;
    }
    let mut position = 0usize;
    for (subscript, (length, lower)) in subscripts.iter().zip(&array.dimensions) {
        let offset = i64::from(*subscript) - i64::from(*lower);
        if offset < 0 || offset >= i64::from(*length) {
            return Datum::Null;
        }
        position = position * *length as usize + offset as usize;
    }
    array.elements.get(position).cloned().unwrap_or(Datum::Null)
}

/// `array[l:u]…`: the part inside of the bounds, with lower bounds of one; empty if nothing is inside.
pub fn slice(array: &Array, bounds: &[(SliceBound, SliceBound)]) -> Datum {
    let empty = || {
        Datum::Array(Arc::new(Array {
            element_type: array.element_type,
            dimensions: vec![],
            elements: vec![],
        }))
    };
    if bounds.len() > array.dimensions.len() || array.dimensions.is_empty() {
        return empty();
    }
    let mut ranges = Vec::with_capacity(array.dimensions.len());
    for (index, (length, lower)) in array.dimensions.iter().enumerate() {
        let (length, lower) = (i64::from(*length), i64::from(*lower));
        let (from, to) = bounds.get(index).copied().unwrap_or((None, None));
        let from = from.map_or(lower, i64::from).max(lower);
        let to = to.map_or(lower + length - 1, i64::from).min(lower + length - 1);
        if from > to {
            return empty();
        }
        ranges.push(((from - lower) as usize, (to - from + 1) as usize));
    }
    let mut elements = Vec::with_capacity(ranges.iter().map(|(_, count)| count).product());
    copy_slice(array, &ranges, 0, 0, &mut elements);
    let dimensions = ranges.iter().map(|(_, count)| (*count as i32, 1)).collect();
    Datum::Array(Arc::new(Array {
        element_type: array.element_type,
        dimensions,
        elements,
    }))
}

fn copy_slice(array: &Array, ranges: &[(usize, usize)], depth: usize, base: usize, out: &mut Vec<Datum>) {
    let (from, count) = ranges[depth];
    let length = array.dimensions[depth].0 as usize;
    let start = base * length + from;
    if depth + 1 == ranges.len() {
        out.extend(array.elements[start..start + count].iter().cloned());
    } else {
        for position in start..start + count {
            copy_slice(array, ranges, depth + 1, position, out);
        }
    }
}
