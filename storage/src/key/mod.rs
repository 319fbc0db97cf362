//! Keys: bytes whose order is the order of the values they stand for.
//!
//! ```text
//!   row     table ‖ primary key ‖ !timestamp               newest version of a row first
//!   index   index ‖ value ‖ primary key ‖ sizes ‖ !timestamp
//!   value   column ‖ column ‖ …      column = marker ‖ value bytes (inverted if descending)
//! ```
//! Every value is self-delimiting, so columns simply follow one another, and `memcmp` of two keys is the order of the first
//! column that differs. The marker is the type's tag, so a key is decoded without its table; NULL's marker sorts first or
//! last. `FORMAT.md` defines the bytes.
//!
//! Invariants
//!  K1  For values of one type, byte order is [`crate::Datum::compare`]; equal values have equal bytes (1.0 and 1.00, -0 and
//!      0, one month and 30 days), so decoding gives an equal value, not always the same text.
//!  K2  No column's bytes are a proper prefix of another's.

mod column;
mod layout;

pub use column::{KeyOrder, decode_columns, encode_column, encode_columns, read_bytes, read_column, write_bytes};
pub use layout::{
    IndexKey, RowKey, SPACE_INDEX, SPACE_ROW, index_key, index_prefix, index_value_prefix, parse_index_key,
    parse_row_key, prefix_end, row_key, row_prefix, row_versions_prefix, table_prefix,
};

/// Longest encoded key part (a primary key or an index value) in bytes; beyond it 54000 is raised.
pub const KEY_BYTES_MAX: usize = 8191;

#[cfg(test)]
mod tests;
