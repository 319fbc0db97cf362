//! Intervals from text: PostgreSQL's units, SQL's `1-2 3 4:05`, and ISO 8601's `P1Y2M3DT4H5M6S`.

use storage::Interval;

use super::Fault;
use super::interval::FULL_RANGE;
use super::number::{decode_time_parts, integer, small_integer};
use super::scan::{Field, FieldKind, scan};
use super::token::{IntervalWord, Unit, interval_word, mask};
use crate::types::calendar::{MICROS_PER_DAY, MICROS_PER_HOUR, MICROS_PER_MINUTE, MICROS_PER_SECOND};
use crate::types::style::{IntervalFormat, Style};

/// Reads an interval; `range` says what a bare number is.
pub fn parse(text: &str, style: &Style, range: u32) -> Result<Interval, Fault> {
    let is_sql = style.interval_format == IntervalFormat::SqlStandard;
    match scan(text).and_then(|fields| decode(&fields, is_sql, range)) {
        Err(Fault::Format) => iso8601(text),
        other => other,
    }
    .and_then(|sum| sum.finish())
}

/// An interval under construction; years and months are added up apart, each in its own range.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    years: i32,
    months: i32,
    days: i32,
    micros: i64,
}

impl Sum {
    fn finish(self) -> Result<Interval, Fault> {
        let months = i64::from(self.years) * 12 + i64::from(self.months);
        let months = i32::try_from(months).map_err(|_| Fault::Range)?;
        Ok(Interval {
            months,
            days: self.days,
            micros: self.micros,
        })
    }

    fn add_micros(&mut self, value: i64, fraction: f64, scale: i64) -> Result<(), Fault> {
        let whole = value.checked_mul(scale).ok_or(Fault::Field)?;
        self.micros = self.micros.checked_add(whole).ok_or(Fault::Field)?;
        self.add_fraction_micros(fraction, scale)
    }

    fn add_fraction_micros(&mut self, fraction: f64, scale: i64) -> Result<(), Fault> {
        if fraction == 0.0 {
            return Ok(());
        }
        let exact = fraction * scale as f64;
        // Cut first, then round half away: the original does it in these two steps.
        let whole = exact as i64;
        let rest = exact - whole as f64;
        let carry = if rest > 0.5 {
            1
        } else if rest < -0.5 {
            -1
        } else {
            0
        };
        self.micros = self.micros.checked_add(whole + carry).ok_or(Fault::Field)?;
        Ok(())
    }

    fn add_days(&mut self, value: i64, scale: i32) -> Result<(), Fault> {
        let days = small(value)?.checked_mul(scale).ok_or(Fault::Field)?;
        self.days = self.days.checked_add(days).ok_or(Fault::Field)?;
        Ok(())
    }

    /// Adds a fraction of `scale` days; what is left of a day goes to the time.
    fn add_fraction_days(&mut self, fraction: f64, scale: i32) -> Result<(), Fault> {
        if fraction == 0.0 {
            return Ok(());
        }
        let exact = fraction * f64::from(scale);
        let whole = exact as i32;
        self.days = self.days.checked_add(whole).ok_or(Fault::Field)?;
        self.add_fraction_micros(exact - f64::from(whole), MICROS_PER_DAY)
    }

    fn add_months(&mut self, value: i64) -> Result<(), Fault> {
        self.months = self.months.checked_add(small(value)?).ok_or(Fault::Field)?;
        Ok(())
    }

    fn add_years(&mut self, value: i64, scale: i32) -> Result<(), Fault> {
        let years = small(value)?.checked_mul(scale).ok_or(Fault::Field)?;
        self.years = self.years.checked_add(years).ok_or(Fault::Field)?;
        Ok(())
    }

    /// Adds a fraction of `scale` years, in whole months.
    fn add_fraction_years(&mut self, fraction: f64, scale: i32) -> Result<(), Fault> {
        let months = (fraction * f64::from(scale) * 12.0).round_ties_even() as i32;
        self.months = self.months.checked_add(months).ok_or(Fault::Field)?;
        Ok(())
    }

    fn negate(&mut self) -> Result<(), Fault> {
        self.micros = self.micros.checked_neg().ok_or(Fault::Field)?;
        self.days = self.days.checked_neg().ok_or(Fault::Field)?;
        self.months = self.months.checked_neg().ok_or(Fault::Field)?;
        self.years = self.years.checked_neg().ok_or(Fault::Field)?;
        Ok(())
    }
}

