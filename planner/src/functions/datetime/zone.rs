//! AT TIME ZONE.

use storage::Interval;

use super::convert::{moment_to_timestamp, timestamp_to_moment};
use crate::functions::CallContext;
use crate::functions::value::{TimeTz, Timestamp, TimestampTz};
use crate::types::calendar::{self, MICROS_PER_DAY, MICROS_PER_SECOND};
use crate::types::datetime::decode::{abbreviation_offset, abbreviation_offset_at};
use crate::types::datetime::{unknown_zone, write};
use crate::types::zone::{self, Zone, ZoneName};
use crate::{SqlError, SqlResult, SqlState};

fn lookup(name: &str) -> SqlResult<ZoneName> {
    zone::lookup(name).ok_or_else(|| unknown_zone(name))
}

/// A zone by name for moments near one given; abbreviations become fixed offsets.
pub fn zone_of(name: &str, moment: i64) -> SqlResult<Zone> {
    Ok(match lookup(name)? {
        ZoneName::Zone(zone) => zone,
        ZoneName::Abbreviation(west, _) => Zone::fixed(west),
        ZoneName::Dynamic(zone) => Zone::fixed(abbreviation_offset_at(calendar::unix_seconds(moment), name, &zone)),
    })
}

/// Local time in a zone to moment.
pub fn timestamp(name: &str, value: Timestamp) -> SqlResult<TimestampTz> {
    let zone = match lookup(name)? {
        ZoneName::Dynamic(zone) if value.0 != i64::MAX && value.0 != i64::MIN => {
            Zone::fixed(abbreviation_offset(&calendar::fields_of(value.0), name, &zone))
        }
        ZoneName::Zone(zone) | ZoneName::Dynamic(zone) => zone,
        ZoneName::Abbreviation(west, _) => Zone::fixed(west),
    };
    timestamp_to_moment(value, &zone)
}

/// Moment to local time in a zone.
pub fn moment(name: &str, value: TimestampTz) -> SqlResult<Timestamp> {
    moment_to_timestamp(value, &zone_of(name, value.0)?)
}

/// Seconds west of a zone given as an interval.
fn west_of(span: Interval) -> SqlResult<i32> {
    if span.months != 0 || span.days != 0 {
        let mut text = String::new();
        write(
            &storage::Datum::Interval(span),
            &crate::types::Style::default(),
            &mut text,
        );
        return Err(SqlError::new(
            SqlState::INVALID_PARAMETER_VALUE,
            format!("interval time zone \"{text}\" must not include months or days"),
        ));
    }
    Ok(-(span.micros / MICROS_PER_SECOND) as i32)
}

pub fn timestamp_by_interval(span: Interval, value: Timestamp) -> SqlResult<TimestampTz> {
    timestamp_to_moment(value, &Zone::fixed(west_of(span)?))
}

pub fn moment_by_interval(span: Interval, value: TimestampTz) -> SqlResult<Timestamp> {
    moment_to_timestamp(value, &Zone::fixed(west_of(span)?))
}

fn shift(value: TimeTz, west: i32) -> TimeTz {
    let micros = value.0 + i64::from(value.1 - west) * MICROS_PER_SECOND;
    TimeTz(micros.rem_euclid(MICROS_PER_DAY), west)
}

/// A time of day in another zone, by the zone's offset now.
pub fn zoned_time(context: &mut CallContext<'_>, name: &str, value: TimeTz) -> SqlResult<TimeTz> {
    let now = context.session.transaction_timestamp();
    let zone = zone_of(name, now)?;
    Ok(shift(value, zone.west_at_utc(calendar::unix_seconds(now))))
}

pub fn zoned_time_by_interval(span: Interval, value: TimeTz) -> SqlResult<TimeTz> {
    Ok(shift(value, west_of(span)?))
}
