//! Assignment to elements and slices: `a[2] = v`, `a[2:3] = w`.
//!
//! Binding turns such an assignment into a call over the old value, so these are functions of the catalog, under names
//! that SQL cannot spell.

use storage::{Array, Datum};

use super::{checked, null_error, subscript_error};
use crate::functions::CallContext;
use crate::functions::call::argument;
use crate::types::array::DIMENSIONS_MAX;
use crate::types::{self, array::too_large};
use crate::{SqlResult, SqlState};

/// A bound of a subscript; `None` was left out in the source.
type Bound = Option<i32>;

fn bounds(array: &Array) -> SqlResult<Vec<Bound>> {
    Ok(array
        .elements
        .iter()
        .map(|element| {
            if let Datum::Int4(value) = element {
                Some(*value)
            } else {
                None
            }
        })
        .collect())
}

fn element_type(context: &CallContext<'_>, old: Option<&Array>) -> u32 {
    old.map(|array| array.element_type)
        .or_else(|| types::element_of(context.types.result.oid))
        .unwrap_or(types::oid::TEXT)
}

fn too_many(count: usize) -> crate::SqlError {
    crate::SqlError::new(
        SqlState::PROGRAM_LIMIT_EXCEEDED,
        format!("number of array dimensions ({count}) exceeds the maximum allowed ({DIMENSIONS_MAX})"),
    )
}

/// `(array, subscripts, value) → array`
pub fn set_element(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let old = argument::<Option<&Array>>(args, 0)?;
    let value: &Datum = argument(args, 2)?;
    let subscripts = bounds(argument(args, 1)?)?
        .into_iter()
        .collect::<Option<Vec<i32>>>()
        .ok_or_else(|| null_error("array subscript in assignment must not be null"))?;
    if subscripts.len() > DIMENSIONS_MAX {
        return Err(too_many(subscripts.len()));
    }
    let element_type = element_type(context, old);
    let Some(old) = old.filter(|array| !array.dimensions.is_empty()) else {
        let dimensions = subscripts.iter().map(|&subscript| (1, subscript)).collect();
        let array = checked(Array {
            element_type,
            dimensions,
            elements: vec![value.clone()],
        })?;
        return Ok(Datum::Array(array.into()));
    };
    if old.dimensions.len() != subscripts.len() {
        return Err(subscript_error("wrong number of array subscripts"));
    }
    let mut array = old.clone();
    if let (&[subscript], &[(length, lower)]) = (subscripts.as_slice(), old.dimensions.as_slice()) {
        grow(&mut array, length, lower, subscript, subscript)?;
    }
    let mut position = 0usize;
    for (&subscript, &(length, lower)) in subscripts.iter().zip(&array.dimensions) {
        let offset = i64::from(subscript) - i64::from(lower);
        if !(0..i64::from(length)).contains(&offset) {
            return Err(subscript_error("array subscript out of range"));
        }
        position = position * length as usize + offset as usize;
    }
    array.elements[position] = value.clone();
    Ok(Datum::Array(array.into()))
}

/// Makes room in a one-dimensional array for positions `first..=last`; gaps become NULL.
fn grow(array: &mut Array, length: i32, lower: i32, first: i32, last: i32) -> SqlResult<()> {
    let (lower, end) = (i64::from(lower), i64::from(lower) + i64::from(length));
    let new_lower = lower.min(i64::from(first));
    let new_end = end.max(i64::from(last) + 1);
    let new_length = new_end - new_lower;
    if new_length > types::array::ELEMENTS_MAX || new_end > i64::from(i32::MAX) {
        return Err(too_large());
    }
    if new_lower < lower {
        array
            .elements
            .splice(0..0, std::iter::repeat_n(Datum::Null, (lower - new_lower) as usize));
    }
    array.elements.resize(new_length as usize, Datum::Null);
    array.dimensions[0] = (new_length as i32, new_lower as i32);
    Ok(())
}

