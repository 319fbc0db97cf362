//! Values read where they lie: a scan looks at bytes in RocksDB's cache and copies what is wanted, once.

use bytes::Bytes;

use super::row::Layout;
use super::value::{self, read_value};
use crate::{Datum, Jsonb, Numeric, StorageError, StorageResult};

/// A value that borrows from the row it stands in. What has no borrowed form is decoded.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the types of their names, as in `Datum`")]
pub enum ValueRef<'a> {
    Null,
    Bool(bool),
    Int2(i16),
    Int4(i32),
    Int8(i64),
    Float4(f32),
    Float8(f64),
    Oid(u32),
    Date(i32),
    Time(i64),
    Timestamp(i64),
    TimestampTz(i64),
    /// A finite number: mantissa and scale.
    Numeric(i128, u32),
    Text(&'a str),
    Json(&'a str),
    Bytea(&'a [u8]),
    Uuid(&'a [u8]),
    Jsonb(&'a [u8]),
    /// Any other value.
    Other(Datum),
}

impl<'a> From<&'a Datum> for ValueRef<'a> {
    fn from(value: &'a Datum) -> Self {
        match value {
            Datum::Null => Self::Null,
            Datum::Bool(value) => Self::Bool(*value),
            Datum::Int2(value) => Self::Int2(*value),
            Datum::Int4(value) => Self::Int4(*value),
            Datum::Int8(value) => Self::Int8(*value),
            Datum::Float4(value) => Self::Float4(*value),
            Datum::Float8(value) => Self::Float8(*value),
            Datum::Oid(value) => Self::Oid(*value),
            Datum::Date(value) => Self::Date(*value),
            Datum::Time(value) => Self::Time(*value),
            Datum::Timestamp(value) => Self::Timestamp(*value),
            Datum::TimestampTz(value) => Self::TimestampTz(*value),
            Datum::Numeric(value) => match value.small_parts() {
                Some((mantissa, scale)) => Self::Numeric(mantissa, scale),
                None => Self::Other(Datum::Numeric(value.clone())),
            },
            Datum::Text(value) => Self::Text(value),
            Datum::Json(value) => Self::Json(value),
            Datum::Bytea(value) => Self::Bytea(value),
            Datum::Uuid(value) => Self::Uuid(value),
            Datum::Jsonb(value) => Self::Jsonb(value.as_bytes()),
            other => Self::Other(other.clone()),
        }
    }
}

impl ValueRef<'_> {
    /// The value itself.
    pub fn to_datum(&self) -> Datum {
        match self {
            Self::Null => Datum::Null,
            Self::Bool(value) => Datum::Bool(*value),
            Self::Int2(value) => Datum::Int2(*value),
            Self::Int4(value) => Datum::Int4(*value),
            Self::Int8(value) => Datum::Int8(*value),
            Self::Float4(value) => Datum::Float4(*value),
            Self::Float8(value) => Datum::Float8(*value),
            Self::Oid(value) => Datum::Oid(*value),
            Self::Date(value) => Datum::Date(*value),
            Self::Time(value) => Datum::Time(*value),
            Self::Timestamp(value) => Datum::Timestamp(*value),
            Self::TimestampTz(value) => Datum::TimestampTz(*value),
            Self::Numeric(mantissa, scale) => {
                Numeric::from_parts(*mantissa, *scale).map_or(Datum::Null, Datum::Numeric)
            }
            Self::Text(value) => Datum::text(*value),
            Self::Json(value) => Datum::Json((*value).into()),
            Self::Bytea(value) => Datum::bytea(value.to_vec()),
            Self::Uuid(value) => (*value).try_into().map_or(Datum::Null, Datum::Uuid),
            Self::Jsonb(value) => Datum::Jsonb(Jsonb::from_trusted_bytes(Bytes::copy_from_slice(value))),
            Self::Other(value) => value.clone(),
        }
    }
}

/// An encoded row where it lies.
#[derive(Clone, Copy, Debug)]
pub struct RowSlice<'a> {
    bytes: &'a [u8],
    layout: Layout,
}

impl<'a> RowSlice<'a> {
    /// Reads the header of an encoded row.
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]
    pub fn open(bytes: &'a [u8]) -> StorageResult<RowSlice<'a>> {
        let layout = Layout::parse(bytes)?;
        Ok(RowSlice { bytes, layout })
    }

    /// Reads one column; `None` if the row is shorter (the column was added later).
    ///
    /// # Errors
    /// [`StorageError::Corrupted`]
    pub fn column(&self, index: usize) -> StorageResult<Option<ValueRef<'a>>> {
        let Some((tag, range)) = self.layout.value(self.bytes, index)? else {
            return Ok(None);
        };
        read(tag, &self.bytes[range]).map(Some)
    }
}

fn read(tag: u8, bytes: &[u8]) -> StorageResult<ValueRef<'_>> {
    let corrupted = || StorageError::corrupted(format_args!("value of type tag {tag}"));
    Ok(match tag {
        value::NULL => ValueRef::Null,
        value::FALSE => ValueRef::Bool(false),
        value::TRUE => ValueRef::Bool(true),
        value::INT2 => ValueRef::Int2(i16::from_le_bytes(value::exact(bytes).ok_or_else(corrupted)?)),
        value::INT4 => ValueRef::Int4(i32::from_le_bytes(value::exact(bytes).ok_or_else(corrupted)?)),
        value::INT8 => ValueRef::Int8(i64::from_le_bytes(value::exact(bytes).ok_or_else(corrupted)?)),
        value::FLOAT4 => ValueRef::Float4(f32::from_le_bytes(value::exact(bytes).ok_or_else(corrupted)?)),
        value::FLOAT8 => ValueRef::Float8(f64::from_le_bytes(value::exact(bytes).ok_or_else(corrupted)?)),
        value::OID => ValueRef::Oid(u32::from_le_bytes(value::exact(bytes).ok_or_else(corrupted)?)),
        value::DATE => ValueRef::Date(i32::from_le_bytes(value::exact(bytes).ok_or_else(corrupted)?)),
        value::TIME => ValueRef::Time(i64::from_le_bytes(value::exact(bytes).ok_or_else(corrupted)?)),
        value::TIMESTAMP => ValueRef::Timestamp(i64::from_le_bytes(value::exact(bytes).ok_or_else(corrupted)?)),
        value::TIMESTAMPTZ => ValueRef::TimestampTz(i64::from_le_bytes(value::exact(bytes).ok_or_else(corrupted)?)),
        value::TEXT => ValueRef::Text(std::str::from_utf8(bytes).map_err(|_| corrupted())?),
        value::JSON => ValueRef::Json(std::str::from_utf8(bytes).map_err(|_| corrupted())?),
        value::BYTEA => ValueRef::Bytea(bytes),
        value::UUID => ValueRef::Uuid(bytes),
        value::JSONB => ValueRef::Jsonb(bytes),
        value::NUMERIC if value::small_numeric(bytes).is_some() => {
            let (mantissa, scale) = value::small_numeric(bytes).ok_or_else(corrupted)?;
            ValueRef::Numeric(mantissa, scale)
        }
        _ => ValueRef::Other(read_value(tag, Bytes::copy_from_slice(bytes), 0)?),
    })
}
