//! to_char, to_date, to_timestamp and to_number.

use super::{number_in, number_out, time_in, time_out};
use crate::functions::Function;
use crate::functions::call::{binary, binary_with};
use crate::functions::define::scalar;
use crate::types::oid::*;

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(2049, "to_char", &[TIMESTAMP, TEXT], TEXT, |_, a| binary(time_out::timestamp, a)).stable(),
    scalar(1770, "to_char", &[TIMESTAMPTZ, TEXT], TEXT, |c, a| binary_with(time_out::moment, c, a)).stable(),
    scalar(1768, "to_char", &[INTERVAL, TEXT], TEXT, |_, a| binary(time_out::interval, a)).stable(),
    scalar(1780, "to_date", &[TEXT, TEXT], DATE, |_, a| binary(time_in::date, a)).stable(),
    scalar(1778, "to_timestamp", &[TEXT, TEXT], TIMESTAMPTZ, |c, a| binary_with(time_in::moment, c, a)).stable(),
    scalar(1772, "to_char", &[NUMERIC, TEXT], TEXT, |_, a| binary(number_out::numeric, a)).stable(),
    scalar(1773, "to_char", &[INT4, TEXT], TEXT, |_, a| binary(|x: i32, template: &str| number_out::integer(i64::from(x), template), a)).stable(),
    scalar(1774, "to_char", &[INT8, TEXT], TEXT, |_, a| binary(number_out::integer, a)).stable(),
    scalar(1775, "to_char", &[FLOAT4, TEXT], TEXT, |_, a| binary(number_out::real, a)).stable(),
    scalar(1776, "to_char", &[FLOAT8, TEXT], TEXT, |_, a| binary(number_out::double, a)).stable(),
    scalar(1777, "to_number", &[TEXT, TEXT], NUMERIC, |_, a| binary(number_in::numeric, a)).stable(),
];
