//! Equality and order of values as PostgreSQL's btree operator classes define them, and rows of values as hash keys.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use smallvec::SmallVec;
use storage::Datum;
use storage::datum::compare_floats;

/// Compares two values of one type (or of types whose values compare directly: the integers, the floats). NULL is greater
/// than everything and equal to itself, as in a sort with the default NULLS LAST.
///
/// bpchar ignores trailing blanks; keys of that type are compiled with [`crate::eval::Compiler::compile_key`], which drops them.
pub fn compare(left: &Datum, right: &Datum) -> Ordering {
    match (left, right) {
        (Datum::Float4(_), Datum::Float8(_)) | (Datum::Float8(_), Datum::Float4(_)) => {
            compare_floats(left.as_f64().unwrap_or(0.0), right.as_f64().unwrap_or(0.0))
        }
        _ => left.compare(right),
    }
}

/// The value of an integer type.
pub(crate) fn integer(datum: &Datum) -> Option<i64> {
    match datum {
        Datum::Int2(value) => Some(i64::from(*value)),
        Datum::Int4(value) => Some(i64::from(*value)),
        Datum::Int8(value) => Some(*value),
        _ => None,
    }
}

/// Values as a hash key: equal exactly if [`compare`] says so for each pair, NULL equal to NULL.
#[derive(Clone, Debug)]
pub struct KeyValues {
    values: SmallVec<[Datum; 2]>,
    exact: bool,
}

impl KeyValues {
    /// A key of values under their types' equality.
    pub fn of(values: &[Datum]) -> Self {
        Self {
            values: values.iter().cloned().collect(),
            exact: false,
        }
    }

    /// A key that tells values apart which are equal and yet differ (`1.0` and `1.00`, `-0` and `0`): a cached result
    /// may depend on which of them it was computed for.
    pub fn exact(values: &[Datum]) -> Self {
        Self {
            values: values.iter().cloned().collect(),
            exact: true,
        }
    }

    /// The values.
    pub fn values(&self) -> &[Datum] {
        &self.values
    }

    /// Takes the values.
    pub fn into_values(self) -> SmallVec<[Datum; 2]> {
        self.values
    }
}

impl FromIterator<Datum> for KeyValues {
    fn from_iter<T: IntoIterator<Item = Datum>>(values: T) -> Self {
        Self {
            values: values.into_iter().collect(),
            exact: false,
        }
    }
}

impl PartialEq for KeyValues {
    fn eq(&self, other: &Self) -> bool {
        self.values.len() == other.values.len()
            && self.values.iter().zip(&other.values).all(|(left, right)| {
                if self.exact {
                    identical(left, right)
                } else {
                    compare(left, right) == Ordering::Equal
                }
            })
    }
}

impl Eq for KeyValues {}

impl Hash for KeyValues {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for value in &self.values {
            value.hash(state);
        }
    }
}

/// Equal and not distinguishable by any function.
fn identical(left: &Datum, right: &Datum) -> bool {
    match (left, right) {
        (Datum::Null, Datum::Null) => true,
        (Datum::Bool(_), Datum::Bool(_))
        | (Datum::Int2(_), Datum::Int2(_))
        | (Datum::Int4(_), Datum::Int4(_))
        | (Datum::Int8(_), Datum::Int8(_))
        | (Datum::Text(_), Datum::Text(_))
        | (Datum::Bytea(_), Datum::Bytea(_))
        | (Datum::Date(_), Datum::Date(_))
        | (Datum::Time(_), Datum::Time(_))
        | (Datum::Timestamp(_), Datum::Timestamp(_))
        | (Datum::TimestampTz(_), Datum::TimestampTz(_))
        | (Datum::Uuid(_), Datum::Uuid(_))
        | (Datum::Oid(_), Datum::Oid(_)) => compare(left, right) == Ordering::Equal,
        (Datum::Json(left), Datum::Json(right)) => left == right,
        (Datum::Float4(left), Datum::Float4(right)) => left.to_bits() == right.to_bits(),
        (Datum::Float8(left), Datum::Float8(right)) => left.to_bits() == right.to_bits(),
        (Datum::Interval(left), Datum::Interval(right)) => {
            (left.months, left.days, left.micros) == (right.months, right.days, right.micros)
        }
        // What else there is prints all it holds.
        _ => {
            std::mem::discriminant(left) == std::mem::discriminant(right) && format!("{left:?}") == format!("{right:?}")
        }
    }
}
