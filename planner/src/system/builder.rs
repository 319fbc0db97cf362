//! Builder: rows of a system relation, filled by column name.

use std::collections::HashMap;

use storage::Datum;

use crate::catalog::{INFORMATION_SCHEMA, Relation, SystemRows};
use crate::types::oid;

/// Builds rows by column name. What is not set keeps the type's neutral value; in information_schema it is NULL.
pub struct Builder {
    positions: HashMap<String, usize>,
    neutral: Vec<Datum>,
    rows: SystemRows,
}

impl Builder {
    /// A builder for a relation.
    pub fn new(relation: &Relation) -> Self {
        let neutral = relation
            .columns
            .iter()
            .map(|column| match relation.schema {
                INFORMATION_SCHEMA => Datum::Null,
                _ => neutral(&column.name, column.ty.oid),
            })
            .collect();
        let positions = relation
            .columns
            .iter()
            .enumerate()
            .map(|(i, column)| (column.name.clone(), i))
            .collect();
        Self {
            positions,
            neutral,
            rows: Vec::new(),
        }
    }

    /// Adds a row with these columns set.
    ///
    /// # Panics
    /// In debug builds, if a column does not exist: a typing error of ours.
    pub fn row<const N: usize>(&mut self, values: [(&str, Datum); N]) {
        let mut row = self.neutral.clone();
        for (column, value) in values {
            let position = self.positions.get(column).copied();
            debug_assert!(position.is_some(), "no column {column}");
            if let Some(position) = position {
                row[position] = value;
            }
        }
        self.rows.push(row);
    }

    /// The rows.
    pub fn finish(self) -> SystemRows {
        self.rows
    }
}

/// What a column holds when there is nothing to say: counters 0, flags false, references 0; texts and the rest NULL.
fn neutral(name: &str, ty: u32) -> Datum {
    match ty {
        oid::BOOL => Datum::Bool(false),
        oid::INT2 => Datum::Int2(0),
        oid::INT4 => Datum::Int4(0),
        oid::OID | oid::REGPROC => Datum::Oid(0),
        oid::FLOAT4 => Datum::Float4(0.0),
        oid::CHAR if name.starts_with("att") => Datum::text(""),
        _ => Datum::Null,
    }
}

/// A name or text.
pub fn text(value: impl AsRef<str>) -> Datum {
    Datum::text(value.as_ref())
}

/// A text that may be missing.
pub fn maybe(value: Option<impl AsRef<str>>) -> Datum {
    value.map_or(Datum::Null, text)
}

/// An OID.
pub fn id(value: u32) -> Datum {
    Datum::Oid(value)
}

/// An int2vector of attribute numbers, or the like.
pub fn vector(numbers: impl IntoIterator<Item = i16>) -> Datum {
    Datum::array(oid::INT2, numbers.into_iter().map(Datum::Int2).collect())
}
