//! Functions of numeric.

use super::{to_float4, to_float8, to_integer, width_bucket};
use crate::functions::Function;
use crate::functions::call::{binary, quaternary, unary};
use crate::functions::define::scalar;
use crate::types::oid::*;
use storage::Numeric;

#[rustfmt::skip]
pub(in crate::functions) static FUNCTIONS: &[Function] = &[
    scalar(1724, "numeric_add", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::add, a)),
    scalar(1725, "numeric_sub", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::sub, a)),
    scalar(1726, "numeric_mul", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::mul, a)),
    scalar(1727, "numeric_div", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::div, a)),
    scalar(1973, "div", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::div_trunc, a)),
    scalar(1980, "numeric_div_trunc", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::div_trunc, a)),
    scalar(1728, "mod", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::rem, a)),
    scalar(1729, "numeric_mod", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::rem, a)),
    scalar(1771, "numeric_uminus", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::neg, a)),
    scalar(1915, "numeric_uplus", &[NUMERIC], NUMERIC, |_, a| unary(|x: &Numeric| x.clone(), a)),
    scalar(1704, "numeric_abs", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::abs, a)),
    scalar(1705, "abs", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::abs, a)),
    scalar(1706, "sign", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::sign, a)),
    scalar(1764, "numeric_inc", &[NUMERIC], NUMERIC, |_, a| unary(|x: &Numeric| x.add(&Numeric::ONE), a)),
    scalar(1707, "round", &[NUMERIC, INT4], NUMERIC, |_, a| binary(|x: &Numeric, scale: i32| x.round(scale), a)),
    scalar(1708, "round", &[NUMERIC], NUMERIC, |_, a| unary(|x: &Numeric| x.round(0), a)),
    scalar(1709, "trunc", &[NUMERIC, INT4], NUMERIC, |_, a| binary(|x: &Numeric, scale: i32| x.trunc(scale), a)),
    scalar(1710, "trunc", &[NUMERIC], NUMERIC, |_, a| unary(|x: &Numeric| x.trunc(0), a)),
    scalar(1711, "ceil", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::ceil, a)),
    scalar(2167, "ceiling", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::ceil, a)),
    scalar(1712, "floor", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::floor, a)),
    scalar(1730, "sqrt", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::sqrt, a)),
    scalar(1731, "numeric_sqrt", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::sqrt, a)),
    scalar(1732, "exp", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::exp, a)),
    scalar(1733, "numeric_exp", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::exp, a)),
    scalar(1734, "ln", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::ln, a)),
    scalar(1735, "numeric_ln", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::ln, a)),
    scalar(1736, "log", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::log, a)),
    scalar(1737, "numeric_log", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::log, a)),
    scalar(1741, "log", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::log10, a)),
    scalar(1481, "log10", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::log10, a)),
    scalar(1738, "pow", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::pow, a)),
    scalar(1739, "numeric_power", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::pow, a)),
    scalar(2169, "power", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::pow, a)),
    scalar(1376, "factorial", &[INT8], NUMERIC, |_, a| unary(Numeric::factorial, a)),
    scalar(5048, "gcd", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::gcd, a)),
    scalar(5049, "lcm", &[NUMERIC, NUMERIC], NUMERIC, |_, a| binary(Numeric::lcm, a)),
    scalar(3281, "scale", &[NUMERIC], INT4, |_, a| unary(|x: &Numeric| x.is_finite().then(|| x.scale() as i32), a)),
    scalar(5042, "min_scale", &[NUMERIC], INT4, |_, a| unary(|x: &Numeric| x.is_finite().then(|| x.min_scale() as i32), a)),
    scalar(5043, "trim_scale", &[NUMERIC], NUMERIC, |_, a| unary(Numeric::trim_scale, a)),
    scalar(2170, "width_bucket", &[NUMERIC, NUMERIC, NUMERIC, INT4], INT4, |_, a| quaternary(width_bucket, a)),
    // Conversions.
    scalar(1703, "numeric", &[NUMERIC, INT4], NUMERIC, |_, a| binary(|x: &Numeric, modifier: i32| x.with_modifier(modifier), a)),
    scalar(1782, "numeric", &[INT2], NUMERIC, |_, a| unary(|x: i16| Numeric::from(i64::from(x)), a)),
    scalar(1740, "numeric", &[INT4], NUMERIC, |_, a| unary(|x: i32| Numeric::from(i64::from(x)), a)),
    scalar(1781, "numeric", &[INT8], NUMERIC, |_, a| unary(|x: i64| Numeric::from(x), a)),
    scalar(1742, "numeric", &[FLOAT4], NUMERIC, |_, a| unary(|x: f32| Numeric::from_f32(x), a)),
    scalar(1743, "numeric", &[FLOAT8], NUMERIC, |_, a| unary(|x: f64| Numeric::from_f64(x), a)),
    scalar(1783, "int2", &[NUMERIC], INT2, |_, a| unary(|x: &Numeric| to_integer::<i16>(x, "smallint"), a)),
    scalar(1744, "int4", &[NUMERIC], INT4, |_, a| unary(|x: &Numeric| to_integer::<i32>(x, "integer"), a)),
    scalar(1779, "int8", &[NUMERIC], INT8, |_, a| unary(|x: &Numeric| to_integer::<i64>(x, "bigint"), a)),
    scalar(1745, "float4", &[NUMERIC], FLOAT4, |_, a| unary(to_float4, a)),
    scalar(1746, "float8", &[NUMERIC], FLOAT8, |_, a| unary(to_float8, a)),
];
