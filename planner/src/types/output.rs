//! Values as text: one function for every type.

use std::fmt::Write;

use storage::Datum;

use super::error::mismatch;
use super::{Type, array, bytes, character, datetime, element_of, number, oid, record, reg};
use crate::SqlResult;
use crate::bound::shape;
use crate::eval::SessionView;

/// Appends the text of a value, as its type's output function prints it. NULL appends nothing: it has no text.
///
/// # Errors
/// XX000 if the value is not held the way its type says.
pub fn output(ty: Type, datum: &Datum, session: &dyn SessionView, out: &mut String) -> SqlResult<()> {
    match datum {
        Datum::Null => {}
        Datum::Bool(value) => out.push(if *value { 't' } else { 'f' }),
        Datum::Int2(value) => write_integer(i64::from(*value), out),
        Datum::Int4(value) => write_integer(i64::from(*value), out),
        Datum::Int8(value) if ty.oid == oid::XID8 => {
            let _ = write!(out, "{}", *value as u64);
        }
        Datum::Int8(value) => write_integer(*value, out),
        Datum::Float4(value) => number::write_float4(*value, session.style().extra_float_digits, out),
        Datum::Float8(value) => number::write_float8(*value, session.style().extra_float_digits, out),
        Datum::Numeric(value) => {
            let _ = write!(out, "{value}");
        }
        Datum::Text(value) if ty.oid == oid::JSONPATH => {
            out.push_str(&crate::functions::json::path::canonical(value)?);
        }
        Datum::Text(value) if ty.oid == oid::CHAR => character::write_char(value, out),
        Datum::Text(value) | Datum::Json(value) => out.push_str(value),
        Datum::Bytea(value) => {
            if session.style().bytea_escape {
                bytes::write_escape(value, out);
            } else {
                out.push_str("\\x");
                bytes::write_hex(value, out);
            }
        }
        Datum::Date(_)
        | Datum::Time(_)
        | Datum::TimeTz(..)
        | Datum::Timestamp(_)
        | Datum::TimestampTz(_)
        | Datum::Interval(_) => {
            datetime::write(datum, &session.style(), out);
        }
        Datum::Uuid(value) => bytes::write_uuid(value, out),
        Datum::Jsonb(value) => {
            let _ = write!(out, "{value}");
        }
        Datum::Oid(value) if super::user::is_enum(ty.oid) => {
            out.push_str(&crate::catalog::user_type::enum_output(ty.oid, *value, session)?);
        }
        Datum::Oid(value) if reg::is_reg(ty.oid) => reg::write(ty.oid, *value, session, out),
        Datum::Oid(value) => {
            let _ = write!(out, "{value}");
        }
        Datum::Array(value) if matches!(ty.oid, oid::INT2VECTOR | oid::OIDVECTOR) => array::write_vector(value, out),
        Datum::Array(value) => {
            // The array's own element type is what its elements are; a declared pseudo-type says less.
            let element = element_of(ty.oid)
                .filter(|&element| reg::is_reg(element))
                .unwrap_or(value.element_type);
            array::write(value, out, &mut |datum, out| {
                output(Type::new(element), datum, session, out)
            })?;
        }
        Datum::Record(fields) => {
            let types = shape::fields(ty)
                .map(|fields| fields.iter().map(|(_, ty)| *ty).collect())
                .or_else(|| session.composite_fields(ty.oid));
            record::write(fields, out, &mut |index, datum, out| {
                let declared = types.as_ref().and_then(|types| types.get(index)).copied();
                output(
                    declared.unwrap_or_else(|| record::natural_type(datum)),
                    datum,
                    session,
                    out,
                )
            })?;
        }
    }
    Ok(())
}

/// The text of a value in a string of its own; `None` for NULL.
///
/// # Errors
/// As [`output`].
pub fn to_text(ty: Type, datum: &Datum, session: &dyn SessionView) -> SqlResult<Option<String>> {
    if matches!(datum, Datum::Null) {
        return Ok(None);
    }
    let mut out = String::new();
    output(ty, datum, session, &mut out)?;
    Ok(Some(out))
}

/// The string a datum of a character type holds.
///
/// # Errors
/// XX000 if it holds something else.
pub fn as_str(datum: &Datum) -> SqlResult<&str> {
    match datum {
        Datum::Text(text) | Datum::Json(text) => Ok(text),
        other => Err(mismatch("text", other)),
    }
}

/// Prints an integer without the formatting machinery.
fn write_integer(value: i64, out: &mut String) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        out.push('-');
    }
    out.extend(digits[at..].iter().map(|&digit| char::from(digit)));
}
