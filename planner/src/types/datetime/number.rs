//! Numeric fields of dates and times (`DecodeDate`, `DecodeNumber`, `DecodeTime`, `DecodeTimezone`).

use super::Fault;
use super::token::{self, Word, mask};
use crate::types::calendar::{self, Fields, days_in_month};
use crate::types::style::DateOrder;
use crate::types::zone::DISPLACEMENT_HOURS_MAX;

/// What is being put together.
#[derive(Clone, Debug, Default)]
pub struct Draft {
    /// Fields so far.
    pub fields: Fields,
    /// Day of the year, if one was given.
    pub year_day: i32,
    /// The year had at most two digits.
    pub is_two_digits: bool,
}

/// Leading integer of a text and the rest: C's strtol, with overflow as a fault.
pub fn integer(text: &str) -> Result<(i64, &str), Fault> {
    let sign = usize::from(text.starts_with(['-', '+']));
    let digits = text[sign..].bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Ok((0, text));
    }
    let value = text[..sign + digits].parse().map_err(|_| Fault::Field)?;
    Ok((value, &text[sign + digits..]))
}

/// As [`integer`], within 32 bits.
pub fn small_integer(text: &str) -> Result<(i32, &str), Fault> {
    let (value, rest) = integer(text)?;
    Ok((i32::try_from(value).map_err(|_| Fault::Field)?, rest))
}

fn atoi(text: &str) -> i32 {
    small_integer(text).map_or(0, |(value, _)| value)
}

/// Microseconds of a fraction such as `.25`, rounded half to even.
pub fn fraction_micros(text: &str) -> Result<i32, Fault> {
    if !text.starts_with('.') || !text[1..].bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Fault::Format);
    }
    if text.len() == 1 {
        return Ok(0);
    }
    let fraction: f64 = text.parse().map_err(|_| Fault::Format)?;
    Ok((fraction * 1_000_000.0).round_ties_even() as i32)
}

/// A date in one field, such as `1999-01-08` or `8-Jan-99`. Returns the fields it set.
pub fn decode_date(text: &str, seen: u32, order: DateOrder, draft: &mut Draft) -> Result<u32, Fault> {
    let mut parts: Vec<&str> = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        rest = rest.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
        if rest.is_empty() {
            return Err(Fault::Format);
        }
        let is_digit = rest.as_bytes()[0].is_ascii_digit();
        let end = rest
            .find(|c: char| {
                if is_digit {
                    !c.is_ascii_digit()
                } else {
                    !c.is_ascii_alphabetic()
                }
            })
            .unwrap_or(rest.len());
        parts.push(&rest[..end]);
        // One separator is dropped, whatever it is.
        let mut chars = rest[end..].chars();
        chars.next();
        rest = chars.as_str();
    }
    let mut seen = seen;
    let mut found = 0;
    let mut has_text_month = false;
    let mut numbers = Vec::new();
    for part in parts {
        if !part.as_bytes()[0].is_ascii_alphabetic() {
            numbers.push(part);
            continue;
        }
        match token::lookup(part) {
            Some(Word::Ignored) => {}
            Some(Word::Month(month)) => {
                if seen & mask::MONTH != 0 {
                    return Err(Fault::Format);
                }
                draft.fields.month = month;
                has_text_month = true;
                seen |= mask::MONTH;
                found |= mask::MONTH;
            }
            _ => return Err(Fault::Format),
        }
    }
    for part in numbers {
        let set = decode_number(part, has_text_month, seen, order, draft)?;
        if seen & set != 0 {
            return Err(Fault::Format);
        }
        seen |= set;
        found |= set;
    }
    if seen & !(mask::DAY_OF_YEAR | mask::ZONE) != mask::DATE {
        return Err(Fault::Format);
    }
    Ok(found)
}

