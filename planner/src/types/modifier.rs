//! Type modifiers: how `numeric(10,2)` becomes a number, what it does to a value, and how it is printed.

use storage::{Datum, Interval};

use super::character::{fit_bpchar, fit_varchar};
use super::datetime::interval;
use super::{Type, oid};
use crate::{SqlError, SqlResult, SqlState};

/// PostgreSQL's VARHDRSZ, which typmods of lengths carry.
const HEADER: i32 = 4;

/// Longest `varchar(n)`.
const LENGTH_MAX: i32 = 10_485_760;

/// Most digits `numeric(p, s)` may ask for.
const PRECISION_MAX: i32 = 1000;

/// Most fractional digits of seconds.
pub const SECONDS_PRECISION_MAX: i32 = 6;

fn invalid(message: String) -> SqlError {
    SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message)
}

/// The modifier of a type from the integers in its parentheses, as `typmodin`.
///
/// # Errors
/// 22023 for numbers out of range, 42601 where the type takes none.
pub fn modifier_in(type_oid: u32, numbers: &[i32]) -> SqlResult<i32> {
    match type_oid {
        oid::VARCHAR | oid::BPCHAR => {
            length_modifier(if type_oid == oid::VARCHAR { "varchar" } else { "char" }, numbers)
        }
        oid::NUMERIC => numeric_modifier(numbers),
        oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => {
            let &[precision] = numbers else {
                return Err(invalid("invalid type modifier".into()));
            };
            let (name, zone) = match type_oid {
                oid::TIME => ("TIME", ""),
                oid::TIMETZ => ("TIME", " WITH TIME ZONE"),
                oid::TIMESTAMP => ("TIMESTAMP", ""),
                _ => ("TIMESTAMP", " WITH TIME ZONE"),
            };
            if precision < 0 {
                return Err(invalid(format!(
                    "{name}({precision}){zone} precision must not be negative"
                )));
            }
            // PostgreSQL warns and takes the maximum.
            Ok(precision.min(SECONDS_PRECISION_MAX))
        }
        oid::INTERVAL => interval::modifier_in(numbers),
        _ => match super::element_of(type_oid) {
            Some(element) => modifier_in(element, numbers),
            None => Err(SqlError::new(
                SqlState::SYNTAX_ERROR,
                format!(
                    "type modifier is not allowed for type \"{}\"",
                    super::format_type(Type::new(type_oid))
                ),
            )),
        },
    }
}

fn length_modifier(name: &str, numbers: &[i32]) -> SqlResult<i32> {
    let &[length] = numbers else {
        return Err(invalid("invalid type modifier".into()));
    };
    if length < 1 {
        return Err(invalid(format!("length for type {name} must be at least 1")));
    }
    if length > LENGTH_MAX {
        return Err(invalid(format!("length for type {name} cannot exceed {LENGTH_MAX}")));
    }
    Ok(length + HEADER)
}

fn numeric_modifier(numbers: &[i32]) -> SqlResult<i32> {
    let (precision, scale) = match *numbers {
        [precision] => (precision, 0),
        [precision, scale] => (precision, scale),
        _ => return Err(invalid("invalid NUMERIC type modifier".into())),
    };
    if !(1..=PRECISION_MAX).contains(&precision) {
        return Err(invalid(format!(
            "NUMERIC precision {precision} must be between 1 and {PRECISION_MAX}"
        )));
    }
    if !(-PRECISION_MAX..=PRECISION_MAX).contains(&scale) {
        return Err(invalid(format!(
            "NUMERIC scale {scale} must be between -{PRECISION_MAX} and {PRECISION_MAX}"
        )));
    }
    Ok(((precision << 16) | (scale & 0x7ff)) + HEADER)
}

/// Precision and scale of a numeric modifier.
pub fn numeric_parts(modifier: i32) -> Option<(i32, i32)> {
    (modifier >= HEADER).then(|| {
        let packed = modifier - HEADER;
        // The scale is a signed number of 11 bits.
        ((packed >> 16) & 0xffff, ((packed & 0x7ff) ^ 1024) - 1024)
    })
}

/// Length of a `varchar(n)` or `char(n)` modifier.
pub fn character_length(modifier: i32) -> Option<usize> {
    (modifier >= HEADER).then(|| (modifier - HEADER) as usize)
}

