//! Enums: comparison and the functions that list their values. A value is the number of its label, in the labels' order.

use storage::Datum;

use super::call::binary;
use super::define::scalar;
use super::value::Oid;
use super::{CallContext, Function, compare};
use crate::catalog::user_type::labels;
use crate::types::oid::*;
use crate::{SqlError, SqlResult, SqlState, Type};

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(3508, "enum_eq", &[ANYENUM, ANYENUM], BOOL, |_, a| binary(|x: Oid, y: Oid| x == y, a)),
    scalar(3509, "enum_ne", &[ANYENUM, ANYENUM], BOOL, |_, a| binary(|x: Oid, y: Oid| x != y, a)),
    scalar(3510, "enum_lt", &[ANYENUM, ANYENUM], BOOL, |_, a| binary(|x: Oid, y: Oid| x < y, a)),
    scalar(3511, "enum_gt", &[ANYENUM, ANYENUM], BOOL, |_, a| binary(|x: Oid, y: Oid| x > y, a)),
    scalar(3512, "enum_le", &[ANYENUM, ANYENUM], BOOL, |_, a| binary(|x: Oid, y: Oid| x <= y, a)),
    scalar(3513, "enum_ge", &[ANYENUM, ANYENUM], BOOL, |_, a| binary(|x: Oid, y: Oid| x >= y, a)),
    scalar(3514, "enum_cmp", &[ANYENUM, ANYENUM], INT4, |_, a| binary(compare::order::<Oid>, a)),
    scalar(3528, "enum_first", &[ANYENUM], ANYENUM, |c, a| edge(c, a, Edge::First)).lenient().stable(),
    scalar(3529, "enum_last", &[ANYENUM], ANYENUM, |c, a| edge(c, a, Edge::Last)).lenient().stable(),
    scalar(3530, "enum_range", &[ANYENUM, ANYENUM], ANYARRAY, range).lenient().stable(),
    scalar(3531, "enum_range", &[ANYENUM], ANYARRAY, |c, _| range(c, &[Datum::Null, Datum::Null])).lenient().stable(),
];

/// Which end of an enum.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Edge {
    First,
    Last,
}

fn enum_type(context: &CallContext<'_>) -> SqlResult<Type> {
    context
        .types
        .args
        .iter()
        .copied()
        .find(|ty| crate::types::user::is_enum(ty.oid))
        .ok_or_else(|| SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, "could not determine actual enum type"))
}

fn edge(context: &mut CallContext<'_>, _args: &[Datum], edge: Edge) -> SqlResult<Datum> {
    let labels = labels(enum_type(context)?.oid, context.session)?;
    let found = match edge {
        Edge::First => labels.first(),
        Edge::Last => labels.last(),
    };
    found
        .map(|(number, _)| Datum::Oid(*number))
        .ok_or_else(|| SqlError::new(SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE, "enum contains no values"))
}

fn range(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let ty = enum_type(context)?;
    let bound = |at: usize| match args.get(at) {
        Some(Datum::Oid(number)) => Some(*number),
        _ => None,
    };
    let (lower, upper) = (bound(0).unwrap_or(0), bound(1).unwrap_or(u32::MAX));
    let values = labels(ty.oid, context.session)?
        .into_iter()
        .filter(|(number, _)| (lower..=upper).contains(number))
        .map(|(number, _)| Datum::Oid(number))
        .collect();
    Ok(crate::types::array::from_elements(ty.oid, values))
}
