//! extract and date_part.
//!
//! Both compute the same; `extract` gives an exact numeric with the scale of its unit, `date_part` a double.

use storage::{Datum, Interval, Numeric};

use crate::functions::CallContext;
use crate::functions::value::{Date, Time, TimeTz, Timestamp, TimestampTz};
use crate::types::calendar::{
    self, EPOCH_DIFFERENCE_SECONDS, Fields, MICROS_PER_DAY, MICROS_PER_SECOND, SECONDS_PER_DAY,
};
use crate::types::datetime::local_fields;
use crate::types::datetime::token::{self, Unit};
use crate::{SqlError, SqlResult, SqlState};

/// A part before it is a numeric or a double.
pub enum Part {
    /// A whole number.
    Whole(i64),
    /// A number in units of 10^-scale.
    Scaled(i128, u32),
    /// A Julian day and microseconds of the day.
    Julian(i32, i64),
    /// An infinity, of this sign.
    Infinite(bool),
    /// NULL: an infinite time has no such part.
    None,
}

impl Part {
    /// For extract.
    pub fn numeric(self) -> SqlResult<Datum> {
        Ok(Datum::Numeric(match self {
            Part::Whole(value) => Numeric::from(value),
            Part::Scaled(value, scale) => Numeric::from_parts(value, scale).unwrap_or_default(),
            Part::Julian(day, micros) => {
                Numeric::from(i64::from(day)).add(&Numeric::from(micros).div(&Numeric::from(MICROS_PER_DAY))?)?
            }
            Part::Infinite(is_positive) => {
                if is_positive {
                    Numeric::INFINITY
                } else {
                    Numeric::NEGATIVE_INFINITY
                }
            }
            Part::None => return Ok(Datum::Null),
        }))
    }

    /// For date_part.
    pub fn double(self) -> SqlResult<Datum> {
        Ok(Datum::Float8(match self {
            Part::Whole(value) => value as f64,
            Part::Scaled(value, scale) => {
                let unit = 10f64.powi(scale as i32);
                // Whole and fraction apart, so that large numbers of seconds keep their digits.
                value as f64 / unit
            }
            Part::Julian(day, micros) => f64::from(day) + micros as f64 / MICROS_PER_DAY as f64,
            Part::Infinite(is_positive) => {
                if is_positive {
                    f64::INFINITY
                } else {
                    f64::NEG_INFINITY
                }
            }
            Part::None => return Ok(Datum::Null),
        }))
    }
}

fn lower(unit: &str) -> String {
    unit.to_ascii_lowercase()
}

/// 0A000 `unit "week" not supported for type interval`
pub fn not_supported(unit: &str, type_name: &str) -> SqlError {
    SqlError::new(
        SqlState::FEATURE_NOT_SUPPORTED,
        format!("unit \"{}\" not supported for type {type_name}", lower(unit)),
    )
}

/// 22023 `unit "x" not recognized for type interval`
pub fn not_recognized(unit: &str, type_name: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("unit \"{}\" not recognized for type {type_name}", lower(unit)),
    )
}

/// Finds a unit, or says that it is none.
pub fn unit_of(name: &str, type_name: &str) -> SqlResult<Unit> {
    token::unit(name)
        .filter(|unit| *unit != Unit::Time)
        .ok_or_else(|| not_recognized(name, type_name))
}

/// Years count from 1 BC backwards without a year 0.
fn no_year_zero(year: i32) -> i64 {
    i64::from(if year > 0 { year } else { year - 1 })
}

fn period(year: i32, length: i32) -> i64 {
    let (year, length) = (i64::from(year), i64::from(length));
    if year > 0 {
        (year + length - 1) / length
    } else {
        -((length - 1 - (year - 1)) / length)
    }
}

