//! Constructing: to_json, row_to_json, array_to_json, build_object, build_array, json_object.

use storage::{Array, Datum, JsonBuilder, Jsonb};

use super::encode::{key_text, quote, write_json, write_jsonb};
use super::{built, invalid, texts};
use crate::bind::VARIADIC_MARK;
use crate::functions::define::scalar;
use crate::functions::{CallContext, Function};
use crate::types::oid::*;
use crate::{SqlError, SqlResult, SqlState, Type};

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(3176, "to_json", &[ANYELEMENT], JSON, to_json).stable(),
    scalar(3787, "to_jsonb", &[ANYELEMENT], JSONB, to_jsonb).stable(),
    scalar(3155, "row_to_json", &[RECORD], JSON, to_json).stable(),
    scalar(3156, "row_to_json", &[RECORD, BOOL], JSON, to_json).stable(),
    scalar(3153, "array_to_json", &[ANYARRAY], JSON, to_json).stable(),
    scalar(3154, "array_to_json", &[ANYARRAY, BOOL], JSON, to_json).stable(),
    scalar(3199, "json_build_array", &[], JSON, json_build_array).lenient().stable(),
    scalar(3198, "json_build_array", &[ANY], JSON, json_build_array).variadic().lenient().stable(),
    scalar(3201, "json_build_object", &[], JSON, json_build_object).lenient().stable(),
    scalar(3200, "json_build_object", &[ANY], JSON, json_build_object).variadic().lenient().stable(),
    scalar(3272, "jsonb_build_array", &[], JSONB, jsonb_build_array).lenient().stable(),
    scalar(3271, "jsonb_build_array", &[ANY], JSONB, jsonb_build_array).variadic().lenient().stable(),
    scalar(3274, "jsonb_build_object", &[], JSONB, jsonb_build_object).lenient().stable(),
    scalar(3273, "jsonb_build_object", &[ANY], JSONB, jsonb_build_object).variadic().lenient().stable(),
    scalar(3202, "json_object", &[TEXT_ARRAY], JSON, |_, a| json_object(a)),
    scalar(3203, "json_object", &[TEXT_ARRAY, TEXT_ARRAY], JSON, |_, a| json_object(a)),
    scalar(3263, "jsonb_object", &[TEXT_ARRAY], JSONB, |_, a| jsonb_object(a)),
    scalar(3264, "jsonb_object", &[TEXT_ARRAY, TEXT_ARRAY], JSONB, |_, a| jsonb_object(a)),
];

fn argument_type(context: &CallContext<'_>, index: usize) -> Type {
    context.types.args.get(index).copied().unwrap_or(Type::UNKNOWN)
}

/// A second argument asks for line feeds.
fn to_json(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let Some(value) = args.first() else {
        return Ok(Datum::Null);
    };
    let pretty = args.get(1).and_then(Datum::as_bool).unwrap_or(false);
    let mut out = String::new();
    write_json(&mut out, value, argument_type(context, 0), context.session, pretty)?;
    Ok(Datum::Json(out.into()))
}

fn to_jsonb(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let Some(value) = args.first() else {
        return Ok(Datum::Null);
    };
    if let Datum::Jsonb(document) = value {
        return Ok(Datum::Jsonb(document.clone()));
    }
    let mut builder = JsonBuilder::new();
    write_jsonb(&mut builder, value, argument_type(context, 0), context.session)?;
    built(builder.finish()).map(Datum::Jsonb)
}

/// Arguments and their types, with an explicit VARIADIC array spread out; `None` if that array is NULL.
fn spread<'a>(context: &CallContext<'_>, args: &'a [Datum]) -> Option<Vec<(&'a Datum, Type)>> {
    let mut spread = Vec::with_capacity(args.len());
    for (index, value) in args.iter().enumerate() {
        let ty = argument_type(context, index);
        match value {
            Datum::Array(array) if ty.modifier == VARIADIC_MARK => {
                let element = Type::new(array.element_type);
                spread.extend(array.elements.iter().map(|value| (value, element)));
            }
            Datum::Null if ty.modifier == VARIADIC_MARK => return None,
            _ => spread.push((value, ty)),
        }
    }
    Some(spread)
}

fn json_build_array(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let mut out = String::from("[");
    let Some(args) = spread(context, args) else {
        return Ok(Datum::Null);
    };
    for (index, (value, ty)) in args.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        write_json(&mut out, value, ty, context.session, false)?;
    }
    out.push(']');
    Ok(Datum::Json(out.into()))
}

fn jsonb_build_array(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let mut builder = JsonBuilder::new();
    builder.begin_array();
    let Some(args) = spread(context, args) else {
        return Ok(Datum::Null);
    };
    for (value, ty) in args {
        write_jsonb(&mut builder, value, ty, context.session)?;
    }
    builder.end();
    built(builder.finish()).map(Datum::Jsonb)
}

