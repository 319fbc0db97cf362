//! Dates and times plus and minus intervals and each other; age; OVERLAPS.

use storage::{Datum, Interval};

use super::convert::date_to_timestamp;
use super::{interval, out_of_range};
use crate::functions::CallContext;
use crate::functions::compare;
use crate::functions::value::{Date, Time, TimeTz, Timestamp, TimestampTz};
use crate::types::calendar::{
    self, Fields, MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND, days_in_month,
};
use crate::types::datetime::{local_fields, moment_of};
use crate::types::zone::Zone;
use crate::{SqlError, SqlResult, SqlState};

fn is_infinite(micros: i64) -> bool {
    micros == i64::MIN || micros == i64::MAX
}

fn cannot_subtract(what: &str) -> SqlError {
    SqlError::new(
        SqlState::DATETIME_FIELD_OVERFLOW,
        format!("cannot subtract infinite {what}"),
    )
}

/// Moves fields by months; a day that the month does not have becomes its last.
fn add_months(fields: &mut Fields, months: i32) -> SqlResult<()> {
    let month = fields
        .month
        .checked_add(months)
        .ok_or_else(|| out_of_range("timestamp"))?
        - 1;
    fields.year += month.div_euclid(12);
    fields.month = month.rem_euclid(12) + 1;
    fields.day = fields.day.min(days_in_month(fields.year, fields.month));
    Ok(())
}

fn add_days(fields: &mut Fields, days: i32) -> SqlResult<()> {
    let julian = calendar::date2j(fields.year, fields.month, fields.day)
        .checked_add(days)
        .filter(|julian| *julian >= 0)
        .ok_or_else(|| out_of_range("timestamp"))?;
    (fields.year, fields.month, fields.day) = calendar::j2date(julian);
    Ok(())
}

fn add_micros(micros: i64, by: i64) -> SqlResult<i64> {
    micros
        .checked_add(by)
        .filter(|&sum| calendar::is_valid_timestamp(sum))
        .ok_or_else(|| out_of_range("timestamp"))
}

/// timestamp + interval: months first, then days, then time.
pub fn add_interval(timestamp: Timestamp, span: Interval) -> SqlResult<Timestamp> {
    if is_infinite(timestamp.0) {
        return Ok(timestamp);
    }
    let mut micros = timestamp.0;
    if span.months != 0 || span.days != 0 {
        let mut fields = calendar::fields_of(micros);
        if span.months != 0 {
            add_months(&mut fields, span.months)?;
            calendar::timestamp_of(&fields, 0).ok_or_else(|| out_of_range("timestamp"))?;
        }
        if span.days != 0 {
            add_days(&mut fields, span.days)?;
        }
        micros = calendar::timestamp_of(&fields, 0).ok_or_else(|| out_of_range("timestamp"))?;
    }
    add_micros(micros, span.micros).map(Timestamp)
}

/// timestamptz + interval: months and days are counted in the zone, so that a day may have 23 hours.
pub fn add_interval_in_zone(moment: TimestampTz, span: Interval, zone: &Zone) -> SqlResult<TimestampTz> {
    if is_infinite(moment.0) {
        return Ok(moment);
    }
    let mut micros = moment.0;
    let step = |micros: i64, change: &dyn Fn(&mut Fields) -> SqlResult<()>| -> SqlResult<i64> {
        let (mut fields, _) = local_fields(micros, zone);
        change(&mut fields)?;
        moment_of(&fields, zone).ok_or_else(|| out_of_range("timestamp"))
    };
    if span.months != 0 {
        micros = step(micros, &|fields| add_months(fields, span.months))?;
    }
    if span.days != 0 {
        micros = step(micros, &|fields| add_days(fields, span.days))?;
    }
    add_micros(micros, span.micros).map(TimestampTz)
}

pub fn moment_plus(context: &mut CallContext<'_>, moment: TimestampTz, span: Interval) -> SqlResult<TimestampTz> {
    add_interval_in_zone(moment, span, &context.session.style().zone)
}

pub fn moment_minus(context: &mut CallContext<'_>, moment: TimestampTz, span: Interval) -> SqlResult<TimestampTz> {
    moment_plus(context, moment, interval::negate(span)?)
}

pub fn timestamp_minus(timestamp: Timestamp, span: Interval) -> SqlResult<Timestamp> {
    add_interval(timestamp, interval::negate(span)?)
}

