//! Templates of `.datetime(template)`: the fields of dates and times that SQL:2016 names.

use storage::Datum;

use super::evaluate::Fault;
use crate::types::calendar;
use crate::{SqlError, SqlState};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;

/// A field and the most digits it takes.
const FIELDS: [(&str, Field, usize); 14] = [
    ("YYYY", Field::Year, 4),
    ("MM", Field::Month, 2),
    ("DD", Field::Day, 2),
    ("HH24", Field::Hour24, 2),
    ("HH12", Field::Hour12, 2),
    ("HH", Field::Hour12, 2),
    ("MI", Field::Minute, 2),
    ("SS", Field::Second, 2),
    ("MS", Field::Millisecond, 3),
    ("US", Field::Microsecond, 6),
    ("TZH", Field::ZoneHour, 2),
    ("TZM", Field::ZoneMinute, 2),
    ("AM", Field::HalfDay, 2),
    ("PM", Field::HalfDay, 2),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Year,
    Month,
    Day,
    Hour24,
    Hour12,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    ZoneHour,
    ZoneMinute,
    HalfDay,
}

#[derive(Default)]
struct Parts {
    year: Option<i32>,
    month: Option<i32>,
    day: Option<i32>,
    hour: Option<i32>,
    minute: Option<i32>,
    second: Option<i32>,
    micros: Option<i64>,
    /// Sign, hours and minutes.
    zone: Option<(i32, i32, i32)>,
    afternoon: Option<bool>,
}

fn mismatch(message: impl Into<String>) -> Fault {
    Fault::soft(SqlState::INVALID_DATETIME_FORMAT, message)
}

/// Reads a date or time by a template; which fields it has decides the type.
pub(super) fn parse(template: &str, text: &str) -> Result<(Datum, i32), Fault> {
    let mut parts = Parts::default();
    let (mut format, mut input) = (template, text);
    while !format.is_empty() {
        let field = FIELDS.iter().find(|(name, ..)| {
            format
                .get(..name.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(name))
        });
        if let Some((name, field, digits)) = field {
            let (written, rest) = format.split_at(name.len());
            format = rest;
            input = read_field(*field, written, *digits, input, &mut parts)?;
        } else if let Some(quoted) = format.strip_prefix('"') {
            let (literal, rest) = quoted.split_once('"').unwrap_or((quoted, ""));
            input = input.get(literal.len()..).unwrap_or("");
            format = rest;
        } else {
            let character = format.chars().next().unwrap_or(' ');
            if character.is_alphanumeric() {
                let message = format!("datetime template \"{template}\" is not supported in jsonpath");
                let error = SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message);
                return Err(Fault::Hard(
                    error.hint("Use the fields YYYY MM DD HH24 HH12 MI SS MS US TZH TZM AM."),
                ));
            }
            format = &format[character.len_utf8()..];
            input = separator(character, input)?;
        }
    }
    if !input.trim_start().is_empty() {
        return Err(mismatch(
            "trailing characters remain in input string after datetime format",
        ));
    }
    let west = parts
        .zone
        .map_or(0, |(sign, hours, minutes)| -sign * (hours * 3600 + minutes * 60));
    assemble(&parts).map(|value| (value, west))
}

fn separator(character: char, input: &str) -> Result<&str, Fault> {
    if character == ' ' {
        return Ok(input.trim_start_matches(' '));
    }
    match input.chars().next() {
        None => Err(mismatch("input string is too short for datetime format")),
        Some(found) if found == character => Ok(&input[found.len_utf8()..]),
        Some(_) => Err(mismatch(format!("unmatched format separator \"{character}\""))),
    }
}

