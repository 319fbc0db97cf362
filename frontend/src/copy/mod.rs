//! COPY: the three formats as pure cores, and the options that shape them.
//!
//! ```text
//!   CopyData ─► lines.rs ─► text.rs │ csv.rs ─► fields ─► values ─► Planner::copy_in
//!            └► binary.rs ─────────────────────► fields ─┘
//!   rows ─► encode.rs ─► CopyData
//! ```
//! Decoders take bytes as they come, however the client cut them, and give back whole rows.

pub mod binary;
pub mod csv;
pub mod decode;
pub mod encode;
pub mod lines;
pub mod options;
pub mod text;

pub use decode::{Decoder, Field, Record};
pub use encode::Encoder;
pub use options::{CopyOptions, Format, Header};

use planner::{SqlError, SqlState};

/// 22P04
pub fn bad_format(message: impl Into<String>) -> SqlError {
    SqlError::new(SqlState::BAD_COPY_FILE_FORMAT, message)
}
