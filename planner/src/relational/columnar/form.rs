//! Forms: how values of a PostgreSQL type stand in an Arrow array.
//!
//! | type                                     | Arrow          |                                                       |
//! |------------------------------------------|----------------|-------------------------------------------------------|
//! | boolean, integers, floats, oid           | the same       |                                                       |
//! | date; time, timestamp, timestamptz       | Int32; Int64   | PostgreSQL's epoch and infinities, so order is theirs |
//! | text, varchar, char, name, json          | Utf8           |                                                       |
//! | bytea, uuid                              | Binary         |                                                       |
//! | jsonb                                    | Binary         | our binary form, read in place                        |
//! | numeric                                  | Binary         | scale and mantissa, or the stored form if it is large |
//! | interval, arrays, records and the rest   | Binary         | the stored form                                       |
//!
//! Values of the last three rows are not ordered as their bytes are: who sorts, groups or joins by them uses key bytes
//! (`storage::key`), see [`key_array`].

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BinaryArray, BinaryBuilder, BooleanBuilder, Float32Builder, Float64Builder, Int16Builder,
    Int32Builder, Int64Builder, StringBuilder, UInt32Builder,
};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Int16Type, Int32Type, Int64Type, UInt32Type};
use bytes::Bytes;
use storage::key::{KeyOrder, encode_column};
use storage::version::{ValueRef, decode_datum, encode_datum};
use storage::{Datum, Jsonb, Numeric};

use crate::types::oid;
use crate::{SqlError, SqlResult, SqlState, Type};

/// How values of a type stand in an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "the types of their names")]
pub enum Form {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    Text,
    Json,
    Bytea,
    Date,
    Time,
    Timestamp,
    TimestampTz,
    Oid,
    Uuid,
    Numeric,
    Jsonb,
    /// Encoded values of any type.
    Stored,
}

impl Form {
    /// The form of a type.
    pub fn of(ty: Type) -> Form {
        match ty.oid {
            oid::BOOL => Form::Bool,
            oid::INT2 => Form::Int2,
            oid::INT4 => Form::Int4,
            oid::INT8 => Form::Int8,
            oid::FLOAT4 => Form::Float4,
            oid::FLOAT8 => Form::Float8,
            oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::NAME | oid::CHAR => Form::Text,
            oid::JSON => Form::Json,
            oid::BYTEA => Form::Bytea,
            oid::DATE => Form::Date,
            oid::TIME => Form::Time,
            oid::TIMESTAMP => Form::Timestamp,
            oid::TIMESTAMPTZ => Form::TimestampTz,
            oid::OID | oid::REGCLASS | oid::REGTYPE | oid::REGPROC => Form::Oid,
            oid::UUID => Form::Uuid,
            oid::NUMERIC => Form::Numeric,
            oid::JSONB => Form::Jsonb,
            _ => Form::Stored,
        }
    }

    /// The Arrow type.
    pub fn data_type(self) -> DataType {
        match self {
            Form::Bool => DataType::Boolean,
            Form::Int2 => DataType::Int16,
            Form::Int4 | Form::Date => DataType::Int32,
            Form::Int8 | Form::Time | Form::Timestamp | Form::TimestampTz => DataType::Int64,
            Form::Float4 => DataType::Float32,
            Form::Float8 => DataType::Float64,
            Form::Text | Form::Json => DataType::Utf8,
            Form::Oid => DataType::UInt32,
            Form::Bytea | Form::Uuid | Form::Numeric | Form::Jsonb | Form::Stored => DataType::Binary,
        }
    }

    /// Whether Arrow's equality and order of the array are PostgreSQL's. Floats are not: there -0 is less than 0.
    pub fn is_ordered(self) -> bool {
        match self {
            Form::Bool
            | Form::Int2
            | Form::Int4
            | Form::Int8
            | Form::Text
            | Form::Bytea
            | Form::Date
            | Form::Time
            | Form::Timestamp
            | Form::TimestampTz
            | Form::Oid
            | Form::Uuid => true,
            Form::Float4 | Form::Float8 | Form::Json | Form::Numeric | Form::Jsonb | Form::Stored => false,
        }
    }
}

