//! generate_series of every type.

use super::{integers, moments, numerics, timestamps};
use crate::functions::Function;
use crate::functions::define::rows;
use crate::types::oid::*;

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    rows(1067, "generate_series", &[INT4, INT4], INT4, integers::<i32>),
    rows(1066, "generate_series", &[INT4, INT4, INT4], INT4, integers::<i32>),
    rows(1069, "generate_series", &[INT8, INT8], INT8, integers::<i64>),
    rows(1068, "generate_series", &[INT8, INT8, INT8], INT8, integers::<i64>),
    rows(3260, "generate_series", &[NUMERIC, NUMERIC], NUMERIC, numerics),
    rows(3259, "generate_series", &[NUMERIC, NUMERIC, NUMERIC], NUMERIC, numerics),
    rows(938, "generate_series", &[TIMESTAMP, TIMESTAMP, INTERVAL], TIMESTAMP, timestamps),
    rows(939, "generate_series", &[TIMESTAMPTZ, TIMESTAMPTZ, INTERVAL], TIMESTAMPTZ, moments).stable(),
];
