//! to_date and to_timestamp: fields read by a template.

use super::invalid_time;
use super::time_out::{DAYS, MONTHS};
use super::time_pattern::{Calendar, Field, Key, Part, is_separator, parse};
use crate::functions::CallContext;
use crate::functions::datetime::out_of_range;
use crate::functions::value::{Date, TimestampTz};
use crate::types::calendar::{self, Fields, days_in_month, is_leap};
use crate::types::datetime::Fault;
use crate::types::datetime::decode::offset_at;
use crate::types::modifier::round_timestamp;
use crate::types::number::is_space;
use crate::types::zone::DISPLACEMENT_HOURS_MAX;
use crate::{SqlError, SqlResult, SqlState};

/// Fields read so far; 0 is not set.
#[derive(Clone, Debug, Default)]
struct Read {
    calendar: Option<Calendar>,
    hour: i32,
    afternoon: i32,
    minute: i32,
    second: i32,
    seconds_of_day: i32,
    /// Day of the week, Sunday being 1.
    week_day: i32,
    day: i32,
    year_day: i32,
    month: i32,
    millis: i32,
    year: i32,
    before_christ: i32,
    week: i32,
    week_of_month: i32,
    century: i32,
    julian: i32,
    micros: i32,
    year_digits: u8,
    is_12_hour: bool,
    zone_sign: i32,
    zone_hour: i32,
    zone_minute: i32,
    fraction_digits: Option<u8>,
}

/// What a text said by a template.
struct Reading {
    fields: Fields,
    /// Seconds west, if the template has a zone.
    west: Option<i32>,
    fraction_digits: Option<u8>,
}

/// to_date
pub fn date(text: &str, template: &str) -> SqlResult<Date> {
    let read = read(text, template)?;
    let fields = read.fields;
    calendar::days_of(fields.year, fields.month, fields.day)
        .map(Date)
        .ok_or_else(|| {
            SqlError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("date out of range: \"{text}\""),
            )
        })
}

/// to_timestamp
pub fn moment(context: &mut CallContext<'_>, text: &str, template: &str) -> SqlResult<TimestampTz> {
    let read = read(text, template)?;
    let west = read
        .west
        .unwrap_or_else(|| offset_at(&read.fields, &context.session.style().zone));
    let micros = calendar::timestamp_of(&read.fields, west).ok_or_else(|| out_of_range("timestamp"))?;
    Ok(TimestampTz(
        read.fraction_digits
            .map_or(micros, |digits| round_timestamp(micros, i32::from(digits))),
    ))
}

fn set(target: &mut i32, value: i32, field: &Field) -> SqlResult<()> {
    if *target != 0 && *target != value {
        return Err(invalid_time(format!(
            "conflicting values for \"{}\" field in formatting string",
            field.name
        ))
        .detail("This value contradicts a previous setting for the same field type."));
    }
    *target = value;
    Ok(())
}

struct Scanner<'a> {
    text: &'a str,
    rest: &'a str,
    parts: &'a [Part],
}

