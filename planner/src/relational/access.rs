//! Access paths: which keys of a table or index a scan reads, from conditions on key columns.

use storage::Datum;
use storage::key::{KeyOrder, encode_column, prefix_end};
use txn::{IndexId, Key, KeyRange};

use crate::bound::Comparison;
use crate::catalog::{Index, Relation};
use crate::eval::{EvalContext, Program};
use crate::types::oid;
use crate::{SqlError, SqlResult, Type};

/// Which rows a scan reads. Programs see no row: constants, parameters and outer columns only.
#[derive(Clone, Debug)]
#[allow(clippy::large_enum_variant, reason = "one per scan, and most scans use an index")]
pub enum Access {
    /// All rows.
    Full,
    /// Rows by a condition on the leading columns of an index (the primary key is one).
    Index(IndexAccess),
}

/// A condition on the leading columns of an index.
#[derive(Clone, Debug)]
pub struct IndexAccess {
    /// Index id.
    pub index: u32,
    /// Values of the leading columns.
    pub equal: Vec<Program>,
    /// Values any of which the next column has: an array.
    pub any_of: Option<Program>,
    /// Bounds of the next column.
    pub lower: Option<(Program, Comparison)>,
    /// As `lower`.
    pub upper: Option<(Program, Comparison)>,
    /// Which of the scan's conditions these are, by position.
    pub conditions: Vec<usize>,
    /// Only values that are not NULL, of the key behind the equal ones.
    pub not_null: bool,
    /// Read from the end.
    pub reverse: bool,
    /// Somebody relies on the index's order.
    pub ordered: bool,
}

/// What an access path means for given values.
pub enum Target {
    /// No row can qualify.
    Nothing,
    /// Rows of ranges of primary keys, in the order in which they are read.
    Ranges(Vec<KeyRange>),
    /// Rows by primary key.
    Keys(Vec<Key>),
    /// Rows by ranges of index values, in the order in which they are read.
    IndexRanges {
        /// Index.
        index: IndexId,
        /// Whether it is sharded by value.
        global: bool,
        /// Ranges of encoded values.
        ranges: Vec<KeyRange>,
    },
}

/// How an index orders its keys' bytes.
pub fn key_orders(index: &Index) -> Vec<KeyOrder> {
    index
        .keys
        .iter()
        .map(|key| KeyOrder {
            descending: key.descending,
            nulls_first: key.nulls_first,
        })
        .collect()
}

/// A value as keys of its type hold it: bpchar without the trailing blanks that its equality ignores, integers in the
/// width of the column. `None` if no value of the type equals it.
pub fn key_value(value: Datum, ty: Type) -> Option<Datum> {
    match (ty.oid, value) {
        (_, Datum::Null) => None,
        (oid::BPCHAR, Datum::Text(text)) => Some(Datum::text(text.trim_end_matches(' '))),
        (oid::INT2, value) => i16::try_from(value.as_i64()?).ok().map(Datum::Int2),
        (oid::INT4, value) => i32::try_from(value.as_i64()?).ok().map(Datum::Int4),
        (oid::INT8, value) => value.as_i64().map(Datum::Int8),
        (oid::FLOAT4, Datum::Float8(value)) => {
            let narrow = value as f32;
            (f64::from(narrow) == value || value.is_nan()).then_some(Datum::Float4(narrow))
        }
        (oid::FLOAT8, Datum::Float4(value)) => Some(Datum::Float8(f64::from(value))),
        (_, value) => Some(value),
    }
}

impl Access {
    /// Whether rows are read from the end.
    pub fn is_reverse(&self) -> bool {
        matches!(self, Access::Index(access) if access.reverse)
    }

    /// Whether somebody relies on the order of the rows.
    pub fn is_ordered(&self) -> bool {
        matches!(self, Access::Index(access) if access.ordered)
    }

    /// The rows to read, for the values that the programs have now.
    pub fn targets(&self, table: &Relation, context: &EvalContext<'_>) -> SqlResult<Target> {
        match self {
            Access::Full => Ok(Target::Ranges(vec![KeyRange::default()])),
            Access::Index(access) => access.targets(table, context),
        }
    }
}

impl IndexAccess {
    /// The one primary key that the values name; `None` if no row can have it. For an access by the whole primary key,
    /// whose columns are all in plain order.
    pub fn primary_key(&self, index: &Index, context: &EvalContext<'_>) -> SqlResult<Option<Key>> {
        let mut key = Vec::with_capacity(16 * self.equal.len());
        for (program, column) in self.equal.iter().zip(&index.keys) {
            let Some(value) = key_value(program.eval(&[], context)?, column.ty) else {
                return Ok(None);
            };
            let order = KeyOrder {
                descending: column.descending,
                nulls_first: column.nulls_first,
            };
            encode_column(&mut key, &value, order);
        }
        Ok(Some(key.into()))
    }