/// Builds an array of one form.
pub enum ArrayBuilder {
    /// boolean
    Bool(BooleanBuilder),
    /// smallint
    Int2(Int16Builder),
    /// integer and date
    Int4(Int32Builder),
    /// bigint, times and timestamps
    Int8(Int64Builder),
    /// real
    Float4(Float32Builder),
    /// double precision
    Float8(Float64Builder),
    /// oid
    Oid(UInt32Builder),
    /// Texts
    Text(StringBuilder),
    /// Everything else
    Binary(BinaryBuilder, Form),
}

impl ArrayBuilder {
    /// A builder with room for rows.
    pub fn new(form: Form, rows: usize) -> Self {
        match form {
            Form::Bool => Self::Bool(BooleanBuilder::with_capacity(rows)),
            Form::Int2 => Self::Int2(Int16Builder::with_capacity(rows)),
            Form::Int4 | Form::Date => Self::Int4(Int32Builder::with_capacity(rows)),
            Form::Int8 | Form::Time | Form::Timestamp | Form::TimestampTz => {
                Self::Int8(Int64Builder::with_capacity(rows))
            }
            Form::Float4 => Self::Float4(Float32Builder::with_capacity(rows)),
            Form::Float8 => Self::Float8(Float64Builder::with_capacity(rows)),
            Form::Oid => Self::Oid(UInt32Builder::with_capacity(rows)),
            Form::Text | Form::Json => Self::Text(StringBuilder::with_capacity(rows, rows * 16)),
            Form::Bytea | Form::Uuid | Form::Numeric | Form::Jsonb | Form::Stored => {
                Self::Binary(BinaryBuilder::with_capacity(rows, rows * 24), form)
            }
        }
    }

    /// Adds a value.
    ///
    /// # Errors
    /// XX000 if it is not of the form's type: the binder put the casts in.
    pub fn push(&mut self, value: &Datum) -> SqlResult<()> {
        self.push_value(ValueRef::from(value))
    }

    /// As [`push`](Self::push), for a value where it lies.
    ///
    /// # Errors
    /// As there.
    pub fn push_value(&mut self, value: ValueRef<'_>) -> SqlResult<()> {
        match (self, value) {
            (Self::Bool(builder), ValueRef::Bool(value)) => builder.append_value(value),
            (Self::Int2(builder), ValueRef::Int2(value)) => builder.append_value(value),
            (Self::Int4(builder), ValueRef::Int4(value) | ValueRef::Date(value)) => builder.append_value(value),
            (
                Self::Int8(builder),
                ValueRef::Int8(value)
                | ValueRef::Time(value)
                | ValueRef::Timestamp(value)
                | ValueRef::TimestampTz(value),
            ) => builder.append_value(value),
            (Self::Float4(builder), ValueRef::Float4(value)) => builder.append_value(value),
            (Self::Float8(builder), ValueRef::Float8(value)) => builder.append_value(value),
            (Self::Oid(builder), ValueRef::Oid(value)) => builder.append_value(value),
            (Self::Text(builder), ValueRef::Text(value) | ValueRef::Json(value)) => builder.append_value(value),
            (Self::Binary(builder, Form::Bytea), ValueRef::Bytea(value))
            | (Self::Binary(builder, Form::Uuid), ValueRef::Uuid(value))
            | (Self::Binary(builder, Form::Jsonb), ValueRef::Jsonb(value)) => builder.append_value(value),
            (Self::Binary(builder, Form::Numeric), ValueRef::Numeric(mantissa, scale)) => {
                builder.append_value(small_numeric(mantissa, scale));
            }
            (Self::Binary(builder, Form::Numeric), ValueRef::Other(Datum::Numeric(value))) => {
                write_numeric(builder, &value);
            }
            (builder, ValueRef::Null) => builder.push_null(),
            (Self::Binary(builder, Form::Stored), value) => {
                let mut bytes = Vec::new();
                encode_datum(&mut bytes, &value.to_datum());
                builder.append_value(bytes);
            }
            (_, value) => {
                return Err(SqlError::new(
                    SqlState::INTERNAL_ERROR,
                    format!("value {value:?} is not of its column's type"),
                ));
            }
        }
        Ok(())
    }