fn small(value: i64) -> Result<i32, Fault> {
    i32::try_from(value).map_err(|_| Fault::Field)
}

/// Reads fields from right to left, so that units come before their numbers (`DecodeInterval`).
fn decode(fields: &[Field], is_sql: bool, range: u32) -> Result<Sum, Fault> {
    // The SQL standard's '-1 1:00:00' is negative as a whole, unless another field has a sign of its own.
    let force_negative = is_sql
        && fields.first().is_some_and(|first| first.text.starts_with('-'))
        && !fields[1..].iter().any(|field| field.text.starts_with(['-', '+']));
    let mut sum = Sum::default();
    let mut seen = 0;
    let mut unit: Option<Unit> = None;
    let mut is_before = false;
    for field in fields.iter().rev() {
        let text = field.text.as_str();
        let set = match field.kind {
            FieldKind::Time => {
                add_time(&mut sum, text, range, force_negative)?;
                unit = Some(Unit::Day);
                mask::TIME
            }
            FieldKind::Zone if text[1..].contains(':') => {
                let mut time = Sum::default();
                add_time(&mut time, &text[1..], range, false)?;
                if text.starts_with('-') || force_negative {
                    time.negate()?;
                }
                sum.micros = sum.micros.checked_add(time.micros).ok_or(Fault::Field)?;
                unit = Some(Unit::Day);
                mask::TIME
            }
            FieldKind::Zone | FieldKind::Date | FieldKind::Number => {
                add_number(&mut sum, text, &mut unit, range, force_negative)?
            }
            FieldKind::Word | FieldKind::Special => match interval_word(text) {
                Some(IntervalWord::Ignored) => continue,
                Some(IntervalWord::Unit(named)) => {
                    unit = Some(named);
                    0
                }
                Some(IntervalWord::Ago) => {
                    is_before = true;
                    unit = None;
                    0
                }
                None => return Err(Fault::Format),
            },
        };
        if set & seen != 0 {
            return Err(Fault::Format);
        }
        seen |= set;
    }
    if seen == 0 {
        return Err(Fault::Format);
    }
    if is_before {
        sum.negate()?;
    }
    Ok(sum)
}

fn add_time(sum: &mut Sum, text: &str, range: u32, force_negative: bool) -> Result<(), Fault> {
    let (hour, minute, second, micros) = decode_time_parts(text, range == mask::MINUTE | mask::SECOND)?;
    let rest = (i64::from(minute) * 60 + i64::from(second)) * MICROS_PER_SECOND + i64::from(micros);
    let time = hour
        .checked_mul(MICROS_PER_HOUR)
        .and_then(|hours| hours.checked_add(rest))
        .ok_or(Fault::Field)?;
    let time = if force_negative && time > 0 { -time } else { time };
    sum.micros = sum.micros.checked_add(time).ok_or(Fault::Field)?;
    Ok(())
}

/// The unit of the rightmost number, if nothing names one: the smallest field of the modifier.
fn default_unit(range: u32) -> Unit {
    if range == FULL_RANGE || range & mask::SECOND != 0 {
        Unit::Second
    } else if range & mask::MINUTE != 0 {
        Unit::Minute
    } else if range & mask::HOUR != 0 {
        Unit::Hour
    } else if range & mask::DAY != 0 {
        Unit::Day
    } else if range & mask::MONTH != 0 {
        Unit::Month
    } else {
        Unit::Year
    }
}