    fn targets(&self, table: &Relation, context: &EvalContext<'_>) -> SqlResult<Target> {
        let Some(index) = table.indexes.iter().find(|index| index.id == self.index) else {
            return Err(SqlError::new(
                crate::SqlState::INTERNAL_ERROR,
                format!("index {} is gone", self.index),
            ));
        };
        let orders = key_orders(index);
        let mut prefix = Vec::new();
        for (position, program) in self.equal.iter().enumerate() {
            let Some(value) = key_value(program.eval(&[], context)?, index.keys[position].ty) else {
                return Ok(Target::Nothing);
            };
            encode_column(&mut prefix, &value, orders[position]);
        }
        let position = self.equal.len();
        if let Some(any_of) = &self.any_of {
            return self.any_targets(index, &orders, prefix, &any_of.eval(&[], context)?);
        }
        let Some(key) = index
            .keys
            .get(position)
            .filter(|_| self.lower.is_some() || self.upper.is_some() || self.not_null)
        else {
            if index.primary && position == index.keys.len() {
                return Ok(Target::Keys(vec![prefix.into()]));
            }
            return Ok(target(index, vec![prefix_range(prefix)]));
        };
        // NULL never satisfies a comparison, so the column's NULLs are outside of the range whichever end they are at.
        let mut null = prefix.clone();
        encode_column(&mut null, &Datum::Null, orders[position]);
        let values = match orders[position].nulls_first {
            true => KeyRange {
                from: prefix_end(&null).map(Into::into),
                to: prefix_end(&prefix).map(Into::into),
            },
            false => KeyRange {
                from: Some(prefix.clone().into()),
                to: Some(null.into()),
            },
        };
        let mut range = values;
        for (bound, is_lower) in [(&self.lower, true), (&self.upper, false)] {
            let Some((program, comparison)) = bound else { continue };
            let value = program.eval(&[], context)?;
            if value.is_null() {
                return Ok(Target::Nothing);
            }
            // A bound that the column's type cannot hold (an integer out of range) excludes nothing or everything; the
            // condition itself is checked on the rows, so leaving it out is enough.
            let Some(value) = key_value(value, key.ty) else {
                continue;
            };
            let mut edge = prefix.clone();
            encode_column(&mut edge, &value, orders[position]);
            let includes = matches!(comparison, Comparison::LessOrEqual | Comparison::GreaterOrEqual);
            // In a descending column a lower bound of values is an upper bound of keys.
            if is_lower != orders[position].descending {
                let from = if includes { Some(edge) } else { prefix_end(&edge) };
                range.from = greater(range.from, from.map(Into::into));
            } else {
                let to = if includes { prefix_end(&edge) } else { Some(edge) };
                range.to = lesser(range.to, to.map(Into::into));
            }
        }
        Ok(target(index, vec![range]))
    }

    fn any_targets(&self, index: &Index, orders: &[KeyOrder], prefix: Vec<u8>, array: &Datum) -> SqlResult<Target> {
        let Datum::Array(array) = array else {
            return Ok(Target::Nothing);
        };
        let position = self.equal.len();
        let completes = index.primary && position + 1 == index.keys.len();
        let mut keys = std::collections::BTreeSet::new();
        for element in &array.elements {
            if let Some(value) = key_value(element.clone(), index.keys[position].ty) {
                let mut key = prefix.clone();
                encode_column(&mut key, &value, orders[position]);
                keys.insert(Key::from(key));
            }
        }
        Ok(if keys.is_empty() {
            Target::Nothing
        } else if completes {
            Target::Keys(keys.into_iter().collect())
        } else {
            let mut ranges: Vec<KeyRange> = keys.into_iter().map(|key| prefix_range(key.to_vec())).collect();
            if self.reverse {
                ranges.reverse();
            }
            target(index, ranges)
        })
    }
}

fn target(index: &Index, ranges: Vec<KeyRange>) -> Target {
    match index.primary {
        true => Target::Ranges(ranges),
        false => Target::IndexRanges {
            index: index.id,
            global: index.unique,
            ranges,
        },
    }
}

/// All keys that begin with a prefix.
pub fn prefix_range(prefix: Vec<u8>) -> KeyRange {
    let to = prefix_end(&prefix).map(Into::into);
    KeyRange {
        from: Some(prefix.into()),
        to,
    }
}

fn greater(left: Option<Key>, right: Option<Key>) -> Option<Key> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.max(right)),
        (left, right) => left.or(right),
    }
}

fn lesser(left: Option<Key>, right: Option<Key>) -> Option<Key> {
    match (left, right) {
        (Some(left), Some(right)) => Some(left.min(right)),
        (left, right) => left.or(right),
    }
}