impl Scanner<'_> {
    fn skip_spaces(&mut self) -> i32 {
        let trimmed = self.rest.trim_start_matches(is_space);
        let count = self.rest.len() - trimmed.len();
        self.rest = trimmed;
        count as i32
    }

    fn skip_character(&mut self) {
        let mut chars = self.rest.chars();
        chars.next();
        self.rest = chars.as_str();
    }

    /// Whether what follows the field cannot be mistaken for its digits.
    fn is_next_separator(&self, index: usize, field: &Field) -> bool {
        if field.ordinal.is_some() {
            return true;
        }
        match self.parts.get(index + 1) {
            None => true,
            Some(Part::Field(next)) => !next.is_digits(),
            Some(Part::Separator(c) | Part::Space(c) | Part::Text(c)) => !c.is_ascii_digit(),
        }
    }

    /// An integer of a field: its value and the characters it took.
    fn integer(&mut self, index: usize, field: &Field, width: usize) -> SqlResult<(i32, usize)> {
        const ADVICE: &str = "If your source string is not fixed-width, try using the \"FM\" modifier.";
        let start = self.rest;
        self.skip_spaces();
        let copy: String = self.rest.chars().take(width).collect();
        let takes_all = field.fill || self.is_next_separator(index, field);
        let source = if takes_all { self.rest } else { copy.as_str() };
        let digits = leading_integer(source);
        if !takes_all {
            let used = copy.chars().count();
            if used < width {
                return Err(invalid_time(format!(
                    "source string too short for \"{}\" formatting field",
                    field.name
                ))
                .detail(format!("Field requires {width} characters, but only {used} remain."))
                .hint(ADVICE));
            }
            if digits > 0 && digits < width {
                return Err(invalid_time(format!("invalid value \"{copy}\" for \"{}\"", field.name))
                    .detail(format!(
                        "Field requires {width} characters, but only {digits} could be parsed."
                    ))
                    .hint(ADVICE));
            }
        }
        if digits == 0 {
            return Err(invalid_time(format!("invalid value \"{copy}\" for \"{}\"", field.name))
                .detail("Value must be an integer."));
        }
        let value = self.rest[..digits].parse::<i32>().map_err(|_| {
            SqlError::new(
                SqlState::DATETIME_FIELD_OVERFLOW,
                format!("value for \"{}\" in source string is out of range", field.name),
            )
            .detail(format!("Value must be in the range {} to {}.", i32::MIN, i32::MAX))
        })?;
        self.rest = &self.rest[digits..];
        Ok((value, start.len() - self.rest.len()))
    }

    /// One of a list of words, in any case: its position.
    fn word(&mut self, words: &[&str], field: &Field) -> SqlResult<usize> {
        let found = words.iter().position(|word| {
            self.rest
                .get(..word.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(word))
        });
        match found {
            Some(position) => {
                self.rest = &self.rest[words[position].len()..];
                Ok(position)
            }
            None => {
                let shown = self.rest.split(is_space).next().unwrap_or_default();
                Err(
                    invalid_time(format!("invalid value \"{shown}\" for \"{}\"", field.name))
                        .detail("The given value did not match any of the allowed values for this field."),
                )
            }
        }
    }

    /// The last character that was passed.
    fn previous(&self) -> Option<char> {
        self.text[..self.text.len() - self.rest.len()].chars().next_back()
    }
}