pub fn date_plus_interval(date: Date, span: Interval) -> SqlResult<Timestamp> {
    add_interval(date_to_timestamp(date)?, span)
}

pub fn date_minus_interval(date: Date, span: Interval) -> SqlResult<Timestamp> {
    timestamp_minus(date_to_timestamp(date)?, span)
}

fn difference(a: i64, b: i64) -> SqlResult<Interval> {
    if is_infinite(a) || is_infinite(b) {
        return Err(cannot_subtract("timestamps"));
    }
    let micros = a.checked_sub(b).ok_or_else(|| out_of_range("interval"))?;
    interval::justify_hours(Interval {
        months: 0,
        days: 0,
        micros,
    })
}

pub fn timestamp_difference(a: Timestamp, b: Timestamp) -> SqlResult<Interval> {
    difference(a.0, b.0)
}

pub fn moment_difference(a: TimestampTz, b: TimestampTz) -> SqlResult<Interval> {
    difference(a.0, b.0)
}

pub fn date_plus(date: Date, days: i32) -> SqlResult<Date> {
    if date.0 == i32::MAX || date.0 == i32::MIN {
        return Ok(date);
    }
    date.0
        .checked_add(days)
        .filter(|&days| calendar::is_valid_date(days))
        .map(Date)
        .ok_or_else(|| out_of_range("date"))
}

pub fn date_minus(date: Date, days: i32) -> SqlResult<Date> {
    if date.0 == i32::MAX || date.0 == i32::MIN {
        return Ok(date);
    }
    date.0
        .checked_sub(days)
        .filter(|&days| calendar::is_valid_date(days))
        .map(Date)
        .ok_or_else(|| out_of_range("date"))
}

pub fn date_difference(a: Date, b: Date) -> SqlResult<i32> {
    if [a.0, b.0].iter().any(|&days| days == i32::MAX || days == i32::MIN) {
        return Err(cannot_subtract("dates"));
    }
    Ok(a.0 - b.0)
}

/// Keeps a time within its day.
fn wrap(micros: i64) -> i64 {
    micros.rem_euclid(MICROS_PER_DAY)
}

pub fn time_plus(time: Time, span: Interval) -> Time {
    Time(wrap(time.0 + span.micros % MICROS_PER_DAY))
}

pub fn time_minus(time: Time, span: Interval) -> Time {
    Time(wrap(time.0 - span.micros % MICROS_PER_DAY))
}

pub fn time_difference(a: Time, b: Time) -> Interval {
    Interval {
        months: 0,
        days: 0,
        micros: a.0 - b.0,
    }
}

pub fn zoned_time_plus(time: TimeTz, span: Interval) -> TimeTz {
    TimeTz(wrap(time.0 + span.micros % MICROS_PER_DAY), time.1)
}

pub fn zoned_time_minus(time: TimeTz, span: Interval) -> TimeTz {
    TimeTz(wrap(time.0 - span.micros % MICROS_PER_DAY), time.1)
}

/// age: years, months, days and time between two local times.
fn age_of(a: &Fields, b: &Fields, is_negative: bool) -> SqlResult<Interval> {
    let sign = if is_negative { -1 } else { 1 };
    let mut micros = i64::from(sign)
        * (i64::from(a.micros - b.micros)
            + i64::from(a.second - b.second) * MICROS_PER_SECOND
            + i64::from(a.minute - b.minute) * MICROS_PER_MINUTE
            + i64::from(a.hour - b.hour) * MICROS_PER_HOUR);
    let mut days = sign * (a.day - b.day);
    let mut months = sign * (a.month - b.month);
    let mut years = sign * (a.year - b.year);
    while micros < 0 {
        micros += MICROS_PER_DAY;
        days -= 1;
    }
    // The month that lends its days is that of the earlier time.
    let lender = if is_negative { a } else { b };
    while days < 0 {
        days += days_in_month(lender.year, lender.month);
        months -= 1;
    }
    while months < 0 {
        months += 12;
        years -= 1;
    }
    let months = years
        .checked_mul(12)
        .and_then(|years| years.checked_add(months))
        .ok_or_else(|| out_of_range("interval"))?;
    Ok(Interval {
        months: sign * months,
        days: sign * days,
        micros: i64::from(sign) * micros,
    })
}

