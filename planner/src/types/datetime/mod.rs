//! Dates, times and intervals as text: PostgreSQL's `datetime.c`, field by field.
//!
//! ```text
//!   text ─ scan ─► fields (number, date, time, zone, word) ─ decode ─► calendar::Fields + zone ─► datum
//!                                      └ interval_in ─► Interval
//! ```
//! The order in which ambiguous fields are read is the behaviour people rely on, so these files follow the original's
//! decisions one by one, and its masks (`YEAR | MONTH | DAY`) by name.

pub mod decode;
pub mod interval;
mod interval_in;
mod interval_out;
mod number;
mod print;
mod scan;
pub mod token;

use storage::{Datum, Interval};

pub use decode::{CurrentTime, ZoneSpec};
pub use interval_out::write_interval;
pub use print::{DAYS, MONTHS, write_date, write_time, write_time_zone, write_timestamp, write_timestamptz};

use super::calendar::{
    self, EPOCH_DIFFERENCE_SECONDS, Fields, MICROS_PER_SECOND, POSTGRES_EPOCH_JULIAN, is_valid_date, is_valid_julian,
};
use super::style::Style;
use crate::{SqlError, SqlResult, SqlState};
use decode::Decoded;

/// Why a text is no date or time; the caller adds the text and the type's name.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Not of a known form.
    Format,
    /// A field is out of range.
    Field,
    /// Month or day out of range: the order of fields may be another.
    MonthDay,
    /// An interval's field is out of range.
    Interval,
    /// Every field of an interval is in range, but not their sum.
    Range,
    /// A zone's displacement is out of range.
    Displacement,
    /// A zone's name is not known.
    Zone(String),
}

impl Fault {
    /// The error PostgreSQL raises for it.
    pub fn error(self, text: &str, type_name: &str) -> SqlError {
        match self {
            Fault::Format => SqlError::new(
                SqlState::INVALID_DATETIME_FORMAT,
                format!("invalid input syntax for type {type_name}: \"{text}\""),
            ),
            Fault::Field => field_out_of_range(text),
            Fault::MonthDay => field_out_of_range(text).hint("Perhaps you need a different \"datestyle\" setting."),
            Fault::Interval => SqlError::new(
                SqlState::INTERVAL_FIELD_OVERFLOW,
                format!("interval field value out of range: \"{text}\""),
            ),
            Fault::Range => SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, "interval out of range"),
            Fault::Displacement => SqlError::new(
                SqlState::INVALID_TIME_ZONE_DISPLACEMENT,
                format!("time zone displacement out of range: \"{text}\""),
            ),
            Fault::Zone(name) => unknown_zone(&name),
        }
    }
}

fn field_out_of_range(text: &str) -> SqlError {
    SqlError::new(
        SqlState::DATETIME_FIELD_OVERFLOW,
        format!("date/time field value out of range: \"{text}\""),
    )
}

/// 22023 `time zone "x" not recognized`
pub fn unknown_zone(name: &str) -> SqlError {
    SqlError::new(
        SqlState::INVALID_PARAMETER_VALUE,
        format!("time zone \"{name}\" not recognized"),
    )
}

fn overflow(what: &str, text: &str) -> SqlError {
    SqlError::new(
        SqlState::DATETIME_FIELD_OVERFLOW,
        format!("{what} out of range: \"{text}\""),
    )
}

/// Reads a date.
pub fn parse_date(text: &str, style: &Style, now: CurrentTime) -> SqlResult<i32> {
    match decode::date_and_time(text, style, now).map_err(|fault| fault.error(text, "date"))? {
        Decoded::Fields(fields, _) => {
            if !is_valid_julian(fields.year, fields.month, fields.day) {
                return Err(overflow("date", text));
            }
            let days = calendar::date2j(fields.year, fields.month, fields.day).wrapping_sub(POSTGRES_EPOCH_JULIAN);
            if is_valid_date(days) {
                Ok(days)
            } else {
                Err(overflow("date", text))
            }
        }
        Decoded::Epoch => Ok((calendar::UNIX_EPOCH_JULIAN as i32) - POSTGRES_EPOCH_JULIAN),
        Decoded::Infinity => Ok(i32::MAX),
        Decoded::NegativeInfinity => Ok(i32::MIN),
        Decoded::TimeOnly => Err(Fault::Format.error(text, "date")),
    }
}

