//! One column of a key.

use std::sync::Arc;

use crate::datum::utc_time;
use crate::{Array, Datum, Interval, Jsonb, Numeric, StorageError, StorageResult};

/// NULLS FIRST
const NULL_FIRST: u8 = 0x00;
/// NULLS LAST
const NULL_LAST: u8 = 0xFF;
/// Set in the marker of a descending column.
const DESCENDING: u8 = 0x40;
/// Behind the elements of an array or record; below every marker.
const END: u8 = 0x00;

/// Arrays and records may nest this deep in a key.
const DEPTH_MAX: usize = 32;

const BOOL: u8 = 0x01;
const INT2: u8 = 0x02;
const INT4: u8 = 0x03;
const INT8: u8 = 0x04;
const FLOAT4: u8 = 0x05;
const FLOAT8: u8 = 0x06;
const NUMERIC: u8 = 0x07;
const TEXT: u8 = 0x08;
const BYTEA: u8 = 0x09;
const DATE: u8 = 0x0A;
const TIME: u8 = 0x0B;
const TIMETZ: u8 = 0x0C;
const TIMESTAMP: u8 = 0x0D;
const TIMESTAMPTZ: u8 = 0x0E;
const INTERVAL: u8 = 0x0F;
const UUID: u8 = 0x10;
const JSON: u8 = 0x11;
const JSONB: u8 = 0x12;
const OID: u8 = 0x13;
const ARRAY: u8 = 0x14;
const RECORD: u8 = 0x15;

/// How one column of a key is ordered. The default is ascending with NULLs last, as in PostgreSQL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct KeyOrder {
    /// DESC
    pub descending: bool,
    /// NULLS FIRST (PostgreSQL's default for DESC)
    pub nulls_first: bool,
}

/// Appends one column.
pub fn encode_column(out: &mut Vec<u8>, value: &Datum, order: KeyOrder) {
    let start = out.len();
    write_datum(out, value);
    if value.is_null() {
        out[start] = if order.nulls_first { NULL_FIRST } else { NULL_LAST };
    } else if order.descending {
        out[start] |= DESCENDING;
        out[start + 1..].iter_mut().for_each(|byte| *byte = !*byte);
    }
}

/// Encodes columns one after the other; those beyond `orders` are ascending.
///
/// # Errors
/// [`StorageError::Limit`] beyond [`super::KEY_BYTES_MAX`].
pub fn encode_columns<'a>(values: impl IntoIterator<Item = &'a Datum>, orders: &[KeyOrder]) -> StorageResult<Vec<u8>> {
    let mut out = Vec::with_capacity(32);
    for (index, value) in values.into_iter().enumerate() {
        encode_column(&mut out, value, orders.get(index).copied().unwrap_or_default());
    }
    if out.len() > super::KEY_BYTES_MAX {
        let message = format!("index row size {} exceeds maximum {}", out.len(), super::KEY_BYTES_MAX);
        return Err(StorageError::Limit(message));
    }
    Ok(out)
}

/// Decodes every column of a key part.
///
/// # Errors
/// [`StorageError::Corrupted`]
pub fn decode_columns(mut key: &[u8]) -> StorageResult<Vec<Datum>> {
    let mut values = Vec::new();
    while !key.is_empty() {
        let (value, rest) = read_column(key).ok_or_else(|| StorageError::corrupted("key"))?;
        values.push(value);
        key = rest;
    }
    Ok(values)
}

/// Reads one column; returns the rest of the key. `None` if the bytes are not a key.
pub fn read_column(key: &[u8]) -> Option<(Datum, &[u8])> {
    let (&marker, body) = key.split_first()?;
    if marker == NULL_FIRST || marker == NULL_LAST {
        return Some((Datum::Null, body));
    }
    if marker & DESCENDING == 0 {
        return read_datum(key, 0);
    }
    // The end of a descending column is not known before it is read: read an inverted copy, and map its rest back.
    let mut inverted: Vec<u8> = body.iter().map(|byte| !byte).collect();
    inverted.insert(0, marker & !DESCENDING);
    let (value, rest) = read_datum(&inverted, 0)?;
    Some((value, &key[key.len() - rest.len()..]))
}

/// Bytes with an end mark: 0x00 becomes 0x00 0xFF, the end is 0x00 0x01.
pub fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    let mut rest = bytes;
    while let Some(zero) = rest.iter().position(|byte| *byte == 0) {
        out.extend_from_slice(&rest[..zero]);
        out.extend_from_slice(&[0, 0xFF]);
        rest = &rest[zero + 1..];
    }
    out.extend_from_slice(rest);
    out.extend_from_slice(&[0, 1]);
}

