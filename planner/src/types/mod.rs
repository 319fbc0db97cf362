//! Types: PostgreSQL's type OIDs, names, categories, and values as text and binary.
//!
//! ```text
//!   text ─ input ─► Datum ─ output ─► text          table      what pg_type says
//!   wire ─ binary_input ─► Datum ─ binary_output    name       format_type, and type names as regtype reads them
//!                            │                       modifier   varchar(3), numeric(5,2), timestamp(0)
//!                     apply_modifier                 style      the settings that formats depend on
//! ```
//! A [`Datum`](storage::Datum) says how a value is held, not what type it has: text, varchar and name are all text. So
//! everything here takes the [`Type`] beside the value.

pub mod abbreviation;
pub mod array;
pub mod binary;
pub mod bytes;
pub mod calendar;
pub mod character;
pub mod datetime;
pub mod error;
mod input;
pub mod modifier;
mod name;
pub mod number;
pub mod numeric;
pub mod oid;
mod output;
mod posix;
pub mod record;
pub mod reg;
pub mod style;
mod table;
pub mod user;
pub mod zone;

pub use binary::{binary_input, binary_output};
pub use input::input;
pub use modifier::{apply_modifier, modifier_in, modifier_out};
pub use name::{format_type, parse_type};
pub use output::{as_str, output, to_text};
pub use style::Style;
pub use table::{TypeInfo, all, array_of, category, element_of, info, is_preferred, is_row, lookup_name};

/// A PostgreSQL type with its modifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct Type {
    /// `pg_type.oid`.
    pub oid: u32,
    /// `atttypmod`: -1 for none; varchar(n) is n + 4, numeric(p, s) is ((p << 16) | s) + 4.
    pub modifier: i32,
}

impl Type {
    /// A type without modifier.
    pub const fn new(oid: u32) -> Self {
        Self { oid, modifier: -1 }
    }

    /// A type with a modifier.
    pub const fn with_modifier(oid: u32, modifier: i32) -> Self {
        Self { oid, modifier }
    }
}

macro_rules! types {
    ($($name:ident $oid:ident),* $(,)?) => {
        impl Type { $(#[doc = concat!("The type `oid::", stringify!($oid), "`.")] pub const $name: Type = Type::new(oid::$oid);)* }
    };
}

types! {
    BOOL BOOL, BYTEA BYTEA, CHAR CHAR, NAME NAME, INT8 INT8, INT2 INT2, INT4 INT4, REGPROC REGPROC, TEXT TEXT, OID OID,
    JSON JSON, FLOAT4 FLOAT4, FLOAT8 FLOAT8, UNKNOWN UNKNOWN, BPCHAR BPCHAR, VARCHAR VARCHAR, DATE DATE, TIME TIME,
    TIMESTAMP TIMESTAMP, TIMESTAMPTZ TIMESTAMPTZ, INTERVAL INTERVAL, TIMETZ TIMETZ, NUMERIC NUMERIC, UUID UUID, JSONB JSONB,
    JSONPATH JSONPATH, REGCLASS REGCLASS, REGTYPE REGTYPE, RECORD RECORD, VOID VOID,
}