/// Parts of a date that do not depend on the time of day; `None` for other units.
fn date_part(unit: Unit, fields: &Fields) -> Option<i64> {
    let (year, month, day) = (fields.year, fields.month, fields.day);
    Some(match unit {
        Unit::Day => i64::from(day),
        Unit::Month => i64::from(month),
        Unit::Quarter => i64::from((month - 1) / 3 + 1),
        Unit::Week => i64::from(calendar::iso_week(year, month, day).0),
        Unit::Year => no_year_zero(year),
        Unit::Decade => i64::from(if year >= 0 { year / 10 } else { -((8 - (year - 1)) / 10) }),
        Unit::Century => period(year, 100),
        Unit::Millennium => period(year, 1000),
        Unit::IsoYear => no_year_zero(calendar::iso_week(year, month, day).1),
        Unit::DayOfWeek => i64::from(calendar::day_of_week(calendar::date2j(year, month, day))),
        Unit::IsoDayOfWeek => match calendar::day_of_week(calendar::date2j(year, month, day)) {
            0 => 7,
            weekday => i64::from(weekday),
        },
        Unit::DayOfYear => i64::from(calendar::day_of_year(year, month, day)),
        _ => return None,
    })
}

/// Parts of a time of day; `None` for other units.
fn clock_part(unit: Unit, fields: &Fields) -> Option<Part> {
    let micros = i128::from(fields.second) * i128::from(MICROS_PER_SECOND) + i128::from(fields.micros);
    Some(match unit {
        Unit::Microsecond => Part::Whole(micros as i64),
        Unit::Millisecond => Part::Scaled(micros, 3),
        Unit::Second => Part::Scaled(micros, 6),
        Unit::Minute => Part::Whole(i64::from(fields.minute)),
        Unit::Hour => Part::Whole(i64::from(fields.hour)),
        _ => return None,
    })
}

/// Parts of an infinite timestamp: what only grows is infinite, what repeats is unknown.
fn infinite_part(unit: Unit, is_positive: bool) -> Part {
    match unit {
        Unit::Year | Unit::Decade | Unit::Century | Unit::Millennium | Unit::Julian | Unit::IsoYear | Unit::Epoch => {
            Part::Infinite(is_positive)
        }
        _ => Part::None,
    }
}

fn epoch(micros: i64) -> Part {
    Part::Scaled(
        i128::from(micros) + i128::from(EPOCH_DIFFERENCE_SECONDS) * i128::from(MICROS_PER_SECOND),
        6,
    )
}

fn moment_part(unit: Unit, micros: i64, fields: &Fields) -> Option<Part> {
    if let Some(part) = clock_part(unit, fields) {
        return Some(part);
    }
    if let Some(value) = date_part(unit, fields) {
        return Some(Part::Whole(value));
    }
    match unit {
        Unit::Julian => Some(Part::Julian(
            calendar::date2j(fields.year, fields.month, fields.day),
            calendar::micros_of_time(fields),
        )),
        Unit::Epoch => Some(epoch(micros)),
        _ => None,
    }
}

fn zone_part(unit: Unit, west: i32) -> Option<Part> {
    Some(Part::Whole(i64::from(match unit {
        Unit::Zone => -west,
        Unit::ZoneMinute => -west / 60 % 60,
        Unit::ZoneHour => -west / 3600,
        _ => return None,
    })))
}

pub fn of_timestamp(name: &str, value: Timestamp) -> SqlResult<Part> {
    const TYPE: &str = "timestamp without time zone";
    let unit = unit_of(name, TYPE)?;
    if matches!(unit, Unit::Zone | Unit::ZoneHour | Unit::ZoneMinute) {
        return Err(not_supported(name, TYPE));
    }
    if value.0 == i64::MAX || value.0 == i64::MIN {
        return Ok(infinite_part(unit, value.0 > 0));
    }
    moment_part(unit, value.0, &calendar::fields_of(value.0)).ok_or_else(|| not_supported(name, TYPE))
}

