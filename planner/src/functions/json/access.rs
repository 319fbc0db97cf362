//! Reading: members, elements, paths, containment, existence, and facts about a value.

use std::borrow::Cow;
use std::sync::Arc;

use storage::jsonb::{JsonRef, parse_index};
use storage::{Array, Datum, JsonKind, Jsonb};

use super::text::{self, Kind};
use super::{invalid, texts};
use crate::SqlResult;
use crate::functions::Function;
use crate::functions::call::{binary, unary};
use crate::functions::define::scalar;
use crate::functions::value::Json;
use crate::types::oid::*;

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(3478, "jsonb_object_field", &[JSONB, TEXT], JSONB, |_, a| binary(|j: &Jsonb, key: &str| j.get(key), a)),
    scalar(3214, "jsonb_object_field_text", &[JSONB, TEXT], TEXT, |_, a| binary(|j: &Jsonb, key: &str| as_text(j.view().get(key)), a)),
    scalar(3215, "jsonb_array_element", &[JSONB, INT4], JSONB, |_, a| binary(|j: &Jsonb, n: i32| element(j, n).map(|found| j.share(found)), a)),
    scalar(3216, "jsonb_array_element_text", &[JSONB, INT4], TEXT, |_, a| binary(|j: &Jsonb, n: i32| as_text(element(j, n)), a)),
    scalar(3217, "jsonb_extract_path", &[JSONB, TEXT_ARRAY], JSONB, |_, a| binary(|j: &Jsonb, path: &Array| Ok(at_path(j, path)?.map(|found| j.share(found))), a)).variadic(),
    scalar(3940, "jsonb_extract_path_text", &[JSONB, TEXT_ARRAY], TEXT, |_, a| binary(|j: &Jsonb, path: &Array| Ok(as_text(at_path(j, path)?)), a)).variadic(),
    scalar(4046, "jsonb_contains", &[JSONB, JSONB], BOOL, |_, a| binary(contains, a)),
    scalar(4050, "jsonb_contained", &[JSONB, JSONB], BOOL, |_, a| binary(|inner: &Jsonb, outer: &Jsonb| contains(outer, inner), a)),
    scalar(4047, "jsonb_exists", &[JSONB, TEXT], BOOL, |_, a| binary(|j: &Jsonb, key: &str| j.view().exists(key), a)),
    scalar(4048, "jsonb_exists_any", &[JSONB, TEXT_ARRAY], BOOL, |_, a| binary(exists_any, a)),
    scalar(4049, "jsonb_exists_all", &[JSONB, TEXT_ARRAY], BOOL, |_, a| binary(exists_all, a)),
    scalar(3210, "jsonb_typeof", &[JSONB], TEXT, |_, a| unary(|j: &Jsonb| j.view().kind().name(), a)),
    scalar(3207, "jsonb_array_length", &[JSONB], INT4, |_, a| unary(|j: &Jsonb| match j.view().kind() {
        JsonKind::Array => Ok(j.view().len() as i32),
        JsonKind::Object => Err(invalid("cannot get array length of a non-array")),
        _ => Err(invalid("cannot get array length of a scalar")),
    }, a)),
    scalar(3306, "jsonb_pretty", &[JSONB], TEXT, |_, a| unary(|j: &Jsonb| j.pretty(), a)),

    scalar(3947, "json_object_field", &[JSON, TEXT], JSON, |_, a| binary(|j: Json<'_>, key: &str| Ok(raw(json_member(j.0, key)?)), a)),
    scalar(3948, "json_object_field_text", &[JSON, TEXT], TEXT, |_, a| binary(|j: Json<'_>, key: &str| Ok(plain(json_member(j.0, key)?)), a)),
    scalar(3949, "json_array_element", &[JSON, INT4], JSON, |_, a| binary(|j: Json<'_>, n: i32| Ok(raw(json_element(j.0, i64::from(n))?)), a)),
    scalar(3950, "json_array_element_text", &[JSON, INT4], TEXT, |_, a| binary(|j: Json<'_>, n: i32| Ok(plain(json_element(j.0, i64::from(n))?)), a)),
    scalar(3951, "json_extract_path", &[JSON, TEXT_ARRAY], JSON, |_, a| binary(|j: Json<'_>, path: &Array| Ok(raw(json_at_path(j.0, path)?)), a)).variadic(),
    scalar(3953, "json_extract_path_text", &[JSON, TEXT_ARRAY], TEXT, |_, a| binary(|j: Json<'_>, path: &Array| Ok(plain(json_at_path(j.0, path)?)), a)).variadic(),
    scalar(3968, "json_typeof", &[JSON], TEXT, |_, a| unary(|j: Json<'_>| text::kind(j.0).map(Kind::name), a)),
    scalar(3956, "json_array_length", &[JSON], INT4, |_, a| unary(|j: Json<'_>| match text::kind(j.0)? {
        Kind::Array => Ok(text::elements(j.0)?.map_or(0, |elements| elements.len() as i32)),
        Kind::Object => Err(invalid("cannot get array length of a non-array")),
        _ => Err(invalid("cannot get array length of a scalar")),
    }, a)),
];

/// Text of a value as `->>` gives it.
fn as_text(value: Option<JsonRef<'_>>) -> Option<Arc<str>> {
    value.and_then(JsonRef::to_text).map(|text| match text {
        Cow::Borrowed(text) => text.into(),
        Cow::Owned(text) => text.into(),
    })
}

/// Element of an array; a scalar counts as an array of one, as it does in PostgreSQL's storage.
fn element(document: &Jsonb, index: i32) -> Option<JsonRef<'_>> {
    let root = document.view();
    if root.is_scalar() {
        matches!(index, 0 | -1).then_some(root)
    } else {
        root.element(i64::from(index))
    }
}

fn at_path<'a>(document: &'a Jsonb, path: &Array) -> SqlResult<Option<JsonRef<'a>>> {
    let Some(steps) = texts(path)?.into_iter().collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    Ok(document.view().path(&steps))
}

fn contains(outer: &Jsonb, inner: &Jsonb) -> bool {
    outer.contains(inner)
}

fn exists_any(document: &Jsonb, keys: &Array) -> SqlResult<bool> {
    Ok(texts(keys)?
        .into_iter()
        .flatten()
        .any(|key| document.view().exists(&key)))
}

fn exists_all(document: &Jsonb, keys: &Array) -> SqlResult<bool> {
    Ok(texts(keys)?
        .into_iter()
        .flatten()
        .all(|key| document.view().exists(&key)))
}

fn json_member<'a>(json: &'a str, key: &str) -> SqlResult<Option<text::Value<'a>>> {
    // Of equal keys the last one counts.
    let members = text::members(json)?.unwrap_or_default();
    Ok(members
        .into_iter()
        .rev()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value))
}

fn json_element(json: &str, index: i64) -> SqlResult<Option<text::Value<'_>>> {
    let Some(mut elements) = text::elements(json)? else {
        return Ok(None);
    };
    let index = if index < 0 {
        index + elements.len() as i64
    } else {
        index
    };
    let found = usize::try_from(index).ok().filter(|index| *index < elements.len());
    Ok(found.map(|index| elements.swap_remove(index)))
}

fn json_at_path<'a>(json: &'a str, path: &Array) -> SqlResult<Option<text::Value<'a>>> {
    let Some(steps) = texts(path)?.into_iter().collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let mut value = text::whole(json)?;
    for step in &steps {
        let next = match value.kind {
            Kind::Object => json_member(value.raw, step)?,
            Kind::Array => match parse_index(step) {
                Some(index) => json_element(value.raw, index)?,
                None => None,
            },
            Kind::String | Kind::Number | Kind::Bool | Kind::Null => None,
        };
        match next {
            Some(next) => value = next,
            None => return Ok(None),
        }
    }
    Ok(Some(value))
}

fn raw(value: Option<text::Value<'_>>) -> Datum {
    value.map_or(Datum::Null, |value| Datum::Json(value.raw.into()))
}

fn plain(value: Option<text::Value<'_>>) -> Datum {
    value
        .and_then(text::Value::into_text)
        .map_or(Datum::Null, |text| Datum::Text(text.into()))
}
