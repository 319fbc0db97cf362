//! numeric as a type: its modifier applied to values. The arithmetic is `storage::numeric`.

use storage::Numeric;

use crate::SqlResult;

/// Rounds a value to `numeric(precision, scale)`.
///
/// # Errors
/// 22003 `numeric field overflow`, with PostgreSQL's detail.
pub fn fit(value: Numeric, precision: i32, scale: i32) -> SqlResult<Numeric> {
    Ok(value.with_precision(precision, scale)?)
}
