//! Words of dates, times and intervals.

/// Masks of fields already seen, named as in PostgreSQL.
pub mod mask {
    #![allow(missing_docs, reason = "each mask is the field of its name")]
    pub const MONTH: u32 = 1 << 1;
    pub const YEAR: u32 = 1 << 2;
    pub const DAY: u32 = 1 << 3;
    pub const ZONE: u32 = 1 << 5;
    pub const DAYLIGHT_ZONE: u32 = 1 << 6;
    pub const AM_PM: u32 = 1 << 9;
    pub const HOUR: u32 = 1 << 10;
    pub const MINUTE: u32 = 1 << 11;
    pub const SECOND: u32 = 1 << 12;
    pub const MILLISECOND: u32 = 1 << 13;
    pub const MICROSECOND: u32 = 1 << 14;
    pub const DAY_OF_YEAR: u32 = 1 << 15;
    pub const DAY_OF_WEEK: u32 = 1 << 16;
    pub const ERA: u32 = 1 << 18;
    pub const WEEK: u32 = 1 << 24;
    pub const DECADE: u32 = 1 << 25;
    pub const CENTURY: u32 = 1 << 26;
    pub const MILLENNIUM: u32 = 1 << 27;
    pub const DAYLIGHT_MODIFIER: u32 = 1 << 28;
    pub const DATE: u32 = YEAR | MONTH | DAY;
    pub const ALL_SECONDS: u32 = SECOND | MILLISECOND | MICROSECOND;
    pub const TIME: u32 = HOUR | MINUTE | ALL_SECONDS;
}

/// A unit of time, as `extract`, `date_trunc` and interval literals name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the units of their names")]
pub enum Unit {
    Microsecond,
    Millisecond,
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Quarter,
    Year,
    Decade,
    Century,
    Millennium,
    Julian,
    DayOfWeek,
    IsoDayOfWeek,
    DayOfYear,
    IsoYear,
    Epoch,
    Zone,
    ZoneHour,
    ZoneMinute,
    /// The next number is a time of day (`t040506`).
    Time,
}

/// What a word of a date or time means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the meanings of their names")]
pub enum Word {
    Month(i32),
    DayOfWeek(i32),
    Am,
    Pm,
    Ad,
    Bc,
    /// Without meaning: `at`, `on`.
    Ignored,
    Now,
    Today,
    Tomorrow,
    Yesterday,
    /// `allballs`: midnight UTC.
    Zulu,
    Epoch,
    Infinity,
    NegativeInfinity,
    /// `dst`: an hour of daylight saving time on top of the zone.
    DaylightModifier,
    /// Labels the next number.
    Unit(Unit),
    /// `t`: the next field is a time.
    IsoTime,
}

/// Significant characters of a word (TOKMAXLEN).
const TOKEN_BYTES_MAX: usize = 10;

fn cut(word: &str) -> &str {
    word.get(..TOKEN_BYTES_MAX).unwrap_or(word)
}

/// Whether a word is in the core table.
pub fn is_token(word: &str) -> bool {
    lookup(word).is_some()
}

/// Looks up a word of a date or time, in lower case.
pub fn lookup(word: &str) -> Option<Word> {
    use Word::{Ad, Am, Bc, DayOfWeek, Month, Pm};
    Some(match cut(word) {
        "-infinity" => Word::NegativeInfinity,
        "infinity" => Word::Infinity,
        "epoch" => Word::Epoch,
        "now" => Word::Now,
        "today" => Word::Today,
        "tomorrow" => Word::Tomorrow,
        "yesterday" => Word::Yesterday,
        "allballs" => Word::Zulu,
        "ad" => Ad,
        "bc" => Bc,
        "am" => Am,
        "pm" => Pm,
        "at" | "on" => Word::Ignored,
        "dst" => Word::DaylightModifier,
        "jan" | "january" => Month(1),
        "feb" | "february" => Month(2),
        "mar" | "march" => Month(3),
        "apr" | "april" => Month(4),
        "may" => Month(5),
        "jun" | "june" => Month(6),
        "jul" | "july" => Month(7),
        "aug" | "august" => Month(8),
        "sep" | "sept" | "september" => Month(9),
        "oct" | "october" => Month(10),
        "nov" | "november" => Month(11),
        "dec" | "december" => Month(12),
        "sun" | "sunday" => DayOfWeek(0),
        "mon" | "monday" => DayOfWeek(1),
        "tue" | "tues" | "tuesday" => DayOfWeek(2),
        "wed" | "weds" | "wednesday" => DayOfWeek(3),
        "thu" | "thur" | "thurs" | "thursday" => DayOfWeek(4),
        "fri" | "friday" => DayOfWeek(5),
        "sat" | "saturday" => DayOfWeek(6),
        "d" => Word::Unit(Unit::Day),
        "dow" => Word::Unit(Unit::DayOfWeek),
        "doy" => Word::Unit(Unit::DayOfYear),
        "h" => Word::Unit(Unit::Hour),
        "isodow" => Word::Unit(Unit::IsoDayOfWeek),
        "isoyear" => Word::Unit(Unit::IsoYear),
        "j" | "jd" | "julian" => Word::Unit(Unit::Julian),
        "m" => Word::Unit(Unit::Month),
        "mm" => Word::Unit(Unit::Minute),
        "s" => Word::Unit(Unit::Second),
        "y" => Word::Unit(Unit::Year),
        "t" => Word::IsoTime,
        _ => return None,
    })
}

/// What a word of an interval means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntervalWord {
    /// A unit.
    Unit(Unit),
    /// `ago`: the whole interval is negative.
    Ago,
    /// Without meaning: `@`.
    Ignored,
}

/// Looks up a word of an interval, in lower case; `extract` and `date_trunc` use the same units.
pub fn interval_word(word: &str) -> Option<IntervalWord> {
    let unit = match cut(word) {
        "ago" => return Some(IntervalWord::Ago),
        "@" => return Some(IntervalWord::Ignored),
        "microsecon" | "us" | "usec" | "usecond" | "useconds" | "usecs" => Unit::Microsecond,
        "millisecon" | "ms" | "msec" | "msecond" | "mseconds" | "msecs" => Unit::Millisecond,
        "s" | "sec" | "second" | "seconds" | "secs" => Unit::Second,
        "m" | "min" | "mins" | "minute" | "minutes" => Unit::Minute,
        "h" | "hour" | "hours" | "hr" | "hrs" => Unit::Hour,
        "d" | "day" | "days" => Unit::Day,
        "w" | "week" | "weeks" => Unit::Week,
        "mon" | "mons" | "month" | "months" => Unit::Month,
        "qtr" | "quarter" => Unit::Quarter,
        "y" | "year" | "years" | "yr" | "yrs" => Unit::Year,
        "dec" | "decade" | "decades" | "decs" => Unit::Decade,
        "c" | "cent" | "centuries" | "century" => Unit::Century,
        "mil" | "millennia" | "millennium" | "mils" => Unit::Millennium,
        "timezone" => Unit::Zone,
        "timezone_h" => Unit::ZoneHour,
        "timezone_m" => Unit::ZoneMinute,
        _ => return None,
    };
    Some(IntervalWord::Unit(unit))
}

/// The unit that `extract`, `date_part` and `date_trunc` mean by a word, in any case.
pub fn unit(word: &str) -> Option<Unit> {
    let word = word.to_ascii_lowercase();
    if let Some(IntervalWord::Unit(unit)) = interval_word(&word) {
        return Some(unit);
    }
    match lookup(&word)? {
        Word::Unit(unit) => Some(unit),
        Word::Epoch => Some(Unit::Epoch),
        _ => None,
    }
}
