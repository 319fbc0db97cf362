//! to_char of timestamps and intervals.

use std::fmt::Write;

use storage::Interval;

use super::time_pattern::{Field, Key, NameCase, Part, parse};
use super::{invalid_time, ordinal, roman::roman};
use crate::functions::CallContext;
use crate::functions::value::{Timestamp, TimestampTz};
use crate::types::calendar::{self, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use crate::{SqlError, SqlResult};

/// Full names of months.
pub const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

/// Full names of weekdays, Sunday first.
pub const DAYS: [&str; 7] = [
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
];

/// What is printed; of an interval the hours are unlimited and the date is a length.
struct Moment {
    year: i32,
    month: i32,
    day: i32,
    hour: i64,
    minute: i64,
    second: i64,
    micros: i64,
    year_day: i32,
    week_day: i32,
    is_interval: bool,
    /// Seconds east, and abbreviation.
    zone: Option<(i32, String)>,
}

fn of_fields(fields: calendar::Fields, zone: Option<(i32, String)>) -> Moment {
    Moment {
        year: fields.year,
        month: fields.month,
        day: fields.day,
        hour: i64::from(fields.hour),
        minute: i64::from(fields.minute),
        second: i64::from(fields.second),
        micros: i64::from(fields.micros),
        year_day: calendar::day_of_year(fields.year, fields.month, fields.day),
        week_day: calendar::day_of_week(calendar::date2j(fields.year, fields.month, fields.day)),
        is_interval: false,
        zone,
    }
}

/// to_char(timestamp, text)
pub fn timestamp(value: Timestamp, template: &str) -> SqlResult<Option<String>> {
    if value.0 == i64::MAX || value.0 == i64::MIN || template.is_empty() {
        return Ok(None);
    }
    of_fields(calendar::fields_of(value.0), None).print(template).map(Some)
}

/// to_char(timestamptz, text)
pub fn moment(context: &mut CallContext<'_>, value: TimestampTz, template: &str) -> SqlResult<Option<String>> {
    if value.0 == i64::MAX || value.0 == i64::MIN || template.is_empty() {
        return Ok(None);
    }
    let zone = context.session.style().zone.at_utc(calendar::unix_seconds(value.0));
    let fields = calendar::fields_of(value.0 - i64::from(zone.west) * MICROS_PER_SECOND);
    of_fields(fields, Some((-zone.west, zone.abbreviation)))
        .print(template)
        .map(Some)
}

/// to_char(interval, text)
pub fn interval(value: Interval, template: &str) -> SqlResult<Option<String>> {
    if template.is_empty() {
        return Ok(None);
    }
    let (year, month) = (value.months / 12, value.months % 12);
    let moment = Moment {
        year,
        month,
        day: value.days,
        hour: value.micros / MICROS_PER_HOUR,
        minute: value.micros / MICROS_PER_MINUTE % 60,
        second: value.micros / MICROS_PER_SECOND % 60,
        micros: value.micros % MICROS_PER_SECOND,
        year_day: year
            .wrapping_mul(12)
            .wrapping_add(month)
            .wrapping_mul(30)
            .wrapping_add(value.days),
        week_day: 0,
        is_interval: true,
        zone: None,
    };
    moment.print(template).map(Some)
}

fn not_for_interval() -> SqlError {
    invalid_time("invalid format specification for an interval value")
        .hint("Intervals are not tied to specific calendar dates.")
}

impl Moment {
    fn print(&self, template: &str) -> SqlResult<String> {
        let mut out = String::with_capacity(template.len() + 16);
        for part in parse(template).iter() {
            match part {
                Part::Field(field) => self.field(field, &mut out)?,
                Part::Separator(c) | Part::Space(c) | Part::Text(c) => out.push(*c),
            }
        }
        Ok(out)
    }

    fn date_only(&self) -> SqlResult<()> {
        if self.is_interval {
            Err(not_for_interval())
        } else {
            Ok(())
        }
    }

    /// The year as it is printed: positive, BC or AD apart.
    fn adjusted(&self, year: i32) -> i32 {
        if self.is_interval || year > 0 { year } else { 1 - year }
    }

    fn iso(&self) -> (i32, i32) {
        calendar::iso_week(self.year, self.month, self.day)
    }

    fn field(&self, field: &Field, out: &mut String) -> SqlResult<()> {
        // A sign takes one more place.
        let number = |value: i64, width: usize, out: &mut String| {
            let start = out.len();
            let width = if field.fill { 0 } else { width + usize::from(value < 0) };
            let _ = write!(out, "{value:0width$}");
            if let Some(upper) = field.ordinal {
                let ending = ordinal(&out[start..], upper);
                out.push_str(ending);
            }
        };
        // Days and weeks give a sign no place of its own.
        let unsigned = |value: i32, width: usize, out: &mut String| {
            let width = if value < 0 { width - 1 } else { width };
            number(i64::from(value), width, out);
        };
        match field.key {
            Key::FixedMode => {}
            Key::Era { points, lower } => {
                self.date_only()?;
                out.push_str(match (self.year <= 0, points, lower) {
                    (true, true, false) => "B.C.",
                    (true, true, true) => "b.c.",
                    (true, false, false) => "BC",
                    (true, false, true) => "bc",
                    (false, true, false) => "A.D.",
                    (false, true, true) => "a.d.",
                    (false, false, false) => "AD",
                    (false, false, true) => "ad",
                });
            }
            Key::Meridiem { points, lower } => {
                out.push_str(match (self.hour % 24 >= 12, points, lower) {
                    (true, true, false) => "P.M.",
                    (true, true, true) => "p.m.",
                    (true, false, false) => "PM",
                    (true, false, true) => "pm",
                    (false, true, false) => "A.M.",
                    (false, true, true) => "a.m.",
                    (false, false, false) => "AM",
                    (false, false, true) => "am",
                });
            }
            Key::Hour12 => number(if self.hour % 12 == 0 { 12 } else { self.hour % 12 }, 2, out),
            Key::Hour24 => number(self.hour, 2, out),
            Key::Minute => number(self.minute, 2, out),
            Key::Second => number(self.second, 2, out),
            Key::Fraction(digits) => {
                let value = self.micros / 10i64.pow(6 - u32::from(digits));
                self.plain(value, usize::from(digits), field, out);
            }
            Key::Millisecond => self.plain(self.micros / 1000, 3, field, out),
            Key::Microsecond => self.plain(self.micros, 6, field, out),
            Key::SecondsOfDay => self.plain(self.hour * 3600 + self.minute * 60 + self.second, 0, field, out),
            Key::Zone { lower } => {
                self.date_only()?;
                if let Some((_, name)) = &self.zone {
                    out.push_str(&if lower { name.to_lowercase() } else { name.clone() });
                }
            }
            Key::ZoneHour => {
                self.date_only()?;
                let east = self.zone.as_ref().map_or(0, |(east, _)| *east);
                let _ = write!(out, "{}{:02}", if east >= 0 { '+' } else { '-' }, east.abs() / 3600);
            }
            Key::ZoneMinute => {
                self.date_only()?;
                let east = self.zone.as_ref().map_or(0, |(east, _)| *east);
                let _ = write!(out, "{:02}", east.abs() % 3600 / 60);
            }
            Key::Offset => {
                self.date_only()?;
                let east = self.zone.as_ref().map_or(0, |(east, _)| *east);
                let width = if field.fill { 0 } else { 2 };
                let _ = write!(
                    out,
                    "{}{:0width$}",
                    if east >= 0 { '+' } else { '-' },
                    east.abs() / 3600
                );
                if east.abs() % 3600 != 0 {
                    let _ = write!(out, ":{:02}", east.abs() % 3600 / 60);
                }
            }
            Key::MonthName { short, case } => {
                self.date_only()?;
                let name = MONTHS[(self.month - 1).rem_euclid(12) as usize];
                name_out(name, short, case, field.fill, out);
            }
            Key::DayName { short, case } => {
                self.date_only()?;
                name_out(DAYS[self.week_day.rem_euclid(7) as usize], short, case, field.fill, out);
            }
            Key::Month => number(i64::from(self.month), 2, out),
            Key::DayOfYear => unsigned(self.year_day, 3, out),
            Key::IsoDayOfYear => {
                let (_, iso_year) = self.iso();
                let first = calendar::iso_week_julian(iso_year, 1);
                number(
                    i64::from(calendar::date2j(self.year, self.month, self.day) - first + 1),
                    3,
                    out,
                );
            }
            Key::Day => unsigned(self.day, 2, out),
            Key::DayOfWeek => {
                self.date_only()?;
                number(i64::from(self.week_day + 1), 0, out);
            }
            Key::IsoDayOfWeek => {
                self.date_only()?;
                number(i64::from(if self.week_day == 0 { 7 } else { self.week_day }), 0, out);
            }
            Key::WeekOfYear => unsigned((self.year_day - 1) / 7 + 1, 2, out),
            Key::IsoWeek => number(i64::from(self.iso().0), 2, out),
            Key::Quarter => {
                if self.month != 0 {
                    number(i64::from((self.month - 1) / 3 + 1), 0, out);
                }
            }
            Key::Century => {
                let century = if self.is_interval {
                    self.year / 100
                } else if self.year > 0 {
                    (self.year - 1) / 100 + 1
                } else {
                    self.year / 100 - 1
                };
                number(
                    i64::from(century),
                    if (-99..=99).contains(&century) { 2 } else { 0 },
                    out,
                );
            }
            Key::YearWithComma => {
                let year = self.adjusted(self.year);
                let start = out.len();
                let _ = write!(out, "{},{:03}", year / 1000, year % 1000);
                if let Some(upper) = field.ordinal {
                    let ending = ordinal(&out[start..], upper);
                    out.push_str(ending);
                }
            }
            Key::Year(digits) => self.year_out(self.year, digits, &number, out),
            Key::IsoYear(digits) => self.year_out(self.iso().1, digits, &number, out),
            Key::Roman { lower } => {
                if self.month == 0 && self.year == 0 {
                    return Ok(());
                }
                // Months before the start of a year count from its end.
                let month = match self.month {
                    0 if self.year >= 0 => 12,
                    0 => 1,
                    month if month < 0 => 13 + month,
                    month => month,
                };
                let name = roman(i64::from(month));
                let name = if lower { name.to_lowercase() } else { name };
                let width = if field.fill { 0 } else { 4 };
                let _ = write!(out, "{name:<width$}");
            }
            Key::WeekOfMonth => number(i64::from((self.day - 1) / 7 + 1), 0, out),
            Key::Julian => number(i64::from(calendar::date2j(self.year, self.month, self.day)), 0, out),
        }
        Ok(())
    }

    /// A number whose padding FM does not take away.
    fn plain(&self, value: i64, width: usize, field: &Field, out: &mut String) {
        let start = out.len();
        let _ = write!(out, "{value:0width$}");
        if let Some(upper) = field.ordinal {
            let ending = ordinal(&out[start..], upper);
            out.push_str(ending);
        }
    }

    fn year_out(&self, year: i32, digits: u8, number: &dyn Fn(i64, usize, &mut String), out: &mut String) {
        let year = self.adjusted(year);
        let year = match digits {
            4 => year,
            3 => year % 1000,
            2 => year % 100,
            _ => year % 10,
        };
        number(i64::from(year), usize::from(digits), out);
    }
}

fn name_out(name: &str, short: bool, case: NameCase, fill: bool, out: &mut String) {
    let name = if short { &name[..3] } else { name };
    let name = match case {
        NameCase::Upper => name.to_uppercase(),
        NameCase::Capital => name.to_owned(),
        NameCase::Lower => name.to_lowercase(),
    };
    let width = if fill || short { 0 } else { 9 };
    let _ = write!(out, "{name:<width$}");
}
