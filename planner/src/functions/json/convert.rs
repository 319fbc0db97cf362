//! Casts from jsonb to booleans and numbers.

use storage::{Datum, JsonKind, Jsonb, Numeric};

use super::invalid;
use crate::SqlResult;
use crate::functions::Function;
use crate::functions::call::unary;
use crate::functions::define::scalar;
use crate::types::error::out_of_range;
use crate::types::oid::*;

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(3556, "bool", &[JSONB], BOOL, |_, a| unary(|j: &Jsonb| j.view().as_bool().ok_or_else(|| cannot_cast(j, "boolean")), a)),
    scalar(3449, "numeric", &[JSONB], NUMERIC, |_, a| unary(|j: &Jsonb| number(j, "numeric"), a)),
    scalar(3450, "int2", &[JSONB], INT2, |_, a| unary(|j: &Jsonb| number(j, "smallint")?.to_i16_rounded().ok_or_else(|| out_of_range("smallint out of range")), a)),
    scalar(3451, "int4", &[JSONB], INT4, |_, a| unary(|j: &Jsonb| number(j, "integer")?.to_i32_rounded().ok_or_else(|| out_of_range("integer out of range")), a)),
    scalar(3452, "int8", &[JSONB], INT8, |_, a| unary(|j: &Jsonb| number(j, "bigint")?.to_i64_rounded().ok_or_else(|| out_of_range("bigint out of range")), a)),
    scalar(3453, "float4", &[JSONB], FLOAT4, |_, a| unary(|j: &Jsonb| {
        let value = number(j, "real")?;
        value.to_f32().map(Datum::Float4).ok_or_else(|| out_of_range(&format!("\"{value}\" is out of range for type real")))
    }, a)),
    scalar(2580, "float8", &[JSONB], FLOAT8, |_, a| unary(|j: &Jsonb| {
        let value = number(j, "double precision")?;
        value.to_f64().map(Datum::Float8).ok_or_else(|| out_of_range(&format!("\"{value}\" is out of range for type double precision")))
    }, a)),
];

fn number(document: &Jsonb, target: &str) -> SqlResult<Numeric> {
    document.view().as_number().ok_or_else(|| cannot_cast(document, target))
}

fn cannot_cast(document: &Jsonb, target: &str) -> crate::SqlError {
    let what = match document.view().kind() {
        JsonKind::Null => "jsonb null",
        JsonKind::String => "jsonb string",
        JsonKind::Number => "jsonb numeric",
        JsonKind::Bool => "jsonb boolean",
        JsonKind::Array => "jsonb array",
        JsonKind::Object => "jsonb object",
    };
    invalid(format!("cannot cast {what} to type {target}"))
}