/// A single number, read as whatever is missing yet. Returns the fields it set.
pub fn decode_number(
    text: &str,
    has_text_month: bool,
    seen: u32,
    order: DateOrder,
    draft: &mut Draft,
) -> Result<u32, Fault> {
    let size = text.len();
    let (value, rest) = small_integer(text)?;
    if rest.len() == size {
        return Err(Fault::Format);
    }
    if rest.starts_with('.') {
        // More than two digits before the point: a date or a run-together time.
        if size - rest.len() > 2 {
            return decode_number_field(text, seen | mask::DATE, draft);
        }
        draft.fields.micros = fraction_micros(rest)?;
    } else if !rest.is_empty() {
        return Err(Fault::Format);
    }
    if size == 3 && seen & mask::DATE == mask::YEAR && (1..=366).contains(&value) {
        draft.year_day = value;
        return Ok(mask::DAY_OF_YEAR | mask::MONTH | mask::DAY);
    }
    const YEAR_MONTH: u32 = mask::YEAR | mask::MONTH;
    const MONTH_DAY: u32 = mask::MONTH | mask::DAY;
    let set = match seen & mask::DATE {
        // Nothing yet: YYYY-MM-DD with more than two digits of year, or the order of DateStyle.
        0 if size >= 3 || order == DateOrder::Ymd => mask::YEAR,
        0 if order == DateOrder::Dmy => mask::DAY,
        0 => mask::MONTH,
        mask::YEAR => mask::MONTH,
        mask::MONTH if has_text_month && (size >= 3 || order == DateOrder::Ymd) => mask::YEAR,
        mask::MONTH => mask::DAY,
        YEAR_MONTH if has_text_month && size >= 3 && draft.is_two_digits => {
            // DD-MON-YYYY in YMD order: the first number was the day after all.
            draft.fields.day = draft.fields.year;
            draft.fields.year = value;
            draft.is_two_digits = false;
            return Ok(mask::DAY);
        }
        YEAR_MONTH => mask::DAY,
        mask::DAY => mask::MONTH,
        MONTH_DAY => mask::YEAR,
        mask::DATE => return decode_number_field(text, seen, draft),
        _ => return Err(Fault::Format),
    };
    match set {
        mask::YEAR => {
            draft.fields.year = value;
            draft.is_two_digits = size <= 2;
        }
        mask::MONTH => draft.fields.month = value,
        _ => draft.fields.day = value,
    }
    Ok(set)
}

/// A run-together date (`20011223`) or time (`040506.7`). Returns the fields it set.
pub fn decode_number_field(text: &str, seen: u32, draft: &mut Draft) -> Result<u32, Fault> {
    let mut digits = text;
    if let Some(point) = text.find('.') {
        let fraction = &text[point..];
        let end = 1 + fraction[1..].bytes().take_while(u8::is_ascii_digit).count();
        draft.fields.micros = fraction_micros(&fraction[..end])?;
        digits = &text[..point];
    } else if seen & mask::DATE != mask::DATE && digits.len() >= 6 {
        let size = digits.len();
        draft.fields.day = atoi(&digits[size - 2..]);
        draft.fields.month = atoi(&digits[size - 4..size - 2]);
        draft.fields.year = small_integer(&digits[..size - 4])?.0;
        if size - 4 == 2 {
            draft.is_two_digits = true;
        }
        return Ok(mask::DATE);
    }
    if seen & mask::TIME != mask::TIME && digits.bytes().all(|byte| byte.is_ascii_digit()) {
        match digits.len() {
            6 => {
                draft.fields.second = atoi(&digits[4..]);
                draft.fields.minute = atoi(&digits[2..4]);
                draft.fields.hour = atoi(&digits[..2]);
                return Ok(mask::TIME);
            }
            4 => {
                draft.fields.second = 0;
                draft.fields.minute = atoi(&digits[2..]);
                draft.fields.hour = atoi(&digits[..2]);
                return Ok(mask::TIME);
            }
            _ => {}
        }
    }
    Err(Fault::Format)
}