fn read_field<'t>(
    field: Field,
    name: &str,
    digits: usize,
    input: &'t str,
    parts: &mut Parts,
) -> Result<&'t str, Fault> {
    let input = input.trim_start_matches(' ');
    if input.is_empty() {
        return Err(mismatch("input string is too short for datetime format"));
    }
    if field == Field::HalfDay {
        let word = input.get(..2).unwrap_or("").to_ascii_lowercase();
        parts.afternoon = match word.as_str() {
            "am" => Some(false),
            "pm" => Some(true),
            _ => return Err(mismatch(format!("invalid value \"{word}\" for \"{name}\""))),
        };
        return Ok(&input[2..]);
    }
    let (sign, unsigned) = match (field, input.as_bytes()[0]) {
        (Field::ZoneHour, b'+') => (1, &input[1..]),
        (Field::ZoneHour, b'-') => (-1, &input[1..]),
        _ => (1, input),
    };
    let count = unsigned.bytes().take(digits).take_while(u8::is_ascii_digit).count();
    let (text, rest) = unsigned.split_at(count);
    let Ok(value) = text.parse::<i32>() else {
        let shown: String = unsigned.chars().take(digits).collect();
        return Err(
            mismatch(format!("invalid value \"{shown}\" for \"{name}\"")).with_detail("Value must be an integer.")
        );
    };
    match field {
        Field::Year => parts.year = Some(value),
        Field::Month => parts.month = Some(value),
        Field::Day => parts.day = Some(value),
        Field::Hour24 => parts.hour = Some(value),
        Field::Hour12 => {
            parts.hour = Some(value);
            parts.afternoon.get_or_insert(false);
        }
        Field::Minute => parts.minute = Some(value),
        Field::Second => parts.second = Some(value),
        Field::Millisecond | Field::Microsecond => {
            let width = if field == Field::Millisecond { 3 } else { 6 };
            let micros = i64::from(value) * 10_i64.pow((6 - width) as u32 + (width - count) as u32);
            *parts.micros.get_or_insert(0) += micros;
        }
        Field::ZoneHour => parts.zone = Some((sign, value, 0)),
        Field::ZoneMinute => {
            let (sign, hours, _) = parts.zone.unwrap_or((1, 0, 0));
            parts.zone = Some((sign, hours, value));
        }
        Field::HalfDay => {}
    }
    Ok(rest)
}

fn assemble(parts: &Parts) -> Result<Datum, Fault> {
    let out_of_range = || {
        Fault::soft(
            SqlState::DATETIME_FIELD_OVERFLOW,
            "date/time field value out of range in jsonpath datetime template",
        )
    };
    let has_date = parts.year.is_some() || parts.month.is_some() || parts.day.is_some();
    let has_time = parts.hour.is_some() || parts.minute.is_some() || parts.second.is_some() || parts.micros.is_some();
    let days = if has_date {
        let (year, month, day) = (
            parts.year.unwrap_or(1),
            parts.month.unwrap_or(1),
            parts.day.unwrap_or(1),
        );
        let valid = year > 0 && (1..=12).contains(&month) && (1..=calendar::days_in_month(year, month)).contains(&day);
        let days = valid.then(|| calendar::days_of(year, month, day)).flatten();
        i64::from(days.ok_or_else(out_of_range)?)
    } else {
        0
    };
    let mut hour = parts.hour.unwrap_or(0);
    if let (Some(afternoon), true) = (parts.afternoon, hour <= 12) {
        hour = hour % 12 + if afternoon { 12 } else { 0 };
    }
    let (minute, second) = (parts.minute.unwrap_or(0), parts.second.unwrap_or(0));
    if hour > 23 || minute > 59 || second > 59 {
        return Err(out_of_range());
    }
    let time = i64::from(hour * 3600 + minute * 60 + second) * MICROS_PER_SECOND + parts.micros.unwrap_or(0);
    let west = parts
        .zone
        .map(|(sign, hours, minutes)| -sign * (hours * 3600 + minutes * 60));
    match (has_date, has_time, west) {
        (true, false, None) => Ok(Datum::Date(days as i32)),
        (true, _, None) => Ok(Datum::Timestamp(days * MICROS_PER_DAY + time)),
        (true, _, Some(west)) => Ok(Datum::TimestampTz(
            days * MICROS_PER_DAY + time + i64::from(west) * MICROS_PER_SECOND,
        )),
        (false, true, None) => Ok(Datum::Time(time)),
        (false, true, Some(west)) => Ok(Datum::TimeTz(time, west)),
        (false, false, _) => Err(mismatch("datetime format is not dated and not timed")),
    }
}