/// Reads what [`write_bytes`] wrote; returns the rest.
pub fn read_bytes(mut input: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut out = Vec::new();
    loop {
        let zero = input.iter().position(|byte| *byte == 0)?;
        out.extend_from_slice(&input[..zero]);
        match input.get(zero + 1)? {
            1 => return Some((out, &input[zero + 2..])),
            0xFF => out.push(0),
            _ => return None,
        }
        input = &input[zero + 2..];
    }
}

fn write_datum(out: &mut Vec<u8>, value: &Datum) {
    match value {
        Datum::Null => out.push(NULL_LAST),
        Datum::Bool(value) => out.extend_from_slice(&[BOOL, u8::from(*value)]),
        Datum::Int2(value) => {
            out.push(INT2);
            out.extend_from_slice(&(*value as u16 ^ 0x8000).to_be_bytes());
        }
        Datum::Int4(value) => write_i32(out, INT4, *value),
        Datum::Int8(value) => write_i64(out, INT8, *value),
        Datum::Float4(value) => {
            out.push(FLOAT4);
            let bits = if value.is_nan() {
                f32::NAN.to_bits()
            } else {
                (value + 0.0).to_bits()
            };
            out.extend_from_slice(&(if bits >> 31 == 1 { !bits } else { bits | 1 << 31 }).to_be_bytes());
        }
        Datum::Float8(value) => {
            out.push(FLOAT8);
            // Adding zero turns -0 into 0.
            let bits = if value.is_nan() {
                f64::NAN.to_bits()
            } else {
                (value + 0.0).to_bits()
            };
            out.extend_from_slice(&(if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }).to_be_bytes());
        }
        Datum::Numeric(value) => {
            out.push(NUMERIC);
            value.write_key(out);
        }
        Datum::Text(value) => write_tagged_bytes(out, TEXT, value.as_bytes()),
        Datum::Bytea(value) => write_tagged_bytes(out, BYTEA, value),
        Datum::Date(value) => write_i32(out, DATE, *value),
        Datum::Time(value) => write_i64(out, TIME, *value),
        Datum::TimeTz(micros, zone) => {
            write_i64(out, TIMETZ, utc_time(*micros, *zone));
            out.extend_from_slice(&(*zone as u32 ^ 0x8000_0000).to_be_bytes());
        }
        Datum::Timestamp(value) => write_i64(out, TIMESTAMP, *value),
        Datum::TimestampTz(value) => write_i64(out, TIMESTAMPTZ, *value),
        Datum::Interval(value) => {
            out.push(INTERVAL);
            out.extend_from_slice(&(value.normalized() as u128 ^ 1 << 127).to_be_bytes());
        }
        Datum::Uuid(value) => {
            out.push(UUID);
            out.extend_from_slice(value);
        }
        Datum::Json(value) => write_tagged_bytes(out, JSON, value.as_bytes()),
        Datum::Jsonb(value) => {
            out.push(JSONB);
            value.write_key(out);
        }
        Datum::Oid(value) => {
            out.push(OID);
            out.extend_from_slice(&value.to_be_bytes());
        }
        Datum::Array(array) => write_array(out, array),
        Datum::Record(fields) => {
            out.push(RECORD);
            fields.iter().for_each(|field| write_datum(out, field));
            out.push(END);
        }
    }
}

fn write_i32(out: &mut Vec<u8>, tag: u8, value: i32) {
    out.push(tag);
    out.extend_from_slice(&(value as u32 ^ 0x8000_0000).to_be_bytes());
}

fn write_i64(out: &mut Vec<u8>, tag: u8, value: i64) {
    out.push(tag);
    out.extend_from_slice(&(value as u64 ^ 1 << 63).to_be_bytes());
}

fn write_tagged_bytes(out: &mut Vec<u8>, tag: u8, bytes: &[u8]) {
    out.push(tag);
    write_bytes(out, bytes);
}

/// Elements first, then the shape: PostgreSQL compares arrays in this order.
fn write_array(out: &mut Vec<u8>, array: &Array) {
    out.push(ARRAY);
    array.elements.iter().for_each(|element| write_datum(out, element));
    out.push(END);
    out.push(array.dimensions.len() as u8);
    for (length, _) in &array.dimensions {
        out.extend_from_slice(&(*length as u32 ^ 0x8000_0000).to_be_bytes());
    }
    for (_, bound) in &array.dimensions {
        out.extend_from_slice(&(*bound as u32 ^ 0x8000_0000).to_be_bytes());
    }
    out.extend_from_slice(&array.element_type.to_be_bytes());
}

