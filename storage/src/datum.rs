//! Datum: one SQL value, and the total order PostgreSQL's btree gives each type.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Jsonb, Numeric};

/// A table row: the value of attribute `n` (PostgreSQL's attnum) is at position `n - 1`.
///
/// A stored row may be shorter than its table: the missing tail holds the columns' "missing values".
/// A dropped column stays in place as [`Datum::Null`].
pub type Row = Vec<Datum>;

/// One SQL value. The variant says how it is held, not its SQL type: text, varchar, bpchar, name, "char" and unknown
/// are all [`Datum::Text`]; oid and the reg* types are [`Datum::Oid`].
#[derive(Clone, Debug)]
pub enum Datum {
    /// SQL NULL of any type.
    Null,
    /// boolean
    Bool(bool),
    /// smallint
    Int2(i16),
    /// integer
    Int4(i32),
    /// bigint
    Int8(i64),
    /// real
    Float4(f32),
    /// double precision
    Float8(f64),
    /// numeric
    Numeric(Numeric),
    /// Any character type, UTF-8, without NUL.
    Text(Arc<str>),
    /// bytea
    Bytea(Bytes),
    /// Days since 2000-01-01; `i32::MIN` and `i32::MAX` are -infinity and infinity.
    Date(i32),
    /// Microseconds since midnight, 0..=86_400_000_000.
    Time(i64),
    /// timetz: microseconds since midnight and the zone in seconds **west** of UTC, as PostgreSQL keeps it.
    TimeTz(i64, i32),
    /// Microseconds since 2000-01-01 00:00:00; `i64::MIN` and `i64::MAX` are -infinity and infinity.
    Timestamp(i64),
    /// As [`Datum::Timestamp`], in UTC.
    TimestampTz(i64),
    /// interval
    Interval(Interval),
    /// uuid
    Uuid([u8; 16]),
    /// json: the text as it was written.
    Json(Arc<str>),
    /// jsonb
    Jsonb(Jsonb),
    /// oid, regclass, regtype, regproc, …
    Oid(u32),
    /// An array of any element type.
    Array(Arc<Array>),
    /// A composite value (ROW(…), a whole-row reference).
    Record(Arc<[Datum]>),
}

/// PostgreSQL's three-part interval.
#[derive(Clone, Copy, Debug, Default)]
pub struct Interval {
    /// Whole months.
    pub months: i32,
    /// Whole days.
    pub days: i32,
    /// The rest, in microseconds.
    pub micros: i64,
}

/// An array value. Zero dimensions mean the empty array.
#[derive(Clone, Debug)]
pub struct Array {
    /// PostgreSQL OID of the element type.
    pub element_type: u32,
    /// (length, lower bound) of each dimension, outermost first.
    pub dimensions: Vec<(i32, i32)>,
    /// Elements in row-major order.
    pub elements: Vec<Datum>,
}
