//! Templates of dates and times, parsed.

use std::cell::RefCell;
use std::rc::Rc;

/// A field of a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the template patterns of their names")]
pub enum Key {
    /// AD, BC: with points, in lower case.
    Era {
        points: bool,
        lower: bool,
    },
    /// AM, PM.
    Meridiem {
        points: bool,
        lower: bool,
    },
    Century,
    /// DAY, Day, day and DY, Dy, dy.
    DayName {
        short: bool,
        case: NameCase,
    },
    DayOfYear,
    IsoDayOfYear,
    Day,
    DayOfWeek,
    IsoDayOfWeek,
    /// FF1 to FF6.
    Fraction(u8),
    FixedMode,
    Hour24,
    /// HH12 and HH.
    Hour12,
    IsoWeek,
    /// IYYY, IYY, IY, I.
    IsoYear(u8),
    Julian,
    Minute,
    Month,
    MonthName {
        short: bool,
        case: NameCase,
    },
    Millisecond,
    Offset,
    Quarter,
    Roman {
        lower: bool,
    },
    SecondsOfDay,
    Second,
    ZoneHour,
    ZoneMinute,
    Zone {
        lower: bool,
    },
    Microsecond,
    WeekOfYear,
    WeekOfMonth,
    /// Y,YYY
    YearWithComma,
    /// YYYY, YYY, YY, Y.
    Year(u8),
}

/// Letter case of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "cases of their names")]
pub enum NameCase {
    Upper,
    Capital,
    Lower,
}

/// Whose calendar a field belongs to; one template may not mix two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "calendars of their names")]
pub enum Calendar {
    Either,
    Gregorian,
    IsoWeek,
}

/// A field with what stands around it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Which.
    pub key: Key,
    /// Its spelling in the template.
    pub name: &'static str,
    /// FM: no padding.
    pub fill: bool,
    /// TH or th behind it: whether in capitals.
    pub ordinal: Option<bool>,
}

/// A part of a template.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// A field.
    Field(Field),
    /// A printable character that is neither letter nor digit.
    Separator(char),
    /// White space.
    Space(char),
    /// Any other character, and everything in double quotes.
    Text(char),
}

macro_rules! keys {
    ($($name:literal $key:expr;)*) => { &[$(($name, $key)),*] };
}

const fn era(points: bool, lower: bool) -> Key {
    Key::Era { points, lower }
}

const fn meridiem(points: bool, lower: bool) -> Key {
    Key::Meridiem { points, lower }
}

const fn day_name(short: bool, case: NameCase) -> Key {
    Key::DayName { short, case }
}

const fn month_name(short: bool, case: NameCase) -> Key {
    Key::MonthName { short, case }
}

use Key::*;
use NameCase::{Capital, Lower, Upper};

/// Every spelling; of those that fit the longest counts.
static KEYS: &[(&str, Key)] = keys! {
    "A.D." era(true, false); "A.M." meridiem(true, false); "AD" era(false, false); "AM" meridiem(false, false);
    "B.C." era(true, false); "BC" era(false, false); "CC" Century; "DAY" day_name(false, Upper); "DDD" DayOfYear; "DD" Day;
    "DY" day_name(true, Upper); "Day" day_name(false, Capital); "Dy" day_name(true, Capital); "D" DayOfWeek;
    "FF1" Fraction(1); "FF2" Fraction(2); "FF3" Fraction(3); "FF4" Fraction(4); "FF5" Fraction(5); "FF6" Fraction(6);
    "FX" FixedMode; "HH24" Hour24; "HH12" Hour12; "HH" Hour12; "IDDD" IsoDayOfYear; "ID" IsoDayOfWeek; "IW" IsoWeek;
    "IYYY" IsoYear(4); "IYY" IsoYear(3); "IY" IsoYear(2); "I" IsoYear(1); "J" Julian; "MI" Minute; "MM" Month;
    "MONTH" month_name(false, Upper); "MON" month_name(true, Upper); "MS" Millisecond;
    "Month" month_name(false, Capital); "Mon" month_name(true, Capital); "OF" Offset;
    "P.M." meridiem(true, false); "PM" meridiem(false, false); "Q" Quarter; "RM" Roman { lower: false };
    "SSSSS" SecondsOfDay; "SSSS" SecondsOfDay; "SS" Second; "TZH" ZoneHour; "TZM" ZoneMinute; "TZ" Zone { lower: false };
    "US" Microsecond; "WW" WeekOfYear; "W" WeekOfMonth; "Y,YYY" YearWithComma; "YYYY" Year(4); "YYY" Year(3);
    "YY" Year(2); "Y" Year(1);
    "a.d." era(true, true); "a.m." meridiem(true, true); "ad" era(false, true); "am" meridiem(false, true);
    "b.c." era(true, true); "bc" era(false, true); "cc" Century; "day" day_name(false, Lower); "ddd" DayOfYear; "dd" Day;
    "dy" day_name(true, Lower); "d" DayOfWeek;
    "ff1" Fraction(1); "ff2" Fraction(2); "ff3" Fraction(3); "ff4" Fraction(4); "ff5" Fraction(5); "ff6" Fraction(6);
    "fx" FixedMode; "hh24" Hour24; "hh12" Hour12; "hh" Hour12; "iddd" IsoDayOfYear; "id" IsoDayOfWeek; "iw" IsoWeek;
    "iyyy" IsoYear(4); "iyy" IsoYear(3); "iy" IsoYear(2); "i" IsoYear(1); "j" Julian; "mi" Minute; "mm" Month;
    "month" month_name(false, Lower); "mon" month_name(true, Lower); "ms" Millisecond; "of" Offset;
    "p.m." meridiem(true, true); "pm" meridiem(false, true); "q" Quarter; "rm" Roman { lower: true };
    "sssss" SecondsOfDay; "ssss" SecondsOfDay; "ss" Second; "tzh" ZoneHour; "tzm" ZoneMinute; "tz" Zone { lower: true };
    "us" Microsecond; "ww" WeekOfYear; "w" WeekOfMonth; "y,yyy" YearWithComma; "yyyy" Year(4); "yyy" Year(3);
    "yy" Year(2); "y" Year(1);
};

