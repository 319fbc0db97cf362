//! Index entries: the encoded value a row has in an index.

use std::borrow::Cow;

use bytes::Bytes;
use storage::Datum;
use storage::key::{KeyOrder, encode_columns};

use crate::catalog::Index;
use crate::eval::EvalContext;
use crate::modify::program::IndexProgram;
use crate::types::oid;
use crate::{SqlError, SqlResult, Type};

/// The value of a row in an index.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Encoded value.
    pub value: Bytes,
    /// The values, for messages.
    pub values: Vec<Datum>,
    /// Whether a NULL among them makes the entry distinct from every other one.
    pub is_distinct: bool,
}

/// The entry of a row, `None` if the index's predicate leaves it out.
///
/// # Errors
/// What the key expressions raise; 54000 for a value that is too long for an index.
pub fn entry(index: &IndexProgram, row: &[Datum], context: &EvalContext<'_>) -> SqlResult<Option<Entry>> {
    if let Some(predicate) = &index.predicate
        && !matches!(predicate.program.eval(row, context)?, Datum::Bool(true))
    {
        return Ok(None);
    }
    let values = index
        .keys
        .iter()
        .map(|key| key.program.eval(row, context))
        .collect::<SqlResult<Vec<_>>>()?;
    let value = encode(&index.index, &values)?;
    let is_distinct = !index.index.nulls_not_distinct && values.iter().any(Datum::is_null);
    Ok(Some(Entry {
        value,
        values,
        is_distinct,
    }))
}

/// Encodes values of an index's leading keys.
///
/// # Errors
/// 54000 for a value that is too long for an index.
pub fn encode(index: &Index, values: &[Datum]) -> SqlResult<Bytes> {
    let orders: Vec<KeyOrder> = index
        .keys
        .iter()
        .take(values.len())
        .map(|key| KeyOrder {
            descending: key.descending,
            nulls_first: key.nulls_first,
        })
        .collect();
    let values: Vec<Cow<'_, Datum>> = values
        .iter()
        .zip(&index.keys)
        .map(|(value, key)| as_key(value, key.ty))
        .collect();
    let values = values.iter().map(|value| &**value);
    encode_columns(values, &orders).map(Bytes::from).map_err(SqlError::from)
}

/// A value of a column as keys hold it: bpchar without the trailing blanks that its order and equality ignore.
pub fn as_key(value: &Datum, ty: Type) -> Cow<'_, Datum> {
    match value {
        Datum::Text(text) if ty.oid == oid::BPCHAR && text.ends_with(' ') => {
            Cow::Owned(Datum::text(text.trim_end_matches(' ')))
        }
        _ => Cow::Borrowed(value),
    }
}
