//! Arrays: putting together, taking apart, searching, bounds.

mod assign;
mod combine;
mod search;
mod shape;
mod table;

use storage::Array;

use crate::types::array::DIMENSIONS_MAX;
use crate::{SqlError, SqlResult, SqlState};

pub use assign::{set_element, set_slice};
pub(super) use table::FUNCTIONS;

/// 2202E with a message.
fn subscript_error(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
}

/// 22004 with a message.
fn null_error(message: &str) -> SqlError {
    SqlError::new(SqlState::NULL_VALUE_NOT_ALLOWED, message)
}

/// Refuses more elements or dimensions than an array may have, and bounds that overflow.
fn checked(array: Array) -> SqlResult<Array> {
    if array.dimensions.len() > DIMENSIONS_MAX {
        return Err(crate::types::array::too_many_dimensions(array.dimensions.len()));
    }
    if array.elements.len() as i64 > crate::types::array::ELEMENTS_MAX {
        return Err(crate::types::array::too_large());
    }
    let fits = |&(length, lower): &(i32, i32)| lower.checked_add(length).is_some();
    if array.dimensions.iter().all(fits) {
        Ok(array)
    } else {
        Err(SqlError::new(
            SqlState::PROGRAM_LIMIT_EXCEEDED,
            "array lower bound is too large",
        ))
    }
}
