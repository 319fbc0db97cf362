//! Conversions between dates, times, timestamps and intervals.

use storage::Interval;

use super::out_of_range;
use crate::functions::CallContext;
use crate::functions::value::{Date, Time, TimeTz, Timestamp, TimestampTz};
use crate::types::calendar::{self, EPOCH_DIFFERENCE_SECONDS, MICROS_PER_DAY, MICROS_PER_SECOND, TIMESTAMP_END};
use crate::types::datetime::{self, local_fields};
use crate::types::zone::Zone;
use crate::{SqlResult, SqlState};

/// Midnight of a date.
pub fn date_to_timestamp(date: Date) -> SqlResult<Timestamp> {
    Ok(Timestamp(match date.0 {
        i32::MAX => i64::MAX,
        i32::MIN => i64::MIN,
        days if i64::from(days) >= TIMESTAMP_END / MICROS_PER_DAY => {
            return Err(crate::SqlError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                "date out of range for timestamp",
            ));
        }
        days => i64::from(days) * MICROS_PER_DAY,
    }))
}

/// The moment of a local time.
pub fn timestamp_to_moment(timestamp: Timestamp, zone: &Zone) -> SqlResult<TimestampTz> {
    if timestamp.0 == i64::MAX || timestamp.0 == i64::MIN {
        return Ok(TimestampTz(timestamp.0));
    }
    datetime::timestamp_to_moment(timestamp.0, zone)
        .map(TimestampTz)
        .ok_or_else(|| out_of_range("timestamp"))
}

/// The local time of a moment.
pub fn moment_to_timestamp(moment: TimestampTz, zone: &Zone) -> SqlResult<Timestamp> {
    if moment.0 == i64::MAX || moment.0 == i64::MIN {
        return Ok(Timestamp(moment.0));
    }
    let west = zone.west_at_utc(calendar::unix_seconds(moment.0));
    let local = moment.0 - i64::from(west) * MICROS_PER_SECOND;
    if calendar::is_valid_timestamp(local) {
        Ok(Timestamp(local))
    } else {
        Err(out_of_range("timestamp"))
    }
}

pub fn to_moment(context: &mut CallContext<'_>, timestamp: Timestamp) -> SqlResult<TimestampTz> {
    timestamp_to_moment(timestamp, &context.session.style().zone)
}

pub fn to_local(context: &mut CallContext<'_>, moment: TimestampTz) -> SqlResult<Timestamp> {
    moment_to_timestamp(moment, &context.session.style().zone)
}

pub fn date_to_moment(context: &mut CallContext<'_>, date: Date) -> SqlResult<TimestampTz> {
    let midnight = date_to_timestamp(date)?;
    to_moment(context, midnight)
}

pub fn timestamp_to_date(timestamp: Timestamp) -> Date {
    Date(match timestamp.0 {
        i64::MAX => i32::MAX,
        i64::MIN => i32::MIN,
        micros => micros.div_euclid(MICROS_PER_DAY) as i32,
    })
}

pub fn moment_to_date(context: &mut CallContext<'_>, moment: TimestampTz) -> SqlResult<Date> {
    to_local(context, moment).map(timestamp_to_date)
}

/// Time of day; infinities have none.
pub fn timestamp_to_time(timestamp: Timestamp) -> Option<Time> {
    (timestamp.0 != i64::MAX && timestamp.0 != i64::MIN).then(|| Time(timestamp.0.rem_euclid(MICROS_PER_DAY)))
}

pub fn moment_to_time(context: &mut CallContext<'_>, moment: TimestampTz) -> SqlResult<Option<Time>> {
    to_local(context, moment).map(timestamp_to_time)
}

pub fn moment_to_zoned_time(context: &mut CallContext<'_>, moment: TimestampTz) -> Option<TimeTz> {
    if moment.0 == i64::MAX || moment.0 == i64::MIN {
        return None;
    }
    let (fields, west) = local_fields(moment.0, &context.session.style().zone);
    Some(TimeTz(calendar::micros_of_time(&fields), west))
}

/// A time in the session's zone, with today's offset.
pub fn time_to_zoned(context: &mut CallContext<'_>, time: Time) -> TimeTz {
    let zone = &context.session.style().zone;
    let (mut fields, _) = local_fields(context.session.transaction_timestamp(), zone);
    let clock = calendar::time_fields_of(time.0);
    (fields.hour, fields.minute, fields.second, fields.micros) = (clock.hour, clock.minute, clock.second, clock.micros);
    TimeTz(time.0, datetime::decode::offset_at(&fields, zone))
}

pub fn time_to_interval(time: Time) -> Interval {
    Interval {
        months: 0,
        days: 0,
        micros: time.0,
    }
}

pub fn interval_to_time(span: Interval) -> Time {
    Time(span.micros.rem_euclid(MICROS_PER_DAY))
}

pub fn date_and_time(date: Date, time: Time) -> SqlResult<Timestamp> {
    let midnight = date_to_timestamp(date)?;
    if midnight.0 == i64::MAX || midnight.0 == i64::MIN {
        return Ok(midnight);
    }
    let micros = midnight.0 + time.0;
    if calendar::is_valid_timestamp(micros) {
        Ok(Timestamp(micros))
    } else {
        Err(out_of_range("timestamp"))
    }
}

pub fn date_and_zoned_time(date: Date, time: TimeTz) -> SqlResult<TimestampTz> {
    let midnight = date_to_timestamp(date)?;
    if midnight.0 == i64::MAX || midnight.0 == i64::MIN {
        return Ok(TimestampTz(midnight.0));
    }
    let micros = midnight.0 + time.0 + i64::from(time.1) * MICROS_PER_SECOND;
    if calendar::is_valid_timestamp(micros) {
        Ok(TimestampTz(micros))
    } else {
        Err(out_of_range("timestamp"))
    }
}

/// `to_timestamp(seconds)`
pub fn moment_of_seconds(seconds: f64) -> SqlResult<TimestampTz> {
    let refuse = || {
        let mut text = String::new();
        crate::types::number::write_general(seconds, 6, &mut text);
        crate::SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            format!("timestamp out of range: \"{text}\""),
        )
    };
    if seconds.is_nan() {
        return Err(crate::SqlError::new(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "timestamp cannot be NaN",
        ));
    }
    if seconds.is_infinite() {
        return Ok(TimestampTz(if seconds > 0.0 { i64::MAX } else { i64::MIN }));
    }
    let micros = ((seconds - EPOCH_DIFFERENCE_SECONDS as f64) * MICROS_PER_SECOND as f64).round_ties_even();
    if !(-9.3e18..9.3e18).contains(&micros) {
        return Err(refuse());
    }
    let micros = micros as i64;
    if calendar::is_valid_timestamp(micros) {
        Ok(TimestampTz(micros))
    } else {
        Err(refuse())
    }
}
