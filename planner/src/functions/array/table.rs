//! Functions of arrays.

use super::combine::{append, concatenate, fill, prepend, remove, replace, trim};
use super::{search, set_element, set_slice, shape};
use crate::functions::CallContext;
use crate::functions::Function;
use crate::functions::call::{binary, binary_with, ternary, ternary_with, unary};
use crate::functions::define::{rows, scalar};
use crate::types::oid::*;
use storage::{Array, Datum};

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(378, "array_append", &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE], ANYCOMPATIBLEARRAY, |c, a| binary_with(append, c, a)).lenient(),
    scalar(379, "array_prepend", &[ANYCOMPATIBLE, ANYCOMPATIBLEARRAY], ANYCOMPATIBLEARRAY, |c, a| binary_with(prepend, c, a)).lenient(),
    scalar(383, "array_cat", &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLEARRAY], ANYCOMPATIBLEARRAY, |_, a| binary(concatenate, a)).lenient(),
    scalar(3167, "array_remove", &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE], ANYCOMPATIBLEARRAY, |_, a| binary(remove, a)).lenient(),
    scalar(3168, "array_replace", &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE, ANYCOMPATIBLE], ANYCOMPATIBLEARRAY, |_, a| ternary(replace, a)).lenient(),
    scalar(1193, "array_fill", &[ANYELEMENT, INT4_ARRAY], ANYARRAY, |c, a| binary_with(|c: &mut CallContext<'_>, x: &Datum, y: Option<&Array>| fill(c, x, y, None), c, a)).lenient(),
    scalar(1286, "array_fill", &[ANYELEMENT, INT4_ARRAY, INT4_ARRAY], ANYARRAY, |c, a| ternary_with(|c: &mut CallContext<'_>, x: &Datum, y: Option<&Array>, z: Option<&Array>| fill(c, x, y, Some(z)), c, a)).lenient(),
    scalar(6172, "trim_array", &[ANYARRAY, INT4], ANYARRAY, |_, a| binary(trim, a)),
    scalar(3277, "array_position", &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE], INT4, search::position).lenient(),
    scalar(3278, "array_position", &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE, INT4], INT4, search::position).lenient(),
    scalar(3279, "array_positions", &[ANYCOMPATIBLEARRAY, ANYCOMPATIBLE], INT4_ARRAY, |_, a| binary(search::positions, a)).lenient(),
    scalar(2748, "arraycontains", &[ANYARRAY, ANYARRAY], BOOL, |_, a| binary(search::contains, a)),
    scalar(2749, "arraycontained", &[ANYARRAY, ANYARRAY], BOOL, |_, a| binary(|x: &Array, y: &Array| search::contains(y, x), a)),
    scalar(2747, "arrayoverlap", &[ANYARRAY, ANYARRAY], BOOL, |_, a| binary(search::overlaps, a)),
    scalar(3218, "width_bucket", &[ANYCOMPATIBLE, ANYCOMPATIBLEARRAY], INT4, |_, a| binary(search::width_bucket, a)),
    scalar(2176, "array_length", &[ANYARRAY, INT4], INT4, |_, a| binary(shape::length, a)),
    scalar(2091, "array_lower", &[ANYARRAY, INT4], INT4, |_, a| binary(shape::lower, a)),
    scalar(2092, "array_upper", &[ANYARRAY, INT4], INT4, |_, a| binary(shape::upper, a)),
    scalar(748, "array_ndims", &[ANYARRAY], INT4, |_, a| unary(shape::dimension_count, a)),
    scalar(747, "array_dims", &[ANYARRAY], TEXT, |_, a| unary(shape::dimensions, a)),
    scalar(3179, "cardinality", &[ANYARRAY], INT4, |_, a| unary(|x: &Array| x.elements.len() as i32, a)),
    // PostgreSQL has this one in information_schema, where drivers call it; its number there is not fixed.
    rows(13200, "_pg_expandarray", &[INT2VECTOR], RECORD, shape::expand).columns(&[("x", INT2), ("n", INT4)]),
    rows(2331, "unnest", &[ANYARRAY], ANYELEMENT, shape::unnest),
    rows(1191, "generate_subscripts", &[ANYARRAY, INT4, BOOL], INT4, shape::subscripts),
    rows(1192, "generate_subscripts", &[ANYARRAY, INT4], INT4, shape::subscripts),
    // Assignment to subscripts, by names that SQL cannot spell.
    scalar(9020, "array set element", &[ANYARRAY, INT4_ARRAY, ANYELEMENT], ANYARRAY, set_element).lenient(),
    scalar(9021, "array set slice", &[ANYARRAY, INT4_ARRAY, INT4_ARRAY, ANYARRAY], ANYARRAY, set_slice).lenient(),
];
