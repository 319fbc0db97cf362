//! Changing: jsonb_set and its relatives, deletion, concatenation, and subscript assignment.

use std::sync::Arc;

use storage::jsonb::{self, EditError, JsonBuilder, SetMode};
use storage::{Array, Datum, Jsonb};

use super::{invalid, path_elements, text};
use crate::functions::Function;
use crate::functions::call::{binary, quaternary, unary};
use crate::functions::define::scalar;
use crate::functions::value::{Argument, Json};
use crate::types::oid::*;
use crate::{SqlError, SqlResult, SqlState};

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(3305, "jsonb_set", &[JSONB, TEXT_ARRAY, JSONB, BOOL], JSONB, |_, a| quaternary(set, a)).defaults(&["true"]),
    scalar(5054, "jsonb_set_lax", &[JSONB, TEXT_ARRAY, JSONB, BOOL, TEXT], JSONB, |_, a| set_lax(a)).lenient().defaults(&["true", "use_json_null"]),
    scalar(3579, "jsonb_insert", &[JSONB, TEXT_ARRAY, JSONB, BOOL], JSONB, |_, a| quaternary(insert, a)).defaults(&["false"]),
    scalar(3301, "jsonb_concat", &[JSONB, JSONB], JSONB, |_, a| binary(|x: &Jsonb, y: &Jsonb| edited(jsonb::concat(x, y)), a)),
    scalar(3302, "jsonb_delete", &[JSONB, TEXT], JSONB, |_, a| binary(|j: &Jsonb, key: &str| edited(jsonb::delete_key(j, key)), a)),
    scalar(3303, "jsonb_delete", &[JSONB, INT4], JSONB, |_, a| binary(|j: &Jsonb, n: i32| edited(jsonb::delete_index(j, i64::from(n))), a)),
    scalar(3343, "jsonb_delete", &[JSONB, TEXT_ARRAY], JSONB, |_, a| binary(delete_keys, a)).variadic(),
    scalar(3304, "jsonb_delete_path", &[JSONB, TEXT_ARRAY], JSONB, |_, a| binary(|j: &Jsonb, path: &Array| edited(jsonb::delete_path(j, &path_elements(path)?)), a)),
    scalar(3262, "jsonb_strip_nulls", &[JSONB], JSONB, |_, a| unary(|j: &Jsonb| edited(jsonb::strip_nulls(j)), a)),
    // What the binder makes of `SET doc['a'][0] = …`: document, subscripts, value, whether the first subscript is an integer.
    scalar(9040, "jsonb_subscript_set", &[JSONB, TEXT_ARRAY, JSONB, BOOL], JSONB, |_, a| subscript_set(a)).lenient().defaults(&["false"]),
    scalar(3261, "json_strip_nulls", &[JSON], JSON, |_, a| unary(|j: Json<'_>| strip_nulls(j.0), a)),
];

/// An edit's result, or its error with PostgreSQL's detail and hint.
fn edited(result: Result<Jsonb, EditError>) -> SqlResult<Jsonb> {
    result.map_err(|error| {
        let code = SqlState(error.sqlstate());
        let mut raised = SqlError::new(code, error.to_string());
        if let Some(detail) = error.detail() {
            raised = raised.detail(detail);
        }
        if let Some(hint) = error.hint() {
            raised = raised.hint(hint);
        }
        raised
    })
}

fn set(document: &Jsonb, path: &Array, value: &Jsonb, create: bool) -> SqlResult<Jsonb> {
    let mode = if create { SetMode::Create } else { SetMode::Replace };
    edited(jsonb::set(document, &path_elements(path)?, value, mode))
}

fn insert(document: &Jsonb, path: &Array, value: &Jsonb, after: bool) -> SqlResult<Jsonb> {
    let mode = if after {
        SetMode::InsertAfter
    } else {
        SetMode::InsertBefore
    };
    edited(jsonb::set(document, &path_elements(path)?, value, mode))
}

/// What NULL as a new value means is said by the last argument.
fn set_lax(args: &[Datum]) -> SqlResult<Datum> {
    let [document, path, value, create, treatment] = args else {
        return Ok(Datum::Null);
    };
    if document.is_null() || path.is_null() || create.is_null() {
        return Ok(Datum::Null);
    }
    let Some(treatment) = Option::<&str>::read(treatment)? else {
        return Err(invalid(
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
        ));
    };
    let (target, steps) = (<&Jsonb>::read(document)?, <&Array>::read(path)?);
    let create = bool::read(create)?;
    if let Some(value) = Option::<&Jsonb>::read(value)? {
        return set(target, steps, value, create).map(Datum::Jsonb);
    }
    match treatment {
        "raise_exception" => Err(SqlError::new(SqlState::NULL_VALUE_NOT_ALLOWED, "JSON value must not be null")
            .detail("Exception was raised because null_value_treatment is \"raise_exception\".")
            .hint("To avoid, either change the null_value_treatment argument or ensure that an SQL NULL is not passed.")),
        "use_json_null" => set(target, steps, &Jsonb::null(), create).map(Datum::Jsonb),
        "delete_key" => edited(jsonb::delete_path(target, &path_elements(steps)?)).map(Datum::Jsonb),
        "return_target" => Ok(document.clone()),
        _ => Err(invalid(
            "null_value_treatment must be \"delete_key\", \"return_target\", \"use_json_null\", or \"raise_exception\"",
        )),
    }
}

fn delete_keys(document: &Jsonb, keys: &Array) -> SqlResult<Jsonb> {
    if keys.dimensions.len() > 1 {
        return Err(SqlError::new(
            SqlState::ARRAY_SUBSCRIPT_ERROR,
            "wrong number of array subscripts",
        ));
    }
    let keys: Vec<Arc<str>> = path_elements(keys)?.into_iter().flatten().collect();
    if document.view().is_scalar() {
        return edited(Err(EditError::DeleteFromScalar));
    }
    if document.view().is_empty() || keys.is_empty() {
        return Ok(document.clone());
    }
    edited(jsonb::delete_keys(document, &keys))
}

/// json_strip_nulls: written anew without spaces.
fn strip_nulls(json: &str) -> SqlResult<Datum> {
    let mut out = String::with_capacity(json.len());
    write_stripped(json, &mut out, 0)?;
    Ok(Datum::Json(out.into()))
}

/// Nesting at which a text is handed to jsonb's stripping, which does not recurse.
const TEXT_DEPTH_MAX: usize = 500;

fn write_stripped(json: &str, out: &mut String, depth: usize) -> SqlResult<()> {
    if depth > TEXT_DEPTH_MAX {
        return Err(SqlError::new(
            SqlState::STATEMENT_TOO_COMPLEX,
            "stack depth limit exceeded",
        ));
    }
    if let Some(members) = text::members(json)? {
        out.push('{');
        let mut first = true;
        for (key, value) in members {
            if value.kind == text::Kind::Null {
                continue;
            }
            if !first {
                out.push(',');
            }
            first = false;
            // Writing to a string cannot fail.
            let _ = jsonb::write_escaped(out, &key);
            out.push(':');
            write_stripped(value.raw, out, depth + 1)?;
        }
        out.push('}');
    } else if let Some(elements) = text::elements(json)? {
        out.push('[');
        for (index, element) in elements.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_stripped(element.raw, out, depth + 1)?;
        }
        out.push(']');
    } else {
        let value = text::whole(json)?;
        match value.kind {
            text::Kind::String => {
                let _ = jsonb::write_escaped(out, &value.into_text().unwrap_or_default());
            }
            _ => out.push_str(value.raw),
        }
    }
    Ok(())
}

