//! Datum: one SQL value, and the total order PostgreSQL's btree gives each type.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
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
#[derive(Clone, Debug, Default)]
pub enum Datum {
    /// SQL NULL of any type.
    #[default]
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

/// PostgreSQL's three-part interval. Equality and order are those of its length with 30-day months and 24-hour days.
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

/// Microseconds of a 24-hour day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;
const DAYS_PER_MONTH: i64 = 30;

impl Interval {
    /// An interval of these parts.
    pub const fn new(months: i32, days: i32, micros: i64) -> Self {
        Self { months, days, micros }
    }

    /// Length in microseconds with 30-day months and 24-hour days: what PostgreSQL compares.
    pub fn normalized(&self) -> i128 {
        let days = i64::from(self.months) * DAYS_PER_MONTH + i64::from(self.days);
        i128::from(days) * i128::from(MICROS_PER_DAY) + i128::from(self.micros)
    }

    /// Some interval of a normalised length.
    pub fn from_normalized(length: i128) -> Option<Self> {
        let clamp = |value: i128| value.clamp(i128::from(i32::MIN), i128::from(i32::MAX)) as i32;
        let total_days = length / i128::from(MICROS_PER_DAY);
        let fits = i128::from(clamp(total_days)) == total_days;
        let months = if fits {
            0
        } else {
            clamp(total_days / i128::from(DAYS_PER_MONTH))
        };
        let days = clamp(total_days - i128::from(months) * i128::from(DAYS_PER_MONTH));
        let micros = length - Self::new(months, days, 0).normalized();
        Some(Self::new(months, days, micros.try_into().ok()?))
    }
}

impl Ord for Interval {
    fn cmp(&self, other: &Self) -> Ordering {
        self.normalized().cmp(&other.normalized())
    }
}

impl PartialOrd for Interval {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Interval {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Interval {}

impl Hash for Interval {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.normalized().hash(state);
    }
}

impl Array {
    /// An array of one dimension with lower bound 1, or the empty array.
    pub fn vector(element_type: u32, elements: Vec<Datum>) -> Self {
        let dimensions = if elements.is_empty() {
            Vec::new()
        } else {
            vec![(elements.len() as i32, 1)]
        };
        Self {
            element_type,
            dimensions,
            elements,
        }
    }
}

impl Datum {
    /// Text.
    pub fn text(value: impl Into<Arc<str>>) -> Self {
        Self::Text(value.into())
    }

    /// bytea
    pub fn bytea(value: impl Into<Bytes>) -> Self {
        Self::Bytea(value.into())
    }

    /// A one-dimensional array.
    pub fn array(element_type: u32, elements: Vec<Datum>) -> Self {
        Self::Array(Arc::new(Array::vector(element_type, elements)))
    }

    /// A composite value.
    pub fn record(fields: impl Into<Arc<[Datum]>>) -> Self {
        Self::Record(fields.into())
    }

    /// Whether this is SQL NULL.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The boolean.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(value) => Some(*value),
            _ => None,
        }
    }

