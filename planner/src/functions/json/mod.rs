//! JSON: the functions, operators and aggregates of json and jsonb, and SQL/JSON path.
//!
//! ```text
//!   access     -> ->> #> #>> @> ? and their functions      text      json's text, read without building a tree
//!   change     jsonb_set, -, ||, #-, subscript assignment   encode    any SQL value as JSON, text or binary
//!   construct  to_json, build_object, json_object           populate  JSON back to records
//!   expand     each, array_elements, object_keys            path      the jsonpath type, its parser and evaluator
//!   aggregate  json_agg, jsonb_object_agg, …
//! ```
//! json keeps its text, so its functions work on slices of it: order, duplicates and spacing survive. jsonb functions work on
//! the binary form of `storage::jsonb` and never build a tree of the document.

pub(super) mod access;
pub(super) mod aggregate;
pub(super) mod change;
pub(super) mod construct;
pub(super) mod convert;
mod encode;
pub(super) mod expand;
pub mod path;
pub(super) mod populate;
mod text;

use std::sync::Arc;

use storage::{Array, Datum, Jsonb};

use crate::types::error::mismatch;
use crate::{SqlError, SqlResult, SqlState};

pub use change::assign;

/// 22023 with a message.
fn invalid(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// A document that was built, or why it could not be.
fn built(result: Result<Jsonb, storage::JsonError>) -> SqlResult<Jsonb> {
    Ok(result?)
}

/// The elements of a `text[]`; `None` is NULL.
fn texts(array: &Array) -> SqlResult<Vec<Option<Arc<str>>>> {
    let text = |element: &Datum| match element {
        Datum::Null => Ok(None),
        Datum::Text(text) => Ok(Some(text.clone())),
        other => Err(mismatch("text", other)),
    };
    array.elements.iter().map(text).collect()
}

/// The elements of a `text[]` that is a path: one dimension at most.
fn path_elements(array: &Array) -> SqlResult<Vec<Option<Arc<str>>>> {
    if array.dimensions.len() > 1 {
        return Err(SqlError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "wrong number of array subscripts",
        ));
    }
    texts(array)
}

#[cfg(test)]
mod tests;
