//! Text form of composite values: `(1,"a b",)`.

use storage::Datum;

use super::number::is_space;
use crate::{SqlError, SqlResult, SqlState, Type};

/// The type a value is printed as when nothing but the value is known: fields of an anonymous record.
pub fn natural_type(datum: &Datum) -> Type {
    match datum {
        Datum::Null => Type::UNKNOWN,
        Datum::Bool(_) => Type::BOOL,
        Datum::Int2(_) => Type::INT2,
        Datum::Int4(_) => Type::INT4,
        Datum::Int8(_) => Type::INT8,
        Datum::Float4(_) => Type::FLOAT4,
        Datum::Float8(_) => Type::FLOAT8,
        Datum::Numeric(_) => Type::NUMERIC,
        Datum::Text(_) => Type::TEXT,
        Datum::Bytea(_) => Type::BYTEA,
        Datum::Date(_) => Type::DATE,
        Datum::Time(_) => Type::TIME,
        Datum::TimeTz(..) => Type::TIMETZ,
        Datum::Timestamp(_) => Type::TIMESTAMP,
        Datum::TimestampTz(_) => Type::TIMESTAMPTZ,
        Datum::Interval(_) => Type::INTERVAL,
        Datum::Uuid(_) => Type::UUID,
        Datum::Json(_) => Type::JSON,
        Datum::Jsonb(_) => Type::JSONB,
        Datum::Oid(_) => Type::OID,
        Datum::Array(array) => Type::new(super::array_of(array.element_type).unwrap_or(super::oid::ANYARRAY)),
        Datum::Record(_) => Type::RECORD,
    }
}

/// Splits a composite literal into the texts of its fields; `None` is NULL.
///
/// # Errors
/// 22P02 `malformed record literal`.
pub fn split(text: &str) -> SqlResult<Vec<Option<String>>> {
    let fail = |detail: &str| {
        SqlError::new(
            SqlState::INVALID_TEXT_REPRESENTATION,
            format!("malformed record literal: \"{text}\""),
        )
        .detail(detail)
    };
    let body = text.trim_start_matches(is_space);
    let Some(rest) = body.strip_prefix('(') else {
        return Err(fail("Missing left parenthesis."));
    };
    let mut fields = Vec::new();
    let mut chars = rest.chars();
    loop {
        let (field, end) = split_field(&mut chars).ok_or_else(|| fail("Unexpected end of input."))?;
        fields.push(field);
        if end == ')' {
            break;
        }
    }
    if !chars.as_str().trim_start_matches(is_space).is_empty() {
        return Err(fail("Junk after right parenthesis."));
    }
    Ok(fields)
}

/// One field and the character that ended it.
fn split_field(chars: &mut std::str::Chars<'_>) -> Option<(Option<String>, char)> {
    let mut value = String::new();
    let (mut quoted, mut seen) = (false, false);
    loop {
        match chars.next()? {
            '\\' => value.push(chars.next()?),
            '"' if !quoted => {
                quoted = true;
            }
            '"' => {
                // A doubled quote is a quote; a single one ends the quoted part.
                if chars.as_str().starts_with('"') {
                    chars.next();
                    value.push('"');
                } else {
                    quoted = false;
                }
            }
            end @ (',' | ')') if !quoted => return Some((seen.then_some(value), end)),
            c => value.push(c),
        }
        seen = true;
    }
}

/// Prints a composite value; `field` prints the field at a position, which is not NULL.
pub fn write(
    fields: &[Datum],
    out: &mut String,
    field: &mut dyn FnMut(usize, &Datum, &mut String) -> SqlResult<()>,
) -> SqlResult<()> {
    let mut scratch = String::new();
    out.push('(');
    for (index, datum) in fields.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        if matches!(datum, Datum::Null) {
            continue;
        }
        scratch.clear();
        field(index, datum, &mut scratch)?;
        let quotes =
            scratch.is_empty() || scratch.contains(|c: char| matches!(c, '"' | '\\' | '(' | ')' | ',') || is_space(c));
        if !quotes {
            out.push_str(&scratch);
            continue;
        }
        out.push('"');
        for c in scratch.chars() {
            if matches!(c, '"' | '\\') {
                out.push(c);
            }
            out.push(c);
        }
        out.push('"');
    }
    out.push(')');
    Ok(())
}