    /// Any integer, oid included, as 64 bits.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Int2(value) => Some(i64::from(*value)),
            Self::Int4(value) => Some(i64::from(*value)),
            Self::Int8(value) => Some(*value),
            Self::Oid(value) => Some(i64::from(*value)),
            _ => None,
        }
    }

    /// integer or smallint.
    pub fn as_i32(&self) -> Option<i32> {
        match self {
            Self::Int2(value) => Some(i32::from(*value)),
            Self::Int4(value) => Some(*value),
            _ => None,
        }
    }

    /// real or double precision.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Self::Float4(value) => Some(f64::from(*value)),
            Self::Float8(value) => Some(*value),
            _ => None,
        }
    }

    /// Any character type, and json's text.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(value) | Self::Json(value) => Some(value),
            _ => None,
        }
    }

    /// bytea
    pub fn as_bytes(&self) -> Option<&Bytes> {
        match self {
            Self::Bytea(value) => Some(value),
            _ => None,
        }
    }

    /// numeric
    pub fn as_numeric(&self) -> Option<&Numeric> {
        match self {
            Self::Numeric(value) => Some(value),
            _ => None,
        }
    }

    /// jsonb
    pub fn as_jsonb(&self) -> Option<&Jsonb> {
        match self {
            Self::Jsonb(value) => Some(value),
            _ => None,
        }
    }

    /// An array.
    pub fn as_array(&self) -> Option<&Array> {
        match self {
            Self::Array(value) => Some(value),
            _ => None,
        }
    }

    /// Bytes this value takes in memory, roughly; for memory accounting.
    pub fn size(&self) -> usize {
        size_of::<Datum>()
            + match self {
                Self::Text(value) | Self::Json(value) => value.len() + 16,
                Self::Bytea(value) => value.len(),
                Self::Jsonb(value) => value.size(),
                Self::Numeric(value) => value.heap_size(),
                Self::Array(value) => value.elements.iter().map(Datum::size).sum::<usize>() + 80,
                Self::Record(fields) => fields.iter().map(Datum::size).sum::<usize>() + 16,
                Self::Null
                | Self::Bool(_)
                | Self::Int2(_)
                | Self::Int4(_)
                | Self::Int8(_)
                | Self::Float4(_)
                | Self::Float8(_)
                | Self::Date(_)
                | Self::Time(_)
                | Self::TimeTz(..)
                | Self::Timestamp(_)
                | Self::TimestampTz(_)
                | Self::Interval(_)
                | Self::Uuid(_)
                | Self::Oid(_) => 0,
            }
    }

    /// Position of the variant among variants; orders values that should never meet.
    fn rank(&self) -> u8 {
        match self {
            Self::Bool(_) => 1,
            Self::Int2(_) | Self::Int4(_) | Self::Int8(_) => 2,
            Self::Float4(_) => 3,
            Self::Float8(_) => 4,
            Self::Numeric(_) => 5,
            Self::Text(_) => 6,
            Self::Bytea(_) => 7,
            Self::Date(_) => 8,
            Self::Time(_) => 9,
            Self::TimeTz(..) => 10,
            Self::Timestamp(_) => 11,
            Self::TimestampTz(_) => 12,
            Self::Interval(_) => 13,
            Self::Uuid(_) => 14,
            Self::Json(_) => 15,
            Self::Jsonb(_) => 16,
            Self::Oid(_) => 17,
            Self::Array(_) => 18,
            Self::Record(_) => 19,
            Self::Null => 20,
        }
    }

    /// PostgreSQL's btree order of two values of one type; NULL is greatest (NULLS LAST) and equals itself.
    pub fn compare(&self, other: &Datum) -> Ordering {
        match (self, other) {
            (Self::Bool(a), Self::Bool(b)) => a.cmp(b),
            (Self::Int4(a), Self::Int4(b)) => a.cmp(b),
            (Self::Int8(a), Self::Int8(b)) => a.cmp(b),
            (Self::Int2(_) | Self::Int4(_) | Self::Int8(_), Self::Int2(_) | Self::Int4(_) | Self::Int8(_)) => {
                self.as_i64().cmp(&other.as_i64())
            }
            (Self::Float4(a), Self::Float4(b)) => compare_floats(f64::from(*a), f64::from(*b)),
            (Self::Float8(a), Self::Float8(b)) => compare_floats(*a, *b),
            (Self::Numeric(a), Self::Numeric(b)) => a.cmp(b),
            (Self::Text(a), Self::Text(b)) | (Self::Json(a), Self::Json(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Self::Bytea(a), Self::Bytea(b)) => a.cmp(b),
            (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Time(a), Self::Time(b))
            | (Self::Timestamp(a), Self::Timestamp(b))
            | (Self::TimestampTz(a), Self::TimestampTz(b)) => a.cmp(b),
            (Self::TimeTz(a, a_zone), Self::TimeTz(b, b_zone)) => utc_time(*a, *a_zone)
                .cmp(&utc_time(*b, *b_zone))
                .then(a_zone.cmp(b_zone)),
            (Self::Interval(a), Self::Interval(b)) => a.cmp(b),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (Self::Jsonb(a), Self::Jsonb(b)) => a.cmp(b),
            (Self::Oid(a), Self::Oid(b)) => a.cmp(b),
            (Self::Array(a), Self::Array(b)) => compare_arrays(a, b),
            (Self::Record(a), Self::Record(b)) => compare_sequences(a, b),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

/// Order of doubles: NaN equals itself and is greatest; -0 equals 0.
pub fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

/// Microseconds of a timetz in UTC, which order it before its zone does.
pub(crate) fn utc_time(micros: i64, zone_west: i32) -> i64 {
    micros.saturating_add(i64::from(zone_west) * 1_000_000)
}

fn compare_sequences(a: &[Datum], b: &[Datum]) -> Ordering {
    let first_difference = a.iter().zip(b).map(|(x, y)| x.compare(y)).find(|order| order.is_ne());
    first_difference.unwrap_or_else(|| a.len().cmp(&b.len()))
}

fn compare_arrays(a: &Array, b: &Array) -> Ordering {
    let lengths = |array: &Array| -> Vec<i32> { array.dimensions.iter().map(|(length, _)| *length).collect() };
    let bounds = |array: &Array| -> Vec<i32> { array.dimensions.iter().map(|(_, bound)| *bound).collect() };
    compare_sequences(&a.elements, &b.elements)
        .then_with(|| a.dimensions.len().cmp(&b.dimensions.len()))
        .then_with(|| lengths(a).cmp(&lengths(b)))
        .then_with(|| bounds(a).cmp(&bounds(b)))
}

impl PartialEq for Datum {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Jsonb(a), Self::Jsonb(b)) => a == b,
            _ => self.compare(other).is_eq(),
        }
    }
}

