//! Interval arithmetic.

use storage::Interval;

use super::out_of_range;
use crate::functions::integer::division_by_zero;
use crate::types::calendar::{MICROS_PER_DAY, MICROS_PER_SECOND, SECONDS_PER_DAY};
use crate::{SqlError, SqlResult};

fn overflow() -> SqlError {
    out_of_range("interval")
}

/// a + b
pub fn add(a: Interval, b: Interval) -> SqlResult<Interval> {
    Ok(Interval {
        months: a.months.checked_add(b.months).ok_or_else(overflow)?,
        days: a.days.checked_add(b.days).ok_or_else(overflow)?,
        micros: a.micros.checked_add(b.micros).ok_or_else(overflow)?,
    })
}

/// a - b
pub fn subtract(a: Interval, b: Interval) -> SqlResult<Interval> {
    Ok(Interval {
        months: a.months.checked_sub(b.months).ok_or_else(overflow)?,
        days: a.days.checked_sub(b.days).ok_or_else(overflow)?,
        micros: a.micros.checked_sub(b.micros).ok_or_else(overflow)?,
    })
}

/// -a
pub fn negate(a: Interval) -> SqlResult<Interval> {
    subtract(Interval::default(), a)
}

/// Rounds to microseconds, so that products of decimal fractions come out whole.
fn round_micros(value: f64) -> f64 {
    (value * 1_000_000.0).round_ties_even() / 1_000_000.0
}

fn whole(value: f64) -> SqlResult<i32> {
    if value.is_nan() || value > f64::from(i32::MAX) || value < f64::from(i32::MIN) {
        return Err(overflow());
    }
    Ok(value as i32)
}

/// Scales each part; fractions of months become days of a month of 30, fractions of days become time.
fn scale(a: Interval, by: impl Fn(f64) -> f64) -> SqlResult<Interval> {
    let (month_product, day_product) = (by(f64::from(a.months)), by(f64::from(a.days)));
    let months = whole(month_product)?;
    let mut days = whole(day_product)?;
    let month_days = round_micros((month_product - f64::from(months)) * 30.0);
    let mut seconds =
        round_micros((day_product - f64::from(days) + month_days - month_days.trunc()) * SECONDS_PER_DAY as f64);
    if seconds.abs() >= SECONDS_PER_DAY as f64 {
        let carry = (seconds / SECONDS_PER_DAY as f64) as i32;
        days = days.checked_add(carry).ok_or_else(overflow)?;
        seconds -= f64::from(carry) * SECONDS_PER_DAY as f64;
    }
    days = days.checked_add(month_days as i32).ok_or_else(overflow)?;
    let micros = (by(a.micros as f64) + seconds * MICROS_PER_SECOND as f64).round_ties_even();
    if micros.is_nan() || !(-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&micros) {
        return Err(overflow());
    }
    Ok(Interval {
        months,
        days,
        micros: micros as i64,
    })
}

/// a × factor
pub fn multiply(a: Interval, factor: f64) -> SqlResult<Interval> {
    scale(a, |part| part * factor)
}

/// a ÷ factor
pub fn divide(a: Interval, factor: f64) -> SqlResult<Interval> {
    if factor == 0.0 {
        return Err(division_by_zero());
    }
    scale(a, |part| part / factor)
}

/// Gives day and time the same sign.
fn align_time(a: &mut Interval) {
    if a.days > 0 && a.micros < 0 {
        a.micros += MICROS_PER_DAY;
        a.days -= 1;
    } else if a.days < 0 && a.micros > 0 {
        a.micros -= MICROS_PER_DAY;
        a.days += 1;
    }
}

/// Whole days of the time become days.
pub fn justify_hours(a: Interval) -> SqlResult<Interval> {
    let days = a
        .days
        .checked_add((a.micros / MICROS_PER_DAY) as i32)
        .ok_or_else(overflow)?;
    let mut result = Interval {
        months: a.months,
        days,
        micros: a.micros % MICROS_PER_DAY,
    };
    align_time(&mut result);
    Ok(result)
}

/// Every 30 days become a month.
pub fn justify_days(a: Interval) -> SqlResult<Interval> {
    let months = a.months.checked_add(a.days / 30).ok_or_else(overflow)?;
    let mut result = Interval {
        months,
        days: a.days % 30,
        micros: a.micros,
    };
    if result.months > 0 && result.days < 0 {
        result.days += 30;
        result.months -= 1;
    } else if result.months < 0 && result.days > 0 {
        result.days -= 30;
        result.months += 1;
    }
    Ok(result)
}

/// Both, and one sign for all parts.
pub fn justify(a: Interval) -> SqlResult<Interval> {
    let mut result = a;
    // Days that would overflow when the time's days are added are moved to months before.
    if result.days > 0 && result.micros > 0 || result.days < 0 && result.micros < 0 {
        result.months = result.months.checked_add(result.days / 30).ok_or_else(overflow)?;
        result.days %= 30;
    }
    result.days = result
        .days
        .checked_add((result.micros / MICROS_PER_DAY) as i32)
        .ok_or_else(overflow)?;
    result.micros %= MICROS_PER_DAY;
    result.months = result.months.checked_add(result.days / 30).ok_or_else(overflow)?;
    result.days %= 30;
    if result.months > 0 && (result.days < 0 || result.days == 0 && result.micros < 0) {
        result.days += 30;
        result.months -= 1;
    } else if result.months < 0 && (result.days > 0 || result.days == 0 && result.micros > 0) {
        result.days -= 30;
        result.months += 1;
    }
    align_time(&mut result);
    Ok(result)
}