fn read_datum(input: &[u8], depth: usize) -> Option<(Datum, &[u8])> {
    let (&tag, rest) = input.split_first()?;
    Some(match tag {
        NULL_LAST => (Datum::Null, rest),
        BOOL => (Datum::Bool(*rest.first()? != 0), &rest[1..]),
        INT2 => {
            let (bytes, rest) = rest.split_first_chunk::<2>()?;
            (Datum::Int2((u16::from_be_bytes(*bytes) ^ 0x8000) as i16), rest)
        }
        INT4 => read_i32(rest).map(|(value, rest)| (Datum::Int4(value), rest))?,
        INT8 => read_i64(rest).map(|(value, rest)| (Datum::Int8(value), rest))?,
        FLOAT4 => {
            let (bytes, rest) = rest.split_first_chunk::<4>()?;
            let bits = u32::from_be_bytes(*bytes);
            (
                Datum::Float4(f32::from_bits(if bits >> 31 == 1 { bits & !(1 << 31) } else { !bits })),
                rest,
            )
        }
        FLOAT8 => {
            let (bytes, rest) = rest.split_first_chunk::<8>()?;
            let bits = u64::from_be_bytes(*bytes);
            (
                Datum::Float8(f64::from_bits(if bits >> 63 == 1 { bits & !(1 << 63) } else { !bits })),
                rest,
            )
        }
        NUMERIC => Numeric::read_key(rest).map(|(value, rest)| (Datum::Numeric(value), rest))?,
        TEXT => read_text(rest).map(|(value, rest)| (Datum::Text(value), rest))?,
        BYTEA => read_bytes(rest).map(|(value, rest)| (Datum::Bytea(value.into()), rest))?,
        DATE => read_i32(rest).map(|(value, rest)| (Datum::Date(value), rest))?,
        TIME => read_i64(rest).map(|(value, rest)| (Datum::Time(value), rest))?,
        TIMETZ => {
            let (utc, rest) = read_i64(rest)?;
            let (zone, rest) = read_i32(rest)?;
            (Datum::TimeTz(utc.checked_sub(i64::from(zone) * 1_000_000)?, zone), rest)
        }
        TIMESTAMP => read_i64(rest).map(|(value, rest)| (Datum::Timestamp(value), rest))?,
        TIMESTAMPTZ => read_i64(rest).map(|(value, rest)| (Datum::TimestampTz(value), rest))?,
        INTERVAL => {
            let (bytes, rest) = rest.split_first_chunk::<16>()?;
            let length = (u128::from_be_bytes(*bytes) ^ 1 << 127) as i128;
            (Datum::Interval(Interval::from_normalized(length)?), rest)
        }
        UUID => rest
            .split_first_chunk::<16>()
            .map(|(bytes, rest)| (Datum::Uuid(*bytes), rest))?,
        JSON => read_text(rest).map(|(value, rest)| (Datum::Json(value), rest))?,
        JSONB => Jsonb::read_key(rest).map(|(value, rest)| (Datum::Jsonb(value), rest))?,
        OID => rest
            .split_first_chunk::<4>()
            .map(|(bytes, rest)| (Datum::Oid(u32::from_be_bytes(*bytes)), rest))?,
        ARRAY | RECORD if depth >= DEPTH_MAX => return None,
        ARRAY => read_array(rest, depth + 1)?,
        RECORD => {
            let (fields, rest) = read_until_end(rest, depth + 1)?;
            (Datum::Record(fields.into()), rest)
        }
        _ => return None,
    })
}

fn read_i32(input: &[u8]) -> Option<(i32, &[u8])> {
    let (bytes, rest) = input.split_first_chunk::<4>()?;
    Some(((u32::from_be_bytes(*bytes) ^ 0x8000_0000) as i32, rest))
}

fn read_i64(input: &[u8]) -> Option<(i64, &[u8])> {
    let (bytes, rest) = input.split_first_chunk::<8>()?;
    Some(((u64::from_be_bytes(*bytes) ^ 1 << 63) as i64, rest))
}

fn read_text(input: &[u8]) -> Option<(Arc<str>, &[u8])> {
    let (bytes, rest) = read_bytes(input)?;
    Some((String::from_utf8(bytes).ok()?.into(), rest))
}

fn read_until_end(mut input: &[u8], depth: usize) -> Option<(Vec<Datum>, &[u8])> {
    let mut values = Vec::new();
    while *input.first()? != END {
        let (value, rest) = read_datum(input, depth)?;
        values.push(value);
        input = rest;
    }
    Some((values, &input[1..]))
}

fn read_array(input: &[u8], depth: usize) -> Option<(Datum, &[u8])> {
    let (elements, rest) = read_until_end(input, depth)?;
    let (&count, mut rest) = rest.split_first()?;
    let mut numbers = Vec::with_capacity(usize::from(count) * 2);
    for _ in 0..usize::from(count) * 2 {
        let (number, after) = read_i32(rest)?;
        numbers.push(number);
        rest = after;
    }
    let (lengths, bounds) = numbers.split_at(usize::from(count));
    let dimensions = lengths.iter().copied().zip(bounds.iter().copied()).collect();
    let (bytes, rest) = rest.split_first_chunk::<4>()?;
    let array = Array {
        element_type: u32::from_be_bytes(*bytes),
        dimensions,
        elements,
    };
    Some((Datum::Array(Arc::new(array)), rest))
}