/// What `format_type` prints of a modifier, parentheses included.
pub fn modifier_out(type_oid: u32, modifier: i32) -> String {
    if modifier < 0 {
        return String::new();
    }
    match type_oid {
        oid::NUMERIC => {
            numeric_parts(modifier).map_or(String::new(), |(precision, scale)| format!("({precision},{scale})"))
        }
        oid::VARCHAR | oid::BPCHAR => character_length(modifier).map_or(String::new(), |length| format!("({length})")),
        oid::TIME | oid::TIMETZ | oid::TIMESTAMP | oid::TIMESTAMPTZ => format!("({modifier})"),
        oid::INTERVAL => interval::modifier_out(modifier),
        _ => String::new(),
    }
}

/// Fits a value to its type's modifier: `varchar(3)`, `numeric(5,2)`, `timestamp(0)`, `interval day to second(3)`,
/// arrays element by element. `explicit` casts cut long texts silently, as in `x::varchar(3)`.
///
/// # Errors
/// 22001 for a text that is too long, 22003 for a numeric that does not fit.
pub fn apply_modifier(datum: Datum, ty: Type, explicit: bool) -> SqlResult<Datum> {
    let modifier = ty.modifier;
    if modifier < 0 {
        return Ok(datum);
    }
    Ok(match (ty.oid, datum) {
        (oid::VARCHAR, Datum::Text(text)) => match character_length(modifier) {
            Some(length) => Datum::Text(fit_varchar(text, length, explicit)?),
            None => Datum::Text(text),
        },
        (oid::BPCHAR, Datum::Text(text)) => match character_length(modifier) {
            Some(length) => Datum::Text(fit_bpchar(text, length, explicit)?),
            None => Datum::Text(text),
        },
        (oid::NUMERIC, Datum::Numeric(value)) => match numeric_parts(modifier) {
            Some((precision, scale)) => Datum::Numeric(super::numeric::fit(value, precision, scale)?),
            None => Datum::Numeric(value),
        },
        (oid::TIME, Datum::Time(micros)) => Datum::Time(round_time(micros, modifier)),
        (oid::TIMETZ, Datum::TimeTz(micros, zone)) => Datum::TimeTz(round_time(micros, modifier), zone),
        (oid::TIMESTAMP, Datum::Timestamp(micros)) => Datum::Timestamp(round_timestamp(micros, modifier)),
        (oid::TIMESTAMPTZ, Datum::TimestampTz(micros)) => Datum::TimestampTz(round_timestamp(micros, modifier)),
        (oid::INTERVAL, Datum::Interval(value)) => Datum::Interval(fit_interval(value, modifier)?),
        (array_type, Datum::Array(array)) => match super::element_of(array_type) {
            Some(element) if !array.elements.is_empty() => {
                let element = Type::with_modifier(element, modifier);
                let mut fitted = storage::Array::clone(&array);
                for item in &mut fitted.elements {
                    *item = apply_modifier(std::mem::replace(item, Datum::Null), element, explicit)?;
                }
                Datum::Array(std::sync::Arc::new(fitted))
            }
            _ => Datum::Array(array),
        },
        (_, other) => other,
    })
}

fn fit_interval(value: Interval, modifier: i32) -> SqlResult<Interval> {
    interval::fit(value, modifier)
}

const SCALES: [i64; 7] = [1_000_000, 100_000, 10_000, 1_000, 100, 10, 1];

/// Rounds microseconds of a day to a number of fractional digits, half up.
pub fn round_time(micros: i64, precision: i32) -> i64 {
    match SCALES.get(precision.max(0) as usize) {
        Some(&scale) => (micros + scale / 2) / scale * scale,
        None => micros,
    }
}

/// Rounds a timestamp to a number of fractional digits, half away from zero; infinities stay.
pub fn round_timestamp(micros: i64, precision: i32) -> i64 {
    if micros == i64::MIN || micros == i64::MAX {
        return micros;
    }
    match SCALES.get(precision.max(0) as usize) {
        Some(&scale) if micros >= 0 => micros.saturating_add(scale / 2) / scale * scale,
        Some(&scale) => -(((-micros).saturating_add(scale / 2)) / scale * scale),
        None => micros,
    }
}