pub fn of_moment(context: &mut CallContext<'_>, name: &str, value: TimestampTz) -> SqlResult<Part> {
    const TYPE: &str = "timestamp with time zone";
    let unit = unit_of(name, TYPE)?;
    if value.0 == i64::MAX || value.0 == i64::MIN {
        return Ok(infinite_part(unit, value.0 > 0));
    }
    let (fields, west) = local_fields(value.0, &context.session.style().zone);
    moment_part(unit, value.0, &fields)
        .or_else(|| zone_part(unit, west))
        .ok_or_else(|| not_supported(name, TYPE))
}

pub fn of_date(name: &str, value: Date) -> SqlResult<Part> {
    let unit = unit_of(name, "date")?;
    let is_date_unit = matches!(unit, Unit::Julian | Unit::Epoch)
        || date_part(
            unit,
            &Fields {
                month: 1,
                day: 1,
                ..Fields::default()
            },
        )
        .is_some();
    if !is_date_unit {
        return Err(not_supported(name, "date"));
    }
    if value.0 == i32::MAX || value.0 == i32::MIN {
        return Ok(infinite_part(unit, value.0 > 0));
    }
    let (year, month, day) = calendar::date_of(value.0);
    let fields = Fields {
        year,
        month,
        day,
        ..Fields::default()
    };
    Ok(Part::Whole(match unit {
        Unit::Julian => i64::from(calendar::date2j(year, month, day)),
        Unit::Epoch => i64::from(value.0) * SECONDS_PER_DAY + EPOCH_DIFFERENCE_SECONDS,
        _ => date_part(unit, &fields).unwrap_or(0),
    }))
}

pub fn of_time(name: &str, value: Time) -> SqlResult<Part> {
    const TYPE: &str = "time without time zone";
    match unit_of(name, TYPE)? {
        Unit::Epoch => Ok(Part::Scaled(i128::from(value.0), 6)),
        unit => clock_part(unit, &calendar::time_fields_of(value.0)).ok_or_else(|| not_supported(name, TYPE)),
    }
}

pub fn of_zoned_time(name: &str, value: TimeTz) -> SqlResult<Part> {
    const TYPE: &str = "time with time zone";
    match unit_of(name, TYPE)? {
        Unit::Epoch => Ok(Part::Scaled(
            i128::from(value.0) + i128::from(value.1) * i128::from(MICROS_PER_SECOND),
            6,
        )),
        unit => clock_part(unit, &calendar::time_fields_of(value.0))
            .or_else(|| zone_part(unit, value.1))
            .ok_or_else(|| not_supported(name, TYPE)),
    }
}

pub fn of_interval(name: &str, value: Interval) -> SqlResult<Part> {
    let unit = unit_of(name, "interval")?;
    let clock = Fields {
        hour: 0,
        minute: (value.micros / calendar::MICROS_PER_MINUTE % 60) as i32,
        second: (value.micros / MICROS_PER_SECOND % 60) as i32,
        micros: (value.micros % MICROS_PER_SECOND) as i32,
        ..Fields::default()
    };
    let (years, months) = (value.months / 12, value.months % 12);
    Ok(match unit {
        Unit::Hour => Part::Whole(value.micros / calendar::MICROS_PER_HOUR),
        Unit::Day => Part::Whole(i64::from(value.days)),
        Unit::Month => Part::Whole(i64::from(months)),
        Unit::Quarter => Part::Whole(i64::from(months / 3 + 1)),
        Unit::Year => Part::Whole(i64::from(years)),
        Unit::Decade => Part::Whole(i64::from(years / 10)),
        Unit::Century => Part::Whole(i64::from(years / 100)),
        Unit::Millennium => Part::Whole(i64::from(years / 1000)),
        Unit::Epoch => {
            // A year has 365.25 days and a month 30: counted in quarters of days.
            let quarters = 1461 * i128::from(years) + 120 * i128::from(months) + 4 * i128::from(value.days);
            let seconds = quarters * i128::from(SECONDS_PER_DAY / 4);
            Part::Scaled(seconds * i128::from(MICROS_PER_SECOND) + i128::from(value.micros), 6)
        }
        unit => clock_part(unit, &clock).ok_or_else(|| not_supported(name, "interval"))?,
    })
}