pub fn timestamp_age(a: Timestamp, b: Timestamp) -> SqlResult<Interval> {
    if is_infinite(a.0) || is_infinite(b.0) {
        return Err(out_of_range("timestamp"));
    }
    age_of(&calendar::fields_of(a.0), &calendar::fields_of(b.0), a.0 < b.0)
}

pub fn moment_age(context: &mut CallContext<'_>, a: TimestampTz, b: TimestampTz) -> SqlResult<Interval> {
    if is_infinite(a.0) || is_infinite(b.0) {
        return Err(out_of_range("timestamp"));
    }
    let zone = &context.session.style().zone;
    age_of(&local_fields(a.0, zone).0, &local_fields(b.0, zone).0, a.0 < b.0)
}

/// Midnight that began today, in the session's zone.
fn today(context: &CallContext<'_>) -> Timestamp {
    let (fields, _) = local_fields(context.session.transaction_timestamp(), &context.session.style().zone);
    let days = calendar::days_of(fields.year, fields.month, fields.day).unwrap_or(0);
    Timestamp(i64::from(days) * MICROS_PER_DAY)
}

pub fn timestamp_age_today(context: &mut CallContext<'_>, b: Timestamp) -> SqlResult<Interval> {
    timestamp_age(today(context), b)
}

pub fn moment_age_today(context: &mut CallContext<'_>, b: TimestampTz) -> SqlResult<Interval> {
    let midnight = super::convert::timestamp_to_moment(today(context), &context.session.style().zone)?;
    moment_age(context, midnight, b)
}

/// OVERLAPS of two periods, each given by its start and its end (or length) in either order; NULLs as SQL wants them.
pub fn overlaps(context: &mut CallContext<'_>, args: &[Datum]) -> SqlResult<Datum> {
    let [start1, end1, start2, end2] = args else {
        return Err(SqlError::new(SqlState::INTERNAL_ERROR, "OVERLAPS takes four values"));
    };
    let end1 = end_of(context, start1, end1)?;
    let end2 = end_of(context, start2, end2)?;
    let first = order_period(start1.clone(), end1)?;
    let second = order_period(start2.clone(), end2)?;
    let (Some((start1, end1)), Some((start2, end2))) = (first, second) else {
        return Ok(Datum::Null);
    };
    let order = compare::datums(&start1, &start2)?;
    let (early_end, late_start, late_end) = match order {
        std::cmp::Ordering::Equal => {
            // Periods that begin together overlap, whatever their ends.
            let is_known = !end1.is_null() && !end2.is_null();
            return Ok(if is_known { Datum::Bool(true) } else { Datum::Null });
        }
        std::cmp::Ordering::Greater => (end2, start1, end1),
        std::cmp::Ordering::Less => (end1, start2, end2),
    };
    if early_end.is_null() {
        return Ok(Datum::Null);
    }
    if compare::datums(&late_start, &early_end)?.is_lt() {
        return Ok(Datum::Bool(true));
    }
    Ok(if late_end.is_null() {
        Datum::Null
    } else {
        Datum::Bool(false)
    })
}

/// A period's end, computed if it was given as a length.
fn end_of(context: &mut CallContext<'_>, start: &Datum, end: &Datum) -> SqlResult<Datum> {
    Ok(match (start, end) {
        (Datum::Time(start), Datum::Interval(span)) => Datum::Time(time_plus(Time(*start), *span).0),
        (Datum::Timestamp(start), Datum::Interval(span)) => Datum::Timestamp(add_interval(Timestamp(*start), *span)?.0),
        (Datum::TimestampTz(start), Datum::Interval(span)) => {
            Datum::TimestampTz(moment_plus(context, TimestampTz(*start), *span)?.0)
        }
        (Datum::Null, Datum::Interval(_)) => Datum::Null,
        (_, end) => end.clone(),
    })
}

/// The earlier end first; a NULL end is the later one. `None` if both are NULL.
fn order_period(start: Datum, end: Datum) -> SqlResult<Option<(Datum, Datum)>> {
    Ok(match (start.is_null(), end.is_null()) {
        (true, true) => None,
        (true, false) => Some((end, start)),
        (false, true) => Some((start, end)),
        (false, false) if compare::datums(&start, &end)?.is_gt() => Some((end, start)),
        (false, false) => Some((start, end)),
    })
}
