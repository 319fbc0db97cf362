//! Expanding: one row per member or element.

use storage::{Datum, JsonKind, JsonRef, Jsonb};

use super::invalid;
use super::text::{self, Kind};
use crate::functions::Function;
use crate::functions::define::set;
use crate::functions::value::{Argument, Json};
use crate::types::oid::*;
use crate::{SqlError, SqlResult};

type Rows = SqlResult<Vec<Vec<Datum>>>;

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    set(3208, "jsonb_each", &[JSONB], RECORD, |_, a| jsonb_each("jsonb_each", a, |value| Datum::Jsonb(value.to_owned()))).columns(&[("key", TEXT), ("value", JSONB)]),
    set(3932, "jsonb_each_text", &[JSONB], RECORD, |_, a| jsonb_each("jsonb_each_text", a, to_text)).columns(&[("key", TEXT), ("value", TEXT)]),
    set(3219, "jsonb_array_elements", &[JSONB], JSONB, |_, a| jsonb_elements(a, |value| Datum::Jsonb(value.to_owned()))).columns(&[("value", JSONB)]),
    set(3465, "jsonb_array_elements_text", &[JSONB], TEXT, |_, a| jsonb_elements(a, to_text)).columns(&[("value", TEXT)]),
    set(3931, "jsonb_object_keys", &[JSONB], TEXT, |_, a| jsonb_keys(a)),
    set(3958, "json_each", &[JSON], RECORD, |_, a| json_each(a, raw)).columns(&[("key", TEXT), ("value", JSON)]),
    set(3959, "json_each_text", &[JSON], RECORD, |_, a| json_each(a, plain)).columns(&[("key", TEXT), ("value", TEXT)]),
    set(3955, "json_array_elements", &[JSON], JSON, |_, a| json_elements("json_array_elements", a, raw)).columns(&[("value", JSON)]),
    set(3969, "json_array_elements_text", &[JSON], TEXT, |_, a| json_elements("json_array_elements_text", a, plain)).columns(&[("value", TEXT)]),
    set(3957, "json_object_keys", &[JSON], TEXT, |_, a| json_keys(a)),
];

fn document(args: &[Datum]) -> SqlResult<&Jsonb> {
    <&Jsonb>::read(args.first().unwrap_or(&Datum::Null))
}

fn json(args: &[Datum]) -> SqlResult<&str> {
    Json::read(args.first().unwrap_or(&Datum::Null)).map(|json| json.0)
}

fn to_text(value: JsonRef<'_>) -> Datum {
    value.to_text().map_or(Datum::Null, |text| Datum::Text(text.into()))
}

fn raw(value: text::Value<'_>) -> Datum {
    Datum::Json(value.raw.into())
}

fn plain(value: text::Value<'_>) -> Datum {
    value.into_text().map_or(Datum::Null, |text| Datum::Text(text.into()))
}

fn jsonb_each(function: &str, args: &[Datum], convert: impl Fn(JsonRef<'_>) -> Datum) -> Rows {
    let root = document(args)?.view();
    if !root.is_object() {
        return Err(invalid(format!("cannot call {function} on a non-object")));
    }
    Ok(root
        .members()
        .map(|(key, value)| vec![Datum::from(key), convert(value)])
        .collect())
}

fn jsonb_elements(args: &[Datum], convert: impl Fn(JsonRef<'_>) -> Datum) -> Rows {
    let root = document(args)?.view();
    match root.kind() {
        JsonKind::Array => Ok(root.elements().map(|value| vec![convert(value)]).collect()),
        JsonKind::Object => Err(invalid("cannot extract elements from an object")),
        JsonKind::Null | JsonKind::String | JsonKind::Number | JsonKind::Bool => {
            Err(invalid("cannot extract elements from a scalar"))
        }
    }
}

fn jsonb_keys(args: &[Datum]) -> Rows {
    let root = document(args)?.view();
    match root.kind() {
        JsonKind::Object => Ok(root.members().map(|(key, _)| vec![Datum::from(key)]).collect()),
        JsonKind::Array => Err(invalid("cannot call jsonb_object_keys on an array")),
        JsonKind::Null | JsonKind::String | JsonKind::Number | JsonKind::Bool => {
            Err(invalid("cannot call jsonb_object_keys on a scalar"))
        }
    }
}

fn json_each(args: &[Datum], convert: impl Fn(text::Value<'_>) -> Datum) -> Rows {
    let json = json(args)?;
    match text::members(json)? {
        Some(members) => Ok(members
            .into_iter()
            .map(|(key, value)| vec![Datum::Text(key.into()), convert(value)])
            .collect()),
        None if text::kind(json)? == Kind::Array => Err(invalid("cannot deconstruct an array as an object")),
        None => Err(invalid("cannot deconstruct a scalar")),
    }
}

fn json_elements(function: &str, args: &[Datum], convert: impl Fn(text::Value<'_>) -> Datum) -> Rows {
    let json = json(args)?;
    match text::elements(json)? {
        Some(elements) => Ok(elements.into_iter().map(|value| vec![convert(value)]).collect()),
        None => Err(no_array(function, text::kind(json)?)),
    }
}

fn no_array(function: &str, kind: Kind) -> SqlError {
    let what = if kind == Kind::Object {
        "a non-array"
    } else {
        "a scalar"
    };
    invalid(format!("cannot call {function} on {what}"))
}

fn json_keys(args: &[Datum]) -> Rows {
    let json = json(args)?;
    match text::members(json)? {
        Some(members) => Ok(members
            .into_iter()
            .map(|(key, _)| vec![Datum::Text(key.into())])
            .collect()),
        None if text::kind(json)? == Kind::Array => Err(invalid("cannot call json_object_keys on an array")),
        None => Err(invalid("cannot call json_object_keys on a scalar")),
    }
}