impl Field {
    /// Digits the field has in fixed width: the length of its spelling, as PostgreSQL counts.
    pub fn width(&self) -> usize {
        match self.key {
            Hour24 | Hour12 => 2,
            Fraction(digits) => usize::from(digits),
            _ => self.name.len(),
        }
    }

    /// Whether its text consists of digits.
    pub fn is_digits(&self) -> bool {
        !matches!(
            self.key,
            Era { .. }
                | Meridiem { .. }
                | DayName { .. }
                | FixedMode
                | MonthName { .. }
                | Offset
                | Roman { .. }
                | ZoneHour
                | Zone { .. }
        )
    }

    /// Whose calendar it belongs to.
    pub fn calendar(&self) -> Calendar {
        match self.key {
            IsoDayOfYear | IsoDayOfWeek | IsoWeek | IsoYear(_) => Calendar::IsoWeek,
            DayOfYear
            | Day
            | DayOfWeek
            | Month
            | MonthName { .. }
            | Roman { .. }
            | WeekOfYear
            | WeekOfMonth
            | Year(_)
            | YearWithComma => Calendar::Gregorian,
            _ => Calendar::Either,
        }
    }
}

/// Whether a character separates fields.
pub fn is_separator(c: char) -> bool {
    c.is_ascii_graphic() && !c.is_ascii_alphanumeric()
}

/// Templates a thread keeps parsed.
const CACHE_SIZE: usize = 20;

thread_local! {
    static CACHE: RefCell<Vec<(String, Rc<[Part]>)>> = const { RefCell::new(Vec::new()) };
}

/// The parts of a template.
pub fn parse(template: &str) -> Rc<[Part]> {
    CACHE.with_borrow_mut(|cache| {
        if let Some((_, parts)) = cache.iter().find(|(text, _)| text == template) {
            return parts.clone();
        }
        let parts: Rc<[Part]> = parse_parts(template).into();
        cache.truncate(CACHE_SIZE - 1);
        cache.insert(0, (template.to_owned(), parts.clone()));
        parts
    })
}

fn parse_parts(template: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = template;
    while !rest.is_empty() {
        let mut fill = false;
        if let Some(tail) = ["FM", "fm"].iter().find_map(|prefix| rest.strip_prefix(prefix)) {
            fill = true;
            rest = tail;
        } else if let Some(tail) = ["TM", "tm"].iter().find_map(|prefix| rest.strip_prefix(prefix)) {
            // Names in the server's language: there is one, and it pads nothing.
            fill = true;
            rest = tail;
        }
        let found = KEYS
            .iter()
            .filter(|(name, _)| rest.starts_with(name))
            .max_by_key(|(name, _)| name.len());
        if let Some(&(name, key)) = found {
            rest = &rest[name.len()..];
            let ordinal = if rest.starts_with("TH") {
                Some(true)
            } else if rest.starts_with("th") {
                Some(false)
            } else {
                None
            };
            // SP (spelled numbers) is accepted and means nothing.
            if ordinal.is_some() || rest.starts_with("SP") {
                rest = &rest[2..];
            }
            parts.push(Part::Field(Field {
                key,
                name,
                fill,
                ordinal,
            }));
        } else if let Some(body) = rest.strip_prefix('"') {
            let mut chars = body.chars();
            while let Some(c) = chars.next() {
                match c {
                    '"' => break,
                    '\\' => parts.extend(chars.next().map(Part::Text)),
                    c => parts.push(Part::Text(c)),
                }
            }
            rest = chars.as_str();
        } else {
            // A backslash is only special before a double quote.
            if rest.starts_with("\\\"") {
                rest = &rest[1..];
            }
            let mut chars = rest.chars();
            if let Some(c) = chars.next() {
                parts.push(if is_separator(c) {
                    Part::Separator(c)
                } else if crate::types::number::is_space(c) {
                    Part::Space(c)
                } else {
                    Part::Text(c)
                });
            }
            rest = chars.as_str();
        }
    }
    parts
}