/// A time with colons, as hours (which an interval may have many of), minutes, seconds and microseconds.
pub fn decode_time_parts(text: &str, minutes_to_seconds: bool) -> Result<(i64, i32, i32, i32), Fault> {
    let (mut hour, rest) = integer(text)?;
    let Some(rest) = rest.strip_prefix(':') else {
        return Err(Fault::Format);
    };
    let (mut minute, rest) = small_integer(rest)?;
    let mut micros = 0;
    let mut second = 0;
    let mut shift = || -> Result<(), Fault> {
        second = minute;
        minute = i32::try_from(hour).map_err(|_| Fault::Field)?;
        hour = 0;
        Ok(())
    };
    if rest.is_empty() {
        if minutes_to_seconds {
            shift()?;
        }
    } else if rest.starts_with('.') {
        // mm:ss.sss is always minutes and seconds.
        micros = fraction_micros(rest)?;
        shift()?;
    } else if let Some(rest) = rest.strip_prefix(':') {
        let (value, rest) = small_integer(rest)?;
        second = value;
        if !rest.is_empty() {
            micros = fraction_micros(rest)?;
        }
    } else {
        return Err(Fault::Format);
    }
    let in_range =
        hour >= 0 && (0..60).contains(&minute) && (0..=60).contains(&second) && (0..=1_000_000).contains(&micros);
    if in_range {
        Ok((hour, minute, second, micros))
    } else {
        Err(Fault::Field)
    }
}

/// A time of day with colons.
pub fn decode_time(text: &str, draft: &mut Draft) -> Result<u32, Fault> {
    let (hour, minute, second, micros) = decode_time_parts(text, false)?;
    draft.fields.hour = i32::try_from(hour).map_err(|_| Fault::Field)?;
    (draft.fields.minute, draft.fields.second, draft.fields.micros) = (minute, second, micros);
    Ok(mask::TIME)
}

/// A displacement such as `-08`, `+0530`, `+05:30:10`, as seconds west.
pub fn decode_zone(text: &str) -> Result<i32, Fault> {
    if !text.starts_with(['+', '-']) {
        return Err(Fault::Format);
    }
    let in_displacement = |_| Fault::Displacement;
    let (mut hours, mut rest) = small_integer_unsigned(&text[1..]).map_err(in_displacement)?;
    let (mut minutes, mut seconds) = (0, 0);
    if let Some(tail) = rest.strip_prefix(':') {
        (minutes, rest) = small_integer_unsigned(tail).map_err(in_displacement)?;
        if let Some(tail) = rest.strip_prefix(':') {
            (seconds, rest) = small_integer_unsigned(tail).map_err(in_displacement)?;
        }
    } else if rest.is_empty() && text.len() > 3 {
        minutes = hours % 100;
        hours /= 100;
    }
    if !(0..=DISPLACEMENT_HOURS_MAX).contains(&hours) || !(0..60).contains(&minutes) || !(0..60).contains(&seconds) {
        return Err(Fault::Displacement);
    }
    if !rest.is_empty() {
        return Err(Fault::Format);
    }
    let east = (hours * 60 + minutes) * 60 + seconds;
    Ok(if text.starts_with('-') { east } else { -east })
}

fn small_integer_unsigned(text: &str) -> Result<(i32, &str), Fault> {
    if text.starts_with(['+', '-']) {
        Ok((0, text))
    } else {
        small_integer(text)
    }
}

/// Last checks of year, month and day, and the year's era and century (`ValidateDate`).
pub fn validate_date(seen: u32, is_julian: bool, is_bc: bool, draft: &mut Draft) -> Result<(), Fault> {
    let fields = &mut draft.fields;
    if seen & mask::YEAR != 0 && !is_julian {
        if is_bc {
            if fields.year <= 0 {
                return Err(Fault::Field);
            }
            fields.year = -(fields.year - 1);
        } else if draft.is_two_digits {
            if fields.year < 0 {
                return Err(Fault::Field);
            }
            fields.year += match fields.year {
                ..70 => 2000,
                70..100 => 1900,
                _ => 0,
            };
        } else if fields.year <= 0 {
            return Err(Fault::Field);
        }
    }
    if seen & mask::DAY_OF_YEAR != 0 {
        let julian = calendar::date2j(fields.year, 1, 1).wrapping_add(draft.year_day - 1);
        (fields.year, fields.month, fields.day) = calendar::j2date(julian);
    }
    if seen & mask::MONTH != 0 && !(1..=12).contains(&fields.month) {
        return Err(Fault::MonthDay);
    }
    if seen & mask::DAY != 0 && !(1..=31).contains(&fields.day) {
        return Err(Fault::MonthDay);
    }
    if seen & mask::DATE == mask::DATE && fields.day > days_in_month(fields.year, fields.month) {
        return Err(Fault::Field);
    }
    Ok(())
}