/// A number in the unit that stands right of it, or SQL's years-months.
fn add_number(
    sum: &mut Sum,
    text: &str,
    unit: &mut Option<Unit>,
    range: u32,
    force_negative: bool,
) -> Result<u32, Fault> {
    let mut named = unit.unwrap_or_else(|| default_unit(range));
    let is_negative = text.starts_with('-');
    let (mut value, rest) = integer(text)?;
    let mut fraction = 0.0;
    if let Some(months) = rest.strip_prefix('-') {
        let (months, rest) = small_integer(months)?;
        if !(0..12).contains(&months) {
            return Err(Fault::Field);
        }
        if !rest.is_empty() {
            return Err(Fault::Format);
        }
        named = Unit::Month;
        let months = i64::from(if is_negative { -months } else { months });
        value = value
            .checked_mul(12)
            .and_then(|value| value.checked_add(months))
            .ok_or(Fault::Field)?;
    } else if rest.starts_with('.') {
        fraction = fraction_of(rest)?;
        if is_negative {
            fraction = -fraction;
        }
    } else if !rest.is_empty() {
        return Err(Fault::Format);
    }
    if force_negative {
        value = value.checked_abs().ok_or(Fault::Field)?.wrapping_neg();
        fraction = -f64::abs(fraction);
    }
    *unit = Some(named);
    Ok(match named {
        Unit::Microsecond => {
            sum.add_micros(value, fraction, 1)?;
            mask::MICROSECOND
        }
        Unit::Millisecond => {
            sum.add_micros(value, fraction, 1000)?;
            mask::MILLISECOND
        }
        Unit::Second => {
            sum.add_micros(value, fraction, MICROS_PER_SECOND)?;
            // Digits after the point stand for milliseconds and microseconds too.
            if fraction == 0.0 {
                mask::SECOND
            } else {
                mask::ALL_SECONDS
            }
        }
        Unit::Minute => {
            sum.add_micros(value, fraction, MICROS_PER_MINUTE)?;
            mask::MINUTE
        }
        Unit::Hour => {
            sum.add_micros(value, fraction, MICROS_PER_HOUR)?;
            *unit = Some(Unit::Day);
            mask::HOUR
        }
        Unit::Day => {
            sum.add_days(value, 1)?;
            sum.add_fraction_micros(fraction, MICROS_PER_DAY)?;
            mask::DAY
        }
        Unit::Week => {
            sum.add_days(value, 7)?;
            sum.add_fraction_days(fraction, 7)?;
            mask::WEEK
        }
        Unit::Month => {
            sum.add_months(value)?;
            sum.add_fraction_days(fraction, 30)?;
            mask::MONTH
        }
        Unit::Year => add_years(sum, value, fraction, 1, mask::YEAR)?,
        Unit::Decade => add_years(sum, value, fraction, 10, mask::DECADE)?,
        Unit::Century => add_years(sum, value, fraction, 100, mask::CENTURY)?,
        Unit::Millennium => add_years(sum, value, fraction, 1000, mask::MILLENNIUM)?,
        _ => return Err(Fault::Format),
    })
}

fn add_years(sum: &mut Sum, value: i64, fraction: f64, scale: i32, set: u32) -> Result<u32, Fault> {
    sum.add_years(value, scale)?;
    sum.add_fraction_years(fraction, scale)?;
    Ok(set)
}

fn fraction_of(text: &str) -> Result<f64, Fault> {
    if text.len() == 1 {
        return Ok(0.0);
    }
    if !text[1..].bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Format);
    }
    text.parse().map_err(|_| Fault::Format)
}

/// ISO 8601 4.4.3.2 with designators, and the alternative formats of 4.4.3.3 (`DecodeISO8601Interval`).
fn iso8601(text: &str) -> Result<Sum, Fault> {
    let mut rest = text
        .strip_prefix('P')
        .filter(|rest| !rest.is_empty())
        .ok_or(Fault::Format)?;
    let mut sum = Sum::default();
    let mut in_date = true;
    let mut has_field = false;
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('T') {
            (in_date, has_field, rest) = (false, false, tail);
            continue;
        }
        let start = rest;
        let (value, fraction, tail) = iso_number(rest)?;
        let mut chars = tail.chars();
        let designator = chars.next();
        rest = chars.as_str();
        if in_date {
            match designator {
                Some('Y') => {
                    add_years(&mut sum, value, fraction, 1, 0)?;
                }
                Some('M') => {
                    sum.add_months(value)?;
                    sum.add_fraction_days(fraction, 30)?;
                }
                Some('W') => {
                    sum.add_days(value, 7)?;
                    sum.add_fraction_days(fraction, 7)?;
                }
                Some('D') => {
                    sum.add_days(value, 1)?;
                    sum.add_fraction_micros(fraction, MICROS_PER_DAY)?;
                }
                Some('T') | None if integer_width(start) == 8 && !has_field => {
                    sum.add_years(value / 10_000, 1)?;
                    sum.add_months(value / 100 % 100)?;
                    sum.add_days(value % 100, 1)?;
                    sum.add_fraction_micros(fraction, MICROS_PER_DAY)?;
                    (in_date, has_field) = (false, false);
                    continue;
                }
                Some('T' | '-') | None => {
                    if has_field {
                        return Err(Fault::Format);
                    }
                    add_years(&mut sum, value, fraction, 1, 0)?;
                    if designator == Some('-') {
                        rest = iso_extended_date(&mut sum, rest)?;
                    }
                    (in_date, has_field) = (false, false);
                    continue;
                }
                Some(_) => return Err(Fault::Format),
            }
        } else {
            match designator {
                Some('H') => sum.add_micros(value, fraction, MICROS_PER_HOUR)?,
                Some('M') => sum.add_micros(value, fraction, MICROS_PER_MINUTE)?,
                Some('S') => sum.add_micros(value, fraction, MICROS_PER_SECOND)?,
                None if integer_width(start) == 6 && !has_field => {
                    sum.add_micros(value / 10_000, 0.0, MICROS_PER_HOUR)?;
                    sum.add_micros(value / 100 % 100, 0.0, MICROS_PER_MINUTE)?;
                    sum.add_micros(value % 100, fraction, MICROS_PER_SECOND)?;
                    return Ok(sum);
                }
                Some(':') | None => {
                    if has_field {
                        return Err(Fault::Format);
                    }
                    sum.add_micros(value, fraction, MICROS_PER_HOUR)?;
                    if designator.is_some() {
                        iso_extended_time(&mut sum, rest)?;
                    }
                    return Ok(sum);
                }
                Some(_) => return Err(Fault::Format),
            }
        }
        has_field = true;
    }
    Ok(sum)
}