/// Bytes of a leading integer with sign.
fn leading_integer(text: &str) -> usize {
    let sign = usize::from(text.starts_with(['+', '-']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 { 0 } else { sign + digits }
}

fn read(text: &str, template: &str) -> SqlResult<Reading> {
    let parts = parse(template);
    let mut found = Read::default();
    let mut scanner = Scanner {
        text,
        rest: text,
        parts: &parts,
    };
    let mut is_fixed = false;
    // Characters skipped beyond what the template has.
    let mut extra = 0i32;
    for (index, part) in parts.iter().enumerate() {
        if scanner.rest.is_empty() {
            break;
        }
        let is_field = matches!(part, Part::Field(_));
        let is_fixed_mode = matches!(
            part,
            Part::Field(Field {
                key: Key::FixedMode,
                ..
            })
        );
        if !is_fixed && !is_fixed_mode && (is_field || index == 0) {
            extra += scanner.skip_spaces();
        }
        match part {
            Part::Space(_) | Part::Separator(_) => {
                if is_fixed {
                    // One character, whatever it is.
                    scanner.skip_character();
                } else {
                    extra -= 1;
                    if scanner.rest.starts_with(|c: char| is_space(c) || is_separator(c)) {
                        scanner.skip_character();
                        extra += 1;
                    }
                }
            }
            Part::Text(_) => {
                // What was skipped before may have stood for this character.
                if !is_fixed && extra > 0 {
                    extra -= 1;
                } else {
                    scanner.skip_character();
                }
            }
            Part::Field(field) => {
                if field.key == Key::FixedMode {
                    is_fixed = true;
                } else {
                    found.use_calendar(field.calendar())?;
                    found.read_field(&mut scanner, index, field, extra)?;
                }
                if !is_fixed {
                    extra = scanner.skip_spaces();
                }
            }
        }
    }
    found.finish(text)
}

/// Years of fewer than four digits are those nearest to 2020.
fn near_2020(year: i32) -> i32 {
    match year {
        0..70 => year + 2000,
        70..100 => year + 1900,
        100..520 => year + 2000,
        520..1000 => year + 1000,
        _ if year < 0 => year + 2000,
        _ => year,
    }
}

impl Read {
    fn use_calendar(&mut self, wanted: Calendar) -> SqlResult<()> {
        if wanted == Calendar::Either {
            return Ok(());
        }
        if *self.calendar.get_or_insert(wanted) != wanted {
            return Err(invalid_time("invalid combination of date conventions")
                .hint("Do not mix Gregorian and ISO week date conventions in a formatting template."));
        }
        Ok(())
    }

    fn read_field(&mut self, scanner: &mut Scanner<'_>, index: usize, field: &Field, extra: i32) -> SqlResult<()> {
        let width = field.width();
        match field.key {
            Key::FixedMode => {}
            Key::Meridiem { points, .. } => {
                let words = if points { ["a.m.", "p.m."] } else { ["am", "pm"] };
                let value = scanner.word(&words, field)? as i32;
                set(&mut self.afternoon, value, field)?;
                self.is_12_hour = true;
            }
            Key::Era { points, .. } => {
                let words = if points { ["a.d.", "b.c."] } else { ["ad", "bc"] };
                let value = scanner.word(&words, field)? as i32;
                set(&mut self.before_christ, value, field)?;
            }
            Key::Hour12 => {
                set(&mut self.hour, scanner.integer(index, field, width)?.0, field)?;
                self.is_12_hour = true;
            }
            Key::Hour24 => set(&mut self.hour, scanner.integer(index, field, width)?.0, field)?,
            Key::Minute => set(&mut self.minute, scanner.integer(index, field, width)?.0, field)?,
            Key::Second => set(&mut self.second, scanner.integer(index, field, width)?.0, field)?,
            Key::Millisecond => {
                let (value, used) = scanner.integer(index, field, 3)?;
                // 25 is 0.25 and 250 is too; 025 is 0.025.
                set(
                    &mut self.millis,
                    value * 10i32.pow(3usize.saturating_sub(used) as u32),
                    field,
                )?;
            }
            Key::Microsecond | Key::Fraction(_) => {
                let width = match field.key {
                    Key::Fraction(digits) => {
                        self.fraction_digits = Some(digits);
                        usize::from(digits)
                    }
                    _ => 6,
                };
                let (value, used) = scanner.integer(index, field, width)?;
                let scale = 10i32.pow(6usize.saturating_sub(used) as u32);
                set(&mut self.micros, value.saturating_mul(scale), field)?;
            }
            Key::SecondsOfDay => set(&mut self.seconds_of_day, scanner.integer(index, field, width)?.0, field)?,
            Key::Zone { .. } | Key::Offset => {
                return Err(SqlError::new(
                    SqlState::FEATURE_NOT_SUPPORTED,
                    format!("formatting field \"{}\" is only supported in to_char", field.name),
                ));
            }
            Key::ZoneHour => {
                if scanner.rest.starts_with(['+', '-', ' ']) {
                    self.zone_sign = if scanner.rest.starts_with('-') { -1 } else { 1 };
                    scanner.skip_character();
                } else {
                    // The sign may have been taken for a separator.
                    self.zone_sign = if extra > 0 && scanner.previous() == Some('-') {
                        -1
                    } else {
                        1
                    };
                }
                set(&mut self.zone_hour, scanner.integer(index, field, 2)?.0, field)?;
            }
            Key::ZoneMinute => {
                if self.zone_sign == 0 {
                    self.zone_sign = 1;
                }
                set(&mut self.zone_minute, scanner.integer(index, field, 2)?.0, field)?;
            }
            Key::MonthName { short, .. } => {
                let value = if short {
                    scanner.word(&MONTHS.map(|name| &name[..3]), field)?
                } else {
                    scanner.word(&MONTHS, field)?
                };
                set(&mut self.month, value as i32 + 1, field)?;
            }
            Key::Month => set(&mut self.month, scanner.integer(index, field, width)?.0, field)?,
            Key::DayName { short, .. } => {
                let value = if short {
                    scanner.word(&DAYS.map(|name| &name[..3]), field)?
                } else {
                    scanner.word(&DAYS, field)?
                };
                set(&mut self.week_day, value as i32, field)?;
                self.week_day += 1;
            }
            Key::DayOfYear => set(&mut self.year_day, scanner.integer(index, field, width)?.0, field)?,
            Key::IsoDayOfYear => set(&mut self.year_day, scanner.integer(index, field, 3)?.0, field)?,
            Key::Day => set(&mut self.day, scanner.integer(index, field, width)?.0, field)?,
            Key::DayOfWeek => set(&mut self.week_day, scanner.integer(index, field, width)?.0, field)?,
            Key::IsoDayOfWeek => {
                set(&mut self.week_day, scanner.integer(index, field, 1)?.0, field)?;
                self.week_day += 1;
                if self.week_day > 7 {
                    self.week_day = 1;
                }
            }
            Key::WeekOfYear | Key::IsoWeek => set(&mut self.week, scanner.integer(index, field, width)?.0, field)?,
            // A quarter says too little to make a date of.
            Key::Quarter => {
                scanner.integer(index, field, width)?;
            }
            Key::Century => set(&mut self.century, scanner.integer(index, field, width)?.0, field)?,
            Key::YearWithComma => {
                let year = year_with_comma(&mut scanner.rest)
                    .ok_or_else(|| invalid_time("invalid input string for \"Y,YYY\""))?;
                set(&mut self.year, year, field)?;
                self.year_digits = 4;
            }
            Key::Year(digits) | Key::IsoYear(digits) => {
                let (value, used) = scanner.integer(index, field, width)?;
                let value = if digits < 4 && used < 4 {
                    near_2020(value)
                } else {
                    value
                };
                set(&mut self.year, value, field)?;
                self.year_digits = digits;
            }
            Key::Roman { .. } => {
                const NUMERALS: [&str; 12] = ["xii", "xi", "x", "ix", "viii", "vii", "vi", "v", "iv", "iii", "ii", "i"];
                let value = 12 - scanner.word(&NUMERALS, field)? as i32;
                set(&mut self.month, value, field)?;
            }
            Key::WeekOfMonth => set(&mut self.week_of_month, scanner.integer(index, field, width)?.0, field)?,
            Key::Julian => set(&mut self.julian, scanner.integer(index, field, width)?.0, field)?,
        }
        if field.ordinal.is_some() {
            // Any two characters stand for the ending.
            for _ in 0..2 {
                scanner.skip_character();
            }
        }
        Ok(())
    }

    fn finish(mut self, text: &str) -> SqlResult<Reading> {
        let mut fields = Fields {
            month: 1,
            day: 1,
            ..Fields::default()
        };
        self.set_time(&mut fields)?;
        let (mut has_year, mut has_month, mut has_day) = (self.set_year(&mut fields), false, false);
        if self.julian != 0 {
            (fields.year, fields.month, fields.day) = calendar::j2date(self.julian);
            (has_year, has_month, has_day) = (true, true, true);
        }
        let is_iso = self.calendar == Some(Calendar::IsoWeek);
        if self.week != 0 {
            if is_iso {
                let monday = calendar::iso_week_julian(fields.year, self.week);
                // Sunday is the last day of the week here.
                let offset = match self.week_day {
                    0 => 0,
                    1 => 6,
                    day => day - 2,
                };
                (fields.year, fields.month, fields.day) = calendar::j2date(monday.wrapping_add(offset));
                (has_year, has_month, has_day) = (true, true, true);
            } else {
                self.year_day = (self.week - 1).wrapping_mul(7).wrapping_add(1);
            }
        }
        if self.week_of_month != 0 {
            self.day = (self.week_of_month - 1).wrapping_mul(7).wrapping_add(1);
        }
        if self.day != 0 {
            fields.day = self.day;
            has_day = true;
        }
        if self.month != 0 {
            fields.month = self.month;
            has_month = true;
        }
        if self.year_day != 0 && (fields.month <= 1 || fields.day <= 1) {
            if fields.year == 0 && self.before_christ == 0 {
                return Err(invalid_time("cannot calculate day of year without year information"));
            }
            if is_iso {
                let before = calendar::iso_week_julian(fields.year, 1) - 1;
                (fields.year, fields.month, fields.day) = calendar::j2date(before.wrapping_add(self.year_day));
                has_year = true;
            } else {
                self.set_day_of_year(&mut fields);
            }
            (has_month, has_day) = (true, true);
        }
        let overflow = || Fault::Field.error(text, "timestamp");
        let is_valid = !(has_month && !(1..=12).contains(&fields.month)
            || has_day && !(1..=31).contains(&fields.day)
            || has_year && has_month && has_day && fields.day > days_in_month(fields.year, fields.month));
        let micros = i64::from(self.millis) * 1000 + i64::from(self.micros);
        let is_time = (0..24).contains(&fields.hour)
            && (0..60).contains(&fields.minute)
            && (0..60).contains(&fields.second)
            && (0..1_000_000).contains(&micros);
        if !is_valid || !is_time {
            return Err(overflow());
        }
        fields.micros = micros as i32;
        let mut west = None;
        if self.zone_sign != 0 {
            if !(0..=DISPLACEMENT_HOURS_MAX).contains(&self.zone_hour) || !(0..60).contains(&self.zone_minute) {
                return Err(Fault::Displacement.error(text, "timestamp"));
            }
            west = Some(-self.zone_sign * (self.zone_hour * 3600 + self.zone_minute * 60));
        }
        Ok(Reading {
            fields,
            west,
            fraction_digits: self.fraction_digits,
        })
    }

    fn set_time(&self, fields: &mut Fields) -> SqlResult<()> {
        if self.seconds_of_day != 0 {
            fields.hour = self.seconds_of_day / 3600;
            fields.minute = self.seconds_of_day / 60 % 60;
            fields.second = self.seconds_of_day % 60;
        }
        if self.second != 0 {
            fields.second = self.second;
        }
        if self.minute != 0 {
            fields.minute = self.minute;
        }
        if self.hour != 0 {
            fields.hour = self.hour;
        }
        if self.is_12_hour {
            if !(1..=12).contains(&fields.hour) {
                return Err(
                    invalid_time(format!("hour \"{}\" is invalid for the 12-hour clock", fields.hour))
                        .hint("Use the 24-hour clock, or give an hour between 1 and 12."),
                );
            }
            if self.afternoon != 0 && fields.hour < 12 {
                fields.hour += 12;
            } else if self.afternoon == 0 && fields.hour == 12 {
                fields.hour = 0;
            }
        }
        Ok(())
    }

    /// Puts year, century and era together; whether there is a year.
    fn set_year(&mut self, fields: &mut Fields) -> bool {
        if self.year == 0 && self.century == 0 {
            return false;
        }
        if self.before_christ != 0 {
            self.century = -self.century;
        }
        if self.year == 0 {
            // The first year of the century.
            fields.year = if self.century >= 0 {
                (self.century - 1) * 100 + 1
            } else {
                self.century * 100 + 1
            };
        } else if self.century != 0 && self.year_digits <= 2 {
            fields.year = self.year % 100;
            if fields.year != 0 {
                fields.year = if self.century >= 0 {
                    fields.year + (self.century - 1) * 100
                } else {
                    (self.century + 1) * 100 - fields.year + 1
                };
            } else {
                fields.year = self.century * 100 + i32::from(self.century < 0);
            }
        } else {
            fields.year = if self.before_christ != 0 { -self.year } else { self.year };
            // There is no year zero.
            if fields.year < 0 {
                fields.year += 1;
            }
        }
        true
    }

    fn set_day_of_year(&self, fields: &mut Fields) {
        let lengths = calendar::MONTH_DAYS[usize::from(is_leap(fields.year))];
        let mut day = self.year_day;
        let mut month = 1;
        for length in lengths {
            if day <= length {
                break;
            }
            day -= length;
            month += 1;
        }
        if fields.month <= 1 {
            fields.month = month;
        }
        if fields.day <= 1 {
            fields.day = day;
        }
    }
}

/// `1,999`
fn year_with_comma(rest: &mut &str) -> Option<i32> {
    let text = rest.trim_start_matches(is_space);
    let thousands = leading_integer(text);
    let tail = text[thousands..].strip_prefix(',')?;
    let digits = tail.bytes().take(3).take_while(u8::is_ascii_digit).count();
    let millennia: i32 = text[..thousands].parse().ok()?;
    let years: i32 = tail[..digits].parse().ok()?;
    *rest = &tail[digits..];
    millennia.checked_mul(1000)?.checked_add(years)
}
