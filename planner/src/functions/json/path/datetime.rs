//! `.datetime()`: strings as dates and times, their names, comparison and JSON form.

use std::cmp::Ordering;

use storage::{Datum, Jsonb};

use super::evaluate::{Evaluator, Fault, Found, Outcome};
use super::item::Item;
use super::syntax::Step;
use crate::functions::json::encode;
use crate::types::calendar;
use crate::types::datetime::timestamp_to_moment;
use crate::{SqlError, SqlState};

const MICROS_PER_SECOND: i64 = 1_000_000;
const MICROS_PER_DAY: i64 = 86_400 * MICROS_PER_SECOND;
/// 22031
const INVALID_ARGUMENT: SqlState = SqlState("22031");

impl<'a> Evaluator<'a> {
    pub(super) fn datetime(
        &mut self,
        template: Option<&str>,
        rest: &[Step],
        item: &Item<'a>,
        found: Found<'_, 'a>,
    ) -> Outcome {
        let Some(text) = item.as_str() else {
            let message = "jsonpath item method .datetime() can only be applied to a string";
            return Err(Fault::soft(INVALID_ARGUMENT, message));
        };
        let (value, west) = match template {
            Some(template) => super::template::parse(template, text)?,
            None => recognize(text).ok_or_else(|| {
                let message = format!("datetime format is not recognized: \"{text}\"");
                let hint = "Use a datetime template argument to specify the input data format.";
                Fault::Soft(SqlError::new(INVALID_ARGUMENT, message).hint(hint))
            })?,
        };
        self.next(rest, Item::DateTime(value, west), found)
    }
}

/// What `.type()` says.
pub(super) fn type_name(item: &Item<'_>) -> &'static str {
    let Item::DateTime(value, _) = item else {
        return "unknown";
    };
    match value {
        Datum::Date(_) => "date",
        Datum::Time(_) => "time without time zone",
        Datum::TimeTz(..) => "time with time zone",
        Datum::Timestamp(_) => "timestamp without time zone",
        _ => "timestamp with time zone",
    }
}

/// Name in messages about conversions.
fn short_name(value: &Datum) -> &'static str {
    match value {
        Datum::Date(_) => "date",
        Datum::Time(_) => "time",
        Datum::TimeTz(..) => "timetz",
        Datum::Timestamp(_) => "timestamp",
        _ => "timestamptz",
    }
}

/// A date or time as JSON; a timestamptz in the zone it was written in.
pub(super) fn to_jsonb(evaluator: &Evaluator<'_>, value: &Datum, west: i32) -> Jsonb {
    let style = evaluator.session.style();
    let mut text = match value {
        Datum::TimestampTz(micros) => {
            encode::iso(&Datum::Timestamp(micros - i64::from(west) * MICROS_PER_SECOND), &style)
        }
        other => encode::iso(other, &style),
    };
    match value {
        Datum::TimeTz(_, west) if west % 3600 == 0 => text.push_str(":00"),
        Datum::TimestampTz(_) => {
            let (sign, offset) = (if west > 0 { '-' } else { '+' }, west.abs());
            text.push_str(&format!("{sign}{:02}:{:02}", offset / 3600, offset / 60 % 60));
        }
        _ => {}
    }
    Jsonb::string(&text)
}

/// Order of two dates or times; `None` where the types do not compare.
///
/// # Errors
/// 0A000 where the session's time zone would be needed and may not be used.
pub(super) fn compare(evaluator: &Evaluator<'_>, left: &Item<'_>, right: &Item<'_>) -> Result<Option<Ordering>, Fault> {
    let (Item::DateTime(a, _), Item::DateTime(b, _)) = (left, right) else {
        return Ok(None);
    };
    use Datum::{Date, Time, TimeTz, Timestamp, TimestampTz};
    let needs_zone = matches!(
        (a, b),
        (Date(_) | Timestamp(_), TimestampTz(_))
            | (TimestampTz(_), Date(_) | Timestamp(_))
            | (Time(_), TimeTz(..))
            | (TimeTz(..), Time(_))
    );
    if needs_zone && !evaluator.use_zone {
        // PostgreSQL names the conversion from the type without a zone to the one with it.
        let (from, to) = if matches!(a, TimeTz(..) | TimestampTz(_)) {
            (b, a)
        } else {
            (a, b)
        };
        let (from, to) = (short_name(from), short_name(to));
        let message = format!("cannot convert value from {from} to {to} without time zone usage");
        let error = SqlError::new(SqlState::FEATURE_NOT_SUPPORTED, message);
        return Err(Fault::Hard(error.hint("Use *_tz() function for time zone support.")));
    }
    let zone = &evaluator.session.style().zone;
    let local = |value: &Datum| match value {
        Date(days) => Some(i64::from(*days) * MICROS_PER_DAY),
        Timestamp(micros) => Some(*micros),
        _ => None,
    };
    let moment = |value: &Datum| match value {
        TimestampTz(micros) => Some(*micros),
        other => local(other).and_then(|micros| timestamp_to_moment(micros, zone)),
    };
    Ok(match (a, b) {
        (Date(_) | Timestamp(_), Date(_) | Timestamp(_)) => Some(local(a).cmp(&local(b))),
        (Date(_) | Timestamp(_) | TimestampTz(_), Date(_) | Timestamp(_) | TimestampTz(_)) => {
            Some(moment(a).cmp(&moment(b)))
        }
        (Time(a), Time(b)) => Some(a.cmp(b)),
        (Time(micros), TimeTz(..)) => Some(Datum::TimeTz(*micros, current_offset(evaluator)).compare(b)),
        (TimeTz(..), Time(micros)) => Some(a.compare(&Datum::TimeTz(*micros, current_offset(evaluator)))),
        (TimeTz(..), TimeTz(..)) => Some(a.compare(b)),
        _ => None,
    })
}

