//! The present: now, current_date, localtime and their kin.

use crate::functions::CallContext;
use crate::functions::value::{Date, Time, TimeTz, Timestamp, TimestampTz};
use crate::types::calendar;
use crate::types::datetime::local_fields;
use crate::types::modifier::{round_time, round_timestamp};
use std::fmt::Write;

/// Precision of `CURRENT_TIME` without one.
pub const FULL_PRECISION: i32 = 6;

pub fn current_timestamp(context: &mut CallContext<'_>, precision: i32) -> TimestampTz {
    TimestampTz(round_timestamp(context.session.transaction_timestamp(), precision))
}

pub fn local_timestamp(context: &mut CallContext<'_>, precision: i32) -> Timestamp {
    let now = context.session.transaction_timestamp();
    let (fields, _) = local_fields(now, &context.session.style().zone);
    Timestamp(round_timestamp(
        calendar::timestamp_of(&fields, 0).unwrap_or(now),
        precision,
    ))
}

pub fn current_date(context: &mut CallContext<'_>) -> Date {
    Date(
        local_timestamp(context, FULL_PRECISION)
            .0
            .div_euclid(calendar::MICROS_PER_DAY) as i32,
    )
}

pub fn local_time(context: &mut CallContext<'_>, precision: i32) -> Time {
    let now = local_timestamp(context, FULL_PRECISION).0;
    Time(round_time(now.rem_euclid(calendar::MICROS_PER_DAY), precision))
}

pub fn current_time(context: &mut CallContext<'_>, precision: i32) -> TimeTz {
    let now = context.session.transaction_timestamp();
    let (fields, west) = local_fields(now, &context.session.style().zone);
    TimeTz(round_time(calendar::micros_of_time(&fields), precision), west)
}

/// `Wed Feb 28 17:37:16.123456 1997 PST`
pub fn time_of_day(context: &mut CallContext<'_>) -> String {
    let now = context.session.clock_timestamp();
    let style = context.session.style();
    let moment = style.zone.at_utc(calendar::unix_seconds(now));
    let (fields, _) = local_fields(now, &style.zone);
    let weekday = calendar::day_of_week(calendar::date2j(fields.year, fields.month, fields.day));
    let mut out = String::new();
    let _ = write!(
        out,
        "{} {} {:02} {:02}:{:02}:{:02}.{:06} {} {}",
        crate::types::datetime::DAYS[weekday as usize],
        crate::types::datetime::MONTHS[(fields.month - 1).rem_euclid(12) as usize],
        fields.day,
        fields.hour,
        fields.minute,
        fields.second,
        fields.micros,
        fields.year,
        moment.abbreviation,
    );
    out
}