/// `…-MM-DD`, after the year and its hyphen. Returns what follows the date and its `T`.
fn iso_extended_date<'a>(sum: &mut Sum, text: &'a str) -> Result<&'a str, Fault> {
    let (value, fraction, rest) = iso_number(text)?;
    sum.add_months(value)?;
    sum.add_fraction_days(fraction, 30)?;
    if rest.is_empty() {
        return Ok(rest);
    }
    if let Some(rest) = rest.strip_prefix('T') {
        return Ok(rest);
    }
    let (value, fraction, rest) = iso_number(rest.strip_prefix('-').ok_or(Fault::Format)?)?;
    sum.add_days(value, 1)?;
    sum.add_fraction_micros(fraction, MICROS_PER_DAY)?;
    if rest.is_empty() {
        Ok(rest)
    } else {
        rest.strip_prefix('T').ok_or(Fault::Format)
    }
}

/// `…:MM:SS`, after the hour and its colon.
fn iso_extended_time(sum: &mut Sum, text: &str) -> Result<(), Fault> {
    let (value, fraction, rest) = iso_number(text)?;
    sum.add_micros(value, fraction, MICROS_PER_MINUTE)?;
    if rest.is_empty() {
        return Ok(());
    }
    let (value, fraction, rest) = iso_number(rest.strip_prefix(':').ok_or(Fault::Format)?)?;
    sum.add_micros(value, fraction, MICROS_PER_SECOND)?;
    if rest.is_empty() { Ok(()) } else { Err(Fault::Format) }
}

/// Largest number a field of ISO 8601 may hold.
const ISO_NUMBER_MAX: f64 = 1.0e15;

/// A number with its fraction and what follows it. It is read as a double whole, exponent included.
fn iso_number(text: &str) -> Result<(i64, f64, &str), Fault> {
    let sign = usize::from(text.starts_with('-'));
    let digits_from = |at: usize| text[at..].bytes().take_while(u8::is_ascii_digit).count();
    let whole = digits_from(sign);
    let mut size = sign + whole;
    let mut digits = whole;
    if text[size..].starts_with('.') {
        let fraction = digits_from(size + 1);
        digits += fraction;
        size += 1 + fraction;
    }
    if digits == 0 {
        return Err(Fault::Format);
    }
    if text[size..].starts_with(['e', 'E']) {
        let exponent_sign = usize::from(text[size + 1..].starts_with(['+', '-']));
        let exponent = digits_from(size + 1 + exponent_sign);
        if exponent > 0 {
            size += 1 + exponent_sign + exponent;
        }
    }
    let value: f64 = text[..size].parse().map_err(|_| Fault::Format)?;
    if value.abs() > ISO_NUMBER_MAX {
        return Err(Fault::Field);
    }
    Ok((value.trunc() as i64, value - value.trunc(), &text[size..]))
}

/// Digits at the start of a field, without sign.
fn integer_width(text: &str) -> usize {
    text.trim_start_matches('-')
        .bytes()
        .take_while(u8::is_ascii_digit)
        .count()
}
