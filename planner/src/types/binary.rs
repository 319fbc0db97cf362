//! Values in PostgreSQL's binary wire format (`typsend`, `typreceive`).

use std::sync::Arc;

use storage::{Array, Datum, Interval, Jsonb, Numeric};

use super::calendar::{self, MICROS_PER_DAY};
use super::error::{invalid_binary, mismatch};
use super::{Type, apply_modifier, array, character, element_of, format_type, oid, record, reg, user};
use crate::eval::SessionView;
use crate::{SqlError, SqlResult, SqlState};

/// Appends the binary form of a value that is not NULL.
///
/// # Errors
/// 42883 for types without a binary form, XX000 if the value is not held the way its type says.
pub fn binary_output(ty: Type, datum: &Datum, session: &dyn SessionView, out: &mut Vec<u8>) -> SqlResult<()> {
    match datum {
        Datum::Null => return Err(mismatch(&format_type(ty), datum)),
        Datum::Bool(value) => out.push(u8::from(*value)),
        Datum::Int2(value) => out.extend(value.to_be_bytes()),
        Datum::Int4(value) => out.extend(value.to_be_bytes()),
        Datum::Int8(value) | Datum::Time(value) | Datum::Timestamp(value) | Datum::TimestampTz(value) => {
            out.extend(value.to_be_bytes());
        }
        Datum::Float4(value) => out.extend(value.to_be_bytes()),
        Datum::Float8(value) => out.extend(value.to_be_bytes()),
        Datum::Numeric(value) => value.write_wire(out),
        Datum::Text(value) if ty.oid == oid::CHAR => out.push(character::byte_of_char(value)),
        Datum::Text(value) if ty.oid == oid::TID => {
            let (block, offset) = parse_tid(value).ok_or_else(|| mismatch("tid", datum))?;
            out.extend(block.to_be_bytes());
            out.extend(offset.to_be_bytes());
        }
        Datum::Text(value) if ty.oid == oid::JSONPATH => {
            out.push(1);
            out.extend(value.as_bytes());
        }
        Datum::Text(value) | Datum::Json(value) => out.extend(value.as_bytes()),
        Datum::Bytea(value) => out.extend(value.iter()),
        Datum::Date(value) => out.extend(value.to_be_bytes()),
        Datum::TimeTz(micros, west) => {
            out.extend(micros.to_be_bytes());
            out.extend(west.to_be_bytes());
        }
        Datum::Interval(value) => {
            out.extend(value.micros.to_be_bytes());
            out.extend(value.days.to_be_bytes());
            out.extend(value.months.to_be_bytes());
        }
        Datum::Uuid(value) => out.extend(value),
        Datum::Jsonb(value) => {
            out.push(1);
            out.extend(value.to_string().as_bytes());
        }
        Datum::Oid(value) if user::is_enum(ty.oid) => {
            out.extend(crate::catalog::user_type::enum_output(ty.oid, *value, session)?.as_bytes());
        }
        Datum::Oid(value) => out.extend(value.to_be_bytes()),
        Datum::Array(value) => output_array(ty, value, session, out)?,
        Datum::Record(fields) => {
            let types = session.composite_fields(ty.oid);
            out.extend((fields.len() as i32).to_be_bytes());
            for (index, field) in fields.iter().enumerate() {
                let declared = types.as_ref().and_then(|types| types.get(index)).copied();
                let field_type = declared.unwrap_or_else(|| record::natural_type(field));
                out.extend(field_type.oid.to_be_bytes());
                output_part(field_type, field, session, out)?;
            }
        }
    }
    Ok(())
}

/// A part of an array or record: its length, -1 for NULL, and its bytes.
fn output_part(ty: Type, datum: &Datum, session: &dyn SessionView, out: &mut Vec<u8>) -> SqlResult<()> {
    if matches!(datum, Datum::Null) {
        out.extend((-1i32).to_be_bytes());
        return Ok(());
    }
    let at = out.len();
    out.extend([0; 4]);
    binary_output(ty, datum, session, out)?;
    let size = (out.len() - at - 4) as i32;
    out[at..at + 4].copy_from_slice(&size.to_be_bytes());
    Ok(())
}

fn output_array(ty: Type, value: &Array, session: &dyn SessionView, out: &mut Vec<u8>) -> SqlResult<()> {
    let element = element_of(ty.oid)
        .filter(|&element| reg::is_reg(element))
        .unwrap_or(value.element_type);
    let has_null = value.elements.iter().any(|element| matches!(element, Datum::Null));
    out.extend((value.dimensions.len() as i32).to_be_bytes());
    out.extend(i32::from(has_null).to_be_bytes());
    out.extend(element.to_be_bytes());
    for (length, lower) in &value.dimensions {
        out.extend(length.to_be_bytes());
        out.extend(lower.to_be_bytes());
    }
    for datum in &value.elements {
        output_part(Type::new(element), datum, session, out)?;
    }
    Ok(())
}

