//! generate_series of every type.

use super::{integers, moments, numerics, timestamps};
use crate::functions::Function;
use crate::functions::define::set;
use crate::types::oid::*;

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    set(1067, "generate_series", &[INT4, INT4], INT4, integers::<i32>),
    set(1066, "generate_series", &[INT4, INT4, INT4], INT4, integers::<i32>),
    set(1069, "generate_series", &[INT8, INT8], INT8, integers::<i64>),
    set(1068, "generate_series", &[INT8, INT8, INT8], INT8, integers::<i64>),
    set(3260, "generate_series", &[NUMERIC, NUMERIC], NUMERIC, numerics),
    set(3259, "generate_series", &[NUMERIC, NUMERIC, NUMERIC], NUMERIC, numerics),
    set(938, "generate_series", &[TIMESTAMP, TIMESTAMP, INTERVAL], TIMESTAMP, timestamps),
    set(939, "generate_series", &[TIMESTAMPTZ, TIMESTAMPTZ, INTERVAL], TIMESTAMPTZ, moments).stable(),
];
