//! Intervals as text, in the four styles.

use std::fmt::Write;

use storage::Interval;

use super::print::{write_fraction, write_seconds};
use crate::types::calendar::{MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use crate::types::style::IntervalFormat;

/// An interval split into its fields; all of one part have the same sign.
struct Parts {
    years: i32,
    months: i32,
    days: i32,
    hours: i64,
    minutes: i64,
    seconds: i32,
    micros: i32,
}

/// Prints an interval.
pub fn write_interval(value: &Interval, format: IntervalFormat, out: &mut String) {
    let parts = Parts {
        years: value.months / 12,
        months: value.months % 12,
        days: value.days,
        hours: value.micros / MICROS_PER_HOUR,
        minutes: value.micros / MICROS_PER_MINUTE % 60,
        seconds: (value.micros / MICROS_PER_SECOND % 60) as i32,
        micros: (value.micros % MICROS_PER_SECOND) as i32,
    };
    match format {
        IntervalFormat::Postgres => postgres(&parts, out),
        IntervalFormat::PostgresVerbose => verbose(&parts, out),
        IntervalFormat::SqlStandard => sql_standard(&parts, out),
        IntervalFormat::Iso8601 => iso8601(&parts, out),
    }
}

impl Parts {
    fn has_time(&self) -> bool {
        self.hours != 0 || self.minutes != 0 || self.seconds != 0 || self.micros != 0
    }

    fn is_time_negative(&self) -> bool {
        self.hours < 0 || self.minutes < 0 || self.seconds < 0 || self.micros < 0
    }

    /// `hh:mm:ss.ffffff` without sign.
    fn write_clock(&self, hour_width: usize, out: &mut String) {
        let _ = write!(
            out,
            "{:0hour_width$}:{:02}:",
            self.hours.unsigned_abs(),
            self.minutes.unsigned_abs()
        );
        write_seconds(self.seconds.abs(), self.micros.abs(), out);
    }
}

/// `1 year 2 mons -3 days +04:05:06.7`: a sign follows whenever the field before was negative.
fn postgres(parts: &Parts, out: &mut String) {
    let mut is_empty = true;
    let mut is_before = false;
    for (value, unit) in [(parts.years, "year"), (parts.months, "mon"), (parts.days, "day")] {
        if value == 0 {
            continue;
        }
        let space = if is_empty { "" } else { " " };
        let sign = if is_before && value > 0 { "+" } else { "" };
        let plural = if value == 1 { "" } else { "s" };
        let _ = write!(out, "{space}{sign}{value} {unit}{plural}");
        is_before = value < 0;
        is_empty = false;
    }
    if is_empty || parts.has_time() {
        let is_negative = parts.is_time_negative();
        if !is_empty {
            out.push(' ');
        }
        if is_negative {
            out.push('-');
        } else if is_before {
            out.push('+');
        }
        parts.write_clock(2, out);
    }
}

/// `@ 1 year 2 mons 3 days 4 hours 5 mins 6.7 secs ago`: the sign of the first field is the sign of all.
fn verbose(parts: &Parts, out: &mut String) {
    out.push('@');
    let mut is_zero = true;
    let mut is_before = false;
    let fields = [
        (i64::from(parts.years), "year"),
        (i64::from(parts.months), "mon"),
        (i64::from(parts.days), "day"),
        (parts.hours, "hour"),
        (parts.minutes, "min"),
    ];
    for (value, unit) in fields {
        if value == 0 {
            continue;
        }
        let value = if is_zero {
            is_before = value < 0;
            value.abs()
        } else if is_before {
            -value
        } else {
            value
        };
        let plural = if value == 1 { "" } else { "s" };
        let _ = write!(out, " {value} {unit}{plural}");
        is_zero = false;
    }
    if parts.seconds != 0 || parts.micros != 0 {
        out.push(' ');
        if parts.seconds < 0 || parts.seconds == 0 && parts.micros < 0 {
            if is_zero {
                is_before = true;
            } else if !is_before {
                out.push('-');
            }
        } else if is_before {
            out.push('-');
        }
        let _ = write!(out, "{}", parts.seconds.unsigned_abs());
        write_fraction(parts.micros, out);
        let is_one = parts.seconds.abs() == 1 && parts.micros == 0;
        out.push_str(if is_one { " sec" } else { " secs" });
        is_zero = false;
    }
    if is_zero {
        out.push_str(" 0");
    }
    if is_before {
        out.push_str(" ago");
    }
}

/// `1-2`, `3 4:05:06`, or `+1-2 +3 +4:05:06` where both parts are there or signs differ.
fn sql_standard(parts: &Parts, out: &mut String) {
    let has_negative = parts.years < 0 || parts.months < 0 || parts.days < 0 || parts.is_time_negative();
    let has_positive = parts.years > 0
        || parts.months > 0
        || parts.days > 0
        || parts.hours > 0
        || parts.minutes > 0
        || parts.seconds > 0
        || parts.micros > 0;
    let has_months = parts.years != 0 || parts.months != 0;
    let has_days = parts.days != 0;
    let has_time = parts.has_time();
    let is_standard = !(has_negative && has_positive) && !(has_months && (has_days || has_time));
    let sign = |negative: bool| if negative { '-' } else { '+' };
    if is_standard {
        if has_negative {
            out.push('-');
        }
        if !has_negative && !has_positive {
            out.push('0');
        } else if has_months {
            let _ = write!(out, "{}-{}", parts.years.unsigned_abs(), parts.months.unsigned_abs());
        } else if has_days {
            let _ = write!(out, "{} ", parts.days.unsigned_abs());
            parts.write_clock(1, out);
        } else {
            parts.write_clock(1, out);
        }
        return;
    }
    let months_negative = parts.years < 0 || parts.months < 0;
    let _ = write!(
        out,
        "{}{}-{} {}{} {}",
        sign(months_negative),
        parts.years.unsigned_abs(),
        parts.months.unsigned_abs(),
        sign(parts.days < 0),
        parts.days.unsigned_abs(),
        sign(parts.is_time_negative()),
    );
    parts.write_clock(1, out);
}

/// `P1Y2M3DT4H5M6.7S`
fn iso8601(parts: &Parts, out: &mut String) {
    if parts.years == 0 && parts.months == 0 && parts.days == 0 && !parts.has_time() {
        out.push_str("PT0S");
        return;
    }
    out.push('P');
    for (value, unit) in [(parts.years, 'Y'), (parts.months, 'M'), (parts.days, 'D')] {
        if value != 0 {
            let _ = write!(out, "{value}{unit}");
        }
    }
    if !parts.has_time() {
        return;
    }
    out.push('T');
    for (value, unit) in [(parts.hours, 'H'), (parts.minutes, 'M')] {
        if value != 0 {
            let _ = write!(out, "{value}{unit}");
        }
    }
    if parts.seconds != 0 || parts.micros != 0 {
        if parts.seconds < 0 || parts.micros < 0 {
            out.push('-');
        }
        let _ = write!(out, "{}", parts.seconds.unsigned_abs());
        write_fraction(parts.micros, out);
        out.push('S');
    }
}
