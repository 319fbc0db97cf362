//! One value as it stands in a row: a type tag, kept apart, and bytes whose length is known from outside.

use std::sync::Arc;

use bytes::Bytes;

use super::row::{RowView, encode_row};
use crate::{Array, Datum, Interval, Jsonb, Numeric, StorageError, StorageResult};

pub(super) const NULL: u8 = 0;
pub(super) const FALSE: u8 = 1;
pub(super) const TRUE: u8 = 2;
pub(super) const INT2: u8 = 3;
pub(super) const INT4: u8 = 4;
pub(super) const INT8: u8 = 5;
pub(super) const FLOAT4: u8 = 6;
pub(super) const FLOAT8: u8 = 7;
pub(super) const NUMERIC: u8 = 8;
pub(super) const TEXT: u8 = 9;
pub(super) const BYTEA: u8 = 10;
pub(super) const DATE: u8 = 11;
pub(super) const TIME: u8 = 12;
pub(super) const TIMETZ: u8 = 13;
pub(super) const TIMESTAMP: u8 = 14;
pub(super) const TIMESTAMPTZ: u8 = 15;
pub(super) const INTERVAL: u8 = 16;
pub(super) const UUID: u8 = 17;
pub(super) const JSON: u8 = 18;
pub(super) const JSONB: u8 = 19;
pub(super) const OID: u8 = 20;
pub(super) const ARRAY: u8 = 21;
pub(super) const RECORD: u8 = 22;

/// Arrays and records may nest this deep.
const DEPTH_MAX: usize = 64;

/// Encodes one value with its tag in front.
pub fn encode_datum(out: &mut Vec<u8>, value: &Datum) {
    let at = out.len();
    out.push(NULL);
    out[at] = write_value(out, value);
}

/// Decodes what [`encode_datum`] wrote; `bytes` must be all of it.
///
/// # Errors
/// [`StorageError::Corrupted`]
pub fn decode_datum(bytes: &Bytes) -> StorageResult<Datum> {
    match bytes.first() {
        Some(tag) => read_value(*tag, bytes.slice(1..), 0),
        None => Err(StorageError::corrupted("value")),
    }
}

/// Appends a value's bytes and returns its tag.
pub(super) fn write_value(out: &mut Vec<u8>, value: &Datum) -> u8 {
    match value {
        Datum::Null => NULL,
        Datum::Bool(false) => FALSE,
        Datum::Bool(true) => TRUE,
        Datum::Int2(value) => put(out, INT2, &value.to_le_bytes()),
        Datum::Int4(value) => put(out, INT4, &value.to_le_bytes()),
        Datum::Int8(value) => put(out, INT8, &value.to_le_bytes()),
        Datum::Float4(value) => put(out, FLOAT4, &value.to_bits().to_le_bytes()),
        Datum::Float8(value) => put(out, FLOAT8, &value.to_bits().to_le_bytes()),
        Datum::Numeric(value) => {
            write_numeric(out, value);
            NUMERIC
        }
        Datum::Text(value) => put(out, TEXT, value.as_bytes()),
        Datum::Bytea(value) => put(out, BYTEA, value),
        Datum::Date(value) => put(out, DATE, &value.to_le_bytes()),
        Datum::Time(value) => put(out, TIME, &value.to_le_bytes()),
        Datum::TimeTz(micros, zone) => {
            put(out, TIMETZ, &micros.to_le_bytes());
            put(out, TIMETZ, &zone.to_le_bytes())
        }
        Datum::Timestamp(value) => put(out, TIMESTAMP, &value.to_le_bytes()),
        Datum::TimestampTz(value) => put(out, TIMESTAMPTZ, &value.to_le_bytes()),
        Datum::Interval(value) => {
            put(out, INTERVAL, &value.months.to_le_bytes());
            put(out, INTERVAL, &value.days.to_le_bytes());
            put(out, INTERVAL, &value.micros.to_le_bytes())
        }
        Datum::Uuid(value) => put(out, UUID, value),
        Datum::Json(value) => put(out, JSON, value.as_bytes()),
        Datum::Jsonb(value) => put(out, JSONB, value.as_bytes()),
        Datum::Oid(value) => put(out, OID, &value.to_le_bytes()),
        Datum::Array(array) => {
            write_array(out, array);
            ARRAY
        }
        Datum::Record(fields) => {
            encode_row(out, fields);
            RECORD
        }
    }
}

fn put(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) -> u8 {
    out.extend_from_slice(bytes);
    tag
}

/// Special values are one byte; a finite one is its scale and its mantissa, two's complement, little-endian.
fn write_numeric(out: &mut Vec<u8>, value: &Numeric) {
    if let Some((mantissa, scale)) = value.small_parts() {
        out.extend_from_slice(&(scale as u16).to_le_bytes());
        let bits = 129
            - if mantissa < 0 {
                mantissa.leading_ones()
            } else {
                mantissa.leading_zeros()
            };
        let size = if mantissa == 0 {
            0
        } else {
            bits.div_ceil(8).min(16) as usize
        };
        out.extend_from_slice(&mantissa.to_le_bytes()[..size]);
    } else if let Some((mantissa, scale)) = value.big_parts() {
        out.extend_from_slice(&(scale as u16).to_le_bytes());
        out.extend_from_slice(&mantissa.to_signed_bytes_le());
    } else {
        out.push(if value.is_nan() {
            2
        } else {
            u8::from(value.is_negative())
        });
    }
}

fn write_array(out: &mut Vec<u8>, array: &Array) {
    out.extend_from_slice(&array.element_type.to_le_bytes());
    out.push(array.dimensions.len() as u8);
    for (length, bound) in &array.dimensions {
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(&bound.to_le_bytes());
    }
    encode_row(out, &array.elements);
}

