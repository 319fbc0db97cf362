//! Append, prepend, concatenate, remove, replace, fill, trim.

use std::sync::Arc;

use storage::{Array, Datum};

use super::{checked, null_error, subscript_error};
use crate::functions::{CallContext, compare};
use crate::types;
use crate::{SqlError, SqlResult, SqlState};

/// Element type of the result at the call site.
fn element_type(context: &CallContext<'_>, fallback: Option<&Array>) -> u32 {
    types::element_of(context.types.result.oid)
        .or(fallback.map(|array| array.element_type))
        .unwrap_or(types::oid::TEXT)
}

fn one_dimensional() -> SqlError {
    SqlError::new(
        SqlState::DATA_EXCEPTION,
        "argument must be empty or one-dimensional array",
    )
}

/// Adds an element at one end.
fn extend(context: &mut CallContext<'_>, array: Option<&Array>, element: &Datum, at_end: bool) -> SqlResult<Array> {
    let element_type = element_type(context, array);
    let Some(array) = array.filter(|array| !array.dimensions.is_empty()) else {
        return Ok(Array {
            element_type,
            dimensions: vec![(1, 1)],
            elements: vec![element.clone()],
        });
    };
    let &[(length, lower)] = array.dimensions.as_slice() else {
        return Err(one_dimensional());
    };
    if at_end && lower.checked_add(length).is_none() || !at_end && lower.checked_sub(1).is_none() {
        return Err(types::error::out_of_range("integer out of range"));
    }
    let mut elements = Vec::with_capacity(array.elements.len() + 1);
    if !at_end {
        elements.push(element.clone());
    }
    elements.extend(array.elements.iter().cloned());
    if at_end {
        elements.push(element.clone());
    }
    checked(Array {
        element_type: array.element_type,
        dimensions: vec![(length + 1, lower)],
        elements,
    })
}

pub fn append(context: &mut CallContext<'_>, array: Option<&Array>, element: &Datum) -> SqlResult<Array> {
    extend(context, array, element, true)
}

pub fn prepend(context: &mut CallContext<'_>, element: &Datum, array: Option<&Array>) -> SqlResult<Array> {
    extend(context, array, element, false)
}

/// `array || array`: along the first dimension, or one array as an element of the other.
pub fn concatenate(a: Option<&Arc<Array>>, b: Option<&Arc<Array>>) -> SqlResult<Datum> {
    let (a, b) = match (a, b) {
        (None, None) => return Ok(Datum::Null),
        (Some(only), None) | (None, Some(only)) => return Ok(Datum::Array(only.clone())),
        (Some(a), Some(b)) => (a, b),
    };
    if a.dimensions.is_empty() {
        return Ok(Datum::Array(b.clone()));
    }
    if b.dimensions.is_empty() {
        return Ok(Datum::Array(a.clone()));
    }
    let refuse = |detail: String| Err(subscript_error("cannot concatenate incompatible arrays").detail(detail));
    let lengths = |dimensions: &[(i32, i32)]| -> Vec<i32> { dimensions.iter().map(|(length, _)| *length).collect() };
    let (more, fewer) = (
        a.dimensions.len().max(b.dimensions.len()),
        a.dimensions.len().min(b.dimensions.len()),
    );
    if more - fewer > 1 {
        return refuse(format!(
            "Arrays of {} and {} dimensions are not compatible for concatenation.",
            a.dimensions.len(),
            b.dimensions.len()
        ));
    }
    let mut dimensions;
    let is_compatible;
    if more == fewer {
        is_compatible = lengths(&a.dimensions[1..]) == lengths(&b.dimensions[1..]);
        dimensions = a.dimensions.clone();
        dimensions[0].0 += b.dimensions[0].0;
    } else {
        let (outer, inner) = if a.dimensions.len() == more { (a, b) } else { (b, a) };
        is_compatible = lengths(&outer.dimensions[1..]) == lengths(&inner.dimensions);
        dimensions = outer.dimensions.clone();
        dimensions[0].0 += 1;
    }
    if !is_compatible {
        let what = if more == fewer {
            "element dimensions"
        } else {
            "dimensions"
        };
        return refuse(format!(
            "Arrays with differing {what} are not compatible for concatenation."
        ));
    }
    let elements = a.elements.iter().chain(&b.elements).cloned().collect();
    let array = checked(Array {
        element_type: a.element_type,
        dimensions,
        elements,
    })?;
    Ok(Datum::Array(Arc::new(array)))
}