    /// Adds NULL.
    pub fn push_null(&mut self) {
        match self {
            Self::Bool(builder) => builder.append_null(),
            Self::Int2(builder) => builder.append_null(),
            Self::Int4(builder) => builder.append_null(),
            Self::Int8(builder) => builder.append_null(),
            Self::Float4(builder) => builder.append_null(),
            Self::Float8(builder) => builder.append_null(),
            Self::Oid(builder) => builder.append_null(),
            Self::Text(builder) => builder.append_null(),
            Self::Binary(builder, _) => builder.append_null(),
        }
    }

    /// The array.
    pub fn finish(mut self) -> ArrayRef {
        match &mut self {
            Self::Bool(builder) => Arc::new(builder.finish()),
            Self::Int2(builder) => Arc::new(builder.finish()),
            Self::Int4(builder) => Arc::new(builder.finish()),
            Self::Int8(builder) => Arc::new(builder.finish()),
            Self::Float4(builder) => Arc::new(builder.finish()),
            Self::Float8(builder) => Arc::new(builder.finish()),
            Self::Oid(builder) => Arc::new(builder.finish()),
            Self::Text(builder) => Arc::new(builder.finish()),
            Self::Binary(builder, _) => Arc::new(builder.finish()),
        }
    }
}

/// First byte of a numeric that stands as scale and mantissa; otherwise the stored form follows.
const SMALL: u8 = 1;
const LARGE: u8 = 0;

/// A numeric as scale and mantissa.
pub(crate) fn small_numeric(mantissa: i128, scale: u32) -> [u8; 19] {
    let mut bytes = [0u8; 19];
    bytes[0] = SMALL;
    bytes[1..3].copy_from_slice(&(scale as u16).to_le_bytes());
    bytes[3..].copy_from_slice(&mantissa.to_le_bytes());
    bytes
}

/// Mantissa and scale of a numeric of an array, if it stands as those.
pub(crate) fn read_small_numeric(bytes: &[u8]) -> Option<(i128, u32)> {
    let bytes: &[u8; 19] = bytes.try_into().ok()?;
    if bytes[0] != SMALL {
        return None;
    }
    let scale = u16::from_le_bytes([bytes[1], bytes[2]]);
    let mantissa = i128::from_le_bytes(*bytes.last_chunk()?);
    Some((mantissa, u32::from(scale)))
}

pub(crate) fn write_numeric(builder: &mut BinaryBuilder, value: &Numeric) {
    match value.small_parts() {
        Some((mantissa, scale)) => builder.append_value(small_numeric(mantissa, scale)),
        None => {
            let mut bytes = vec![LARGE];
            encode_datum(&mut bytes, &Datum::Numeric(value.clone()));
            builder.append_value(bytes);
        }
    }
}

/// Reads a numeric of an array.
pub fn read_numeric(bytes: &[u8]) -> Option<Numeric> {
    if let Some((mantissa, scale)) = read_small_numeric(bytes) {
        return Numeric::from_parts(mantissa, scale);
    }
    match decode_datum(&Bytes::copy_from_slice(bytes.get(1..)?)).ok()? {
        Datum::Numeric(value) => Some(value),
        _ => None,
    }
}

