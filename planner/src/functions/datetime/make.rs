//! make_date, make_time, make_timestamp, make_timestamptz, make_interval.

use storage::{Datum, Interval};

use super::convert::timestamp_to_moment;
use super::out_of_range;
use crate::functions::CallContext;
use crate::functions::call::argument;
use crate::functions::value::{Date, Time, Timestamp, TimestampTz};
use crate::types::calendar::{self, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use crate::types::datetime::decode::displacement;
use crate::types::datetime::unknown_zone;
use crate::types::zone::{self, Zone, ZoneName};
use crate::{SqlError, SqlResult, SqlState};

fn refuse(message: String) -> SqlError {
    SqlError::new(SqlState::DATETIME_FIELD_OVERFLOW, message)
}

/// make_date: negative years are before Christ.
pub fn date(year: i32, month: i32, day: i32) -> SqlResult<Date> {
    days(year, month, day).map(Date)
}

fn days(year: i32, month: i32, day: i32) -> SqlResult<i32> {
    let out = || refuse(format!("date field value out of range: {year}-{month:02}-{day:02}"));
    let astronomical = if year < 0 {
        year.checked_add(1).ok_or_else(out)?
    } else {
        year
    };
    let is_valid =
        year != 0 && (1..=12).contains(&month) && day >= 1 && day <= calendar::days_in_month(astronomical, month);
    if !is_valid {
        return Err(out());
    }
    calendar::days_of(astronomical, month, day)
        .ok_or_else(|| refuse(format!("date out of range: {year}-{month:02}-{day:02}")))
}

fn second_text(second: f64) -> String {
    let mut text = String::new();
    crate::types::number::write_general(second, 6, &mut text);
    if text.len() < 2 { format!("0{text}") } else { text }
}

fn time_micros(hour: i32, minute: i32, second: f64) -> SqlResult<i64> {
    let micros = (second * MICROS_PER_SECOND as f64).round_ties_even();
    let is_valid = (0..=24).contains(&hour) && (0..60).contains(&minute) && (0.0..=60_000_000.0).contains(&micros);
    let total = i64::from(hour) * MICROS_PER_HOUR + i64::from(minute) * MICROS_PER_MINUTE + micros as i64;
    if !is_valid || total > calendar::MICROS_PER_DAY {
        return Err(refuse(format!(
            "time field value out of range: {hour}:{minute:02}:{}",
            second_text(second)
        )));
    }
    Ok(total)
}

/// make_time
pub fn time(hour: i32, minute: i32, second: f64) -> SqlResult<Time> {
    time_micros(hour, minute, second).map(Time)
}

fn timestamp_of(args: &[Datum]) -> SqlResult<Timestamp> {
    let (year, month, day): (i32, i32, i32) = (argument(args, 0)?, argument(args, 1)?, argument(args, 2)?);
    let (hour, minute, second): (i32, i32, f64) = (argument(args, 3)?, argument(args, 4)?, argument(args, 5)?);
    let date = i64::from(days(year, month, day)?);
    let micros = date
        .checked_mul(calendar::MICROS_PER_DAY)
        .and_then(|date| date.checked_add(time_micros(hour, minute, second).ok()?));
    // The time's own error is more precise than the sum's.
    time_micros(hour, minute, second)?;
    micros
        .filter(|&micros| calendar::is_valid_timestamp(micros))
        .map(Timestamp)
        .ok_or_else(|| {
            refuse(format!(
                "timestamp out of range: {year}-{month:02}-{day:02} {hour}:{minute:02}:{}",
                second_text(second)
            ))
        })
}

/// make_timestamp
pub fn timestamp(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    timestamp_of(args).map(|timestamp| Datum::Timestamp(timestamp.0))
}

/// make_timestamptz, in the session's zone or one given.
pub fn moment(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let local = timestamp_of(args)?;
    let found: TimestampTz = match args.get(6) {
        None => timestamp_to_moment(local, &context.session.style().zone)?,
        Some(_) => timestamp_to_moment(local, &strict_zone(argument(args, 6)?, local)?)?,
    };
    Ok(Datum::TimestampTz(found.0))
}

/// A zone by name or by a number with a sign.
fn strict_zone(name: &str, local: Timestamp) -> SqlResult<Zone> {
    let invalid = |message: String| SqlError::new(SqlState::INVALID_PARAMETER_VALUE, message);
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(
            invalid(format!("invalid input syntax for type numeric time zone: \"{name}\""))
                .hint("Numeric time zones must have \"-\" or \"+\" as first character."),
        );
    }
    if name.starts_with(['+', '-']) {
        return match displacement(name) {
            Some(west) => Ok(Zone::fixed(west)),
            None => Err(invalid(format!("numeric time zone \"{name}\" out of range"))),
        };
    }
    match zone::lookup(name).ok_or_else(|| unknown_zone(name))? {
        ZoneName::Zone(zone) => Ok(zone),
        ZoneName::Abbreviation(west, _) => Ok(Zone::fixed(west)),
        ZoneName::Dynamic(zone) => Ok(Zone::fixed(crate::types::datetime::decode::abbreviation_offset(
            &calendar::fields_of(local.0),
            name,
            &zone,
        ))),
    }
}

/// make_interval
pub fn interval(_context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let whole = |index: usize| -> SqlResult<i32> { Ok(argument::<Option<i32>>(args, index)?.unwrap_or(0)) };
    let seconds = argument::<Option<f64>>(args, 6)?.unwrap_or(0.0);
    let overflow = || out_of_range("interval");
    if !seconds.is_finite() {
        return Err(overflow());
    }
    let months = whole(0)?
        .checked_mul(12)
        .and_then(|years| years.checked_add(whole(1).ok()?))
        .ok_or_else(overflow)?;
    let days = whole(2)?
        .checked_mul(7)
        .and_then(|weeks| weeks.checked_add(whole(3).ok()?))
        .ok_or_else(overflow)?;
    let clock = i64::from(whole(4)?) * MICROS_PER_HOUR + i64::from(whole(5)?) * MICROS_PER_MINUTE;
    let micros = (seconds * MICROS_PER_SECOND as f64).round_ties_even();
    if !(-9.2e18..9.2e18).contains(&micros) {
        return Err(overflow());
    }
    let micros = clock.checked_add(micros as i64).ok_or_else(overflow)?;
    Ok(Datum::Interval(Interval { months, days, micros }))
}