/// Reads a value from its bytes.
pub(super) fn read_value(tag: u8, bytes: Bytes, depth: usize) -> StorageResult<Datum> {
    let corrupted = || StorageError::corrupted(format_args!("value of type tag {tag}"));
    read(tag, bytes, depth).ok_or_else(corrupted)?
}

fn read(tag: u8, bytes: Bytes, depth: usize) -> Option<StorageResult<Datum>> {
    Some(Ok(match tag {
        NULL => empty(&bytes, Datum::Null)?,
        FALSE => empty(&bytes, Datum::Bool(false))?,
        TRUE => empty(&bytes, Datum::Bool(true))?,
        INT2 => Datum::Int2(i16::from_le_bytes(exact(&bytes)?)),
        INT4 => Datum::Int4(i32::from_le_bytes(exact(&bytes)?)),
        INT8 => Datum::Int8(i64::from_le_bytes(exact(&bytes)?)),
        FLOAT4 => Datum::Float4(f32::from_bits(u32::from_le_bytes(exact(&bytes)?))),
        FLOAT8 => Datum::Float8(f64::from_bits(u64::from_le_bytes(exact(&bytes)?))),
        NUMERIC => Datum::Numeric(read_numeric(&bytes)?),
        TEXT => Datum::Text(text(&bytes)?),
        BYTEA => Datum::Bytea(bytes),
        DATE => Datum::Date(i32::from_le_bytes(exact(&bytes)?)),
        TIME => Datum::Time(i64::from_le_bytes(exact(&bytes)?)),
        TIMETZ => {
            let (micros, zone) = bytes.split_first_chunk::<8>()?;
            Datum::TimeTz(i64::from_le_bytes(*micros), i32::from_le_bytes(exact(zone)?))
        }
        TIMESTAMP => Datum::Timestamp(i64::from_le_bytes(exact(&bytes)?)),
        TIMESTAMPTZ => Datum::TimestampTz(i64::from_le_bytes(exact(&bytes)?)),
        INTERVAL => {
            let (months, rest) = bytes.split_first_chunk::<4>()?;
            let (days, micros) = rest.split_first_chunk::<4>()?;
            let (months, days) = (i32::from_le_bytes(*months), i32::from_le_bytes(*days));
            Datum::Interval(Interval::new(months, days, i64::from_le_bytes(exact(micros)?)))
        }
        UUID => Datum::Uuid(exact(&bytes)?),
        JSON => Datum::Json(text(&bytes)?),
        // The version's checksum has vouched for the bytes; checking each of a megabyte again would make every read slow.
        JSONB => Datum::Jsonb(Jsonb::from_trusted_bytes(bytes)),
        OID => Datum::Oid(u32::from_le_bytes(exact(&bytes)?)),
        ARRAY | RECORD if depth >= DEPTH_MAX => return None,
        ARRAY => return read_array(&bytes, depth + 1),
        RECORD => return Some(RowView::open(bytes).and_then(|row| Ok(Datum::record(row.to_row_at(depth + 1)?)))),
        _ => return None,
    }))
}

fn empty(bytes: &[u8], value: Datum) -> Option<Datum> {
    bytes.is_empty().then_some(value)
}

pub(super) fn exact<const SIZE: usize>(bytes: &[u8]) -> Option<[u8; SIZE]> {
    bytes.try_into().ok()
}

fn text(bytes: &[u8]) -> Option<Arc<str>> {
    std::str::from_utf8(bytes).ok().map(Arc::from)
}

/// Mantissa and scale of a finite number whose mantissa fits.
pub(super) fn small_numeric(bytes: &[u8]) -> Option<(i128, u32)> {
    let (scale, mantissa) = bytes.split_first_chunk::<2>()?;
    if mantissa.len() > 16 {
        return None;
    }
    let fill = if mantissa.last().is_some_and(|top| top & 0x80 != 0) {
        0xFF
    } else {
        0
    };
    let mut wide = [fill; 16];
    wide[..mantissa.len()].copy_from_slice(mantissa);
    Some((i128::from_le_bytes(wide), u32::from(u16::from_le_bytes(*scale))))
}

fn read_numeric(bytes: &[u8]) -> Option<Numeric> {
    if let Some((mantissa, scale)) = small_numeric(bytes) {
        return Numeric::from_parts(mantissa, scale);
    }
    match bytes {
        [0] => Some(Numeric::INFINITY),
        [1] => Some(Numeric::NEGATIVE_INFINITY),
        [2] => Some(Numeric::NAN),
        [low, high, mantissa @ ..] => {
            let scale = u32::from(u16::from_le_bytes([*low, *high]));
            Numeric::from_big_parts(num_bigint::BigInt::from_signed_bytes_le(mantissa), scale).ok()
        }
        _ => None,
    }
}

fn read_array(bytes: &Bytes, depth: usize) -> Option<StorageResult<Datum>> {
    let (element_type, rest) = bytes.split_first_chunk::<4>()?;
    let (&count, mut rest) = rest.split_first()?;
    let mut dimensions = Vec::with_capacity(usize::from(count));
    for _ in 0..count {
        let (length, after) = rest.split_first_chunk::<4>()?;
        let (bound, after) = after.split_first_chunk::<4>()?;
        dimensions.push((i32::from_le_bytes(*length), i32::from_le_bytes(*bound)));
        rest = after;
    }
    let elements = RowView::open(bytes.slice_ref(rest)).and_then(|row| row.to_row_at(depth));
    let element_type = u32::from_le_bytes(*element_type);
    Some(elements.map(|elements| {
        Datum::Array(Arc::new(Array {
            element_type,
            dimensions,
            elements,
        }))
    }))
}
