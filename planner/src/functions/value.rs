//! Datum to Rust types and back, so that a function is written over `i32` and `&str`.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use storage::{Array, Datum, Interval, Jsonb, Numeric};

use crate::SqlResult;
use crate::types::error::mismatch;

/// Days since 2000-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(pub i32);

/// Microseconds since midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub i64);

/// Microseconds since midnight, and seconds west of UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeTz(pub i64, pub i32);

/// Microseconds since 2000-01-01, local.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(pub i64);

/// Microseconds since 2000-01-01 UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimestampTz(pub i64);

/// An object identifier, or a value held as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Oid(pub u32);

/// A uuid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uuid(pub [u8; 16]);

/// A `char(n)`, without its trailing blanks: they never count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Padded<'a>(pub &'a str);

/// The text of a json.
#[derive(Clone, Copy, Debug)]
pub struct Json<'a>(pub &'a str);

/// A row's place: block and offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Tid(pub u32, pub u16);

impl<'a> Argument<'a> for Tid {
    fn read(datum: &'a Datum) -> SqlResult<Self> {
        let parts = datum.as_str().and_then(crate::types::binary::parse_tid);
        parts
            .map(|(block, offset)| Tid(block, offset))
            .ok_or_else(|| mismatch("tid", datum))
    }
}

/// A record's fields.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a>(pub &'a [Datum]);

/// What a function takes.
pub trait Argument<'a>: Sized {
    /// Reads an argument.
    ///
    /// # Errors
    /// XX000 if the datum is of another type.
    fn read(datum: &'a Datum) -> SqlResult<Self>;
}

macro_rules! arguments {
    ($($target:ty, $name:literal: $pattern:pat => $value:expr;)*) => {
        $(impl<'a> Argument<'a> for $target {
            fn read(datum: &'a Datum) -> SqlResult<Self> {
                match datum {
                    $pattern => Ok($value),
                    other => Err(mismatch($name, other)),
                }
            }
        })*
    };
}

arguments! {
    bool, "boolean": Datum::Bool(value) => *value;
    i16, "smallint": Datum::Int2(value) => *value;
    i32, "integer": Datum::Int4(value) => *value;
    i64, "bigint": Datum::Int8(value) => *value;
    f32, "real": Datum::Float4(value) => *value;
    f64, "double precision": Datum::Float8(value) => *value;
    &'a Numeric, "numeric": Datum::Numeric(value) => value;
    &'a str, "text": Datum::Text(value) => value;
    Arc<str>, "text": Datum::Text(value) => value.clone();
    Padded<'a>, "character": Datum::Text(value) => Padded(value.trim_end_matches(' '));
    &'a [u8], "bytea": Datum::Bytea(value) => value;
    Date, "date": Datum::Date(value) => Date(*value);
    Time, "time": Datum::Time(value) => Time(*value);
    TimeTz, "time with time zone": Datum::TimeTz(micros, west) => TimeTz(*micros, *west);
    Timestamp, "timestamp": Datum::Timestamp(value) => Timestamp(*value);
    TimestampTz, "timestamp with time zone": Datum::TimestampTz(value) => TimestampTz(*value);
    Interval, "interval": Datum::Interval(value) => *value;
    Uuid, "uuid": Datum::Uuid(value) => Uuid(*value);
    Oid, "oid": Datum::Oid(value) => Oid(*value);
    Json<'a>, "json": Datum::Json(value) => Json(value);
    &'a Jsonb, "jsonb": Datum::Jsonb(value) => value;
    &'a Array, "array": Datum::Array(value) => value;
    &'a Arc<Array>, "array": Datum::Array(value) => value;
    Record<'a>, "record": Datum::Record(value) => Record(value);
}

impl<'a> Argument<'a> for &'a Datum {
    fn read(datum: &'a Datum) -> SqlResult<Self> {
        Ok(datum)
    }
}

impl<'a, T: Argument<'a>> Argument<'a> for Option<T> {
    fn read(datum: &'a Datum) -> SqlResult<Self> {
        if matches!(datum, Datum::Null) {
            Ok(None)
        } else {
            T::read(datum).map(Some)
        }
    }
}

/// What a function gives.
pub trait Return {
    /// The result as a datum.
    ///
    /// # Errors
    /// The function's own.
    fn put(self) -> SqlResult<Datum>;
}

macro_rules! returns {
    ($($source:ty: $value:ident => $datum:expr;)*) => {
        $(impl Return for $source {
            fn put(self) -> SqlResult<Datum> {
                let $value = self;
                Ok($datum)
            }
        })*
    };
}

returns! {
    bool: value => Datum::Bool(value);
    i16: value => Datum::Int2(value);
    i32: value => Datum::Int4(value);
    i64: value => Datum::Int8(value);
    f32: value => Datum::Float4(value);
    f64: value => Datum::Float8(value);
    Numeric: value => Datum::Numeric(value);
    &str: value => Datum::Text(value.into());
    String: value => Datum::Text(value.into());
    Cow<'_, str>: value => Datum::Text(value.into());
    Arc<str>: value => Datum::Text(value);
    Bytes: value => Datum::Bytea(value);
    Vec<u8>: value => Datum::Bytea(value.into());
    Date: value => Datum::Date(value.0);
    Time: value => Datum::Time(value.0);
    TimeTz: value => Datum::TimeTz(value.0, value.1);
    Timestamp: value => Datum::Timestamp(value.0);
    TimestampTz: value => Datum::TimestampTz(value.0);
    Interval: value => Datum::Interval(value);
    Uuid: value => Datum::Uuid(value.0);
    Oid: value => Datum::Oid(value.0);
    Jsonb: value => Datum::Jsonb(value);
    Array: value => Datum::Array(Arc::new(value));
    Datum: value => value;
    (): _value => Datum::Text("".into());
}

impl<T: Return> Return for Option<T> {
    fn put(self) -> SqlResult<Datum> {
        self.map_or(Ok(Datum::Null), Return::put)
    }
}

impl<T: Return> Return for SqlResult<T> {
    fn put(self) -> SqlResult<Datum> {
        self?.put()
    }
}

impl Return for storage::numeric::NumericResult {
    fn put(self) -> SqlResult<Datum> {
        Ok(Datum::Numeric(self?))
    }
}