/// An Arrow buffer as the owner of bytes.
struct Shared(arrow::buffer::Buffer);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// Reads the values of an array.
pub enum Reader<'a> {
    /// Any array whose values are read one by one.
    Plain(&'a dyn Array, Form),
    /// An array of documents: their bytes are shared, not copied.
    Shared(&'a BinaryArray, Bytes, Form),
}

impl<'a> Reader<'a> {
    /// A reader of an array of a form.
    pub fn new(array: &'a ArrayRef, form: Form) -> Self {
        match form {
            Form::Jsonb | Form::Bytea => {
                let array = array.as_binary::<i32>();
                Self::Shared(array, Bytes::from_owner(Shared(array.values().clone())), form)
            }
            _ => Self::Plain(array.as_ref(), form),
        }
    }

    /// The value of a row.
    pub fn get(&self, row: usize) -> Datum {
        match self {
            Self::Shared(array, bytes, form) => {
                if array.is_null(row) {
                    return Datum::Null;
                }
                let offsets = array.value_offsets();
                let part = bytes.slice(offsets[row] as usize..offsets[row + 1] as usize);
                match form {
                    Form::Jsonb => Datum::Jsonb(Jsonb::from_trusted_bytes(part)),
                    _ => Datum::Bytea(part),
                }
            }
            Self::Plain(array, form) => read(*array, *form, row),
        }
    }
}

fn read(array: &dyn Array, form: Form, row: usize) -> Datum {
    if array.is_null(row) {
        return Datum::Null;
    }
    match form {
        Form::Bool => Datum::Bool(array.as_boolean().value(row)),
        Form::Int2 => Datum::Int2(array.as_primitive::<Int16Type>().value(row)),
        Form::Int4 => Datum::Int4(array.as_primitive::<Int32Type>().value(row)),
        Form::Date => Datum::Date(array.as_primitive::<Int32Type>().value(row)),
        Form::Int8 => Datum::Int8(array.as_primitive::<Int64Type>().value(row)),
        Form::Time => Datum::Time(array.as_primitive::<Int64Type>().value(row)),
        Form::Timestamp => Datum::Timestamp(array.as_primitive::<Int64Type>().value(row)),
        Form::TimestampTz => Datum::TimestampTz(array.as_primitive::<Int64Type>().value(row)),
        Form::Float4 => Datum::Float4(array.as_primitive::<Float32Type>().value(row)),
        Form::Float8 => Datum::Float8(array.as_primitive::<Float64Type>().value(row)),
        Form::Oid => Datum::Oid(array.as_primitive::<UInt32Type>().value(row)),
        Form::Text => Datum::text(array.as_string::<i32>().value(row)),
        Form::Json => Datum::Json(array.as_string::<i32>().value(row).into()),
        Form::Uuid => array
            .as_binary::<i32>()
            .value(row)
            .try_into()
            .map_or(Datum::Null, Datum::Uuid),
        Form::Numeric => read_numeric(array.as_binary::<i32>().value(row)).map_or(Datum::Null, Datum::Numeric),
        Form::Bytea => Datum::bytea(array.as_binary::<i32>().value(row).to_vec()),
        Form::Jsonb => Datum::Jsonb(Jsonb::from_trusted_bytes(Bytes::copy_from_slice(
            array.as_binary::<i32>().value(row),
        ))),
        Form::Stored => {
            let bytes = Bytes::copy_from_slice(array.as_binary::<i32>().value(row));
            decode_datum(&bytes).unwrap_or(Datum::Null)
        }
    }
}

/// An array whose Arrow equality and order are PostgreSQL's: the values themselves, or their key bytes.
pub fn key_array(array: &ArrayRef, form: Form) -> ArrayRef {
    if form.is_ordered() {
        return array.clone();
    }
    let reader = Reader::new(array, form);
    let mut builder = BinaryBuilder::with_capacity(array.len(), array.len() * 16);
    let mut bytes = Vec::new();
    for row in 0..array.len() {
        match reader.get(row) {
            Datum::Null => builder.append_null(),
            value => {
                bytes.clear();
                encode_column(&mut bytes, &value, KeyOrder::default());
                builder.append_value(&bytes);
            }
        }
    }
    Arc::new(builder.finish())
}

/// Arrow type of [`key_array`].
pub fn key_data_type(form: Form) -> DataType {
    if form.is_ordered() {
        form.data_type()
    } else {
        DataType::Binary
    }
}