/// Reads a value from its binary form; the modifier of `ty` is applied as in an assignment.
///
/// # Errors
/// 22P03 for bytes that are no value of the type, 22021 for text that is not UTF-8, and the type's own range errors.
pub fn binary_input(ty: Type, bytes: &[u8], session: &dyn SessionView) -> SqlResult<Datum> {
    let mut reader = Reader { bytes, ty };
    let datum = reader.value(session)?;
    if !reader.bytes.is_empty() {
        return Err(invalid_binary(&format_type(ty)));
    }
    if ty.modifier < 0 {
        Ok(datum)
    } else {
        apply_modifier(datum, ty, false)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    ty: Type,
}

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> SqlResult<[u8; N]> {
        let (head, tail) = self
            .bytes
            .split_first_chunk::<N>()
            .ok_or_else(|| SqlError::new(SqlState::PROTOCOL_VIOLATION, "insufficient data left in message"))?;
        self.bytes = tail;
        Ok(*head)
    }

    fn i32(&mut self) -> SqlResult<i32> {
        self.take().map(i32::from_be_bytes)
    }

    fn i64(&mut self) -> SqlResult<i64> {
        self.take().map(i64::from_be_bytes)
    }

    fn u32(&mut self) -> SqlResult<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.bytes)
    }

    fn text(&mut self) -> SqlResult<&'a str> {
        utf8(self.rest())
    }

    fn versioned_text(&mut self, what: &str) -> SqlResult<&'a str> {
        let [version] = self.take()?;
        if version != 1 {
            return Err(SqlError::new(
                SqlState::INTERNAL_ERROR,
                format!("unsupported {what} version number {version}"),
            ));
        }
        self.text()
    }

    fn timestamp(&mut self) -> SqlResult<i64> {
        let micros = self.i64()?;
        if micros == i64::MIN || micros == i64::MAX || calendar::is_valid_timestamp(micros) {
            return Ok(micros);
        }
        Err(SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "timestamp out of range",
        ))
    }

    fn time(&mut self) -> SqlResult<i64> {
        let micros = self.i64()?;
        if (0..=MICROS_PER_DAY).contains(&micros) {
            return Ok(micros);
        }
        Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "time out of range"))
    }

    fn value(&mut self, session: &dyn SessionView) -> SqlResult<Datum> {
        Ok(match self.ty.oid {
            oid::BOOL => Datum::Bool(self.take::<1>()? != [0]),
            oid::INT2 => Datum::Int2(i16::from_be_bytes(self.take()?)),
            oid::INT4 => Datum::Int4(self.i32()?),
            oid::INT8 | oid::XID8 => Datum::Int8(self.i64()?),
            oid::FLOAT4 => Datum::Float4(f32::from_be_bytes(self.take()?)),
            oid::FLOAT8 => Datum::Float8(f64::from_be_bytes(self.take()?)),
            oid::NUMERIC => Datum::Numeric(Numeric::read_wire(self.rest())?),
            oid::TEXT | oid::VARCHAR | oid::BPCHAR | oid::UNKNOWN | oid::CSTRING | oid::REFCURSOR => {
                Datum::Text(self.text()?.into())
            }
            oid::NAME => Datum::Text(character::fit_name(self.text()?).into()),
            oid::CHAR => Datum::Text(character::char_of_byte(self.take::<1>()?[0])),
            oid::BYTEA => Datum::Bytea(bytes::Bytes::copy_from_slice(self.rest())),
            oid::JSON => super::input(Type::JSON, self.text()?, session)?,
            oid::JSONB => Datum::Jsonb(Jsonb::parse(self.versioned_text("jsonb")?)?),
            oid::JSONPATH => super::input(Type::JSONPATH, self.versioned_text("jsonpath")?, session)?,
            oid::DATE => {
                let days = self.i32()?;
                if days != i32::MIN && days != i32::MAX && !calendar::is_valid_date(days) {
                    return Err(SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "date out of range"));
                }
                Datum::Date(days)
            }
            oid::TIME => Datum::Time(self.time()?),
            oid::TIMETZ => {
                let micros = self.time()?;
                let west = self.i32()?;
                if west.abs() >= 16 * 3600 {
                    return Err(SqlError::new(
                        SqlState::INVALID_TIME_ZONE_DISPLACEMENT,
                        "time zone displacement out of range",
                    ));
                }
                Datum::TimeTz(micros, west)
            }
            oid::TIMESTAMP => Datum::Timestamp(self.timestamp()?),
            oid::TIMESTAMPTZ => Datum::TimestampTz(self.timestamp()?),
            oid::INTERVAL => {
                let (micros, days, months) = (self.i64()?, self.i32()?, self.i32()?);
                Datum::Interval(Interval { months, days, micros })
            }
            oid::UUID => Datum::Uuid(self.take()?),
            oid::OID | oid::XID | oid::CID => Datum::Oid(self.u32()?),
            oid::VOID => Datum::Text("".into()),
            oid::TID => {
                let (block, offset) = (self.u32()?, u16::from_be_bytes(self.take()?));
                Datum::Text(format!("({block},{offset})").into())
            }
            type_oid if reg::is_reg(type_oid) => Datum::Oid(self.u32()?),
            type_oid if user::is_enum(type_oid) => {
                crate::catalog::user_type::enum_input(type_oid, self.text()?, session)?
            }
            type_oid => match element_of(type_oid) {
                Some(element) => self.array(element, session)?,
                None if type_oid == oid::INT2VECTOR => self.array(oid::INT2, session)?,
                None if type_oid == oid::OIDVECTOR => self.array(oid::OID, session)?,
                None if type_oid == oid::RECORD || session.composite_fields(type_oid).is_some() => {
                    self.record(session)?
                }
                None => {
                    return Err(SqlError::new(
                        SqlState::UNDEFINED_FUNCTION,
                        format!("no binary input function available for type {}", format_type(self.ty)),
                    ));
                }
            },
        })
    }

    fn array(&mut self, element: u32, session: &dyn SessionView) -> SqlResult<Datum> {
        let dimension_count = self.i32()?;
        if dimension_count < 0 {
            return Err(SqlError::new(
                SqlState::INVALID_BINARY_REPRESENTATION,
                format!("invalid number of dimensions: {dimension_count}"),
            ));
        }
        if dimension_count as usize > array::DIMENSIONS_MAX {
            return Err(array::too_many_dimensions(dimension_count as usize));
        }
        let flags = self.i32()?;
        if flags != 0 && flags != 1 {
            return Err(SqlError::new(
                SqlState::INVALID_BINARY_REPRESENTATION,
                "invalid array flags",
            ));
        }
        let found = self.u32()?;
        if found != element {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!(
                    "binary data has array element type {found} ({}) instead of expected {element} ({})",
                    format_type(Type::new(found)),
                    format_type(Type::new(element))
                ),
            ));
        }
        let mut dimensions = Vec::with_capacity(dimension_count as usize);
        let mut count: i64 = if dimension_count == 0 { 0 } else { 1 };
        for _ in 0..dimension_count {
            let (length, lower) = (self.i32()?, self.i32()?);
            if length < 0 || lower.checked_add(length).is_none() {
                return Err(array::too_large());
            }
            dimensions.push((length, lower));
            count = count.saturating_mul(i64::from(length));
        }
        if count > array::ELEMENTS_MAX {
            return Err(array::too_large());
        }
        // Every element takes four bytes at least: a lying count must not allocate.
        let mut elements = Vec::with_capacity((count as usize).min(self.bytes.len() / 4 + 1));
        for _ in 0..count {
            elements.push(self.part(Type::with_modifier(element, self.ty.modifier), session)?);
        }
        if elements.is_empty() && !matches!(self.ty.oid, oid::INT2VECTOR | oid::OIDVECTOR) {
            dimensions.clear();
        }
        Ok(Datum::Array(Arc::new(Array {
            element_type: element,
            dimensions,
            elements,
        })))
    }

    fn part(&mut self, ty: Type, session: &dyn SessionView) -> SqlResult<Datum> {
        let size = self.i32()?;
        if size == -1 {
            return Ok(Datum::Null);
        }
        if size < 0 || size as usize > self.bytes.len() {
            return Err(SqlError::new(
                SqlState::INVALID_BINARY_REPRESENTATION,
                "insufficient data left in message",
            ));
        }
        let (part, rest) = self.bytes.split_at(size as usize);
        self.bytes = rest;
        binary_input(ty, part, session)
    }

    fn record(&mut self, session: &dyn SessionView) -> SqlResult<Datum> {
        let count = self.i32()?;
        let types = session.composite_fields(self.ty.oid);
        if let Some(types) = &types
            && types.len() != count as usize
        {
            return Err(SqlError::new(
                SqlState::DATATYPE_MISMATCH,
                format!("wrong number of columns: {count}, expected {}", types.len()),
            ));
        }
        let mut fields = Vec::new();
        for index in 0..count {
            let found = self.u32()?;
            let declared = types.as_ref().and_then(|types| types.get(index as usize)).copied();
            fields.push(self.part(declared.unwrap_or(Type::new(found)), session)?);
        }
        Ok(Datum::Record(fields.into()))
    }
}

/// Bytes from outside as text.
///
/// # Errors
/// 22021 for bytes that are not UTF-8 or hold a NUL.
pub fn utf8(bytes: &[u8]) -> SqlResult<&str> {
    let invalid = |part: &[u8]| {
        let shown: Vec<String> = part.iter().map(|byte| format!("0x{byte:02x}")).collect();
        SqlError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            format!("invalid byte sequence for encoding \"UTF8\": {}", shown.join(" ")),
        )
    };
    match std::str::from_utf8(bytes) {
        Ok(text) if text.contains('\0') => Err(invalid(&[0])),
        Ok(text) => Ok(text),
        Err(error) => {
            let start = error.valid_up_to();
            let first = bytes[start];
            let wanted = match first {
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf7 => 4,
                _ => 1,
            };
            Err(invalid(&bytes[start..(start + wanted).min(bytes.len())]))
        }
    }
}

/// Block and offset of a tid's text.
pub fn parse_tid(text: &str) -> Option<(u32, u16)> {
    let (block, offset) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    Some((block.parse().ok()?, offset.parse().ok()?))
}