impl Eq for Datum {}

impl PartialOrd for Datum {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Datum {
    fn cmp(&self, other: &Self) -> Ordering {
        self.compare(other)
    }
}

impl Hash for Datum {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u8(self.rank());
        match self {
            Self::Null => {}
            Self::Bool(value) => value.hash(state),
            Self::Int2(_) | Self::Int4(_) | Self::Int8(_) => self.as_i64().hash(state),
            Self::Float4(value) => canonical_bits(f64::from(*value)).hash(state),
            Self::Float8(value) => canonical_bits(*value).hash(state),
            Self::Numeric(value) => value.hash(state),
            Self::Text(value) | Self::Json(value) => value.hash(state),
            Self::Bytea(value) => value.hash(state),
            Self::Date(value) => value.hash(state),
            Self::Time(value) | Self::Timestamp(value) | Self::TimestampTz(value) => value.hash(state),
            Self::TimeTz(micros, zone) => (utc_time(*micros, *zone), zone).hash(state),
            Self::Interval(value) => value.hash(state),
            Self::Uuid(value) => value.hash(state),
            Self::Jsonb(value) => value.hash(state),
            Self::Oid(value) => value.hash(state),
            Self::Array(value) => (&value.elements, &value.dimensions).hash(state),
            Self::Record(value) => value.hash(state),
        }
    }
}

/// Bits that are equal for equal doubles.
fn canonical_bits(value: f64) -> u64 {
    if value == 0.0 {
        0
    } else if value.is_nan() {
        f64::NAN.to_bits()
    } else {
        value.to_bits()
    }
}

macro_rules! datum_from {
    ($($from:ty => $variant:ident),* $(,)?) => {
        $(impl From<$from> for Datum {
            fn from(value: $from) -> Self {
                Self::$variant(value.into())
            }
        })*
    };
}

datum_from! {
    bool => Bool, i16 => Int2, i32 => Int4, i64 => Int8, f32 => Float4, f64 => Float8, Numeric => Numeric, &str => Text,
    String => Text, Arc<str> => Text, Bytes => Bytea, Interval => Interval, Jsonb => Jsonb, Array => Array,
}

impl<T: Into<Datum>> From<Option<T>> for Datum {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}