/// Whether two elements are not distinct.
pub fn same(a: &Datum, b: &Datum) -> SqlResult<bool> {
    Ok(compare::datums(a, b)?.is_eq())
}

pub fn remove(array: Option<&Array>, element: &Datum) -> SqlResult<Option<Array>> {
    let Some(array) = array else {
        return Ok(None);
    };
    if array.dimensions.len() > 1 {
        return Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "removing elements from multidimensional arrays is not supported",
        ));
    }
    let mut elements = Vec::with_capacity(array.elements.len());
    for candidate in &array.elements {
        if !same(candidate, element)? {
            elements.push(candidate.clone());
        }
    }
    let lower = array.dimensions.first().map_or(1, |&(_, lower)| lower);
    let dimensions = if elements.is_empty() {
        Vec::new()
    } else {
        vec![(elements.len() as i32, lower)]
    };
    Ok(Some(Array {
        element_type: array.element_type,
        dimensions,
        elements,
    }))
}

pub fn replace(array: Option<&Array>, from: &Datum, to: &Datum) -> SqlResult<Option<Array>> {
    let Some(array) = array else {
        return Ok(None);
    };
    let mut result = array.clone();
    for element in &mut result.elements {
        if same(element, from)? {
            *element = to.clone();
        }
    }
    Ok(Some(result))
}

fn bounds_of(array: &Array) -> SqlResult<Vec<i32>> {
    if array.dimensions.len() > 1 {
        return Err(
            subscript_error("wrong number of array subscripts").detail("Dimension array must be one dimensional.")
        );
    }
    array
        .elements
        .iter()
        .map(|element| match element {
            Datum::Int4(value) => Ok(*value),
            _ => Err(null_error("dimension values cannot be null")),
        })
        .collect()
}

pub fn fill(
    context: &mut CallContext<'_>,
    value: &Datum,
    lengths: Option<&Array>,
    lowers: Option<Option<&Array>>,
) -> SqlResult<Array> {
    let missing = || null_error("dimension array or low bound array cannot be null");
    let lengths = bounds_of(lengths.ok_or_else(missing)?)?;
    let lowers = match lowers {
        None => vec![1; lengths.len()],
        Some(lowers) => bounds_of(lowers.ok_or_else(missing)?)?,
    };
    if lowers.len() != lengths.len() {
        return Err(subscript_error("wrong number of array subscripts")
            .detail("Low bound array has different size than dimensions array."));
    }
    if lengths.len() > types::array::DIMENSIONS_MAX {
        return Err(types::array::too_many_dimensions(lengths.len()));
    }
    let element_type = element_type(context, None);
    let mut count: i64 = i64::from(!lengths.is_empty());
    for &length in &lengths {
        if length < 0 {
            return Err(types::array::too_large());
        }
        count = count.saturating_mul(i64::from(length));
    }
    if count > types::array::ELEMENTS_MAX {
        return Err(types::array::too_large());
    }
    if count == 0 {
        return Ok(Array {
            element_type,
            dimensions: Vec::new(),
            elements: Vec::new(),
        });
    }
    let dimensions = lengths.into_iter().zip(lowers).collect();
    checked(Array {
        element_type,
        dimensions,
        elements: vec![value.clone(); count as usize],
    })
}

/// `trim_array`: drops the last elements of the first dimension.
pub fn trim(array: &Array, count: i32) -> SqlResult<Array> {
    let length = array.dimensions.first().map_or(0, |&(length, _)| length);
    if !(0..=length).contains(&count) {
        return Err(subscript_error(format!(
            "number of elements to trim must be between 0 and {length}"
        )));
    }
    let kept = length - count;
    if kept == 0 {
        return Ok(Array {
            element_type: array.element_type,
            dimensions: Vec::new(),
            elements: Vec::new(),
        });
    }
    let width = array.elements.len() / length as usize;
    // A slice counts from 1 again.
    let mut dimensions: Vec<(i32, i32)> = array.dimensions.iter().map(|&(length, _)| (length, 1)).collect();
    dimensions[0].0 = kept;
    let elements = array.elements[..kept as usize * width].to_vec();
    Ok(Array {
        element_type: array.element_type,
        dimensions,
        elements,
    })
}
