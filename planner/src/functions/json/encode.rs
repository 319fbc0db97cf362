//! Any SQL value as JSON: as text the way `to_json` writes it, and as jsonb.

use std::borrow::Cow;
use std::sync::Arc;

use storage::jsonb::{JsonBuilder, write_escaped};
use storage::{Array, Datum, Jsonb};

use super::invalid;
use crate::bound::shape;
use crate::eval::SessionView;
use crate::types::record::natural_type;
use crate::types::style::DateFormat;
use crate::types::{self, Style, oid};
use crate::{SqlError, SqlResult, SqlState, Type};

/// Arrays and records nested deeper than this are refused.
const DEPTH_MAX: usize = 500;

/// What becomes of a value in JSON.
enum Form<'a> {
    Null,
    Bool(bool),
    /// Written as it is printed, if that is a JSON number.
    Number(String),
    Text(Cow<'a, str>),
    Json(&'a str),
    Jsonb(&'a Jsonb),
    Array(&'a Array),
    Record(&'a [Datum]),
}

fn form<'a>(datum: &'a Datum, ty: Type, session: &dyn SessionView) -> SqlResult<Form<'a>> {
    let printed = |datum: &Datum| {
        let mut out = String::new();
        types::output(ty, datum, session, &mut out)?;
        Ok::<_, SqlError>(out)
    };
    Ok(match datum {
        Datum::Null => Form::Null,
        Datum::Bool(value) => Form::Bool(*value),
        Datum::Int8(_) if ty.oid == oid::XID8 => Form::Text(printed(datum)?.into()),
        Datum::Int2(value) => Form::Number(value.to_string()),
        Datum::Int4(value) => Form::Number(value.to_string()),
        Datum::Int8(value) => Form::Number(value.to_string()),
        Datum::Numeric(value) => Form::Number(value.to_string()),
        Datum::Float4(_) | Datum::Float8(_) => Form::Number(printed(datum)?),
        Datum::Date(_) | Datum::Timestamp(_) | Datum::TimestampTz(_) => Form::Text(iso(datum, &session.style()).into()),
        Datum::Text(text) if ty.oid != oid::CHAR => Form::Text(Cow::Borrowed(text)),
        Datum::Json(text) => Form::Json(text),
        Datum::Jsonb(document) => Form::Jsonb(document),
        Datum::Array(array) if !matches!(ty.oid, oid::INT2VECTOR | oid::OIDVECTOR) => Form::Array(array),
        Datum::Record(fields) => Form::Record(fields),
        Datum::Text(_)
        | Datum::Bytea(_)
        | Datum::Time(_)
        | Datum::TimeTz(..)
        | Datum::Interval(_)
        | Datum::Uuid(_)
        | Datum::Oid(_)
        | Datum::Array(_) => Form::Text(printed(datum)?.into()),
    })
}

/// Dates and timestamps in XML Schema's form whatever DateStyle says: a `T` inside, and the zone with its minutes.
pub(super) fn iso(datum: &Datum, style: &Arc<Style>) -> String {
    let style = Style {
        date_format: DateFormat::Iso,
        ..Style::clone(style)
    };
    let mut text = String::new();
    types::datetime::write(datum, &style, &mut text);
    if matches!(datum, Datum::Date(_)) {
        return text;
    }
    let Some(space) = text
        .find(' ')
        .filter(|at| text[at + 1..].starts_with(|c: char| c.is_ascii_digit()))
    else {
        return text;
    };
    text.replace_range(space..=space, "T");
    let zone = text[space..].find(['+', '-']).map(|at| space + at);
    if let Some(zone) = zone {
        let end = text[zone + 1..].find(' ').map_or(text.len(), |at| zone + 1 + at);
        if end - zone == 3 {
            text.insert_str(end, ":00");
        }
    }
    text
}

/// Names and types of a record's fields; `f1`, `f2`, … where nothing is known.
pub(super) fn fields<'a>(record: &'a [Datum], ty: Type, session: &dyn SessionView) -> Vec<(Cow<'a, str>, Type)> {
    let known = shape::fields(ty).or_else(|| session.composite_columns(ty.oid));
    let field = |(index, value): (usize, &Datum)| match known.as_ref().and_then(|known| known.get(index)) {
        Some((name, ty)) => (Cow::Owned(name.clone()), *ty),
        None => (Cow::Owned(format!("f{}", index + 1)), natural_type(value)),
    };
    record.iter().enumerate().map(field).collect()
}

fn element_type(array: &Array, ty: Type) -> Type {
    // The array's own element type is what its elements are; the declared one knows the shape of anonymous records.
    if array.element_type == oid::RECORD {
        Type::with_modifier(oid::RECORD, ty.modifier)
    } else {
        Type::new(array.element_type)
    }
}

/// Whether a text is a JSON number.
fn is_number(text: &str) -> bool {
    let mut lexer = storage::jsonb::Lexer::new(text, false);
    matches!(lexer.next_token(), Ok(storage::jsonb::Token::Number(number)) if number.len() == text.len())
}

fn too_deep() -> SqlError {
    SqlError::new(SqlState::STATEMENT_TOO_COMPLEX, "stack depth limit exceeded")
}

/// Whether a value is written over lines of its own in aggregates.
pub(super) fn is_structured(datum: &Datum) -> bool {
    matches!(datum, Datum::Array(_) | Datum::Record(_))
}

/// Appends a value as JSON text. `pretty`: line feeds between the elements or fields of the outermost level.
pub(super) fn write_json(
    out: &mut String,
    datum: &Datum,
    ty: Type,
    session: &dyn SessionView,
    pretty: bool,
) -> SqlResult<()> {
    write_nested(out, datum, ty, session, pretty, 0)
}

fn write_nested(
    out: &mut String,
    datum: &Datum,
    ty: Type,
    session: &dyn SessionView,
    pretty: bool,
    depth: usize,
) -> SqlResult<()> {
    if depth > DEPTH_MAX {
        return Err(too_deep());
    }
    match form(datum, ty, session)? {
        Form::Null => out.push_str("null"),
        Form::Bool(value) => out.push_str(if value { "true" } else { "false" }),
        Form::Number(text) if is_number(&text) => out.push_str(&text),
        // NaN and infinities.
        Form::Number(text) => quote(out, &text),
        Form::Text(text) => quote(out, &text),
        Form::Json(text) => out.push_str(text),
        Form::Jsonb(document) => out.push_str(&document.to_string()),
        Form::Array(array) => {
            let lengths: Vec<usize> = array
                .dimensions
                .iter()
                .map(|(length, _)| (*length).max(0) as usize)
                .collect();
            let element = element_type(array, ty);
            let mut elements = array.elements.iter();
            write_dimension(out, &lengths, &mut elements, pretty, &mut |out, value| {
                write_nested(out, value, element, session, false, depth + 1)
            })?;
        }
        Form::Record(record) => {
            out.push('{');
            for (index, (name, field)) in fields(record, ty, session).into_iter().enumerate() {
                if index > 0 {
                    out.push_str(if pretty { ",\n " } else { "," });
                }
                quote(out, &name);
                out.push(':');
                write_nested(out, &record[index], field, session, false, depth + 1)?;
            }
            out.push('}');
        }
    }
    Ok(())
}

fn write_dimension<'a>(
    out: &mut String,
    lengths: &[usize],
    elements: &mut impl Iterator<Item = &'a Datum>,
    pretty: bool,
    write: &mut dyn FnMut(&mut String, &'a Datum) -> SqlResult<()>,
) -> SqlResult<()> {
    let Some((&length, inner)) = lengths.split_first() else {
        out.push_str("[]");
        return Ok(());
    };
    out.push('[');
    for index in 0..length {
        if index > 0 {
            out.push_str(if pretty { ",\n " } else { "," });
        }
        if inner.is_empty() {
            write(out, elements.next().unwrap_or(&Datum::Null))?;
        } else {
            write_dimension(out, inner, elements, false, write)?;
        }
    }
    out.push(']');
    Ok(())
}

/// Appends a JSON string.
pub(super) fn quote(out: &mut String, text: &str) {
    // Writing to a string cannot fail.
    let _ = write_escaped(out, text);
}

/// Appends a value to a document.
pub(super) fn write_jsonb(
    builder: &mut JsonBuilder,
    datum: &Datum,
    ty: Type,
    session: &dyn SessionView,
) -> SqlResult<()> {
    write_jsonb_nested(builder, datum, ty, session, 0)
}

fn write_jsonb_nested(
    builder: &mut JsonBuilder,
    datum: &Datum,
    ty: Type,
    session: &dyn SessionView,
    depth: usize,
) -> SqlResult<()> {
    if depth > DEPTH_MAX {
        return Err(too_deep());
    }
    match (form(datum, ty, session)?, datum) {
        (Form::Null, _) => builder.null(),
        (Form::Bool(value), _) => builder.bool(value),
        (Form::Number(_), Datum::Numeric(value)) => builder.number(value),
        (Form::Number(text), _) if is_number(&text) => builder.number(&text.parse()?),
        (Form::Number(text), _) => builder.string(&text),
        (Form::Text(text), _) => builder.string(&text),
        (Form::Json(text), _) => builder.value(Jsonb::parse(text)?.view()),
        (Form::Jsonb(document), _) => builder.value(document.view()),
        (Form::Array(array), _) => {
            let element = element_type(array, ty);
            let lengths: Vec<usize> = array
                .dimensions
                .iter()
                .map(|(length, _)| (*length).max(0) as usize)
                .collect();
            write_jsonb_dimension(builder, &lengths, &mut array.elements.iter(), &mut |builder, value| {
                write_jsonb_nested(builder, value, element, session, depth + 1)
            })?;
        }
        (Form::Record(record), _) => {
            builder.begin_object();
            for ((name, field), value) in fields(record, ty, session).into_iter().zip(record) {
                builder.key(&name);
                write_jsonb_nested(builder, value, field, session, depth + 1)?;
            }
            builder.end();
        }
    }
    Ok(())
}

fn write_jsonb_dimension<'a>(
    builder: &mut JsonBuilder,
    lengths: &[usize],
    elements: &mut impl Iterator<Item = &'a Datum>,
    write: &mut dyn FnMut(&mut JsonBuilder, &'a Datum) -> SqlResult<()>,
) -> SqlResult<()> {
    builder.begin_array();
    if let Some((&length, inner)) = lengths.split_first() {
        for _ in 0..length {
            if inner.is_empty() {
                write(builder, elements.next().unwrap_or(&Datum::Null))?;
            } else {
                write_jsonb_dimension(builder, inner, elements, write)?;
            }
        }
    }
    builder.end();
    Ok(())
}

/// A value as a member's key. NULL is the caller's to refuse.
pub(super) fn key_text(datum: &Datum, ty: Type, session: &dyn SessionView) -> SqlResult<String> {
    Ok(match form(datum, ty, session)? {
        Form::Null => String::new(),
        Form::Bool(value) => value.to_string(),
        Form::Number(text) => text,
        Form::Text(text) => text.into_owned(),
        Form::Json(_) | Form::Jsonb(_) | Form::Array(_) | Form::Record(_) => {
            return Err(invalid("key value must be scalar, not array, composite, or json"));
        }
    })
}
