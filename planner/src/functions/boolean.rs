//! Boolean functions and conversions.

use crate::functions::Function;
use crate::functions::call::{binary, unary};
use crate::functions::define::scalar;
use crate::types::oid::*;

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    // The operators AND, OR and NOT are expressions of their own; these are the aggregates' helpers.
    scalar(2515, "booland_statefunc", &[BOOL, BOOL], BOOL, |_, a| binary(|x: bool, y: bool| x && y, a)),
    scalar(2516, "boolor_statefunc", &[BOOL, BOOL], BOOL, |_, a| binary(|x: bool, y: bool| x || y, a)),
    scalar(2558, "int4", &[BOOL], INT4, |_, a| unary(|x: bool| i32::from(x), a)),
    scalar(2557, "bool", &[INT4], BOOL, |_, a| unary(|x: i32| x != 0, a)),
    scalar(2971, "text", &[BOOL], TEXT, |_, a| unary(|x: bool| if x { "true" } else { "false" }, a)),
];
