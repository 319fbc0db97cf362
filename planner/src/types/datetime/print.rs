//! Dates and times as text (`EncodeDateTime` and its kin).

use std::fmt::Write;

use crate::types::calendar::{self, Fields};
use crate::types::style::{DateFormat, DateOrder, Style};
use crate::types::zone::write_offset;

/// Abbreviated names of months.
pub const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
/// Abbreviated names of weekdays, Sunday first.
pub const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Prints two digits without the formatting machinery: this is the hot path of every timestamp.
fn two(value: i32, out: &mut String) {
    let value = value.rem_euclid(100) as u8;
    out.push(char::from(b'0' + value / 10));
    out.push(char::from(b'0' + value % 10));
}

fn year(value: i32, out: &mut String) {
    let value = if value > 0 { value } else { 1 - value };
    if value <= 9999 {
        two(value / 100, out);
        two(value % 100, out);
    } else {
        let _ = write!(out, "{value}");
    }
}

fn era(value: i32, out: &mut String) {
    if value <= 0 {
        out.push_str(" BC");
    }
}

/// Prints `ss` or `ss.ffffff` without trailing zeros.
pub fn write_seconds(second: i32, micros: i32, out: &mut String) {
    two(second, out);
    write_fraction(micros, out);
}

/// Prints `.ffffff` without trailing zeros, or nothing.
pub fn write_fraction(micros: i32, out: &mut String) {
    if micros != 0 {
        let text = format!(".{:06}", micros.unsigned_abs());
        out.push_str(text.trim_end_matches('0'));
    }
}

fn write_clock(fields: &Fields, out: &mut String) {
    two(fields.hour, out);
    out.push(':');
    two(fields.minute, out);
    out.push(':');
    write_seconds(fields.second, fields.micros, out);
}

/// Prints a date without its era.
fn write_day(fields: &Fields, style: &Style, out: &mut String) {
    let (month, day) = (fields.month, fields.day);
    match style.date_format {
        DateFormat::Iso => {
            year(fields.year, out);
            out.push('-');
            two(month, out);
            out.push('-');
            two(day, out);
        }
        DateFormat::Sql => {
            let is_day_first = style.date_order == DateOrder::Dmy;
            two(if is_day_first { day } else { month }, out);
            out.push('/');
            two(if is_day_first { month } else { day }, out);
            out.push('/');
            year(fields.year, out);
        }
        DateFormat::German => {
            two(day, out);
            out.push('.');
            two(month, out);
            out.push('.');
            year(fields.year, out);
        }
        DateFormat::Postgres => {
            let is_day_first = style.date_order == DateOrder::Dmy;
            two(if is_day_first { day } else { month }, out);
            out.push('-');
            two(if is_day_first { month } else { day }, out);
            out.push('-');
            year(fields.year, out);
        }
    }
}

/// Prints a date.
pub fn write_date(days: i32, style: &Style, out: &mut String) {
    match days {
        i32::MAX => out.push_str("infinity"),
        i32::MIN => out.push_str("-infinity"),
        _ => {
            let (year, month, day) = calendar::date_of(days);
            let fields = Fields {
                year,
                month,
                day,
                ..Fields::default()
            };
            write_day(&fields, style, out);
            era(year, out);
        }
    }
}

/// Prints a time of day.
pub fn write_time(micros: i64, out: &mut String) {
    write_clock(&calendar::time_fields_of(micros), out);
}

/// Prints a time of day with its zone (seconds west).
pub fn write_time_zone(micros: i64, west: i32, out: &mut String) {
    write_time(micros, out);
    write_offset(-west, true, out);
}

/// Prints a timestamp without time zone.
pub fn write_timestamp(micros: i64, style: &Style, out: &mut String) {
    if !write_infinite(micros, out) {
        write_moment(&calendar::fields_of(micros), None, style, out);
    }
}

/// Prints a timestamp in the session's zone.
pub fn write_timestamptz(micros: i64, style: &Style, out: &mut String) {
    if write_infinite(micros, out) {
        return;
    }
    if style.date_format == DateFormat::Iso {
        let (fields, west) = super::local_fields(micros, &style.zone);
        write_moment(&fields, Some((west, "")), style, out);
    } else {
        let moment = style.zone.at_utc(calendar::unix_seconds(micros));
        let fields = calendar::fields_of(micros - i64::from(moment.west) * calendar::MICROS_PER_SECOND);
        write_moment(&fields, Some((moment.west, &moment.abbreviation)), style, out);
    }
}

fn write_infinite(micros: i64, out: &mut String) -> bool {
    match micros {
        i64::MAX => out.push_str("infinity"),
        i64::MIN => out.push_str("-infinity"),
        _ => return false,
    }
    true
}

/// Prints fields, and the zone given as seconds west and abbreviation.
fn write_moment(fields: &Fields, zone: Option<(i32, &str)>, style: &Style, out: &mut String) {
    if style.date_format == DateFormat::Postgres {
        write_postgres(fields, zone, style, out);
        return;
    }
    write_day(fields, style, out);
    out.push(' ');
    write_clock(fields, out);
    match zone {
        Some((west, _)) if style.date_format == DateFormat::Iso => write_offset(-west, true, out),
        Some((west, abbreviation)) => write_named_zone(west, abbreviation, false, out),
        None => {}
    }
    era(fields.year, out);
}

/// The traditional style: `Wed Dec 17 07:37:16 1997 PST`.
fn write_postgres(fields: &Fields, zone: Option<(i32, &str)>, style: &Style, out: &mut String) {
    let julian = calendar::date2j(fields.year, fields.month, fields.day);
    out.push_str(DAYS[calendar::day_of_week(julian) as usize]);
    out.push(' ');
    let month = MONTHS[(fields.month - 1).rem_euclid(12) as usize];
    if style.date_order == DateOrder::Dmy {
        two(fields.day, out);
        out.push(' ');
        out.push_str(month);
    } else {
        out.push_str(month);
        out.push(' ');
        two(fields.day, out);
    }
    out.push(' ');
    write_clock(fields, out);
    out.push(' ');
    year(fields.year, out);
    if let Some((west, abbreviation)) = zone {
        write_named_zone(west, abbreviation, true, out);
    }
    era(fields.year, out);
}

/// Prints an abbreviation if it is a word, else the offset. `spaced` puts a blank before an offset, so that it is not
/// read as part of the year.
fn write_named_zone(west: i32, abbreviation: &str, spaced: bool, out: &mut String) {
    if abbreviation.is_empty() || !abbreviation.starts_with(|c: char| c.is_ascii_alphabetic()) {
        if spaced {
            out.push(' ');
        }
        write_offset(-west, true, out);
    } else {
        out.push(' ');
        out.push_str(abbreviation);
    }
}