/// Reads a timestamp without time zone; a zone in the text is ignored.
pub fn parse_timestamp(text: &str, style: &Style, now: CurrentTime) -> SqlResult<i64> {
    parse_moment(text, style, now, false)
}

/// Reads a timestamp with time zone.
pub fn parse_timestamptz(text: &str, style: &Style, now: CurrentTime) -> SqlResult<i64> {
    parse_moment(text, style, now, true)
}

fn parse_moment(text: &str, style: &Style, now: CurrentTime, with_zone: bool) -> SqlResult<i64> {
    let type_name = if with_zone {
        "timestamp with time zone"
    } else {
        "timestamp"
    };
    match decode::date_and_time(text, style, now).map_err(|fault| fault.error(text, type_name))? {
        Decoded::Fields(fields, west) => {
            calendar::timestamp_of(&fields, if with_zone { west } else { 0 }).ok_or_else(|| overflow("timestamp", text))
        }
        Decoded::Epoch => Ok(-EPOCH_DIFFERENCE_SECONDS * MICROS_PER_SECOND),
        Decoded::Infinity => Ok(i64::MAX),
        Decoded::NegativeInfinity => Ok(i64::MIN),
        Decoded::TimeOnly => Err(Fault::Format.error(text, type_name)),
    }
}

/// Reads a time of day.
pub fn parse_time(text: &str, style: &Style, now: CurrentTime) -> SqlResult<i64> {
    let (fields, _) = decode::time_only(text, style, now).map_err(|fault| fault.error(text, "time"))?;
    Ok(calendar::micros_of_time(&fields))
}

/// Reads a time of day with a zone: microseconds and seconds west.
pub fn parse_timetz(text: &str, style: &Style, now: CurrentTime) -> SqlResult<(i64, i32)> {
    let (fields, west) =
        decode::time_only(text, style, now).map_err(|fault| fault.error(text, "time with time zone"))?;
    Ok((calendar::micros_of_time(&fields), west))
}

/// Reads an interval; the modifier says which field a bare number is.
pub fn parse_interval(text: &str, style: &Style, modifier: i32) -> SqlResult<Interval> {
    let value = interval_in::parse(text, style, interval::range_of(modifier)).map_err(|fault| {
        let fault = if fault == Fault::Field { Fault::Interval } else { fault };
        fault.error(text, "interval")
    })?;
    interval::fit(value, modifier)
}

/// Fields of a moment in a zone, and the zone's offset (seconds west).
pub fn local_fields(micros: i64, zone: &super::zone::Zone) -> (Fields, i32) {
    let west = zone.west_at_utc(calendar::unix_seconds(micros));
    (calendar::fields_of(micros - i64::from(west) * MICROS_PER_SECOND), west)
}

/// The moment of local fields in a zone; `None` outside the range of timestamps.
pub fn moment_of(fields: &Fields, zone: &super::zone::Zone) -> Option<i64> {
    let local = calendar::timestamp_of(fields, 0)?;
    timestamp_to_moment(local, zone)
}

/// The moment of a local timestamp in a zone; `None` outside the range of timestamps.
pub fn timestamp_to_moment(local: i64, zone: &super::zone::Zone) -> Option<i64> {
    let west = zone.west_at_local(calendar::unix_seconds(local));
    let micros = local.checked_add(i64::from(west) * MICROS_PER_SECOND)?;
    calendar::is_valid_timestamp(micros).then_some(micros)
}

/// Prints any date or time datum.
pub fn write(datum: &Datum, style: &Style, out: &mut String) -> bool {
    match datum {
        Datum::Date(days) => write_date(*days, style, out),
        Datum::Time(micros) => write_time(*micros, out),
        Datum::TimeTz(micros, west) => write_time_zone(*micros, *west, out),
        Datum::Timestamp(micros) => write_timestamp(*micros, style, out),
        Datum::TimestampTz(micros) => write_timestamptz(*micros, style, out),
        Datum::Interval(value) => write_interval(value, style.interval_format, out),
        _ => return false,
    }
    true
}
