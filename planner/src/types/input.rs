//! Values from text: one function for every type.

use std::sync::Arc;

use storage::{Array, Datum, Jsonb, Numeric};

use super::datetime::{self, CurrentTime};
use super::error::invalid_text;
use super::{Type, apply_modifier, array, bytes, character, element_of, number, oid, record, reg};
use crate::eval::SessionView;
use crate::{SqlError, SqlResult, SqlState};

/// Reads a value of a type from its text, as the type's input function does; the modifier of `ty` is applied as in an
/// assignment.
///
/// # Errors
/// 22P02 for a text that is no value of the type, 22003, 22007 or 22008 for one out of range, 22001 for one too long.
pub fn input(ty: Type, text: &str, session: &dyn SessionView) -> SqlResult<Datum> {
    let datum = match ty.oid {
        oid::BOOL => Datum::Bool(number::parse_bool(text).ok_or_else(|| invalid_text("boolean", text))?),
        oid::INT2 => {
            Datum::Int2(number::parse_integer(text, i64::from(i16::MIN), i64::from(i16::MAX), "smallint")? as i16)
        }
        oid::INT4 => {
            Datum::Int4(number::parse_integer(text, i64::from(i32::MIN), i64::from(i32::MAX), "integer")? as i32)
        }
        oid::INT8 => Datum::Int8(number::parse_integer(text, i64::MIN, i64::MAX, "bigint")?),
        oid::FLOAT4 => Datum::Float4(number::parse_float4(text)?),
        oid::FLOAT8 => Datum::Float8(number::parse_float8(text)?),
        oid::NUMERIC => Datum::Numeric(text.parse::<Numeric>()?),
        oid::TEXT
        | oid::VARCHAR
        | oid::BPCHAR
        | oid::UNKNOWN
        | oid::CSTRING
        | oid::REFCURSOR
        | oid::PG_NODE_TREE
        | oid::ACLITEM
        | oid::TID
        | oid::PG_LSN => Datum::Text(checked(text)?.into()),
        oid::JSONPATH => {
            // The text is kept as it was written: PostgreSQL's text of some paths cannot be read back.
            crate::functions::json::path::canonical(checked(text)?)?;
            Datum::Text(text.into())
        }
        oid::NAME => Datum::Text(character::fit_name(checked(text)?).into()),
        oid::CHAR => Datum::Text(character::parse_char(text)),
        oid::BYTEA => Datum::Bytea(bytes::parse_bytea(text)?),
        oid::UUID => Datum::Uuid(bytes::parse_uuid(text)?),
        oid::JSON => {
            storage::jsonb::validate(text)?;
            Datum::Json(text.into())
        }
        oid::JSONB => Datum::Jsonb(Jsonb::parse(text)?),
        oid::OID => Datum::Oid(number::parse_oid(text, "oid")?),
        oid::XID | oid::CID => Datum::Oid(number::parse_oid(text, if ty.oid == oid::XID { "xid" } else { "cid" })?),
        oid::XID8 => Datum::Int8(number::parse_integer(text, i64::MIN, i64::MAX, "xid8")?),
        oid::DATE | oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ | oid::INTERVAL => {
            input_time(ty, text, session)?
        }
        oid::INT2VECTOR => vector(text, oid::INT2, |part| {
            number::parse_integer(part, i64::from(i16::MIN), i64::from(i16::MAX), "smallint")
                .map(|value| Datum::Int2(value as i16))
        })?,
        oid::OIDVECTOR => vector(text, oid::OID, |part| number::parse_oid(part, "oid").map(Datum::Oid))?,
        oid::VOID => Datum::Text("".into()),
        oid::RECORD => {
            return Err(SqlError::new(
                SqlState::FEATURE_NOT_SUPPORTED,
                "input of anonymous composite types is not implemented",
            ));
        }
        type_oid if reg::is_reg(type_oid) => Datum::Oid(reg::parse(type_oid, text, session)?),
        type_oid => match element_of(type_oid) {
            Some(element) => {
                let element = Type::with_modifier(element, ty.modifier);
                return array::parse(text, element.oid, &mut |part| input(element, part, session));
            }
            None if super::user::is_enum(type_oid) => {
                return crate::catalog::user_type::enum_input(type_oid, text, session);
            }
            None if super::info(type_oid).is_some() => {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("cannot accept a value of type {}", super::format_type(ty)),
                ));
            }
            None => return input_composite(ty, text, session),
        },
    };
    if ty.modifier < 0 {
        Ok(datum)
    } else {
        apply_modifier(datum, ty, false)
    }
}

/// A value of a table's row type.
fn input_composite(ty: Type, text: &str, session: &dyn SessionView) -> SqlResult<Datum> {
    let Some(types) = session.composite_fields(ty.oid) else {
        return Err(SqlError::unsupported(format_args!("input of type {}", ty.oid)));
    };
    let parts = record::split(text)?;
    if parts.len() != types.len() {
        let detail = if parts.len() < types.len() {
            "Too few columns."
        } else {
            "Too many columns."
        };
        return Err(SqlError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("malformed record literal: \"{text}\""),
        )
        .detail(detail));
    }
    let fields = parts
        .iter()
        .zip(types.iter())
        .map(|(part, ty)| part.as_ref().map_or(Ok(Datum::Null), |part| input(*ty, part, session)))
        .collect::<SqlResult<Vec<Datum>>>()?;
    Ok(Datum::Record(fields.into()))
}

fn input_time(ty: Type, text: &str, session: &dyn SessionView) -> SqlResult<Datum> {
    let style = session.style();
    let now = CurrentTime(session.transaction_timestamp());
    Ok(match ty.oid {
        oid::DATE => Datum::Date(datetime::parse_date(text, &style, now)?),
        oid::TIME => Datum::Time(datetime::parse_time(text, &style, now)?),
        oid::TIMETZ => {
            let (micros, west) = datetime::parse_timetz(text, &style, now)?;
            Datum::TimeTz(micros, west)
        }
        oid::TIMESTAMP => Datum::Timestamp(datetime::parse_timestamp(text, &style, now)?),
        oid::TIMESTAMPTZ => Datum::TimestampTz(datetime::parse_timestamptz(text, &style, now)?),
        _ => Datum::Interval(datetime::parse_interval(text, &style, ty.modifier)?),
    })
}

fn vector(text: &str, element_type: u32, parse: impl Fn(&str) -> SqlResult<Datum>) -> SqlResult<Datum> {
    let elements = text.split_whitespace().map(parse).collect::<SqlResult<Vec<Datum>>>()?;
    // Vectors count from zero, and an empty one has a dimension of length 0.
    Ok(Datum::Array(Arc::new(Array {
        element_type,
        dimensions: vec![(elements.len() as i32, 0)],
        elements,
    })))
}

/// Refuses NUL, which no text may hold.
fn checked(text: &str) -> SqlResult<&str> {
    if text.contains('\0') {
        return Err(SqlError::new(
            SqlState::CHARACTER_NOT_IN_REPERTOIRE,
            "invalid byte sequence for encoding \"UTF8\": 0x00",
        ));
    }
    Ok(text)
}
