//! Interval modifiers: `interval day to second(3)`.

use storage::Interval;

use super::token::mask;
use crate::types::calendar::{MICROS_PER_HOUR, MICROS_PER_MINUTE};
use crate::types::modifier::SECONDS_PRECISION_MAX;
use crate::{SqlError, SqlResult, SqlState};

/// All fields.
pub const FULL_RANGE: u32 = 0x7fff;
/// No precision given.
const FULL_PRECISION: i32 = 0xffff;

const DAY_TO_HOUR: u32 = mask::DAY | mask::HOUR;
const DAY_TO_MINUTE: u32 = DAY_TO_HOUR | mask::MINUTE;
const DAY_TO_SECOND: u32 = DAY_TO_MINUTE | mask::SECOND;
const HOUR_TO_MINUTE: u32 = mask::HOUR | mask::MINUTE;
const HOUR_TO_SECOND: u32 = HOUR_TO_MINUTE | mask::SECOND;
const MINUTE_TO_SECOND: u32 = mask::MINUTE | mask::SECOND;
const YEAR_TO_MONTH: u32 = mask::YEAR | mask::MONTH;

/// Field ranges a modifier may name, with their spelling.
const RANGES: [(u32, &str); 14] = [
    (mask::YEAR, " year"),
    (mask::MONTH, " month"),
    (mask::DAY, " day"),
    (mask::HOUR, " hour"),
    (mask::MINUTE, " minute"),
    (mask::SECOND, " second"),
    (YEAR_TO_MONTH, " year to month"),
    (DAY_TO_HOUR, " day to hour"),
    (DAY_TO_MINUTE, " day to minute"),
    (DAY_TO_SECOND, " day to second"),
    (HOUR_TO_MINUTE, " hour to minute"),
    (HOUR_TO_SECOND, " hour to second"),
    (MINUTE_TO_SECOND, " minute to second"),
    (FULL_RANGE, ""),
];

/// The fields a modifier allows.
pub fn range_of(modifier: i32) -> u32 {
    if modifier < 0 {
        FULL_RANGE
    } else {
        (modifier >> 16) as u32 & FULL_RANGE
    }
}

/// The modifier of a range of fields named in SQL (`day to second`) and an optional precision.
pub fn modifier_of(fields: &str, precision: Option<i32>) -> Option<i32> {
    let wanted = fields.trim().to_ascii_lowercase();
    let (range, _) = RANGES.iter().find(|(_, spelling)| spelling.trim() == wanted)?;
    Some((*range as i32) << 16 | precision.map_or(FULL_PRECISION, |precision| precision.min(SECONDS_PRECISION_MAX)))
}

/// The modifier of the numbers in a type's parentheses: a range mask and perhaps a precision, or a precision alone.
pub fn modifier_in(numbers: &[i32]) -> SqlResult<i32> {
    let (range, precision) = match *numbers {
        [range] if RANGES.iter().any(|(known, _)| *known as i32 == range) => (range, FULL_PRECISION),
        [precision] => (FULL_RANGE as i32, precision),
        [range, precision] => (range, precision),
        _ => {
            return Err(SqlError::new(
                SqlState::INVALID_PARAMETER_VALUE,
                "invalid INTERVAL type modifier",
            ));
        }
    };
    if precision < 0 {
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("INTERVAL({precision}) precision must not be negative"),
        ));
    }
    let precision = if precision == FULL_PRECISION {
        precision
    } else {
        precision.min(SECONDS_PRECISION_MAX)
    };
    Ok(range << 16 | precision)
}

/// What `format_type` prints after `interval`.
pub fn modifier_out(modifier: i32) -> String {
    let range = range_of(modifier);
    let precision = modifier & 0xffff;
    let spelling = RANGES
        .iter()
        .find(|(known, _)| *known == range)
        .map_or("", |(_, spelling)| spelling);
    if precision == FULL_PRECISION {
        spelling.to_owned()
    } else {
        format!("{spelling}({precision})")
    }
}

/// Cuts an interval to the fields and the precision of a modifier.
pub fn fit(mut value: Interval, modifier: i32) -> SqlResult<Interval> {
    if modifier < 0 {
        return Ok(value);
    }
    match range_of(modifier) {
        mask::YEAR => {
            value = Interval {
                months: value.months / 12 * 12,
                days: 0,
                micros: 0,
            }
        }
        mask::MONTH | YEAR_TO_MONTH => {
            value = Interval {
                months: value.months,
                days: 0,
                micros: 0,
            }
        }
        mask::DAY => value.micros = 0,
        mask::HOUR | DAY_TO_HOUR => value.micros = value.micros / MICROS_PER_HOUR * MICROS_PER_HOUR,
        mask::MINUTE | DAY_TO_MINUTE | HOUR_TO_MINUTE => {
            value.micros = value.micros / MICROS_PER_MINUTE * MICROS_PER_MINUTE;
        }
        _ => {}
    }
    let precision = modifier & 0xffff;
    if precision < SECONDS_PRECISION_MAX {
        let scale = 10i64.pow((SECONDS_PRECISION_MAX - precision) as u32);
        let half = scale / 2;
        let size = value
            .micros
            .checked_abs()
            .and_then(|size| size.checked_add(half))
            .ok_or_else(|| SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range"))?;
        value.micros = size / scale * scale * value.micros.signum();
    }
    Ok(value)
}