/// Seconds west of UTC at the transaction's start, which a time without a zone is taken in.
fn current_offset(evaluator: &Evaluator<'_>) -> i32 {
    let now = evaluator.session.transaction_timestamp();
    crate::types::datetime::local_fields(now, &evaluator.session.style().zone).1
}

/// The ISO forms that `.datetime()` knows without a template.
fn recognize(text: &str) -> Option<(Datum, i32)> {
    let mut scanner = Scanner { rest: text.as_bytes() };
    let date = scanner.date();
    if date.is_some() && scanner.rest.is_empty() {
        return date.map(|days| (Datum::Date(days), 0));
    }
    if date.is_some() && !scanner.eat(b"T") && !scanner.spaces() {
        return None;
    }
    if date.is_none() {
        scanner.rest = text.as_bytes();
    }
    let micros = scanner.time()?;
    let west = scanner.zone()?;
    if !scanner.rest.is_empty() {
        return None;
    }
    let value = match (date, west) {
        (None, None) => Datum::Time(micros),
        (None, Some(west)) => Datum::TimeTz(micros, west),
        (Some(days), None) => Datum::Timestamp(i64::from(days) * MICROS_PER_DAY + micros),
        (Some(days), Some(west)) => {
            Datum::TimestampTz(i64::from(days) * MICROS_PER_DAY + micros + i64::from(west) * MICROS_PER_SECOND)
        }
    };
    Some((value, west.unwrap_or(0)))
}

struct Scanner<'t> {
    rest: &'t [u8],
}

impl Scanner<'_> {
    fn eat(&mut self, expected: &[u8]) -> bool {
        match self.rest.strip_prefix(expected) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn spaces(&mut self) -> bool {
        let count = self.rest.iter().take_while(|byte| **byte == b' ').count();
        self.rest = &self.rest[count..];
        count > 0
    }

    /// One to `max` digits.
    fn number(&mut self, max: usize) -> Option<i32> {
        let count = self
            .rest
            .iter()
            .take(max)
            .take_while(|byte| byte.is_ascii_digit())
            .count();
        let (digits, rest) = self.rest.split_at(count);
        self.rest = rest;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }

    fn date(&mut self) -> Option<i32> {
        let year = self.number(4)?;
        let month = self.eat(b"-").then(|| self.number(2))??;
        let day = self.eat(b"-").then(|| self.number(2))??;
        let valid = year > 0 && (1..=12).contains(&month) && (1..=calendar::days_in_month(year, month)).contains(&day);
        valid.then(|| calendar::days_of(year, month, day)).flatten()
    }

    fn time(&mut self) -> Option<i64> {
        let hour = self.number(2)?;
        let minute = self.eat(b":").then(|| self.number(2))??;
        let second = self.eat(b":").then(|| self.number(2))??;
        let mut micros = 0;
        if self.eat(b".") {
            let before = self.rest.len();
            let fraction = self.number(6)?;
            micros = i64::from(fraction) * 10_i64.pow(6 - (before - self.rest.len()) as u32);
        }
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        Some(i64::from(hour * 3600 + minute * 60 + second) * MICROS_PER_SECOND + micros)
    }

    /// Seconds west of UTC; `None` inside if there is no zone, `None` outside if it is malformed.
    fn zone(&mut self) -> Option<Option<i32>> {
        self.spaces();
        let sign = match self.rest.first() {
            None => return Some(None),
            Some(b'+') => -1,
            Some(b'-') => 1,
            Some(_) => return None,
        };
        self.rest = &self.rest[1..];
        let hours = self.number(2)?;
        let minutes = if self.eat(b":") { self.number(2)? } else { 0 };
        (hours <= 15 && minutes <= 59).then_some(Some(sign * (hours * 3600 + minutes * 60)))
    }
}
