//! Comparison: PostgreSQL's btree order of every type, and the functions behind `= <> < <= > >=`.

mod datum;
mod table;

use std::cmp::Ordering;

use storage::{Array, Datum, Interval, Jsonb, Numeric};

use super::CallContext;
use super::value::{Argument, Date, Oid, Padded, Record, Tid, Time, TimeTz, Timestamp, TimestampTz, Uuid};
use crate::types::calendar::{self, MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::types::datetime;
use crate::{SqlError, SqlResult, SqlState};

pub use datum::{arrays, datums, interval_micros};
pub(super) use table::FUNCTIONS;

/// A value with PostgreSQL's order of its type.
pub trait Ordered {
    /// Compares in btree order.
    fn compare(&self, other: &Self) -> Ordering;
}

macro_rules! ordered {
    ($($name:ty),*) => {
        $(impl Ordered for $name {
            fn compare(&self, other: &Self) -> Ordering {
                self.cmp(other)
            }
        })*
    };
}

ordered!(
    bool,
    i16,
    i32,
    i64,
    &str,
    std::sync::Arc<str>,
    &[u8],
    &Numeric,
    &Jsonb,
    Tid,
    Oid,
    Uuid,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Padded<'_>
);

/// NaN equals itself and is greater than everything; zeros are equal.
fn float_order(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

impl Ordered for f32 {
    fn compare(&self, other: &Self) -> Ordering {
        float_order(f64::from(*self), f64::from(*other))
    }
}

impl Ordered for f64 {
    fn compare(&self, other: &Self) -> Ordering {
        float_order(*self, *other)
    }
}

impl Ordered for TimeTz {
    /// By moment; equal moments by zone.
    fn compare(&self, other: &Self) -> Ordering {
        let moment = |time: &TimeTz| time.0 + i64::from(time.1) * MICROS_PER_SECOND;
        moment(self).cmp(&moment(other)).then(self.1.cmp(&other.1))
    }
}

impl Ordered for Interval {
    /// By length, counting 30 days a month and 24 hours a day.
    fn compare(&self, other: &Self) -> Ordering {
        interval_micros(self).cmp(&interval_micros(other))
    }
}

/// `=`
pub fn equal<T: Ordered>(a: T, b: T) -> bool {
    a.compare(&b).is_eq()
}

/// `<>`
pub fn not_equal<T: Ordered>(a: T, b: T) -> bool {
    a.compare(&b).is_ne()
}

/// `<`
pub fn less<T: Ordered>(a: T, b: T) -> bool {
    a.compare(&b).is_lt()
}

/// `<=`
pub fn less_or_equal<T: Ordered>(a: T, b: T) -> bool {
    a.compare(&b).is_le()
}

/// `>`
pub fn greater<T: Ordered>(a: T, b: T) -> bool {
    a.compare(&b).is_gt()
}

/// `>=`
pub fn greater_or_equal<T: Ordered>(a: T, b: T) -> bool {
    a.compare(&b).is_ge()
}

/// The support functions' -1, 0, 1.
pub fn order<T: Ordered>(a: T, b: T) -> i32 {
    a.compare(&b) as i32
}

/// The larger of two, the first if equal.
fn greatest<T: Ordered + Into<Kept<T>>>(a: T, b: T) -> Kept<T> {
    if a.compare(&b).is_lt() { b.into() } else { a.into() }
}

/// The smaller of two, the first if equal.
fn least<T: Ordered + Into<Kept<T>>>(a: T, b: T) -> Kept<T> {
    if a.compare(&b).is_gt() { b.into() } else { a.into() }
}

/// A value on its way to become a datum again.
struct Kept<T>(T);

impl<T> From<T> for Kept<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl super::value::Return for Kept<&Numeric> {
    fn put(self) -> SqlResult<Datum> {
        Ok(Datum::Numeric(self.0.clone()))
    }
}

macro_rules! kept {
    ($($name:ty),*) => {
        $(impl super::value::Return for Kept<$name> {
            fn put(self) -> SqlResult<Datum> {
                self.0.put()
            }
        })*
    };
}

kept!(
    i16,
    i32,
    i64,
    f32,
    f64,
    Oid,
    Date,
    Time,
    TimeTz,
    Timestamp,
    TimestampTz,
    Interval,
    std::sync::Arc<str>
);

fn larger_padded(a: &Datum, b: &Datum) -> SqlResult<Datum> {
    Ok(if Padded::read(a)? < Padded::read(b)? {
        b.clone()
    } else {
        a.clone()
    })
}

fn smaller_padded(a: &Datum, b: &Datum) -> SqlResult<Datum> {
    Ok(if Padded::read(a)? > Padded::read(b)? {
        b.clone()
    } else {
        a.clone()
    })
}

fn larger_array(a: &Datum, b: &Datum) -> SqlResult<Datum> {
    Ok(if datums(a, b)?.is_lt() { b.clone() } else { a.clone() })
}

fn smaller_array(a: &Datum, b: &Datum) -> SqlResult<Datum> {
    Ok(if datums(a, b)?.is_gt() { b.clone() } else { a.clone() })
}

/// `oidvector` orders by length first.
fn oid_vectors(a: &Array, b: &Array) -> Ordering {
    let oids = |array: &Array| -> Vec<u32> {
        let value = |element: &Datum| if let Datum::Oid(value) = element { *value } else { 0 };
        array.elements.iter().map(value).collect()
    };
    a.elements
        .len()
        .cmp(&b.elements.len())
        .then_with(|| oids(a).cmp(&oids(b)))
}

/// Compares records field by field, NULLs last.
fn records(context: &mut CallContext<'_>, a: Record<'_>, b: Record<'_>, operator: &str) -> SqlResult<Ordering> {
    let _ = context;
    if a.0.len() != b.0.len() {
        return Err(SqlError::new(
            SqlState::DATATYPE_MISMATCH,
            "cannot compare record types with different numbers of columns",
        ));
    }
    datum::rows(a.0, b.0, operator)
}

/// Compares a date with a timestamp without overflow: a date after the last timestamp is later than all.
fn date_to_timestamp(date: Date, timestamp: Timestamp) -> Ordering {
    midnight(date).cmp(&i128::from(timestamp.0))
}

fn midnight(date: Date) -> i128 {
    match date.0 {
        i32::MAX => i128::from(i64::MAX),
        i32::MIN => i128::from(i64::MIN),
        days => i128::from(days) * i128::from(MICROS_PER_DAY),
    }
}

fn date_to_moment(context: &mut CallContext<'_>, date: Date, moment: TimestampTz) -> Ordering {
    let local = midnight(date);
    match i64::try_from(local) {
        Ok(local) if calendar::is_valid_timestamp(local) => local_to_moment(context, Timestamp(local), moment),
        _ => local.cmp(&i128::from(moment.0)),
    }
}

fn local_to_moment(context: &mut CallContext<'_>, local: Timestamp, moment: TimestampTz) -> Ordering {
    if local.0 == i64::MAX || local.0 == i64::MIN {
        return local.0.cmp(&moment.0);
    }
    // A local time whose moment leaves the range lies beyond every moment on its side.
    match datetime::timestamp_to_moment(local.0, &context.session.style().zone) {
        Some(micros) => micros.cmp(&moment.0),
        None => local.0.cmp(&0),
    }
}
