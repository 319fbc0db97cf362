//! Errors that input functions and conversions share, with PostgreSQL's texts.

use crate::{SqlError, SqlState};

/// 22P02 `invalid input syntax for type integer: "x"`
pub fn invalid_text(type_name: &str, text: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_TEXT_REPRESENTATION,
        format!("invalid input syntax for type {type_name}: \"{text}\""),
    )
}

/// 22003 `value "99999999999" is out of range for type integer`
pub fn text_out_of_range(type_name: &str, text: &str) -> SqlError {
    SqlError::new(
        SqlState::NUMERIC_VALUE_OUT_OF_RANGE,
        format!("value \"{text}\" is out of range for type {type_name}"),
    )
}

/// 22003 with a message of its own, such as `integer out of range`.
pub fn out_of_range(message: &str) -> SqlError {
    SqlError::new(SqlState::NUMERIC_VALUE_OUT_OF_RANGE, message)
}

/// 22P03 for a binary value that is not one.
pub fn invalid_binary(type_name: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_BINARY_REPRESENTATION,
        format!("incorrect binary data format for type {type_name}"),
    )
}

/// XX000: a value is not held the way its type says. It means a bug on our side, never bad input.
pub fn mismatch(expected: &str, found: &storage::Datum) -> SqlError {
    let found = match found {
        storage::Datum::Null => "null".to_owned(),
        other => format!("{other:?}").chars().take(40).collect(),
    };
    SqlError::new(
        SqlState::INTERNAL_ERROR,
        format!("expected a value of type {expected}, found {found}"),
    )
}