/// `(array, lower bounds, upper bounds, source) → array`; a NULL bound was left out.
pub fn set_slice(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let old = argument::<Option<&Array>>(args, 0)?;
    let Some(source) = argument::<Option<&Array>>(args, 3)? else {
        // Assigning NULL to a slice changes nothing.
        return Ok(args[0].clone());
    };
    let (lowers, uppers) = (bounds(argument(args, 1)?)?, bounds(argument(args, 2)?)?);
    if lowers.len() > DIMENSIONS_MAX {
        return Err(too_many(lowers.len()));
    }
    let element_type = element_type(context, old);
    let is_empty = old.is_none_or(|array| array.dimensions.is_empty());
    let mut array = match old {
        Some(array) if !is_empty => array.clone(),
        _ => Array {
            element_type,
            dimensions: Vec::new(),
            elements: Vec::new(),
        },
    };
    if !is_empty && array.dimensions.len() < lowers.len() {
        return Err(subscript_error("wrong number of array subscripts"));
    }
    let mut ranges = Vec::with_capacity(lowers.len());
    for (index, (lower, upper)) in lowers.iter().zip(&uppers).enumerate() {
        let own = array.dimensions.get(index).copied();
        let range =
            match (lower, upper, own) {
                (Some(lower), Some(upper), _) => (*lower, *upper),
                (_, _, None) => {
                    return Err(subscript_error("array slice subscript must provide both boundaries").detail(
                    "When assigning to a slice of an empty array value, slice boundaries must be fully specified.",
                ));
                }
                (lower, upper, Some((length, start))) => (lower.unwrap_or(start), upper.unwrap_or(start + length - 1)),
            };
        if range.0 > range.1 {
            return Err(subscript_error("upper bound cannot be less than lower bound"));
        }
        ranges.push(range);
    }
    if is_empty {
        array.dimensions = ranges
            .iter()
            .map(|&(lower, upper)| {
                i32::try_from(i64::from(upper) - i64::from(lower) + 1)
                    .map(|length| (length, lower))
                    .map_err(|_| too_large())
            })
            .collect::<SqlResult<_>>()?;
        let count: i64 = array.dimensions.iter().map(|&(length, _)| i64::from(length)).product();
        if count > types::array::ELEMENTS_MAX || count > source.elements.len() as i64 {
            return Err(subscript_error("source array too small"));
        }
        array.elements = source.elements[..count as usize].to_vec();
        return Ok(Datum::Array(checked(array)?.into()));
    }
    // Dimensions without a subscript take their whole range.
    for &(length, lower) in &array.dimensions[ranges.len()..] {
        ranges.push((lower, lower + length - 1));
    }
    if let (&[(first, last)], &[(length, lower)]) = (ranges.as_slice(), array.dimensions.as_slice()) {
        grow(&mut array, length, lower, first, last)?;
    } else {
        for (&(first, last), &(length, lower)) in ranges.iter().zip(&array.dimensions) {
            if first < lower || last >= lower + length {
                return Err(subscript_error("array subscript out of range"));
            }
        }
    }
    let count: i64 = ranges
        .iter()
        .map(|&(first, last)| i64::from(last) - i64::from(first) + 1)
        .product();
    if count > source.elements.len() as i64 {
        return Err(subscript_error("source array too small"));
    }
    let mut current: Vec<i32> = ranges.iter().map(|&(first, _)| first).collect();
    for value in &source.elements[..count as usize] {
        let mut position = 0usize;
        for (&subscript, &(length, lower)) in current.iter().zip(&array.dimensions) {
            position = position * length as usize + (subscript - lower) as usize;
        }
        array.elements[position] = value.clone();
        for (subscript, &(first, last)) in current.iter_mut().zip(&ranges).rev() {
            if *subscript < last {
                *subscript += 1;
                break;
            }
            *subscript = first;
        }
    }
    Ok(Datum::Array(array.into()))
}
