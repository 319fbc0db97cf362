//! Dates, times and intervals: arithmetic, parts, truncation, zones, conversions.

mod arithmetic;
mod convert;
pub mod interval;
mod make;
mod now;
mod part;
mod table;
mod truncate;
mod zone;

use crate::{SqlError, SqlState};

pub use arithmetic::{add_interval, add_interval_in_zone};
pub use convert::date_to_timestamp;
pub(super) use table::FUNCTIONS;

/// 22008 with a message, such as `timestamp out of range`.
pub fn out_of_range(what: &str) -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, format!("{what} out of range"))
}