/// [`assign`] on arguments: NULL as the value is JSON null, NULL as a subscript an error.
fn subscript_set(args: &[Datum]) -> SqlResult<Datum> {
    let [document, path, value, first_is_integer] = args else {
        return Ok(Datum::Null);
    };
    let null_subscript = || {
        SqlError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "jsonb subscript in assignment must not be null",
        )
    };
    let steps: Option<Vec<Arc<str>>> = path_elements(<&Array>::read(path)?)?.into_iter().collect();
    let null = Jsonb::null();
    let value = Option::<&Jsonb>::read(value)?.unwrap_or(&null);
    let first_is_integer = first_is_integer.as_bool().unwrap_or(false);
    let document = Option::<&Jsonb>::read(document)?;
    assign(document, &steps.ok_or_else(null_subscript)?, first_is_integer, value).map(Datum::Jsonb)
}

/// Subscript assignment `document[steps…] = value`: missing parents are created, a NULL document starts as an array or
/// object, whichever the first subscript asks for.
///
/// `first_is_integer`: the first subscript is of an integer type (a text that spells a number makes an object).
///
/// # Errors
/// 22023 if the path leads through a scalar or before an array's start, 22P02 for a text subscript of an array.
pub fn assign(document: Option<&Jsonb>, steps: &[Arc<str>], first_is_integer: bool, value: &Jsonb) -> SqlResult<Jsonb> {
    let empty;
    let target = match document {
        Some(document) => document,
        None => {
            let mut builder = JsonBuilder::new();
            if first_is_integer {
                builder.begin_array()
            } else {
                builder.begin_object()
            }
            empty = builder.finish()?;
            &empty
        }
    };
    let path: Vec<Option<&str>> = steps.iter().map(|step| Some(step.as_ref())).collect();
    edited(jsonb::set(target, &path, value, SetMode::Assign))
}
