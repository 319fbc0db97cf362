//! to_char, to_date, to_timestamp, to_number: values by templates such as `YYYY-MM-DD` and `FM999,990.00`.
//!
//! ```text
//!   template ─ time_pattern ─► nodes ─┬─ time_out ─► text       template ─ number_pattern ─► nodes and their sum
//!                                     └─ time_in ──► fields                     ├─ number_out ─► text
//!                                                                               └─ number_in ──► numeric
//! ```
//! The templates are Oracle's as PostgreSQL reads them; these files follow its decisions step by step, because what happens
//! to a blank or a sign is the whole of the behaviour.

mod number_in;
mod number_out;
mod number_pattern;
mod roman;
mod table;
mod time_in;
mod time_out;
mod time_pattern;

use crate::{SqlError, SqlState};

pub(super) use table::FUNCTIONS;

/// 22007 with a message.
fn invalid_time(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::INVALID_DATETIME_FORMAT, message)
}

/// 42601 with a message.
fn syntax(message: &str) -> SqlError {
    SqlError::new(SqlState::SYNTAX_ERROR, message)
}

/// The ending of an ordinal number: `st`, `nd`, `rd`, `th`.
fn ordinal(number: &str, upper: bool) -> &'static str {
    let bytes = number.as_bytes();
    let last = bytes.last().copied().unwrap_or(b'0');
    let is_teen = bytes.len() > 1 && bytes[bytes.len() - 2] == b'1';
    match (last, is_teen, upper) {
        (b'1', false, true) => "ST",
        (b'1', false, false) => "st",
        (b'2', false, true) => "ND",
        (b'2', false, false) => "nd",
        (b'3', false, true) => "RD",
        (b'3', false, false) => "rd",
        (_, _, true) => "TH",
        (_, _, false) => "th",
    }
}
