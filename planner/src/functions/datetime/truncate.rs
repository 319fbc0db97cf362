//! date_trunc and date_bin.

use storage::Interval;

use super::out_of_range;
use super::part::{not_recognized, not_supported};
use super::zone::zone_of;
use crate::functions::CallContext;
use crate::functions::value::{Timestamp, TimestampTz};
use crate::types::calendar::{self, Fields, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use crate::types::datetime::token::{IntervalWord, Unit, interval_word};
use crate::types::datetime::{local_fields, moment_of};
use crate::types::zone::Zone;
use crate::{SqlError, SqlResult, SqlState};

/// Finds a unit; unlike `extract`, only those that intervals know.
fn unit_of(name: &str, type_name: &str) -> SqlResult<Unit> {
    match interval_word(&name.to_ascii_lowercase()) {
        Some(IntervalWord::Unit(unit)) => Ok(unit),
        _ => Err(not_recognized(name, type_name)),
    }
}

/// Cuts fields to a unit. `None` if there is no such cut; else whether the date may have changed its offset.
fn truncate_fields(fields: &mut Fields, unit: Unit) -> Option<bool> {
    let year = fields.year;
    match unit {
        Unit::Week => {
            let (week, iso_year) = calendar::iso_week(year, fields.month, fields.day);
            let monday = calendar::iso_week_julian(iso_year, week);
            (fields.year, fields.month, fields.day) = calendar::j2date(monday);
        }
        Unit::Millennium => {
            fields.year = if year > 0 {
                (year + 999) / 1000 * 1000 - 999
            } else {
                -((999 - (year - 1)) / 1000) * 1000 + 1
            };
        }
        Unit::Century => {
            fields.year = if year > 0 {
                (year + 99) / 100 * 100 - 99
            } else {
                -((99 - (year - 1)) / 100) * 100 + 1
            };
        }
        Unit::Decade => {
            fields.year = if year > 0 {
                year / 10 * 10
            } else {
                -((8 - (year - 1)) / 10) * 10
            }
        }
        Unit::Quarter => fields.month = 3 * ((fields.month - 1) / 3) + 1,
        Unit::Year
        | Unit::Month
        | Unit::Day
        | Unit::Hour
        | Unit::Minute
        | Unit::Second
        | Unit::Millisecond
        | Unit::Microsecond => {}
        _ => return None,
    }
    // How much below the unit is cleared, from years to milliseconds.
    let depth = match unit {
        Unit::Millennium | Unit::Century | Unit::Decade | Unit::Year => 7,
        Unit::Quarter | Unit::Month => 6,
        Unit::Week | Unit::Day => 5,
        Unit::Hour => 4,
        Unit::Minute => 3,
        Unit::Second => 2,
        Unit::Millisecond => 1,
        _ => 0,
    };
    if depth >= 7 {
        fields.month = 1;
    }
    if depth >= 6 {
        fields.day = 1;
    }
    if depth >= 5 {
        fields.hour = 0;
    }
    if depth >= 4 {
        fields.minute = 0;
    }
    if depth >= 3 {
        fields.second = 0;
    }
    if depth >= 2 {
        fields.micros = 0;
    } else if depth == 1 {
        fields.micros = fields.micros / 1000 * 1000;
    }
    Some(depth >= 5)
}

pub fn timestamp(name: &str, value: Timestamp) -> SqlResult<Timestamp> {
    const TYPE: &str = "timestamp without time zone";
    if value.0 == i64::MAX || value.0 == i64::MIN {
        return Ok(value);
    }
    let unit = unit_of(name, TYPE)?;
    let mut fields = calendar::fields_of(value.0);
    truncate_fields(&mut fields, unit).ok_or_else(|| not_supported(name, TYPE))?;
    calendar::timestamp_of(&fields, 0)
        .map(Timestamp)
        .ok_or_else(|| out_of_range("timestamp"))
}

fn in_zone(name: &str, value: TimestampTz, zone: &Zone) -> SqlResult<TimestampTz> {
    const TYPE: &str = "timestamp with time zone";
    if value.0 == i64::MAX || value.0 == i64::MIN {
        return Ok(value);
    }
    let unit = unit_of(name, TYPE)?;
    let (mut fields, west) = local_fields(value.0, zone);
    let may_move = truncate_fields(&mut fields, unit).ok_or_else(|| not_supported(name, TYPE))?;
    // Below a day the offset stays that of the value, so that the hour a transition repeats is not confused.
    let found = if may_move {
        moment_of(&fields, zone)
    } else {
        calendar::timestamp_of(&fields, west)
    };
    found.map(TimestampTz).ok_or_else(|| out_of_range("timestamp"))
}

pub fn moment(context: &mut CallContext<'_>, name: &str, value: TimestampTz) -> SqlResult<TimestampTz> {
    in_zone(name, value, &context.session.style().zone)
}

pub fn moment_in_zone(name: &str, value: TimestampTz, zone: &str) -> SqlResult<TimestampTz> {
    in_zone(name, value, &zone_of(zone, value.0)?)
}

pub fn interval(name: &str, value: Interval) -> SqlResult<Interval> {
    let unit = unit_of(name, "interval")?;
    let months = |length: i32| Interval {
        months: value.months / length * length,
        days: 0,
        micros: 0,
    };
    let micros = |length: i64| Interval {
        micros: value.micros / length * length,
        ..value
    };
    Ok(match unit {
        Unit::Millennium => months(12_000),
        Unit::Century => months(1200),
        Unit::Decade => months(120),
        Unit::Year => months(12),
        Unit::Quarter => months(3),
        Unit::Month => months(1),
        Unit::Day => Interval { micros: 0, ..value },
        Unit::Hour => micros(MICROS_PER_HOUR),
        Unit::Minute => micros(MICROS_PER_MINUTE),
        Unit::Second => micros(MICROS_PER_SECOND),
        Unit::Millisecond => micros(1000),
        Unit::Microsecond => value,
        Unit::Week => {
            return Err(not_supported(name, "interval").detail("Months usually have fractional weeks."));
        }
        _ => return Err(not_supported(name, "interval")),
    })
}

/// Start of the bin of a stride, counted from an origin, that a moment lies in.
fn bin(stride: Interval, value: i64, origin: i64) -> SqlResult<i64> {
    if value == i64::MAX || value == i64::MIN {
        return Ok(value);
    }
    if origin == i64::MAX || origin == i64::MIN {
        return Err(out_of_range("origin"));
    }
    if stride.months != 0 {
        return Err(SqlError::new(
            SqlState::FEATURE_NOT_SUPPORTED,
            "timestamps cannot be binned into intervals containing months or years",
        ));
    }
    let overflow = || out_of_range("interval");
    let length = i64::from(stride.days)
        .checked_mul(MICROS_PER_DAY)
        .and_then(|days| days.checked_add(stride.micros))
        .ok_or_else(overflow)?;
    if length <= 0 {
        return Err(SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "stride must be greater than zero",
        ));
    }
    let distance = value.checked_sub(origin).ok_or_else(overflow)?;
    let start = origin.checked_add(distance.div_euclid(length) * length);
    start
        .filter(|&start| calendar::is_valid_timestamp(start))
        .ok_or_else(|| out_of_range("timestamp"))
}

pub fn timestamp_bin(stride: Interval, value: Timestamp, origin: Timestamp) -> SqlResult<Timestamp> {
    bin(stride, value.0, origin.0).map(Timestamp)
}

pub fn moment_bin(stride: Interval, value: TimestampTz, origin: TimestampTz) -> SqlResult<TimestampTz> {
    bin(stride, value.0, origin.0).map(TimestampTz)
}