fn check_pairs(count: usize, function: &str) -> SqlResult<()> {
    if count.is_multiple_of(2) {
        return Ok(());
    }
    Err(invalid("argument list must have even number of elements").hint(format!(
        "The arguments of {function}() must consist of alternating keys and values."
    )))
}

fn json_build_object(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let Some(args) = spread(context, args) else {
        return Ok(Datum::Null);
    };
    check_pairs(args.len(), "json_build_object")?;
    let mut out = String::from("{");
    for (index, pair) in args.chunks_exact(2).enumerate() {
        let [(key, key_type), (value, ty)] = [pair[0], pair[1]];
        if key.is_null() {
            let position = index * 2 + 1;
            return Err(invalid(format!("argument {position} cannot be null")).hint("Object keys should be text."));
        }
        if index > 0 {
            out.push_str(", ");
        }
        quote(&mut out, &key_text(key, key_type, context.session)?);
        out.push_str(" : ");
        write_json(&mut out, value, ty, context.session, false)?;
    }
    out.push('}');
    Ok(Datum::Json(out.into()))
}

fn jsonb_build_object(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let Some(args) = spread(context, args) else {
        return Ok(Datum::Null);
    };
    check_pairs(args.len(), "jsonb_build_object")?;
    let mut builder = JsonBuilder::new();
    builder.begin_object();
    for (index, pair) in args.chunks_exact(2).enumerate() {
        let [(key, key_type), (value, ty)] = [pair[0], pair[1]];
        if key.is_null() {
            return Err(invalid(format!("argument {}: key must not be null", index * 2 + 1)));
        }
        builder.key(&key_text(key, key_type, context.session)?);
        write_jsonb(&mut builder, value, ty, context.session)?;
    }
    builder.end();
    built(builder.finish()).map(Datum::Jsonb)
}

type Pairs = Vec<(std::sync::Arc<str>, Option<std::sync::Arc<str>>)>;

fn subscript_error(message: &str) -> SqlError {
    SqlError::new(SqlState::ARRAY_SUBSCRIPT_ERROR, message)
}

/// Keys and values out of one array of pairs, or an array of keys and one of values.
fn object_pairs(args: &[Datum]) -> SqlResult<Pairs> {
    let array = |index: usize| args.get(index).and_then(Datum::as_array);
    let flat = match (array(0), array(1)) {
        (Some(pairs), None) => {
            match *pairs.dimensions.as_slice() {
                [] => {}
                [(length, _)] if length % 2 != 0 => {
                    return Err(subscript_error("array must have even number of elements"));
                }
                [_] => {}
                [_, (2, _)] => {}
                [_, _] => return Err(subscript_error("array must have two columns")),
                _ => return Err(subscript_error("wrong number of array subscripts")),
            }
            let mut elements = texts(pairs)?.into_iter();
            let mut flat = Vec::new();
            while let (Some(key), Some(value)) = (elements.next(), elements.next()) {
                flat.push((key, value));
            }
            flat
        }
        (Some(keys), Some(values)) => two_arrays(keys, values)?,
        _ => Vec::new(),
    };
    let with_key = |(key, value): (Option<std::sync::Arc<str>>, _)| match key {
        Some(key) => Ok((key, value)),
        None => Err(SqlError::new(
            SqlState::NULL_VALUE_NOT_ALLOWED,
            "null value not allowed for object key",
        )),
    };
    flat.into_iter().map(with_key).collect()
}

type MaybePairs = Vec<(Option<std::sync::Arc<str>>, Option<std::sync::Arc<str>>)>;

fn two_arrays(keys: &Array, values: &Array) -> SqlResult<MaybePairs> {
    if keys.dimensions.len() > 1 || keys.dimensions.len() != values.dimensions.len() {
        return Err(subscript_error("wrong number of array subscripts"));
    }
    if keys.elements.len() != values.elements.len() {
        return Err(subscript_error("mismatched array dimensions"));
    }
    Ok(texts(keys)?.into_iter().zip(texts(values)?).collect())
}

fn json_object(args: &[Datum]) -> SqlResult<Datum> {
    let mut out = String::from("{");
    for (index, (key, value)) in object_pairs(args)?.into_iter().enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        quote(&mut out, &key);
        out.push_str(" : ");
        match value {
            Some(value) => quote(&mut out, &value),
            None => out.push_str("null"),
        }
    }
    out.push('}');
    Ok(Datum::Json(out.into()))
}

fn jsonb_object(args: &[Datum]) -> SqlResult<Datum> {
    let mut builder = JsonBuilder::new();
    builder.begin_object();
    for (key, value) in object_pairs(args)? {
        builder.key(&key);
        match value {
            Some(value) => builder.string(&value),
            None => builder.null(),
        }
    }
    builder.end();
    built(builder.finish()).map(|document: Jsonb| Datum::Jsonb(document))
}
